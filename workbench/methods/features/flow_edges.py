"""The edges of a flow that are tested, and the dictionaries and matches that belong to it."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...check import given
from ...data import DataNotFound
from ...dictionary.collection import dictionaries
from .flow import FeatureFlow
from .flow_survey import Edge
from .lanes import BEFORE, Lanes
from .matching import FeatureMatches, match_features

#: Ways of matching that a validation makes itself.
WAYS = ("correlation", "permutation")


def flow_edges(
    flow: FeatureFlow | FeatureMatches, lanes: Lanes, n_edges: int | None, rng: np.random.Generator
) -> tuple[list[Edge], np.ndarray]:
    """The edges to test and their similarities, lane by lane, at most `n_edges` of each.

    Raises `ValueError` where there are none.
    """
    found: list[tuple[Edge, float]] = []
    if isinstance(flow, FeatureFlow):
        graph = flow.graph
        for s, t, weight in zip(graph.sources, graph.targets, graph.weights, strict=True):
            source, target = (
                (int(flow.node_sites[node]), int(graph.features[node])) for node in (s, t)
            )
            found.append((Edge(flow.lanes[s], source, target), float(weight)))
    else:
        best = flow.similarity[..., 0]
        for lane, name in enumerate(BEFORE):
            limits = flow.thresholds[lane, flow.site_of_node]
            with np.errstate(invalid="ignore"):
                nodes = np.flatnonzero(best[lane] >= limits)
            for node in nodes:
                site = int(flow.site_of_node[node])
                source = int(flow.leads[lane, site]), int(flow.index[lane, node, 0])
                edge = Edge(name, source, (site, int(node - flow.starts[site])))
                found.append((edge, float(best[lane, node])))
    out: list[tuple[Edge, float]] = []
    for lane in BEFORE:
        own = [each for each in found if each[0].lane == lane]
        if n_edges is not None and len(own) > n_edges:
            own = [own[i] for i in np.sort(rng.choice(len(own), n_edges, replace=False))]
        out += own
    if not out:
        raise ValueError(
            f"A validation tests edges, and {flow!r} has none that reach its thresholds. Lower "
            "them, or choose another feature."
        )
    return [edge for edge, _ in out], np.array([value for _, value in out], np.float32)


def flow_dictionaries(flow: Any, dicts: Any) -> Lanes:
    """The dictionaries that a flow was made of. Raises as `validate_flow`."""
    if not isinstance(flow, (FeatureFlow, FeatureMatches)):
        raise TypeError(
            "What is validated is a flow, wb.feature_flow(…), or matches, wb.match_features(…); "
            f"got {given(flow)}."
        )
    if dicts is None:
        try:
            dicts = dictionaries(flow.model)
        except (ValueError, DataNotFound):
            raise ValueError(
                f"A flow holds names, not weights, and no dictionaries ship for {flow.model!r}. "
                "Give dicts=, those that the flow was made of."
            ) from None
    lanes = Lanes.of(dicts)
    if (lanes.names, lanes.fingerprints) != (flow.sites, flow.fingerprints):
        raise ValueError(
            "A flow is validated with the dictionaries that it was made of; these are of other "
            f"sites or other weights ({', '.join(lanes.names)}). Give the same ones as dicts=."
        )
    return lanes


def other_way(way: Any, lanes: Lanes) -> tuple[str, FeatureMatches | None]:
    """A way of matching to compare with: its name and its matches, None for those of the survey."""
    if isinstance(way, FeatureMatches):
        if (way.sites, way.fingerprints) != (lanes.names, lanes.fingerprints):
            raise ValueError("Ways of matching are compared on the same dictionaries.")
        return way.by, way
    if way not in WAYS:
        raise ValueError(
            f"A flow is compared with {', '.join(WAYS)} or FeatureMatches; got {way!r}."
        )
    if way == "correlation":
        return way, None
    return way, match_features(lanes.dicts, by="permutation", progress=False)
