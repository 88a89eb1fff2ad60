"""A planted hierarchy: a plain autoencoder's parent features fall silent at the children's words.

Two parents with six children each; a child never comes without its parent. An autoencoder that
pays for the size of its codes saves by writing parent and child with one feature, so that the
parent's feature no longer says that the parent is there. Matching pursuit takes a feature away
before it looks for the next, pays nothing for a second one, and keeps them apart (Costa et al.
2025, arXiv:2506.03093).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.training_vectors import fit_dictionary
from workbench.dictionary.base import Dictionary
from workbench.features.concept_detection import (
    VectorBatch,
    Vectors,
    WordMeans,
    count_hits,
    find_candidates,
)
from workbench.features.concept_evaluation import Absorption, absorption
from workbench.site import Site

SITE = Site.parse("L0.resid_post")
PARENTS, CHILDREN, D = 2, 6, 32
#: Each parent alone, and with each of its children, is a "word".
WORDS = CHILDREN + 1
TRAINING: dict[str, dict[str, Any]] = {
    "relu": {"l1": 2.0, "learning_rate": 3e-3},
    "matching_pursuit": {"k": 2, "learning_rate": 1e-2},
}


@cache
def directions() -> torch.Tensor:
    """(parent + parent · child, d): orthogonal, the parents first."""
    generator = torch.Generator().manual_seed(99)
    basis = torch.linalg.qr(torch.randn(D, D, generator=generator)).Q
    return basis[: PARENTS * (1 + CHILDREN)]


def planted(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(n, d) activations, each of one parent and, six times in ten, of one of its children, both
    of a length from 0.5 to 1.5; and the word of each.
    """
    generator = torch.Generator().manual_seed(seed)
    parent = torch.randint(PARENTS, (n,), generator=generator)
    child = torch.randint(CHILDREN, (n,), generator=generator)
    there = torch.rand(n, generator=generator) < 0.6
    size = 0.5 + torch.rand(n, 2, generator=generator)
    rows = directions()[PARENTS:].reshape(PARENTS, CHILDREN, D)
    x = size[:, :1] * directions()[parent]
    x = x + there[:, None] * size[:, 1:] * rows[parent, child]
    return x, parent * WORDS + torch.where(there, child, CHILDREN)


@dataclass(frozen=True)
class Scored:
    f1: np.ndarray
    absorption: Absorption

    @property
    def rate(self) -> np.ndarray:
        return self.absorption.absorbed.sum(1) / self.absorption.present.sum(1)


def vectors(n: int, seed: int) -> Vectors:
    x, words = planted(n, seed)
    return Vectors.of(VectorBatch({SITE: x}, words, torch.arange(n) // 50))


@cache
def scored(kind: str) -> tuple[Dictionary, Scored]:
    x, _ = planted(20_000, 0)
    dictionary = fit_dictionary(
        x,
        kind=kind,
        n_features=PARENTS * (1 + CHILDREN),
        steps=600,
        batch_size=512,
        **TRAINING[kind],
    )
    first, second = vectors(4000, 1), vectors(4000, 2)
    member = torch.zeros(PARENTS * WORDS, PARENTS, dtype=torch.bool)
    for parent in range(PARENTS):
        member[parent * WORDS : (parent + 1) * WORDS, parent] = True
    # Only the best feature stands for a parent: a child's own is what may absorb it.
    candidates = find_candidates(dictionary, first, member, 0.3)
    assert (candidates.n_split == 1).all()
    counts = count_hits(candidates, dictionary, second, member)
    hits, false, found = (x.sum(1) for x in (counts.hits, counts.false, counts.found))
    means = WordMeans.of(first, SITE, member, ["parent"] * PARENTS)
    return dictionary, Scored(
        2 * hits / (found + hits + false), absorption(dictionary, candidates, second, means)
    )


def test_a_plain_autoencoder_absorbs_and_the_score_sees_it() -> None:
    _, plain = scored("relu")
    assert plain.rate.min() > 0.1
    assert plain.absorption.fraction.min() > 0.4
    assert plain.f1.max() < 0.95


def test_matching_pursuit_lowers_it() -> None:
    dictionary, pursuit = scored("matching_pursuit")
    _, plain = scored("relu")
    assert pursuit.rate.max() < 0.01 and pursuit.rate.max() < plain.rate.min()
    assert pursuit.absorption.fraction.max() < 0.05
    assert pursuit.f1.min() > 0.99
    best = (directions() @ dictionary.directions.T).amax(-1)
    assert float(best.mean()) > 0.99


@pytest.mark.parametrize("kind", TRAINING)
def test_both_explain_the_activations(kind: str) -> None:
    dictionary, _ = scored(kind)
    x, _ = planted(2000, 3)
    rest = (dictionary.reconstruct(x) - x).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
    assert 1 - float(rest) > 0.9
