"""Circuits and their scores as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from ..effects import Effects
from ..plots import new_axes, put_legend, put_title


def evaluation(result: Effects, *, ax: Axes | None = None) -> Axes:
    """Faithfulness over the share of edges kept, a line for each reference; the circuit and its
    complement with 95 % intervals, and the random circuits of the same size as crosses.
    """
    ax = new_axes(ax, 7.2, 4.6)
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
    put_title(ax, f"{result.model}: {result.what}")
    put_legend(ax, True, outside=True)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
