"""Feature circuits as pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.patches import FancyBboxPatch

from ..features.circuit import FeatureCircuit
from ..plots import NEGATIVE, POSITIVE

#: The streams of a layer, in the order of a pass, and their names.
LANES = {"attn_out": "attention", "mlp_out": "MLP", "resid_post": "residual stream"}
#: Boxes of nodes, in units of the distance between lanes and between rows.
_WIDTH, _HEIGHT = 0.68, 0.72
#: Rows between two layers.
_BETWEEN = 1.2


def feature_circuit(
    result: FeatureCircuit,
    *,
    labels: Mapping[str, str] | None = None,
    n_nodes: int = 40,
    n_edges: int = 80,
    ax: Axes | None = None,
) -> Axes:
    """Layers upwards, attention, MLP and residual stream side by side; edges by sign and weight.

    labels: words for nodes, by name. Boxes are coloured by effect, blue for positive, those of
    errors are dashed. Only the `n_nodes` nodes of the largest absolute effect and, between them and
    to the logits, the `n_edges` edges of the largest absolute weight are drawn.
    """
    logits = len(result.nodes)
    strongest = np.argsort(-np.abs(result.effects), kind="stable")[:n_nodes]
    places, bands = _places(result, sorted(strongest.tolist()))
    height = max(bands.values(), key=lambda band: band[1])[1] + _BETWEEN
    places[logits] = (1.0, height)
    if ax is None:
        size = 11.0, 1.4 + 0.27 * (height + 1.5)
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    there = np.flatnonzero(
        [
            s in places and t in places
            for s, t in zip(result.sources.tolist(), result.targets.tolist(), strict=True)
        ]
    )
    drawn = there[np.argsort(-np.abs(result.weights[there]), kind="stable")[:n_edges]]
    most = float(np.abs(result.weights[drawn]).max(initial=0.0)) or 1.0
    for edge in drawn[::-1].tolist():
        weight = float(result.weights[edge])
        start, end, bend = _ends(
            places[int(result.sources[edge])], places[int(result.targets[edge])], height
        )
        ax.annotate(
            "",
            end,
            xytext=start,
            arrowprops={
                "arrowstyle": "-|>,head_width=0.12,head_length=0.25",
                "color": POSITIVE if weight >= 0 else NEGATIVE,
                "linewidth": 0.4 + 2.6 * abs(weight) / most,
                "alpha": 0.2 + 0.6 * abs(weight) / most,
                "shrinkA": 0,
                "shrinkB": 0,
                "connectionstyle": f"arc3,rad={bend}",
            },
        )
    largest = float(np.abs(result.effects).max(initial=0.0)) or 1.0
    for node, (x, y) in places.items():
        name = result.ids[node]
        effect = 0.0 if node == logits else float(result.effects[node])
        share = 0.5 * abs(effect) / largest
        color = np.array(to_rgb(POSITIVE if effect >= 0 else NEGATIVE))
        ax.add_patch(
            FancyBboxPatch(
                (x - _WIDTH / 2, y - _HEIGHT / 2),
                _WIDTH,
                _HEIGHT,
                boxstyle="round,pad=0,rounding_size=0.04",
                mutation_aspect=6,
                facecolor=tuple(share * color + (1 - share)),
                edgecolor="0.35",
                linewidth=0.8,
                linestyle="--" if name.endswith("/error") else "-",
                zorder=3,
            )
        )
        text = name.rpartition("/")[2]
        if (label := (labels or {}).get(name, result.labels[node])) != name:
            text = f"{text}  {_short(label, 34)}"
        if node == logits:
            text = result.metric_name.replace("_", " ")
        ax.text(x, y, text, ha="center", va="center", fontsize=7, zorder=4)
    for layer, (low, high) in bands.items():
        ax.axhspan(low - 0.55, high + 0.55, color="0.965", zorder=0)
        ax.text(
            -0.56,
            (low + high) / 2,
            f"layer {layer}",
            rotation=90,
            ha="center",
            va="center",
            fontsize=9,
        )
    for lane, title in enumerate(LANES.values()):
        ax.text(lane, -1.25, title, ha="center", va="center", fontsize=9)
    ax.set_xlim(-0.65, 2.65)
    ax.set_ylim(-1.7, height + 0.7)
    ax.axis("off")
    ax.set_title(
        f"{result.model}, {result.task}: {len(result.features)} features, {len(result.errors)} "
        f"errors, {result.method}\ndrawn are the {len(strongest)} of {logits} nodes and "
        f"{len(drawn)} of {len(result.weights)} edges that are largest",
        fontsize=10,
    )
    return ax


def _places(
    result: FeatureCircuit, nodes: list[int]
) -> tuple[dict[int, tuple[float, float]], dict[int, tuple[float, float]]]:
    """Where each node stands, and from where to where each layer reaches."""
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    lanes = list(LANES)
    for node in nodes:
        stream = result.nodes[node].rpartition("/")[0].partition(".")[2]
        # Streams that no lane is named after (a transcoder's, or what enters a block) stand with
        # the residual stream.
        lane = lanes.index(stream) if stream in LANES else len(lanes) - 1
        cells[int(result.layers[node]), lane].append(node)
    places: dict[int, tuple[float, float]] = {}
    bands: dict[int, tuple[float, float]] = {}
    base = 0.0
    for layer in sorted({layer for layer, _ in cells}):
        rows = max(len(cells.get((layer, lane), ())) for lane in range(len(lanes)))
        for lane in range(len(lanes)):
            # The largest effects on top; a short column stands in the middle of its layer.
            column = sorted(cells.get((layer, lane), ()), key=lambda i: abs(result.effects[i]))
            for row, node in enumerate(column):
                places[node] = (float(lane), base + row + (rows - len(column)) / 2)
        bands[layer] = (base, base + rows - 1)
        base += rows + _BETWEEN
    return places, bands


def _ends(
    source: tuple[float, float], target: tuple[float, float], top: float
) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Where an edge leaves a box and enters another, and how much it bends."""
    (x, y), (to_x, to_y) = source, target
    half = _WIDTH / 2
    if to_y == top:
        shift = 0.3 * _WIDTH * (x - to_x)
        side = half if x <= to_x else -half
        return (x + side, y), (to_x + shift, to_y - _HEIGHT / 2), 0.0
    if x == to_x:
        return (x + half, y), (to_x + half, to_y), 0.25
    side = half if to_x > x else -half
    return (x + side, y), (to_x - side, to_y), 0.0


def _plain(text: str) -> str:
    # matplotlib reads text between dollar signs as mathematics.
    return text.replace("$", r"\$")


def _short(text: str, longest: int) -> str:
    if len(text) > longest:
        text = text[: longest - 1].rstrip(" ,…") + "…"
    return _plain(text)
