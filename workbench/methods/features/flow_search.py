"""The search behind a flow: matches composed backwards and forwards from the features asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...graph import Graph
from .flow_classes import as_thresholds, classify, is_ended
from .lanes import BEFORE, LANES, Lanes, lane_of
from .matching import FeatureMatches, by_cosine, level_of_chance

#: More features than this no picture and no person follows.
MOST_NODES = 5000
NEXT = LANES.index("next")
#: A node: the number of its dictionary, and its own in it.
Node = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found. nodes: in the order of a pass. edges: (source, target) → similarity.

    best: (lane, node) the best similarity in each lane. thresholds, chance: (lane, site).
    """

    nodes: tuple[Node, ...]
    edges: dict[tuple[Node, Node], float]
    best: np.ndarray
    classes: tuple[str, ...]
    ended: np.ndarray
    thresholds: np.ndarray
    chance: np.ndarray

    def graph(self, lanes: Lanes, label: Callable[[str], str]) -> Graph:
        """The nodes by name and the edges between them, the edges in the order of their ends."""
        ids = tuple(f"{lanes.names[site]}/{number}" for site, number in self.nodes)
        layers = [lanes.sites[site].layer for site, _ in self.nodes]
        number = {node: i for i, node in enumerate(self.nodes)}
        ends = sorted((number[s], number[t]) for s, t in self.edges)
        before = np.where(np.isnan(self.best[: len(BEFORE)]), -np.inf, self.best[: len(BEFORE)])
        scores = before.max(0)
        return Graph(
            model=lanes.dicts.model,
            prompt="",
            tokens=(),
            ids=ids,
            labels=tuple(map(label, ids)),
            kinds=("feature",) * len(ids),
            channels=("",) * len(ends),
            layers=np.array([-1 if layer is None else layer for layer in layers]),
            positions=np.full(len(ids), -1),
            features=np.array([n for _, n in self.nodes]),
            scores=np.where(np.isinf(scores), np.nan, scores),
            sources=np.array([s for s, _ in ends]),
            targets=np.array([t for _, t in ends]),
            weights=np.array([self.edges[self.nodes[s], self.nodes[t]] for s, t in ends]),
        )


class FlowSearch:
    """Composes the best matches of features over the layers; options as in `feature_flow`."""

    def __init__(
        self,
        lanes: Lanes,
        k: int,
        matches: FeatureMatches | None,
        thresholds: Any,
        seed: int,
        min_similarity: float | None,
        depth: int | None,
    ) -> None:
        self.lanes, self.k, self.matches, self.seed = lanes, k, matches, seed
        self.min_similarity, self.depth = min_similarity, depth
        self.edges: dict[tuple[Node, Node], float] = {}
        self._held: dict[tuple[int, int], dict[int, tuple[np.ndarray, np.ndarray]]] = {}
        if matches is not None:
            self.chance = matches.chance
        else:
            self.chance = np.full(lanes.leads.shape, np.nan, np.float32)
            for lane, at, other in lanes.pairs():
                self.chance[lane, at] = level_of_chance(lanes, at, other, None, seed)
        if matches is not None and thresholds is None:
            self.thresholds = matches.thresholds
        else:
            self.thresholds = as_thresholds(thresholds, lanes.names, lanes.leads, self.chance)

    def back(self, roots: Sequence[Node]) -> None:
        """Edges from predecessors, from the last layer to the first."""
        self._follow(roots, range(len(self.lanes.sites) - 1, -1, -1), range(len(BEFORE)))

    def forward(self, roots: Sequence[Node]) -> None:
        """Edges to successors, from the first layer to the last."""
        self._follow(roots, range(len(self.lanes.sites)), [NEXT])

    def _follow(self, roots: Sequence[Node], order: Sequence[int], lanes: Sequence[int]) -> None:
        """Every site in turn, so that all its features that the flow reaches are matched at once.

        What lies before a site comes before it in the order of a pass, so one sweep is enough.
        """
        self._count(len(roots))
        depths: dict[int, dict[int, int]] = defaultdict(dict)
        for site, number in roots:
            depths[site][number] = 0
        for site in order:
            reached = depths[site]
            open_ = [n for n, d in reached.items() if self.depth is None or d < self.depth]
            for lane in lanes if open_ else ():
                other = int(self.lanes.leads[lane, site])
                if other < 0:
                    continue
                least = self.min_similarity
                least = self.thresholds[lane, site] if least is None else least
                for number, (values, found) in self._matches(site, lane, open_).items():
                    for value, match in zip(values, found, strict=True):
                        if match < 0 or not value >= least:
                            continue
                        here, there = (site, number), (other, int(match))
                        edge = (here, there) if lane == NEXT else (there, here)
                        self.edges[edge] = float(value)
                        depth = reached[number] + 1
                        known = depths[other].get(int(match), depth)
                        depths[other][int(match)] = min(known, depth)
            self._count(sum(map(len, depths.values())))

    def _matches(
        self, site: int, lane: int, numbers: Sequence[int]
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """number → (k,) similarities and numbers, computed once for each feature."""
        held = self._held.setdefault((site, lane), {})
        missing = [n for n in numbers if n not in held]
        if missing:
            if self.matches is not None:
                at = self.matches.starts[site] + np.array(missing)
                values = self.matches.similarity[lane, at, : self.k]
                found = self.matches.index[lane, at, : self.k]
            else:
                other = int(self.lanes.leads[lane, site])
                values, found = by_cosine(self.lanes, site, other, missing, self.k)
            held.update(zip(missing, zip(values, found, strict=True), strict=True))
        return {n: held[n] for n in numbers}

    def finish(self, roots: Sequence[Node]) -> Found:
        """All nodes with their similarities, classes and ends."""
        nodes = sorted({*roots, *(end for edge in self.edges for end in edge)})
        self._count(len(nodes))
        leads = self.lanes.leads
        best = np.full((len(LANES), len(nodes)), np.nan, np.float32)
        by_site: dict[int, list[int]] = defaultdict(list)
        for i, (site, _) in enumerate(nodes):
            by_site[site].append(i)
        for site, members in by_site.items():
            numbers = [nodes[i][1] for i in members]
            for lane in range(len(LANES)):
                if leads[lane, site] >= 0:
                    found = self._matches(site, lane, numbers)
                    best[lane, members] = [found[n][0][0] for n in numbers]
        sites = np.array([site for site, _ in nodes], int)
        has_lane, limits = leads[:, sites] >= 0, self.thresholds[:, sites]
        classes = classify(best, limits, has_lane)
        module = [lane_of(self.lanes.sites[site]) != "resid" for site in sites]
        passed = np.zeros(leads.shape, dtype=bool)
        passed[:, list(by_site)] = True
        return Found(
            nodes=tuple(nodes),
            edges=self.edges,
            best=best,
            classes=tuple(np.where(module, "module", classes).tolist()),
            ended=is_ended(best, limits, has_lane),
            thresholds=np.where(passed, self.thresholds, np.nan),
            chance=np.where(passed, self.chance, np.nan),
        )

    def _count(self, n: int) -> None:
        if n > MOST_NODES:
            raise ValueError(
                f"A flow shows up to {MOST_NODES:,} features; this one has at least {n:,}. Ask for "
                "single features or less depth, or match all of them: wb.match_features(dicts)."
            )
