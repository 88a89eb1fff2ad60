"""Attribution graphs in Neuronpedia's JSON form (Anthropic's attribution-graph schema, 1.0.0)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .files import SUM, check_seal, put_text, seal
from .reading import PLAIN, check_file, parse_json

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
#: Entries of our own in the metadata of a file: that we wrote it, and the checksum of the graph.
MARK, CHECKSUM = "workbench_format", "workbench_sha256"
_AGAIN = (
    "Write it again with to_neuronpedia, or get it again; where it was changed on purpose, take "
    f"{MARK} and {CHECKSUM} out of its metadata."
)
_KINDS = {feature_type: kind for kind, feature_type in TYPES.items()}


def write(graph: Any, path: str | Path | None, slug: str) -> dict[str, Any]:
    """The `Graph` as the format's JSON. What the format has no word for stands in added keys.

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
            "prompt_tokens": list(graph.tokens[0]) if graph.tokens else [],
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
        out["metadata"] |= {MARK: 1, CHECKSUM: seal(_own(out))}
        put_text(path, json.dumps(out, ensure_ascii=False, indent=1))
    return out


def _node(graph: Any, i: int) -> dict[str, Any]:
    layer, position, kind = int(graph.layers[i]), int(graph.positions[i]), graph.kinds[i]
    score = float(graph.scores[i])
    feature = int(graph.units[i])
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
        data, name = _parsed(Path(source)), Path(source).name
    try:
        return _fields(data, name)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            "An attribution graph has metadata (scan, prompt, prompt_tokens), nodes and links, as "
            f"Neuronpedia's schema says; {name} has not ({str(repr(error))[:200]})."
        ) from None


def _parsed(path: Path) -> Any:
    check_file(path, PLAIN)
    try:
        data = parse_json(path)
    except ValueError as error:
        raise ValueError(f"{path.name} is not a JSON file ({error}).") from None
    metadata = data.get("metadata") if isinstance(data, dict) else None
    # One of the two is enough: a changed byte may have taken the other's name from it.
    if isinstance(metadata, dict) and (MARK in metadata or CHECKSUM in metadata):
        if metadata.get(MARK) != 1 or not {"nodes", "links"} <= set(data):
            raise ValueError(f"{path.name} was changed after it was written. {_AGAIN}")
        check_seal({**_own(data), SUM: metadata.get(CHECKSUM)}, path.name, _AGAIN)
    return data


def _own(data: Mapping[str, Any]) -> dict[str, Any]:
    """What a graph is read from, of which the checksum is: another tool may add to the rest."""
    metadata = {key: data["metadata"].get(key) for key in ("scan", "prompt", "prompt_tokens")}
    return {"metadata": metadata, "nodes": data["nodes"], "links": data["links"]}


def _fields(data: Mapping[str, Any], name: str) -> dict[str, Any]:
    nodes, links, metadata = data["nodes"], data["links"], data["metadata"]
    for group in (nodes, links, metadata["prompt_tokens"]):
        if not isinstance(group, (list, tuple)):
            raise TypeError(f"a list is needed, not {str(group)[:40]!r}")
    ids = [_text(node["node_id"]) for node in nodes]
    numbers = {node: i for i, node in enumerate(ids)}
    if len(numbers) != len(nodes):
        twice = Counter(ids).most_common(1)[0][0]
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
                    f"{str(link[end])[:80]!r}, which is none."
                )
    return {
        "model": _text(metadata["scan"]),
        "prompt": _text(metadata["prompt"]),
        "tokens": (tuple(map(_text, metadata["prompt_tokens"])),),
        "ids": tuple(ids),
        "labels": tuple(_text(node["clerp"]) for node in nodes),
        "kinds": tuple(_kind(node) for node in nodes),
        "channels": tuple(_text(link.get("channel", "")) for link in links),
        "layers": np.array([_layer(node["layer"]) for node in nodes], np.int32),
        "positions": np.array(
            [_number(n.get("position", n["ctx_idx"]), 2**31) for n in nodes], np.int32
        ),
        "units": np.array([_number(node["feature"], 2**63) for node in nodes], np.int64),
        "scores": np.array([_score(node) for node in nodes], np.float32),
        "sources": np.array([numbers[link["source"]] for link in links], np.int32),
        "targets": np.array([numbers[link["target"]] for link in links], np.int32),
        "weights": np.array([_real(link["weight"]) for link in links], np.float32),
    }


def _text(value: Any) -> str:
    """Text, where other tools write null for none."""
    if value is None or isinstance(value, str):
        return value or ""
    raise TypeError(f"a text is needed, not {str(value)[:40]!r}")


def _kind(node: Mapping[str, Any]) -> str:
    if "kind" in node:
        return _text(node["kind"])
    return _KINDS.get(_text(node["feature_type"]), "feature")


def _layer(layer: str | int) -> int:
    if str(layer) == "E":
        return -1
    try:
        return _number(int(layer) if isinstance(layer, str) else layer, 2**31)
    except ValueError:
        shown = str(layer)[:40]
        raise ValueError(f"The layer of a node is 'E' or a number; got {shown!r}.") from None


def _number(value: Any, most: int) -> int:
    """A whole number below `most`, or -1 for null."""
    if value is None:
        return -1
    whole = type(value) is int or (type(value) is float and value.is_integer())
    if not whole or not -1 <= value < most:
        raise ValueError(
            f"The layer, position and feature of a node are whole numbers; got {str(value)[:40]!r}."
        )
    return int(value)


def _score(node: Mapping[str, Any]) -> float:
    value = node.get("score", node.get("influence"))
    return math.nan if value is None or value != value else _real(value)


def _real(value: Any) -> float:
    """A number that is finite in float32."""
    if type(value) not in (int, float) or not abs(value) < 3.4e38:
        raise ValueError(
            "The weights and scores of an attribution graph are finite numbers; got "
            f"{str(value)[:40]!r}."
        )
    return float(value)
