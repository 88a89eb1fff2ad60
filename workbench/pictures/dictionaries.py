"""The check of a dictionary as a picture."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from ..features.check import ENOUGH, DictionaryCheck
from ..plots import POSITIVE

#: An explained variance below this is drawn as this, its number beside it: it has no lower end.
LOWEST = -0.5


def dictionary_check(result: DictionaryCheck, *, ax: Axes | None = None) -> Axes:
    """Explained variance as the dictionary is and under other normalisations, L0 beside each bar.

    The lower, paler bar of each pair is over all positions, the upper one without first tokens.
    """
    n = len(result.variants)
    if ax is None:
        ax = plt.subplots(figsize=(7.0, 1.5 + 0.55 * n), layout="constrained")[1]
    at = np.arange(n)
    pairs = ((result.explained_after_first, -0.2, 1.0), (result.explained_variance, 0.2, 0.4))
    for values, shift, alpha in pairs:
        shown = np.clip(np.nan_to_num(values), LOWEST, 1)
        colors = [POSITIVE if i == 0 else "0.55" for i in range(n)]
        ax.barh(at + shift, shown, 0.36, color=colors, alpha=alpha)
    for y, explained, l0 in zip(at.tolist(), result.score, result.l0, strict=True):
        text = f"{explained:.3f}, L0 {l0:.1f}"
        ax.text(1.02, y, text, transform=ax.get_yaxis_transform(), va="center", fontsize=9)
    ax.axvline(0, color="0.5", linewidth=1)
    ax.axvline(ENOUGH, color="0.7", linewidth=1, linestyle=":")
    ax.set_yticks(at, [name.replace("$", r"\$") for name in result.variants])
    ax.invert_yaxis()
    ax.set_xlim(min(0.0, float(np.clip(result.explained_variance, LOWEST, 0).min())) - 0.02, 1.0)
    ax.set_xlabel("explained variance (dark: without first tokens; pale: all positions)")
    where = result.site if result.site == result.out_site else f"{result.site} → {result.out_site}"
    ax.set_title(f"{result.model}: {result.kind} dictionary at {where}", fontsize=11)
    ax.spines[["top", "right"]].set_visible(False)
    return ax
