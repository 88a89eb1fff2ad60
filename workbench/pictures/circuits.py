"""Circuits, their scores and ablations as pictures."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from ..circuits.ablation import Ablation
from ..circuits.circuit import Circuit
from ..circuits.components import graph_edges, node_ids, node_layers
from ..effects import Effects
from .attribution import NEGATIVE, POSITIVE

#: Reader channels enter a head at these places below it, in units of its width.
PORTS = {"q": -0.12, "k": 0.0, "v": 0.12, "": 0.0}


def circuit(result: Circuit, *, labels: bool = True, ax: Axes | None = None) -> Axes:
    """Layers upwards, heads and then the MLP from left to right; edges by sign and weight.

    Nodes that are not in the circuit are left out. q, k and v enter a head left, middle and right.
    """
    parts = result.parts
    edges = list(graph_edges(parts, result.kept))
    used = sorted({end for source, target, *_ in edges for end in (source, target)})
    width = parts.n_heads + 1
    if ax is None:
        size = max(5.0, 1.15 * width), max(3.6, 1.15 * (parts.n_layers + 2))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    layers, ids = node_layers(parts), node_ids(parts)

    def place(node: int) -> tuple[float, float]:
        if node in (0, len(parts.writers)):
            return (width - 1) / 2, float(layers[node])
        inside = (node - 1) % width
        # The MLP reads what the heads of its layer write: a step further up.
        return float(inside), float(layers[node]) + (0.35 if inside == width - 1 else 0.0)

    most = max((abs(float(result.scores[s, r])) for s, _, r, _ in edges), default=1.0) or 1.0
    for source, target, reader, channel in sorted(
        edges, key=lambda e: abs(float(result.scores[e[0], e[2]]))
    ):
        weight = float(result.scores[source, reader])
        (x, y), (to_x, to_y) = place(source), place(target)
        ax.annotate(
            "",
            (to_x + PORTS[channel], to_y - 0.13),
            xytext=(x, y + 0.13),
            arrowprops={
                "arrowstyle": "-|>,head_width=0.15,head_length=0.3",
                "color": POSITIVE if weight >= 0 else NEGATIVE,
                "linewidth": 0.5 + 3.0 * abs(weight) / most,
                "alpha": 0.25 + 0.65 * abs(weight) / most,
                "shrinkA": 0,
                "shrinkB": 0,
                "connectionstyle": f"arc3,rad={0.12 if to_y - y > 1.2 else 0.0}",
            },
        )
    for node in used:
        x, y = place(node)
        ax.text(
            x,
            y,
            ids[node] if labels else "",
            ha="center",
            va="center",
            fontsize=8,
            bbox={"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "0.4"},
        )
    ax.set_xlim(-0.8, width - 0.2)
    ax.set_ylim(-1.5, parts.n_layers + 0.5)
    ax.set_yticks(range(parts.n_layers), [f"layer {layer}" for layer in range(parts.n_layers)])
    ax.set_xticks([])
    ax.spines[["top", "right", "bottom", "left"]].set_visible(False)
    ax.tick_params(left=False)
    ax.set_title(
        f"{result.model}, {result.task}: {result.n_edges} of {parts.n_edges} edges, {result.method}"
    )
    return ax


def evaluation(result: Effects, *, ax: Axes | None = None) -> Axes:
    """Faithfulness over the share of edges kept, a line for each reference; the circuit and its
    complement with 95 % intervals, and the random circuits of the same size as crosses.
    """
    if ax is None:
        ax = plt.subplots(figsize=(7.2, 4.6), layout="constrained")[1]
    frame: Any = result.to_frame()
    controls, beside = result.effect(of="controls")[:, 0], np.array(result.controls["reference"])
    references = list(dict.fromkeys(frame.reference))
    palette = sns.color_palette("colorblind", len(references))
    for i, (name, color) in enumerate(zip(references, palette, strict=True)):
        own = frame[frame.reference == name]
        curve = own[own.change == "top"].sort_values("fraction")
        x = 100 * curve.fraction.astype(float)
        ax.plot(x, curve.effect, color=color, label=name, linewidth=1.5)
        # Side by side, since they share one size.
        circuit = own[own.change == "inside"].iloc[0]
        at = 100 * circuit.fraction * 1.07 ** (i - (len(palette) - 1) / 2)
        for change, mark in (("inside", "o"), ("outside", "v")):
            scores = own[own.change == change].iloc[0]
            ax.plot([at, at], [scores.low, scores.high], color=color, linewidth=1.5)
            ax.plot([at], [scores.effect], mark, color=color, markeredgecolor="white")
        scores = controls[beside == name]
        ax.plot(np.full(len(scores), at), scores, "x", color=color, markersize=5, alpha=0.7)
    for level in (0.0, 1.0):
        ax.axhline(level, color="0.8", linewidth=1, zorder=0)
    for mark, text in (("o", "the circuit"), ("v", "its complement"), ("x", "random circuits")):
        ax.plot([], [], mark, color="0.4", label=text)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("edges kept (% of the model's)")
    ax.set_ylabel("faithfulness (0 = all ablated, 1 = whole model)")
    ax.set_title(f"{result.model}, {result.what}")
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def ablation(result: Ablation, *, ax: Axes | None = None) -> Axes:
    """Each example's metric clean, ablated and corrupt, joined by a line; the means stand out."""
    if ax is None:
        ax = plt.subplots(figsize=(5.6, 4.0), layout="constrained")[1]
    values = np.stack([result.clean, result.ablated, result.corrupt])
    ax.plot([0, 1, 2], values, color="0.75", linewidth=0.7, alpha=0.6)
    ax.plot([0, 1, 2], values.mean(1), "o-", color=POSITIVE, linewidth=2)
    ax.axhline(0, color="0.8", linewidth=1, zorder=0)
    ax.set_xticks([0, 1, 2], ["clean", "ablated", "corrupt"])
    ax.set_xlim(-0.3, 2.3)
    ax.set_ylabel(result.metric_name.replace("_", " "))
    some = ", ".join(map(str, result.cuts[:2])) + (", …" if len(result.cuts) > 2 else "")
    ax.set_title(f"{result.task}: {some}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
