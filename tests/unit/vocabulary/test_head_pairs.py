"""Pairs of words come out as the full product has them, whatever is skipped on the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.kernels import head_circuits


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head_circuits, "TILE_ROWS", 16)
    monkeypatch.setattr(head_circuits, "TILE_COLUMNS", 32)


def factors(n_left: int, n_right: int, d: int, *, skew: float = 0.0, seed: int = 0) -> Any:
    """Random factors; skew: how much rows differ in length, exponentially."""
    generator = torch.Generator().manual_seed(seed)
    left, right = (torch.randn(n, d, generator=generator) for n in (n_left, n_right))
    lengths = [torch.randn(n, 1, generator=generator) for n in (n_left, n_right)]
    return head_circuits.Factors(
        left * (skew * lengths[0]).exp(), right * (skew * lengths[1]).exp()
    )


def sorted_pairs(given: Any) -> list[tuple[float, int, int]]:
    """Every pair, the largest number first."""
    every = []
    for i, row in enumerate(given.left.double().numpy()):
        for j, column in enumerate(given.right.double().numpy()):
            every.append((float(row @ column), i, j))
    return sorted(every, reverse=True)


@pytest.mark.parametrize(("n_left", "n_right", "d"), [(50, 90, 6), (16, 32, 4), (7, 5, 3)])
@pytest.mark.parametrize("skew", [0.0, 1.5])
def test_the_pairs_are_the_ends_of_the_whole_product(
    n_left: int, n_right: int, d: int, skew: float
) -> None:
    given = factors(n_left, n_right, d, skew=skew)
    every = sorted_pairs(given)
    high, low = head_circuits.extreme_pairs(given, 12)
    for pairs, expected in ((high, every[:12]), (low, every[::-1][:12])):
        assert [tuple(ids) for ids in pairs.ids] == [(i, j) for _, i, j in expected]
        np.testing.assert_allclose(pairs.values, [v for v, _, _ in expected], rtol=1e-5)


def test_blocks_that_cannot_hold_one_of_the_best_are_skipped() -> None:
    even, skewed = (factors(200, 300, 8, skew=skew) for skew in (0.0, 1.5))
    assert (
        0
        < head_circuits.extreme_pairs(skewed, 5)[0].share
        < head_circuits.extreme_pairs(even, 5)[0].share
        < 0.6
    )
    alone = head_circuits.extreme_pairs(even, 5, smallest=False)
    assert alone[0].share <= head_circuits.extreme_pairs(even, 5)[0].share
    assert len(alone[1].values) == 0


def test_balanced_factors_have_the_same_product_and_shorter_rows() -> None:
    given = factors(40, 60, 5)
    # The same product, written as unevenly as factors can be.
    stretch = torch.tensor([1e3, 1.0, 1e-3, 10.0, 0.1])
    uneven = head_circuits.Factors(given.left * stretch, given.right / stretch)
    left, right = head_circuits.balanced(uneven)
    torch.testing.assert_close(left @ right.T, given.left @ given.right.T, atol=1e-3, rtol=1e-4)

    def bound(one: torch.Tensor, other: torch.Tensor) -> float:
        return float(one.norm(dim=-1).square().sum() * other.norm(dim=-1).square().sum())

    assert bound(left, right) < bound(given.left, given.right) < bound(uneven.left, uneven.right)


def test_factors_of_less_than_full_rank_are_balanced_too() -> None:
    given = factors(30, 30, 6)
    flat = head_circuits.Factors(given.left.clone(), given.right)
    flat.left[:, 3:] = 0
    left, right = head_circuits.balanced(flat)
    assert left.shape == (30, 3)
    torch.testing.assert_close(left @ right.T, flat.left @ flat.right.T, atol=1e-5, rtol=1e-5)


def test_equal_numbers_come_in_the_order_of_their_words() -> None:
    left = torch.tensor([[1.0], [2.0], [2.0]])
    pairs, _ = head_circuits.extreme_pairs(
        head_circuits.Factors(left, torch.tensor([[3.0], [3.0]])), 4
    )
    assert pairs.ids.tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]
    np.testing.assert_allclose(pairs.values, 6)


def test_more_pairs_than_there_are_give_every_one_and_zeros_give_zeros() -> None:
    given = factors(3, 4, 2)
    assert len(head_circuits.extreme_pairs(given, 100)[0].values) == 12
    empty = head_circuits.Factors(torch.zeros(40, 4), given.right[:, [0, 1, 0, 1]])
    high, low = head_circuits.extreme_pairs(empty, 6)
    assert (high.values == 0).all() and (low.values == 0).all() and len(high.values) == 6
