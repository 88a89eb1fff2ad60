"""Attention as pictures: all heads as small multiples, or one of them large."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize, PowerNorm

from ..lens.attention import Attention
from ..plots import NAMED, shown_token

#: Inches that a token's name needs on its axis.
PITCH = 0.12


def attention(
    result: Attention,
    *,
    row: int = 0,
    weighted: bool = False,
    head: tuple[int, int] | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Every head of one prompt, layers upwards; destinations downwards and sources to the right.

    row: which prompt. weighted: the value-weighted attention. head: a (layer, head) to draw alone
    and large. ax: where to draw. All heads share one colour bar, which for value-weighted attention
    goes by square roots, since heads differ so much. Tokens are named where there is room.
    """
    if head is not None:
        return _one(result, row, weighted, head, ax)
    values = result.of_prompt(row, weighted=weighted)
    tokens = [shown_token(token) for token in result.tokens[row]]
    n_layers, n_heads, n = values.shape[:3]
    tile = _tile(n_layers, n_heads, ax)
    named = tile >= PITCH * n
    # Between named heads there is a line of text; in positions, as the tiles are.
    gap = max(1, round(n * (0.27 / tile if named else 0.07)))
    step = n + gap
    mosaic = np.full((n_layers * step, n_heads * step), np.nan)
    for layer, h in np.ndindex(n_layers, n_heads):
        top, left = (n_layers - 1 - layer) * step + gap, h * step
        mosaic[top : top + n, left : left + n] = _past(values[layer, h])
    high = float(values.max()) if weighted else 1.0
    width, height = (mosaic.shape[1] * tile / n, mosaic.shape[0] * tile / n)
    ax = ax if ax is not None else _new(width + 1.6, height + 1.0)
    image = ax.imshow(mosaic, interpolation="nearest", **_colors(high, roots=weighted))
    lefts = np.arange(n_heads) * step
    tops = np.arange(n_layers)[::-1] * step + gap
    if named:
        for layer, h in np.ndindex(n_layers, n_heads):
            name = f"L{result.layers[layer]}H{h}"
            ax.text(lefts[h] + (n - 1) / 2, tops[layer] - 0.7, name, ha="center", va="bottom")
        places = np.arange(n)
        ax.set_xticks((lefts[:, None] + places).ravel(), tokens * n_heads, rotation=90, fontsize=7)
        ax.set_yticks((tops[:, None] + places).ravel(), tokens * n_layers, fontsize=7)
    else:
        every = -(-n_heads // NAMED), -(-n_layers // NAMED)
        columns = [f"H{h}" for h in range(n_heads)]
        rows = [f"L{layer}" for layer in result.layers.tolist()]
        ax.set_xticks(lefts[:: every[0]] + (n - 1) / 2, columns[:: every[0]])
        ax.set_yticks(tops[:: every[1]] + (n - 1) / 2, rows[:: every[1]])
        ax.tick_params(length=0)
    ax.spines[:].set_visible(False)
    ax.set_title(f"{result.model}: {n} tokens, rows attend to columns", fontsize=10)
    _bar(ax, image, weighted, ", colours by square roots" if weighted else "")
    return ax


def _tile(n_layers: int, n_heads: int, ax: Axes | None) -> float:
    """Inches of a head's side."""
    if ax is None:
        return float(np.clip(min(9 / n_heads, 7.5 / n_layers), 0.3, 2.4))
    box = ax.get_window_extent()
    return min(box.width / n_heads, box.height / n_layers) / ax.figure.dpi


def _one(
    result: Attention, row: int, weighted: bool, head: tuple[int, int], ax: Axes | None
) -> Axes:
    values = result.of_head(*head, row, weighted=weighted)
    tokens = [shown_token(token) for token in result.tokens[row]]
    n = len(values)
    side = float(np.clip(0.3 * n, 3.0, 9.0))
    ax = ax if ax is not None else _new(side + 2.2, side + 1.4)
    high = float(values.max()) if weighted else 1.0
    image = ax.imshow(_past(values), interpolation="nearest", **_colors(high))
    step = -(-n // NAMED)
    ax.set_xticks(range(0, n, step), tokens[::step], rotation=90)
    ax.set_yticks(range(0, n, step), tokens[::step])
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xlabel("source")
    ax.set_ylabel("destination")
    ax.set_title(f"{result.model}: L{head[0]}H{head[1]}", fontsize=10)
    _bar(ax, image, weighted, "")
    return ax


def _past(square: np.ndarray) -> np.ndarray:
    """The square with nothing where the source lies after the destination."""
    return np.where(np.tri(len(square), dtype=bool), square, np.nan)


def _colors(high: float, *, roots: bool = False) -> dict[str, Any]:
    # Where nothing moves anything the scale still needs two ends.
    high = high or 1.0
    return {"cmap": "viridis", "norm": PowerNorm(0.5, 0.0, high) if roots else Normalize(0.0, high)}


def _bar(ax: Axes, image: Any, weighted: bool, note: str) -> None:
    bar = ax.figure.colorbar(image, ax=ax, pad=0.01, shrink=0.8, fraction=0.04, aspect=30)
    quantity = "weight × norm of what it moves" if weighted else "attention weight"
    bar.set_label(quantity + note, fontsize=8)


def _new(width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height), layout="constrained")[1]
