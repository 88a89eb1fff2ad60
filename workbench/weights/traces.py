"""Traces: what training did to value vectors, beside what it did to the others of their layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..check import Count, Seed, checked, one_of
from ..model import Model
from ..resample import N_RESAMPLES, interval, weights
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tokens import token_strings
from ..vocabulary.neurons import directions_of
from ..vocabulary.projection import ColumnMoments, check_k, read_words, writing_projection
from .auditing import check_same
from .concepts import ConceptVectors, Place, by_layer, check_found_in, rows_of

MEASURES = ("cosine", "change", "kept")


@dataclass(frozen=True, eq=False, repr=False)
class Traces(Result):
    """Value vectors before and after a training, beside others of their layers, the control."""

    #: The name of the model after.
    after: str
    #: The concept.
    words: tuple[str, ...]
    #: First words that are compared.
    k: int
    neurons: tuple[str, ...] = labels(
        "row", "L2.mlp_post/77 is row 77 of layer 2's W_out", name="vector"
    )
    kinds: tuple[str, ...] = labels("row", '"concept", or "control"', name="kind")
    words_before: tuple[tuple[str, ...], ...] = labels("row", "first words", name="words_before")
    words_after: tuple[tuple[str, ...], ...] = labels("row", "first words", name="words_after")
    cosine: np.ndarray = axes("row", note="cosine of before and after")
    change: np.ndarray = axes("row", note="|after − before| / |before|")
    kept: np.ndarray = axes("row", note="overlap of the first words (Jaccard)")
    before_scores: np.ndarray = axes(
        "row", note="the concept's words in standard deviations", name="score_before"
    )
    after_scores: np.ndarray = axes(
        "row", note="the concept's words in standard deviations", name="score_after"
    )

    tables = {"vectors": "row"}
    picture = "concept_traces.traces"

    def of_kind(self, measure: str, kind: str = "concept") -> np.ndarray:
        """The "cosine", "change" or "kept" of the concept's vectors, or of the controls."""
        own = np.array(self.kinds) == one_of("kind", kind, ("concept", "control"))
        return getattr(self, one_of("measure", measure, MEASURES))[own]

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line a vector: vector, kind, words_before, words_after, cosine, change, kept,
        score_before, score_after.

        table: "measures", one line for cosine, change and kept: measure; concept (the mean) with
        low and high, its 95 % interval (bootstrap over vectors); control (the mean over the others)
        with control_low and control_high (2.5 and 97.5 % of them).
        """
        if table != "measures":
            return super().to_frame(table)
        lines = []
        for name in MEASURES:
            own, rest = (self.of_kind(name, kind).astype(float) for kind in ("concept", "control"))
            mean, low, high = interval(own @ weights(len(own), N_RESAMPLES, self.seed))
            ends = np.quantile(rest, [0.025, 0.975])
            lines.append((name, mean, low, high, rest.mean(), *ends))
        columns = ["measure", "concept", "low", "high", "control", "control_low", "control_high"]
        return pd.DataFrame(lines, columns=columns)

    def _facts(self) -> str:
        own, rest = (self.of_kind("cosine", kind) for kind in ("concept", "control"))
        return (
            f"{self.after}: {len(own)} vectors at cosine {own.mean():.4f} to what they were "
            f"(others {rest.mean():.4f})"
        )


@checked
def traces(
    before: Model,
    after: Model,
    vectors: ConceptVectors,
    *,
    k: Count = 10,
    n_controls: Count = 200,
    seed: Seed = 0,
) -> Traces:
    """What became of value vectors in a model that was trained on, as `Traces`.

        wb.weights.traces(model, after, found).to_frame("measures")

    vectors: found in the model before. k: first words that are compared. n_controls: how many of
    the other vectors of their layers stand beside them, all where there are fewer.

    Raises `ValueError` for two models of unequal shape or vocabulary, for vectors of another model
    than `before`, and where their layers have no others.

    Source: Hong et al. 2024, "Intrinsic Evaluation of Unlearning Using Parametric Knowledge
    Traces", section 4: cosine and Jaccard of each vector. The control is added here.
    """
    check_same(before, after, "after")
    check_found_in(vectors, before)
    check_k(k, before.weight("W_U", copy=False).shape[1])
    own = vectors.places
    places = [*own, *_others(own, before.spec.d_mlp, n_controls, seed)]
    first, second = (rows_of(model, places).astype(np.float64) for model in (before, after))
    sizes = [np.linalg.norm(rows, axis=1) for rows in (first, second)]
    # A vector of zeros has no direction: its cosine counts as 0.
    product, inner = sizes[0] * sizes[1], (first * second).sum(1)
    moved = np.linalg.norm(second - first, axis=1)
    ids, scores = zip(*(_read(model, places, vectors, k) for model in (before, after)), strict=True)
    common = (ids[0][:, :, None] == ids[1][:, None, :]).sum((1, 2))
    words = [
        tuple(tuple(token_strings(before.tokenizer, row)) for row in top.tolist()) for top in ids
    ]
    return Traces(
        **provenance(before, None, seed),
        after=after.spec.name,
        words=vectors.words,
        k=k,
        neurons=tuple(str(Site("mlp_post", layer, unit=unit)) for layer, unit in places),
        kinds=("concept",) * len(own) + ("control",) * (len(places) - len(own)),
        words_before=words[0],
        words_after=words[1],
        cosine=inner / np.where(product > 0, product, 1),
        change=moved / np.where(sizes[0] > 0, sizes[0], 1),
        kept=common / (2 * k - common),
        before_scores=scores[0],
        after_scores=scores[1],
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
    """Up to `n` neurons of the same layers that are none of these."""
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
