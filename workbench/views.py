"""Views: from results to widgets and pages. The only file that knows both."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from functools import singledispatch
from typing import Any

import numpy as np

from .methods.attention import Attention
from .methods.circuit import Circuit
from .methods.circuit_graph import graph_edges, node_ids, node_kinds, node_layers
from .methods.components import Components
from .methods.logit_lens import LensPanel, LogitLens
from .methods.patching import Patching
from .result import Result

#: Above this many numbers log-probabilities travel to the browser in half precision.
FULL_PRECISION = 250_000

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1.5em; }}
img {{ max-width: 100%; }}
table {{ border-collapse: collapse; font-size: 0.85em; }}
td, th {{ padding: 0.1em 0.6em; text-align: right; }}
</style>
</head>
<body>
<h1>{title}</h1>
<img alt="{title}" src="data:image/png;base64,{picture}">
{table}
</body>
</html>
"""


@singledispatch
def widget(result: Any, **options: Any) -> Any:
    """The interactive view of a result. Raises `TypeError` for one that has none."""
    raise TypeError(
        f"{type(result).__name__} has no interactive view; draw it with plot(), or use to_frame()."
    )


@widget.register(LogitLens)
def _(result: LogitLens, *, row: int = 0, **options: Any) -> Any:
    """A `TokenGrid` of one prompt, number `row`; options as in `TokenGrid`."""
    from .widgets import TokenGrid

    return TokenGrid(**grid_data(result, row), **options)


@widget.register(Attention)
def _(result: Attention, *, row: int = 0, **options: Any) -> Any:
    """An `AttentionGrid` of one prompt, number `row`; options as in `AttentionGrid`."""
    from .widgets import AttentionGrid

    return AttentionGrid(**attention_data(result, row), **options)


@widget.register(Patching)
def _(result: Patching, *, row: int | None = None, quantity: str = "effect", **options: Any) -> Any:
    """A `TokenGrid` of the effects at each position, of the mean or of example `row`."""
    from .widgets import TokenGrid

    return TokenGrid(**patching_data(result, row), quantity=quantity, **options)


@widget.register(Circuit)
def _(result: Circuit, **options: Any) -> Any:
    """A `CircuitGraph` of the whole model in which the circuit stands out."""
    from .widgets import CircuitGraph

    edges, nodes = member_ids(result.parts, result.kept)
    return CircuitGraph(
        **graph_data(result.parts, result.scores),
        title=f"{result.model} · {result.task}: {result.n_edges} edges by {result.method}",
        in_circuit_edges=edges,
        in_circuit_nodes=nodes,
        **{"n_edges_shown": min(2000, max(1, len(edges))), **options},
    )


def has_widget(result: Result) -> bool:
    """Whether the result has an interactive view."""
    if isinstance(result, Patching):
        return result.by[-1] in ("pos", "dst")
    return widget.dispatch(type(result)) is not widget.dispatch(object)


def widget_bundle(result: Result) -> dict[str, Any]:
    """What a notebook's front end draws the widget from, by media type."""
    bundle = widget(result)._repr_mimebundle_()
    # ipywidgets gives the data alone or with metadata, by version.
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle)


def page(result: Result, title: str) -> str:
    """One self-contained HTML page: the widget, or where there is none the picture and table."""
    if has_widget(result):
        from .widgets import page as widget_page

        return widget_page(widget(result), title)
    picture = base64.b64encode(result.png()).decode("ascii")
    table = result.to_frame().to_html(index=False, border=0, float_format="{:.4g}".format)
    return PAGE.format(title=html.escape(title, quote=True), picture=picture, table=table)


def attention_data(result: Attention, row: int = 0) -> dict[str, Any]:
    """The arguments of `AttentionGrid`, and of its `update`, for one prompt."""
    kinds = [result.of_prompt(row)]
    if result.value_weighted is not None:
        kinds.append(result.of_prompt(row, weighted=True))
    # Half of each square is 0 and does not travel.
    if sum(kind.size for kind in kinds) > 2 * FULL_PRECISION:
        most = np.finfo(np.float16).max
        kinds = [kind.astype(np.float16) if kind.max() <= most else kind for kind in kinds]
    return {
        "tokens": list(result.tokens[row]),
        "pattern": kinds[0],
        "value_weighted": kinds[1] if len(kinds) > 1 else None,
        "layers": result.layers.tolist(),
        "title": f"{result.model}: what each head attends to",
    }


def patching_data(result: Patching, row: int | None = None) -> dict[str, Any]:
    """The arguments of `TokenGrid` for the mean effects, or for those of one example.

    Raises `TypeError` where positions were not patched one by one, `IndexError` for an example that
    is not there.
    """
    if not has_widget(result):
        raise TypeError(
            f"A grid shows effects at positions; this result has them by {', '.join(result.by)}. "
            "Draw it with plot(), or patch by='pos'."
        )
    n = len(result.clean)
    if row is not None and not 0 <= row < n:
        raise IndexError(f"The examples are numbered 0 to {n - 1}; got row={row}.")
    rows = [f"L{layer}" for layer in result.layers]
    if len(result.by) == 3:
        mark = "H" if result.by[1] == "head" else "/"
        rows = [f"{name}{mark}{unit}" for name in rows for unit in range(result.patched.shape[2])]
    if row is None:
        who = "1 example" if n == 1 else f"mean of {n} examples"
        values = {"effect": result.mean}
        if n > 1:
            values |= dict(zip(("low", "high"), result.interval(), strict=True))
    else:
        who, values = f"example {row}", {"effect": result.effects[row]}
        values["metric"] = result.patched[row]
    grids = {name: each.reshape(len(rows), -1) for name, each in values.items()}
    # Without the places that no example shown has.
    kept = np.flatnonzero(~np.isnan(grids["effect"]).all(0))
    names, numbers = result.place_names(row), result.positions.max(0)
    if (numbers != np.arange(len(names))).any():
        # The grid counts its columns, so that chosen positions carry their own number.
        names = [f"{n} {name}" for n, name in zip(numbers, names, strict=True)]
    most = max(float(np.nanmax(np.abs(grids["effect"]))), 1e-6)
    labels = {
        "effect": "effect",
        "low": "effect, low end of 95 %",
        "high": "effect, high end of 95 %",
        "metric": result.metric_name.replace("_", " "),
    }
    signed: dict[str, Any] = {"scale": "diverging", "digits": 2}
    quantities = {}
    for name, each in grids.items():
        ends = {} if name == "metric" else {"low": -most, "high": most}
        quantities[name] = {"values": each[:, kept], "label": labels[name], **signed, **ends}
    empty = np.zeros((len(rows), len(kept), 0))
    panel = {
        "lens": result.direction,
        "component": result.over,
        "rows": rows,
        "top": empty.astype(np.uint8),
        "top_logprob": empty,
        "quantities": quantities,
    }
    return {
        "tokens": [names[place] for place in kept],
        "panels": [panel],
        "vocabulary": [],
        "title": f"{result.model}: {result.direction} {result.over} on {result.task}, {who}",
    }


def grid_data(result: LogitLens, row: int = 0) -> dict[str, Any]:
    """The arguments of `TokenGrid`, and of its `update`, for one prompt of a lens."""
    shown, tokens = result.shown(row), result.tokens[row]
    return {
        "tokens": [tokens[p] for p in shown],
        "next_token": [tokens[p + 1] if p + 1 < len(tokens) else "" for p in shown],
        "vocabulary": list(result.token_strings),
        "panels": [_grid_panel(result, panel, row, len(shown)) for panel in result.panels],
        "title": f"{result.model}: what each layer predicts",
    }


def _grid_panel(result: LogitLens, panel: LensPanel, row: int, n: int) -> dict[str, Any]:
    logprobs = panel.top_logprobs[row, :, :n]
    out: dict[str, Any] = {
        "lens": panel.lens,
        "component": panel.component,
        "rows": list(panel.rows),
        "top": _index(result, panel.top_ids[row, :, :n]),
        "top_logprob": logprobs.astype(np.float16) if logprobs.size > FULL_PRECISION else logprobs,
        "quantities": _quantities(result, panel, row, n),
    }
    if panel.track_offsets is not None:
        assert (
            panel.track_ids is not None
            and panel.track_ranks is not None
            and panel.track_logprobs is not None
        )
        first = row * result.positions.shape[1]
        offsets = panel.track_offsets[first : first + n + 1]
        inside = slice(int(offsets[0]), int(offsets[-1]))
        out["tracks"] = {
            "offsets": offsets - offsets[0],
            "ids": _index(result, panel.track_ids[inside]),
            "ranks": panel.track_ranks[inside],
            "logprobs": panel.track_logprobs[inside].astype(np.float16),
        }
    return out


def _index(result: LogitLens, ids: np.ndarray) -> np.ndarray:
    """Token ids as places in the result's list of strings."""
    return np.searchsorted(result.token_ids, ids).astype(np.int32)


def _quantities(result: LogitLens, panel: LensPanel, row: int, n: int) -> dict[str, dict[str, Any]]:
    share = {"scale": "sequential", "low": 0.0, "high": 1.0, "digits": 3, "unit": ""}
    top = np.exp(panel.top_logprobs[row, :, :n, 0])
    out: dict[str, dict[str, Any]] = {
        "probability": {"values": top, "label": "probability of the top token", **share}
    }
    if panel.entropy is not None:
        out["entropy"] = {
            "values": panel.entropy[row, :, :n],
            "label": "entropy",
            "unit": "nats",
            "low": 0.0,
            "digits": 2,
        }
    if panel.kl is not None:
        out["kl"] = {
            "values": panel.kl[row, :, :n],
            "label": "KL(final ‖ row)",
            "unit": "nats",
            "low": 0.0,
            "digits": 2,
        }
    for t, target in enumerate(result.targets):
        probability = np.exp(panel.target_logprobs[row, :, :n, t])
        ranks = panel.target_ranks[row, :, :n, t] + 1.0
        out[f"probability of {target!r}"] = {
            "values": probability,
            "label": f"probability of {target!r}",
            **share,
        }
        out[f"rank of {target!r}"] = {
            "values": ranks,
            "label": f"rank of {target!r}, 1 = top",
            "scale": "log",
            "low": 1.0,
            "digits": 0,
        }
    for t, (target, foil) in enumerate(zip(result.targets, result.foils, strict=False)):
        name = f"logit {target!r} − {foil!r}"
        out[name] = {
            "values": panel.difference[row, :, :n, t],
            "label": name,
            "unit": "logits",
            "scale": "diverging",
            "digits": 2,
        }
    for s, name in enumerate(result.token_sets):
        label = f"summed probability: {name}"
        out[f"mass: {name}"] = {"values": panel.masses[row, :, :n, s], "label": label, **share}
    return out


def edge_ids(parts: Components) -> list[str]:
    """What each edge of a model is called in a `CircuitGraph`, in the order of `graph_edges`."""
    ids = node_ids(parts)
    return [
        f"{ids[source]}→{ids[target]}" + (f".{channel}" if channel else "")
        for source, target, _, channel in graph_edges(parts, parts.edges)
    ]


def member_ids(parts: Components, kept: np.ndarray) -> tuple[list[str], list[str]]:
    """The edges of a mask (writer, reader), and the nodes at their ends, in a `CircuitGraph`."""
    edges, ends = [], set()
    drawn = zip(edge_ids(parts), graph_edges(parts, parts.edges), strict=True)
    for name, (source, target, reader, _) in drawn:
        if kept[source, reader]:
            edges.append(name)
            ends |= {source, target}
    return edges, [node_ids(parts)[end] for end in sorted(ends)]


def graph_data(
    parts: Components, scores: np.ndarray, node_scores: Sequence[float] | None = None
) -> dict[str, Any]:
    """The nodes and edges of a `CircuitGraph`: a whole model with scores (writer, reader)."""
    edges = list(graph_edges(parts, parts.edges))
    known = [None] * len(parts.writers) if node_scores is None else list(node_scores)
    names = zip(
        node_ids(parts), node_kinds(parts), node_layers(parts).tolist(), [*known, None], strict=True
    )
    return {
        "nodes": [
            {
                "id": name,
                "kind": kind,
                "layer": layer if kind in ("head", "mlp") else None,
                "score": score,
            }
            for name, kind, layer, score in names
        ],
        "edges": {
            "source": [source for source, *_ in edges],
            "target": [target for _, target, *_ in edges],
            "weight": np.array([scores[source, reader] for source, _, reader, _ in edges]),
            "channel": [channel for *_, channel in edges],
        },
    }
