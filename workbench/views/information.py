"""What results about one forward pass give to their widgets."""

from __future__ import annotations

from typing import Any

from ..information.graph import InformationGraph
from ..widgets import GraphView
from . import NoView

#: A graph of more nodes than this can neither be drawn quickly nor read.
MOST_NODES = 600


def information_data(result: InformationGraph) -> dict[str, Any]:
    """The graph of a `GraphView` over tokens, and of its `update`.

    Raises `NoView` for a graph of more than 600 nodes.
    """
    if len(result.ids) > MOST_NODES:
        raise NoView(
            f"A GraphView shows at most {MOST_NODES} nodes; this one has {len(result.ids)}. Ask "
            "for it with a smaller n_edges=, take a part with prune(), draw it with "
            "plot(), or use to_frame()."
        )
    compared = f" − {result.foil!r}" if result.foil else ""
    return {
        "tokens": result.tokens[0],
        "ids": result.ids,
        "columns": result.positions,
        "layers": result.layers,
        "kinds": result.kinds,
        "words": [words[:10] for words in result.words],
        "edges": {
            "source": result.sources,
            "target": result.targets,
            "weight": result.weights,
            "share": result.shares,
            "channel": result.channels,
        },
        "details": result.details,
        "scores": result.contribution,
        "relevance": result.scores,
        "rest": result.rest,
        "unit": result.unit,
        "roots": result.roots,
        "title": f"{result.model}: information to {result.target!r}{compared}",
    }


def graph(result: InformationGraph, **options: Any) -> Any:
    """A `GraphView` of the pass over its tokens; options as there."""
    return GraphView(information_data(result), layout="tokens", **options)
