"""The losses of training: their numbers and their gradients, by the definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.unit.kernels import learner as losses
from tests.unit.training_vectors import vectors


def weights(n: int = 10, d_in: int = 6, d_out: int = 6) -> losses.Weights:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(n, d_out, generator=generator)
    return losses.Weights(
        W_enc=torch.randn(n, d_in, generator=generator).requires_grad_(),
        b_enc=torch.randn(n, generator=generator).requires_grad_(),
        W_dec=torch.nn.functional.normalize(rows, dim=-1).requires_grad_(),
        b_dec=torch.randn(d_out, generator=generator).requires_grad_(),
    )


def gradient(parameter: torch.Tensor) -> torch.Tensor:
    assert parameter.grad is not None
    return parameter.grad


def by_hand(kind: str, w: losses.Weights, x: torch.Tensor, k: int) -> torch.Tensor:
    """The codes of one kind, number by number; (row, feature), differentiable."""
    pre = torch.stack(
        [torch.stack([row @ e + b for e, b in zip(w.W_enc, w.b_enc, strict=True)]) for row in x]
    )
    if kind == "relu":
        return pre * (pre > 0)
    if kind == "topk":
        kept = torch.zeros_like(pre)
        for r in range(len(x)):
            for f in sorted(range(pre.shape[1]), key=lambda f: -pre[r, f].item())[:k]:
                kept[r, f] = 1.0
    else:
        cut = sorted(pre.detach().flatten().tolist(), reverse=True)[k * len(x) - 1]
        kept = (pre >= cut).float()
    return pre * kept * (pre > 0)


@pytest.mark.parametrize("kind", ["relu", "topk", "batchtopk"])
def test_a_loss_and_its_gradients_are_those_of_the_definition(kind: str) -> None:
    x, y = vectors(7, 6) - 5, vectors(7, 5, 3)
    w, plain = weights(d_out=5), weights(d_out=5)
    if kind == "relu":
        outcome = losses.relu_loss(w, x, y, 0.7, 1.0, 1.0)
    else:
        outcome = getattr(losses, f"{kind}_loss")(w, x, y, 3)
    codes = by_hand(kind, plain, x, 3)
    error = y - codes @ plain.W_dec - plain.b_dec
    loss = error.pow(2).mean()
    if kind == "relu":
        loss = loss + 0.7 * codes.sum(-1).mean() / 5
    assert outcome.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    assert torch.allclose(outcome.error, error, atol=1e-5)
    assert outcome.fired.tolist() == (codes > 0).any(0).tolist()
    assert outcome.l0 == pytest.approx((codes > 0).sum().item() / 7)
    if kind != "relu":
        assert outcome.smallest == pytest.approx(codes[codes > 0].min().item(), rel=1e-5)
    outcome.loss.backward()
    loss.backward()
    for name, parameter in w.parameters.items():
        assert torch.allclose(gradient(parameter), gradient(plain.parameters[name]), atol=1e-5), (
            name
        )


@pytest.mark.parametrize(("p", "next_p"), [(1.0, 0.5), (0.5, 0.5), (0.5, 0.2)])
@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_the_sparsity_loss_has_its_own_power_and_says_that_of_the_next_step(
    p: float, next_p: float, strength: float
) -> None:
    x, y = vectors(7, 6) - 5, vectors(7, 5, 3)
    w, plain = weights(d_out=5), weights(d_out=5)
    outcome = losses.relu_loss(w, x, y, strength, p, next_p)
    codes = by_hand("relu", plain, x, 0)
    s = losses.SMALL_CODE

    def penalty(power: float) -> torch.Tensor:
        each = codes if power == 1 else (codes + s) ** power - s**power
        return each.sum() / 7

    error = y - codes @ plain.W_dec - plain.b_dec
    loss = error.pow(2).sum() / 35 + strength * penalty(p) / 5
    assert outcome.loss.item() == pytest.approx(loss.item(), rel=1e-5)
    # What a step lost by sparsity, and would lose at the next power, without their weight.
    said = [float(penalty(power).detach()) for power in (p, next_p)]
    assert outcome.penalties == pytest.approx(said, rel=1e-5)
    outcome.loss.backward()
    loss.backward()
    torch.testing.assert_close(gradient(w.W_enc), gradient(plain.W_enc), rtol=1e-4, atol=1e-5)


def test_a_pursuit_takes_nothing_where_every_feature_points_away() -> None:
    w = weights()
    with torch.no_grad():
        w.W_dec[:] = torch.nn.functional.normalize(w.W_dec.abs(), dim=-1)
    x = w.b_dec.detach() - torch.tensor([[1.0] * 6, [2.0] * 6])
    outcome = losses.pursuit_loss(w, x, x, 3)
    assert outcome.l0 == 0 and not outcome.fired.any() and outcome.smallest is None
    torch.testing.assert_close(outcome.error, -torch.tensor([[1.0] * 6, [2.0] * 6]))
    assert outcome.loss.item() == pytest.approx((6 + 24) / 12)


def test_a_pursuit_takes_the_best_feature_of_what_is_left() -> None:
    x, w, plain = vectors(5, 6), weights(), weights()
    outcome = losses.pursuit_loss(w, x, x, 3)
    total, codes = torch.zeros(()), torch.zeros(5, 10)
    for r in range(5):
        rest = x[r] - plain.b_dec
        for _ in range(3):
            products = [float(rest.detach() @ d) for d in plain.W_dec.detach()]
            best = int(np.argmax(products))
            if products[best] > 0:
                rest = rest - (rest @ plain.W_dec[best]) * plain.W_dec[best]
                codes[r, best] = 1.0
        total = total + rest.pow(2).sum() / (5 * 6)
    assert outcome.loss.item() == pytest.approx(total.item(), rel=1e-5)
    assert outcome.l0 == pytest.approx(float(codes.sum()) / 5)
    outcome.loss.backward()
    total.backward()
    assert torch.allclose(gradient(w.W_dec), gradient(plain.W_dec), atol=1e-5)
    assert torch.allclose(gradient(w.b_dec), gradient(plain.b_dec), atol=1e-5)


def test_the_sparsity_loss_is_a_sum_of_powers() -> None:
    codes = torch.tensor([[0.0, 2.0, 0.5], [1.0, 0.0, 0.0]])
    assert losses.sparsity(codes, 1.0).item() == pytest.approx(3.5 / 2)
    s = losses.SMALL_CODE
    half = sum((c + s) ** 0.5 - s**0.5 for c in (2.0, 0.5, 1.0)) / 2
    assert losses.sparsity(codes, 0.5).item() == pytest.approx(half, rel=1e-5)
