"""A feature's page and the features of a prompt as pictures."""

from __future__ import annotations

from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ..features.activations import FeatureActivations
from ..features.label import Label
from ..features.page import FeatureContext, FeaturePage
from ..plots import NAMED, POSITIVE, shown_token, signs

#: Letters in a line of context, and inches that each takes in the fixed-width type.
LETTERS, WIDTH, FONT = 76, 0.0675, 8
#: Width of a letter of the fixed-width type, as a share of its size.
LETTER = 0.602
#: Runs from near white, so that what is shaded stands out.
COLORS = "Blues"


def feature_page(result: FeaturePage, *, contexts: int = 12, ax: Axes | None = None) -> Axes:
    """Contexts with each token shaded by the feature's code, histogram, and tokens it promotes.

    contexts: how many lines, two thirds of them with the largest codes. ax: where to draw the
    contexts alone.
    """
    shown = _chosen(result, contexts)
    if ax is not None:
        _fit_letters(_contexts(result, shown, ax))
        return ax
    height = max(4.4, 1.4 + 0.27 * len(shown))
    figure = plt.figure(figsize=(LETTERS * WIDTH + 6.8, height), layout="constrained")
    grid = figure.add_gridspec(2, 3, width_ratios=[LETTERS * WIDTH + 0.9, 2.2, 2.2])
    ax = figure.add_subplot(grid[:, 0])
    _contexts(result, shown, ax)
    _histogram(result, figure.add_subplot(grid[0, 1]))
    _effect(result, figure.add_subplot(grid[0, 2]))
    _bars(
        figure.add_subplot(grid[1, 1]),
        [*result.promoted[:6], *result.suppressed[:6][::-1]],
        [*result.promoted_logits[:6], *result.suppressed_logits[:6][::-1]],
        "direct effect on logits",
    )
    _bars(
        figure.add_subplot(grid[1, 2]),
        list(result.top_tokens[:8]),
        [100 * share for share in result.token_share[:8]],
        "% of activity, by token",
    )
    _title(result, figure)
    _fit_letters(ax)
    return ax


def _fit_letters(ax: Axes) -> None:
    """Make the fixed-width type as wide as the columns its tokens were given, never larger."""
    figure: Any = ax.figure
    # Only the layout knows how wide the axes have become.
    figure.draw_without_rendering()
    low, high = ax.get_xlim()
    points = ax.get_window_extent().width * 72 / figure.dpi / (high - low)
    for text in ax.texts:
        if "monospace" in text.get_fontfamily():
            text.set_fontsize(min(FONT, points / LETTER))


def _title(result: FeaturePage, figure: Figure) -> None:
    label = Label(result.label, f1=result.f1) if not result.dead else "never fires"
    facts = f"fires at {100 * result.frequency:.3g} % of {result.n_positions} tokens"
    name = f"{result.model}  {result.feature}: {label}"
    figure.suptitle(f"{_plain(name)}\n{facts}", fontsize=10)


def _plain(text: str) -> str:
    # matplotlib reads text between dollar signs as mathematics.
    return text.replace("$", r"\$").replace("\n", "↵")


def _chosen(result: FeaturePage, n: int) -> list[FeatureContext]:
    top = [c for c in result.contexts if c.group == "top"]
    sampled = [c for c in result.contexts if c.group == "sampled"]
    kept = min(len(sampled), n // 3)
    return [*top[: n - kept], *sampled[-kept:]] if kept else top[:n]


def _contexts(result: FeaturePage, shown: list[FeatureContext], ax: Axes) -> Axes:
    """A line a context: its quantile, then the tokens over the colour of their codes."""
    colors = matplotlib.colormaps[COLORS]
    ax.set_xlim(-13, LETTERS)
    ax.set_ylim(len(shown) - 0.4, -1.2)
    ax.axis("off")
    if not shown:
        ax.set_ylim(1, 0)
        ax.text(0, 0.5, "It never fires on these texts: no contexts.", fontsize=10, va="center")
        return ax
    ax.text(-1, -0.9, "code, quantile", fontsize=FONT, ha="right", va="center", color="0.35")
    most = max(result.largest, 1e-30)
    for line, context in enumerate(shown):
        head = f"{context.value:.3g}, {100 * context.quantile:.0f} %"
        ax.text(-1, line, head, fontsize=FONT, ha="right", va="center", color="0.35")
        for text, start, stop, value in _line(context):
            if value > 0:
                # Up to less than full colour, so that black text can be read on it.
                color = colors(0.1 + 0.6 * value / most)
                size = stop - start, 0.84
                ax.add_patch(Rectangle((start, line - 0.42), *size, color=color, linewidth=0))
            ax.text(start, line, text, fontsize=FONT, family="monospace", va="center")
        if line and context.group != shown[line - 1].group:
            ax.axhline(line - 0.5, color="0.7", linewidth=0.7)
    return ax


def _line(context: FeatureContext) -> list[tuple[str, int, int, float]]:
    """The tokens of a line with where each begins and ends, as many as fit around the place."""
    texts = [_letters(token) for token in context.tokens]
    first = last = context.at
    used = len(texts[first])
    while True:
        # One more before, one more behind, in turn, for as long as there is room.
        grown = False
        if first > 0 and used + len(texts[first - 1]) <= LETTERS:
            first, grown = first - 1, True
            used += len(texts[first])
        if last + 1 < len(texts) and used + len(texts[last + 1]) <= LETTERS:
            last, grown = last + 1, True
            used += len(texts[last])
        if not grown:
            break
    out, at = [], 0
    for i in range(first, last + 1):
        out.append((_plain(texts[i]), at, at + len(texts[i]), float(context.activations[i])))
        at += len(texts[i])
    return out


def _letters(token: str) -> str:
    text = token.replace("\n", "↵").replace("\t", "⇥").replace("<|endoftext|>", "¶")
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= LETTERS else text[: LETTERS - 1] + "…"


def _histogram(result: FeaturePage, ax: Axes) -> None:
    ax.set_title("codes above 0", fontsize=9)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    if result.dead:
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes, color="0.4")
        ax.set_xticks([])
        ax.set_yticks([])
        return
    ax.stairs(result.histogram, result.bin_edges, fill=True, color=POSITIVE, alpha=0.7)
    ax.set_xscale("log")
    low, high = result.bin_edges[0], result.bin_edges[-1]
    ends = [low, (low * high) ** 0.5, high]
    ax.set_xticks(ends, [f"{x:.2g}" for x in ends])
    ax.minorticks_off()
    ax.set_ylabel("positions", fontsize=8)


def _effect(result: FeaturePage, ax: Axes) -> None:
    """KL of removing it and of the controls, each place a dot, means with intervals."""
    ax.set_title("KL when removed (nats)", fontsize=9)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_xticks([0, 1], ["feature", "controls"])
    ax.set_xlim(-0.6, 1.6)
    if not len(result.effect_kl):
        ax.text(0.5, 0.5, "not measured", ha="center", va="center", transform=ax.transAxes)
        ax.set_yticks([])
        return
    row = result.effect().loc["kl"]
    columns = (("mean", "low", "high"), ("control", "control_low", "control_high"))
    for x, (values, names) in enumerate(
        zip((result.effect_kl, result.control_kl), columns, strict=True)
    ):
        color = POSITIVE if x == 0 else "0.5"
        ax.plot(np.full(len(values), x - 0.18), values, ".", color=color, alpha=0.5, markersize=5)
        mean, low, high = (float(row[name]) for name in names)
        ax.plot([x, x], [low, high], color=color, linewidth=2)
        ax.plot([x], [mean], "o", color=color, markeredgecolor="white")
    ax.set_ylim(bottom=min(0.0, float(np.min(result.effect_kl))))


def _bars(ax: Axes, tokens: list[str], values: list[float], title: str) -> None:
    ax.set_title(title, fontsize=9)
    ax.tick_params(labelsize=7)
    ax.spines[["top", "right"]].set_visible(False)
    if not tokens:
        ax.text(0.5, 0.5, "none", ha="center", va="center", transform=ax.transAxes, color="0.4")
        ax.set_xticks([])
        ax.set_yticks([])
        return
    colors = signs(values)
    ax.barh(range(len(values)), values, color=colors)
    ax.set_yticks(range(len(tokens)), [shown_token(token, 12) for token in tokens])
    ax.invert_yaxis()
    ax.axvline(0, color="0.6", linewidth=0.8)


def feature_activations(
    result: FeatureActivations, *, row: int = 0, features: int = 32, ax: Axes | None = None
) -> Axes:
    """Features × tokens of one prompt, shaded by code; below, the explained variance.

    row: which prompt. features: how many of the result's features, those with the largest codes in
    this prompt. ax: where to draw.
    """
    if not 0 <= row < len(result.tokens):
        raise IndexError(f"The prompts are numbered 0 to {len(result.tokens) - 1}; got {row}.")
    tokens = result.tokens[row]
    values = result.values[row, : len(tokens)].T
    order = np.argsort(-values.max(1, initial=0.0), kind="stable")[:features]
    # In the order in which they first fire, so that the picture reads from top left.
    order = np.array(sorted(order, key=lambda i: int(values[i].argmax())), np.int64)
    values = values[order]
    names = [_named(result, i) for i in order]
    if ax is None:
        longest = max(map(len, names), default=0)
        size = (
            min(24.0, 1.6 + 0.075 * longest + 0.36 * len(tokens)),
            min(20.0, 1.8 + 0.21 * max(3, len(order))),
        )
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    most = max(float(values.max(initial=0.0)), 1e-6)
    style: dict[str, Any] = {"cmap": COLORS, "vmin": 0.0, "vmax": most}
    # Where nothing is active there is one empty row.
    style["extent"] = (-0.5, len(tokens) - 0.5, max(1, len(order)) - 0.5, -0.5)
    image = ax.imshow(values, aspect="auto", interpolation="nearest", **style)
    step = -(-len(tokens) // NAMED)
    ax.set_xticks(
        range(0, len(tokens), step),
        [shown_token(token) for token in tokens][::step],
        rotation=45,
        ha="right",
        rotation_mode="anchor",
    )
    ax.set_yticks(range(len(names)), names, fontsize=8)
    ax.set_xticks(np.arange(-0.5, len(tokens)), minor=True)
    ax.grid(which="minor", axis="x", color="0.9", linewidth=0.5)
    ax.tick_params(which="minor", bottom=False)
    explained = float(np.nanmean(result.explained[row]))
    ax.set_title(
        f"{result.model}: features active at {result.site}, explained variance {explained:.2f}",
        fontsize=10,
    )
    bar = ax.figure.colorbar(image, ax=ax, pad=0.01)
    bar.set_label("code", fontsize=8)
    return ax


def _named(result: FeatureActivations, i: int) -> str:
    label = _plain(result.labels[i])
    label = label if len(label) <= 44 else label[:43] + "…"
    return f"{label}  {result.features[i]}" if label else str(result.features[i])
