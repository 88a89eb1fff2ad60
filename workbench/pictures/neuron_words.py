"""Neurons as words, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes

from ..plots import around_zero, new_axes, readable, shown_token
from ..vocabulary.neurons import NeuronVocabulary

End = Literal["top", "bottom"]
#: What the numbers of a side are.
NUMBERS = {
    "out": "logit",
    "in": "pre-activation",
    "gate": "pre-activation of the gate",
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
    image = ax.imshow(values, aspect="auto", **around_zero(values))
    for (row, at), number in np.ndenumerate(values):
        color = readable(image.cmap(image.norm(number)))
        token = shown_token(vocabulary[int(ids[row, at])], 11)
        ax.text(at, row, token, ha="center", va="center", fontsize=8, color=color)
    ax.set_yticks(range(n_rows), names)
    ax.set_xticks(range(n_words), [str(at + 1) for at in range(n_words)])
    ax.set_xlabel("rank of the word")
    ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.figure.colorbar(image, ax=ax, pad=0.01).set_label(label, fontsize=8)
    return ax
