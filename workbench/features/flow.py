"""Feature flow: where a feature comes from and where it goes, layer by layer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import pandas as pd

from ..change import Change
from ..check import Count, Natural, Seed, checked, given
from ..dictionary.collection import Dictionaries, dictionaries
from ..edits import Add
from ..graph import Graph
from ..result import axes, labels
from ..site import Site
from .label import Labels
from .matching import (
    BEFORE,
    CLASSES,
    LANES,
    FeatureMatches,
    Lanes,
    Method,
    as_thresholds,
    by_cosine,
    check_matching,
    classify,
    is_ended,
    lane_of,
    level_of_chance,
    match,
    origin,
)

Direction = Literal["both", "back", "forward"]
DIRECTIONS: tuple[Direction, ...] = ("both", "back", "forward")
#: Streams that a feature lives on in: those along which a push is spread.
RESIDUAL = ("resid_pre", "resid_mid", "resid_post")


@dataclass(frozen=True, eq=False, repr=False)
class FeatureFlow(Graph):
    """Features joined to their predecessors and successors: a graph upwards through the layers.

    `to_frame()` has one line a feature, `to_frame("limits")` one a dictionary and lane that the
    flow passes. The similarities of a feature are there whether or not the edge is, NaN where
    there is no dictionary. Nodes are features by name, their score the best predecessor's
    similarity; an edge goes from the earlier to the later one, its weight is their similarity.
    Its roots are the features that were asked for.
    """

    #: How features were matched, and how many matches each has.
    method: str
    k: int
    #: Which way, and how many layers; None for all.
    direction: str
    depth: int | None
    #: Of all dictionaries, in the order of a pass.
    fingerprints: tuple[str, ...]
    sites: tuple[str, ...] = labels("site", "site of the dictionary", name="site")
    classes: tuple[str, ...] = labels("node", "one of `matching.CLASSES`", name="class")
    ended: np.ndarray = axes("node", np.bool_, "nothing after it is similar enough")
    resid: np.ndarray = axes("node", note="best similarity in the residual stream before")
    mlp: np.ndarray = axes("node", note="best similarity in the MLP's output of its layer")
    attn: np.ndarray = axes("node", note="best similarity in the attention's output of its layer")
    successor: np.ndarray = axes("node", note="best similarity in the residual stream after")
    thresholds: np.ndarray = axes(
        "lane site", note="similarity from which on a match counts", name="threshold"
    )
    chance: np.ndarray = axes("lane site", note="similarity that random directions reach")

    tables = cast("Mapping[str, str]", {"features": "node", "limits": "lane site", "edges": "edge"})
    picture = "flows.feature_flow"
    view = "features.feature_flow"

    @cached_property
    def lanes(self) -> tuple[str, ...]:
        """The lane of each node: "resid", "mlp" or "attn"."""
        return tuple(lane_of(Site.parse(name)) for name in self.ids)

    @cached_property
    def node_sites(self) -> np.ndarray:
        """(node,) the number of each node's dictionary in `sites`."""
        return np.array([self.sites.index(name.split("/")[0]) for name in self.ids])

    def node(self, name: str | Site) -> int:
        """The number of a feature. Raises `ValueError` for one that is not in the flow."""
        return super().node(Site.parse(name))

    def path(
        self, source: str | Site | None = None, target: str | Site | None = None
    ) -> tuple[str, ...]:
        """The strongest path to `target`, or the chain through a feature, by default the first
        root, where none is given.

        Of the chain: from the feature the most similar predecessor in the residual stream, and on
        from there; where that ends, the most similar one in a module. And the most similar
        successor, and on. Raises `ValueError` for a feature that is not in the flow.
        """
        start = self.roots[0] if source is None else source
        if target is not None:
            return super().path(start, target)
        at = self.node(start)
        back = self._chain(at, self.targets, self.sources)
        forward = self._chain(at, self.sources, self.targets)
        return tuple(self.ids[i] for i in [*reversed(back), at, *forward])

    def _chain(self, node: int, here: np.ndarray, there: np.ndarray) -> list[int]:
        out: list[int] = []
        while len(edges := np.flatnonzero(here == node)):
            resid = np.array([self.lanes[there[e]] == "resid" for e in edges])
            edges = edges[resid] if resid.any() else edges
            node = int(there[edges[self.weights[edges].argmax()]])
            out.append(node)
        return out

    def change(
        self,
        strength: float = 1.0,
        *,
        dicts: Dictionaries | None = None,
        layers: int | Sequence[int] | None = None,
    ) -> Change:
        """The change that pushes along the flow: a length of `strength` in all, in equal shares
        along the unit directions of the residual features of its strongest path.

            wb.steer(model, prompt, flow.change(4 * wb.steering.typical_length(…), dicts=dicts))

        dicts: those that the flow was made of; None for those that ship for its model. layers: the
        whole length in these layers of the path only. Raises `ValueError` for a layer that the path
        has nothing in, for other dictionaries, and for a feature that writes nothing.
        """
        known = dictionaries(self.model) if dicts is None else dicts
        path = sorted(Site.parse(name) for name in self.path())
        path = [site for site in path if site.stream in RESIDUAL] or path
        wanted = [layers] if isinstance(layers, int) else layers
        if wanted is not None:
            have = [site.layer for site in path]
            if missing := [layer for layer in wanted if layer not in have] or [None] * (not wanted):
                names = ", ".join(str(site) for site in path)
                raise ValueError(
                    f"The path of this flow is {names}; it has nothing in layer {missing[0]!r}."
                )
            path = [site for site in path if site.layer in wanted]
        edits = []
        for site in path:
            dictionary, number = known.feature(site)
            if dictionary.fingerprint != self.fingerprints[self.sites.index(str(site.whole))]:
                raise ValueError(
                    f"A flow is steered with the dictionaries that it was made of; {dictionary!r} "
                    "has other weights than the one behind this flow. Give those as dicts=."
                )
            direction = dictionary.directions[number]
            if not bool(direction.any()):
                raise ValueError(
                    f"{site} writes nothing: its decoder row is 0, so that there is no direction "
                    "to push in."
                )
            edits.append(Add(site.whole, direction, strength / len(path)))
        return Change(edits)

    def agreement(self, other: FeatureFlow) -> float:
        """How far another flow says the same: of the features of both that have a predecessor or
        successor in both, the share of (feature, lane) whose best is the same; NaN for none.
        """
        mine, theirs = self._best(), other._best()
        both = mine.keys() & theirs.keys()
        return float(np.mean([mine[key] == theirs[key] for key in both])) if both else float("nan")

    def _best(self) -> dict[tuple[str, str], str]:
        """(feature, lane) → the other end of its strongest edge there."""
        out = {}
        for edge in np.argsort(self.weights, kind="stable"):
            source, target = self.sources[edge], self.targets[edge]
            out[self.ids[target], self.lanes[source]] = self.ids[source]
            out[self.ids[source], "next"] = self.ids[target]
        return out

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line a feature: its name, label and class, and how similar what lies around it is.

        table: "limits", one line a lane and dictionary that the flow passes: threshold and chance;
        "edges", one line an edge.
        """
        frame = super().to_frame(table)
        if table == "limits":
            frame["lane"] = [LANES[lane] for lane in frame["lane"]]
            return frame.dropna(subset=["chance"], ignore_index=True)
        if table == "edges":
            return frame
        of_graph = ["kind", "layer", "pos", "unit", "score"]
        return frame.drop(columns=of_graph).rename(columns={"node": "feature"})

    def _facts(self) -> str:
        roots = ", ".join(self.roots[:3]) + (", …" if len(self.roots) > 3 else "")
        counts = {name: self.classes.count(name) for name in CLASSES}
        shares = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
        n_ended = int(self.ended.sum())
        return (
            f"{roots} by {self.method}: {len(self.ids)} features, {len(self.weights)} "
            f"edges; {shares}; {n_ended} end{'s' * (n_ended == 1)}"
        )


@checked
def flow(
    dicts: Dictionaries,
    feature: Any = None,
    *,
    method: Method = "cosine",
    k: Count = 1,
    direction: Direction = "both",
    depth: Natural | None = None,
    thresholds: Any = None,
    min_similarity: float | None = None,
    matches: FeatureMatches | None = None,
    labels: Any = None,
    seed: Seed = 0,
    progress: bool = False,
) -> FeatureFlow:
    """Where features come from and where they go, composed over the layers: a `FeatureFlow`.

        wb.feature_flow(dicts, "L3.resid_post/123").path()

    feature: a name, several, or None for all of the residual stream. Backwards each is joined to
    its `k` best predecessors in the residual stream before, the MLP's and the attention's output of
    its layer, and those of the residual stream to theirs; forwards to its best successors in the
    residual stream after, and those to theirs. depth: how many layers each way, None for all.

    method, thresholds, seed: as in `match`; the cosine is computed for the features that the flow
    reaches. A permutation matches everything first; give `matches` to do that once, and for a
    correlation, whose thresholds hold if none are given. min_similarity: edges below it are left
    out and not followed; None for each lane's threshold, −1 for none. labels: None for those saved
    with the dictionaries; a mapping by name, or something with `of(name)`.

    Raises `ValueError` as `match`, for a feature that does not exist, and for more than 5,000.
    Source: Laptev, Balagansky et al., "Analyze Feature Flow to Enhance Interpretation and Steering
    in Language Models" (2025), section 3.
    """
    lanes = Lanes.of(dicts)
    _check_options(direction, depth, min_similarity)
    roots = _roots(lanes, feature)
    if matches is not None:
        _check_matches(matches, lanes, k)
    else:
        check_matching(lanes, method, k, None, None)
        if method != "cosine":
            matches = match(dicts, method=method, k=k, seed=seed, progress=progress)
    search = FlowSearch(lanes, k, matches, thresholds, seed, min_similarity, depth)
    if direction != "forward":
        search.back(roots)
    if direction != "back":
        search.forward(roots)
    found = search.finish(roots)
    return FeatureFlow(
        **origin(lanes, None, seed),
        **found.graph(lanes, _labeller(labels, lanes)),
        roots=tuple(f"{lanes.names[site]}/{number}" for site, number in roots),
        method=method if matches is None else matches.method,
        k=k,
        direction=direction,
        depth=depth,
        sites=lanes.names,
        fingerprints=lanes.fingerprints,
        classes=found.classes,
        ended=found.ended,
        resid=found.best[0],
        mlp=found.best[1],
        attn=found.best[2],
        successor=found.best[3],
        thresholds=found.thresholds,
        chance=found.chance,
    )


feature_flow = flow


def _check_options(direction: str, depth: Any, min_similarity: Any) -> None:
    if direction not in DIRECTIONS:
        raise ValueError(f"A flow goes {', '.join(DIRECTIONS)}; got direction={direction!r}.")
    if min_similarity is not None and not -1 <= min_similarity <= 1:
        raise ValueError(f"min_similarity is a similarity, -1 to 1; got {min_similarity!r}.")


def _roots(lanes: Lanes, feature: Any) -> tuple[tuple[int, int], ...]:
    """Each root as the number of its dictionary and its own."""
    if feature is None:
        return tuple(
            (site, number)
            for site, n in enumerate(lanes.n_features)
            if lane_of(lanes.sites[site]) == "resid"
            for number in range(n)
        )
    several = isinstance(feature, Sequence) and not isinstance(feature, str)
    named: list[Any] = list(feature) if several else [feature]
    out = []
    for each in named:
        if not isinstance(each, (str, Site)):
            raise ValueError(
                f"A feature of a flow is named like 'L3.resid_post/123'; got {given(each)}."
            )
        try:
            dictionary, number = lanes.dicts.feature(each)
        except KeyError as error:
            raise ValueError(str(error.args[0])) from None
        out.append((lanes.sites.index(dictionary.out_site), number))
    if not out or len(set(out)) != len(out):
        raise ValueError(f"A flow starts at one or more features, each once; got {feature!r}.")
    return tuple(out)


def _check_matches(matches: FeatureMatches, lanes: Lanes, k: int) -> None:
    if (matches.sites, matches.fingerprints) != (lanes.names, lanes.fingerprints):
        raise ValueError(
            "The matches of a flow are of its own dictionaries; these are of other ones or of "
            "other weights. Match again: wb.features.match(dicts, …)."
        )
    if not 1 <= k <= matches.k:
        raise ValueError(f"These matches hold the best {matches.k} of each feature; got k={k}.")


def _labeller(labels: Any, lanes: Lanes) -> Callable[[str], str]:
    """From a feature's name to the text to show: its label with its score, else the name."""
    if labels is None:
        held: dict[str, Labels] = {}

        def saved(name: str) -> str:
            site = name.split("/")[0]
            if site not in held:
                held[site] = Labels.of(lanes.dicts[site])
            label = held[site][name]
            return str(label) if label.text else name

        return saved
    if isinstance(labels, Mapping):
        return lambda name: str(labels.get(name, name))
    if callable(getattr(labels, "of", None)) and not isinstance(labels, Labels):
        return lambda name: str(labels.of(name) or name)
    raise ValueError(
        "labels is a mapping from names to texts, or has of(name); those saved with the "
        f"dictionaries are read without it. Got {given(labels)}."
    )


# -- the search ------------------------------------------------------------------------------------

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

    def graph(self, lanes: Lanes, label: Callable[[str], str]) -> dict[str, Any]:
        """The fields of a `Graph`: nodes by name, edges in the order of their ends."""
        ids = tuple(f"{lanes.names[site]}/{number}" for site, number in self.nodes)
        layers = [lanes.sites[site].layer for site, _ in self.nodes]
        number = {node: i for i, node in enumerate(self.nodes)}
        ends = sorted((number[s], number[t]) for s, t in self.edges)
        before = np.where(np.isnan(self.best[: len(BEFORE)]), -np.inf, self.best[: len(BEFORE)])
        scores = before.max(0)
        return dict(
            prompt="",
            ids=ids,
            labels=tuple(map(label, ids)),
            kinds=("feature",) * len(ids),
            channels=("",) * len(ends),
            layers=np.array([-1 if layer is None else layer for layer in layers]),
            positions=np.full(len(ids), -1),
            units=np.array([n for _, n in self.nodes]),
            scores=np.where(np.isinf(scores), np.nan, scores),
            sources=np.array([s for s, _ in ends]),
            targets=np.array([t for _, t in ends]),
            weights=np.array([self.edges[self.nodes[s], self.nodes[t]] for s, t in ends]),
        )


class FlowSearch:
    """Composes the best matches of features over the layers; options as in `flow`."""

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
                    for value, partner in zip(values, found, strict=True):
                        if partner < 0 or not value >= least:
                            continue
                        here, there = (site, number), (other, int(partner))
                        edge = (here, there) if lane == NEXT else (there, here)
                        self.edges[edge] = float(value)
                        depth = reached[number] + 1
                        known = depths[other].get(int(partner), depth)
                        depths[other][int(partner)] = min(known, depth)
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
                "single features or less depth, or match all of them: wb.features.match(dicts)."
            )
