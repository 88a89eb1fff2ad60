"""Feature flow and matches as pictures."""

from __future__ import annotations

from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ..features.flow import FeatureFlow
from ..features.matching import CLASSES, FeatureMatches

#: The colours of the GraphView widget.
COLORS = {
    "carried": "#2f7fd0",
    "processed": "#2a9455",
    "newborn": "#d8602a",
    "unexplained": "#8a8420",
    "first": "#8e6ae0",
    "module": "#85858f",
    "dead": "#c8c8ce",
}
_ORDER = ("mlp", "resid", "attn")
_TITLES = {"mlp": "MLP", "resid": "residual stream", "attn": "attention"}
#: Above so many features in one lane of a layer their names would not be readable.
_NAMED = 6
#: Of more nodes than this only those with an edge are drawn.
_EVERY = 60


def feature_flow(result: FeatureFlow, *, labels: bool = True, ax: Axes | None = None) -> Axes:
    """Layers upwards, the residual stream between MLP and attention; edges by similarity.

    Nodes are coloured by class, roots have a thick border, a bar above a node says that it ends
    there. labels: whether nodes carry their label; left out where there are too many. Of more than
    60 nodes only those with an edge are drawn.
    """
    cells = _cells(result)
    widest = {
        lane: max((len(c) for (own, _), c in cells.items() if own == lane), default=0)
        for lane in _ORDER
    }
    named = labels and max(widest.values()) <= _NAMED
    longest = max(map(len, result.labels)) if named else 0
    step = max(1.0, 0.11 * longest) if named else 0.35
    shown = [lane for lane in _ORDER if widest[lane]]
    widths = [max(1.4, step * widest[lane]) for lane in shown]
    centers = dict(zip(shown, np.cumsum(widths) - np.array(widths) / 2, strict=True))
    place: dict[int, tuple[float, float]] = {}
    for (lane, level), nodes in cells.items():
        for i, node in enumerate(nodes):
            place[node] = (centers[lane] + step * (i - (len(nodes) - 1) / 2), level)
    levels = sorted({level for _, level in cells})
    span = levels[-1] - levels[0]
    if ax is None:
        size = min(24.0, 1.6 + sum(widths)), min(20.0, 1.6 + 1.05 * (span + 1))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    for source, target, weight in zip(result.sources, result.targets, result.weights, strict=True):
        (x, y), (to_x, to_y) = place[int(source)], place[int(target)]
        ends = {"color": "0.45", "alpha": 0.25 + 0.6 * max(0.0, float(weight)), "zorder": 1}
        ax.plot([x, to_x], [y, to_y], linewidth=0.4 + 3.2 * max(0.0, float(weight)), **ends)
        if named and len(result.weights) <= 40:
            ax.text(
                0.5 * (x + to_x),
                0.5 * (y + to_y),
                f"{weight:.2f}",
                fontsize=7,
                color="0.25",
                ha="center",
                va="center",
                bbox={"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none"},
                zorder=2,
            )
    for node, (x, y) in place.items():
        _node(ax, result, node, x, y, named)
    _frame(ax, result, shown, centers, sum(widths), levels, len(place))
    return ax


def _node(ax: Axes, result: FeatureFlow, node: int, x: float, y: float, named: bool) -> None:
    root = result.ids[node] in result.roots and len(result.roots) < len(result.classes)
    color = COLORS[result.classes[node]]
    if named:
        ax.text(
            x,
            y,
            result.labels[node].replace("$", r"\$"),
            ha="center",
            va="center",
            fontsize=8,
            color="black",
            bbox={
                "boxstyle": "round,pad=0.35",
                "facecolor": "white",
                "edgecolor": color,
                "linewidth": 3.0 if root else 1.6,
            },
            zorder=3,
        )
    else:
        ax.plot([x], [y], "o", markersize=6 if root else 4, color=color, zorder=3)
    if result.ended[node]:
        half, up = (0.12, 0.2) if named else (0.09, 0.08)
        ax.plot([x - half, x + half], [y + up, y + up], color="0.2", linewidth=1.6, zorder=3)


def _frame(
    ax: Axes,
    result: FeatureFlow,
    shown: list[str],
    centers: dict[str, float],
    width: float,
    levels: list[float],
    n_drawn: int,
) -> None:
    """Names of lanes and layers, and what the colours mean."""
    ax.set_xlim(0, width)
    ax.set_ylim(levels[0] - 0.5, levels[-1] + 0.5)
    whole = [level for level in levels if level == int(level)]
    ax.set_yticks(whole, [f"layer {int(v)}" if v >= 0 else "embedding" for v in whole])
    ax.set_xticks([centers[lane] for lane in shown], [_TITLES[lane] for lane in shown])
    ax.xaxis.tick_top()
    ax.tick_params(length=0)
    ax.spines[["top", "right", "bottom", "left"]].set_visible(False)
    there = [name for name in CLASSES if name in result.classes]
    handles = [
        Line2D([], [], marker="s", linestyle="", color=COLORS[name], label=name) for name in there
    ]
    if result.ended.any():
        handles.append(Line2D([], [], color="0.2", linewidth=1.6, label="ends here"))
    ax.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8
    )
    roots = ", ".join(result.roots[:2]) + (", …" if len(result.roots) > 2 else "")
    left = len(result.ids) - n_drawn
    rest = f"; {left} without an edge are left out" if left else ""
    ax.set_title(f"{result.model}: flow of {roots} by {result.method}{rest}", fontsize=10)


def _cells(result: FeatureFlow) -> dict[tuple[str, float], list[int]]:
    """(lane, height) → the nodes there from left to right: each above those that lead to it."""
    joined = set(result.sources.tolist()) | set(result.targets.tolist())
    every = len(result.ids) <= _EVERY or not joined
    cells: dict[tuple[str, float], list[int]] = defaultdict(list)
    for node, lane in enumerate(result.lanes):
        if every or node in joined:
            cells[lane, _level(result, node)].append(node)
    at: dict[int, float] = {}
    for key in sorted(cells, key=lambda key: key[1]):
        parents = {
            node: [at[s] for s in result.sources[result.targets == node].tolist() if s in at]
            for node in cells[key]
        }
        # Those without parents stand to the right.
        cells[key].sort(key=lambda node: float(np.mean(parents[node] or [np.inf])))
        at |= {node: i - (len(cells[key]) - 1) / 2 for i, node in enumerate(cells[key])}
    return cells


def _level(result: FeatureFlow, node: int) -> float:
    """The height of a node: after a layer its residual stream, half a step below what it writes."""
    layer = float(result.layers[node])
    if result.lanes[node] != "resid":
        return layer - 0.5
    return layer - 1 if ".resid_pre/" in result.ids[node] else layer


def feature_matches(result: FeatureMatches, *, ax: Axes | None = None) -> Axes:
    """How many features of each dictionary of the residual stream are of each class.

    The number at a bar's end says how many of them end there.
    """
    counts = result.counts()
    counts = counts[counts["module"] == 0]
    if ax is None:
        size = (7.2, 1.4 + 0.45 * max(2, len(counts)))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    left = np.zeros(len(counts))
    for name in CLASSES:
        values = np.asarray(counts[name])
        if values.any():
            ax.barh(counts.index, values, left=left, color=COLORS[name], label=name, height=0.7)
            left += values
    most = max(1.0, float(left.max()))
    last = result.leads[-1]
    for at, (site, line) in enumerate(counts.iterrows()):
        text = f"{line['ended']} end" if last[result.sites.index(str(site))] >= 0 else "the last"
        ax.text(left[at] + 0.01 * most, at, text, va="center", fontsize=8, color="0.3")
    ax.set_xlim(0, 1.14 * most)
    ax.set_xlabel("features")
    ax.set_title(f"{result.model}: where features come from, by {result.method}", fontsize=10)
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
