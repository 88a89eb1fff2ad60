"""Evaluations of dictionaries as pictures: how often features are active, and what is kept."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm

from ..features.concept_evaluation import ConceptEvaluation
from ..features.evaluate import DENSE, DictionaryEvaluation

#: Bins of the logarithm of a frequency.
N_BINS = 24
#: How many bins the dead features stand to the left of the others.
DEAD_APART = 3.0
BAR = "#4477aa"
#: The measures that a picture of concepts shows, their names and colours.
MEASURES = {
    "f1": ("F1 of the best feature", "#4477aa"),
    "success": ("swap gives the other answer", "#228833"),
    "kept": ("other answers kept", "#ccbb44"),
    "absorption_fraction": ("carried by other features", "#aa3377"),
}


def dictionary_evaluation(
    result: DictionaryEvaluation, *, name: str | None = None, ax: Axes | None = None
) -> Axes:
    """How often features are active: bars for one dictionary, a row of colours for each of several.

    name: which dictionary, by default all. Dead features stand apart at the left. The numbers are
    beside it.
    """
    names = [n for n, site in zip(result.names, result.sites, strict=True) if site]
    if name is None and len(names) > 1:
        return _rows(result, names, ax)
    return _bars(result, names[0] if name is None else str(name), ax)


def _bins(result: DictionaryEvaluation) -> np.ndarray:
    """Edges of the bins of log10 frequency, from one position of all to every one."""
    return np.linspace(-np.log10(max(int(result.n_tokens.sum()), 10)) - 1e-6, 1e-6, N_BINS + 1)


def _counts(result: DictionaryEvaluation, name: str) -> np.ndarray:
    at = result.names.index(name)
    frequency = result.frequency[at, : result.n_features[at]]
    logs = np.log10(frequency[frequency > 0], dtype=np.float64)
    return np.histogram(np.clip(logs, *_bins(result)[[0, -1]]), _bins(result))[0]


def _bars(result: DictionaryEvaluation, name: str, ax: Axes | None) -> Axes:
    if name not in result.names or not result.sites[result.names.index(name)]:
        raise ValueError(
            f"Frequencies are of one dictionary: {', '.join(n for n in result.names if n)}; got "
            f"{name!r}."
        )
    if ax is None:
        ax = plt.subplots(figsize=(7.6, 3.6), layout="constrained")[1]
    edges, counts = _bins(result), _counts(result, name)
    width = edges[1] - edges[0]
    ax.bar(edges[:-1], counts, width, align="edge", color=BAR, edgecolor="white", linewidth=0.4)
    dead_at = edges[0] - DEAD_APART * width
    ax.bar([dead_at], [len(result.dead(name))], width, color="0.6")
    ax.axvline(np.log10(DENSE), color="0.4", linewidth=1, linestyle=":")
    _frequency_axis(ax, edges, dead_at)
    ax.set_ylabel("features")
    at = result.names.index(name)
    variance, low, high = result.explained_variance(name)
    lines = [
        f"{result.kinds[at]}, {result.n_features[at]} features",
        f"explained variance {variance:.3f} [{low:.3f}, {high:.3f}]",
        f"L0 {result.l0(name):.1f}",
        *(
            f"loss recovered {value:.3f} [{low:.3f}, {high:.3f}] ({baseline})"
            for baseline in ("zero", "mean")
            for value, low, high in [result.loss_recovered(name, baseline)]
        ),
        f"KL {result.kl[at].sum() / result.n_tokens.sum():.4f} nats",
        f"dead {len(result.dead(name))}, dense {len(result.dense(name))}",
        f"{result.n_tokens.sum()} tokens",
    ]
    ax.text(
        1.03, 1.0, "\n".join(lines), transform=ax.transAxes, va="top", fontsize=9, linespacing=1.5
    )
    ax.set_title(f"{result.model}, {name}: how often features are active", fontsize=10)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _rows(result: DictionaryEvaluation, names: list[str], ax: Axes | None) -> Axes:
    if ax is None:
        size = 10.4, 2.3 + 0.3 * len(names)
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    edges = _bins(result)
    width = edges[1] - edges[0]
    counts = np.array([_counts(result, name) for name in names])
    dead = np.array([[len(result.dead(name))] for name in names])
    most = max(int(counts.max()), int(dead.max()), 1)
    style = {"cmap": "viridis", "norm": PowerNorm(0.5, 0, most)}
    rows = np.arange(len(names) + 1) - 0.5
    mesh = ax.pcolormesh(edges, rows, counts, **style)
    dead_at = edges[0] - DEAD_APART * width
    ax.pcolormesh([dead_at - width / 2, dead_at + width / 2], rows, dead, **style)
    ax.axvline(np.log10(DENSE), color="white", linewidth=1, linestyle=":")
    _frequency_axis(ax, edges, dead_at)
    ax.set_yticks(range(len(names)), names)
    ax.tick_params(axis="y", labelsize=9)
    heads = ("EV", "L0", "LR zero", "LR mean", "KL", "dead", "dense")
    places = 1.0 + np.array([0.09, 0.17, 0.29, 0.41, 0.51, 0.59, 0.68])
    for x, head in zip(places, heads, strict=True):
        ax.text(
            x,
            1.01,
            head,
            transform=ax.transAxes,
            ha="right",
            va="bottom",
            fontsize=9,
            weight="bold",
        )
    for row, name in enumerate(names):
        at = result.names.index(name)
        numbers = (
            f"{result.explained_variance(name)[0]:.3f}",
            f"{result.l0(name):.1f}",
            f"{result.loss_recovered(name)[0]:.3f}",
            f"{result.loss_recovered(name, 'mean')[0]:.3f}",
            f"{result.kl[at].sum() / result.n_tokens.sum():.3f}",
            f"{len(result.dead(name))}",
            f"{len(result.dense(name))}",
        )
        for x, number in zip(places, numbers, strict=True):
            ax.text(
                x,
                row,
                number,
                transform=ax.get_yaxis_transform(),
                ha="right",
                va="center",
                fontsize=9,
            )
    ax.invert_yaxis()
    bar = ax.figure.colorbar(mesh, ax=ax, location="bottom", shrink=0.5, aspect=40)
    bar.set_label("features", fontsize=8)
    ax.set_title(f"{result.model}: how often features are active", fontsize=10, pad=18)
    return ax


def _frequency_axis(ax: Axes, edges: np.ndarray, dead_at: float) -> None:
    """Powers of ten, and the dead apart."""
    ticks = np.arange(np.ceil(edges[0]), 0.5)
    labels = [f"{10**t:g}" if t >= -3 else f"$10^{{{t:.0f}}}$" for t in ticks]
    ax.set_xticks([dead_at, *ticks], ["dead", *labels])
    ax.set_xlim(dead_at - (edges[1] - edges[0]), edges[-1] + 0.02)
    ax.set_xlabel("share of positions at which a feature is active")


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
