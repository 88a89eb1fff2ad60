"""Propagation: the mean gradient of an observable along a path, as a feature vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...model import Prompts
from ...ordinary import ordinary_torch
from ...result import provenance
from ...tokens import token_strings
from .observable_gradient import Position, path_gradient, points, portions
from .observable_path import Step, read_norm, read_site
from .observable_vector import ObservableVector
from .observable_words import Embedding, choose_embedding, n_tokens, token_scores

if TYPE_CHECKING:
    from .observable import Observable


@ordinary_torch()
def propagate(
    obs: Observable,
    path: Sequence[Step],
    *,
    at: Prompts | None,
    position: Position,
    embedding: Embedding | None,
) -> ObservableVector:
    """The feature vector of an observable by a path that was read. See `Observable.propagate`."""
    model = obs.model
    site, norm = read_site(model, path), read_norm(model, path)
    kind = choose_embedding(site, embedding)
    tokens = points(model, at)
    direction = obs.direction
    each, total_size = [], 0.0
    for part in portions(tokens):
        found = path_gradient(model, direction, part, path, position)
        # Of a stream as the norm leaves it: the gradient times what the norm divides by.
        each.append((found.grad * found.scales).sum(1).double().cpu())
        total_size += float((found.weights[..., None] * found.scales).sum())
    gradients = torch.cat(each)
    vector = gradients.mean(0)
    cosines = torch.nn.functional.cosine_similarity(gradients, vector[None])
    single = vector.float()[None].to(direction.device)
    scores = token_scores(model, single, kind, norm)[:, 0]

    def text(ids: Sequence[int]) -> tuple[str, ...]:
        return tuple(token_strings(model.tokenizer, ids))

    return ObservableVector(
        **provenance(model, None if at is None else tokens),
        observable=obs.name,
        targets=text(obs.targets),
        foils=text(obs.foils),
        target_ids=obs.targets,
        foil_ids=obs.foils,
        path=tuple(map(str, path)),
        site=str(site),
        size=total_size / len(tokens),
        points="single tokens" if at is None else "prompts",
        n_points=len(tokens),
        agreement=float(cosines.mean()),
        soft_cap=model.spec.soft_cap,
        embedding=kind,
        vocabulary=text(range(n_tokens(model))),
        vector=vector.float().numpy(),
        token_scores=scores.numpy(),
    )
