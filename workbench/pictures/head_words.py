"""Heads as words: the scores of all heads, or the pairs and directions of one, as pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ..plots import NAMED, NEGATIVE, POSITIVE, around_zero, new_axes, shown_token
from ..vocabulary.head_circuits import CIRCUITS, SIDES, SIGNS
from ..vocabulary.heads import HeadVocabulary

#: Inches of a head's square, of a line of text, and of the room above and below.
CELL, LINE, MARGIN = 0.42, 0.2, 1.1
#: The smallest square in which a number is written; smaller ones have colour bars so far below.
WRITTEN, BAR_BELOW = 0.36, 0.45
#: Inches of one panel of words.
PANEL = 3.1
#: Letters that a panel holds.
LETTERS = 46
#: What the columns of pairs are called: title, and what stands between the two words.
COLUMNS = {
    "promoted": ("OV promotes (source → word)", "→"),
    "suppressed": ("OV suppresses (source → word)", "→"),
    "attended": ("QK attends (query → key)", "→"),
}


def head_vocabulary(
    result: HeadVocabulary,
    *,
    head: str | None = None,
    n_pairs: int = 10,
    n_directions: int = 3,
    words: int = 5,
    ax: Axes | None = None,
) -> Axes:
    """The scores of several heads, layers upwards; or what one head reads and writes, as words.

    head: which one is drawn as words, None for the only one; with several, None draws the scores.
    n_pairs: pairs of each kind. n_directions: singular directions of OV and of QK, each with so
    many `words` a side. ax: where to draw.
    """
    if head is not None or len(result.heads) == 1:
        one = result if head is None else result.of(head)
        return _words(one, n_pairs, n_directions, words, ax)
    return _scores(result, ax)


def _scores(result: HeadVocabulary, ax: Axes | None) -> Axes:
    """Copying score, copying and suppression share, attention to the token before: a panel each."""
    panels: list[tuple[str, np.ndarray, dict[str, Any]]] = [
        ("copying score", result.copying_scores, around_zero([-1, 1])),
        (f"copied (of top {result.top})", result.copying_shares, {}),
        (f"suppressed (of last {result.top})", result.suppression_shares, {}),
        ("token before", result.previous_token, {}),
    ]
    layers = sorted(set(result.layers.tolist()))
    n_heads = int(result.numbers.max()) + 1
    cell = float(np.clip(3.0 / n_heads, 0.16, CELL))
    gap = max(0.9, 0.5 / cell)
    # A panel is as wide as its title.
    pitch = max(n_heads, 1.75 / cell) + gap
    bars = 0.0 if cell >= WRITTEN else BAR_BELOW + 0.2
    size = cell * pitch * len(panels) + 0.6, cell * len(layers) + MARGIN + bars
    step = -(-n_heads // max(1, int(cell * n_heads / 0.25)))
    ax = new_axes(ax, *size)
    ax.set_aspect("equal")
    for at, (name, values, style) in enumerate(panels):
        left = at * pitch
        grid = np.full((len(layers), n_heads), np.nan)
        for layer, number, value in zip(result.layers, result.numbers, values, strict=True):
            grid[layers.index(int(layer)), number] = value
        extent = (left - 0.5, left + n_heads - 0.5, -0.5, len(layers) - 0.5)
        style = style or {"cmap": "Blues", "vmin": 0, "vmax": 1}
        image = ax.imshow(grid, origin="lower", extent=extent, interpolation="nearest", **style)
        over = len(layers) - 0.5 + 0.05 / cell
        style = {"ha": "center", "fontsize": 8.5, "va": "bottom"}
        ax.text(left + (n_heads - 1) / 2, over, name, **style)
        for h in range(0, n_heads, step):
            ax.text(left + h, -0.5 - 0.05 / cell, f"H{h}", ha="center", va="top", fontsize=7)
        if cell >= WRITTEN:
            _numbers(ax, grid, left, image)
        else:
            place = (left - 0.5, -0.5 - BAR_BELOW / cell, n_heads, 0.08 / cell)
            inside = ax.inset_axes(place, transform=ax.transData)
            bar = ax.figure.colorbar(image, cax=inside, orientation="horizontal")
            bar.ax.tick_params(labelsize=6.5, length=2, pad=1)
            bar.outline.set_visible(False)
    ax.set_xticks([])
    every = -(-len(layers) // NAMED)
    ax.set_yticks(range(0, len(layers), every), [f"L{x}" for x in layers[::every]], fontsize=8)
    ax.tick_params(length=0)
    ax.set_xlim(-0.7, (len(panels) - 1) * pitch + max(n_heads, pitch - gap) - 0.3)
    below = (0.2 + bars) / cell
    ax.set_ylim(-0.5 - below, len(layers) - 0.5 + 0.3 / cell)
    ax.spines[:].set_visible(False)
    low, high = np.nanquantile(result.random_copying_scores, [0.025, 0.975])
    ax.set_title(
        f"{result.model}: heads, {_read_as(result)}\n"
        f"random heads: copying score {low:.2f} to {high:.2f}, "
        f"copied {result.copying_share_control.mean():.3f}, "
        f"suppressed {result.suppression_share_control.mean():.3f}; "
        f"token before by chance {result.previous_token_chance:.3f}",
        fontsize=9,
    )
    return ax


def _numbers(ax: Axes, grid: np.ndarray, left: float, image: Any) -> None:
    """Each number in its square, in white where the square is dark."""
    for (row, column), value in np.ndenumerate(grid):
        if not np.isfinite(value):
            continue
        red, green, blue, _ = image.cmap(image.norm(value))
        dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
        text = f"{value:.2f}".replace("0.", ".").replace("1.00", "1")
        ax.text(left + column, row, text, ha="center", va="center", fontsize=7,
                color="white" if dark else "0.15")  # fmt: skip


def _words(
    result: HeadVocabulary, n_pairs: int, n_directions: int, words: int, ax: Axes | None
) -> Axes:
    """Pairs as bars with their words above; singular directions below, a line each sign."""
    n_pairs = min(n_pairs, result.pair_values.shape[2])
    n_directions = min(n_directions, result.direction_ids.shape[2])
    words = min(words, result.direction_ids.shape[-1])
    lines_above = n_pairs + 2 if n_pairs else 0
    lines = lines_above + 2 * n_directions * len(SIGNS) + 2 * 2
    ax = new_axes(ax, 3 * PANEL + 0.3, LINE * lines + 0.9)
    ax.axis("off")
    ax.set_xlim(0, 3)
    ax.set_ylim(lines, -0.5)
    if n_pairs:
        _draw_pairs(ax, result, n_pairs)
    _draw_directions(ax, result, lines_above, n_directions, words)
    copied, score = float(result.copying_shares[0]), float(result.copying_scores[0])
    ax.set_title(
        f"{result.model} {result.heads[0]}, {_read_as(result)}: "
        f"copying score {score:.2f}, copies {copied:.1%}, "
        f"suppresses {float(result.suppression_shares[0]):.1%}, "
        f"token before {float(result.previous_token[0]):.2f}",
        fontsize=9.5,
    )
    return ax


def _draw_pairs(ax: Axes, result: HeadVocabulary, n: int) -> None:
    for column, (title, arrow) in enumerate(COLUMNS.values()):
        ax.text(column + 0.02, 0, title, fontsize=9, weight="bold", va="center")
        values = result.pair_values[0, column, :n]
        most = float(np.abs(values).max()) or 1.0
        for row, value in enumerate(values.tolist(), 1):
            source, target = (
                shown_token(result.word(int(i)), 14) for i in result.pair_ids[0, column, row - 1]
            )
            color = POSITIVE if value >= 0 else NEGATIVE
            ax.barh(row, 0.8 * abs(value) / most, 0.86, left=column, color=color, alpha=0.22)
            ax.text(column + 0.02, row, f"{source} {arrow} {target}", fontsize=8, va="center")
            number = f"{value:.1f}".replace("-", "−")
            ax.text(column + 0.94, row, number, fontsize=7.5, va="center", ha="right", color="0.35")


def _draw_directions(ax: Axes, result: HeadVocabulary, line: float, n: int, words: int) -> None:
    for c, circuit in enumerate(CIRCUITS):
        squares = result.singular_values[0, c].astype(np.float64) ** 2
        first, second = SIDES[circuit]
        line += 0.5
        ax.text(0.02, line, f"{circuit} singular directions", fontsize=9, weight="bold",
                va="center")  # fmt: skip
        ax.text(1.02, line, first, fontsize=9, weight="bold", va="center")
        ax.text(2.02, line, second, fontsize=9, weight="bold", va="center")
        for d in range(n):
            share = squares[d] / squares.sum() if squares.sum() else 0.0
            for s, sign in enumerate(SIGNS):
                line += 1
                if s == 0:
                    value = float(result.singular_values[0, c, d])
                    ax.text(0.02, line + 0.5, f"{d + 1}: σ {value:.2f}, {share:.0%} of σ²",
                            fontsize=8, va="center")  # fmt: skip
                color = POSITIVE if s == 0 else NEGATIVE
                ax.text(0.94, line, sign.replace("-", "−"), fontsize=9, color=color, va="center")
                for side in range(2):
                    ids = result.direction_ids[0, c, d, s, side, :words].tolist()
                    shown = _fitting([shown_token(result.word(i), 9) for i in ids])
                    ax.text(1.02 + side, line, shown, fontsize=8, color=color, va="center")
        line += 1.5


def _fitting(words: list[str]) -> str:
    """As many of the words as a panel holds."""
    while len(words) > 1 and len("  ".join(words)) > LETTERS:
        words = words[:-1]
    return "  ".join(words)


def _read_as(result: HeadVocabulary) -> str:
    """What words are read as; heads of layer 0 always read the embedding."""
    embedding = result.embedding if result.layers.any() else "weights"
    return f"words as {embedding.replace('_', ' ')}"
