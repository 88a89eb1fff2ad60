"""Traces: what training did to value vectors, beside what it did to the others of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...model import Model
from ...tokens import token_strings
from ..vocabulary.column_moments import ColumnMoments
from ..vocabulary.neurons import directions_of
from ..vocabulary.projection import writing_projection
from ..vocabulary.words import read_words
from .concept_vectors import ConceptVectors
from .value_vectors import Place, by_layer, rows_of


@dataclass(frozen=True, eq=False)
class Traces:
    """Value vectors in two models. cosine, change (|after − before| / |before|) and kept (the
    overlap of their first words, Jaccard): of the vectors and, in `other_`, of some others of their
    layers. before_scores, after_scores: of the concept's words. before_words, after_words: the
    first words of each.
    """

    cosine: np.ndarray
    change: np.ndarray
    kept: np.ndarray
    other_cosine: np.ndarray
    other_change: np.ndarray
    other_kept: np.ndarray
    before_scores: np.ndarray
    after_scores: np.ndarray
    before_words: tuple[tuple[str, ...], ...]
    after_words: tuple[tuple[str, ...], ...]

    @classmethod
    def between(
        cls,
        before: Model,
        after: Model,
        vectors: ConceptVectors,
        *,
        k: int,
        n_others: int,
        seed: int,
    ) -> Traces:
        """The concept's vectors and up to `n_others` drawn from the rest of their layers."""
        places = vectors.places
        others = _others(places, before.spec.d_mlp, n_others, seed)
        own = _Compared.of(before, after, places, vectors, k)
        rest = _Compared.of(before, after, others, vectors, k)
        return cls(
            *(own.cosine, own.change, own.kept),
            *(rest.cosine, rest.change, rest.kept),
            *(own.scores[0], own.scores[1]),
            before_words=own.words[0],
            after_words=own.words[1],
        )


@dataclass(frozen=True, eq=False)
class _Compared:
    cosine: np.ndarray
    change: np.ndarray
    kept: np.ndarray
    scores: list[np.ndarray]
    words: list[tuple[tuple[str, ...], ...]]

    @classmethod
    def of(
        cls,
        before: Model,
        after: Model,
        places: Sequence[Place],
        vectors: ConceptVectors,
        k: int,
    ) -> _Compared:
        first, second = (rows_of(model, places).astype(np.float64) for model in (before, after))
        sizes = [np.linalg.norm(rows, axis=1) for rows in (first, second)]
        # A vector of zeros has no direction: its cosine counts as 0.
        product, inner = sizes[0] * sizes[1], (first * second).sum(1)
        cosine = inner / np.where(product > 0, product, 1)
        moved = np.linalg.norm(second - first, axis=1)
        ids, scores = [], []
        for model in (before, after):
            top, score = _read(model, places, vectors, k)
            ids.append(top)
            scores.append(score)
        common = (ids[0][:, :, None] == ids[1][:, None, :]).sum((1, 2))
        texts = [
            tuple(tuple(token_strings(before.tokenizer, row)) for row in top.tolist())
            for top in ids
        ]
        return cls(
            cosine,
            moved / np.where(sizes[0] > 0, sizes[0], 1),
            common / (2 * k - common),
            scores,
            texts,
        )


def _read(
    model: Model, places: Sequence[Place], vectors: ConceptVectors, k: int
) -> tuple[np.ndarray, np.ndarray]:
    """(vector, k) the first words, and (vector,) the concept's score, in one model."""
    norm: Any = vectors.norm
    projection = writing_projection(model, norm)
    with torch.no_grad():
        layers = {layer: directions_of(model, layer, "out", norm) for layer in by_layer(places)}
        directions = torch.stack([layers[layer][unit] for layer, unit in places])
        scores = ColumnMoments.of(projection).standard_scores(directions, vectors.word_ids.tolist())
        top = read_words(projection, directions, k=k, measures=()).top_ids
    return top, scores.mean(-1).cpu().numpy()


def _others(places: Sequence[Place], d_mlp: int, n: int, seed: int) -> list[Place]:
    """Up to `n` neurons of the same layers that are none of these.

    Raises `ValueError` where there are none.
    """
    rest = [
        (layer, unit)
        for layer, units in by_layer(places).items()
        for unit in sorted(set(range(d_mlp)) - set(units))
    ]
    if not rest:
        raise ValueError(
            "Traces are compared with the other value vectors of their layers; these are all of "
            "them. Find fewer with concept_vectors."
        )
    chosen = np.random.default_rng(seed).choice(len(rest), min(n, len(rest)), replace=False)
    return [rest[i] for i in sorted(chosen.tolist())]
