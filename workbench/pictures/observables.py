"""The attribution of an observable as a picture."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..plots import new_axes, signs
from ..vocabulary.observable_attribution import ObservableAttribution
from ..vocabulary.observable_gradient import path_name


def observable_attribution(
    result: ObservableAttribution, *, top: int = 15, ax: Axes | None = None
) -> Axes:
    """Each component's contribution to every prompt as a dot and its mean as a bar.

    The `top` components whose contributions spread farthest are shown, in the order of a pass, the
    last at the top.
    """
    each = result.contributions
    chosen = np.sort(np.argsort(-each.std(0), kind="stable")[:top])
    ax = new_axes(ax, 6.4, 1.2 + 0.3 * len(chosen))
    means = each[:, chosen].mean(0)
    colors = signs(means)
    rows = np.arange(len(chosen))
    ax.barh(rows, means, color=colors, height=0.7, alpha=0.5)
    jitter = np.random.default_rng(0).uniform(-0.25, 0.25, (len(each), 1))
    ax.plot(each[:, chosen], rows + jitter, "o", color="0.25", markersize=2, alpha=0.5)
    ax.axvline(0, color="0.8", linewidth=1, zorder=0)
    names = [f"{result.components[i]}  ({result.shares[i]:+.0%})" for i in chosen]
    ax.set_yticks(rows, names, fontsize=8)
    ax.set_xlabel(f"contribution to {_plain(result.observable)} (logits); share of its variance")
    by = f" by {path_name(result.path)}" if result.path else ""
    ax.set_title(f"{result.model}: {_plain(result.observable)}{by}", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _plain(name: str) -> str:
    """A name with tokens in it for running text of a picture."""
    return " ".join(name.replace("$", r"\$").replace("\n", "↵").split())
