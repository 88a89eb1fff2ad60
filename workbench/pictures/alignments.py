"""Alignments of two models as pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from ..compare.align import CONTROLS, WeightAlignment
from ..plots import NAMED, POSITIVE, around_zero, new_axes, readable

#: What is drawn of each control, in the order of `CONTROLS`.
_CHANCE = {"tokens": ("permuted tokens", "0.55"), "units": ("mixed units", "#e08214")}


def weight_alignment(
    result: WeightAlignment,
    *,
    over: Literal["pairs", "layers"] = "pairs",
    ax: Axes | None = None,
) -> Axes:
    """over="pairs": similarities of the pairs, sorted, against those of each control, whose draws
    are a band. "layers": a heat map of how much more similar a unit's best match in each layer of b
    is than with permuted tokens. Raises `ValueError` for another.
    """
    if over == "pairs":
        return _pairs(result, ax)
    if over == "layers":
        return _layers(result, ax)
    raise ValueError(f"An alignment is drawn over 'pairs' or 'layers'; got over={over!r}.")


def _pairs(result: WeightAlignment, ax: Axes | None) -> Axes:
    ax = new_axes(ax, 6.6, 4.2)
    share = 100 * (np.arange(len(result.similarity)) + 0.5) / len(result.similarity)
    for control, draws in zip(CONTROLS, result.chance, strict=True):
        name, color = _CHANCE[control]
        each = -np.sort(-draws, axis=1)
        label = f"{name} ({100 * result.above_chance(control):.0f} % of pairs above its 95 %)"
        ax.fill_between(share, each.min(0), each.max(0), color=color, alpha=0.3, linewidth=0)
        ax.plot(share, each.mean(0), color=color, linewidth=1.5, label=label)
    values = -np.sort(-result.similarity)
    dots = "o-" if len(values) <= NAMED else "-"
    ax.plot(share, values, dots, color=POSITIVE, linewidth=2, markersize=4, label="the two models")
    ax.axhline(0, color="0.85", linewidth=1, zorder=0)
    ax.set_xlim(0, 100)
    ax.set_xlabel(f"pairs of {result.over}, the most similar first (%)")
    ax.set_ylabel(f"similarity ({', '.join(result.sides)})")
    ax.legend(fontsize=8, frameon=False, loc="upper right")
    where = "layer by layer" if result.within == "layer" else "over all layers"
    ax.set_title(f"{result.model} and {result.model_b}, {where}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _layers(result: WeightAlignment, ax: Axes | None) -> Axes:
    n_a, n_b = result.mean.shape
    ax = new_axes(ax, 2.6 + 0.55 * n_b, 1.8 + 0.5 * n_a)
    values = result.mean - result.mean_chance
    image = ax.imshow(values, origin="lower", aspect="auto", **around_zero(values))
    if values.size <= 150:
        for (a, b), value in np.ndenumerate(values):
            color = readable(image.cmap(image.norm(value)))
            text = f"{round(float(value), 2) + 0.0:.2f}"
            ax.text(b, a, text, ha="center", va="center", fontsize=7, color=color)
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02)
    bar.set_label("similarity of the best match,\nless that with permuted tokens", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    for n, axis in ((n_b, ax.xaxis), (n_a, ax.yaxis)):
        axis.set_ticks(range(0, n, -(-n // NAMED)))
    ax.tick_params(length=2, labelsize=8)
    ax.set_xlabel(f"layer of {result.model_b}", fontsize=9)
    ax.set_ylabel(f"layer of {result.model}", fontsize=9)
    ax.set_title(f"{result.over} ({', '.join(result.sides)})", fontsize=10)
    return ax
