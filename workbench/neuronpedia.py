"""Attribution graphs in Neuronpedia's JSON form (Anthropic's attribution-graph schema, 1.0.0)."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from .graph import Graph

#: Our kinds of nodes and the feature types of the format.
TYPES = {
    "embed": "embedding",
    "state": "residual stream",
    "head": "attention head",
    "mlp": "mlp",
    "neuron": "mlp neuron",
    "feature": "cross layer transcoder",
    "error": "mlp reconstruction error",
    "logits": "logit",
}
_KINDS = {feature_type: kind for kind, feature_type in TYPES.items()}


def write(graph: Graph, path: str | Path | None, slug: str) -> dict[str, Any]:
    """The graph as the format's JSON. What the format has no word for stands in added keys.

    Those are a node's `position` (null where it is of all positions; `ctx_idx` is then 0), its
    `score` and `kind`, and a link's `channel`; readers that do not know them pass over them.
    """
    nodes = [_node(graph, i) for i in range(len(graph.ids))]
    links = [
        {"source": graph.ids[s], "target": graph.ids[t], "weight": float(w), "channel": channel}
        for s, t, w, channel in zip(
            graph.sources, graph.targets, graph.weights, graph.channels, strict=True
        )
    ]
    out = {
        "metadata": {
            "slug": slug,
            "scan": graph.model,
            "prompt_tokens": list(graph.tokens),
            "prompt": graph.prompt,
        },
        "qParams": {
            "pinnedIds": [],
            "supernodes": [],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": links,
    }
    if path is not None:
        Path(path).write_text(json.dumps(out, ensure_ascii=False, indent=1), encoding="utf-8")
    return out


def _node(graph: Graph, i: int) -> dict[str, Any]:
    layer, position, kind = int(graph.layers[i]), int(graph.positions[i]), graph.kinds[i]
    score = float(graph.scores[i])
    feature = int(graph.features[i])
    return {
        "node_id": graph.ids[i],
        "jsNodeId": graph.ids[i],
        "feature": None if feature < 0 else feature,
        "layer": "E" if layer < 0 else str(layer),
        "ctx_idx": max(position, 0),
        "feature_type": TYPES[kind],
        "clerp": graph.labels[i],
        "influence": None,
        "activation": None,
        "kind": kind,
        "position": None if position < 0 else position,
        "score": None if math.isnan(score) else score,
    }


def read(source: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `Graph`. Raises as `Graph.from_neuronpedia`."""
    if isinstance(source, Mapping):
        data, name = source, "the graph"
    else:
        name = Path(source).name
        try:
            data = json.loads(Path(source).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{name} is not a JSON file ({error}).") from None
    try:
        nodes, links, metadata = data["nodes"], data["links"], data["metadata"]
        numbers = {node["node_id"]: i for i, node in enumerate(nodes)}
        if len(numbers) != len(nodes):
            ids = [node["node_id"] for node in nodes]
            twice = next(i for i in ids if ids.count(i) > 1)
            raise ValueError(
                f"The nodes of an attribution graph have different ids; {twice!r} stands twice in "
                f"{name}. Error nodes written '0_layer_pos' collide with features of layer 0; "
                "give them ids of their own."
            )
        for link in links:
            for end in ("source", "target"):
                if link[end] not in numbers:
                    raise ValueError(
                        f"A link joins two nodes of its graph; in {name} a {end} is "
                        f"{link[end]!r}, which is none."
                    )
        return {
            "model": str(metadata["scan"]),
            "prompt": str(metadata["prompt"]),
            "tokens": tuple(map(str, metadata["prompt_tokens"])),
            "ids": tuple(str(node["node_id"]) for node in nodes),
            "labels": tuple(str(node["clerp"]) for node in nodes),
            "kinds": tuple(_kind(node) for node in nodes),
            "channels": tuple(str(link.get("channel", "")) for link in links),
            "layers": np.array([_layer(node["layer"]) for node in nodes], np.int32),
            "positions": np.array([_number(n.get("position", n["ctx_idx"])) for n in nodes]),
            "features": np.array([_number(node["feature"]) for node in nodes], np.int64),
            "scores": np.array([_score(node) for node in nodes], np.float32),
            "sources": np.array([numbers[link["source"]] for link in links], np.int32),
            "targets": np.array([numbers[link["target"]] for link in links], np.int32),
            "weights": np.array([link["weight"] for link in links], np.float32),
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            "An attribution graph has metadata (scan, prompt, prompt_tokens), nodes and links, as "
            f"Neuronpedia's schema says; {name} has not ({error!r})."
        ) from None


def _kind(node: Mapping[str, Any]) -> str:
    if "kind" in node:
        return str(node["kind"])
    return _KINDS.get(node["feature_type"], "feature")


def _layer(layer: str | int) -> int:
    if str(layer) == "E":
        return -1
    try:
        return int(layer)
    except ValueError:
        raise ValueError(f"The layer of a node is 'E' or a number; got {layer!r}.") from None


def _number(value: int | None) -> int:
    return -1 if value is None else int(value)


def _score(node: Mapping[str, Any]) -> float:
    value = node.get("score", node.get("influence"))
    return float("nan") if value is None else float(value)
