"""Neurons and directions as words, found neurons, and what clamping them does, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from ..plots import new_axes, shown_token
from ..vocabulary.clamp import NeuronClamp
from ..vocabulary.found import FoundNeurons
from ..vocabulary.neurons import NeuronVocabulary
from ..vocabulary.words import DirectionVocabulary
from .attribution import NEGATIVE, POSITIVE

End = Literal["top", "bottom"]
#: What the numbers of a side or space are.
NUMBERS = {
    "out": "logit",
    "unembed": "logit",
    "in": "pre-activation",
    "gate": "pre-activation of the gate",
    "embed": "product with the embedding",
}


def neuron_vocabulary(
    result: NeuronVocabulary,
    *,
    neurons: Sequence[Any] | None = None,
    n: int = 12,
    side: str | None = None,
    end: End = "top",
    words: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """Some neurons' words, a row each, coloured by their numbers.

    neurons: site names; None for the `n` whose words stand out most (the highest kurtosis, else the
    largest first number). side: None for the first that was read. end: "top" or "bottom" words.
    words: how many of each.
    """
    side = result.sides[0] if side is None else side
    if side not in result.sides:
        raise ValueError(f"This table has the sides {', '.join(result.sides)}; got {side!r}.")
    s = result.sides.index(side)
    shape = (result.n_neurons, result.k)
    ids, values = result.top_ids[s].reshape(shape), result.top_values[s].reshape(shape)
    strength = values[:, 0] if result.kurtosis is None else result.kurtosis[s].ravel()
    if end not in ("top", "bottom") or (end == "bottom" and result.bottom_ids is None):
        raise ValueError(
            "The words are those at the top, or at the bottom where they were read; got "
            f"end={end!r}."
        )
    if end == "bottom" and result.bottom_ids is not None and result.bottom_values is not None:
        ids, values = result.bottom_ids[s].reshape(shape), result.bottom_values[s].reshape(shape)
    if neurons is None:
        rows = np.argsort(-strength, kind="stable")[:n].tolist()
    else:
        rows = [result.row(name) for name in neurons]
    sites = [result.site(row) for row in rows]
    ax = _words(
        [f"L{site.layer}/{site.unit}" for site in sites],
        ids[rows, :words],
        values[rows, :words],
        result.vocabulary,
        NUMBERS[side],
        ax,
    )
    verb = "write" if side == "out" else "read"
    ax.set_title(f"{result.model}: {end} words that neurons {verb} ({side}, norm {result.norm})")
    ax.set_ylabel("neuron (layer/number)")
    return ax


def direction_vocabulary(
    result: DirectionVocabulary,
    *,
    n: int = 20,
    end: End = "top",
    words: int = 8,
    ax: Axes | None = None,
) -> Axes:
    """The words of the first `n` directions, a row each, coloured by their numbers."""
    if end not in ("top", "bottom"):
        raise ValueError(f"The words are those at the top or at the bottom; got end={end!r}.")
    top = end == "top"
    ids = result.top_ids if top else result.bottom_ids
    values = result.top_values if top else result.bottom_values
    ax = _words(
        [shown_token(name, 18) for name in result.names[:n]],
        ids[:n, :words],
        values[:n, :words],
        result.vocabulary,
        NUMBERS[result.space],
        ax,
    )
    ax.set_title(f"{result.model}: {end} words of {len(ids[:n])} directions (norm {result.norm})")
    return ax


def found_neurons(result: FoundNeurons, *, n: int = 20, ax: Axes | None = None) -> Axes:
    """The neurons' scores as bars, each word's own as a dot, and beside them their own words.

    The band holds the best (and worst) neuron of 95 % of the draws of random words.
    """
    n = min(n, len(result.neurons))
    ax = new_axes(ax, 8.6, 1.5 + 0.3 * n)
    rows = np.arange(n)
    scores = result.scores[:n]
    colors = [POSITIVE if score >= 0 else NEGATIVE for score in scores]
    ax.barh(rows, scores, color=colors, alpha=0.55, height=0.7)
    for row, each in enumerate(result.word_scores[:n]):
        ax.plot(each, np.full(len(each), row), "o", color="0.25", markersize=2.5, alpha=0.6)
    reach = (
        (0.0, np.quantile(result.chance_highest, 0.95), (scores >= 0).any()),
        (np.quantile(result.chance_lowest, 0.05), 0.0, (scores < 0).any()),
    )
    for low, high, there in reach:
        if there:
            ax.axvspan(low, high, color="0.6", alpha=0.3, linewidth=0, zorder=0)
    ax.axvline(0, color="0.7", linewidth=1, zorder=0)
    ax.set_yticks(rows, [name.replace(".mlp_post", "") for name in result.neurons[:n]])
    right = ax.secondary_yaxis("right")
    right.set_yticks(rows, [_own(words) for words in result.own_words[:n]])
    right.tick_params(length=0, labelsize=8)
    ax.set_ylim(n - 0.4, -0.6)
    ax.set_xlabel("score (standard deviations; grey: best of all neurons for random words, 95 %)")
    named = ", ".join(shown_token(word) for word in result.words[:4])
    ax.set_title(
        f"{result.model}: neurons ({result.side}) for {named}{', …' * (len(result.words) > 4)}"
    )
    for axis in (ax, right):
        axis.spines[["top", "right"]].set_visible(False)
    return ax


def neuron_clamp(result: NeuronClamp, *, ax: Axes | None = None) -> Axes:
    """What the words gain against what texts elsewhere lose: the neurons with 95 % intervals, and
    each draw of random neurons as a cross.
    """
    ax = new_axes(ax, 6.4, 4.2)
    changes = result.changes()
    (gain, random_gain), (harm, random_harm) = changes["probability"], changes["KL elsewhere"]
    ax.axhline(0, color="0.85", linewidth=1, zorder=0)
    ax.plot(
        random_harm.mean(1),
        random_gain.mean(1),
        "x",
        color="0.45",
        markersize=6,
        alpha=0.8,
        label=f"random neurons ({len(random_harm)} draws)",
    )
    at = float(harm.mean()), float(gain.mean())
    ends = result.interval("KL elsewhere"), result.interval("probability")
    ax.plot(ends[0], [at[1]] * 2, color=POSITIVE, linewidth=2, alpha=0.8)
    ax.plot([at[0]] * 2, ends[1], color=POSITIVE, linewidth=2, alpha=0.8)
    ax.plot(*at, "o", color=POSITIVE, markersize=8, markeredgecolor="white", label="the neurons")
    ax.set_xlabel("damage elsewhere: KL(plain ‖ held), nats a position")
    ax.set_ylabel("change of the words' probability")
    ax.set_xlim(left=0)
    named = ", ".join(name.replace(".mlp_post", "") for name in result.neurons[:3])
    more = ", …" * (len(result.neurons) > 3)
    words = ", ".join(shown_token(word) for word in result.words[:3])
    ax.set_title(
        f"{result.model}: {named}{more} held; {words}{', …' * (len(result.words) > 3)}", fontsize=10
    )
    ax.legend(fontsize=8, frameon=False, loc="best")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _words(
    names: Sequence[str],
    ids: np.ndarray,
    values: np.ndarray,
    vocabulary: Sequence[str],
    label: str,
    ax: Axes | None,
) -> Axes:
    """A row of words each, from the left, over the colour of their numbers, blue above 0."""
    n_rows, n_words = ids.shape
    ax = new_axes(ax, 2.6 + 0.95 * n_words, 1.3 + 0.34 * n_rows)
    most = max(float(np.abs(values).max()), 1e-6)
    image = ax.imshow(values, cmap="RdBu", vmin=-most, vmax=most, aspect="auto")
    for (row, at), number in np.ndenumerate(values):
        color = "white" if abs(number) > 0.6 * most else "black"
        token = shown_token(vocabulary[int(ids[row, at])], 11)
        ax.text(at, row, token, ha="center", va="center", fontsize=8, color=color)
    ax.set_yticks(range(n_rows), names)
    ax.set_xticks(range(n_words), [str(at + 1) for at in range(n_words)])
    ax.set_xlabel("rank of the word")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, pad=0.01).set_label(label, fontsize=8)
    return ax


def _own(words: Sequence[str]) -> str:
    return "  ".join(shown_token(token) for token in words[:4])
