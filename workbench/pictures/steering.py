"""Steering as pictures: what is said, the next tokens beside a change, and effect over damage."""

from __future__ import annotations

from typing import Literal

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from ..check import refuse
from ..effects import Effects
from ..plots import NEGATIVE, POSITIVE, new_axes, put_title, set_words, shown_token, words_changed


def steer(
    result: Effects,
    *,
    show: Literal["texts", "next token"] = "texts",
    row: int | None = None,
    largest: int = 12,
    ax: Axes | None = None,
) -> Axes:
    """What is said after a prompt, plain and steered, one under the other, or the next token.

    show: "texts", the words that only the steered text has on blue and those it lost on red; "next
    token", the probabilities of the likeliest as pairs of bars. row: which prompt; None takes the
    first, for texts the first six. largest: how many tokens at most, by the larger of the two
    probabilities; of those below half a percent only what makes up four.
    """
    if show == "next token":
        return _next_token(result, row or 0, largest, ax)
    frame = result.to_frame("texts")
    frame = frame[frame["example"] < 6 if row is None else frame["example"] == row]
    if frame.empty:
        raise refuse("row", f"a prompt's, 0 to {len(result.tokens) - 1}", row)
    names: list[str] = []
    lines: list[list[tuple[str, float]]] = []
    for _, some in frame.groupby("example", sort=False):
        names += ["after", *some["change"]]
        lines += [
            [(word, 0.0) for word in next(iter(some["prompt"])).split()],
            *words_changed([*some["text"]]),
        ]
    letters = [sum(len(word) + 1 for word, _ in line) for line in lines]
    ax = new_axes(ax, 9.0, 0.9 + 0.26 * sum(n // 85 + 1.2 for n in letters))
    colors = {1.0: POSITIVE, -1.0: NEGATIVE, 0.0: None}
    used = set_words(ax, list(enumerate(lines)), colors.get, wrap=True)
    ax.set_ylim(used[-1] + 0.8, -0.8)
    ax.set_yticks(used[:-1], names, fontsize=8)
    put_title(ax, f"{result.model}: {result.what}")
    return ax


def _next_token(result: Effects, row: int, largest: int, ax: Axes | None) -> Axes:
    frame = result.to_frame("examples")
    frame = frame[(frame["example"] == row) & (frame["measure"] != result.measures[0].name)]
    frame = frame.assign(gain=frame["changed"] - frame["plain"])
    frame[["plain", "changed"]] = np.exp(frame[["plain", "changed"]])
    larger = frame[["plain", "changed"]].max(axis=1).to_numpy()
    shown = min(largest, max(4, int((larger >= 0.005).sum())))
    frame = frame.iloc[np.argsort(-larger, kind="stable")[:shown]]
    frame = frame.sort_values("changed", ascending=False, kind="stable")
    if ax is None:
        size = (6.4, 1.5 + 0.3 * len(frame))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    at = np.arange(len(frame))
    ax.barh(at - 0.2, frame["plain"], 0.4, color="0.65", label="plain")
    ax.barh(at + 0.2, frame["changed"], 0.4, color=POSITIVE, label="steered")
    for y, gain in zip(at.tolist(), frame["gain"], strict=True):
        ax.text(
            1.01, y, f"{gain:+.1f}", transform=ax.get_yaxis_transform(), va="center", fontsize=8
        )
    ax.text(1.01, 1.0, "nats", transform=ax.transAxes, va="bottom", fontsize=8)
    ax.set_yticks(at, [shown_token(token, 16) for token in frame["measure"]])
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("probability of the next token; beside it the change of its logarithm")
    ax.set_title(f"{result.model}: {result.what}", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def evaluation(
    result: Effects,
    *,
    measure: str | None = None,
    damage: str = "KL elsewhere",
    ax: Axes | None = None,
) -> Axes:
    """The effect on the answers over the damage to other texts: a line for each change, a point for
    each strength, dashed the mean of its controls; the dotted line is the damage at which changes
    are compared.

    measure: None for the first. damage: "KL elsewhere" or "loss elsewhere".
    """
    one = result.measures[0] if measure is None else result[measure]
    curves = list(result.curves("strength"))
    if ax is None:
        ax = plt.subplots(figsize=(7.6, 4.6), layout="constrained")[1]
    colors = sns.color_palette("viridis", len(curves) + 1)[: len(curves)]
    most = []
    for number, ((labels, rows), color) in enumerate(zip(curves, colors, strict=True)):
        name = " ".join(str(v) for v in labels.values() if v is not None)
        x, y = (result.effect(each)[rows, 0] for each in (damage, one.name))
        wide = number == 0
        ax.plot(
            [0, *x], [0, *y], "-o", color=color, linewidth=2.6 if wide else 1.4,
            markersize=5 if wide else 3.5, zorder=3 if wide else 2, label=name,
        )  # fmt: skip
        most += [*x]
        beside = result.beside()
        if all(len(beside[row]) for row in rows):
            x, y = (
                [result.effect(each, of="controls")[beside[row], 0].mean() for row in rows]
                for each in (damage, one.name)
            )
            label = ", ".join(result.kinds[:1]) if wide else None
            ax.plot([0, *x], [0, *y], "--", color="0.6", linewidth=1.2, zorder=1, label=label)
            most += [*x]
    ax.axhline(0, color="0.8", linewidth=1, zorder=0)
    ax.axvline(result.equal_damage(damage), color="0.4", linewidth=1, linestyle=":", zorder=0)
    # The lines are straight where effects are read off them.
    ax.set_xscale("function", functions=(_root, lambda x: np.sign(x) * x**2))
    if min(most) >= 0:
        ax.set_xlim(left=0)
    end = max(most)
    ticks = [t for t in (0.01, 0.1, 0.5, 1, 2, 4, 8, 16) if t < 1.05 * end and t > end / 400]
    ax.set_xticks([0, *ticks], ["0", *(f"{t:g}" for t in ticks)])
    ax.set_xlabel(f"damage: {damage} (nats a token)")
    ax.set_ylabel(f"effect: {one.name} ({one.unit})")
    ax.set_title(f"{result.model}: effect over damage, a point a strength", fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _root(damage: np.ndarray) -> np.ndarray:
    """The square root, of a negative damage (a loss that fell) minus that of its size."""
    return np.sign(damage) * np.sqrt(np.abs(damage))
