"""The nodes, edges and numbers that a TokenFlow shows, checked and made ready to travel."""

# Annotations are not postponed: a TypedDict would then take every NotRequired key for required.
from collections.abc import Mapping, Sequence
from typing import Any, NotRequired, TypedDict

import numpy as np

from workbench.widgets.arrays import decode, encode, narrow
from workbench.widgets.edge_arrays import finite_weights, indices
from workbench.widgets.edge_names import ARROW, CHANNELS, channel_codes, check_once
from workbench.widgets.panel import check_keys, floats

KINDS = ("embed", "state", "head", "neuron", "mlp")
#: What may be left out of the picture; states and embeddings are its frame.
MODULES = ("head", "neuron", "mlp")
MOST_WORDS = 10
#: Where a state lies in its layer: after the heads, or after the neurons too.
MIDDLE, END = ".resid_mid@", ".resid_post@"

#: What edge ids end in where they name a channel.
ENDINGS = tuple(f" {channel}" for channel in CHANNELS[1:])

Details = Sequence[tuple[str, Sequence[str]]]


class TokenFlowEdges(TypedDict):
    """The edges, one entry of each array an edge.

    source, target: int (edge,), indices into the ids. weight: float (edge,), signed.
    share: float (edge,), |weight| over the sum of |weight| into the target, 0 to 1.
    channel: (edge,), "q", "k" or "v" where a head's query, key or value reads, "" elsewhere;
        absent: "" for all.
    """

    source: Sequence[int] | np.ndarray
    target: Sequence[int] | np.ndarray
    weight: Sequence[float] | np.ndarray
    share: Sequence[float] | np.ndarray
    channel: NotRequired[Sequence[str]]


def encode_nodes(
    tokens: Sequence[str],
    ids: Sequence[str],
    columns: Any,
    layers: Any,
    kinds: Sequence[str],
    words: Sequence[Sequence[str]],
    details: Sequence[Details] | None,
) -> list[dict[str, Any]]:
    """One dict a node, every key present.

    Raises ValueError for what does not fit the ids or the tokens or is unknown, TypeError for a
    text that is no string and a column or layer that is no integer.
    """
    n = len(ids)
    if not n or not len(tokens):
        raise ValueError(
            f"a flow has at least one token and one node; given {len(tokens)} tokens and {n} ids"
        )
    told = [()] * n if details is None else list(details)
    for name, given in (("kinds", kinds), ("words", words), ("details", told)):
        if len(given) != n:
            raise ValueError(f"{name} has one entry a node, {n}; given {len(given)}")
    check_texts("tokens", tokens)
    check_texts("ids", ids)
    if wrong := [name for name in ids if not name or ARROW in name or name[-2:] in ENDINGS]:
        raise ValueError(
            f"an id is not empty, has no {ARROW} and does not end in ' q', ' k' or ' v', which "
            f"edge ids add; given {wrong[0]!r}"
        )
    if len(set(ids)) < n:
        twice = sorted({name for name in ids if list(ids).count(name) > 1})
        raise ValueError(f"each node has an id of its own; given twice: {twice}")
    if wrong := sorted(set(kinds) - set(KINDS)):
        raise ValueError(f"kinds are {', '.join(map(repr, KINDS))}; given {wrong}")
    places = {"columns": np.asarray(columns), "layers": np.asarray(layers)}
    for name, array in places.items():
        if array.dtype.kind not in "iu":
            raise TypeError(f"{name} holds whole numbers; given {array.dtype.name}")
        if array.shape != (n,):
            raise ValueError(f"{name} has one entry a node, {n}; given {array.shape}")
    low, high = places["columns"].min(), places["columns"].max()
    if low < 0 or high >= len(tokens):
        raise ValueError(
            f"columns are positions of the tokens, 0 to {len(tokens) - 1}; given {low} to {high}"
        )
    return [
        _node(*each)
        for each in zip(
            ids,
            places["columns"].tolist(),
            places["layers"].tolist(),
            kinds,
            words,
            told,
            strict=True,
        )
    ]


def _node(
    name: str, column: int, layer: int, kind: str, words: Sequence[str], details: Details
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
    row = {"head": 0, "neuron": 2, "mlp": 2}.get(kind, 1 if MIDDLE in name else 3)
    return {
        "id": name,
        "column": column,
        "layer": layer,
        "kind": kind,
        "row": row,
        "words": list(words),
        "details": [[caption, list(listed)] for caption, listed in details],
    }


def check_texts(name: str, texts: Any) -> None:
    """Raises TypeError unless they are strings, and several: a string alone is none of them."""
    if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
        raise TypeError(f"{name} holds strings; given {texts!r:.80}")


def encode_edges(edges: TokenFlowEdges, nodes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The edges as arrays on their way; nodes as `encode_nodes` returns them.

    Raises ValueError where lengths differ, an index is outside, a weight is not finite, a share is
    not from 0 to 1, a channel or a change of column is not a head's, an edge goes down or back, or
    is given twice; TypeError for indices that are no integers.
    """
    check_keys("edges", edges, TokenFlowEdges.__required_keys__, TokenFlowEdges.__optional_keys__)
    source, target = (indices(name, edges[name], len(nodes)) for name in ("source", "target"))
    channel = list(edges.get("channel", [""] * len(source)))
    lengths = {
        "source": source.shape,
        "target": target.shape,
        "weight": np.shape(edges["weight"]),
        "share": np.shape(edges["share"]),
        "channel": (len(channel),),
    }
    if len(set(lengths.values())) > 1 or source.ndim != 1:
        given = ", ".join(f"{name} {shape}" for name, shape in lengths.items())
        raise ValueError(
            f"edges: source, target, weight, share and channel have one length; given {given}"
        )
    share = floats("edges: share", edges["share"], source.shape).astype(np.float32)
    # Rounding may put a share that is everything a hair above 1.
    if bad := np.flatnonzero(~((share >= 0) & (share <= 1 + 1e-4))).tolist():
        raise ValueError(
            f"edges: share is a number from 0 to 1; {len(bad)} of {len(share)} are not, the first "
            f"is edge {bad[0]}, {share[bad[0]]:g}"
        )
    codes = channel_codes(channel)
    _check_directions(source, target, codes, nodes)
    check_once(source, target, codes, nodes)
    return {
        "source": encode(narrow(source)),
        "target": encode(narrow(target)),
        "weight": encode(finite_weights(edges["weight"], source.shape)),
        "share": encode(np.minimum(share, 1)),
        "channel": encode(codes.astype(np.uint8)),
    }


def edge_ids(nodes: Sequence[Mapping[str, Any]], edges: Mapping[str, Any]) -> list[str]:
    """The ids of the encoded edges, in order: "embed@3 → L0H1.z@5 v", as results name them."""
    ends = (decode(edges[name]).tolist() for name in ("source", "target", "channel"))
    return [
        f"{nodes[source]['id']} {ARROW} {nodes[target]['id']}" + (f" {CHANNELS[code]}" * (code > 0))
        for source, target, code in zip(*ends, strict=True)
    ]


def _check_directions(
    source: np.ndarray, target: np.ndarray, codes: np.ndarray, nodes: Sequence[Mapping[str, Any]]
) -> None:
    """Raises ValueError for an edge that no pass computes."""
    height = np.array([4 * node["layer"] + node["row"] for node in nodes])
    column = np.array([node["column"] for node in nodes])
    head = np.array([node["kind"] == "head" for node in nodes])[target]
    rules = [
        (
            height[source] >= height[target],
            "an edge goes up, in each layer from the heads to the state after them, the neurons "
            "and the state after those",
        ),
        (column[source] > column[target], "an edge never goes to an earlier token"),
        (
            (column[source] != column[target]) & ~head,
            "only a head reads another token's column",
        ),
        ((codes > 0) & ~head, "only a head has the channels q, k and v"),
    ]
    for wrong, rule in rules:
        if wrong.any():
            edge = int(np.flatnonzero(wrong)[0])
            start, end = (nodes[int(ends[edge])]["id"] for ends in (source, target))
            raise ValueError(f"edges: {rule}; edge {edge} goes from {start} to {end}")


def encode_numbers(n: int, scores: Any, relevance: Any, rest: Any) -> dict[str, Any]:
    """Arrays (node,) on their way as float32, NaN where a number is not known or all are absent.

    Raises ValueError for another shape, for a score that is infinite, and for a relevance or rest
    that is not from 0 to 1.
    """
    encoded: dict[str, np.ndarray] = {}
    for name, given in (("scores", scores), ("relevance", relevance), ("rest", rest)):
        values = np.full(n, np.nan) if given is None else floats(name, given, (n,))
        encoded[name] = values = values.astype(np.float32)
        whole = name == "scores"
        wrong = np.isinf(values) if whole else (values < -1e-4) | (values > 1 + 1e-4)
        if wrong.any():
            first = int(np.flatnonzero(wrong)[0])
            rule = "finite" if whole else "a share from 0 to 1"
            raise ValueError(
                f"{name} is {rule}, NaN where not known; given {values[first]:g} for node {first}"
            )
    return {name: encode(values) for name, values in encoded.items()}
