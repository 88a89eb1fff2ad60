"""What is clicked in a live information flow, as HTML: a head and what it moved, a path."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from ..methods.information.information_flow import InformationFlow
from .information_bench import PARTS, FlowPath

_CELL = "padding:.1em .7em .1em 0; text-align:left; vertical-align:top"
_CHIP = (
    "display:inline-block; white-space:pre; font-family:monospace; padding:0 .25em; margin:0 .15em "
    ".15em 0; border:1px solid var(--jp-border-color2, #ccc); border-radius:3px"
)
#: Words of a value or key that stand in a line of the table.
MOST_WORDS = 5


def node_panel(flow: InformationFlow, node: str, alone: Callable[[str], float]) -> str:
    """What a head moved, or what a neuron or MLP wrote counts, as HTML; "" for a state.

    alone: how far the answer falls where one edge is cut and nothing else. A state's words and what
    its norm does to them stand in the graph's own panel.
    """
    number = flow.node(node)
    kind = flow.graph.kinds[number]
    if kind not in PARTS:
        return ""
    at = _token(flow, int(flow.graph.positions[number]))
    heading = f"<b>{html.escape(node)}</b> at {at} writes: {chips(flow.words[number])}"
    lines = [heading, *_written(flow, number, alone)]
    table = _moved(flow, number, alone) if kind == "head" else ""
    return _box([*lines, *_query(flow, number)], table)


def path_panel(path: FlowPath | None, ends: tuple[str, str]) -> str:
    """The strongest path between two nodes, edge by edge, and where it would be cut."""
    if path is None:
        text = f"No path of edges that are not cut joins {ends[0]} and {ends[1]}."
        return f'<div class="workbench-path">{html.escape(text)}</div>'
    rows = [
        [
            html.escape(edge) + (" ✂" if edge in path.narrow else ""),
            _percent(share),
            f"{weight:+.3f}",
        ]
        for edge, share, weight in zip(path.edges, path.shares, path.weights, strict=True)
    ]
    heading = (
        f"<b>Strongest path from {html.escape(path.nodes[0])} to {html.escape(path.nodes[-1])}</b>"
        f": {_percent(path.strength)}, the product of {len(path.edges)} shares. "
        "“cut this path” cuts what is marked ✂."
    )
    table = _table(["edge", "share", "weight"], rows)
    return f'<div class="workbench-path" style="line-height:1.4">{heading}{table}</div>'


def _moved(flow: InformationFlow, number: int, alone: Callable[[str], float]) -> str:
    """From which positions a head moved what, and what that does to the answer: a line for each."""
    graph, details = flow.graph, dict(flow.details[number])
    into = np.flatnonzero(graph.targets == number)
    sources: dict[int, dict[str, int]] = {}
    for edge in into[np.argsort(-flow.shares[into], kind="stable")].tolist():
        if (channel := graph.channels[edge]) in ("v", "k"):
            source = int(graph.positions[graph.sources[edge]])
            sources.setdefault(source, {})[channel] = edge
    if not sources:
        return "The graph shows no position that it reads."
    keys = any("k" in edges for edges in sources.values())
    titles = [
        "moved from",
        "weight (share)",
        *(["of its key (share)"] if keys else []),
        "the value, as words",
        "the key is looked for by",
        "answer, this value cut alone",
    ]
    rows = [
        [
            _token(flow, source),
            _weight(flow, edges.get("v")),
            *([_weight(flow, edges.get("k"))] if keys else []),
            chips(_detail(details, "value of ", source)),
            chips(_detail(details, "key of ", source)),
            _fall(flow, edges.get("v"), alone),
        ]
        for source, edges in sources.items()
    ]
    return _table(titles, rows)


def _query(flow: InformationFlow, number: int) -> list[str]:
    """What a head looks for, and how much that weighs where the flow says so."""
    lines = [
        f"its query looks for: {chips(words)}"
        for caption, words in flow.details[number]
        if caption.startswith("query")
    ]
    graph = flow.graph
    into = np.flatnonzero(graph.targets == number).tolist()
    weights = [_weight(flow, edge) for edge in into if graph.channels[edge] == "q"]
    return [*lines, *(f"its query weighs {weight}" for weight in weights)]


def _written(flow: InformationFlow, number: int, alone: Callable[[str], float]) -> list[str]:
    """What a node writes counts, and the answer without it; nothing where that is not shown."""
    graph = flow.graph
    return [
        f"this weighs {_weight(flow, edge)} in {graph.ids[graph.targets[edge]]} "
        f"({html.escape(flow.unit)}); the answer, it cut alone: {_fall(flow, edge, alone)}"
        for edge in np.flatnonzero(graph.sources == number).tolist()
    ]


def chips(words: Iterable[str]) -> str:
    """Words in boxes, their spaces kept, as HTML; a dash for none."""
    shown = [f'<span style="{_CHIP}">{html.escape(word)}</span>' for word in words]
    return "".join(shown) or "—"


def _detail(details: dict[str, tuple[str, ...]], start: str, source: int) -> Sequence[str]:
    """The words of a head's value or key at one position."""
    for name, words in details.items():
        if name.startswith(start) and name.split(":")[0].endswith(f"@{source}"):
            return words[:MOST_WORDS]
    return ()


def _token(flow: InformationFlow, position: int) -> str:
    return f"{chips([flow.graph.tokens[position]])}({position})"


def _weight(flow: InformationFlow, edge: int | None) -> str:
    return (
        "—" if edge is None else f"{flow.graph.weights[edge]:+.3f} ({_percent(flow.shares[edge])})"
    )


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _fall(flow: InformationFlow, edge: int | None, alone: Callable[[str], float]) -> str:
    return "—" if edge is None else f"{-alone(flow.edge_names[edge]):+.2f} logits"


def _table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th style="{_CELL}">{title}</th>' for title in titles)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{cell}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f'<table style="border-collapse:collapse"><tr>{head}</tr>{body}</table>'


def _box(lines: Iterable[str], table: str) -> str:
    text = "<br>".join(line for line in lines if line)
    return f'<div class="workbench-node" style="line-height:1.6">{text}{table}</div>'
