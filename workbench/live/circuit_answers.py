"""What a set of cuts does to the answers, as HTML: three columns side by side."""

from __future__ import annotations

import html

import numpy as np

from .answers import column, side_by_side
from .circuit_bench import CircuitBench, Reading


def answers_table(reading: Reading, n_cut: int, bench: CircuitBench) -> str:
    """The answers side by side, the metric and the faithfulness, as HTML."""
    names = ("clean", "ablated", "corrupt")
    parts = [
        column(f"<b>{name}</b> {answers.metric:.2f}", answers, width="4em")
        for name, answers in zip(names, reading.answers, strict=True)
    ]
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
    lines = [
        f"<b>faithfulness {faithful}</b>",
        f"mean {name} of {len(bench.examples.batch)} pairs:",
        means,
        f"{n_cut} of {bench.parts.n_edges} edges ablated",
    ]
    return side_by_side(parts, lines)
