"""Concept table: how dictionaries do against known concepts, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..check import Level
from ..resample import bootstrap
from ..result import Result, axes

#: The scores of one dictionary, in the order of the table.
SCORES = ("f1", "precision", "recall", "n_split", "split_f1", "absorption", "absorption_fraction",
          "hedging", "success", "kept", "causal", "damage")  # fmt: skip


@dataclass(frozen=True, eq=False, repr=False)
class ConceptEvaluation(Result):
    """How well dictionaries stand for known concepts: detection, absorption, hedging, and control.

    names, sites, kinds, n_features: of each dictionary. concepts, families: of each concept.
    strength: of the swaps.

    Chosen on the first half of the texts, counted on the second. feature: the one whose firing has
    the best F1; threshold: its code above which it fires; sign: −1 where the negative of a signed
    code is read. found, hits, false: the concept's positions, those of them at which the feature
    fires, and other positions at which it does. n_split: how many features the concept takes until
    "any of them fires" gains no more than `split_gain` in F1; split_f1: their F1. present,
    absorbed: positions at which the activation has the concept, those of them at which the
    concept's features are silent and another carries it; absorption_share: the mean share that
    others carry. hedging: share of the feature's decoder row that tells the concept's children
    apart; hedging_chance: that of a random row. See `absorption` and `hedging` in
    `concept_absorption` for what they mean exactly.

    Swaps: prompts about a word whose concept decides the answer (swap) or does not (stay), as far
    as the model answers them right. swap_families, swap_prompts, targets: of each. before, after:
    share of the target concept's answer in the probability of all the answers, without and with
    the swap of features; whole: with the whole activation taken from a prompt with a word of the
    target, at the same places. damage: mean KL(plain ‖ swapped) in nats at the other
    positions from the word on. size:
    length of the change where the prompt is answered, by the dictionary's own codes, over that of
    the true difference of means.
    stay_before, stay_after: share of the answer that should stay.

    NaN: absorption of signed codes, hedging of concepts without children, damage without positions.
    """

    names: tuple[str, ...]
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    n_features: tuple[int, ...]
    concepts: tuple[str, ...]
    families: tuple[str, ...]
    strength: float
    split_gain: float
    swap_families: tuple[str, ...]
    swap_prompts: tuple[str, ...]
    targets: tuple[str, ...]
    stay_families: tuple[str, ...]
    stay_prompts: tuple[str, ...]
    feature: np.ndarray = axes("dictionary concept", np.int64)
    threshold: np.ndarray = axes("dictionary concept")
    sign: np.ndarray = axes("dictionary concept", np.int8)
    found: np.ndarray = axes("concept text", np.int32)
    hits: np.ndarray = axes("dictionary concept text", np.int32)
    false: np.ndarray = axes("dictionary concept text", np.int32)
    n_split: np.ndarray = axes("dictionary concept", np.int32)
    split_f1: np.ndarray = axes("dictionary concept")
    present: np.ndarray = axes("dictionary concept text", np.int32)
    absorbed: np.ndarray = axes("dictionary concept text", np.int32)
    absorption_share: np.ndarray = axes("dictionary concept")
    hedging: np.ndarray = axes("dictionary concept")
    hedging_chance: np.ndarray = axes("dictionary concept")
    before: np.ndarray = axes("swap")
    after: np.ndarray = axes("dictionary swap")
    whole: np.ndarray = axes("dictionary swap")
    damage: np.ndarray = axes("dictionary swap")
    size: np.ndarray = axes("dictionary swap")
    stay_before: np.ndarray = axes("stay")
    stay_after: np.ndarray = axes("dictionary stay")

    picture = "feature_evaluations.concept_evaluation"

    def score(
        self, measure: str, name: str | None = None, level: Level = 0.95
    ) -> tuple[float, float, float]:
        """A measure of one dictionary over all concepts, and its interval: value, low, high.

        measure: "f1", "precision", "recall": means over the concepts. "n_split", "split_f1",
        "absorption_fraction", "hedging": means over the concepts, without an interval.
        "absorption": absorbed / present, mean over the concepts. "success": mean share of the
        target's answer after the swap, 0 to 1. "kept": mean of how much of its share an answer
        that should stay keeps, at most 1. "causal": success · kept. "damage": mean KL in nats.
        "whole": success where the whole activation is exchanged, the most that a swap at this site
        can be expected to do. Families of concepts weigh the same in success, kept and damage.

        Intervals are bootstraps over the texts of the second half, or over the swaps of each
        family. NaN where there is nothing to measure. Raises `ValueError` for another measure or
        name.
        """
        at = self._at(name)
        if measure not in (*SCORES, "whole"):
            raise ValueError(
                f"A measure is one of {', '.join((*SCORES, 'whole'))}; got {measure!r}."
            )
        if measure in ("n_split", "split_f1", "hedging", "absorption_fraction"):
            key = {"absorption_fraction": "absorption_share"}.get(measure, measure)
            value = _mean(getattr(self, key)[at].astype(np.float64))
            return value, float("nan"), float("nan")
        if measure in ("f1", "precision", "recall", "absorption"):
            return self._over_texts(measure, at, level)
        return self._over_swaps(measure, at, level)

    def of_concepts(self, measure: str, name: str | None = None) -> np.ndarray:
        """(concept,) "f1", "precision", "recall" or "absorption" of each concept."""
        at = self._at(name)
        return self._detection(measure, at, np.ones((1, self.found.shape[1])))[0]

    def _detection(self, measure: str, at: int, weights: np.ndarray) -> np.ndarray:
        """(resample, concept) from how often each text counts (resample, text)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            if measure == "absorption":
                if np.isnan(self.absorption_share[at]).all():
                    return np.full((len(weights), len(self.concepts)), np.nan)
                return (weights @ self.absorbed[at].T) / (weights @ self.present[at].T)
            hits, false = weights @ self.hits[at].T, weights @ self.false[at].T
            found = weights @ self.found.T
            if measure == "precision":
                # A feature that never fires has no precision; it counts as 0.
                return np.where(hits + false > 0, hits / (hits + false), 0.0)
            if measure == "recall":
                return hits / found
            return np.where(found > 0, 2 * hits / (found + hits + false), np.nan)

    def _over_texts(self, measure: str, at: int, level: float) -> tuple[float, float, float]:
        n = self.found.shape[1]
        value = _mean(self._detection(measure, at, np.ones((1, n)))[0])
        if not np.isfinite(value):
            return value, value, value

        def statistic(chosen: np.ndarray) -> np.ndarray:
            weights = np.array([np.bincount(row, minlength=n) for row in chosen], np.float64)
            return _mean_rows(self._detection(measure, at, weights))

        low, high = bootstrap(statistic, n, level, self.seed or 0, n_resamples=500)
        return value, low, high

    def _over_swaps(self, measure: str, at: int, level: float) -> tuple[float, float, float]:
        swaps, stays = np.array(self.swap_families), np.array(self.stay_families)
        kept = np.minimum(1.0, self.stay_after[at] / np.maximum(self.stay_before, 1e-12))
        values = {"success": self.after[at], "whole": self.whole[at], "damage": self.damage[at]}

        def one(key: str, rng: np.random.Generator | None) -> float:
            each, families = (kept, stays) if key == "kept" else (values[key], swaps)
            means = []
            for family in dict.fromkeys(families.tolist()):
                own = each[families == family].astype(np.float64)
                if rng is not None:
                    own = own[rng.integers(len(own), size=len(own))]
                means.append(_mean(own))
            return _mean(np.array(means))

        def score(rng: np.random.Generator | None) -> float:
            if measure == "causal":
                return one("success", rng) * one("kept", rng)
            return one(measure, rng)

        value = score(None)
        if not np.isfinite(value):
            return value, value, value
        # Swaps are drawn anew within each family, so that each stays as heavy as it is.
        rng = np.random.default_rng(self.seed or 0)
        drawn = [score(rng) for _ in range(500)]
        low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return value, float(low), float(high)

    def _at(self, name: str | None) -> int:
        if name is None:
            return 0
        if name not in self.names:
            raise ValueError(
                f"This evaluation has the dictionaries {', '.join(self.names)}; got {name!r}."
            )
        return self.names.index(name)

    def to_frame(self) -> pd.DataFrame:
        """One line a dictionary: site, kind, n_features, every measure of `score`; whole.

        Columns in _low and _high are 95 % intervals.
        """
        lines = []
        for at, name in enumerate(self.names):
            line: dict[str, Any] = {"site": self.sites[at], "kind": self.kinds[at]}
            line["n_features"] = self.n_features[at]
            for measure in (*SCORES, "whole"):
                value, low, high = self.score(measure, name)
                line[measure] = value
                if measure not in ("n_split", "split_f1", "hedging", "absorption_fraction"):
                    line |= {f"{measure}_low": low, f"{measure}_high": high}
            lines.append(line)
        return pd.DataFrame(lines, index=pd.Index(self.names, name="dictionary"))

    def concept_frame(self, name: str | None = None) -> pd.DataFrame:
        """One line a concept of one dictionary: family, feature, sign, threshold, n, f1, precision,
        recall, n_split, split_f1, absorption, absorption_fraction, hedging, hedging_chance.
        """
        at = self._at(name)
        columns: dict[str, Any] = {"family": self.families, "feature": self.feature[at]}
        columns |= {"sign": self.sign[at], "threshold": self.threshold[at]}
        columns["n"] = self.found.sum(-1)
        for measure in ("f1", "precision", "recall"):
            columns[measure] = self.of_concepts(measure, name)
        columns |= {"n_split": self.n_split[at], "split_f1": self.split_f1[at]}
        columns["absorption"] = self.of_concepts("absorption", name)
        columns["absorption_fraction"] = self.absorption_share[at]
        columns |= {"hedging": self.hedging[at], "hedging_chance": self.hedging_chance[at]}
        return pd.DataFrame(columns, index=pd.Index(self.concepts, name="concept"))

    def swap_frame(self, name: str | None = None) -> pd.DataFrame:
        """One line a swap of one dictionary: family, prompt, target, before, after, whole, damage,
        size.
        """
        at = self._at(name)
        return pd.DataFrame(
            {
                "family": self.swap_families,
                "prompt": self.swap_prompts,
                "target": self.targets,
                "before": self.before,
                "after": self.after[at],
                "whole": self.whole[at],
                "damage": self.damage[at],
                "size": self.size[at],
            }
        )

    def _facts(self) -> str:
        best = max(self.names, key=lambda name: self.score("f1", name)[0])
        return (
            f"{len(self.names)} dictionaries, {len(self.concepts)} concepts on "
            f"{self.found.shape[1]} texts, {len(self.swap_families)} swaps; best F1 "
            f"{self.score('f1', best)[0]:.3f} ({best})"
        )


def _mean(values: np.ndarray) -> float:
    """Mean of what is there; NaN where nothing is."""
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else float("nan")


def _mean_rows(values: np.ndarray) -> np.ndarray:
    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(-1)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)
