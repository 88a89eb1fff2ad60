"""Normalization: what a dictionary expects to have been done to an activation first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

Scaling = Literal["none", "factor", "layer_norm", "constant_norm"]
SCALINGS: tuple[Scaling, ...] = ("none", "factor", "layer_norm", "constant_norm")
_EPSILON = 1e-5


@dataclass(frozen=True)
class Normalization:
    """x = shift + size · inner: the dictionary reads `inner`.

    center: the mean over d_in is taken away, as folded TransformerLens models have no mean.
    scale: "none"; "factor", inner = factor · x, the same for every x; "layer_norm", each x less its
    mean and divided by its standard deviation; "constant_norm", each x of length √d_in.

    Raises `ValueError` for another scale, and for a factor that is not a positive number.
    """

    center: bool = False
    scale: Scaling = "none"
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.scale not in SCALINGS:
            raise ValueError(f"scale is one of {', '.join(SCALINGS)}; got {self.scale!r}.")
        if not 0 < self.factor < float("inf"):
            raise ValueError(f"A normalisation factor is a positive number; got {self.factor!r}.")
        if self.factor != 1 and self.scale != "factor":
            raise ValueError(
                f"A factor goes with scale='factor'; got {self.factor!r} with {self.scale!r}."
            )

    @property
    def per_row(self) -> bool:
        """Whether shift or size depend on the activation, so that decoding needs it again."""
        return self.center or self.scale in ("layer_norm", "constant_norm")

    def split(
        self, x: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | float, torch.Tensor | float]:
        """inner (…, d_in), shift and size (…, 1), so that x = shift + size · inner."""
        shift: torch.Tensor | float = 0.0
        if self.center or self.scale == "layer_norm":
            shift = x.mean(-1, keepdim=True)
            x = x - shift
        if self.scale == "none":
            return x, shift, 1.0
        if self.scale == "factor":
            return x * self.factor, shift, 1 / self.factor
        if self.scale == "layer_norm":
            size = x.std(-1, keepdim=True) + _EPSILON
        else:
            # Not added, so that all but a vector of 0 is scaled exactly, as sae-lens does.
            size = (x.norm(dim=-1, keepdim=True) / x.shape[-1] ** 0.5).clamp(min=_EPSILON)
        return x / size, shift, size
