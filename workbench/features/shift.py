"""SHIFT: features that should not matter to a classifier are taken away from the model it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from .. import controls
from ..activations import activations, check_texts
from ..check import ArgumentError, Count, Seed, checked
from ..dictionary.collection import Dictionaries
from ..effects import SHARE, Effects, Measure, table_of
from ..model import Model
from ..pictures.marks import Dots
from ..probing.probe import Probe
from ..result import provenance
from ..site import Site
from ..texts import Texts
from .check import check_fits
from .effects import FeatureEffects


@checked
def shift(
    model: Model,
    texts: Texts,
    probe: Probe,
    dicts: Dictionaries,
    features: Iterable[Site | str],
    *,
    labels: Sequence[Any],
    groups: Sequence[str] | None = None,
    training: tuple[Any, Sequence[Any]] | None = None,
    like: FeatureEffects | None = None,
    n_controls: Count = 5,
    seed: Seed = 0,
) -> Effects:
    """How often a probe is right once the features that should not matter are gone, as `Effects`.

        probe = wb.probe(acts, "profession", method="logistic")
        wb.features.shift(model, texts, probe, dicts, ticked, labels=professions)

    probe: of two classes at one site. features: names, as a person ticked them, set to 0 at all
    positions; the model runs on from there. texts, labels: to measure on, balanced where the
    training was not. groups: names, one a text, each a measure of its own. The changes are "after",
    the same probe; with `training`, its texts and labels, also "recentred", its bias moved so that
    their mean logit stays, which needs no labels, and "retrained", fitted to the changed model.
    Controls are random other features: like: effects on a probe, whose features are drawn that are
    about as often active; None draws from all. Raises `ValueError` for no feature, one that is not
    there or lies behind the probe, and for labels and groups that are not one a text.
    Source: Marks et al. (2024), section 4.
    """
    check_fits(model, *dicts.values())
    names = tuple(dict.fromkeys(str(Site.parse(name)) for name in features))
    if not names:
        raise ValueError(
            "At least one feature is taken away, by its name, like 'L1.resid_post/123'; got none."
        )
    read_at = Site.parse(probe.site)
    places = {dicts.feature(name)[0].out_site for name in names}
    if late := [site for site in places if site > read_at]:
        raise ValueError(
            f"The probe reads {read_at}, and {late[0]} is computed after it: its features "
            "cannot matter. Choose features before it."
        )
    second, rows = check_rows(probe, texts, labels, groups)
    if like is not None and like.active is None:
        raise ArgumentError(
            f"like is of wb.features.effects(…, metric=probe), which knows what is active; got "
            f"{like!r}."
        )
    sizes = None if like is None else {site: like.at(str(site), "active") for site in places}
    gone = dicts.scale(dict.fromkeys(names, 0.0))
    others = controls.like(model, gone, n_controls, sizes=sizes, seed=seed)

    def right(by: Probe, edits: Any = (), moved: float = 0.0) -> np.ndarray:
        return (by.logits(model, texts, edits=edits) + moved > 0) == second

    changes = {"after": right(probe, gone)}
    drawn = {("after", "random", i): right(probe, each) for i, each in enumerate(others)}
    if training is not None:
        plain = probe.logits(model, training[0])

        def moved(edits: Any) -> float:
            """How far the mean logit of the training texts fell."""
            return float((plain - probe.logits(model, training[0], edits=edits)).mean())

        changes["recentred"] = right(probe, gone, moved(gone))
        drawn |= {
            ("recentred", "random", i): right(probe, each, moved(each))
            for i, each in enumerate(others)
        }
        column = {probe.label: training[1]}
        acts = activations(
            model, training[0], probe.site, pool=probe.pool, labels=column, edits=gone
        )
        changes["retrained"] = right(probe.again(acts), gone)
    before, after, beside = right(probe), [*changes.values()], [*drawn.values()]
    return Effects(
        **provenance(model, seed=seed),
        what=f"{len(names)} features taken away from what the probe of {probe.label!r} reads",
        changes=table_of(["change"], list(changes)),
        controls=table_of(["change", "kind", "draw"], list(drawn)),
        measures=tuple(
            Measure(
                name,
                SHARE,
                np.where(own, before, np.nan),
                np.where(own, after, np.nan),
                np.where(own, beside, np.nan),
            )
            for name, own in rows.items()
        ),
        picture=Dots("effect", ("measure", "change"), "low", "high", "control"),
    )


def check_rows(
    probe: Probe, texts: Any, labels: Sequence[Any], groups: Sequence[str] | None
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Whether each text is of the second class, and which texts each measure is of."""
    n, given = check_texts(texts), np.array([str(each) for each in labels])
    two = len(probe.classes) == 2
    if not two or given.shape != (n,) or not np.isin(given, probe.classes).all():
        raise ValueError(
            f"labels are {' or '.join(probe.classes)}, of two classes, for each of {n} texts; got "
            f"shape {given.shape} with the values {sorted(set(given.tolist()))[:5]}."
        )
    rows = {"accuracy": np.ones(n, bool)}
    if groups is not None:
        if len(groups) != n:
            raise ValueError(f"groups has a name for each of {n} texts; got {len(groups)}.")
        rows |= {name: np.array([each == name for each in groups]) for name in groups}
    return given == probe.classes[1], rows
