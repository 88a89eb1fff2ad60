"""Alignments of two models, and what stitching by them brings back, as pictures."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from ..compare.align import CONTROLS, WeightAlignment
from ..compare.stitch import Stitching
from ..plots import NAMED, new_axes
from .marks import POSITIVE

#: What is drawn of each control, in the order of `CONTROLS`.
_CHANCE = {"tokens": ("permuted tokens", "0.55"), "units": ("mixed units", "#e08214")}
#: Stand-ins worse than this share are drawn at the edge, with an arrow.
_WORST = -1.0


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
    most = max(float(np.abs(values).max()), 1e-6)
    image = ax.imshow(values, cmap="RdBu", vmin=-most, vmax=most, origin="lower", aspect="auto")
    if values.size <= 150:
        for (a, b), value in np.ndenumerate(values):
            color = "white" if abs(value) > 0.65 * most else "black"
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


def stitching(result: Stitching, *, ax: Axes | None = None) -> Axes:
    """Each component as a row: the share that its partner brings back with its 95 % interval, the
    best unit by activation and the random ones. What is below −1 is drawn at the edge.
    """
    n = len(result.components)
    ax = new_axes(ax, 8.2, 1.9 + 0.27 * n)
    rows = np.arange(n)[::-1]

    def put(values: np.ndarray, at: np.ndarray, mark: str, label: str | None, **style: Any) -> None:
        inside = values >= _WORST
        style = {"linestyle": "", "color": "0.6", "markersize": 5} | style
        ax.plot(values[inside], at[inside], marker=mark, label=label, **style)
        style |= {"markersize": 4, "markerfacecolor": style["color"]}
        ax.plot(np.full((~inside).sum(), _WORST), at[~inside], marker="<", **style)

    shares = result.shares
    for number in range(2, shares.shape[1]):
        label = "random units" if number == 2 else None
        put(shares[:, number], rows - 0.18, "x", label, zorder=1)
    best: dict[str, Any] = {"color": "#1b7837", "markerfacecolor": "white", "markersize": 7}
    put(shares[:, 1], rows, "D", "best by activation", zorder=2, **best)
    put(shares[:, 0], rows, "o", "partner", color=POSITIVE, zorder=4)
    for row, component in zip(rows, result.components, strict=True):
        low, high = np.clip(result.interval(component), _WORST, None)
        ax.plot([low, high], [row, row], color=POSITIVE, linewidth=1.5, zorder=3)
    for level in (0.0, 1.0):
        ax.axvline(level, color="0.85", linewidth=1, zorder=0)
    names = [f"{b} ← {a}" for b, a in zip(result.components, result.partners, strict=True)]
    ax.set_yticks(rows, names, fontsize=8)
    ax.set_ylim(-0.7, n - 0.3)
    ax.set_xlim(_WORST - 0.06, 1.06)
    ax.set_xlabel("damage of ablation brought back (0 = its mean, 1 = itself)", fontsize=9)
    median, low, high = result.overall()
    ax.set_title(
        f"{result.over} of {result.model_b} ← units of {result.model}: "
        f"median {median:.2f} [{low:.2f}, {high:.2f}]",
        fontsize=10,
    )
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
