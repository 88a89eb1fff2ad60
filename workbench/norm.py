"""Norm: a layer or RMS norm as numbers, for what is computed from weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional

from .check import checked, vectors


@checked
@dataclass(frozen=True)
class Norm:
    """A layer or RMS norm as numbers: x / scale(x) · weight + bias, x less its mean if `centers`.

    weight and bias are (d_model) and what multiplies and is added in the end, whatever the module
    stores (Gemma stores weight − 1).
    """

    centers: bool
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def center(self, x: torch.Tensor) -> torch.Tensor:
        """x, less its mean over the last axis where the norm takes it away."""
        vectors("x", x, self.weight.shape[-1])
        return x - x.mean(-1, keepdim=True) if self.centers else x

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """(…, 1): what the norm divides x by."""
        return (self.center(x).pow(2).mean(-1, keepdim=True) + self.epsilon).sqrt()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.weight.shape
        vectors("x", x, shape[-1])
        if self.centers:
            return functional.layer_norm(x, shape, self.weight, self.bias, self.epsilon)
        return functional.rms_norm(x, shape, self.weight, self.epsilon) + self.bias

    def pull_back(self, x: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        """The gradient at x, given the gradient at norm(x); both broadcast."""
        vectors("grad", grad, self.weight.shape[-1])
        centred, scale = self.center(x) / self.scale(x), self.scale(x)
        inner = grad * self.weight
        along = (inner * centred).mean(-1, keepdim=True)
        return self.center(inner - centred * along) / scale
