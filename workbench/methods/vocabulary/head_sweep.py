"""Head sweep: the weights of one head after another, read; what `HeadVocabulary` holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ...check import whole
from ...model import Model
from .head_directions import DirectionWords, Singular
from .head_factors import (
    EmbeddingChoice,
    Factors,
    Head,
    HeadWeights,
    WordVectors,
    Writing,
    ov_factors,
    qk_factors,
    word_vectors,
)
from .head_pairs import Pairs, extreme_pairs
from .head_scores import RandomHeads, copying_score, own_word_extremes
from .projection import NormChoice, n_words
from .words import check_k


def check_counts(model: Model, *, k: int, top: int, **counts: int) -> None:
    """Raises `ValueError` for a number of words, pairs, directions or random heads out of range."""
    total = n_words(model)
    check_k(k, total)
    spec = model.spec
    rank = min(spec.d_head, spec.d_model)
    ranges = {
        "top": (top, 1, total - 1, "words that a head may write first"),
        "n_pairs": (counts["n_pairs"], 0, total**2, "word pairs"),
        "n_directions": (counts["n_directions"], 1, rank, "singular directions, at most d_head"),
        "n_random": (counts["n_random"], 1, 10_000, "random heads"),
    }
    for name, (value, low, high, what) in ranges.items():
        whole(name, value, low, high, f"These are {what}.")


def sweep(
    model: Model,
    heads: list[Head],
    sample: torch.Tensor,
    *,
    norm: NormChoice,
    embedding: EmbeddingChoice,
    k: int,
    n_pairs: int,
    n_directions: int,
    top: int,
    n_random: int,
    seed: int,
    progress: bool,
) -> dict[str, Any]:
    """The arrays of a `HeadVocabulary` that come from weights, by the names of its fields."""
    writing = Writing.to(model, norm)
    plain = word_vectors(model, norm)
    behind = plain
    if embedding == "first_block" and any(layer > 0 for layer, _ in heads):
        behind = word_vectors(model, norm, embedding, progress=progress)
    own = sample.to(plain.rows.device)
    rows: list[dict[str, Any]] = []
    with torch.no_grad():
        for layer, head in tqdm(heads, desc="heads", disable=not progress, leave=False):
            words = behind if layer else plain
            weights = HeadWeights.of(model, layer, head, norm)
            circuits = Singular.both(weights)
            found = DirectionWords.read(
                circuits, n_directions, k, words.projection(), writing.projection
            )
            ov = ov_factors(weights, words, writing)
            copied, suppressed = own_word_extremes(ov.left[own], ov.right, own, top)
            rows.append(
                {
                    "copying_scores": copying_score(ov),
                    "copied": copied.cpu().numpy(),
                    "suppressed": suppressed.cpu().numpy(),
                    "singular_values": np.stack([c.values.numpy() for c in circuits]),
                    "directions": found.directions,
                    "direction_ids": found.ids,
                    "direction_values": found.values,
                    **_pairs(ov, weights, words, n_pairs),
                }
            )
            del ov
        out = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
        out |= _chance(heads, out["singular_values"][:, 0], plain, behind, writing, own, n_random,
                       top, seed)  # fmt: skip
    return out


def _pairs(ov: Factors, weights: HeadWeights, words: WordVectors, n: int) -> dict[str, np.ndarray]:
    if n == 0:
        ids, values = np.empty((3, 0, 2), np.int32), np.empty((3, 0), np.float32)
        return {"pair_ids": ids, "pair_values": values, "pair_shares": np.full(2, np.nan)}
    promoted, suppressed = extreme_pairs(ov, n)
    attended, _ = extreme_pairs(qk_factors(weights, words), n, smallest=False)
    kinds: list[Pairs] = [promoted, suppressed, attended]
    return {
        "pair_ids": np.stack([pairs.ids for pairs in kinds]),
        "pair_values": np.stack([pairs.values for pairs in kinds]),
        "pair_shares": np.array([promoted.share, attended.share]),
    }


def _chance(
    heads: list[Head],
    spectra: np.ndarray,
    plain: WordVectors,
    behind: WordVectors,
    writing: Writing,
    sample: torch.Tensor,
    n_random: int,
    top: int,
    seed: int,
) -> dict[str, np.ndarray]:
    """The scores of random heads; those of layer 0 read other words where `behind` is not plain."""
    first = np.array([layer == 0 or behind is plain for layer, _ in heads])
    scores = np.empty((len(heads), n_random), np.float32)
    shares = np.empty((2, len(heads)), np.float32)
    for chosen, words in ((first, plain), (~first, behind)):
        if chosen.any():
            drawn = RandomHeads.draw(words, writing, sample, spectra.shape[1], n_random, seed)
            scores[chosen], shares[0, chosen], shares[1, chosen] = drawn.scores(
                spectra[chosen], top
            )
    return {
        "random_copying_scores": scores,
        "random_copying_shares": shares[0],
        "random_suppression_shares": shares[1],
    }
