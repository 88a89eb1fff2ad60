"""Projection: directions of the residual stream as a number for every token of the vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ...model import Model, Norm

NormChoice = Literal["folded", "none"]
NORMS: tuple[NormChoice, ...] = ("folded", "none")


@dataclass(frozen=True, eq=False)
class Projection:
    """Directions (…, d_model) → (…, d_vocab), the tokens that the tokenizer knows.

    Every direction counts at the size that a final norm would give it (a root mean square of 1), so
    that directions of any length compare; `sizes` says what it was divided by. matrix: (d_model,
    d_vocab). norm: whose centring and weight a direction passes first, None for neither; its bias
    belongs to no direction and is left out. column_scale: (d_vocab,) what the columns are
    multiplied by afterwards, None for 1.
    """

    matrix: torch.Tensor
    norm: Norm | None
    scale: float = 1.0
    column_scale: torch.Tensor | None = None

    @property
    def d_vocab(self) -> int:
        return self.matrix.shape[1]

    def sizes(self, directions: torch.Tensor) -> torch.Tensor:
        """(…, 1): the root mean square of each direction, centred where the norm centres."""
        centred = directions if self.norm is None else self.norm.center(directions)
        return centred.float().pow(2).mean(-1, keepdim=True).sqrt()

    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        """(…, d_model): what is multiplied with `matrix`. A direction of zeros stays one."""
        sizes = self.sizes(directions).to(directions.dtype)
        unit = directions / sizes.where(sizes > 0, 1)
        return unit if self.norm is None else self.norm.center(unit) * self.norm.weight

    def of_prepared(self, prepared: torch.Tensor) -> torch.Tensor:
        """(…, d_vocab) float32 of what `prepare` gave."""
        return self.scaled((prepared @ self.matrix).float())

    def scaled(self, products: torch.Tensor) -> torch.Tensor:
        """The float32 products of prepared directions and `matrix`, scaled in place."""
        if self.scale != 1:
            products *= self.scale
        return products if self.column_scale is None else products.mul_(self.column_scale)

    def __call__(self, directions: torch.Tensor) -> torch.Tensor:
        return self.of_prepared(self.prepare(directions))


def writing_projection(model: Model, norm: NormChoice = "folded") -> Projection:
    """For what is written into the residual stream: the read-out of the logit lens, less biases.

    A number is the logit that a direction has when it is all there is in the residual stream.
    norm: "folded" passes directions through the final norm's centring and weight, "none" leaves
    both out.
    """
    check_norm(norm)
    folded = model.norm("ln_final") if norm == "folded" else None
    return Projection(
        model.weight("W_U", copy=False)[:, : n_words(model)], folded, model.spec.logit_scale
    )


def reading_projection(model: Model, norm: NormChoice = "folded") -> Projection:
    """For what is read from the residual stream: a number is what a token's embedding gives.

    Directions are as `weight_directions` gives them, with the reader's norm folded in or not.
    A token's embedding is taken as all there is in the residual stream: at the size that the
    reader's norm gives it ("folded"), or as it is stored ("none"). Directions are not resized: the
    numbers are a neuron's pre-activation less its bias, in its own units.
    """
    check_norm(norm)
    embedding = token_embeddings(model)[: n_words(model)]
    scale = None
    if norm == "folded":
        first = model.norm("ln1", 0) or model.norm("ln2", 0)
        sizes = _row_sizes(embedding, first is not None and first.centers)
        scale = 1 / sizes.where(sizes > 0, 1)
    return ReadingProjection(embedding.T, None, column_scale=scale)


def _row_sizes(rows: torch.Tensor, centers: bool) -> torch.Tensor:
    """(n,) root mean squares of rows, in float32 at least, without a copy of all of them."""
    dtype = torch.promote_types(rows.dtype, torch.float32)
    square = torch.linalg.vector_norm(rows, dim=1, dtype=dtype).pow(2) / rows.shape[1]
    if centers:
        square = square - rows.mean(1, dtype=dtype).pow(2)
    return square.clamp(min=0).sqrt()


class ReadingProjection(Projection):
    """A projection that leaves directions at their own size."""

    def prepare(self, directions: torch.Tensor) -> torch.Tensor:
        return directions


def n_words(model: Model) -> int:
    """How many tokens have a name: a vocabulary may be padded beyond what its tokenizer knows."""
    return min(model.spec.d_vocab, len(model.tokenizer))  # pyright: ignore[reportArgumentType]


def token_embeddings(model: Model) -> torch.Tensor:
    """(d_vocab, d_model): W_E, as the model stores it.

    Raises `ValueError` where embeddings have another width than the residual stream.
    """
    embedding = model.weight("W_E", copy=False)
    if embedding.shape[1] != model.spec.d_model:
        raise ValueError(
            f"Weights are read in the embedding where it has the residual stream's width; "
            f"{model.spec.name} embeds tokens in {embedding.shape[1]} and computes in "
            f"{model.spec.d_model}. Read only what is written instead (sides='out', details=False)."
        )
    return embedding


def check_norm(norm: str) -> None:
    """Raises `ValueError` for another choice than "folded" and "none"."""
    if norm not in NORMS:
        raise ValueError(
            f"The norm's weight is {' or '.join(map(repr, NORMS))}; got norm={norm!r}."
        )
