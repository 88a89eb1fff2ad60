"""Concept detection: which feature tells a concept's words from all others, and how well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..dictionary.base import Dictionary
from ..methods.features.splices import CODES_AT_ONCE
from .concept_vectors import VectorBatch, Vectors

#: Features a concept that are looked at closely; those that together tell it are among them.
N_CANDIDATES = 10
#: Thresholds between a feature's smallest and largest code that are tried.
N_STEPS = 200


@dataclass(frozen=True, eq=False)
class Candidates:
    """The features that may stand for each concept, best first, and the thresholds they fire at.

    features, signs, thresholds, f1: (concept, candidate); sign −1 where the negative of a signed
    code tells the concept. F1 on the texts that chose them. n_split: (concept,) how many of them
    the concept takes. order: (concept, candidate) those in the order in which they are added.
    means: (concept, feature) mean code on each concept's words.
    """

    features: np.ndarray
    signs: np.ndarray
    thresholds: np.ndarray
    f1: np.ndarray
    n_split: np.ndarray
    order: np.ndarray
    means: np.ndarray

    def split(self, concept: int) -> np.ndarray:
        """The features that the concept takes together, the best one first."""
        return self.features[concept, self.order[concept, : self.n_split[concept]]]

    def fired(self, codes: torch.Tensor) -> torch.Tensor:
        """(n, feature) codes → (n, concept, candidate) bool: above its threshold."""
        shape = self.features.shape
        chosen = torch.as_tensor(self.features.reshape(-1), device=codes.device)
        signs = torch.as_tensor(self.signs, device=codes.device, dtype=codes.dtype)
        threshold = torch.as_tensor(self.thresholds, device=codes.device, dtype=codes.dtype)
        return signs * codes[:, chosen].unflatten(-1, shape) > threshold


def find_candidates(
    dictionary: Dictionary, vectors: Vectors, membership: torch.Tensor, split_gain: float
) -> Candidates:
    """The features that tell each concept's words best on these texts.

    A feature is looked at closely if it is among the ten with the largest F1 of firing at all (not
    for signed codes) or the largest correlation of its code with the concept. Its threshold is the
    one of 200 steps between its smallest and largest code that gives the best F1. A concept takes
    another feature, and counts as split, while "any of them fires" gains more than `split_gain`.
    """
    sums = _Sums.over(dictionary, vectors, membership)
    features, signs = sums.candidates(dictionary.encoder.signed)
    low, high = sums.range(features, signs)
    histogram = _histogram(dictionary, vectors, membership, features, signs, low, high)
    # above[..., t]: how many codes lie above step t.
    above = histogram.flip(-1).cumsum(-1).flip(-1) - histogram
    hit, false = above[:, :, 1], above[:, :, 0]
    f1 = 2 * hit / (sums.found[:, None, None] + hit + false).clamp(min=1)
    best, step = f1.max(-1)
    order = best.argsort(dim=-1, descending=True, stable=True)
    thresholds = (low + (high - low) * step / N_STEPS).gather(-1, order)
    made = Candidates(
        features.gather(-1, order).numpy(),
        signs.gather(-1, order).numpy(),
        thresholds.numpy().astype(np.float32),
        best.gather(-1, order).numpy(),
        np.ones(len(best), np.int64),
        np.tile(np.arange(best.shape[1]), (len(best), 1)),
        (sums.inside / sums.found[:, None]).numpy(),
    )
    patterns = _patterns(made, dictionary, vectors, membership)
    chosen = [_greedy(both, split_gain) for both in patterns]
    rest = made.order[0]
    return Candidates(
        **vars(made)
        | {
            "n_split": np.array([len(c) for c in chosen]),
            "order": np.array([[*c, *(i for i in rest if i not in c)] for c in chosen]),
        }
    )


@dataclass(frozen=True, eq=False)
class Counts:
    """How candidates do on texts: hits and false alarms of the best feature, (concept, text), and
    positions of each concept (concept, text); split_f1 (concept,) that of all that it takes.
    """

    hits: np.ndarray
    false: np.ndarray
    found: np.ndarray
    split_f1: np.ndarray


def count_hits(
    candidates: Candidates, dictionary: Dictionary, vectors: Vectors, membership: torch.Tensor
) -> Counts:
    """The counts on texts that chose nothing."""
    shape = (membership.shape[1], vectors.n_texts)
    hits, false, found = (torch.zeros(shape, dtype=torch.float64) for _ in range(3))
    n_patterns = 2 ** candidates.features.shape[1]
    patterns = torch.zeros(shape[0], 2, n_patterns, dtype=torch.int64)
    for batch, codes in encoded(dictionary, vectors):
        fired = candidates.fired(codes).cpu()
        labels = labels_of(batch, membership)
        best = fired[:, :, 0]
        for counts, those in ((hits, best & labels), (false, best & ~labels), (found, labels)):
            counts.index_add_(1, batch.texts, those.double().T)
        _add_patterns(patterns, fired, labels)
    split = []
    for concept, both in enumerate(patterns.numpy()):
        taken = candidates.order[concept, : candidates.n_split[concept]]
        split.append(_f1_of_any(both, taken))
    return Counts(hits.numpy(), false.numpy(), found.numpy(), np.array(split))


def labels_of(batch: VectorBatch, membership: torch.Tensor) -> torch.Tensor:
    """(n, concept) bool: the concepts of the word at each position."""
    return membership[batch.words.clamp(min=0)] & (batch.words >= 0)[:, None]


def encoded(
    dictionary: Dictionary, vectors: Vectors, *, words_only: bool = False
) -> Iterator[tuple[VectorBatch, torch.Tensor]]:
    """Positions and their codes (n, feature), a bounded number at a time."""
    size = max(1, CODES_AT_ONCE // dictionary.n_features)
    for batch in vectors:
        rows = torch.arange(len(batch))
        if words_only:
            rows = rows[batch.words >= 0]
        for part in rows.split(size):
            if len(part):
                own = batch.take(part)
                with torch.no_grad():
                    yield own, dictionary.encode(own.at[dictionary.site])


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over positions of each feature's codes, and over each concept's words.

    n: positions. found: (concept,). total, squares, low, high, active: (feature,). inside,
    active_inside: (concept, feature). Float64 on the CPU.
    """

    n: int
    found: torch.Tensor
    total: torch.Tensor
    squares: torch.Tensor
    low: torch.Tensor
    high: torch.Tensor
    active: torch.Tensor
    inside: torch.Tensor
    active_inside: torch.Tensor

    @classmethod
    def over(cls, dictionary: Dictionary, vectors: Vectors, membership: torch.Tensor) -> _Sums:
        sums: dict[str, Any] = {}
        n = 0
        low = torch.full((dictionary.n_features,), torch.inf, dtype=torch.float64)
        high = -low
        for batch, codes in encoded(dictionary, vectors):
            n += len(batch)
            on = codes > 0
            labels = labels_of(batch, membership).to(codes)
            there = (batch.words >= 0).to(codes.device)
            own = labels[there].T
            for key, value in (
                ("total", codes.sum(0, dtype=torch.float64)),
                ("squares", codes.double().pow(2).sum(0)),
                ("active", on.sum(0)),
                ("found", labels.sum(0)),
                ("inside", own @ codes[there]),
                ("active_inside", own @ on[there].to(codes)),
            ):
                sums[key] = sums.get(key, 0.0) + value.double().cpu()
            low = torch.minimum(low, codes.amin(0).double().cpu())
            high = torch.maximum(high, codes.amax(0).double().cpu())
        return cls(n=n, low=low, high=high, **sums)

    def candidates(self, signed: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """(concept, candidate) feature numbers, and the sign with which each is read."""
        outside = (self.total - self.inside) / (self.n - self.found)[:, None].clamp(min=1)
        spread = (self.squares / self.n - (self.total / self.n).pow(2)).clamp(min=1e-24).sqrt()
        apart = (self.inside / self.found[:, None].clamp(min=1) - outside) / spread
        by_size = apart.abs() if signed else apart
        wanted = min(N_CANDIDATES, apart.shape[1])
        tables = [by_size]
        if not signed:
            at_all = 2 * self.active_inside / (self.found[:, None] + self.active).clamp(min=1)
            tables.append(at_all)
        ranked = [
            t.argsort(dim=-1, descending=True, stable=True)[:, :wanted].tolist() for t in tables
        ]
        rows = []
        for lists in zip(*ranked, strict=True):
            # The best of each table in turn, each feature once.
            mixed = dict.fromkeys(f for several in zip(*lists, strict=True) for f in several)
            rows.append(list(mixed)[:wanted])
        features = torch.tensor(rows)
        signs = torch.ones(features.shape, dtype=torch.float64)
        if signed:
            signs = torch.where(apart.gather(-1, features) < 0, -signs, signs)
        return features, signs

    def range(
        self, features: torch.Tensor, signs: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(concept, candidate) the smallest and the largest code, as the sign reads them."""
        ends = torch.stack([signs * self.low[features], signs * self.high[features]])
        return ends.amin(0), ends.amax(0)


def _histogram(
    dictionary: Dictionary,
    vectors: Vectors,
    membership: torch.Tensor,
    features: torch.Tensor,
    signs: torch.Tensor,
    low: torch.Tensor,
    high: torch.Tensor,
) -> torch.Tensor:
    """(concept, candidate, label, step + 1) counts: step 0 holds what is not above the smallest."""
    shape = (*features.shape, 2, N_STEPS + 1)
    counts = torch.zeros(shape, dtype=torch.int64).reshape(-1)
    place = torch.arange(features.numel()).reshape(features.shape) * 2 * (N_STEPS + 1)
    width = ((high - low) / N_STEPS).clamp(min=1e-12)
    for batch, codes in encoded(dictionary, vectors):
        own = codes[:, features.reshape(-1).to(codes.device)].double().cpu()
        own = own.unflatten(-1, features.shape)
        step = ((signs * own - low) / width).ceil().clamp(0, N_STEPS).long()
        label = labels_of(batch, membership).long()[..., None]
        index = (place + label * (N_STEPS + 1) + step).reshape(-1)
        counts += torch.bincount(index, minlength=len(counts))
    return counts.reshape(shape)


def _patterns(
    candidates: Candidates, dictionary: Dictionary, vectors: Vectors, membership: torch.Tensor
) -> np.ndarray:
    """(concept, label, pattern) counts of which candidates fire together, as bits."""
    n_concepts, n = candidates.features.shape
    patterns = torch.zeros(n_concepts, 2, 2**n, dtype=torch.int64)
    for batch, codes in encoded(dictionary, vectors):
        _add_patterns(patterns, candidates.fired(codes).cpu(), labels_of(batch, membership))
    return patterns.numpy()


def _add_patterns(patterns: torch.Tensor, fired: torch.Tensor, labels: torch.Tensor) -> None:
    n_concepts, _, n_patterns = patterns.shape
    bits = 2 ** torch.arange(fired.shape[-1])
    number = (fired.long() * bits).sum(-1)
    place = (torch.arange(n_concepts) * 2 + labels.long()) * n_patterns + number
    counts = torch.bincount(place.reshape(-1), minlength=patterns.numel())
    patterns += counts.reshape(patterns.shape)


def _f1_of_any(both: np.ndarray, features: Any) -> float:
    """F1 of "any of these candidates fires", from pattern counts (label, pattern)."""
    mask = sum(1 << int(f) for f in features)
    fires = (np.arange(both.shape[1]) & mask) > 0
    hit, false = both[1, fires].sum(), both[0, fires].sum()
    found = both[1].sum()
    return float(2 * hit / (found + hit + false)) if found + hit + false else 0.0


def _greedy(both: np.ndarray, gain: float) -> list[int]:
    """The candidates that are taken one after the other, while each gains more than `gain`."""
    n = both.shape[1].bit_length() - 1
    taken = [0]
    score = _f1_of_any(both, taken)
    while len(taken) < n:
        left = [i for i in range(n) if i not in taken]
        scores = [_f1_of_any(both, [*taken, i]) for i in left]
        if max(scores) - score <= gain:
            break
        taken.append(left[int(np.argmax(scores))])
        score = max(scores)
    return taken
