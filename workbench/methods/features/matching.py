"""Matching: for every feature of every dictionary its best predecessors and successors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import SimpleNamespace
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ...check import Count, Seed, checked, whole
from ...model import Model
from ...result import Result, axes, provenance
from ...site import Site
from .assignment import assign, check_assignable
from .correlation import Codes, collect_codes
from .flow_classes import CLASSES, as_thresholds, classify, is_ended
from .lanes import LANES, Lanes, lane_of
from .similarity import chance_cosine, top_matches, unit_rows

By = Literal["cosine", "correlation", "permutation"]
MEASURES: tuple[By, ...] = ("cosine", "correlation", "permutation")


@dataclass(frozen=True, eq=False, repr=False)
class FeatureMatches(Result):
    """The best matches of every feature before and after it, and the class that follows.

    by: "cosine" of decoder rows, "correlation" of activations over texts, or "permutation", the
    cosine under the best one-to-one matching. sites: of the dictionaries, in the order of a pass;
    fingerprints, n_features: of each. Features are numbered on through all dictionaries ("node").
    Lanes are `LANES`: the residual stream before, the MLP's and attention's output of the layer,
    and the residual stream after.

    leads: (lane, site) the number of the dictionary that a lane leads to, −1 where there is none.
    similarity, index: (lane, node, k) the best matches, the best first: how similar, and the
    feature's number in that dictionary; NaN and −1 where there is none. thresholds: (lane, site)
    from which similarity on a match counts; chance: (lane, site) the 99 % quantile of what random
    directions find there (of correlation: of what codes find that are shifted against the text).
    n_positions: of the texts behind correlations, else 0.
    """

    by: str
    k: int
    n_positions: int
    sites: tuple[str, ...]
    fingerprints: tuple[str, ...]
    n_features: np.ndarray = axes("site", np.int64)
    leads: np.ndarray = axes("lane site", np.int32)
    similarity: np.ndarray = axes("lane node k")
    index: np.ndarray = axes("lane node k", np.int32)
    thresholds: np.ndarray = axes("lane site")
    chance: np.ndarray = axes("lane site")

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
        """The same matches under other thresholds, as `match_features` takes them."""
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
        """How far two ways of matching agree: one line a lane, as `compare_matches` has them.

        Raises `ValueError` where they are of different dictionaries.
        """
        return compare_matches([self, other]).drop(columns=["a", "b"]).set_index("lane")

    def _facts(self) -> str:
        kinds = {name: int((self.classes == name).sum()) for name in CLASSES}
        shares = ", ".join(f"{n} {name}" for name, n in kinds.items() if n)
        missing = [
            name for name, lead in zip(LANES[:3], self.leads[:3], strict=True) if (lead < 0).all()
        ]
        lacks = f"; no dictionaries of {' and '.join(missing)}" if missing else ""
        over = f" over {self.n_positions} positions" if self.n_positions else ""
        return (
            f"{len(self.site_of_node)} features of {len(self.sites)} dictionaries by {self.by}"
            f"{over}: {shares}; {int(self.ended.sum())} end{lacks}"
        )


@checked
def match_features(
    dicts: Any,
    *,
    by: By = "cosine",
    k: Count = 1,
    model: Model | None = None,
    texts: Any = None,
    thresholds: Any = None,
    seed: Seed = 0,
    progress: bool = True,
) -> FeatureMatches:
    """The best matches of every feature before and after it, as `FeatureMatches`.

    dicts: `Dictionaries` of the residual stream (resid_pre, resid_post, embed) and of what is added
    to it (mlp_out, attn_out); lanes without a dictionary are left out, and the result says so. For
    a feature f after layer l, s(P) = max ⟨f, W_dec^P⟩ over the features of P, for P the residual
    stream before, the MLP's and the attention's output; decoder rows of unit length.

    by: "cosine" needs no data. "correlation", Pearson's over the positions of `texts` read by
    `model`. "permutation": one-to-one between dictionaries, so that the summed cosine is largest;
    its matrix is held, so up to 4,096 features. k: how many matches of each (1 by permutation).
    thresholds: from which similarity on a match counts: None for 0.5, a number, "chance" for the
    level of chance, or a mapping by lane ("resid", "mlp", "attn", "next"), by site
    ("L3.resid_post"), or both ("L3.resid_post mlp"). seed: of what chance is measured with.

    Memory beside the dictionaries: a block of products (64 MiB) and two dictionaries' unit rows; by
    correlation also 12 bytes for each code that is not 0, at most 2 GiB; by permutation the
    similarities of two dictionaries, at most 200 MB.

    Raises `ValueError` for dictionaries of another space or of one place, for an unknown measure,
    for correlation without model and texts, for k beyond the features there are, and for a
    permutation of too many. Warns where a threshold lies below chance.

    Source: Laptev, Balagansky et al., "Analyze Feature Flow to Enhance Interpretation and Steering
    in Language Models" (2025); Balagansky et al., "Mechanistic Permutability" (2024).
    """
    lanes = Lanes.of(dicts)
    check_matching(lanes, by, k, model, texts)
    codes = None
    if by == "correlation":
        assert model is not None and texts is not None
        codes = collect_codes(model, lanes, texts, progress=progress)
    starts = np.concatenate([[0], np.cumsum(lanes.n_features)])
    similarity = np.full((len(LANES), starts[-1], k), np.nan, np.float32)
    index = np.full(similarity.shape, -1, np.int32)
    chance = np.full(lanes.leads.shape, np.nan, np.float32)
    assigned: dict[tuple[int, int], np.ndarray] = {}
    for lane, at, other in tqdm(lanes.pairs(), desc=f"matching by {by}", disable=not progress):
        part = slice(starts[at], starts[at + 1])
        if by == "permutation":
            values, found = _by_permutation(lanes, at, other, assigned)
        elif codes is not None:
            values, found = codes.top(at, other, k)
        else:
            values, found = by_cosine(lanes, at, other, slice(None), k)
        similarity[lane, part], index[lane, part] = values, found
        chance[lane, at] = level_of_chance(lanes, at, other, codes, seed)
    return FeatureMatches(
        **origin(lanes, model, seed),
        by=by,
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


@checked
def compare_matches(matches: Sequence[FeatureMatches]) -> pd.DataFrame:
    """How far ways of matching the same dictionaries agree: one line a pair and lane.

    Columns: a, b (by what), lane, n (features that both have a match for), same (the share whose
    best match is the same), n_high and same_high (of those whose match by a counts, at a's
    thresholds), chance (the share that would be the same by chance).

    Raises `ValueError` for fewer than two, and for matches of different dictionaries.
    """
    if len(matches) < 2:
        raise ValueError(f"A comparison takes two or more FeatureMatches; got {len(matches)}.")
    for other in matches[1:]:
        if (other.sites, other.fingerprints) != (matches[0].sites, matches[0].fingerprints):
            raise ValueError(
                "Ways of matching are compared on the same dictionaries; these are of "
                f"{', '.join(matches[0].sites)} and {', '.join(other.sites)}, or of other weights."
            )
    lines = []
    for i, a in enumerate(matches):
        for b in matches[i + 1 :]:
            for lane, name in enumerate(LANES):
                mine, theirs = a.index[lane, :, 0], b.index[lane, :, 0]
                both = (mine >= 0) & (theirs >= 0)
                if not both.any():
                    continue
                high = both & (a.similarity[lane, :, 0] >= a.thresholds[lane, a.site_of_node])
                same = mine == theirs
                n_other = a.n_features[a.leads[lane, a.site_of_node[both]]]
                lines.append(
                    {
                        "a": a.by,
                        "b": b.by,
                        "lane": name,
                        "n": int(both.sum()),
                        "same": float(same[both].mean()),
                        "n_high": int(high.sum()),
                        "same_high": float(same[high].mean()) if high.any() else float("nan"),
                        "chance": float((1 / n_other).mean()),
                    }
                )
    return pd.DataFrame(lines)


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
        found = assigned[at, other] = assign((a @ b.T).numpy())
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


def check_matching(lanes: Lanes, by: str, k: Any, model: Any, texts: Any) -> None:
    """Raises `ValueError` for options that `match_features` does not take."""
    if by not in MEASURES:
        raise ValueError(f"Features are matched by {', '.join(MEASURES)}; got {by!r}.")
    if by == "correlation" and (model is None or texts is None):
        raise ValueError(
            "Correlations are of activations: match_features(dicts, by='correlation') needs model= "
            "and texts=. by='cosine' needs neither."
        )
    if by != "correlation" and texts is not None:
        raise ValueError(f"Only by='correlation' reads texts; got texts with by={by!r}.")
    most = int(lanes.n_features.min())
    whole("k", k, 1, most, "The smallest dictionary has no more features to match.")
    if by == "permutation":
        if k > 1:
            raise ValueError(f"A permutation gives one match a feature, so k=1; got k={k}.")
        for _, at, other in lanes.pairs():
            check_assignable(*(int(lanes.n_features[i]) for i in (at, other)))
