"""Steering and its comparison as pictures."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from ..methods.features.steering import Steering
from ..methods.features.steering_comparison import FLOW, RANDOM, SteeringComparison, root
from ..plots import shown_token
from .attribution import POSITIVE

_DAMAGE = {"kl": "KL(plain ‖ steered)", "loss": "rise of the loss"}
_EFFECT = {"log_probability": "log-probability", "probability": "probability"}


def steering(result: Steering, *, row: int = 0, largest: int = 12, ax: Axes | None = None) -> Axes:
    """The likeliest next tokens after a prompt, plain and steered, as pairs of bars.

    row: which prompt. largest: how many tokens at most, by the larger of the two probabilities; of
    those below half a percent only what makes up four.
    """
    frame = result.to_frame()
    frame = frame[frame["prompt"] == row]
    larger = frame[["plain", "steered"]].max(axis=1).to_numpy()
    shown = min(largest, max(4, int((larger >= 0.005).sum())))
    frame = frame.iloc[np.argsort(-larger, kind="stable")[:shown]]
    frame = frame.sort_values("steered", ascending=False, kind="stable")
    if ax is None:
        size = (6.4, 1.5 + 0.3 * len(frame))
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    at = np.arange(len(frame))
    ax.barh(at - 0.2, frame["plain"], 0.4, color="0.65", label="plain")
    ax.barh(at + 0.2, frame["steered"], 0.4, color=POSITIVE, label="steered")
    for y, change in zip(at.tolist(), frame["change"], strict=True):
        ax.text(
            1.01, y, f"{change:+.1f}", transform=ax.get_yaxis_transform(), va="center", fontsize=8
        )
    ax.text(1.01, 1.0, "nats", transform=ax.transAxes, va="bottom", fontsize=8)
    ax.set_yticks(at, [shown_token(token, 16) for token in frame["token"]])
    ax.invert_yaxis()
    ax.set_xlim(0, 1)
    ax.set_xlabel("probability of the next token; beside it the change of its logarithm")
    some = ", ".join(result.features[:2]) + (", …" if len(result.features) > 2 else "")
    how = "removed" if result.mode == "remove" else f"at strength {result.strength:g}"
    ax.set_title(f"{result.model}: {some} {how}", fontsize=10)
    ax.legend(frameon=False, fontsize=8, loc="lower right")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def steering_comparison(
    result: SteeringComparison,
    *,
    damage: str = "kl",
    measure: str = "log_probability",
    ax: Axes | None = None,
) -> Axes:
    """The effect on the concept over the damage to other texts, a line for each way to spread the
    push, a point for each strength; the dotted line is the damage at which ways are compared.

    damage: "kl" or "loss". measure: "log_probability" or "probability".
    """
    gain, harm = result.gain(measure).mean(-1), result.harm(damage).mean(-1)
    if ax is None:
        ax = plt.subplots(figsize=(7.6, 4.6), layout="constrained")[1]
    layers = sns.color_palette("viridis", len(result.path) + 1)[: len(result.path)]
    colors = {FLOW: "#d62728", RANDOM: "0.6"} | dict(zip(result.path, layers, strict=True))
    names = {FLOW: "spread along the flow", RANDOM: "random directions, spread"}
    for i, way in enumerate(result.ways):
        ax.plot(
            np.concatenate([[0], harm[i]]),
            np.concatenate([[0], gain[i]]),
            "--o" if way == RANDOM else "-o",
            color=colors[way],
            linewidth=2.6 if way == FLOW else 1.4,
            markersize=5 if way == FLOW else 3.5,
            zorder=3 if way == FLOW else 2,
            label=names.get(way, f"all at {way}"),
        )
    ax.axhline(0, color="0.8", linewidth=1, zorder=0)
    ax.axvline(result.matched_damage(damage), color="0.4", linewidth=1, linestyle=":", zorder=0)
    # The lines are straight where effects are read off them.
    ax.set_xscale("function", functions=(root, lambda x: np.sign(x) * x**2))
    if harm.min() >= 0:
        ax.set_xlim(left=0)
    most = float(harm.max())
    ticks = [t for t in (0.01, 0.1, 0.5, 1, 2, 4, 8, 16) if t < 1.05 * most and t > most / 400]
    ax.set_xticks([0, *ticks], ["0", *(f"{t:g}" for t in ticks)])
    ax.set_xlabel(f"damage: {_DAMAGE[damage]} on other texts (nats a token)")
    ax.set_ylabel(f"effect: gain in {_EFFECT[measure]} of the concept")
    words = ", ".join(shown_token(word) for word in result.concept[:3])
    words += ", …" if len(result.concept) > 3 else ""
    ax.set_title(f"{result.model}: steering towards {words}", fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax
