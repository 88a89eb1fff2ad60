"""Held activations decomposed: random directions, and the factorisation's step by hand, what it
keeps, and what its sparsity is for.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import decompositions
from tests.unit.training_vectors import fit_dictionary, vectors
from workbench.dictionary.encoders import Factors, factor_codes
from workbench.site import Site

SITE = Site.parse("L2.mlp_post")


def learner(**settings: Any) -> Any:
    options = decompositions.TrainingOptions(
        kind="snmf", **{"n_features": 5, "steps": 40, "l1": 0.4, **settings}
    )
    made = decompositions.FactorLearner(SITE, SITE, options)
    made.begin({SITE: vectors() - 4})
    return made


def updated(x: torch.Tensor, factors: torch.Tensor, steps: int, l1: float) -> torch.Tensor:
    """(row, feature) codes by the updates of Ding, Li and Jordan (2010), number by number."""
    n, k = len(x), len(factors)
    codes = torch.zeros(n, k, dtype=torch.float64)
    for r in range(n):
        b = [float(x[r] @ f) for f in factors]
        A = [[float(f @ g) for g in factors] for f in factors]
        h = [max(b[j], 0) / A[j][j] + 1e-3 * sum(map(abs, b)) / k + 1e-12 for j in range(k)]
        for _ in range(steps):
            new = []
            for j in range(k):
                above = max(b[j], 0) + sum(h[i] * max(-A[i][j], 0) for i in range(k))
                below = max(-b[j], 0) + sum(h[i] * max(A[i][j], 0) for i in range(k)) + l1 / 2
                new.append(h[j] * (above / max(below, 1e-12)) ** 0.5)
            h = new
        codes[r] = torch.tensor(h, dtype=torch.float64)
    return codes


def test_a_step_is_the_codes_and_then_the_least_squares_factors(monkeypatch: Any) -> None:
    monkeypatch.setattr(decompositions, "CODE_STEPS", 6)
    made = learner()
    gram = torch.zeros(5, 5, dtype=torch.float64)
    products = torch.zeros(5, 8, dtype=torch.float64)
    for step in range(3):
        x = (vectors(12, seed=step + 1) - 4).double()
        inner, factors = x * made.factor, made.factors.double()
        codes = updated(inner, factors, 6, 0.4)
        measured = made.step({SITE: x.float()})
        error = (inner - codes @ factors).pow(2).sum(-1).mean()
        assert measured["loss"] == pytest.approx(float(error + 0.4 * codes.sum(-1).mean()) / 8)
        gram = decompositions.MEMORY * gram + codes.T @ codes
        products = decompositions.MEMORY * products + codes.T @ inner
        hold = decompositions.HOLD * gram.diagonal().mean()
        found = torch.linalg.inv(gram + hold * torch.eye(5)) @ (products + hold * factors)
        length = found.norm(dim=-1)
        assert torch.allclose(made.factors.double(), found / length[:, None], atol=1e-4)
        gram, products = gram * length[:, None] * length, products * length[:, None]
        assert torch.allclose(made.gram.double(), gram, rtol=1e-3, atol=1e-3)


def test_codes_come_to_lie_where_no_small_change_is_better() -> None:
    """The updates lower |x − codes · factors|² + l1 Σ codes to its least over codes ≥ 0."""
    generator = torch.Generator().manual_seed(3)
    factors = torch.nn.functional.normalize(torch.randn(6, 4, generator=generator), dim=-1)
    x = torch.randn(5, 4, generator=generator)
    codes = factor_codes(x @ factors.T, factors @ factors.T, 20_000, l1=0.5).requires_grad_()
    ((x - codes @ factors).pow(2).sum() + 0.5 * codes.sum()).backward()
    assert codes.grad is not None
    # A code above 0 has no slope; one at 0 could only rise, and that does not lower the loss.
    above = codes.detach() > 1e-3
    assert above.any()
    assert not above.all()
    assert codes.grad[above].abs().max() < 1e-2
    assert codes.grad[~above].min() > -1e-2


def test_factors_that_take_no_part_are_given_something_to_explain(monkeypatch: Any) -> None:
    monkeypatch.setattr(decompositions, "REVIVE_EVERY", 1)
    made = learner()
    made.gram = torch.diag(torch.tensor([1.0, 1.0, 0.0, 1.0, 1.0]))
    before = made.factors.clone()
    error = torch.zeros(4, 8)
    error[2, 3] = 7.0
    made._revive(error)
    assert made.factors[2].tolist() == [0, 0, 0, 1, 0, 0, 0, 0]
    assert torch.equal(made.factors[[0, 1, 3, 4]], before[[0, 1, 3, 4]])
    assert not made.gram[2].any()
    assert not made.products[2].any()


def test_the_dictionary_reads_plain_activations_and_its_factors_have_length_1() -> None:
    x = vectors() - 4
    found = fit_dictionary(x, site=SITE, kind="snmf", n_features=10, steps=60, batch_size=64)
    assert isinstance(found.encoder, Factors)
    assert torch.allclose(found.W_dec.norm(dim=-1), torch.ones(10), atol=1e-5)
    assert not found.b_dec.any()
    codes = found.encode(x)
    assert (codes >= 0).all()
    explained = 1 - (x - found.decode(codes)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
    assert float(explained) > 0.8


def test_random_directions_have_length_one_and_give_the_activation_back() -> None:
    x = vectors().double().numpy()
    acts = wb.Activations.of_rows(x, site=SITE)
    made = wb.features.decompose(acts, kind="random", n_features=4000, seed=3)[SITE]
    weight = made.tensors["W_enc"]
    np.testing.assert_allclose(weight.norm(dim=0), 1.0, atol=1e-5)
    again = wb.features.decompose(acts, kind="random", n_features=4000, seed=3)[SITE]
    assert again.fingerprint == made.fingerprint
    other = wb.features.decompose(acts, kind="random", n_features=4000, seed=4)[SITE]
    assert other.fingerprint != made.fingerprint
    np.testing.assert_allclose(made.encode(torch.as_tensor(x).float()).mean(0), 0.0, atol=1e-4)
    rest = made.reconstruct(torch.as_tensor(x).float()).numpy() - x
    assert (rest**2).sum() < 0.05 * ((x - x.mean(0)) ** 2).sum()
    none = wb.Activations.of_rows(np.zeros((1, 32)), site=SITE)
    plain = wb.features.decompose(none, kind="random", n_features=5)[SITE]
    assert not plain.b_dec.any() and plain.n_features == 5
