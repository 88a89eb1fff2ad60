"""Attribution and its check as pictures."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..circuits.attribution import Attribution, AttributionCheck
from ..circuits.paths import PathPatching

#: The signs of the other views: blue gives more of the metric, red less.
POSITIVE, NEGATIVE = "#2166ac", "#b2182b"


def attribution(result: Attribution, *, top: int = 20, ax: Axes | None = None) -> Axes:
    """The items with the largest absolute scores as bars, the largest first."""
    order = result.ranking()[:top]
    names = [result.name(int(item)) for item in order]
    if (result.positions >= 0).any():
        names = [f"{name} @{result.positions[i]}" for name, i in zip(names, order, strict=True)]
    ax = _bars(names, result.scores[order], ax)
    ax.set_xlabel("score (1 = the whole difference between clean and corrupt)")
    ax.set_title(f"{result.model}, {result.task}: {result.over} by {result.method}")
    return ax


def path_patching(result: PathPatching, *, ax: Axes | None = None) -> Axes:
    """The effect on each example as a dot, and their mean with its 95 % interval."""
    if ax is None:
        ax = plt.subplots(figsize=(6.5, 2.2), layout="constrained")[1]
    clean, corrupt, patched = (
        x.astype(np.float64) for x in (result.clean, result.corrupt, result.patched)
    )
    moved = patched - corrupt if result.direction == "denoise" else clean - patched
    each = moved / (clean - corrupt).mean()
    spread = np.random.default_rng(0).uniform(-0.2, 0.2, len(each))
    ax.plot(each, spread, "o", color="0.6", markersize=4, alpha=0.7)
    low, high = result.interval()
    ax.plot([low, high], [0, 0], color=POSITIVE, linewidth=2)
    ax.plot([result.effect], [0], "D", color=POSITIVE)
    ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    ax.set(yticks=[], ylim=(-0.5, 0.5), xlabel="effect (0 = nothing, 1 = the whole difference)")
    ax.set_title(f"{result.sender} → {', '.join(result.receivers)} through {result.through}")
    return ax


def attribution_check(result: AttributionCheck, *, named: int = 6, ax: Axes | None = None) -> Axes:
    """Approximate against exact scores, the diagonal, and the names of the largest errors."""
    if ax is None:
        ax = plt.subplots(figsize=(5.6, 5.2), layout="constrained")[1]
    exact, guess = result.exact, result.approximate
    both = np.concatenate([exact, guess])
    room = 0.06 * max(float(np.ptp(both)), 1e-6)
    ends = [float(both.min()) - room, float(both.max()) + room]
    ax.plot(ends, ends, color="0.7", linewidth=1, zorder=0)
    ax.plot(exact, guess, "o", color="0.35", markersize=4, alpha=0.6)
    worst = np.argsort(-np.abs(guess - exact), kind="stable")[:named]
    taken: list[float] = []
    for item in sorted(worst.tolist(), key=lambda i: float(guess[i])):
        # One line of text each, the next one up where two would overlap.
        height = float(guess[item])
        while any(abs(height - other) < 0.8 * room for other in taken):
            height += 0.4 * room
        taken.append(height)
        right = exact[item] > np.mean(ends)
        ax.annotate(
            result.names[item],
            (float(exact[item]), float(guess[item])),
            xytext=(float(exact[item]) + (-room if right else room), height),
            ha="right" if right else "left",
            va="center",
            fontsize=7,
            color="0.25",
            arrowprops={"arrowstyle": "-", "color": "0.8", "linewidth": 0.6},
        )
    ax.set(xlim=ends, ylim=ends, aspect="equal")
    ax.set_xlabel("exact: patched by itself")
    ax.set_ylabel(f"approximate: {result.method}")
    ax.set_title(
        f"{result.model}, {result.task}: {len(exact)} {result.over}, r = {result.pearson:.3f}"
    )
    return ax


def _bars(names: list[str], values: np.ndarray, ax: Any) -> Axes:
    if ax is None:
        ax = plt.subplots(figsize=(7.0, 1.2 + 0.24 * len(names)), layout="constrained")[1]
    colors = [POSITIVE if value >= 0 else NEGATIVE for value in values]
    ax.barh(range(len(names)), values, color=colors, height=0.75)
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.invert_yaxis()
    ax.axvline(0, color="0.4", linewidth=0.8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
