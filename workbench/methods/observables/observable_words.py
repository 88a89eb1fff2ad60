"""What a token alone puts into the residual stream that a vector reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch

from ...model import Model, Norm
from ...site import Site
from ...vocabulary.projection import token_embeddings
from .observable_gradient import POINTS

#: A token as the model stores its embedding, or as it leaves the first block when it stands alone.
Embedding = Literal["token", "block 0"]
EMBEDDINGS: tuple[Embedding, ...] = ("token", "block 0")


def choose_embedding(site: Site, embedding: Embedding | None) -> Embedding:
    """The given one; by default the stored one where block 0 reads, else what leaves block 0.

    Later blocks read tokens as block 0, above all its MLP, has rewritten them. Raises `ValueError`
    for another name.
    """
    if embedding is None:
        return "token" if site.layer == 0 and site.stream != "resid_post" else "block 0"
    if embedding not in EMBEDDINGS:
        raise ValueError(
            f"A token's embedding is {' or '.join(map(repr, EMBEDDINGS))}, or None to choose by "
            f"the site; got {embedding!r}."
        )
    return embedding


def n_tokens(model: Model) -> int:
    """How many tokens there are to name: a vocabulary padded to a round number has fewer."""
    return min(len(model.tokenizer), model.spec.d_vocab)


def token_streams(
    model: Model, embedding: Embedding, norm: Norm | None, ids: Sequence[int]
) -> Iterator[torch.Tensor]:
    """(token, d_model) float32 in chunks: the streams of tokens, centred and divided by `norm`."""
    for start in range(0, len(ids), POINTS):
        chosen = list(ids[start : start + POINTS])
        with torch.no_grad():
            if embedding == "token":
                stream = token_embeddings(model)[chosen].float()
            else:
                site = Site("resid_post", 0)
                run = model.run([[i] for i in chosen], read=site, stop_after=site)
                stream = run[site][:, 0].float()
            yield stream if norm is None else norm.center(stream) / norm.scale(stream)


def token_scores(
    model: Model, vectors: torch.Tensor, embedding: Embedding, norm: Norm | None
) -> torch.Tensor:
    """(token, vector) on the CPU: what each token's stream gives. vectors: (vector, d_model)."""
    ids = range(n_tokens(model))
    each = [chunk @ vectors.T for chunk in token_streams(model, embedding, norm, ids)]
    return torch.cat(each).cpu()


def token_covariance(
    model: Model, embedding: Embedding, norm: Norm | None, ids: Sequence[int]
) -> torch.Tensor:
    """(d_model, d_model) float64 on the CPU: the covariance of the streams of tokens."""
    width = model.spec.d_model
    total, square = torch.zeros(width).double(), torch.zeros(width, width).double()
    for chunk in token_streams(model, embedding, norm, ids):
        chunk = chunk.double().cpu()
        total, square = total + chunk.sum(0), square + chunk.T @ chunk
    mean = total / len(ids)
    return square / len(ids) - mean[:, None] * mean
