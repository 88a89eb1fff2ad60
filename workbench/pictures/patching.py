"""Activation patching as a picture: effects by layer and position, head or neuron."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..circuits.patching import Patching
from ..plots import NAMED, shown_token

#: Cells show their number up to this many of them.
NUMBERED = 150
SCALES = {
    "denoise": "effect (0 = corrupt, 1 = clean)",
    "noise": "effect (0 = clean, 1 = corrupt)",
}


def patching(result: Patching, *, row: int | None = None, ax: Axes | None = None) -> Axes:
    """Layers upwards and positions, heads or neurons to the right, coloured by the effect.

    With heads and positions each head has a line of its own, layer by layer. row: of one example,
    with its own tokens; None for the mean over all. Below each position stands its token, clean /
    corrupt where they differ, or its number where the examples have different tokens. ax: where to
    draw. Raises `IndexError` for an example that is not there.
    """
    n = len(result.clean)
    if row is not None and not 0 <= row < n:
        raise IndexError(f"The examples are numbered 0 to {n - 1}; got row={row}.")
    values = result.mean if row is None else result.effects[row]
    across = result.by[-1]
    lines, line_axis = [f"L{layer}" for layer in result.layers], "layer"
    if len(result.by) == 3:
        mark, line_axis = ("H", "head") if result.by[1] == "head" else ("/", "neuron")
        lines = [f"{name}{mark}{unit}" for name in lines for unit in range(values.shape[1])]
    values = values.reshape(len(lines), -1)
    columns = _columns(result, row, values.shape[1])
    # Without the places that no example shown has.
    kept = np.flatnonzero(~np.isnan(values).all(0))
    values, columns = values[:, kept], [columns[c] for c in kept]
    numbered = values.size <= NUMBERED and len(columns) <= NAMED
    if ax is None:
        wide, high = (0.46, 0.3) if numbered else (0.3, 0.2)
        size = min(24.0, 2.8 + wide * len(columns)), min(20.0, 1.8 + high * len(lines))
        axes: Axes = plt.subplots(figsize=size, layout="constrained")[1]
    else:
        axes = ax
    most = max(float(np.abs(values).max()), 1e-6)
    style: dict[str, Any] = {"cmap": "RdBu", "vmin": -most, "vmax": most}
    image = axes.imshow(values, origin="lower", aspect="auto", interpolation="nearest", **style)
    if numbered:
        for (line, column), value in np.ndenumerate(values):
            # Only the ends of the colours are too dark for black; -0.00 is no number to show.
            color = "white" if abs(value) > 0.65 * most else "black"
            text = f"{round(float(value), 2) + 0.0:.2f}"
            axes.text(column, line, text, ha="center", va="center", fontsize=7, color=color)
    bar = axes.figure.colorbar(image, ax=axes, pad=0.01)
    bar.set_label(SCALES[result.direction], fontsize=8)
    bar.ax.tick_params(labelsize=8)
    step = -(-len(columns) // NAMED)
    axes.set_xticks(range(0, len(columns), step), columns[::step])
    if across in ("pos", "dst"):
        plt.setp(axes.get_xticklabels(), rotation=45, ha="right", rotation_mode="anchor")
    step = -(-len(lines) // NAMED)
    axes.set_yticks(range(0, len(lines), step), lines[::step], rotation=0)
    axes.tick_params(length=2, labelsize=8)
    axes.set_xlabel({"pos": "position", "dst": "destination", "layer": ""}.get(across, across))
    axes.set_ylabel(line_axis)
    mean = "1 example" if n == 1 else f"mean of {n} examples"
    who = mean if row is None else f"example {row}"
    axes.set_title(
        f"{result.model}, {result.task}: {result.direction} {result.over}\n{who}", fontsize=10
    )
    return axes


def _columns(result: Patching, row: int | None, n: int) -> list[str]:
    """What stands below each column."""
    if result.by[-1] == "layer":
        return ["whole layer"]
    if result.by[-1] not in ("pos", "dst"):
        return [str(unit) for unit in range(n)]
    names = [name.split(" / ") for name in result.place_names(row)]
    return [" / ".join(map(shown_token, pair)) for pair in names]
