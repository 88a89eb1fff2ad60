"""Concept evaluation: dictionaries against concepts that are known, all in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..activations import check_texts
from ..check import Count, Level, Seed, checked
from ..concepts import Concepts
from ..dictionary.base import Dictionary
from ..model import Model
from ..resample import interval, weights
from ..result import Result, axes, provenance
from ..texts import Texts
from .concept_detection import (
    AskedConcepts,
    Candidates,
    Vectors,
    WordMeans,
    asked_concepts,
    count_hits,
    encoded,
    find_candidates,
    word_means,
)
from .concept_swaps import Places, SwapRuns, draw_swaps
from .evaluate import named_dictionaries

#: The scores of one dictionary, in the order of the table.
SCORES = ("f1", "precision", "recall", "n_split", "split_f1", "absorption", "absorption_fraction",
          "hedging", "success", "kept", "causal", "damage")  # fmt: skip
#: How often the scores are resampled.
N_RESAMPLES = 500
#: A feature stands in for a concept if its decoder row has this cosine with the concept's direction
SMALLEST_COSINE = 0.1
#: and carries this share of what the activation has of that direction.
CARRIED = 0.4


@dataclass(frozen=True, eq=False, repr=False)
class ConceptEvaluation(Result):
    """How well dictionaries stand for known concepts: detection, absorption, hedging, and control.

    Chosen on the first half of the texts, counted on the second. Swaps are prompts about a word
    whose concept decides the answer, stays those whose answer should not change, as far as the
    model answers them right. NaN: absorption of signed codes, hedging of concepts without children,
    damage without positions.
    """

    #: Of each dictionary.
    names: tuple[str, ...]
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    n_features: tuple[int, ...]
    #: Of each concept.
    concepts: tuple[str, ...]
    families: tuple[str, ...]
    #: The length of the swaps, over that of the true difference of means.
    strength: float
    #: What another feature has to gain in F1, so that a concept counts as split.
    split_gain: float
    swap_families: tuple[str, ...]
    swap_prompts: tuple[str, ...]
    #: The concept that takes the place of a swap's own.
    targets: tuple[str, ...]
    stay_families: tuple[str, ...]
    stay_prompts: tuple[str, ...]
    feature: np.ndarray = axes("dictionary concept", np.int64, "whose firing has the best F1")
    threshold: np.ndarray = axes("dictionary concept", note="its code above which it fires")
    sign: np.ndarray = axes("dictionary concept", np.int8, "-1 where the negative code is read")
    found: np.ndarray = axes("concept text", np.int32, "the concept's positions")
    hits: np.ndarray = axes("dictionary concept text", np.int32, "those at which it fires")
    false: np.ndarray = axes("dictionary concept text", np.int32, "others at which it fires")
    n_split: np.ndarray = axes("dictionary concept", np.int32, "features that the concept takes")
    split_f1: np.ndarray = axes("dictionary concept", note="F1 of any of them firing")
    present: np.ndarray = axes(
        "dictionary concept text", np.int32, "the activation has the concept"
    )
    absorbed: np.ndarray = axes("dictionary concept text", np.int32, "there, another carries it")
    absorption_share: np.ndarray = axes("dictionary concept", note="mean share that others carry")
    hedging: np.ndarray = axes("dictionary concept", note="share that tells its children apart")
    hedging_chance: np.ndarray = axes("dictionary concept", note="that of a random row")
    before: np.ndarray = axes("swap", note="share of the target's answer in all answers")
    after: np.ndarray = axes("dictionary swap", note="the same with the features swapped")
    whole: np.ndarray = axes("dictionary swap", note="the same with the whole activation swapped")
    damage: np.ndarray = axes("dictionary swap", note="mean KL (nats) at other positions")
    size: np.ndarray = axes("dictionary swap", note="length by the codes, over the true one")
    stay_before: np.ndarray = axes("stay", note="share of the answer that should stay")
    stay_after: np.ndarray = axes("dictionary stay", note="the same with the features swapped")

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
            value = float(_mean(getattr(self, key)[at].astype(np.float64)))
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
        by = weights(self.found.shape[1], N_RESAMPLES, self.seed)
        return interval(_mean(self._detection(measure, at, by.T)), level)

    def _over_swaps(self, measure: str, at: int, level: float) -> tuple[float, float, float]:
        rng = np.random.default_rng(self.seed or 0)
        kept = np.minimum(1.0, self.stay_after[at] / np.maximum(self.stay_before, 1e-12))
        each = {
            "success": (self.after[at], self.swap_families),
            "whole": (self.whole[at], self.swap_families),
            "damage": (self.damage[at], self.swap_families),
            "kept": (kept, self.stay_families),
        }
        # Swaps are drawn anew within each family, so that each stays as heavy as it is.
        own = ("success", "kept") if measure == "causal" else (measure,)
        scores = [_by_family(*each[name], rng) for name in own]
        return interval(np.prod(scores, axis=0), level)

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


def _mean(values: np.ndarray) -> Any:
    """The mean over the last axis of what is there; NaN where nothing is."""
    there = np.isfinite(values)
    total = np.where(there, values, 0.0).sum(-1)
    return np.where(there.any(-1), total / np.maximum(there.sum(-1), 1), np.nan)


def _by_family(values: np.ndarray, families: Sequence[str], rng: np.random.Generator) -> np.ndarray:
    """(1 + resample,) the mean over families of the mean over each one's values."""
    means = []
    for family in dict.fromkeys(families):
        own = values[np.array(families) == family].astype(np.float64)
        own = own[np.isfinite(own)]
        if len(own):
            means.append(own @ weights(len(own), N_RESAMPLES, rng))
    return np.mean(means, axis=0) if means else np.full(1 + N_RESAMPLES, np.nan)


@checked
def evaluate_concepts(
    model: Model,
    texts: Texts,
    dicts: Dictionary | Sequence[Dictionary] | Mapping[Any, Dictionary],
    concepts: Concepts,
    *,
    n_prompts: Count = 24,
    strength: float = 1.0,
    split_gain: float = 0.05,
    seed: Seed = 0,
    progress: bool = True,
) -> ConceptEvaluation:
    """How well dictionaries stand for known concepts, under one set of rules for every kind.

    texts: the first half chooses each concept's feature and threshold, the second counts. dicts:
    one, a list, a `Dictionaries`, or named ones in a mapping: sparse autoencoders beside
    `steering.directions` of the concepts, `features.decompose` and factorisations.

    Causal: for prompts about a word the codes of two features, the best of the word's concept and
    of another of its family, are set to their means at the other concept, at the word and where
    the prompt is answered, by a change of length `strength` · ‖mean of the other − mean of the
    own‖ for every dictionary. Features and means come from half of each concept's words, prompts
    ask about the other half. Success is how much of the answers' probability goes to the other's
    answer; answers about the same words that should stay are the control. n_prompts: prompts of
    each sort a family has at most; those that the model answers wrong are left out.

    Raises `ValueError` for a concept without a word in either half, for words or answers of
    several tokens, for less than two texts, and as `features.evaluate`. Source: Chanin et al. 2024
    and SAEBench (Karvonen et al. 2025); RAVEL (Huang et al. 2024); Makelov et al. 2024.
    """
    n = check_texts(texts)
    if n < 2:
        raise ValueError(f"Half of the texts choose and half count, so there are two; got {n}.")
    if not 0 < strength < float("inf") or not 0 <= split_gain < 1 or n_prompts < 1:
        raise ValueError(
            "strength is a positive number, split_gain from 0 to below 1, n_prompts 1 or more; got "
            f"{strength!r}, {split_gain!r} and {n_prompts!r}."
        )
    named = named_dictionaries(model, dicts, edit=True)
    tokens = concepts.on(model)
    sites = sorted({site for d in named.values() for site in (d.site, d.out_site)})
    half = n // 2
    first, second = (
        Vectors(model, sites, part, tokens, title=title, progress=progress)
        for part, title in (
            (_rows(texts, 0, half), "first half"),
            (_rows(texts, half, n), "second half"),
        )
    )
    means = {site: word_means(first, site, tokens) for site in sites}
    counts = means[sites[0]].counts, word_means(second, sites[0], tokens).counts
    for each, which in zip(counts, ("first", "second"), strict=True):
        tokens.check_found(each.nonzero()[:, 0], f"the {which} half of the texts")
    asked = asked_concepts(model, tokens, sites)
    runs = [
        SwapRuns.of(model, tokens, swaps, sites)
        for swaps in draw_swaps(model, tokens, asked, n_prompts, seed)
    ]
    state = _State(concepts, first, second, means, asked, (runs[0], runs[1]), strength, split_gain)
    fields: dict[str, list[Any]] = {}
    for dictionary in named.values():
        for key, value in state.of(dictionary).items():
            fields.setdefault(key, []).append(value)
    changing, staying = runs
    found = fields.pop("found")[0]
    arrays: dict[str, Any] = {key: np.array(values) for key, values in fields.items()}
    return ConceptEvaluation(
        **provenance(model, seed=seed),
        names=tuple(named),
        sites=tuple(str(d.out_site) for d in named.values()),
        kinds=tuple(d.name if d.kind == "linear" and d.name else d.kind for d in named.values()),
        n_features=tuple(d.n_features for d in named.values()),
        concepts=concepts.names,
        families=tuple(c.family for c in concepts.concepts),
        strength=float(strength),
        split_gain=float(split_gain),
        swap_families=tuple(s.family for s in changing.swaps),
        swap_prompts=tuple(s.prompt for s in changing.swaps),
        targets=tuple(concepts.names[s.target] for s in changing.swaps),
        stay_families=tuple(s.family for s in staying.swaps),
        stay_prompts=tuple(s.prompt for s in staying.swaps),
        before=changing.before["goal"],
        stay_before=staying.before["answer"],
        found=found,
        **arrays,
    )


@dataclass(frozen=True, eq=False)
class _State:
    """What the measures of every dictionary share."""

    concepts: Concepts
    first: Vectors
    second: Vectors
    means: Mapping[Any, WordMeans]
    asked: AskedConcepts | None
    runs: tuple[SwapRuns, SwapRuns]
    strength: float
    split_gain: float

    def of(self, dictionary: Dictionary) -> dict[str, Any]:
        """Every measure of one dictionary."""
        own = self.means[dictionary.out_site]
        candidates = find_candidates(dictionary, self.first, own.membership, self.split_gain)
        counts = count_hits(candidates, dictionary, self.second, own.membership)
        absorbed = absorption(dictionary, candidates, self.second, own)
        share, chance = hedging(dictionary, candidates.features[:, 0], self.concepts, own)
        return {
            "feature": candidates.features[:, 0],
            "threshold": candidates.thresholds[:, 0],
            "sign": candidates.signs[:, 0],
            "found": counts.found,
            "hits": counts.hits,
            "false": counts.false,
            "n_split": candidates.n_split,
            "split_f1": counts.split_f1,
            "present": absorbed.present,
            "absorbed": absorbed.absorbed,
            "absorption_share": absorbed.fraction,
            "hedging": share,
            "hedging_chance": chance,
        } | self.swapped(dictionary, Places(candidates, own))

    def swapped(self, dictionary: Dictionary, words: Places) -> dict[str, Any]:
        """What exchanging concepts does, with the features for words and those for answers."""
        if self.asked is None:
            nothing = np.zeros(0)
            return dict.fromkeys(("after", "whole", "damage", "size", "stay_after"), nothing)
        answers = Places(
            find_candidates(dictionary, self.asked.vectors, self.asked.membership, self.split_gain),
            self.asked.means(dictionary.out_site),
        )
        changing, staying = (
            runs.swapped(dictionary, words, answers, self.strength) for runs in self.runs
        )
        return {
            "after": changing["goal"],
            "whole": self.runs[0].whole(dictionary.out_site)["goal"],
            "damage": changing["damage"],
            "size": changing["size"],
            "stay_after": staying["answer"],
        }


def _rows(texts: Any, start: int, stop: int) -> Any:
    """Some of the texts, whichever way they are given."""
    return texts.take(range(start, stop)) if hasattr(texts, "take") else texts[start:stop]


# -- absorption and hedging ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Absorption:
    """present, absorbed: (concept, text) positions at which the activation has the concept, and
    those of them that were absorbed. fraction: (concept,) mean share carried by other features.
    """

    present: np.ndarray
    absorbed: np.ndarray
    fraction: np.ndarray


def absorption(
    dictionary: Dictionary, candidates: Candidates, vectors: Vectors, means: WordMeans
) -> Absorption:
    """Where a concept's own features are silent on its words and another carries its direction.

    A concept's direction p, of length 1, points from the mean of its rivals (the words of the rest
    of its family; all other positions where it has none) to its own mean. The activation y has the
    concept at one of its words if (y − rivals) · p is more than half of what it is on average.
    There the concept is absorbed if its main features (`Candidates.split`) are all 0 and one
    other feature, whose decoder row has a cosine of at least 0.1 with p, adds at least 0.4 of
    (y − rivals) · p. fraction: Σ other / (Σ main + Σ other) of what features with that cosine, and
    main ones, add along p. NaN for signed codes, which are never silent.

    Source: Chanin et al. 2024 (arXiv:2409.14507), section 4; "full absorption" and "absorption
    fraction" as in SAEBench (Karvonen et al. 2025), with means in place of logistic probes.
    """
    n_concepts = means.membership.shape[1]
    shape = (n_concepts, vectors.n_texts)
    present, absorbed = (torch.zeros(shape, dtype=torch.float64) for _ in range(2))
    if dictionary.encoder.signed:
        nan = np.full(n_concepts, np.nan)
        return Absorption(present.numpy(), absorbed.numpy(), nan)
    rivals, own = means.of_rivals, means.of_concepts
    towards = torch.nn.functional.normalize(own - rivals, dim=-1)
    half = 0.5 * ((own - rivals) * towards).sum(-1)
    along = (dictionary.directions.double().cpu() @ towards.T) >= SMALLEST_COSINE
    written = dictionary.W_dec.double().cpu() @ towards.T
    total = torch.zeros(n_concepts, dtype=torch.float64)
    for batch, codes in encoded(dictionary, vectors, words_only=True):
        y = batch.at[dictionary.out_site].double().cpu()
        size = _size(dictionary, batch.at[dictionary.site])
        codes = codes.double().cpu()
        labels = means.membership[batch.words]
        for concept in range(n_concepts):
            wanted = (y - rivals[concept]) @ towards[concept]
            rows = labels[:, concept] & (wanted > half[concept])
            if not bool(rows.any()):
                continue
            main = torch.as_tensor(candidates.split(concept))
            added = codes[rows] * written[:, concept] * size[rows]
            silent = (codes[rows][:, main] <= 0).all(-1)
            of_main = added[:, main].sum(-1).clamp(min=0)
            other = added * along[:, concept]
            other[:, main] = 0.0
            full = silent & (other.amax(-1) >= CARRIED * wanted[rows])
            of_other = other.clamp(min=0).sum(-1)
            both = of_main + of_other
            share = torch.where(both > 0, of_other / both.clamp(min=1e-30), 0.0)
            total[concept] += share.sum()
            texts = batch.texts[rows]
            present[concept] += torch.bincount(texts, minlength=shape[1])
            absorbed[concept] += torch.bincount(texts[full], minlength=shape[1])
    fraction = (total / present.sum(-1)).numpy()
    return Absorption(present.numpy(), absorbed.numpy(), fraction)


def hedging(
    dictionary: Dictionary, features: np.ndarray, concepts: Concepts, means: WordMeans
) -> tuple[np.ndarray, np.ndarray]:
    """(concept,) how far each concept's feature points at its children, and what chance gives.

    The share of the squared length of the feature's decoder row that lies in the span of (mean of
    a child's words − mean of the concept's words): 0 where the feature says only what the children
    have in common, 1 where it only tells them apart. Chance: n / d_out for a span of n
    directions. NaN for a concept without children.

    Hedging is what Chanin et al. 2025 (arXiv:2505.11756) call a feature that mixes in parts of
    correlated ones. They measure it by adding features to the dictionary and training on; this
    reads it off where the correlated features, the children, are known.
    """
    own = means.of_concepts
    rows = dictionary.directions.double().cpu()[torch.as_tensor(features)]
    share, chance = np.full(len(concepts), np.nan), np.full(len(concepts), np.nan)
    for at, name in enumerate(concepts.names):
        children = [concepts.names.index(child) for child in concepts.children(name)]
        apart = own[children] - own[at]
        if not children or not bool(apart.isfinite().all()):
            continue
        _, sizes, basis = torch.linalg.svd(apart, full_matrices=False)
        # Differences from the common mean are dependent: one direction is only rounding.
        basis = basis[sizes > 1e-3 * float(sizes.max().clamp(min=1e-30))]
        share[at] = float((basis @ rows[at]).pow(2).sum())
        chance[at] = len(basis) / rows.shape[-1]
    return share, chance


def _size(dictionary: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """(n, 1) what a unit of code is multiplied by before it is added to the activation."""
    if dictionary.is_transcoder:
        return torch.ones(len(x), 1, dtype=torch.float64)
    _, _, size = dictionary.normalization.split(x.to(dictionary.W_dec))
    return torch.as_tensor(size).double().cpu().expand(len(x), 1)
