"""The nodes and numbers that a GraphView shows in each layout, checked and ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, NotRequired, TypedDict

import networkx
import numpy as np

from workbench.widgets.arrays import encode
from workbench.widgets.graph_edges import ARROW, NAMINGS, encode_edges
from workbench.widgets.panel import check_keys, floats

KINDS = {
    "components": ("embed", "head", "mlp", "logits"),
    "tokens": ("embed", "state", "head", "neuron", "mlp"),
}
LANES = ("mlp", "resid", "attn")
#: What becomes of a feature, "module" for one of an MLP or attention, "" where it is not known.
CLASSES = ("carried", "processed", "newborn", "unexplained", "first", "module", "dead", "")
MOST_WORDS = 10
#: Where a state lies in its layer: after the heads, or after the neurons too.
MIDDLE, END = ".resid_mid@", ".resid_post@"

Nodes = list[dict[str, Any]]


class GraphNode(TypedDict):
    """A component of the model, in the layout "components".

    id: its name, as in edge ids. label: what is written on it (the id where absent).
    kind: "embed" (drawn at the bottom), "head", "mlp" or "logits" (drawn at the top).
    layer: whole number, needed for heads and MLPs.
    score: effect of the whole node, in the graph's unit; absent or None: not known.
    note: free text shown when the node is pointed at.
    """

    id: str
    kind: Literal["embed", "head", "mlp", "logits"]
    label: NotRequired[str]
    layer: NotRequired[int | None]
    score: NotRequired[float | None]
    note: NotRequired[str]


class Layout(NamedTuple):
    """What a layout takes and lets the user choose.

    required, optional: names of its data; options: traits that may be given with them. choices:
    traits that the browser sets; modes: the first is that where none is given. encode: from the
    data to the traits that they travel in. example: id of an edge.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    options: tuple[str, ...]
    choices: frozenset[str]
    modes: tuple[str, ...]
    encode: Callable[[Mapping[str, Any]], dict[str, Any]]
    example: str


def components_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of the layout "components"."""
    nodes = component_nodes(given["nodes"])
    kinds = np.array([KINDS["components"].index(node["kind"]) for node in nodes])
    layers = np.array([node["layer"] for node in nodes])
    # The order of a pass: the embedding, each layer's heads and then its MLP, the logits.
    order = np.select([kinds == 0, kinds == 3], [-1, 2 * layers.max() + 2], 2 * layers + kinds - 1)
    up = "from the embedding through each layer's heads and then its MLP to the logits"
    members = {name: given.get(name) for name in ("in_circuit_nodes", "in_circuit_edges")}
    return {
        "_nodes": nodes,
        "_edges": encode_edges("components", given["edges"], nodes, order, up),
        **{name: None if ids is None else list(ids) for name, ids in members.items()},
    }


def plain_graph(graph: Any) -> dict[str, Any]:
    """Nodes and edges by name from a graph or edges as a `GraphView` takes them.

    Raises ValueError for what is no such thing, and where edges go round.
    """
    graph = graph.to_networkx() if hasattr(graph, "to_networkx") else graph
    known: dict[str, Mapping[str, Any]] = {}
    rows: list[Any]
    if isinstance(graph, networkx.Graph):
        if not graph.is_directed():
            raise ValueError(
                "a GraphView shows edges from a source to a target; given an undirected graph: "
                "make a networkx.DiGraph of it"
            )
        known = {str(name): data for name, data in graph.nodes(data=True)}
        given = networkx.MultiDiGraph(graph).edges(keys=True, data="weight", default=1.0)
        rows = [(s, t, w, key if key in ("q", "k", "v") else "") for s, t, key, w in given]
    elif hasattr(graph, "columns"):  # a table, as `Graph.to_frame` gives it
        check_keys("a table of edges", graph, ("source", "target", "weight"), graph.columns)
        names = ["source", "target", "weight", *(n for n in graph.columns if n == "channel")]
        rows = list(graph[names].itertuples(index=False, name=None))
    else:
        listed = graph if isinstance(graph, Iterable) else [graph]
        rows = [edge if isinstance(edge, tuple | list) else () for edge in listed]
    if wrong := [edge for edge in rows if len(edge) not in (2, 3, 4)]:
        raise ValueError(
            "a graph is a networkx graph, a table, or edges (source, target, weight); given "
            f"{wrong[0] or graph!r:.80}"
        )
    full = [(str(s), str(t), *rest, *(1.0, "")[len(rest) :]) for s, t, *rest in rows]
    for end in (end for edge in full for end in edge[:2]):
        known.setdefault(end, {})
    number = {name: place for place, name in enumerate(known)}
    return {
        "nodes": _plain_nodes(known, [edge[:2] for edge in full]),
        "edges": {
            "source": np.array([number[edge[0]] for edge in full], np.int64),
            "target": np.array([number[edge[1]] for edge in full], np.int64),
            "weight": np.array([float(edge[2]) for edge in full]),
            "channel": [edge[3] for edge in full],
        },
    }


def _plain_nodes(known: Mapping[str, Mapping[str, Any]], ends: Sequence[Any]) -> Nodes:
    """The nodes where their own kinds and layers say, else where their names, else their edges."""
    places = {}
    for name, data in known.items():
        of_name = re.fullmatch(r"(embed|logits)|L(\d+)(?:H\d+|\.(mlp))", name)
        if data.get("kind") in KINDS["components"]:
            places[name] = data["kind"], data.get("layer")
        elif of_name:
            places[name] = of_name[1] or of_name[3] or "head", int(of_name[2] or 0)
    if len(places) < len(known):
        directed = networkx.DiGraph(ends)
        directed.add_nodes_from(known)
        try:
            steps = list(networkx.topological_generations(directed))
        except networkx.NetworkXUnfeasible:
            around = [name for name, _ in networkx.find_cycle(directed)]
            raise ValueError(
                f"edges go up and never round; {' → '.join([*around, around[0]])} does: leave one "
                "of these out"
            ) from None
        places = {name: ("head", step) for step, names in enumerate(steps) for name in names}
        layers: dict[str, Any] = {name: data.get("layer") for name, data in known.items()}
        numbered = all(isinstance(each, int | np.integer) and each >= 0 for each in layers.values())
        if numbered and all(layers[source] < layers[target] for source, target in ends):
            places = {name: ("head", layer) for name, layer in layers.items()}
    return [
        {
            "id": name,
            "label": str(data.get("label", name)),
            "kind": places[name][0],
            "layer": places[name][1],
            "score": None if data.get("score") != data.get("score") else data.get("score"),
            "note": str(data.get("note", "")),
        }
        for name, data in known.items()
    ]


def component_nodes(nodes: Sequence[GraphNode]) -> Nodes:
    """One dict a component, every key present.

    Raises ValueError for a key, kind, layer, score or id that does not fit, TypeError for a text
    that is no string.
    """
    encoded = [_component(number, node) for number, node in enumerate(nodes)]
    if not encoded:
        raise ValueError("nodes is empty: a graph has at least one node")
    _check_own([node["id"] for node in encoded])
    return encoded


def _component(number: int, node: GraphNode) -> dict[str, Any]:
    where = f"node {number}"
    check_keys(where, node, GraphNode.__required_keys__, GraphNode.__optional_keys__)
    name, kind = node["id"], node["kind"]
    label, note = node.get("label", name), node.get("note", "")
    if not all(isinstance(text, str) for text in (name, label, note)):
        raise TypeError(
            f"{where}: id, label and note are strings; given {name!r}, {label!r}, {note!r}"
        )
    if not name or ARROW in name or name[-2:] in NAMINGS["components"].endings:
        raise ValueError(
            f"{where}: an id is not empty, has no {ARROW} and does not end in .q, .k or .v, "
            f"which edge ids add; given {name!r}"
        )
    if kind not in KINDS["components"]:
        allowed = ", ".join(KINDS["components"])
        raise ValueError(f"node {name!r}: kind is one of {allowed}; given {kind!r}")
    layer, score = node.get("layer"), node.get("score")
    between = kind in ("head", "mlp")
    if between and (
        isinstance(layer, bool) or not isinstance(layer, int | np.integer) or layer < 0
    ):
        raise ValueError(f"node {name!r}: layer is a whole number from 0; given {layer!r}")
    if score is not None and not math.isfinite(score):
        raise ValueError(f"node {name!r}: score is finite, or None where not known; given {score}")
    return {
        "id": name,
        "label": label,
        "layer": int(layer) if between and layer is not None else 0,
        "kind": kind,
        "score": None if score is None else float(score),
        "note": note,
    }


def lanes_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of the layout "lanes"."""
    n = len(given["ids"])
    if not n:
        raise ValueError("ids is empty: a flow graph has at least one node")
    blank, roots = [""] * n, given.get("roots", ())
    texts = {
        "ids": list(given["ids"]),
        "labels": list(_or(given, "labels", blank)),
        "lanes": list(given["lanes"]),
        "classes": list(_or(given, "classes", blank)),
    }
    for name, column in texts.items():
        check_texts(name, column)
        _check_length(name, column, n)
    if "" in texts["ids"] or len(set(texts["ids"])) < n:
        twice = sorted({name for name in texts["ids"] if texts["ids"].count(name) > 1})
        raise ValueError(
            f"each node has an id of its own that is not empty; given twice or empty: {twice}"
        )
    for name, allowed in (("lanes", LANES), ("classes", CLASSES)):
        if wrong := sorted(set(texts[name]) - set(allowed)):
            raise ValueError(f"{name} are {', '.join(map(repr, allowed))}; given {wrong}")
    if missing := sorted(set(roots) - set(texts["ids"])):
        raise ValueError(f"roots are ids of nodes; not among them: {missing}")
    layers, ended = np.asarray(given["layers"]), np.asarray(_or(given, "ended", np.zeros(n, bool)))
    if layers.dtype.kind not in "iu" or ended.dtype.kind != "b":
        raise TypeError(
            "layers holds whole numbers and ended True or False; "
            f"given {layers.dtype.name} and {ended.dtype.name}"
        )
    if layers.shape != (n,) or ended.shape != (n,):
        raise ValueError(
            f"layers and ended have one entry a node, {n}; given {layers.shape} and {ended.shape}"
        )
    keys = ("id", "label", "lane", "class", "layer", "ended")
    rows = zip(*texts.values(), layers.tolist(), ended.tolist(), strict=True)
    nodes = [{**dict(zip(keys, row, strict=True)), "root": row[0] in roots} for row in rows]
    # The residual stream after a layer holds what that layer's MLP and attention wrote.
    order = 2 * layers + (np.array(texts["lanes"]) == "resid")
    up = "from a layer's MLP and attention to the residual stream after it and on to the next layer"
    return {
        "_nodes": nodes,
        "_edges": encode_edges("lanes", given["edges"], nodes, order, up),
        "_numbers": {
            **encode_numbers(n, given, (*LANES, "successor", "before", "after")),
            "thresholds": _thresholds(n, given.get("thresholds")),
        },
    }


def encode_numbers(n: int, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Arrays (node,) on their way as float32, NaN where a number is not known or all are absent."""
    unknown = np.full(n, np.nan)
    return {
        name: encode(floats(name, _or(given, name, unknown), (n,)).astype(np.float32))
        for name in names
    }


def _thresholds(n: int, thresholds: Any) -> Any:
    """float32 (node, 4): residual, MLP, attention, successor; from one number, four, or all."""
    given = np.asarray(np.nan if thresholds is None else thresholds, np.float32)
    if given.shape not in ((), (4,), (n, 4)):
        raise ValueError(
            "thresholds is one number, or one for the residual stream, MLP, attention and the "
            f"successor, or those four for each of the {n} nodes; given {given.shape}"
        )
    return encode(np.ascontiguousarray(np.broadcast_to(given, (n, 4))))


def tokens_data(given: Mapping[str, Any]) -> dict[str, Any]:
    """The traits of the layout "tokens"."""
    tokens, ids, kinds = given["tokens"], given["ids"], given["kinds"]
    n = len(ids)
    if not n or not len(tokens):
        raise ValueError(
            f"a flow has at least one token and one node; given {len(tokens)} tokens and {n} ids"
        )
    details = list(_or(given, "details", [()] * n))
    for name, column in {"kinds": kinds, "words": given["words"], "details": details}.items():
        _check_length(name, column, n)
    check_texts("tokens", tokens)
    check_texts("ids", ids)
    endings = NAMINGS["tokens"].endings
    if wrong := [name for name in ids if not name or ARROW in name or name[-2:] in endings]:
        raise ValueError(
            f"an id is not empty, has no {ARROW} and does not end in ' q', ' k' or ' v', which "
            f"edge ids add; given {wrong[0]!r}"
        )
    _check_own(list(ids))
    if wrong := sorted(set(kinds) - set(KINDS["tokens"])):
        raise ValueError(f"kinds are {', '.join(map(repr, KINDS['tokens']))}; given {wrong}")
    columns, layers = (np.asarray(given[name]) for name in ("columns", "layers"))
    for name, array in {"columns": columns, "layers": layers}.items():
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} holds whole numbers; given {array.dtype.name}")
        if array.shape != (n,):
            raise ValueError(f"{name} has one entry a node, {n}; given {array.shape}")
    if columns.min() < 0 or columns.max() >= len(tokens):
        raise ValueError(
            f"columns are positions of the tokens, 0 to {len(tokens) - 1}; "
            f"given {columns.min()} to {columns.max()}"
        )
    rows = zip(ids, columns.tolist(), layers.tolist(), kinds, given["words"], details, strict=True)
    nodes = [_token_node(*row) for row in rows]
    order = np.array([4 * node["layer"] + node["row"] for node in nodes])
    up = (
        "in each layer from the heads to the state after them, the neurons and the state after "
        "those"
    )
    check_texts("roots", given.get("roots", ()))
    return {
        "_tokens": list(tokens),
        "_nodes": nodes,
        "_edges": encode_edges("tokens", given["edges"], nodes, order, up),
        "_numbers": _token_numbers(n, given),
        "roots": list(given.get("roots", ())),
    }


def _token_node(
    name: str,
    column: int,
    layer: int,
    kind: str,
    words: Sequence[str],
    details: Sequence[tuple[str, Sequence[str]]],
) -> dict[str, Any]:
    """One node; `row` is its height in its layer: heads, state, neurons, state."""
    if (layer < 0) != (kind == "embed"):
        raise ValueError(
            f"node {name!r}: the embedding is in layer -1 and all else in layers from 0; "
            f"given {kind!r} in layer {layer}"
        )
    if kind == "state" and not (MIDDLE in name or END in name):
        raise ValueError(
            f"node {name!r}: a state's id says where in its layer it is, as L0{MIDDLE}3 or L0{END}3"
        )
    if len(words) > MOST_WORDS:
        raise ValueError(f"node {name!r}: at most {MOST_WORDS} words; given {len(words)}")
    check_texts(f"words of {name!r}", words)
    for caption, listed in details:
        check_texts(f"details of {name!r}", [caption])
        check_texts(f"details of {name!r}", listed)
    return {
        "id": name,
        "column": column,
        "layer": layer,
        "kind": kind,
        "row": {"head": 0, "neuron": 2, "mlp": 2}.get(kind, 1 if MIDDLE in name else 3),
        "words": list(words),
        "details": [[caption, list(listed)] for caption, listed in details],
    }


def _token_numbers(n: int, given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("scores", "relevance", "rest")
    for name in names:
        values = floats(name, _or(given, name, np.full(n, np.nan)), (n,)).astype(np.float32)
        whole = name == "scores"
        wrong = np.isinf(values) if whole else (values < -1e-4) | (values > 1 + 1e-4)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            rule = "finite" if whole else "a share from 0 to 1"
            raise ValueError(
                f"{name} is {rule}, NaN where not known; given {values[first]:g} for node {first}"
            )
    return encode_numbers(n, given, names)


def check_texts(name: str, texts: Any) -> None:
    """Raises TypeError unless they are strings, and several: a string alone is none of them."""
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} holds strings; given {texts!r:.80}")


def _or(given: Mapping[str, Any], name: str, default: Any) -> Any:
    """What is given, the default where it is absent or None."""
    return default if given.get(name) is None else given[name]


def _check_length(name: str, column: Sequence[Any], n: int) -> None:
    if len(column) != n:
        raise ValueError(f"{name} has one entry a node, {n}; given {len(column)}")


def _check_own(ids: Sequence[str]) -> None:
    if len(set(ids)) < len(ids):
        twice = sorted({name for name in ids if list(ids).count(name) > 1})
        raise ValueError(f"each node has an id of its own; given twice: {twice}")


LAYOUTS = {
    "components": Layout(
        required=("nodes", "edges"),
        optional=("in_circuit_nodes", "in_circuit_edges"),
        options=("title", "unit", "mode", "n_edges_shown"),
        choices=frozenset({"selected", "cut_nodes", "cut_edges", "n_edges_shown", "mode"}),
        modes=("select", "cut"),
        encode=components_data,
        example="L0H1→L1H0.q",
    ),
    "lanes": Layout(
        required=("ids", "layers", "lanes", "edges"),
        optional=(
            *("labels", "classes", "ended", "roots", "thresholds"),
            *(*LANES, "successor", "before", "after"),
        ),
        options=("title", "mode", "threshold"),
        choices=frozenset({"selected", "threshold", "expand", "scales"}),
        modes=("look", "edit"),
        encode=lanes_data,
        example="L0.mlp_out/3 → L0.resid_post/5",
    ),
    "tokens": Layout(
        required=("tokens", "ids", "columns", "layers", "kinds", "words", "edges"),
        optional=("details", "scores", "relevance", "rest", "roots"),
        options=("title", "unit", "mode", "threshold"),
        choices=frozenset(
            {"selected", "other", "threshold", "kinds_shown", "channels_shown", "word"}
            | {"cut_edges"}
        ),
        modes=("look", "edit"),
        encode=tokens_data,
        example="embed@3 → L0H1.z@5 v",
    ),
}
