"""What explorers show beside their view, as HTML: answers side by side, and what is clicked."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..effects import Effects
from ..information.graph import InformationGraph
from ..model import Model
from ..tokens import token_strings

_NUMBER = "padding:0 .5em; text-align:right"
_CELL = "padding:.1em .7em .1em 0; text-align:left; vertical-align:top"
_CHIP = (
    "display:inline-block; white-space:pre; font-family:monospace; padding:0 .25em; margin:0 .15em "
    ".15em 0; border:1px solid var(--jp-border-color2, #ccc); border-radius:3px"
)
#: Words of a value or key that stand in a line of the table.
MOST_WORDS = 5
#: Parts of the model that a path goes through; between them the stream carries everything alike.
PARTS = ("head", "neuron", "mlp")


@dataclass(frozen=True)
class Answers:
    """The likeliest next tokens of one run, best first, with their probabilities."""

    tokens: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True)
class MeasuredAnswers(Answers):
    """The likeliest next tokens of one run, and the metric."""

    metric: float


@dataclass(frozen=True)
class CircuitReading:
    """What a set of cuts does. answers: of one example's clean, ablated and corrupt run.

    clean, ablated, corrupt: mean metric of all examples. faithfulness: 0 = as with every edge cut,
    1 = as the whole model; NaN where the ablation does not move the metric.
    """

    answers: tuple[MeasuredAnswers, MeasuredAnswers, MeasuredAnswers]
    clean: float
    ablated: float
    corrupt: float
    faithfulness: float


@dataclass(frozen=True)
class FlowReading:
    """What scaling features does to one prompt.

    before, after: (node) activations of the flow's features; after, of a scaled feature, the factor
    times its code, of the others what their dictionaries read. answers: plain and scaled. kl:
    KL(plain ‖ scaled) of the next token, in nats. silent: scaled features that are not active on
    the prompt, so that scaling them changes nothing.
    """

    before: np.ndarray
    after: np.ndarray
    answers: tuple[Answers, Answers]
    kl: float
    silent: tuple[str, ...]


@dataclass(frozen=True)
class StrongestPath:
    """The strongest path between two nodes of a pass.

    nodes: from the earlier to the later. edges: their names; shares, weights: of each. strength:
    the product of the shares. narrow: the edges by which the path is cut, see `narrowest`.
    """

    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    shares: tuple[float, ...]
    weights: tuple[float, ...]
    strength: float
    narrow: tuple[str, ...]


@dataclass(frozen=True)
class InformationReading:
    """The next words of the prompt, plain and with edges cut.

    edges: those that are cut; cut: what that does, None where there are none.
    """

    plain: Answers
    after: Answers
    edges: tuple[str, ...]
    cut: Effects | None


def likeliest(model: Model, probabilities: torch.Tensor, n: int) -> Answers:
    """The n likeliest of (d_vocab,) probabilities."""
    best = probabilities.topk(min(n, probabilities.shape[-1]))
    words = token_strings(model.tokenizer, best.indices.tolist())
    return Answers(tuple(words), tuple(best.values.tolist()))


def side_by_side(parts: Iterable[str], lines: Iterable[str]) -> str:
    """Columns beside one another and lines of HTML beside them, as HTML."""
    return (
        '<div class="workbench-answers" style="display:flex; flex-wrap:wrap; gap:1em; '
        'align-items:flex-start">'
        f'{"".join(parts)}<div style="align-self:center; line-height:1.5">{"<br>".join(lines)}'
        "</div></div>"
    )


def column(caption: str, answers: Answers, *, width: str = "6em") -> str:
    """The tokens of one run with a bar for each, as HTML. caption: HTML; width: of a full bar."""
    rows = "".join(
        f'<tr><td style="text-align:right; white-space:pre; font-family:monospace; '
        f'padding:0 .5em">{html.escape(token)}</td>'
        f'<td style="width:{width}"><div style="background:#4a90c2; height:.7em; width:{p:.1%}">'
        f'</div></td><td style="padding-left:.4em">{p:.2f}</td></tr>'
        for token, p in zip(answers.tokens, answers.probabilities, strict=True)
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        f'<caption style="text-align:left; white-space:nowrap">{caption}</caption>{rows}</table>'
    )


def circuit_answers(
    reading: CircuitReading, n_cut: int, n_edges: int, metric_name: str, n_pairs: int
) -> str:
    """The answers side by side, the metric and the faithfulness, as HTML."""
    names = ("clean", "ablated", "corrupt")
    parts = [
        column(f"<b>{name}</b> {answers.metric:.2f}", answers, width="4em")
        for name, answers in zip(names, reading.answers, strict=True)
    ]
    faithful = "—" if np.isnan(reading.faithfulness) else f"{reading.faithfulness:.2f}"
    name = html.escape(metric_name.replace("_", " "))
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
        f"mean {name} of {n_pairs} pairs:",
        means,
        f"{n_cut} of {n_edges} edges ablated",
    ]
    return side_by_side(parts, lines)


def flow_answers(reading: FlowReading, n_scaled: int) -> str:
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


def information_answers(
    reading: InformationReading, information: InformationGraph, shown: InformationGraph
) -> str:
    """The next words plain and cut, the controls, and how far the answer falls, as HTML.

    shown: the part of the graph that is in view.
    """
    cut = reading.cut
    parts = [column("<b>next word</b>", reading.plain)]
    if cut is None:
        return side_by_side(parts, ["nothing is cut", "click an edge to cut it"])
    n = len(reading.edges)
    hidden = len(set(reading.edges) - set(shown.edge_names))
    beside = f", {hidden} of them outside the part shown" if hidden else ""
    parts.append(column(f"<b>{n} edge{'s' * (n != 1)} cut{beside}</b>", reading.after))
    if cut.kinds:
        parts.append(_controls(cut))
    return side_by_side(parts, _lines(cut, information))


def next_words(cut: Effects, n: int) -> list[Answers]:
    """The n likeliest next tokens of the plain run, the cut one and each control."""
    words = [measure for measure in cut.measures if measure.unit == "probability"]
    names = [measure.name for measure in words]
    runs = np.stack([np.concatenate([m.plain, m.changed[0], m.control[:, 0]]) for m in words], 1)
    order = np.argsort(-runs, axis=1, kind="stable")[:, :n]
    return [
        Answers(tuple(names[i] for i in best), tuple(run[best].tolist()))
        for run, best in zip(runs, order, strict=True)
    ]


def _controls(cut: Effects) -> str:
    """A line for each set of random edges: the likeliest word and how the answer changes."""
    rows = "".join(
        f'<tr title="{html.escape(edges)}"><td style="{_NUMBER}; white-space:pre; '
        f'font-family:monospace">{html.escape(best.tokens[0])}</td>'
        f'<td style="{_NUMBER}">{best.probabilities[0]:.2f}</td>'
        f'<td style="{_NUMBER}">{effect:+.2f}</td></tr>'
        for edges, best, effect in zip(
            cut.controls["draw"],
            next_words(cut, 1)[2:],
            cut.effect(of="controls")[:, 0],
            strict=True,
        )
    )
    return (
        '<table style="border-collapse:collapse; line-height:1.25">'
        '<caption style="text-align:left; white-space:nowrap" title="next word, its probability, '
        'and how far the answer changes, in logits"><b>random edges of the kinds cut</b></caption>'
        f"{rows}</table>"
    )


def _lines(cut: Effects, information: InformationGraph) -> list[str]:
    compared = f" − {information.foil!r}" if information.foil else " above the mean"
    answer, probability = cut["answer"], cut[information.target]
    effect = float(cut.effect()[0, 0])
    lines = [
        f"<b>{html.escape(repr(information.target) + compared)}: {answer.plain[0]:.2f} → "
        f"{answer.changed[0, 0]:.2f}</b> logits ({effect:+.2f})",
        f"its probability {probability.plain[0]:.2f} → {probability.changed[0, 0]:.2f}, "
        f"KL {cut['KL'].changed[0, 0]:.2f} nats",
    ]
    if information.measure == "answer":
        said = float(cut.effect("predicted")[0, 0])
        lines.append(f"by the weights of what is cut, to first order: {said:+.2f}")
    if not cut.kinds:
        return [*lines, "no control: no other edges of these kinds were cut"]
    others = cut.effect(of="controls")[:, 0]
    beaten = int((abs(others) < abs(effect)).sum())
    return [
        *lines,
        f"random edges: {others.mean():+.2f} on average, a smaller change in {beaten} of "
        f"{len(others)}",
    ]


def node_panel(information: InformationGraph, node: str, alone: Callable[[str], float]) -> str:
    """What a head moved, or what a neuron or MLP wrote counts, as HTML; "" for a state.

    alone: how far the answer changes where one edge is cut and nothing else. A state's words and
    what its norm does to them stand in the graph's own panel.
    """
    number = information.node(node)
    kind = information.kinds[number]
    if kind not in PARTS:
        return ""
    at = _token(information, int(information.positions[number]))
    heading = f"<b>{html.escape(node)}</b> at {at} writes: {chips(information.words[number])}"
    lines = [heading, *_written(information, number, alone)]
    table = _moved(information, number, alone) if kind == "head" else ""
    return _box([*lines, *_query(information, number)], table)


def path_panel(path: StrongestPath | None, ends: tuple[str, str]) -> str:
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


def _moved(information: InformationGraph, number: int, alone: Callable[[str], float]) -> str:
    """From which positions a head moved what, and what that does to the answer: a line for each."""
    details = dict(information.details[number])
    into = np.flatnonzero(information.targets == number)
    sources: dict[int, dict[str, int]] = {}
    for edge in into[np.argsort(-information.shares[into], kind="stable")].tolist():
        if (channel := information.channels[edge]) in ("v", "k"):
            source = int(information.positions[information.sources[edge]])
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
            _token(information, source),
            _weight(information, edges.get("v")),
            *([_weight(information, edges.get("k"))] if keys else []),
            chips(_detail(details, "value of ", source)),
            chips(_detail(details, "key of ", source)),
            _fall(information, edges.get("v"), alone),
        ]
        for source, edges in sources.items()
    ]
    return _table(titles, rows)


def _query(information: InformationGraph, number: int) -> list[str]:
    """What a head looks for, and how much that weighs where the graph says so."""
    lines = [
        f"its query looks for: {chips(words)}"
        for caption, words in information.details[number]
        if caption.startswith("query")
    ]
    into = np.flatnonzero(information.targets == number).tolist()
    weights = [_weight(information, edge) for edge in into if information.channels[edge] == "q"]
    return [*lines, *(f"its query weighs {weight}" for weight in weights)]


def _written(
    information: InformationGraph, number: int, alone: Callable[[str], float]
) -> list[str]:
    """What a node writes counts, and the answer without it; nothing where that is not shown."""
    return [
        f"this weighs {_weight(information, edge)} in "
        f"{information.ids[information.targets[edge]]} ({html.escape(information.unit)}); "
        f"the answer, it cut alone: {_fall(information, edge, alone)}"
        for edge in np.flatnonzero(information.sources == number).tolist()
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


def _token(information: InformationGraph, position: int) -> str:
    return f"{chips([information.tokens[0][position]])}({position})"


def _weight(information: InformationGraph, edge: int | None) -> str:
    if edge is None:
        return "—"
    return f"{information.weights[edge]:+.3f} ({_percent(information.shares[edge])})"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def _fall(information: InformationGraph, edge: int | None, alone: Callable[[str], float]) -> str:
    return "—" if edge is None else f"{alone(information.edge_names[edge]):+.2f} logits"


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
