"""Flow nodes: the chosen part of a pass as a graph, and what each node adds to the answer."""

from __future__ import annotations

import numpy as np

from ...graph import Graph
from ...model import Model
from ...tokens import Tokens
from .contributions import PassParts
from .flow_edges import CHANNELS, EMBED, HEAD, KINDS, MID, MLP, NEURON, STATE, FlowEdges, NodeKeys

#: What is computed first in a layer comes first.
WITHIN = {EMBED: 0, HEAD: 1, MID: 2, NEURON: 3, MLP: 4, STATE: 5}


def in_order(nodes: np.ndarray, keys: NodeKeys) -> np.ndarray:
    """The nodes in the order of a pass, so that every edge goes from an earlier to a later one."""

    def place(key: int) -> tuple[int, ...]:
        kind, layer, position, unit = keys.place(key)
        return (-1 if kind == EMBED else layer, WITHIN[kind], position, unit)

    return np.array(sorted(nodes.tolist(), key=place), np.int64)


def graph_of(
    model: Model,
    tokens: Tokens,
    keys: NodeKeys,
    nodes: np.ndarray,
    edges: FlowEdges,
    words: tuple[tuple[str, ...], ...],
    scores: np.ndarray,
) -> Graph:
    parts = [keys.place(key) for key in nodes]
    number = {int(key): i for i, key in enumerate(nodes)}
    kinds = [KINDS[kind] for kind, *_ in parts]
    return Graph(
        model=model.spec.name,
        prompt="".join(tokens.strings[0]),
        tokens=tokens.strings[0],
        ids=tuple(map(keys.name, nodes)),
        labels=tuple(own[0] if own else "" for own in words),
        kinds=tuple(kinds),
        channels=tuple(CHANNELS[channel] for channel in edges.channels),
        layers=np.array([-1 if kind == EMBED else layer for kind, layer, *_ in parts]),
        positions=np.array([position for _, _, position, _ in parts]),
        features=np.array([unit if kind == NEURON else -1 for kind, _, _, unit in parts]),
        scores=scores,
        sources=np.array([number[int(key)] for key in edges.sources]),
        targets=np.array([number[int(key)] for key in edges.targets]),
        weights=edges.weights,
    )


def contributions_of(
    parts: PassParts, keys: NodeKeys, nodes: np.ndarray, every: FlowEdges
) -> np.ndarray:
    """(node,) what each node's vector adds to the answer, in logits; NaN by "state"."""
    if parts.by == "state":
        return np.full(len(nodes), np.nan)
    out = []
    for key in nodes:
        kind, layer, position, _ = keys.place(key)
        if kind in (HEAD, NEURON, MLP):
            # One edge leaves it, and its weight is all that it adds.
            out.append(every.weights[every.sources == key].sum())
            continue
        name, layer = {
            EMBED: ("resid_pre", 0), MID: ("resid_mid", layer), STATE: ("resid_post", layer)
        }[kind]  # fmt: skip
        product = parts.state(name, layer)[position] * parts.grad(name, layer)[position]
        out.append(float(product.sum()))
    return np.array(out)
