"""The front-end widgets: plain arrays and strings in, the user's choice out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.widgets.attention_grid import AttentionGrid as AttentionGrid
    from workbench.widgets.export import output as output
    from workbench.widgets.export import page as page
    from workbench.widgets.feature_grid import FeatureGrid as FeatureGrid
    from workbench.widgets.feature_page import FeaturePage as FeaturePage
    from workbench.widgets.graph_data import GraphNode as GraphNode
    from workbench.widgets.graph_edges import GraphEdges as GraphEdges
    from workbench.widgets.graph_view import GraphView as GraphView
    from workbench.widgets.panel import Panel as Panel
    from workbench.widgets.panel import Quantity as Quantity
    from workbench.widgets.panel import Tracks as Tracks
    from workbench.widgets.token_grid import TokenGrid as TokenGrid

__all__ = [
    "AttentionGrid",
    "FeatureGrid",
    "FeaturePage",
    "GraphEdges",
    "GraphNode",
    "GraphView",
    "Panel",
    "Quantity",
    "TokenGrid",
    "Tracks",
    "output",
    "page",
]

# anywidget brings ipywidgets and IPython, a third of a second: nothing loads before a name is used.
_HOMES = {
    "AttentionGrid": "attention_grid",
    "FeatureGrid": "feature_grid",
    "FeaturePage": "feature_page",
    "GraphEdges": "graph_edges",
    "GraphNode": "graph_data",
    "GraphView": "graph_view",
    "Panel": "panel",
    "Quantity": "panel",
    "TokenGrid": "token_grid",
    "Tracks": "panel",
    "output": "export",
    "page": "export",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
