"""Stitch fits: means and correlations of two models' units over texts, and what they give.

Everything is a sum over texts, positions (and, of patterns, sources), so that nothing of the length
of the texts is kept but the mean pattern of each head.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...model import Model
from .stitch_texts import StitchTexts


@dataclass(frozen=True, eq=False)
class Fit:
    """What the fitted texts say of some units of b and of every unit of some layers of a.

    mean_a (unit, …), mean_b (component, …): the mean activation, or the mean pattern (dst, src).
    slope: (component, unit) of the least squares of b's activation on a's, 1 for patterns.
    correlation: (component, unit) Pearson's, of deviations from the means.
    """

    mean_a: torch.Tensor
    mean_b: torch.Tensor
    slope: np.ndarray
    correlation: np.ndarray

    def stand_in(self, component: int, unit: int, values: torch.Tensor) -> torch.Tensor:
        """(text, …): what is put in for b's component where a's unit has these values."""
        if values.ndim == 3:  # a pattern is one in either model
            return values
        mean_a, mean_b = self.mean_a[unit], self.mean_b[component]
        return mean_b + float(self.slope[component, unit]) * (values - mean_a)


def fit(
    texts: StitchTexts,
    layers_a: Sequence[int],
    components: Sequence[tuple[int, int]],
) -> Fit:
    """components: (layer, unit) in b. Units of a are numbered through `layers_a`."""
    mean_a = mean_values(texts, texts.model_a, layers_a)
    layers_b = sorted({layer for layer, _ in components})
    rows = rows_of(texts, layers_b, components)
    mean_b = mean_values(texts, texts.model_b, layers_b)[rows]
    found = moments(texts, texts.fit, layers_a, layers_b, rows, mean_a, mean_b)
    slope = found.slope() if texts.of == "neurons" else np.ones_like(found.cross)
    return Fit(mean_a, mean_b, slope, found.correlation())


def held_out_correlation(
    texts: StitchTexts,
    fitted: Fit,
    layers_a: Sequence[int],
    components: Sequence[tuple[int, int]],
) -> np.ndarray:
    """(component, unit) Pearson's over the texts that were not fitted."""
    layers_b = sorted({layer for layer, _ in components})
    rows = rows_of(texts, layers_b, components)
    means = fitted.mean_a, fitted.mean_b
    return moments(texts, texts.held_out, layers_a, layers_b, rows, *means).correlation()


def mean_values(texts: StitchTexts, model: Model, layers: Sequence[int]) -> torch.Tensor:
    """(unit,) the mean activation over the fitted texts' positions, or (unit, dst, src)."""
    n, longest = len(layers) * texts.n_units(model), texts.longest
    if texts.of == "neurons":
        total, count = torch.zeros(n, dtype=torch.float64), torch.zeros(1)
    else:
        total = torch.zeros(n, longest, longest, dtype=torch.float64)
        count = torch.zeros(longest, 1)
    for _, ids in texts.parts(texts.fit):
        values = texts.values(model, model.tokens(ids), layers).cpu().double()
        if texts.of == "neurons":
            total += values.sum((1, 2))
            count += values[0].numel()
        else:
            length = values.shape[-1]
            total[:, :length, :length] += values.sum(1)
            count[:length] += len(ids)
    return (total / count).float()


def moments(
    texts: StitchTexts,
    which: Sequence[int],
    layers_a: Sequence[int],
    layers_b: Sequence[int],
    rows_b: Sequence[int],
    mean_a: torch.Tensor,
    mean_b: torch.Tensor,
) -> Moments:
    """Of the deviations from the given means, over some of the texts."""
    out = Moments.zeros(len(rows_b), len(mean_a))
    for _, ids in texts.parts(which):
        each = []
        for model, layers, rows, mean in (
            (texts.model_a, layers_a, None, mean_a),
            (texts.model_b, layers_b, list(rows_b), mean_b),
        ):
            values = texts.values(model, model.tokens(ids), layers).cpu()
            values = values if rows is None else values[rows]
            length = values.shape[-1]
            center = mean[:, None, None] if mean.ndim == 1 else mean[:, None, :length, :length]
            each.append((values - center).double().flatten(1).numpy())
        out.add(*each)
    return out


def rows_of(
    texts: StitchTexts, layers: Sequence[int], components: Sequence[tuple[int, int]]
) -> list[int]:
    """The number of each of b's components among all units of these layers."""
    n = texts.n_units(texts.model_b)
    return [layers.index(layer) * n + unit for layer, unit in components]


@dataclass(eq=False)
class Moments:
    """Running sums over positions of y (component) and x (unit), of their squares and products."""

    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    cross: np.ndarray

    @classmethod
    def zeros(cls, n_components: int, n_units: int) -> Moments:
        x, y = np.zeros(n_units), np.zeros(n_components)
        return cls(0, x, y, x.copy(), y.copy(), np.zeros((n_components, n_units)))

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        self.n += x.shape[1]
        self.x += x.sum(1)
        self.y += y.sum(1)
        self.xx += (x * x).sum(1)
        self.yy += (y * y).sum(1)
        self.cross += y @ x.T

    def _variances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n times the variance of x, of y, and their covariance."""
        return (
            (self.xx - self.x**2 / self.n).clip(min=0),
            (self.yy - self.y**2 / self.n).clip(min=0),
            self.cross - np.outer(self.y, self.x) / self.n,
        )

    def slope(self) -> np.ndarray:
        """(component, unit); 0 where x never changes."""
        x, _, cross = self._variances()
        return np.where(x > 0, cross / np.where(x > 0, x, 1), 0)

    def correlation(self) -> np.ndarray:
        """(component, unit); 0 where either never changes."""
        x, y, cross = self._variances()
        size = np.sqrt(np.outer(y, x))
        return np.where(size > 0, cross / np.where(size > 0, size, 1), 0).clip(-1, 1)
