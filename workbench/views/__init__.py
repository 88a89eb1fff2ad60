"""Views: from results to widgets and pages. The only folder that knows both."""

from __future__ import annotations

import base64
import html
from functools import singledispatch
from typing import Any

from ipywidgets import Widget

from .. import widgets
from ..methods.attention import Attention
from ..methods.circuit import Circuit
from ..methods.features.feature_activations import FeatureActivations
from ..methods.features.feature_page import FeaturePage
from ..methods.features.flow import FeatureFlow
from ..methods.information.information_flow import InformationFlow
from ..methods.logit_lens import LogitLens
from ..methods.patching import Patching
from ..result import Result
from ..widgets import AttentionGrid, FeatureGrid, GraphView, TokenGrid
from ..widgets import page as widget_page
from .circuits import by_position, edge_ids, graph_data, member_ids, patching_data
from .features import MOST_FLOW_NODES, activations_data, flow_data, has_active, page_data
from .information import fits, information_data
from .lens import attention_data, grid_data

__all__ = [
    "activations_data",
    "attention_data",
    "edge_ids",
    "flow_data",
    "graph_data",
    "grid_data",
    "has_widget",
    "information_data",
    "member_ids",
    "page",
    "page_data",
    "patching_data",
    "widget",
    "widget_bundle",
]

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
    return TokenGrid(**grid_data(result, row), **options)


@widget.register(Attention)
def _(result: Attention, *, row: int = 0, **options: Any) -> Any:
    """An `AttentionGrid` of one prompt, number `row`; options as in `AttentionGrid`."""
    return AttentionGrid(**attention_data(result, row), **options)


@widget.register(Patching)
def _(result: Patching, *, row: int | None = None, quantity: str = "effect", **options: Any) -> Any:
    """A `TokenGrid` of the effects at each position, of the mean or of example `row`."""
    return TokenGrid(**patching_data(result, row), quantity=quantity, **options)


@widget.register(Circuit)
def _(result: Circuit, **options: Any) -> Any:
    """A `GraphView` of the whole model in which the circuit stands out."""
    edges, nodes = member_ids(result.parts, result.kept)
    return GraphView(
        graph_data(result.parts, result.scores),
        title=f"{result.model} · {result.task}: {result.n_edges} edges by {result.method}",
        in_circuit_edges=edges,
        in_circuit_nodes=nodes,
        **{"n_edges_shown": min(2000, max(1, len(edges))), **options},
    )


@widget.register(FeatureFlow)
def _(result: FeatureFlow, **options: Any) -> Any:
    """A `GraphView` of the features in lanes; options as there."""
    return GraphView(flow_data(result), layout="lanes", **options)


@widget.register(InformationFlow)
def _(result: InformationFlow, **options: Any) -> Any:
    """A `GraphView` of the pass over its tokens; options as there."""
    return GraphView(information_data(result), layout="tokens", **options)


@widget.register(FeaturePage)
def _(result: FeaturePage, **options: Any) -> Any:
    """A `widgets.FeaturePage`; options: `editable`."""
    return widgets.FeaturePage(**{**page_data(result), **options})


@widget.register(FeatureActivations)
def _(result: FeatureActivations, *, row: int = 0, **options: Any) -> Any:
    """A `FeatureGrid` of one prompt, number `row`; options as in `FeatureGrid`."""
    return FeatureGrid(**{**activations_data(result, row), **options})


def has_widget(result: Result) -> bool:
    """Whether the result has an interactive view."""
    if isinstance(result, Patching):
        return by_position(result)
    if isinstance(result, FeatureFlow):
        return len(result.graph.ids) <= MOST_FLOW_NODES
    if isinstance(result, InformationFlow):
        return fits(result)
    if isinstance(result, FeatureActivations):
        return has_active(result)
    return widget.dispatch(type(result)) is not widget.dispatch(object)


def widget_bundle(result: Result) -> dict[str, Any]:
    """What a notebook's front end draws the widget from, by media type."""
    bundle = widget(result)._repr_mimebundle_()
    # ipywidgets gives the data alone or with metadata, by version.
    return dict(bundle[0] if isinstance(bundle, tuple) else bundle)


def page(result: Result, title: str) -> str:
    """One self-contained HTML page: the widget, or where there is none the picture and table."""
    if has_widget(result):
        drawn = widget(result)
        try:
            return widget_page(drawn, title)
        finally:
            # Its layout is a widget too, and every widget is kept until it is closed.
            for part in (*drawn.trait_values().values(), drawn):
                if isinstance(part, Widget):
                    part.close()
    picture = base64.b64encode(result.png()).decode("ascii")
    table = result.to_frame().to_html(index=False, border=0, float_format="{:.4g}".format)
    return PAGE.format(title=html.escape(title, quote=True), picture=picture, table=table)
