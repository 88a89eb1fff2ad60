"""The union of two flows, so that one can be expanded feature by feature."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ..dictionary.collection import Dictionaries
from ..methods.features.flow import FeatureFlow


def joined(first: FeatureFlow, other: FeatureFlow, dicts: Dictionaries) -> FeatureFlow:
    """Both flows as one: the roots of the first, the features and edges of either."""

    def order(name: str) -> tuple[Any, int]:
        dictionary, number = dicts.feature(name)
        return dictionary.out_site, number

    flows = (first, other)
    ids = sorted({name for flow in flows for name in flow.graph.ids}, key=order)
    number = {name: i for i, name in enumerate(ids)}
    # Where both know a feature they say the same of it.
    home = {name: flow for flow in reversed(flows) for name in flow.graph.ids}
    at = [(home[name], home[name].node(name)) for name in ids]
    edges: dict[tuple[int, int], float] = {}
    for flow in flows:
        graph = flow.graph
        ends = zip(graph.sources, graph.targets, graph.weights, strict=True)
        for source, target, weight in ends:
            edges[number[graph.ids[source]], number[graph.ids[target]]] = float(weight)
    pairs = sorted(edges)

    def gather(name: str) -> np.ndarray:
        return np.array([getattr(flow, name)[i] for flow, i in at])

    def of_graph(name: str) -> list[Any]:
        return [getattr(flow.graph, name)[i] for flow, i in at]

    graph = replace(
        first.graph,
        ids=tuple(ids),
        labels=tuple(of_graph("labels")),
        kinds=("feature",) * len(ids),
        channels=("",) * len(pairs),
        layers=np.array(of_graph("layers")),
        positions=np.array(of_graph("positions")),
        features=np.array(of_graph("features")),
        scores=np.array(of_graph("scores")),
        sources=np.array([source for source, _ in pairs]),
        targets=np.array([target for _, target in pairs]),
        weights=np.array([edges[pair] for pair in pairs]),
    )
    return replace(
        first,
        graph=graph,
        classes=tuple(flow.classes[i] for flow, i in at),
        ended=gather("ended"),
        resid=gather("resid"),
        mlp=gather("mlp"),
        attn=gather("attn"),
        successor=gather("successor"),
        thresholds=np.where(np.isnan(first.thresholds), other.thresholds, first.thresholds),
        chance=np.where(np.isnan(first.chance), other.chance, first.chance),
    )
