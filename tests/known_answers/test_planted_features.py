"""Planted features: sums of known directions, which each kind of training must find again."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.unit.training_vectors import fit_dictionary
from workbench.dictionary.base import Dictionary

N_PLANTED, WIDTH, ACTIVE = 32, 24, 3

#: What each kind is trained with; a few more features than there are to find.
SETTINGS: dict[str, dict[str, Any]] = {
    "topk": {"k": ACTIVE},
    "batchtopk": {"k": ACTIVE},
    "relu": {"l1": 2.0},
    "relu, annealed": {"l1": 2.0, "p": 0.5},
    "matching_pursuit": {"k": ACTIVE + 1},
}


def planted(n: int = 8192, seed: int = 0, width: int = WIDTH) -> tuple[torch.Tensor, torch.Tensor]:
    """Vectors (row, d), each the sum of 3 planted directions times 0.5 to 1.5; the directions."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.randn(N_PLANTED, width, generator=generator)
    directions = torch.nn.functional.normalize(directions, dim=-1)
    active = torch.rand(n, N_PLANTED, generator=generator).topk(ACTIVE).indices
    size = 0.5 + torch.rand(n, ACTIVE, generator=generator)
    return torch.zeros(n, N_PLANTED).scatter(1, active, size) @ directions, directions


def best_cosine(directions: torch.Tensor, found: Dictionary) -> torch.Tensor:
    """(planted,) the cosine of each planted direction with the feature nearest to it."""
    rows = found.W_dec / found.W_dec.norm(dim=-1, keepdim=True)
    return torch.stack([max(d @ row for row in rows) for d in directions])


@pytest.mark.parametrize("name", list(SETTINGS))
def test_training_finds_the_planted_directions(name: str) -> None:
    x, directions = planted()
    found = fit_dictionary(
        x,
        kind=name.split(",")[0],
        n_features=N_PLANTED + 8,
        steps=700,
        batch_size=256,
        learning_rate=3e-3,
        **SETTINGS[name],
    )
    assert float(best_cosine(directions, found).mean()) >= 0.95
    codes = found.encode(x[:1000])
    # On vectors of 3 directions each it is about 3 features that are on.
    assert 0.8 * ACTIVE <= float((codes > 0).sum(-1).float().mean()) <= 2 * ACTIVE


def test_untrained_directions_are_not_the_planted_ones() -> None:
    """The measure itself does not come close to 0.95 by chance."""
    x, directions = planted()
    found = fit_dictionary(
        x, kind="topk", k=ACTIVE, n_features=N_PLANTED + 8, steps=1, learning_rate=1e-9
    )
    assert float(best_cosine(directions, found).mean()) < 0.65


def test_a_factorisation_finds_the_parts_of_not_negative_mixtures() -> None:
    """Fewer factors than dimensions, some entries of each below 0, codes never below 0."""
    generator = torch.Generator().manual_seed(0)
    parts = torch.nn.functional.normalize(torch.randn(10, WIDTH, generator=generator), dim=-1)
    on = torch.rand(4096, 10, generator=generator) < 0.25
    codes = on * (0.5 + torch.rand(4096, 10, generator=generator))
    x = codes @ parts + 0.01 * torch.randn(4096, WIDTH, generator=generator)
    found = fit_dictionary(x, kind="snmf", n_features=10, steps=200, batch_size=256)
    assert (parts < 0).any()
    assert (found.encode(x[:200]) >= 0).all()
    assert float(best_cosine(parts, found).mean()) >= 0.95
