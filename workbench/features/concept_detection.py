"""Concept detection: which feature tells a concept's words from all others, and how well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..activations import activations, answered, batches, check_texts
from ..concepts import ConceptTokens
from ..dictionary.base import Dictionary
from ..model import Model
from ..site import Site
from .evaluate import CODES_AT_ONCE

#: Up to so many numbers are kept in place of running the model again at the next pass.
KEPT = 2**26
#: Features a concept that are looked at closely; those that together tell it are among them.
N_CANDIDATES = 10
#: Thresholds between a feature's smallest and largest code that are tried.
N_STEPS = 200


# -- what stands at every position -----------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class VectorBatch:
    """Positions of some texts: at (n, d) by site, words (n,) with −1 for none, texts (n,)."""

    at: dict[Site, torch.Tensor]
    words: torch.Tensor
    texts: torch.Tensor

    def __len__(self) -> int:
        return len(self.words)

    def take(self, rows: torch.Tensor) -> VectorBatch:
        """Some of the positions, by number or by a mask."""
        at = {site: x[rows.to(x.device)] for site, x in self.at.items()}
        return VectorBatch(at, self.words[rows], self.texts[rows])


class Vectors:
    """The vectors of some sites over texts, batch by batch, as often as they are asked for.

    What is small is kept; else the model runs again at every pass, so that memory is bounded.
    n_texts: how many texts.
    """

    def __init__(
        self,
        model: Model,
        sites: Sequence[Site],
        texts: Any,
        tokens: ConceptTokens,
        *,
        batch_size: int = 16,
        title: str = "",
        progress: bool = False,
    ) -> None:
        self.n_texts = check_texts(texts)
        self._model, self._sites, self._texts = model, sorted(set(sites)), texts
        self._tokens, self._batch_size = tokens, batch_size
        self._title, self._progress = title, progress
        self._kept: list[VectorBatch] | None = None

    @classmethod
    def of(cls, batch: VectorBatch) -> Vectors:
        """Vectors that are there already."""
        self = cls.__new__(cls)
        self.n_texts = int(batch.texts.max()) + 1
        self._kept = [batch]
        return self

    def __iter__(self) -> Iterator[VectorBatch]:
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[VectorBatch] | None = []
        numbers = 0
        for batch in self._read():
            numbers += sum(x.numel() for x in batch.at.values())
            if numbers > KEPT:
                kept = None
            if kept is not None:
                kept.append(batch)
            yield batch
        self._kept = kept

    def _read(self) -> Iterator[VectorBatch]:
        for rows, tokens in batches(
            self._model, self._texts, self._batch_size, title=self._title, progress=self._progress
        ):
            with torch.no_grad():
                run = self._model.run(tokens, read=self._sites, stop_after=self._sites[-1])
            mask = tokens.mask
            text = torch.arange(rows.start, rows.stop)[:, None].expand(mask.shape)
            yield VectorBatch(
                {site: run[site][mask.to(run[site].device)] for site in self._sites},
                self._tokens.word_numbers(tokens.ids)[mask].cpu(),
                text[mask.cpu()],
            )


@dataclass(frozen=True, eq=False)
class WordMeans:
    """Sums of the vectors of a site by word, from which every concept's mean follows; float64.

    sums: (word, d). counts: (word,). total: (d,) and n over all positions. membership: (word,
    concept) bool. rivals: (concept, concept) bool, the others of each concept's family.
    """

    sums: torch.Tensor
    counts: torch.Tensor
    total: torch.Tensor
    n: int
    membership: torch.Tensor
    rivals: torch.Tensor

    @classmethod
    def of(
        cls, vectors: Vectors, site: Site, member: torch.Tensor, families: Sequence[str]
    ) -> WordMeans:
        """The sums over one pass; families: of each concept."""
        sums: Any = None
        counts = torch.zeros(len(member), dtype=torch.float64)
        total: Any = 0.0
        n = 0
        for batch in vectors:
            x = batch.at[site].double().cpu()
            if sums is None:
                sums = torch.zeros(len(member), x.shape[-1], dtype=torch.float64)
            there = batch.words >= 0
            sums.index_add_(0, batch.words[there], x[there])
            counts += torch.bincount(batch.words[there], minlength=len(member))
            total, n = total + x.sum(0), n + len(x)
        rivals = torch.tensor([[a == b and i != j for j, b in enumerate(families)]
                               for i, a in enumerate(families)])  # fmt: skip
        return cls(sums, counts, total, n, member, rivals)

    @property
    def found(self) -> torch.Tensor:
        """(concept,) how many positions are words of each concept."""
        return self.membership.double().T @ self.counts

    @property
    def of_concepts(self) -> torch.Tensor:
        """(concept, d) the mean over each concept's words; NaN where none is there."""
        return (self.membership.double().T @ self.sums) / self.found[:, None]

    @property
    def of_others(self) -> torch.Tensor:
        """(concept, d) the mean over all positions that are not a word of the concept."""
        rest = self.total - self.membership.double().T @ self.sums
        return rest / (self.n - self.found)[:, None]

    @property
    def of_rivals(self) -> torch.Tensor:
        """(concept, d) the mean over the words of the rest of its family, where it has one."""
        words = (self.rivals.double() @ self.membership.double().T) > 0
        counts = words.double() @ self.counts
        means = (words.double() @ self.sums) / counts[:, None]
        return torch.where(counts[:, None] > 0, means, self.of_others)


@dataclass(frozen=True, eq=False)
class AskedConcepts:
    """Concepts at the positions where a question is answered that they decide.

    A word's concept is needed there, and there it no longer stands as it did at the word. names,
    families: of each. vectors: the last positions of prompts about the fitting words of each
    concept that the model answers right; a batch's `words` are numbers among the names.
    """

    names: tuple[str, ...]
    families: tuple[str, ...]
    vectors: Vectors

    @property
    def membership(self) -> torch.Tensor:
        """(name, name): each is itself."""
        return torch.eye(len(self.names), dtype=torch.bool)

    def means(self, site: Site) -> WordMeans:
        """The mean at each concept's answers."""
        return WordMeans.of(self.vectors, site, self.membership, self.families)


def asked_concepts(
    model: Model, tokens: ConceptTokens, sites: Sequence[Site]
) -> AskedConcepts | None:
    """The concepts that decide answers; None where there are no such questions.

    A concept of which no prompt is answered right is left out, and so is a family with only one
    left. Raises `ValueError` for an answer that is several tokens.
    """
    cases = answered(model, tokens)
    if not cases:
        return None
    concepts = [tokens.concepts[name] for name, _ in cases]
    names = tuple(c.name for c in tokens.concepts.concepts if c in concepts)
    found = activations(model, [prompt for _, prompt in cases], sorted(set(sites)))
    batch = VectorBatch(
        {site: torch.as_tensor(found[site].copy()) for site in sites},
        torch.tensor([names.index(c.name) for c in concepts]),
        torch.arange(len(cases)),
    )
    families = tuple(tokens.concepts[name].family for name in names)
    return AskedConcepts(names, families, Vectors.of(batch))


def word_means(vectors: Vectors, site: Site, tokens: ConceptTokens) -> WordMeans:
    """The mean at each concept's words."""
    families = [concept.family for concept in tokens.concepts.concepts]
    return WordMeans.of(vectors, site, tokens.membership, families)


# -- which features tell it ------------------------------------------------------------------------


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
