"""Attribution and its check as pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..circuits.paths import PathPatching

#: The signs of the other views: blue gives more of the metric, red less.
POSITIVE, NEGATIVE = "#2166ac", "#b2182b"


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
