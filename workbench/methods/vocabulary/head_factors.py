"""Head factors: OV and QK circuits as thin matrices, words on the one side and d_head on the other.

A circuit is a vocabulary × vocabulary matrix of rank d_head. It is held as its two factors, and
whatever is asked of it is computed from them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from tqdm.auto import tqdm

from ...model import Model, ModelSpec
from ...site import Site
from .projection import NormChoice, Projection, n_words, token_embeddings, writing_projection
from .weight_directions import head_reading, head_writing

EmbeddingChoice = Literal["weights", "first_block"]
EMBEDDINGS: tuple[EmbeddingChoice, ...] = ("weights", "first_block")
Head = tuple[int, int]

#: Words of a product in single precision, and of a batch of one-token passes.
ROWS, PASSES = 8192, 512
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
        return _AsItIs(self.rows.T, None, column_scale=self.scale)


class _AsItIs(Projection):
    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        return directions


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
        else after_first_block(model, progress=progress)
    )
    before = model.norm("ln1", 0)
    if norm == "none" or before is None:
        return WordVectors(rows, None)
    sizes = torch.cat(
        [before.center(some.float()).pow(2).mean(-1).sqrt() for some in rows.split(ROWS)]
    )
    return WordVectors(rows, 1 / sizes.where(sizes > 0, 1))


def after_first_block(model: Model, *, progress: bool = False) -> torch.Tensor:
    """(word, d_model): the residual stream behind block 0, for each word as a prompt of its own."""
    site, rows = Site("resid_post", 0), []
    words = [[i] for i in range(n_words(model))]
    with torch.no_grad(), tqdm(total=len(words), disable=not progress, leave=False) as bar:
        for start in range(0, len(words), PASSES):
            some = model.tokens(words[start : start + PASSES])
            run = model.run(some, read=site, logits_at=(), stop_after=site)
            rows.append(run[site][:, 0].clone())
            bar.update(some.n_rows)
    return torch.cat(rows)


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


def check_embedding(embedding: str) -> None:
    """Raises `ValueError` for another choice than those of `EMBEDDINGS`."""
    if embedding not in EMBEDDINGS:
        raise ValueError(
            f"Words are read as {' or '.join(map(repr, EMBEDDINGS))}; got embedding={embedding!r}."
        )


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
