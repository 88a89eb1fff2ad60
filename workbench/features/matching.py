"""Matching: for every feature of every dictionary its best predecessors and successors."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..check import Count, Seed, checked, number, whole
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..model import Model
from ..result import Result, axes, provenance
from ..site import Site
from ..texts import Texts
from .similarity import (
    Codes,
    chance_cosine,
    check_assignable,
    collect_codes,
    one_to_one,
    top_matches,
    unit_rows,
)

Method = Literal["cosine", "correlation", "permutation"]


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMatches(Result):
    """The best matches of every feature before and after it, and the class that follows.

    Features are numbered on through all dictionaries ("node"). Lanes are `LANES`: the residual
    stream before, the MLP's and attention's output of the layer, and the residual stream after.
    """

    #: "cosine" of decoder rows, "correlation" of activations over texts, or "permutation", the
    #: cosine under the best one-to-one matching.
    method: str
    k: int
    #: Of the texts behind correlations, else 0.
    n_positions: int
    #: Of the dictionaries, in the order of a pass.
    sites: tuple[str, ...]
    fingerprints: tuple[str, ...]
    n_features: np.ndarray = axes("site", np.int64)
    leads: np.ndarray = axes("lane site", np.int32, "number of the dictionary there, −1 for none")
    similarity: np.ndarray = axes("lane node k", note="the best matches, the best first; NaN: none")
    index: np.ndarray = axes("lane node k", np.int32, "their numbers there, −1 for none")
    thresholds: np.ndarray = axes("lane site", note="similarity from which on a match counts")
    #: Of correlation what codes find that are shifted against the text.
    chance: np.ndarray = axes("lane site", note="99 % quantile of what random directions find")

    picture = "flows.feature_matches"

    @cached_property
    def starts(self) -> np.ndarray:
        """(site + 1,) the first node of each dictionary, and the number of all."""
        return np.concatenate([[0], np.cumsum(self.n_features)])

    @cached_property
    def site_of_node(self) -> np.ndarray:
        """(node,) the number of each feature's dictionary."""
        return np.repeat(np.arange(len(self.sites)), self.n_features)

    @cached_property
    def classes(self) -> np.ndarray:
        """(node,) the class of every feature, one of `CLASSES`."""
        out = classify(self.similarity[..., 0], *self._each)
        module = np.array([lane_of(Site.parse(site)) != "resid" for site in self.sites])
        return np.where(module[self.site_of_node], "module", out)

    @cached_property
    def ended(self) -> np.ndarray:
        """(node,) whether nothing after a feature is similar enough to it."""
        return is_ended(self.similarity[..., 0], *self._each)

    @property
    def _each(self) -> tuple[np.ndarray, np.ndarray]:
        """(lane, node): thresholds, and whether there is a lane."""
        at = self.site_of_node
        return self.thresholds[:, at], (self.leads >= 0)[:, at]

    def node(self, feature: str | Site) -> int:
        """The number of a feature's name. Raises `ValueError` for a feature that is not there."""
        site = Site.parse(feature)
        if str(site.whole) not in self.sites or site.unit is None:
            raise ValueError(
                f"These matches are of features of {', '.join(self.sites)}, written like "
                f"'{self.sites[-1]}/0'; got {str(feature)!r}."
            )
        at = self.sites.index(str(site.whole))
        if site.unit >= self.n_features[at]:
            raise ValueError(
                f"{self.sites[at]} has features 0 to {self.n_features[at] - 1}; got {site.unit}."
            )
        return int(self.starts[at] + site.unit)

    def name(self, node: int) -> str:
        """The name of a feature's number, like "L3.resid_post/123"."""
        node = whole("node", node, 0, len(self.site_of_node) - 1)
        at = int(self.site_of_node[node])
        return f"{self.sites[at]}/{node - self.starts[at]}"

    def of(self, feature: str | Site, lane: str) -> tuple[tuple[str, float], ...]:
        """The matches of one feature in a lane, the best first: name and similarity.

        Empty where the lane does not exist. Raises `ValueError` for another lane or feature.
        """
        if lane not in LANES:
            raise ValueError(f"A lane is one of {', '.join(LANES)}; got {lane!r}.")
        node, at = self.node(feature), LANES.index(lane)
        other = self.leads[at, self.site_of_node[node]]
        found = zip(self.index[at, node], self.similarity[at, node], strict=True)
        return tuple((f"{self.sites[other]}/{i}", float(value)) for i, value in found if i >= 0)

    def with_thresholds(self, thresholds: Any) -> Self:
        """The same matches under other thresholds, as `match` takes them."""
        new = as_thresholds(thresholds, self.sites, self.leads, self.chance)
        return replace(self, thresholds=new)

    def counts(self) -> pd.DataFrame:
        """One line a dictionary: how many of its features are of each class, and how many end."""
        at, n = self.site_of_node, len(self.sites)
        columns = {name: np.bincount(at, self.classes == name, n) for name in CLASSES}
        columns["ended"] = np.bincount(at, self.ended, n)
        return pd.DataFrame(columns, index=pd.Index(self.sites, name="site")).astype(int)

    def to_frame(self) -> pd.DataFrame:
        """One line a feature: feature, class, ended, and in each lane the best match and its
        similarity (resid, resid_similarity, mlp, …); NaN and "" where there is none.
        """
        sites = np.array([*self.sites, ""])
        columns: dict[str, Any] = {
            "feature": [self.name(node) for node in range(len(self.site_of_node))],
            "class": self.classes,
            "ended": self.ended,
        }
        for lane, name in enumerate(LANES):
            other = sites[self.leads[lane, self.site_of_node]]
            best = self.index[lane, :, 0]
            columns[name] = [f"{s}/{i}" if i >= 0 else "" for s, i in zip(other, best, strict=True)]
            columns[f"{name}_similarity"] = self.similarity[lane, :, 0]
        return pd.DataFrame(columns)

    def agreement(self, other: FeatureMatches) -> pd.DataFrame:
        """How far two ways of matching the same dictionaries agree: one line a lane.

        Columns: n (features that both have a match for), same (the share whose best match is the
        same), n_high and same_high (of those whose match counts, at this one's thresholds), chance
        (the share that would be the same by chance). Raises `ValueError` for matches of other
        dictionaries.
        """
        if (other.sites, other.fingerprints) != (self.sites, self.fingerprints):
            raise ValueError(
                "Ways of matching are compared on the same dictionaries; these are of "
                f"{', '.join(self.sites)} and {', '.join(other.sites)}, or of other weights."
            )
        lines = {}
        for lane, name in enumerate(LANES):
            mine, theirs = self.index[lane, :, 0], other.index[lane, :, 0]
            both = (mine >= 0) & (theirs >= 0)
            if not both.any():
                continue
            high = both & (self.similarity[lane, :, 0] >= self.thresholds[lane, self.site_of_node])
            same = mine == theirs
            n_other = self.n_features[self.leads[lane, self.site_of_node[both]]]
            lines[name] = {
                "n": int(both.sum()),
                "same": float(same[both].mean()),
                "n_high": int(high.sum()),
                "same_high": float(same[high].mean()) if high.any() else float("nan"),
                "chance": float((1 / n_other).mean()),
            }
        return pd.DataFrame.from_dict(lines, orient="index").rename_axis("lane")

    def _facts(self) -> str:
        kinds = {name: int((self.classes == name).sum()) for name in CLASSES}
        shares = ", ".join(f"{n} {name}" for name, n in kinds.items() if n)
        missing = [
            name for name, lead in zip(LANES[:3], self.leads[:3], strict=True) if (lead < 0).all()
        ]
        lacks = f"; no dictionaries of {' and '.join(missing)}" if missing else ""
        over = f" over {self.n_positions} positions" if self.n_positions else ""
        return (
            f"{len(self.site_of_node)} features of {len(self.sites)} dictionaries by {self.method}"
            f"{over}: {shares}; {int(self.ended.sum())} end{lacks}"
        )


@checked
def match(
    dicts: Dictionaries,
    *,
    method: Method = "cosine",
    k: Count = 1,
    model: Model | None = None,
    texts: Texts = None,
    thresholds: Any = None,
    seed: Seed = 0,
    progress: bool = True,
) -> FeatureMatches:
    """The best matches of every feature before and after it, as `FeatureMatches`.

        wb.features.match(wb.dictionaries("tinyworld"), thresholds="chance")

    dicts: of the residual stream (resid_pre, resid_post, embed) and of what is added to it
    (mlp_out, attn_out); lanes without a dictionary are left out. For a feature f after layer l,
    s(P) = max ⟨f, W_dec^P⟩ over the features of P, decoder rows of unit length.

    method: "cosine" needs no data; "correlation" is Pearson's over the positions of `texts` read by
    `model` (12 bytes a code that is not 0, up to 2 GiB); "permutation" is one-to-one with the
    largest summed cosine, for up to 4,096 features. k: how many matches of each. thresholds: None
    for 0.5, a number, "chance", or a mapping by lane ("resid", "mlp", "attn", "next"), site
    ("L3.resid_post") or both ("L3.resid_post mlp"). seed: of what chance is measured with.

    Raises `ValueError` for dictionaries of another space or of one place, correlation without model
    and texts, too many matches or features. Warns where a threshold lies below chance.
    Source: Laptev, Balagansky et al., "Analyze Feature Flow to Enhance Interpretation and Steering
    in Language Models" (2025); Balagansky et al., "Mechanistic Permutability" (2024).
    """
    lanes = Lanes.of(dicts)
    check_matching(lanes, method, k, model, texts)
    codes = None
    if method == "correlation":
        assert model is not None and texts is not None
        codes = collect_codes(model, lanes.each, texts, progress=progress)
    starts = np.concatenate([[0], np.cumsum(lanes.n_features)])
    similarity = np.full((len(LANES), starts[-1], k), np.nan, np.float32)
    index = np.full(similarity.shape, -1, np.int32)
    chance = np.full(lanes.leads.shape, np.nan, np.float32)
    assigned: dict[tuple[int, int], np.ndarray] = {}
    for lane, at, other in tqdm(lanes.pairs(), desc=f"matching by {method}", disable=not progress):
        part = slice(starts[at], starts[at + 1])
        if method == "permutation":
            values, found = _by_permutation(lanes, at, other, assigned)
        elif codes is not None:
            values, found = codes.top(at, other, k)
        else:
            values, found = by_cosine(lanes, at, other, slice(None), k)
        similarity[lane, part], index[lane, part] = values, found
        chance[lane, at] = level_of_chance(lanes, at, other, codes, seed)
    return FeatureMatches(
        **origin(lanes, model, seed),
        method=method,
        k=k,
        n_positions=0 if codes is None else codes.n_positions,
        sites=lanes.names,
        fingerprints=lanes.fingerprints,
        n_features=lanes.n_features,
        leads=lanes.leads,
        similarity=similarity,
        index=index,
        thresholds=as_thresholds(thresholds, lanes.names, lanes.leads, chance),
        chance=chance,
    )


def by_cosine(
    lanes: Lanes, at: int, other: int, features: Any, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """(n, k) cosines and numbers: the best matches of features of a dictionary in another.

    A feature whose decoder row is 0 has none: NaN and −1.
    """
    source = lanes.dicts[lanes.sites[other]]
    rows = unit_rows(lanes.dicts[lanes.sites[at]], features).to(source.device)
    values, found = top_matches(rows, unit_rows(source), k)
    zero = ~rows.any(-1)
    values[zero], found[zero] = float("nan"), -1
    return values.cpu().numpy(), found.cpu().numpy()


def _by_permutation(
    lanes: Lanes, at: int, other: int, assigned: dict[tuple[int, int], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """(n, 1) as `by_cosine`, one-to-one; NaN and −1 for those of a larger dictionary left over."""
    a, b = (unit_rows(lanes.dicts[lanes.sites[i]]).cpu() for i in (at, other))
    # The matching of two dictionaries is one, seen from either.
    if (other, at) in assigned:
        back = assigned[other, at]
        found = np.full(len(a), -1)
        found[back[back >= 0]] = np.flatnonzero(back >= 0)
    else:
        found = assigned[at, other] = one_to_one((a @ b.T).numpy())
    there = torch.from_numpy(found >= 0)
    values = torch.full((len(a),), float("nan"))
    values[there] = (a[there] * b[torch.from_numpy(found)[there]]).sum(-1)
    empty = ~a.any(-1)
    values[empty] = float("nan")
    found = np.where(empty.numpy(), -1, found)
    return values.numpy()[:, None], found[:, None]


def level_of_chance(lanes: Lanes, at: int, other: int, codes: Codes | None, seed: int) -> float:
    """What chance alone reaches in a lane: by cosine, or with `codes` by correlation."""
    if codes is not None:
        return codes.chance(at, other, seed)
    return chance_cosine(lanes.dicts[lanes.sites[other]], seed)


def origin(lanes: Lanes, model: Model | None, seed: int | None) -> dict[str, Any]:
    """The fields that say where a result comes from; without a model, that of the dictionaries."""
    if model is not None:
        return provenance(model, seed=seed)
    spec = SimpleNamespace(name=lanes.dicts.model, revision="", backend="none")
    return provenance(SimpleNamespace(spec=spec), seed=seed)


def check_matching(lanes: Lanes, method: str, k: Any, model: Any, texts: Any) -> None:
    """Raises `ValueError` for options that `match` does not take."""
    if method == "correlation" and (model is None or texts is None):
        raise ValueError(
            "Correlations are of activations: match(dicts, method='correlation') needs model= and "
            "texts=. method='cosine' needs neither."
        )
    if method != "correlation" and texts is not None:
        raise ValueError(
            f"Only method='correlation' reads texts; got texts with method={method!r}."
        )
    most = int(lanes.n_features.min())
    whole("k", k, 1, most, "The smallest dictionary has no more features to match.")
    if method == "permutation":
        if k > 1:
            raise ValueError(f"A permutation gives one match a feature, so k=1; got k={k}.")
        for _, at, other in lanes.pairs():
            check_assignable(*(int(lanes.n_features[i]) for i in (at, other)))


# -- lanes -----------------------------------------------------------------------------------------

#: Where a feature may come from, and where it goes on: the residual stream before, the MLP's and
#: the attention's output of its layer, and the residual stream after.
LANES = ("resid", "mlp", "attn", "next")
BEFORE = LANES[:3]
_MODULES = {"mlp_out": "mlp", "attn_out": "attn"}


@dataclass(frozen=True)
class Lanes:
    """The dictionaries in the order of a pass, and which of them each one is matched with.

    leads: (lane, site) int32, the number of the dictionary that a lane leads to, −1 where there is
    none.
    """

    dicts: Dictionaries
    sites: tuple[Site, ...]
    leads: np.ndarray

    @classmethod
    def of(cls, dicts: Dictionaries) -> Lanes:
        """Of dictionaries of the residual space.

        Before the residual stream after a layer lie that before the layer and the layer's two
        outputs; `resid_pre` of a layer is the same place as `resid_post` of the one before, and
        `embed` as `L0.resid_pre`. After a module's output lies the residual stream after its layer.

        Raises `ValueError` for dictionaries outside the residual space, of different widths, or two
        of one place.
        """
        sites = tuple(dicts)
        widths = {d.d_out for d in dicts.values()}
        if len(widths) > 1:
            raise ValueError(
                "Features are compared in one space, the residual stream; the dictionaries given "
                f"decode to widths {', '.join(map(str, sorted(widths)))}."
            )
        places: dict[tuple[str, int], int] = {}
        for i, site in enumerate(sites):
            place = _place(site)
            if place in places:
                raise ValueError(
                    f"{sites[places[place]]} and {site} are the same place of the residual stream, "
                    "and a flow passes one dictionary a place. Leave one of them out."
                )
            places[place] = i
        leads = np.full((len(LANES), len(sites)), -1, np.int32)
        for i, site in enumerate(sites):
            lane, at = _place(site)
            if lane == "resid":
                ways = [("resid", at - 1), ("mlp", at), ("attn", at), ("resid", at + 1)]
                leads[:, i] = [places.get(way, -1) for way in ways]
            else:
                leads[-1, i] = places.get(("resid", at), -1)
        return cls(dicts, sites, leads)

    @property
    def names(self) -> tuple[str, ...]:
        """The sites' names."""
        return tuple(map(str, self.sites))

    def name(self, feature: tuple[int, int]) -> str:
        """The name of a feature, given as the number of its dictionary and its own."""
        return f"{self.names[feature[0]]}/{feature[1]}"

    @property
    def each(self) -> list[Dictionary]:
        """The dictionaries."""
        return [self.dicts[site] for site in self.sites]

    @property
    def n_features(self) -> np.ndarray:
        """(site,) int64: how many features each dictionary has."""
        return np.array([each.n_features for each in self.each], np.int64)

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """Of each dictionary, so that a result says which ones it was made of."""
        return tuple(each.fingerprint for each in self.each)

    def pairs(self) -> list[tuple[int, int, int]]:
        """Each lane that exists, as (lane, site, the site that it leads to)."""
        return [
            (lane, site, int(other))
            for (lane, site), other in np.ndenumerate(self.leads)
            if other >= 0
        ]


def lane_of(site: Site) -> str:
    """The lane in which a site is drawn: "resid", "mlp" or "attn". Raises as `Lanes.of`."""
    return _place(site)[0]


def _place(site: Site) -> tuple[str, int]:
    """("resid", how many layers lie before), or ("mlp" or "attn", the layer's end)."""
    if site.stream == "embed":
        return "resid", 0
    if site.layer is not None:
        if site.stream in ("resid_pre", "resid_post"):
            return "resid", site.layer + (site.stream == "resid_post")
        if site.stream in _MODULES:
            return _MODULES[site.stream], site.layer + 1
    why = (
        "lies inside a layer: leave it out, and use resid_pre or resid_post"
        if site.stream == "resid_mid"
        else f"is of another space ({site.stream}), in which a cosine with the residual stream "
        "means nothing"
    )
    raise ValueError(
        "A flow passes the residual stream (embed, resid_pre, resid_post) and what is added to it "
        f"(mlp_out, attn_out); the dictionary of {site} {why}."
    )


# -- classes ---------------------------------------------------------------------------------------

#: What a feature is, by which of its predecessors are similar enough.
#: carried: the residual one, and no module. processed: the residual one and a module. newborn: a
#: module, and not the residual one. unexplained: none. first: no dictionary lies before. module: of
#: an MLP's or attention's output, before which nothing is looked for. dead: it writes nothing, or,
#: matched by correlation, never changed on the texts.
CLASSES = ("carried", "processed", "newborn", "unexplained", "first", "module", "dead")
#: A match counts from this similarity on, where nothing else is said.
THRESHOLD = 0.5


class ThresholdBelowChance(UserWarning):
    """A threshold under what chance alone reaches: matches just above it say nothing."""


def classify(best: np.ndarray, thresholds: np.ndarray, has_lane: np.ndarray) -> np.ndarray:
    """(node,) the class of each feature, one of `CLASSES`.

    best: (lane, node) its best similarity in each lane, NaN where there is none. thresholds,
    has_lane: (lane, node), from where on it counts, and whether a dictionary lies there. A module's
    feature has no lane but the next, and is named by the caller. Source: Laptev et al. 2025.
    """
    before = slice(len(BEFORE))
    with np.errstate(invalid="ignore"):
        high = best[before] >= thresholds[before]
    resid, module = high[0], high[1] | high[2]
    out = np.where(
        resid,
        np.where(module, "processed", "carried"),
        np.where(module, "newborn", "unexplained"),
    )
    lanes = has_lane[before]
    dead = lanes.any(0) & (np.isnan(best[before]) | ~lanes).all(0)
    out = np.where(dead, "dead", out)
    return np.where(lanes.any(0), out, "first")


def is_ended(best: np.ndarray, thresholds: np.ndarray, has_lane: np.ndarray) -> np.ndarray:
    """(node,) whether a dictionary lies after a feature and has nothing similar enough to it.

    Arguments as in `classify`.
    """
    return has_lane[-1] & ~np.isnan(best[-1]) & (best[-1] < thresholds[-1])


def as_thresholds(
    thresholds: Any, sites: Sequence[str], leads: np.ndarray, chance: np.ndarray
) -> np.ndarray:
    """(lane, site) float32: from which similarity on a match counts; NaN where no lane is.

    thresholds: None for 0.5; a number; "chance" for the level of chance of each; or a mapping whose
    keys are lanes ("resid", "mlp", "attn", "next"), sites ("L3.resid_post") or both
    ("L3.resid_post mlp"), the more special one first. leads, chance: (lane, site).

    Raises `ValueError` for anything else. Warns where a threshold lies below chance.
    """
    given: dict[str, Any] = (
        dict(thresholds) if isinstance(thresholds, Mapping) else {"": thresholds}
    )
    known = {"", *LANES, *sites, *(f"{site} {lane}" for site in sites for lane in LANES)}
    if unknown := [key for key in given if key not in known]:
        raise ValueError(
            f"Thresholds are given by lane ({', '.join(LANES)}), by site ({sites[0]}, …) or both "
            f"('{sites[-1]} mlp'); got {unknown[0]!r}."
        )
    for value in given.values():
        if value is not None and not (isinstance(value, str) and value == "chance"):
            number("A threshold", value, -1, 1, "It is a similarity, or 'chance'.")
    out = np.full(leads.shape, np.nan, np.float32)
    for (lane, at), other in np.ndenumerate(leads):
        if other < 0:
            continue
        site = str(sites[at])
        keys = (f"{site} {LANES[lane]}", site, LANES[lane], "")
        value = next((given[key] for key in keys if given.get(key) is not None), THRESHOLD)
        out[lane, at] = chance[lane, at] if isinstance(value, str) else float(value)
    with np.errstate(invalid="ignore"):
        # Of equal ones the rounding decides.
        below = np.argwhere(out < chance - 1e-6)
    if len(below):
        lane, at = below[0]
        warnings.warn(
            f"A threshold lies above what chance alone reaches; {len(below)} do not, as that of "
            f"{LANES[lane]} at {sites[at]}: {out[lane, at]:.2f}, where 1 of 100 random directions "
            f"finds {chance[lane, at]:.2f} or more. Give thresholds='chance' or higher ones.",
            ThresholdBelowChance,
            stacklevel=3,
        )
    return out
