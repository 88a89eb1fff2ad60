"""Concept vectors, and what an unlearning did to them, as pictures."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from ..plots import POSITIVE, new_axes, shown_token, signs
from ..weights.concepts import ConceptVectors
from ..weights.traces import Traces


def concept_vectors(result: ConceptVectors, *, n: int = 20, ax: Axes | None = None) -> Axes:
    """The first `n` vectors as bars, their own words beside them.

    Bars are what is lost without each alone where vectors were chosen by ablation, else the scores.
    """
    n = min(n, len(result.neurons))
    ax = new_axes(ax, 8.6, 1.5 + 0.3 * n)
    values = (result.scores if result.lost is None else result.lost)[:n]
    colors = signs(values)
    rows = np.arange(n)
    ax.barh(rows, values, color=colors, alpha=0.6, height=0.7)
    ax.axvline(0, color="0.7", linewidth=1, zorder=0)
    ax.set_yticks(rows, [_short(name) for name in result.neurons[:n]])
    right = ax.secondary_yaxis("right")
    words = [", ".join(shown_token(w, 12) for w in own[:4]) for own in result.own_words[:n]]
    right.set_yticks(rows, words)
    right.tick_params(length=0, labelsize=8)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xlabel(
        "score of the words (standard deviations)"
        if result.lost is None
        else "log-probability of the answers lost without this vector alone (nats)"
    )
    ax.set_title(f"{result.model}: value vectors for {_named(result.words)}")
    for axis in (ax, right):
        axis.spines[["top", "right"]].set_visible(False)
    return ax


def traces(result: Traces, *, ax: Axes | None = None) -> Axes:
    """How far each of the concept's vectors moved, and the others of their layers."""
    ax = new_axes(ax, 7.0, 3.6)
    own, others = (100 * result.of_kind("change", kind) for kind in ("concept", "control"))
    # One scale for both, and room for a single value.
    bins = np.linspace(0, max(float(own.max()), float(others.max()), 1e-6) * 1.05, 30).tolist()
    for values, color, name in (
        (others, "0.55", f"others of their layers ({len(others)})"),
        (own, POSITIVE, f"the concept's vectors ({len(own)})"),
    ):
        share = np.full(len(values), 1 / len(values))
        ax.hist(values, bins=bins, weights=share, color=color, alpha=0.55, label=name)
        ax.axvline(float(values.mean()), color=color, linewidth=1.5)
    ax.set_xlabel("how far a value vector moved (% of its length; lines: the means)")
    ax.set_ylabel("share of the vectors")
    ax.set_title(f"{result.after}: {_named(result.words)}", fontsize=10)
    ax.legend(fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _short(name: str) -> str:
    return name.replace(".mlp_post", "")


def _named(words: tuple[str, ...]) -> str:
    return ", ".join(shown_token(w) for w in words[:3]) + (", …" if len(words) > 3 else "")
