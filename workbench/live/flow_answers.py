"""What scaled features do to the next word, as HTML: two columns side by side."""

from __future__ import annotations

import html

from .flow_bench import Answers, FlowReading


def answers_table(reading: FlowReading, n_scaled: int) -> str:
    """The next words plain and with features scaled, and how far they are apart, as HTML."""
    columns = zip(("plain", "features scaled"), reading.answers, strict=True)
    cells = "".join(_column(name, answers) for name, answers in columns)
    lines = [
        f"<b>KL(plain ‖ scaled) {reading.kl:.2f}</b> nats",
        f"{n_scaled} feature{'s' * (n_scaled != 1)} scaled",
    ]
    if reading.silent:
        names = html.escape(", ".join(reading.silent))
        one = len(reading.silent) == 1
        lines.append(f"{names} {'is' if one else 'are'} not active on this prompt")
    return (
        '<div class="workbench-answers" style="display:flex; flex-wrap:wrap; gap:1em">'
        f'{cells}<div style="align-self:center; line-height:1.5">{"<br>".join(lines)}</div></div>'
    )


def _column(name: str, answers: Answers) -> str:
    rows = "".join(
        f'<tr><td style="text-align:right; white-space:pre; font-family:monospace; '
        f'padding:0 .5em">{html.escape(token)}</td>'
        f'<td style="width:6em"><div style="background:#4a90c2; height:.7em; width:{p:.1%}"></div>'
        f'</td><td style="padding-left:.4em">{p:.2f}</td></tr>'
        for token, p in zip(answers.tokens, answers.probabilities, strict=True)
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        '<caption style="text-align:left; white-space:nowrap">'
        f"<b>next word, {name}</b></caption>{rows}</table>"
    )
