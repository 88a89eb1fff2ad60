"""Losses: how far the codes of one batch are from standing for it, kind by kind."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

#: Codes below this hardly feel that the power of the sparsity loss is lowered.
SMALL_CODE = 1e-3


@dataclass
class Weights:
    """What is learnt, in units in which the vectors have mean 0 and a mean length of √d.

    W_enc: (feature, d_in). b_enc: (feature,). W_dec: (feature, d_out), rows of length 1. b_dec:
    (d_out,). Matching pursuit leaves W_enc and b_enc alone.
    """

    W_enc: torch.Tensor
    b_enc: torch.Tensor
    W_dec: torch.Tensor
    b_dec: torch.Tensor

    @property
    def parameters(self) -> dict[str, torch.Tensor]:
        return dict(vars(self))


@dataclass(frozen=True)
class Outcome:
    """One batch: its loss, to differentiate, and what it says.

    loss: the mean over rows of |target − reconstruction|² / d_out, plus the sparsity loss. error:
    (row, d_out), target − reconstruction. fired: (feature,) bool. l0: mean codes above 0 a row.
    smallest: the smallest code above 0. penalties: the sparsity loss at p and at the next p.
    """

    loss: torch.Tensor
    error: torch.Tensor
    fired: torch.Tensor
    l0: float
    smallest: float | None = None
    penalties: tuple[float, float] | None = None


def relu_loss(
    weights: Weights, x: torch.Tensor, y: torch.Tensor, strength: float, p: float, next_p: float
) -> Outcome:
    """Squared error and strength · Σ codes^p / d_out: L1 at p = 1, below it nearer to a count.

    next_p: of the next step, whose sparsity loss on the same codes is asked for too. Source:
    Karvonen et al., "Measuring Progress in Dictionary Learning for Language Model Interpretability
    with Board Game Models" (2024), p-annealing.
    """
    codes = torch.nn.functional.linear(x, weights.W_enc, weights.b_enc).relu()
    error = y - codes @ weights.W_dec - weights.b_dec
    penalty = sparsity(codes, p)
    on = codes.detach() > 0
    return Outcome(
        loss=(error.pow(2).sum(-1).mean() + strength * penalty) / y.shape[-1],
        error=error.detach(),
        fired=on.any(0),
        l0=float(on.sum()) / len(x),
        penalties=(float(penalty.detach()), float(sparsity(codes.detach(), next_p))),
    )


def sparsity(codes: torch.Tensor, p: float) -> torch.Tensor:
    """The mean over rows of Σ (code + s)^p − s^p, s = `SMALL_CODE`, so that its slope is finite."""
    if p == 1:
        return codes.sum(-1).mean()
    return ((codes + SMALL_CODE).pow(p) - SMALL_CODE**p).sum(-1).mean()


def topk_loss(weights: Weights, x: torch.Tensor, y: torch.Tensor, k: int) -> Outcome:
    """Squared error of the k largest codes of each row (Gao et al. 2024)."""
    pre = _pre(weights, x)
    columns = pre.topk(k, -1, sorted=False).indices
    rows = torch.arange(len(x), device=x.device)[:, None]
    return _sparse_loss(weights, x, y, pre, (rows * pre.shape[1] + columns).flatten())


def batchtopk_loss(weights: Weights, x: torch.Tensor, y: torch.Tensor, k: int) -> Outcome:
    """Squared error of the k · rows largest codes of the batch (Bussmann et al. 2024)."""
    pre = _pre(weights, x)
    chosen = pre.flatten().topk(k * len(x), sorted=False).indices
    # Row by row, as the sums over rows need them.
    return _sparse_loss(weights, x, y, pre, chosen.sort().values)


def pursuit_loss(weights: Weights, x: torch.Tensor, y: torch.Tensor, k: int) -> Outcome:
    """Squared error after k steps of matching pursuit, differentiated through the steps.

    Source: Costa et al., "From Flat to Hierarchical: Extracting Sparse Representations with
    Matching Pursuit" (2025).
    """
    rest = y - weights.b_dec
    on = torch.zeros(len(x), len(weights.W_dec), dtype=torch.bool, device=x.device)
    smallest = float("inf")
    for _ in range(k):
        with torch.no_grad():
            which = (rest @ weights.W_dec.T).argmax(-1)
        direction = torch.nn.functional.embedding(which, weights.W_dec)
        amount = (rest * direction).sum(-1, keepdim=True).relu()
        rest = rest - amount * direction
        taken = amount.detach() > 0
        on[torch.arange(len(x), device=x.device), which] |= taken[:, 0]
        if bool(taken.any()):
            smallest = min(smallest, float(amount.detach()[taken].min()))
    return Outcome(
        loss=rest.pow(2).sum(-1).mean() / y.shape[-1],
        error=rest.detach(),
        fired=on.any(0),
        l0=float(on.sum()) / len(x),
        smallest=smallest if bool(on.any()) else None,
    )


def _pre(weights: Weights, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return torch.nn.functional.linear(x, weights.W_enc, weights.b_enc)


def _sparse_loss(
    weights: Weights, x: torch.Tensor, y: torch.Tensor, pre: torch.Tensor, chosen: torch.Tensor
) -> Outcome:
    """The loss of chosen places of `pre`, row · n_features + feature, ascending by row.

    Decoding few codes of many as sums of rows, and not as a product with all features, halves the
    time of a step.
    """
    n = pre.shape[1]
    codes = _chosen_codes()(weights.W_enc, weights.b_enc, x, pre, chosen).relu()
    rows, features = chosen // n, chosen % n
    counts = torch.bincount(rows, minlength=len(x))
    found = torch.nn.functional.embedding_bag(
        features,
        weights.W_dec,
        counts.cumsum(0) - counts,
        mode="sum",
        per_sample_weights=codes,
    )
    error = y - found - weights.b_dec
    on = codes.detach() > 0
    fired = torch.zeros(n, dtype=torch.bool, device=x.device)
    fired[features[on]] = True
    return Outcome(
        loss=error.pow(2).sum(-1).mean() / y.shape[-1],
        error=error.detach(),
        fired=fired,
        l0=float(on.sum()) / len(x),
        smallest=float(codes.detach()[on].min()) if bool(on.any()) else None,
    )


@cache
def _chosen_codes() -> Any:
    """A function of W_enc, b_enc, x, the pre-activations (row, feature) and places in them.

    It gives (place,) the pre-activations there, and only those are differentiated.
    """

    class Chosen(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, W_enc: Any, b_enc: Any, x: Any, pre: Any, places: Any) -> Any:
            ctx.save_for_backward(x, places)
            ctx.shape = pre.shape
            return pre.flatten()[places]

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, places = ctx.saved_tensors
            dense = grad.new_zeros(ctx.shape)
            dense.view(-1)[places] = grad
            return dense.T @ x, dense.sum(0), None, None, None

    return Chosen.apply
