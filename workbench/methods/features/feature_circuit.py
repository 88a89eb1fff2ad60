"""Feature circuit: the features behind a behaviour, and what they do to one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ...check import Count, NotNegative, Seed, checked
from ...dictionary.collection import Dictionaries
from ...graph import Graph
from ...model import Model, ModelSpec
from ...result import Result, axes, provenance
from ...site import Site
from ...tasks import Examples, Task, TaskBatch
from .dictionary_check import check_fits
from .feature_edges import feature_edges
from .feature_effects import FeatureEffects, feature_effects
from .node_bases import FeatureBasis


@dataclass(frozen=True, eq=False, repr=False)
class FeatureCircuit(Result):
    """Features, and error nodes of dictionaries, that cause an answer, and their direct effects.

    task, metric_name, method, reference, steps, gap: as in `FeatureEffects`. sites: of the
    dictionaries that were searched. nodes: names, "L3.resid_post/123" or "L3.resid_post/error", in
    the order of a forward pass. effects: of each on the metric, with everything below it as it is.
    to_logits: what each adds to the metric directly. sources, targets, weights: edges between
    nodes, by position in `nodes`, in units of the metric; pruned edges are left out. active: by
    site, the nodes that have any effect, which random circuits are drawn from.
    """

    task: str
    metric_name: str
    method: str
    reference: str
    steps: int
    gap: float
    sites: tuple[str, ...]
    nodes: tuple[str, ...]
    active: dict[str, np.ndarray]
    effects: np.ndarray = axes("node")
    to_logits: np.ndarray = axes("node")
    sources: np.ndarray = axes("edge", np.int32)
    targets: np.ndarray = axes("edge", np.int32)
    weights: np.ndarray = axes("edge")

    picture = "feature_circuits.feature_circuit"

    @property
    def features(self) -> tuple[str, ...]:
        """The nodes that are features."""
        return tuple(name for name in self.nodes if not name.endswith("/error"))

    @property
    def errors(self) -> tuple[str, ...]:
        """The nodes that are errors of dictionaries."""
        return tuple(name for name in self.nodes if name.endswith("/error"))

    def chosen(self, dicts: Dictionaries) -> dict[Site, np.ndarray]:
        """By site, (node,) bool: which features, and last the error, are in the circuit.

        Raises `ValueError` where a site has no dictionary, or not that feature.
        """
        return chosen_nodes(dicts, self.sites, self.nodes)

    def without(self, names: str | Iterable[str]) -> FeatureCircuit:
        """The circuit less some of its nodes. Raises `ValueError` for one that is not in it."""
        dropped = {names} if isinstance(names, str) else set(names)
        if missing := dropped - set(self.nodes):
            raise ValueError(f"{sorted(missing)[0]!r} is not in the circuit: {self!r}.")
        return self._with(np.array([name not in dropped for name in self.nodes]))

    def random(self, seed: Seed = 0) -> FeatureCircuit:
        """As many nodes at each site, drawn from those that have any effect, without edges.

        Error nodes stay as they are: there is one a site, so that they cannot be drawn.
        """
        generator = np.random.default_rng(seed)
        names = list(self.errors)
        for site in self.sites:
            n = sum(name.startswith(f"{site}/") for name in self.features)
            pool = self.active[site]
            drawn = generator.choice(pool, size=min(n, len(pool)), replace=False)
            names += [f"{site}/{number}" for number in sorted(drawn.tolist())]
        empty = np.zeros(len(names))
        none = np.zeros(0, np.int32)
        return replace(
            self,
            method=f"random, seed {seed}",
            nodes=tuple(sorted(names, key=_order)),
            effects=empty,
            to_logits=empty,
            sources=none,
            targets=none,
            weights=np.zeros(0),
        )

    def _with(self, kept: np.ndarray) -> FeatureCircuit:
        number = np.cumsum(kept) - 1
        edges = kept[self.sources] & kept[self.targets]
        return replace(
            self,
            nodes=tuple(name for name, keep in zip(self.nodes, kept, strict=True) if keep),
            effects=self.effects[kept],
            to_logits=self.to_logits[kept],
            sources=number[self.sources[edges]],
            targets=number[self.targets[edges]],
            weights=self.weights[edges],
        )

    def graph(self, labels: Mapping[str, str] | None = None) -> Graph:
        """Its nodes and edges as a `Graph`; the logits are the last node.

        labels: words for nodes, by name.
        """
        sites = [Site.parse(name.rpartition("/")[0]) for name in self.nodes]
        units = [name.rpartition("/")[2] for name in self.nodes]
        direct = np.flatnonzero(self.to_logits)
        top = 1 + max((site.layer or 0 for site in sites), default=0)
        return Graph(
            model=self.model,
            prompt=self.task,
            tokens=(),
            ids=(*self.nodes, "logits"),
            labels=(*((labels or {}).get(name, name) for name in self.nodes), self.metric_name),
            kinds=(*("error" if unit == "error" else "feature" for unit in units), "logits"),
            channels=("",) * (len(self.weights) + len(direct)),
            layers=np.array([*(site.layer or 0 for site in sites), top]),
            positions=np.full(len(sites) + 1, -1),
            features=np.array([*(-1 if unit == "error" else int(unit) for unit in units), -1]),
            scores=np.array([*self.effects, np.nan]),
            sources=np.concatenate([self.sources, direct]),
            targets=np.concatenate([self.targets, np.full(len(direct), len(sites))]),
            weights=np.concatenate([self.weights, self.to_logits[direct]]),
        )

    def to_frame(self) -> pd.DataFrame:
        """One line a node, the largest absolute effect first: node, site, effect, to_logits."""
        order = np.argsort(-np.abs(self.effects), kind="stable")
        return pd.DataFrame(
            {
                "node": [self.nodes[i] for i in order],
                "site": [self.nodes[i].rpartition("/")[0] for i in order],
                "effect": self.effects[order],
                "to_logits": self.to_logits[order],
            }
        )

    def _facts(self) -> str:
        return (
            f"{len(self.features)} features and {len(self.errors)} errors at {len(self.sites)} "
            f"sites, {len(self.weights)} edges, {self.task}, {self.method}"
        )


@checked
def feature_circuit(
    model: Model,
    task: Task | TaskBatch,
    dicts: Dictionaries,
    *,
    n_nodes: Count = 100,
    threshold: NotNegative | None = None,
    n_edges: Count = 300,
    method: str = "ig",
    reference: str = "counterfactual",
    steps: Count = 10,
    layers: Sequence[int] | None = None,
    errors: bool = True,
    n: Count | None = None,
    effects: FeatureEffects | None = None,
) -> FeatureCircuit:
    """The features behind a task's answers, as a sparse feature circuit.

    n_nodes: how many nodes, those of the largest absolute effect; threshold: instead, all whose
    absolute effect is above it, in units of the metric. Between them the `n_edges` edges of the
    largest absolute weight are kept, and nodes are dropped from which no kept edge leads on towards
    the logits. method, reference, steps: of the effects, as in `feature_effects`. layers: whose
    dictionaries are searched and, later, ablated; None leaves the first third of the model as it
    is, where features stand for single tokens and a circuit would list the vocabulary. errors:
    whether what a dictionary leaves over is a node too. n: how many pairs. effects: those of an
    earlier call with the same dictionaries, in place of method, reference and steps.

    Raises `ValueError` for numbers below 1 or a threshold below 0, layers without a dictionary, a
    threshold that keeps nothing, effects of another task or other sites, and as `feature_effects`.

    Source: Marks et al., "Sparse Feature Circuits: Discovering and Editing Interpretable Causal
    Graphs in Language Models" (2024), arXiv:2403.19647, section 3.
    """
    check_fits(model, *dicts.values())
    searched = in_layers(dicts, model.spec, layers)
    if effects is None:
        effects = feature_effects(
            model, task, searched, method=method, reference=reference, steps=steps, n=n
        )
    examples = Examples.of(model, task, n=n)
    _check_effects(effects, searched, examples)
    numbers = _choose(effects, searched, n_nodes, threshold, errors)
    bases = [FeatureBasis(dictionary) for dictionary in searched.values()]
    edges = feature_edges(model, examples, bases, numbers, effects.reference)
    names = [effects.nodes[str(site)][i] for site in searched for i in numbers.get(site, ())]
    values = [effects.effects[str(site)][i] for site in searched for i in numbers.get(site, ())]
    strongest = np.sort(np.argsort(-np.abs(edges.weights), kind="stable")[:n_edges])
    found = FeatureCircuit(
        **provenance(model, examples.batch.clean),
        task=effects.task,
        metric_name=effects.metric_name,
        method=effects.method,
        reference=effects.reference,
        steps=effects.steps,
        gap=effects.gap,
        sites=tuple(map(str, searched)),
        nodes=tuple(names),
        active={
            str(site): np.flatnonzero(effects.effects[str(site)][: d.n_features])
            for site, d in searched.items()
        },
        effects=np.array(values),
        to_logits=edges.to_logits,
        sources=edges.sources[strongest],
        targets=edges.targets[strongest],
        weights=edges.weights[strongest],
    )
    return found._with(_leads_on(found))


def in_layers(dicts: Dictionaries, spec: ModelSpec, layers: Sequence[int] | None) -> Dictionaries:
    """The dictionaries of some layers; None takes those behind the first third of the model.

    Raises `ValueError` where there is none.
    """
    wanted = range(math.ceil(spec.n_layers / 3), spec.n_layers) if layers is None else list(layers)
    found = [dictionary for site, dictionary in dicts.items() if site.layer in wanted]
    if not found or (layers is not None and not set(wanted) <= set(dicts.layers)):
        raise ValueError(
            f"layers names layers that have a dictionary, of {', '.join(map(str, dicts.layers))}; "
            f"got {list(wanted)}."
        )
    return Dictionaries(found)


def chosen_nodes(
    dicts: Dictionaries, sites: Iterable[str], nodes: Iterable[str]
) -> dict[Site, np.ndarray]:
    """By site, (node,) bool: the features that are named, and last the error.

    Raises `ValueError` for a site without a dictionary and for a feature that is not there.
    """
    out: dict[Site, np.ndarray] = {}
    for name in sites:
        site = Site.parse(name)
        if site not in dicts:
            raise ValueError(f"The circuit has nodes at {site}, and {dicts!r} has no such site.")
        out[site] = np.zeros(dicts[site].n_features + 1, bool)
    for name in nodes:
        where, _, unit = name.rpartition("/")
        site = Site.parse(where)
        if site not in out:
            raise ValueError(f"A node is at one of {', '.join(map(str, out))}; got {name!r}.")
        out[site][-1 if unit == "error" else dicts[site].check_feature(name)] = True
    return out


def _check_effects(effects: FeatureEffects, dicts: Dictionaries, examples: Examples) -> None:
    missing = [str(site) for site in dicts if str(site) not in effects.effects]
    sizes = {str(site): d.n_features + 1 for site, d in dicts.items()}
    if effects.task != examples.batch.task or missing:
        raise ValueError(
            "effects are those of the same task and of every dictionary; got "
            f"{effects!r} for {examples.batch.task}"
            + (f", without {missing[0]}." if missing else ".")
        )
    for site, n in sizes.items():
        if len(effects.effects[site]) != n:
            raise ValueError(
                f"effects were found with another dictionary at {site}: "
                f"{len(effects.effects[site])} nodes, not {n}."
            )


def _choose(
    effects: FeatureEffects,
    dicts: Dictionaries,
    n_nodes: int,
    threshold: float | None,
    errors: bool,
) -> dict[Site, np.ndarray]:
    """By site the numbers of the chosen nodes, ascending."""
    chosen: dict[Site, list[int]] = {}
    taken = 0
    for name, number, effect in effects.top():
        site = Site.parse(name)
        if site not in dicts or (number == dicts[site].n_features and not errors):
            continue
        if not effect or (taken == n_nodes if threshold is None else abs(effect) <= threshold):
            break
        chosen.setdefault(site, []).append(number)
        taken += 1
    if not taken:
        candidates = (
            abs(effect)
            for name, number, effect in effects.top()
            if Site.parse(name) in dicts and (errors or number < dicts[Site.parse(name)].n_features)
        )
        largest = next(candidates, 0.0)
        raise ValueError(
            f"No node has an absolute effect above {threshold or 0:g}; the largest is "
            f"{largest:.3g}. Lower the threshold, or look at the task."
        )
    return {site: np.array(sorted(numbers)) for site, numbers in chosen.items()}


def _leads_on(circuit: FeatureCircuit) -> np.ndarray:
    """(node,) bool: whether kept edges lead from the node to the logits."""
    # Nodes stand in the order of the pass, so that one sweep from the end reaches them all.
    reached = circuit.to_logits != 0
    for target in range(len(reached) - 1, -1, -1):
        if reached[target]:
            reached[circuit.sources[circuit.targets == target]] = True
    return reached


def _order(name: str) -> tuple[Site, float]:
    where, _, unit = name.rpartition("/")
    return Site.parse(where), math.inf if unit == "error" else int(unit)
