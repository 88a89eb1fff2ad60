"""Where a model is pushed, in which direction and how far, so that ways of steering compare."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...activations import batches
from ...check import refuse
from ...data import DataNotFound
from ...dictionary.base import ScaleFeatures
from ...dictionary.collection import Dictionaries, dictionaries
from ...edits import Add, Edit
from ...features.flow import FeatureFlow
from ...features.matching import as_dictionaries
from ...model import Model
from ...site import Site
from ...texts import texts as shipped_texts
from .dictionary_check import check_fits

#: Streams that a feature lives on in: those along which a push is spread.
RESIDUAL = ("resid_pre", "resid_mid", "resid_post")
#: Shipped texts on which the typical size of a feature is measured where none are given.
N_TEXTS = 200


@dataclass(frozen=True)
class Push:
    """A share of the whole push, along one feature. Shares of a plan add up to 1 in size."""

    feature: Site
    share: float


def read_dictionaries(model: Model, dicts: Any) -> Dictionaries:
    """The dictionaries of a call: given, a single one, or those that ship for the model.

    Raises `ValueError` where none are given and none ship, and for one of another width or of a
    site that the model does not have; `TypeError` for what is no dictionary.
    """
    if dicts is None:
        try:
            dicts = dictionaries(model.spec.name)
        except (ValueError, DataNotFound):
            raise ValueError(
                f"Features are directions of dictionaries, and none ship for {model.spec.name}; "
                "give dicts=, as wb.dictionaries or wb.load_dictionary reads them."
            ) from None
    dicts = as_dictionaries(dicts)
    check_fits(model, *dicts.values())
    return dicts


def residual_path(flow: FeatureFlow) -> tuple[Site, ...]:
    """The residual features of a flow's strongest path, first layer first.

    All of the path's features where none is of the residual stream.
    """
    path = sorted(Site.parse(name) for name in flow.path())
    return tuple(site for site in path if site.stream in RESIDUAL) or tuple(path)


def read_pushes(
    what: Any, dicts: Dictionaries, layers: Any = None
) -> tuple[tuple[Push, ...], tuple[Site, ...]]:
    """What to push, and the features whose typical size is one unit of strength.

    Raises as `steer` does.
    """
    if not isinstance(what, FeatureFlow):
        if layers is not None:
            raise ValueError(
                f"layers= chooses among the layers of a flow; {what!r} is no FeatureFlow. Leave it "
                "out, or give wb.feature_flow(dicts, feature=…)."
            )
        shares = _named(what, dicts)
        return shares, tuple(push.feature for push in shares)
    path = residual_path(what)
    _check_same(what, dicts, path)
    chosen = path
    if layers is not None and layers != "flow":
        wanted = [layers] if isinstance(layers, int) else layers
        if isinstance(wanted, str) or not isinstance(wanted, Sequence) or not wanted:
            raise ValueError(
                f"layers is 'flow' for all layers of the path, or one or several numbers; got "
                f"{layers!r}."
            )
        have = {site.layer for site in path}
        if missing := [layer for layer in wanted if layer not in have]:
            names = ", ".join(str(site) for site in path)
            raise ValueError(
                f"The path of this flow is {names}; it has nothing in layer {missing[0]!r}."
            )
        chosen = tuple(site for site in path if site.layer in set(wanted))
    return tuple(Push(site, 1 / len(chosen)) for site in chosen), path


def _check_same(flow: FeatureFlow, dicts: Dictionaries, path: Sequence[Site]) -> None:
    """Raises `ValueError` where a flow was made of other dictionaries than those given."""
    for site in path:
        dictionary, _ = dicts.feature(site)
        if dictionary.fingerprint != flow.fingerprints[flow.sites.index(str(site.whole))]:
            raise ValueError(
                f"A flow is steered with the dictionaries that it was made of; {dictionary!r} has "
                "other weights than the one behind this flow. Give those as dicts=."
            )


def _named(what: Any, dicts: Dictionaries) -> tuple[Push, ...]:
    """The pushes of a feature, of several in equal shares, or of a mapping to shares."""
    if isinstance(what, Mapping):
        given = {name: float(share) for name, share in what.items()}
    else:
        several: Any = what
        if isinstance(what, (str, Site)) or hasattr(what, "__index__"):
            several = [what]
        try:
            given = dict.fromkeys(several, 1.0)
        except TypeError:
            rule = "a feature's name or number, several, or a mapping of them to shares"
            raise refuse("what", rule, what) from None
    out: dict[Site, float] = {}
    name: Any
    for name, share in given.items():
        if hasattr(name, "__index__"):
            if len(dicts) > 1:
                raise ValueError(
                    f"A feature of several dictionaries is named like 'L3.resid_post/123'; got "
                    f"the number {name}."
                )
            site = next(iter(dicts.values())).feature(name)
        else:
            dictionary, number = dicts.feature(name)
            site = dictionary.feature(number)
        if site in out:
            raise ValueError(f"Each feature is pushed once; {site} stands twice.")
        out[site] = share
    total = sum(map(abs, out.values()))
    if not 0 < total < float("inf"):
        raise ValueError(
            f"Shares are numbers that are not all 0, one a feature, at least one; got {what!r}."
        )
    return tuple(Push(site, share / total) for site, share in out.items())


def edits_of(pushes: Sequence[Push], dicts: Dictionaries, length: float) -> list[Add]:
    """Adds `length` in all: share × length along each feature's unit direction."""
    return [
        Add(push.feature.whole, direction_of(dicts, push.feature), length * push.share)
        for push in pushes
    ]


def direction_of(dicts: Dictionaries, feature: Site) -> Any:
    """(d_out,) the feature's decoder row of length 1. Raises `ValueError` for a row of zeros."""
    dictionary, number = dicts.feature(feature)
    direction = dictionary.directions[number]
    if not bool(direction.any()):
        raise ValueError(
            f"{feature} writes nothing: its decoder row is 0, so that there is no direction to "
            "push in."
        )
    return direction


def removals_of(pushes: Sequence[Push], dicts: Dictionaries) -> list[Edit]:
    """Edits that take the features out: their codes become 0."""
    numbers: dict[Site, list[int]] = {}
    for push in pushes:
        dictionary, number = dicts.feature(push.feature)
        numbers.setdefault(dictionary.out_site, []).append(number)
    return [ScaleFeatures(dicts[site], features=n, factor=0.0) for site, n in numbers.items()]


def typical_length(
    model: Model,
    dicts: Dictionaries,
    features: Sequence[Site],
    texts: Any = None,
    *,
    batch_size: int = 32,
) -> float:
    """How far a feature moves the activation where it is active: the mean over the features.

    Of each feature the mean length of what it writes (code × decoder row) over the positions of the
    texts at which its code is not 0. texts: None for those that ship for the model.

    Raises `ValueError` where there are no texts or a feature is never active on them, `TypeError`
    for a single text.
    """
    if texts is None:
        try:
            texts = shipped_texts(model.spec.name, n=N_TEXTS)
        except (ValueError, DataNotFound):
            raise ValueError(
                "One unit of strength is the typical size of the feature, measured on texts, and "
                f"none ship for {model.spec.name}; give texts=, or the length itself as unit=."
            ) from None
    total, n = np.zeros(len(features)), np.zeros(len(features), np.int64)
    pairs = [dicts.feature(feature) for feature in features]
    read = sorted({dictionary.site for dictionary, _ in pairs})
    for _, tokens in batches(model, texts, batch_size):
        run = model.run(tokens, read=read, logits_at=())
        for i, (dictionary, number) in enumerate(pairs):
            x = run[dictionary.site][tokens.mask]
            codes = dictionary.encode_some(x, [number])
            active = codes[:, 0] != 0
            with torch.no_grad():
                written = dictionary.written(codes[active], x[active], [number])
            total[i] += float(written.float().norm(dim=-1).double().sum())
            n[i] += int(active.sum())
    if not n.all():
        silent = features[int((n == 0).argmax())]
        raise ValueError(
            f"{silent} is never active on the {len(texts)} texts, so that its typical size is not "
            "known. Give more texts, or the length of one unit of strength as unit=."
        )
    return float((total / n).mean())
