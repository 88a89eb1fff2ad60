"""Attribution graphs in Neuronpedia's JSON form (Anthropic's attribution-graph schema, 1.0.0)."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
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
#: What of ours stands in a node without being read from it.
UNREAD = ("jsNodeId", "influence", "activation")
#: What is read of the metadata, and what a file is called where nobody says.
READ, SLUG = ("scan", "prompt", "prompt_tokens"), "circuit"
_AGAIN = (
    "Write it again with to_neuronpedia, or get it again; where it was changed on purpose, take "
    f"{MARK} and {CHECKSUM} out of its metadata."
)
_KINDS = {feature_type: kind for kind, feature_type in TYPES.items()}


def write(graph: Any, path: str | Path | None, slug: str | None) -> dict[str, Any]:
    """The `Graph` as the format's JSON. What the format has no word for stands in added keys.

    Those are a node's `position` (null where it is of all positions; `ctx_idx` is then 0), its
    `score` and `kind`, and a link's `channel`; readers that do not know them pass over them.
    A node or link that was read and still says the same is written as it stood.
    """
    # A copy, so that what is done to one file is not done to the next.
    rest = json.loads(json.dumps(graph.extra or {}))
    metadata, known = rest.pop("metadata", {}), rest.pop("nodes", {})
    stood = {_link_says(link): link for link in rest.pop("links", [])}
    nodes = [_node(graph, i) for i in range(len(graph.ids))]
    for i, own in enumerate(nodes):
        was = known.get(own["node_id"], own)
        says = {} if _node_says(was) == _node_says(own) else own
        nodes[i] = was | {key: value for key, value in says.items() if key not in UNREAD}
    links = [
        {"source": graph.ids[s], "target": graph.ids[t], "weight": float(w), "channel": channel}
        for s, t, w, channel in zip(
            graph.sources, graph.targets, graph.weights, graph.channels, strict=True
        )
    ]
    out = {
        "metadata": {
            "slug": SLUG,
            "scan": graph.model,
            "prompt_tokens": list(graph.tokens[0]) if graph.tokens else [],
            "prompt": graph.prompt,
            **metadata,
            **({} if slug is None else {"slug": slug}),
        },
        "qParams": {
            "pinnedIds": [],
            "supernodes": [],
            "linkType": "both",
            "clickedId": "",
            "sg_pos": "",
        },
        "nodes": nodes,
        "links": [stood.get(_link_says(link), link) for link in links],
        **rest,
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
        "feature_type": TYPES.get(kind, ""),
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
        found = _fields(data, name)
        return found | {"extra": _rest(data, SimpleNamespace(**found, extra=None))}
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(
            "An attribution graph has metadata (scan, prompt, prompt_tokens), nodes and links, as "
            f"Neuronpedia's schema says; {name} has not ({str(repr(error))[:200]})."
        ) from None


def _rest(data: Mapping[str, Any], graph: Any) -> dict[str, Any] | None:
    """What the file holds and the graph by itself would not write, or otherwise; None: nothing."""
    own = write(graph, None, None)
    pairs = {name: zip(data[name], own[name], strict=True) for name in ("nodes", "links")}
    out: dict[str, Any] = {
        "metadata": {
            key: value
            for key, value in data["metadata"].items()
            if key not in (*READ, MARK, CHECKSUM) and value != own["metadata"].get(key)
        },
        "nodes": {was["node_id"]: was for was, now in pairs["nodes"] if was != now},
        "links": [was for was, now in pairs["links"] if was != now],
    }
    others = {key: value for key, value in data.items() if key not in out}
    out = {key: value for key, value in out.items() if value}
    out |= {key: value for key, value in others.items() if value != own.get(key)}
    return json.loads(json.dumps(out)) or None


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
    metadata = {key: data["metadata"].get(key) for key in READ}
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
    says, joins = [*map(_node_says, nodes)], [*map(_link_says, links)]
    return {
        "model": _text(metadata["scan"]),
        "prompt": _text(metadata["prompt"]),
        "tokens": (tuple(map(_text, metadata["prompt_tokens"])),),
        "ids": tuple(ids),
        "labels": tuple(node[0] for node in says),
        "kinds": tuple(node[1] for node in says),
        "channels": tuple(link[2] for link in joins),
        "layers": np.array([node[2] for node in says], np.int32),
        "positions": np.array([node[3] for node in says], np.int32),
        "units": np.array([node[4] for node in says], np.int64),
        "scores": np.array([node[5] for node in says], np.float32),
        "sources": np.array([numbers[link[0]] for link in joins], np.int32),
        "targets": np.array([numbers[link[1]] for link in joins], np.int32),
        "weights": np.array([link[3] for link in joins], np.float32),
    }


def _node_says(node: Mapping[str, Any]) -> tuple[str, str, int, int, int, float]:
    """What is read of a node: label, kind, layer, position, unit and score."""
    return (
        _text(node["clerp"]),
        _kind(node),
        _layer(node["layer"]),
        _number(node.get("position", node["ctx_idx"]), 2**31),
        _number(node["feature"], 2**63),
        _score(node),
    )


def _link_says(link: Mapping[str, Any]) -> tuple[str, str, str, float]:
    """What is read of a link: source, target, channel and weight."""
    weight = float(np.float32(_real(link["weight"])))
    return link["source"], link["target"], _text(link.get("channel", "")), weight


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
    return math.nan if value is None or value != value else float(np.float32(_real(value)))


def _real(value: Any) -> float:
    """A number that is finite in float32."""
    if type(value) not in (int, float) or not abs(value) < 3.4e38:
        raise ValueError(
            "The weights and scores of an attribution graph are finite numbers; got "
            f"{str(value)[:40]!r}."
        )
    return float(value)
