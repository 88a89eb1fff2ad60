"""The paths of an observable, ranked by how much of it they can read off single tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..activations import Moments
from ..circuits.components import Components
from ..model import Model, Prompts
from ..ordinary import ordinary_torch
from ..pictures.marks import Bars
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..tokens import Tokens, token_strings
from .observable_gradient import (
    Position,
    Step,
    gained,
    head_directions,
    in_batches,
    path_gradient,
    path_name,
    points,
    read_norm,
    read_site,
)
from .projection import EmbeddingChoice, embedding_at, n_words, normed, word_streams


@dataclass(frozen=True, eq=False, repr=False)
class ObservablePaths(Result):
    """The paths of one head, alone or with one MLP after it, the widest spread first.

    A path that spreads far can tell tokens apart by the observable; whether its head attends to
    them is for a run to say.
    """

    observable: str
    #: The words that the scores spread over, none for the whole vocabulary.
    words: tuple[str, ...]
    #: At what the paths were linearised, and at how many of them.
    points: str
    n_points: int
    #: The components of each.
    paths: tuple[tuple[str, ...], ...]
    names: tuple[str, ...] = labels("row", "its components", name="path")
    spread: np.ndarray = axes("row", note="standard deviation of its scores over words (logits)")
    norm: np.ndarray = axes("row", note="length of its vector (logits)")

    picture = Bars("spread", "path", top=15)

    @property
    def best(self) -> tuple[str, ...]:
        """The path with the widest spread, as `Observable.propagate` takes it."""
        return self.paths[0]

    def _facts(self) -> str:
        some = zip(self.names[:3], self.spread, strict=False)
        each = ", ".join(f"{name} {spread:.2g}" for name, spread in some)
        return f"{self.observable}, {len(self.paths)} paths by spread: {each}"


@ordinary_torch()
def ranked_paths(
    model: Model,
    name: str,
    direction: torch.Tensor,
    *,
    at: Prompts | None,
    position: Position,
    ids: Sequence[int],
    embedding: EmbeddingChoice | None,
) -> ObservablePaths:
    """Every path of one head and at most one MLP after it. See `Observable.paths`."""
    parts, spec = Components.nodes_of(model.spec), model.spec
    tokens = points(model, at)
    vectors: dict[int, list[tuple[tuple[Step, ...], torch.Tensor]]] = {}
    ends: list[tuple[Step, ...]] = [(), *((Step(layer),) for layer in range(spec.n_layers))]
    for end in ends:
        last = spec.n_layers if not end else end[0].layer + (not parts.parallel)
        grads = _mean_gradients(model, direction, tokens, end, position, range(last))
        for layer, grad in enumerate(grads):
            read = head_directions(model, layer, grad).double().cpu()
            found = [((Step(layer, head), *end), read[head]) for head in range(spec.n_heads)]
            vectors.setdefault(layer, []).extend(found)
    rows: list[tuple[float, float, tuple[Step, ...]]] = []
    chosen = list(ids) or range(n_words(model))
    # The covariance of the streams gives every spread; a norm's weight is part of the vectors, so
    # that layers with the same embedding have the same streams.
    covariances: dict[object, torch.Tensor] = {}
    for found in vectors.values():
        one = found[0][0][:1]
        kind = embedding or embedding_at(read_site(model, one))
        norm = read_norm(model, one)
        key = (kind, None if norm is None else (norm.centers, norm.epsilon))
        if key not in covariances:
            moments = Moments(covariance=True)
            for some in normed(norm, word_streams(model, kind, chosen)):
                moments.add(some.cpu())
            covariances[key] = moments.covariance
        covariance = covariances[key]
        stacked = torch.stack([vector for _, vector in found])
        spreads = ((stacked @ covariance) * stacked).sum(-1).clamp(min=0).sqrt()
        lengths = stacked.norm(dim=-1)
        each = zip(spreads.tolist(), lengths.tolist(), (path for path, _ in found), strict=True)
        rows += each
    rows.sort(key=lambda row: -row[0])
    return ObservablePaths(
        **provenance(model, None if at is None else tokens),
        observable=name,
        words=tuple(token_strings(model.tokenizer, list(ids))),
        points="single tokens" if at is None else "prompts",
        n_points=len(tokens),
        paths=tuple(tuple(map(str, path)) for _, _, path in rows),
        names=tuple(path_name(path) for _, _, path in rows),
        spread=np.array([row[0] for row in rows]),
        norm=np.array([row[1] for row in rows]),
    )


def _mean_gradients(
    model: Model,
    direction: torch.Tensor,
    tokens: Tokens,
    end: tuple[Step, ...],
    position: Position,
    layers: range,
) -> list[torch.Tensor]:
    """For each layer (d_model,): the gradient in the sum of its heads, by the end of a path.

    The mean over rows of the sum over positions: what a head reads is the same wherever it attends,
    since its pattern sums to 1 and its norm is left out.
    """
    sites = [Site("z", layer) for layer in layers if model.norm("ln1_post", layer) is not None]
    sums = [torch.zeros(model.spec.d_model, device=tokens.ids.device) for _ in layers]
    for part in in_batches(tokens):
        found = path_gradient(model, direction, part, end, position, read=sites)
        for layer in layers:
            sums[layer] += gained(model, found.run, layer, found.grad).sum((0, 1)).detach()
    return [total / len(tokens) for total in sums]
