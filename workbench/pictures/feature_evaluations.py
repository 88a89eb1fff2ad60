"""Evaluation of dictionaries against known concepts as a picture."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..features.concept_evaluation import ConceptEvaluation

#: The measures that a picture of concepts shows, their names and colours.
MEASURES = {
    "f1": ("F1 of the best feature", "#4477aa"),
    "success": ("swap gives the other answer", "#228833"),
    "kept": ("other answers kept", "#ccbb44"),
    "absorption_fraction": ("carried by other features", "#aa3377"),
}


def concept_evaluation(result: ConceptEvaluation, *, ax: Axes | None = None) -> Axes:
    """A row a dictionary: detection, swaps, what is kept and absorbed, with 95 % intervals.

    A grey line is what exchanging the whole activation does at the site.
    """
    n = len(result.names)
    if ax is None:
        ax = plt.subplots(figsize=(8.2, 1.5 + 0.55 * n), layout="constrained")[1]
    offsets = np.linspace(-0.27, 0.27, len(MEASURES))
    for row, name in enumerate(result.names):
        whole = result.score("whole", name)[0]
        if np.isfinite(whole):
            ax.plot([whole, whole], [row - 0.4, row + 0.4], color="0.6", linewidth=1.5, zorder=1)
        for (measure, (_, color)), offset in zip(MEASURES.items(), offsets, strict=True):
            value, low, high = result.score(measure, name)
            if not np.isfinite(value):
                continue
            if np.isfinite(low):
                ax.plot([low, high], [row + offset] * 2, color=color, linewidth=1.6)
            ax.plot([value], [row + offset], "o", color=color, markersize=5.5)
    for label, color in MEASURES.values():
        ax.plot([], [], "o", color=color, label=label)
    ax.plot([], [], color="0.6", label="whole activation exchanged")
    ax.set_yticks(range(n), result.names)
    ax.set_ylim(n - 0.5, -0.5)
    ax.set_xlim(-0.02, 1.02)
    ax.set_xlabel("score (mean over concepts, or over families of swaps)")
    for row in range(1, n):
        ax.axhline(row - 0.5, color="0.92", linewidth=1, zorder=0)
    ax.set_title(
        f"{result.model}: {len(result.concepts)} concepts, {len(result.swap_families)} swaps",
        fontsize=10,
    )
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
