"""Vectors that the tests of training share."""

from __future__ import annotations

from typing import Any

import torch

#: The kinds that can be trained.
KINDS = ("topk", "batchtopk", "relu", "matching_pursuit", "snmf")


def vectors(n: int = 256, d: int = 8, seed: int = 0) -> torch.Tensor:
    """Random vectors (row, d) about 5, that are neither centred nor of length 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * 3 + 5


def same(a: Any, b: Any) -> bool:
    """Whether two dictionaries are equal, bit for bit."""
    return all(torch.equal(x, b.tensors[key]) for key, x in a.tensors.items())
