"""Head circuits: OV and QK as thin matrices, words on the one side and d_head on the other.

A circuit is a vocabulary × vocabulary matrix of rank d_head. It is held as its two factors, and
whatever is asked of it is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..model import Model, ModelSpec
from ..site import Site
from .projection import (
    EmbeddingChoice,
    NormChoice,
    Projection,
    ReadingProjection,
    before,
    behind,
    n_words,
    read_words,
    token_embeddings,
    word_streams,
    writing_projection,
)

Head = tuple[int, int]

#: Words of a product in single precision.
ROWS = 8192
_HEAD = re.compile(r"L(\d+)H(\d+)(?:\.z)?")


@dataclass(frozen=True, eq=False)
class WordVectors:
    """What a head finds in the residual stream for each word, one word at a time.

    rows: (word, d_model). scale: (word,) by which a row is multiplied to have the size that a norm
    gives it, None where it is read as it is.
    """

    rows: torch.Tensor
    scale: torch.Tensor | None

    def read_by(self, directions: torch.Tensor) -> torch.Tensor:
        """(word, n) float32: what directions (n, d_model) read of each word.

        Directions that a norm's centring is folded into read centred words as they are.
        """
        matrix = directions.to(self.rows.device, torch.float32).T
        read = torch.cat([some.float() @ matrix for some in self.rows.split(ROWS)])
        return read if self.scale is None else read.mul_(self.scale[:, None])

    def projection(self) -> Projection:
        """Directions as a number for every word, at their own size."""
        return ReadingProjection(self.rows.T, None, column_scale=self.scale)


def word_vectors(
    model: Model,
    norm: NormChoice,
    embedding: EmbeddingChoice = "weights",
    *,
    progress: bool = False,
) -> WordVectors:
    """The words as they are embedded, or as block 0 leaves them when they stand alone.

    norm: "folded" gives each word the size that the norm before attention gives it. A model without
    such a norm (OLMo 2) reads words as they are.
    """
    rows = (
        token_embeddings(model)[: n_words(model)]
        if embedding == "weights"
        else torch.cat(list(word_streams(model, embedding, progress=progress)))
    )
    before = model.norm("ln1", 0)
    if norm == "none" or before is None:
        return WordVectors(rows, None)
    sizes = torch.cat(
        [before.center(some.float()).pow(2).mean(-1).sqrt() for some in rows.split(ROWS)]
    )
    return WordVectors(rows, 1 / sizes.where(sizes > 0, 1))


@dataclass(frozen=True, eq=False)
class HeadWeights:
    """The four matrices of a head, (d_head, d_model) each, with the norms beside them folded in.

    query, key and value read the residual stream; output is what each dimension of z adds to it.
    """

    query: torch.Tensor
    key: torch.Tensor
    value: torch.Tensor
    output: torch.Tensor

    @classmethod
    def of(cls, model: Model, layer: int, head: int, norm: NormChoice) -> HeadWeights:
        return cls(
            head_reading(model, layer, head, "Q", norm).float(),
            head_reading(model, layer, head, "K", norm).float(),
            head_reading(model, layer, head, "V", norm).float(),
            head_writing(model, layer, head, norm).float(),
        )


@dataclass(frozen=True, eq=False)
class Factors:
    """A circuit over words as left @ right.T, float32. left: (word, d); right: (word, d)."""

    left: torch.Tensor
    right: torch.Tensor

    @property
    def trace_matrix(self) -> torch.Tensor:
        """(d, d): it has the circuit's eigenvalues, but for zeros."""
        return self.right.T @ self.left


def ov_factors(weights: HeadWeights, words: WordVectors, written: Writing) -> Factors:
    """Source word → promoted word: what a head that looks at the one adds to the other's logit."""
    return Factors(words.read_by(weights.value), written.of(weights.output))


def qk_factors(weights: HeadWeights, words: WordVectors) -> Factors:
    """Query word → key word: the attention score q·k / √d_head."""
    scaled = weights.query / weights.query.shape[0] ** 0.5
    return Factors(words.read_by(scaled), words.read_by(weights.key))


@dataclass(frozen=True, eq=False)
class Writing:
    """Directions as what they add to every word's logit, at their own size."""

    projection: Projection

    @classmethod
    def to(cls, model: Model, norm: NormChoice) -> Writing:
        return cls(writing_projection(model, norm))

    def of(self, directions: torch.Tensor) -> torch.Tensor:
        """(word, n) float32 for directions (n, d_model); the final norm's division is left out."""
        norm, matrix = self.projection.norm, self.projection.matrix
        rows = directions.to(matrix.device, torch.float32)
        if norm is not None:
            rows = norm.center(rows) * norm.weight.float()
        rows = rows.T * self.projection.scale
        return torch.cat([some.T.float() @ rows for some in matrix.split(ROWS, 1)])


def head_name(layer: int, head: int) -> str:
    return f"L{layer}H{head}"


def parse_heads(spec: ModelSpec, heads: str | Site | Sequence[str | Site] | None) -> list[Head]:
    """Heads as (layer, head), in the order of a pass; None gives every head of the model.

    Raises `ValueError` for a name that is no head's, for a head that the model does not have, and
    for one given twice.
    """
    spec.check_sums("heads")
    if heads is None:
        return [(layer, head) for layer in spec.layers("z") for head in range(spec.n_heads)]
    names = [heads] if isinstance(heads, (str, Site)) else list(heads)
    chosen = [_parse_head(spec, name) for name in names]
    if not chosen:
        raise ValueError("At least one head is read; got none. Leave heads out to read them all.")
    if len(set(chosen)) < len(chosen):
        twice = next(head for head in chosen if chosen.count(head) > 1)
        raise ValueError(f"Each head is read once; {head_name(*twice)} stands twice.")
    return sorted(chosen)


def _parse_head(spec: ModelSpec, name: str | Site) -> Head:
    match = _HEAD.fullmatch(str(name))
    if match is None:
        raise ValueError(f"A head is written 'L3H1' or 'L3H1.z'; got {name!r}.")
    layer, head = int(match[1]), int(match[2])
    if layer >= spec.n_layers or head >= spec.n_heads:
        raise ValueError(
            f"{spec.name} has layers 0 to {spec.n_layers - 1} with heads 0 to {spec.n_heads - 1}; "
            f"got {head_name(layer, head)}."
        )
    return layer, head


def head_reading(
    model: Model, layer: int, head: int, name: Literal["Q", "K", "V"], norm: NormChoice = "folded"
) -> torch.Tensor:
    """(d_head, d_model): the directions that a head's query, key or value reads.

    head: a query head; under grouped queries its key and value are those of its group. "folded" as
    for `neuron_reading`, with the norm before attention.
    """
    spec = model.spec
    at = head if name == "Q" else head // (spec.n_heads // spec.n_kv_heads)
    read = model.weight(f"W_{name}", layer, at, copy=False).T
    return before(model.norm("ln1", layer), read) if norm == "folded" else read


def head_writing(model: Model, layer: int, head: int, norm: NormChoice = "folded") -> torch.Tensor:
    """(d_head, d_model): what each dimension of a head's z adds; post-norm as `neuron_writing`."""
    written = model.weight("W_O", layer, head, copy=False) * model.spec.residual_multiplier
    return behind(model.norm("ln1_post", layer), written) if norm == "folded" else written


# -- pairs ---------------------------------------------------------------------------------------


#: What the pairs of a `HeadVocabulary` are: the largest of OV, its smallest, the largest of QK.
KINDS = ("promoted", "suppressed", "attended")
#: Rows and columns of a tile: 4 MiB of products, which a cache still holds at the second look.
TILE_ROWS, TILE_COLUMNS = 512, 2048
#: Single precision may put a product above the bound by this share of it.
SLACK = 1 + 1e-5


@dataclass(frozen=True, eq=False)
class Pairs:
    """Word pairs (pair, 2) and their numbers (pair,), best first; share: of the product computed.

    ids: row word and column word. The best are the largest numbers, or the smallest.
    """

    ids: np.ndarray
    values: np.ndarray
    share: float


def extreme_pairs(factors: Factors, n: int, *, smallest: bool = True) -> tuple[Pairs, Pairs]:
    """The n pairs with the largest numbers of left @ right.T, and the n with the smallest.

    smallest: False leaves the second empty, and skips more. Equal numbers are in the order of
    their words. At most rows × columns pairs come back.
    """
    with torch.no_grad():
        left, right = balanced(factors)
        left, rows, row_norms = _by_norm(left)
        right, columns, column_norms = _by_norm(right)
        high, low = _Best(n, left.device), _Best(n if smallest else 0, left.device)
        tops = [float(some[0]) for some in row_norms.split(TILE_ROWS)]
        sides = [float(some[0]) for some in column_norms.split(TILE_COLUMNS)]
        computed = 0
        for top, some in zip(tops, _slices(len(left), TILE_ROWS), strict=True):
            for side, other in zip(sides, _slices(len(right), TILE_COLUMNS), strict=True):
                # Norms only fall from here on, along the columns and, for the first, the rows.
                bound = top * side * SLACK
                if not (high.can_grow(bound) or low.can_grow(bound)):
                    break
                values = left[some] @ right[other].T
                computed += values.numel()
                least, most = (float(x) for x in values.aminmax())
                if high.can_grow(most):
                    high.add(values, rows[some], columns[other])
                if low.can_grow(-least):
                    low.add(values.neg_(), rows[some], columns[other])
    share = computed / max(1, len(left) * len(right))
    return high.pairs(share), low.pairs(share, -1)


def balanced(factors: Factors) -> tuple[torch.Tensor, torch.Tensor]:
    """The same product from factors whose rows are as short as they can be.

    Both become the singular vectors of the product times the roots of its singular values, which
    makes the bound by norms as tight as a linear change of both factors can. Left as they are where
    the product is 0.
    """
    left, right = factors.left, factors.right
    grams = [(part.double().T @ part.double()).cpu() for part in (left, right)]
    roots = [_root(gram) for gram in grams]
    # left = Q_l R_l and right = Q_r R_r with orthonormal Q; only the small R are decomposed.
    u, s, vh = torch.linalg.svd(roots[0] @ roots[1].T)
    keep = s > 1e-6 * float(s[:1].sum())
    if not bool(keep.any()):
        return left, right
    size = s[keep].sqrt()
    onto_left = torch.linalg.pinv(roots[0]) @ (u[:, keep] * size)
    onto_right = torch.linalg.pinv(roots[1]) @ (vh[keep].T * size)
    return left @ onto_left.to(left), right @ onto_right.to(right)


def _root(gram: torch.Tensor) -> torch.Tensor:
    """R with Rᵀ R = gram."""
    values, vectors = torch.linalg.eigh(gram)
    return values.clamp(min=0).sqrt()[:, None] * vectors.T


def _by_norm(rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rows in falling order of their norms, their numbers, and the norms."""
    norms = rows.norm(dim=-1)
    order = norms.argsort(descending=True, stable=True)
    return rows[order], order, norms[order]


def _slices(n: int, size: int) -> list[slice]:
    return [slice(start, min(n, start + size)) for start in range(0, n, size)]


class _Best:
    """The n largest numbers seen so far, with their row and column words."""

    def __init__(self, n: int, device: torch.device) -> None:
        self._n = n
        self._values = torch.empty(0, device=device)
        self._ids = torch.empty(0, 2, dtype=torch.long, device=device)
        self._least = float("-inf") if n else float("inf")

    def can_grow(self, bound: float) -> bool:
        return bound > self._least

    def add(self, values: torch.Tensor, rows: torch.Tensor, columns: torch.Tensor) -> None:
        best = values.flatten().topk(min(self._n, values.numel()))
        at = best.indices
        width = values.shape[1]
        ids = torch.stack([rows[at // width], columns[at % width]], -1)
        self._values = torch.cat([self._values, best.values])
        self._ids = torch.cat([self._ids, ids])
        order = self._values.argsort(descending=True, stable=True)[: self._n]
        self._values, self._ids = self._values[order], self._ids[order]
        if len(self._values) == self._n:
            self._least = float(self._values[-1])

    def pairs(self, share: float, sign: int = 1) -> Pairs:
        ids, values = self._ids.cpu().numpy(), self._values.cpu().numpy()
        order = np.lexsort((ids[:, 1], ids[:, 0], -values))
        return Pairs(ids[order].astype(np.int32), sign * values[order], share)


# -- singular directions -------------------------------------------------------------------------


CIRCUITS = ("OV", "QK")
SIGNS = ("+", "-")
SIDES = {"OV": ("reads", "writes"), "QK": ("query", "key")}


@dataclass(frozen=True, eq=False)
class Singular:
    """A map of rank d_head in the residual stream, taken apart: float64 on the CPU.

    values: (d_head,), largest first. first, second: (d_head, d_model) of unit length; for OV what
    is read and what is written for it, for QK the query and the key. The largest number of a second
    one is positive, which settles the sign that the two share.
    """

    values: torch.Tensor
    first: torch.Tensor
    second: torch.Tensor

    @classmethod
    def of(cls, first: torch.Tensor, second: torch.Tensor) -> Singular:
        """Of firstᵀ second, both (d_head, d_model)."""
        # QR keeps the decomposition at d_head × d_head.
        q_first, r_first = torch.linalg.qr(first.detach().double().cpu().T)
        q_second, r_second = torch.linalg.qr(second.detach().double().cpu().T)
        u, values, vh = torch.linalg.svd(r_first @ r_second.T)
        rows_first, rows_second = (q_first @ u).T, (q_second @ vh.T).T
        largest = rows_second.abs().argmax(-1, keepdim=True)
        sign = rows_second.gather(-1, largest).sign()
        return cls(values, rows_first * sign, rows_second * sign)

    @classmethod
    def both(cls, weights: HeadWeights) -> tuple[Singular, Singular]:
        """Of a head's OV and QK; the scores of QK are divided by √d_head."""
        scaled = weights.query / weights.query.shape[0] ** 0.5
        return cls.of(weights.value, weights.output), cls.of(scaled, weights.key)


@dataclass(frozen=True, eq=False)
class DirectionWords:
    """The directions of both circuits and their words.

    directions: (circuit, direction, side, d_model). ids, values: (circuit, direction, sign, side,
    k); values are those of the direction with its sign.
    """

    directions: np.ndarray
    ids: np.ndarray
    values: np.ndarray

    @classmethod
    def read(
        cls,
        circuits: tuple[Singular, Singular],
        n: int,
        k: int,
        reading: Projection,
        writing: Projection,
    ) -> DirectionWords:
        """The n largest directions of each circuit."""
        like = reading.matrix
        pairs = [torch.stack([s.first[:n], s.second[:n]], 1) for s in circuits]
        directions = torch.stack(pairs).to(like)
        d_model = directions.shape[-1]
        written = directions[0, :, 1]
        read = torch.cat([directions[0, :, 0], directions[1].reshape(-1, d_model)])
        both = [
            read_words(projection, some.contiguous(), k=k, bottom=True, measures=())
            for projection, some in ((reading, read), (writing, written))
        ]
        shape = (len(CIRCUITS), directions.shape[1], len(SIGNS), 2, k)
        ids, values = np.empty(shape, np.int32), np.empty(shape, np.float32)
        for sign, end in enumerate(("top", "bottom")):
            for out, name in ((ids, "ids"), (values, "values")):
                numbers = [getattr(words, f"{end}_{name}") for words in both]
                out[0, :, sign, 0] = numbers[0][:n]
                out[0, :, sign, 1] = numbers[1]
                out[1, :, sign] = numbers[0][n:].reshape(-1, 2, k)
        values[:, :, 1] *= -1
        return cls(torch.stack(pairs).float().numpy(), ids, values)
