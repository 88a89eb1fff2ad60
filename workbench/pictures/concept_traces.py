"""Concept vectors, their ablation, and the audit of an unlearning, as pictures."""

from __future__ import annotations

from typing import Literal

import numpy as np
from matplotlib.axes import Axes

from ..methods.parameters.concept_ablation import ConceptAblation
from ..methods.parameters.concept_vectors import ConceptVectors
from ..methods.parameters.unlearning_audit import UnlearningAudit
from ..plots import new_axes, shown_token
from .attribution import NEGATIVE, POSITIVE

#: Colour and mark of each state of a model: before is what the others are compared with.
BEFORE, AFTER, ABLATED = "0.35", NEGATIVE, POSITIVE


def concept_vectors(result: ConceptVectors, *, n: int = 20, ax: Axes | None = None) -> Axes:
    """The first `n` vectors as bars, their own words beside them.

    Bars are what is lost without each alone where vectors were chosen by ablation, else the scores.
    """
    n = min(n, len(result.neurons))
    ax = new_axes(ax, 8.6, 1.5 + 0.3 * n)
    values = (result.scores if result.lost is None else result.lost)[:n]
    colors = [POSITIVE if value >= 0 else NEGATIVE for value in values]
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


def concept_ablation(result: ConceptAblation, *, ax: Axes | None = None) -> Axes:
    """The answers' probability before and after, a row a group of questions, with each draw of
    random vectors as a cross and 95 % intervals; the loss elsewhere stands below as text.
    """
    changes = [each for each in result.changes() if each.measure not in _TEXTS]
    names = ["the concept" if each.measure == "probability" else each.measure for each in changes]
    ax = new_axes(ax, 7.6, 1.9 + 0.42 * len(changes))
    for row, each in enumerate(changes):
        before, after = float(each.before.mean()), float(each.after.mean())
        low, high = each.interval(each.after)
        random = each.controls.mean(1)
        # A little below, since most of them lie where the model itself does.
        ax.plot(random, np.full(len(random), row + 0.26), "x", color="0.5", markersize=5, alpha=0.7)
        ax.plot([before, after], [row, row], color="0.8", linewidth=1.5, zorder=0)
        ax.plot([low, high], [row, row], color=NEGATIVE, linewidth=4, alpha=0.35)
        ax.plot([before], [row], "o", color="white", markeredgecolor=BEFORE, markersize=8)
        ax.plot([after], [row], "o", color=NEGATIVE, markersize=7, markeredgecolor="white")
    loss, kl = result.changes()[-2:]
    ax.set_xlabel(
        "probability of the answer\n"
        f"texts elsewhere: loss {loss.change:+.3f} (random {loss.control_changes.mean():+.3f}), "
        f"KL {kl.change:.3f} (random {kl.control_changes.mean():.3f}) nats"
    )
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.4, -0.6)
    ax.set_xlim(-0.03, 1.03)
    ax.set_title(
        f"{result.model}: {len(result.neurons)} value vectors for {_named(result.words)} "
        f"({result.how})",
        fontsize=10,
    )
    marks = [
        ("o", "white", BEFORE, "before"),
        ("o", NEGATIVE, "white", "vectors ablated"),
        ("x", "0.5", "0.5", f"random vectors ({len(result.controls)} draws)"),
    ]
    _legend(ax, marks)
    return ax


def unlearning_audit(
    result: UnlearningAudit,
    *,
    what: Literal["behaviour", "traces", "relearning"] = "behaviour",
    ax: Axes | None = None,
) -> Axes:
    """What became of the behaviour, of the vectors, or how soon the answers come back.

    "behaviour": the answers' probability before, after, and with the vectors themselves set to
    zero, a row a group of questions with 95 % intervals. "traces": how far each vector moved, and
    the others of its layers. "relearning": the probability over the steps, with 95 % intervals.
    """
    draw = {"behaviour": _behaviour, "traces": _traces, "relearning": _relearning}
    if what not in draw:
        raise ValueError(f"what is one of {', '.join(draw)}; got {what!r}.")
    return draw[what](result, ax)


def _behaviour(result: UnlearningAudit, ax: Axes | None) -> Axes:
    table = result.behaviour().query("about != 'texts'")
    ax = new_axes(ax, 7.8, 2.2 + 0.42 * len(table))
    for y, row in enumerate(table.to_dict("records")):
        before, after = row["before"], row["after"]
        ax.plot([before, after], [y, y], color="0.8", linewidth=1.5, zorder=0)
        ends = [row["after_low"], row["after_high"]]
        ax.plot(ends, [y, y], color=AFTER, linewidth=4, alpha=0.35)
        ax.plot(
            [row["ablated"]], [y + 0.26], "D", color=ABLATED, markersize=6, markeredgecolor="white"
        )
        ax.plot([before], [y], "o", color="white", markeredgecolor=BEFORE, markersize=8)
        ax.plot([after], [y], "o", color=AFTER, markersize=7, markeredgecolor="white")
    if result.others:
        ax.axhline(len(result.forgotten) - 0.5, color="0.8", linewidth=0.8, linestyle=":")
    ax.set_yticks(range(len(table)), table["measure"].tolist())
    ax.set_ylim(len(table) - 0.4, -0.6)
    ax.set_xlim(-0.03, 1.03)
    ax.set_xlabel(
        "probability of the answer\n"
        f"the {len(result.neurons)} vectors: cosine {result.cosine.mean():.4f} to what they were "
        f"(others {result.other_cosine.mean():.4f}),\n"
        f"{100 * result.kept.mean():.0f} % of their first {result.k} words kept (others "
        f"{100 * result.other_kept.mean():.0f} %)"
    )
    ax.set_title(f"{result.after}: {_named(result.words)}", fontsize=10)
    marks = [
        ("o", "white", BEFORE, f"before ({result.model})"),
        ("o", AFTER, "white", "after"),
        ("D", ABLATED, "white", "before, vectors set to zero"),
    ]
    _legend(ax, marks)
    return ax


def _traces(result: UnlearningAudit, ax: Axes | None) -> Axes:
    ax = new_axes(ax, 7.0, 3.6)
    both = np.concatenate([result.change, result.other_change]) * 100
    # One scale for both, and room for a single value.
    bins = np.linspace(0, max(float(both.max()), 1e-6) * 1.05, 30).tolist()
    for values, color, name in (
        (result.other_change, "0.55", f"others of their layers ({len(result.other_change)})"),
        (result.change, POSITIVE, f"the concept's vectors ({len(result.change)})"),
    ):
        share = np.full(len(values), 1 / len(values))
        ax.hist(100 * values, bins=bins, weights=share, color=color, alpha=0.55, label=name)
        ax.axvline(100 * float(values.mean()), color=color, linewidth=1.5)
    ax.set_xlabel("how far a value vector moved (% of its length; lines: the means)")
    ax.set_ylabel("share of the vectors")
    ax.set_title(f"{result.after}: {_named(result.words)}", fontsize=10)
    ax.legend(fontsize=8, frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _relearning(result: UnlearningAudit, ax: Axes | None) -> Axes:
    table = result.relearning()
    ax = new_axes(ax, 7.0, 3.8)
    names = {
        "after": "after the unlearning",
        "ablated": "before, vectors set to zero",
        "never": "a model that never knew",
    }
    colors = {"after": AFTER, "ablated": ABLATED, "never": "0.5"}
    for name in result.relearners:
        own = table[table["relearner"] == name]
        ax.fill_between(own["step"], own["low"], own["high"], color=colors[name], alpha=0.15)
        ax.plot(own["step"], own["probability"], "o-", color=colors[name], label=names[name])
    ax.axhline(float(result.measures()[0][2].mean()), color=BEFORE, linestyle=":", label="before")
    ax.set_ylim(-0.03, 1.03)
    ax.set_xlabel("steps of training on other answers of the kind")
    ax.set_ylabel("probability of the answer")
    ax.set_title(f"{result.after}: relearning {_named(result.words)}", fontsize=10)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)
    return ax


_TEXTS = ("loss elsewhere", "KL elsewhere")


def _legend(ax: Axes, marks: list[tuple[str, str, str, str]]) -> None:
    for mark, color, edge, label in marks:
        ax.plot([], [], mark, color=color, markeredgecolor=edge, markersize=7, label=label)
    ax.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.spines[["top", "right"]].set_visible(False)


def _short(name: str) -> str:
    return name.replace(".mlp_post", "")


def _named(words: tuple[str, ...]) -> str:
    return ", ".join(shown_token(w) for w in words[:3]) + (", …" if len(words) > 3 else "")
