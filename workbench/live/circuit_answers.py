"""What a set of cuts does to the answers, as HTML: three columns side by side."""

from __future__ import annotations

import html

import numpy as np

from .circuit_bench import Answers, CircuitBench, Reading


def answers_table(reading: Reading, n_cut: int, bench: CircuitBench) -> str:
    """The answers side by side, the metric and the faithfulness, as HTML."""
    columns = zip(("clean", "ablated", "corrupt"), reading.answers, strict=True)
    cells = "".join(_column(name, answers) for name, answers in columns)
    faithful = "—" if np.isnan(reading.faithfulness) else f"{reading.faithfulness:.2f}"
    name = html.escape(bench.examples.batch.metric_name.replace("_", " "))
    means = " · ".join(
        f"{what} {value:.2f}"
        for what, value in (
            ("clean", reading.clean),
            ("ablated", reading.ablated),
            ("corrupt", reading.corrupt),
        )
    )
    return (
        f'<div class="workbench-answers" style="display:flex; flex-wrap:wrap; gap:1em">{cells}'
        '<div style="align-self:center; line-height:1.5">'
        f"<b>faithfulness {faithful}</b><br>mean {name} of {len(bench.examples.batch)} pairs:<br>"
        f"{means}<br>{n_cut} of {bench.parts.n_edges} edges ablated</div></div>"
    )


def _column(name: str, answers: Answers) -> str:
    bars = "".join(
        f'<tr><td style="text-align:right; white-space:pre; font-family:monospace; '
        f'padding:0 .5em">{html.escape(token)}</td>'
        f'<td style="width:4em"><div style="background:#4a90c2; height:.7em; width:{p:.1%}"></div>'
        f'</td><td style="padding-left:.4em">{p:.2f}</td></tr>'
        for token, p in zip(answers.tokens, answers.probabilities, strict=True)
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        '<caption style="text-align:left">'
        f"<b>{name}</b> {answers.metric:.2f}</caption>{bars}</table>"
    )
