"""What cut edges do to the next word, as HTML: before, after, and with random others cut."""

from __future__ import annotations

import html

from ..methods.information.flow_cut import FlowCut
from ..methods.information.information_flow import InformationFlow
from .answers import column, side_by_side
from .information_bench import InformationReading

_CELL = "padding:0 .5em; text-align:right"


def answers_table(
    reading: InformationReading, flow: InformationFlow, shown: InformationFlow
) -> str:
    """The next words plain and cut, the controls, and how far the answer falls, as HTML.

    shown: the part of the flow that the graph shows.
    """
    cut = reading.cut
    parts = [column("<b>next word</b>", reading.plain)]
    if cut is None:
        return side_by_side(parts, ["nothing is cut", "click an edge to cut it"])
    n = len(cut.edges)
    hidden = len(set(cut.edges) - set(shown.edge_names))
    beside = f", {hidden} of them outside the part shown" if hidden else ""
    parts.append(column(f"<b>{n} edge{'s' * (n != 1)} cut{beside}</b>", reading.after))
    if cut.control_edges:
        parts.append(_controls(cut))
    return side_by_side(parts, _lines(cut, flow))


def _controls(cut: FlowCut) -> str:
    """A line for each set of random edges: the likeliest word and the answer's fall."""
    rows = "".join(
        f'<tr title="{html.escape("; ".join(edges))}"><td style="{_CELL}; white-space:pre; '
        f'font-family:monospace">{html.escape(words[0])}</td>'
        f'<td style="{_CELL}">{p[0]:.2f}</td><td style="{_CELL}">{-effect:+.2f}</td></tr>'
        for edges, words, p, effect in zip(
            cut.control_edges,
            cut.words[2:],
            cut.probabilities[2:],
            cut.control_effects,
            strict=True,
        )
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        '<caption style="text-align:left; white-space:nowrap" title="next word, its probability, '
        'and how far the answer changes, in logits"><b>random edges of the kinds cut</b></caption>'
        f"{rows}</table>"
    )


def _lines(cut: FlowCut, flow: InformationFlow) -> list[str]:
    compared = f" − {flow.foil!r}" if flow.foil else " above the mean"
    lines = [
        f"<b>{html.escape(repr(cut.target) + compared)}: {cut.answer[0]:.2f} → "
        f"{cut.answer[1]:.2f}</b> logits ({-cut.effect:+.2f})",
        f"its probability {cut.probability[0]:.2f} → {cut.probability[1]:.2f}, "
        f"KL {cut.kl[1]:.2f} nats",
    ]
    if flow.by == "answer":
        lines.append(f"by the weights of what is cut, to first order: {-cut.expected:+.2f}")
    if not cut.control_edges:
        return [*lines, "no control: no other edges of these kinds were cut"]
    others = cut.control_effects
    beaten = int((abs(others) < abs(cut.effect)).sum())
    return [
        *lines,
        f"random edges: {-others.mean():+.2f} on average, a smaller change in {beaten} of "
        f"{len(others)}",
    ]
