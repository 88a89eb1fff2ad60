"""What scaled features do to the next word, as HTML: two columns side by side."""

from __future__ import annotations

import html

from .answers import column, side_by_side
from .flow_bench import FlowReading


def answers_table(reading: FlowReading, n_scaled: int) -> str:
    """The next words plain and with features scaled, and how far they are apart, as HTML."""
    captions = ("plain", "features scaled")
    parts = [
        column(f"<b>next word, {caption}</b>", answers)
        for caption, answers in zip(captions, reading.answers, strict=True)
    ]
    lines = [
        f"<b>KL(plain ‖ scaled) {reading.kl:.2f}</b> nats",
        f"{n_scaled} feature{'s' * (n_scaled != 1)} scaled",
    ]
    if reading.silent:
        names = html.escape(", ".join(reading.silent))
        one = len(reading.silent) == 1
        lines.append(f"{names} {'is' if one else 'are'} not active on this prompt")
    return side_by_side(parts, lines)
