"""Neighbours of a feature: those with near directions, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ...dictionary.base import Dictionary
from ...dictionary.collection import Dictionaries
from ...site import Site
from .direct_logits import extremes
from .feature_index import FeatureIndex
from .labels import Labels, automatic


def nearest(
    dictionary: Dictionary, feature: int, others: Dictionaries | None, k: int
) -> list[tuple[str, float]]:
    """The features whose decoder rows have the largest cosine with the feature's."""
    direction = dictionary.directions[feature]
    found: list[tuple[str, float]] = []
    rest = (
        [] if others is None else [d for d in others.values() if d.out_site != dictionary.out_site]
    )
    for each in [dictionary, *rest]:
        if each.out_site.axes[-1] != dictionary.out_site.axes[-1] or each.d_out != dictionary.d_out:
            continue
        cosine = each.directions @ direction.to(each.directions)
        if each is dictionary:
            cosine = torch.where(
                torch.arange(len(cosine), device=cosine.device) == feature, -2, cosine
            )
        found += [(str(each.feature(i)), c) for i, c in extremes(cosine, min(k, len(cosine) - 1))]
    return sorted(found, key=lambda pair: -pair[1])[:k]


def labels_of(
    names: Sequence[str], labels: Labels, index: FeatureIndex, others: Dictionaries | None
) -> tuple[str, ...]:
    """Each feature's label with its score, "" where it has none."""
    known: dict[str, Labels] = {labels.site: labels}
    out = []
    for name in names:
        site = Site.parse(name)
        whole = str(site.whole)
        if whole not in known and others is not None:
            known[whole] = Labels.of(others[whole])
        label = known[whole][name]
        if not label.text and whole == index.site and site.unit is not None:
            label = automatic(index, site.unit) if index.count[site.unit] else label
        out.append(str(label) if label.text else "")
    return tuple(out)
