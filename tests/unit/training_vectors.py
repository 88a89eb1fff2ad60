"""Vectors that the tests of training share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from tests.unit.kernels import TrainingOptions, TrainingRun, activation_buffer
from workbench.dictionary.base import Dictionary
from workbench.site import Site

#: The kinds that can be trained.
KINDS = ("topk", "batchtopk", "relu", "matching_pursuit", "snmf")


def vectors(n: int = 256, d: int = 8, seed: int = 0) -> torch.Tensor:
    """Random vectors (row, d) about 5, that are neither centred nor of length 1."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=generator) * 3 + 5


def same(a: Any, b: Any) -> bool:
    """Whether two dictionaries are equal, bit for bit."""
    return all(torch.equal(x, b.tensors[key]) for key, x in a.tensors.items())


class GivenVectors:
    """Vectors that are there already: a tensor (row, d), tensors in turn, or a function of them."""

    def __init__(self, site: Site, given: Any) -> None:
        self.site, self.given = site, given

    def batches(self) -> Iterator[dict[Site, torch.Tensor]]:
        whole = hasattr(self.given, "shape")
        parts = [self.given] if whole else activation_buffer.begin(self.given)
        for x in parts:
            yield {self.site: torch.as_tensor(x)}


def fit_dictionary(
    given: Any, *, site: Site | str = "L0.resid_post", progress: bool = False, **settings: Any
) -> Dictionary:
    """A dictionary trained on vectors that are given, and not on those of a model."""
    here = Site.parse(site)
    run = TrainingRun(
        GivenVectors(here, given), [(here, here)], TrainingOptions(**settings), names=[""]
    )
    return run.train(progress)[0]
