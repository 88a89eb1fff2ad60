"""Vocabulary comparison: which neurons have the same words in two tables, and what chance gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ...resample import wilson

if TYPE_CHECKING:
    from .neuron_vocabulary import NeuronVocabulary


def kept_words(first: NeuronVocabulary, second: NeuronVocabulary) -> pd.DataFrame:
    """The table that `NeuronVocabulary.kept` describes."""
    _check(first, second)
    n_words, k = len(first.vocabulary), first.k
    lines = []
    for s, side in enumerate(first.sides):
        for at, layer in enumerate(first.layers.tolist()):
            a, b = first.top_ids[s, at], second.top_ids[s, at]
            same = a[:, 0] == b[:, 0]
            low, high = wilson(same)
            lines.append(
                {
                    "side": side,
                    "layer": layer,
                    "n": len(same),
                    "kept": float(same.mean()),
                    "low": low,
                    "high": high,
                    "kept_by_chance": _meetings(a[:, :1], b[:, :1], n_words),
                    "overlap": float((a[:, :, None] == b[:, None, :]).sum((1, 2)).mean() / k),
                    "overlap_by_chance": _meetings(a, b, n_words) / k,
                }
            )
    return pd.DataFrame(lines)


def _meetings(a: np.ndarray, b: np.ndarray, n_words: int) -> float:
    """How many words a row of `a` has in common with a row of `b` on average over all pairs.

    Over all pairs and not over some shuffles: a word that n rows of one and m of the other have
    meets n · m times.
    """
    counts = [np.bincount(ids.ravel(), minlength=n_words) / len(ids) for ids in (a, b)]
    return float(counts[0] @ counts[1])


def _check(first: NeuronVocabulary, second: NeuronVocabulary) -> None:
    if first.vocabulary != second.vocabulary:
        raise ValueError(
            f"Words are compared within one vocabulary; {first.model} has {len(first.vocabulary)} "
            f"tokens, {second.model} {len(second.vocabulary)}, and they differ. Compare two models "
            "of one tokenizer."
        )
    for name, mine, theirs in (
        ("sides", first.sides, second.sides),
        ("layers", tuple(first.layers.tolist()), tuple(second.layers.tolist())),
        ("neurons a layer", first.top_ids.shape[2], second.top_ids.shape[2]),
        ("k", first.k, second.k),
        ("norm", first.norm, second.norm),
    ):
        if mine != theirs:
            raise ValueError(
                f"Neurons are compared one with one, in tables that were made alike; the {name} of "
                f"one are {mine}, of the other {theirs}. Make both tables with the same options, "
                "of models of one shape."
            )
