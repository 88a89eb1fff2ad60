"""Concept evaluation: dictionaries against concepts that are known, all in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activations import check_texts
from ..check import Count, Seed, checked
from ..concepts import Concepts
from ..dictionary.base import Dictionary
from ..methods.features.named import named_dictionaries
from ..model import Model
from ..result import provenance
from .concept_absorption import absorption, hedging
from .concept_detection import count_hits, find_candidates
from .concept_swaps import Places, SwapRuns, draw_swaps
from .concept_table import ConceptEvaluation as ConceptEvaluation
from .concept_vectors import (
    AskedConcepts,
    Vectors,
    WordMeans,
    asked_concepts,
    check_found,
    word_means,
)


@checked
def evaluate_concepts(
    model: Model,
    texts: Any,
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
    `steering.directions` of the concepts, random directions and factorisations.

    Causal: for prompts about a word the codes of two features, the best of the word's concept and
    the best of another concept of the same family and parent, are set to what they are on average
    at the other concept. This is done at the word, with the features and means of words, and where
    the prompt is answered, with the features that are best there at telling prompts about the
    concepts apart, since a model may need the word no more by then. The change is given the length
    `strength` · ‖mean of the other concept − mean of the own‖ at that place, the same for every
    dictionary, so that only its direction counts. Features and means of answers come from half of
    each concept's words (`Concepts.fitting`), the prompts ask about the other half. Success is how
    much of the answers' probability goes to the other concept's answer; answers about the same
    words that should stay are the control, and damage is what else the model predicts differently.
    n_prompts: how many prompts of each sort a family has at most; those that the model answers
    wrong are left out.

    Raises `ValueError` for a concept without a word in either half, for words or answers that are
    several tokens, for less than two texts, and as `evaluate_dictionary`.

    Source: F1 and splitting after Chanin et al. 2024 and SAEBench (Karvonen et al. 2025); cause
    and control after RAVEL (Huang et al. 2024, arXiv:2402.17700); supervised features beside
    others after Makelov et al. 2024.
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
    check_found(means[sites[0]], concepts, "the first half of the texts")
    check_found(word_means(second, sites[0], tokens), concepts, "the second half of the texts")
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
