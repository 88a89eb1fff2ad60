"""The front-end widgets: plain arrays and strings in, the user's choice out."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workbench.widgets.attention_grid import AttentionGrid as AttentionGrid
    from workbench.widgets.circuit_data import CircuitEdges as CircuitEdges
    from workbench.widgets.circuit_data import CircuitNode as CircuitNode
    from workbench.widgets.circuit_graph import CircuitGraph as CircuitGraph
    from workbench.widgets.export import page as page
    from workbench.widgets.feature_grid import FeatureGrid as FeatureGrid
    from workbench.widgets.feature_page import FeaturePage as FeaturePage
    from workbench.widgets.flow_data import FlowEdges as FlowEdges
    from workbench.widgets.flow_graph import FlowGraph as FlowGraph
    from workbench.widgets.panel import Panel as Panel
    from workbench.widgets.panel import Quantity as Quantity
    from workbench.widgets.panel import Tracks as Tracks
    from workbench.widgets.token_flow import TokenFlow as TokenFlow
    from workbench.widgets.token_flow_data import TokenFlowEdges as TokenFlowEdges
    from workbench.widgets.token_grid import TokenGrid as TokenGrid

__all__ = [
    "AttentionGrid",
    "CircuitEdges",
    "CircuitGraph",
    "CircuitNode",
    "FeatureGrid",
    "FeaturePage",
    "FlowEdges",
    "FlowGraph",
    "Panel",
    "Quantity",
    "TokenFlow",
    "TokenFlowEdges",
    "TokenGrid",
    "Tracks",
    "page",
]

# anywidget brings ipywidgets and IPython, a third of a second: nothing loads before a name is used.
_HOMES = {
    "AttentionGrid": "attention_grid",
    "CircuitEdges": "circuit_data",
    "CircuitGraph": "circuit_graph",
    "CircuitNode": "circuit_data",
    "FeatureGrid": "feature_grid",
    "FeaturePage": "feature_page",
    "FlowEdges": "flow_data",
    "FlowGraph": "flow_graph",
    "Panel": "panel",
    "Quantity": "panel",
    "TokenFlow": "token_flow",
    "TokenFlowEdges": "token_flow_data",
    "TokenGrid": "token_grid",
    "Tracks": "panel",
    "page": "export",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
