"""Feature circuit: the features behind a behaviour, and what they do to one another."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd
import torch

from ..check import Count, NotNegative, Seed, checked, one_of
from ..dictionary.collection import Dictionaries
from ..edits import Edit, unchanged_is_fine
from ..graph import Graph
from ..model import Metric, Model, ModelSpec, Resume, Run
from ..result import provenance
from ..site import Site
from ..tasks import TOKENS_PER_PASS, Examples, Group, Task, TaskBatch
from .check import check_fits
from .effects import FeatureEffects
from .effects import effects as effects_of
from .nodes import Codes, FeatureBasis, References, parts_of, sites_of

Chosen = Mapping[Site, np.ndarray]


@dataclass(frozen=True, eq=False, repr=False)
class FeatureCircuit(Graph):
    """Features, and error nodes of dictionaries, that cause an answer, and their direct effects.

    task, metric_name, method, reference, steps, gap: as in `FeatureEffects`. Its nodes are named
    "L3.resid_post/123" or "L3.resid_post/error", in the order of a forward pass, and last the
    logits; a node's score is its effect on the metric, with everything below it as it is. Edges
    are in units of the metric, those to the logits what a node adds to it directly; pruned ones
    are left out. sites: of the dictionaries that were searched. active: by site, the nodes that
    have any effect, which random circuits are drawn from.
    """

    task: str
    metric_name: str
    method: str
    reference: str
    steps: int
    gap: float
    sites: tuple[str, ...]
    active: dict[str, np.ndarray]

    tables = cast("Mapping[str, str]", {"nodes": "node", "edges": "edge"})
    picture = "feature_circuits.feature_circuit"
    view = None

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes but the logits."""
        return self.ids[:-1]

    @property
    def effects(self) -> np.ndarray:
        """(node,) the effect of each of `nodes` on the metric."""
        return self.scores[:-1]

    @property
    def to_logits(self) -> np.ndarray:
        """(node,) what each of `nodes` adds to the metric directly."""
        direct = self.targets == len(self.nodes)
        each = np.bincount(self.sources[direct], self.weights[direct], len(self.nodes))
        return each.astype(np.float32)

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
        return self._with(np.array([name not in dropped for name in self.ids]))

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
        empty, none = np.zeros(len(names)), np.zeros(0, np.int32)
        edges = Edges(none, none, np.zeros(0), to_logits=empty)
        made = graph_of(sorted(names, key=_order), empty, edges, self.metric_name)
        return replace(self, method=f"random, seed {seed}", **made)

    def _with(self, kept: np.ndarray) -> FeatureCircuit:
        edges = np.flatnonzero(kept[self.sources] & kept[self.targets])
        return self._part(edges, np.flatnonzero(kept))

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """One line a node, the largest absolute effect first: node, site, effect, to_logits.

        table: "edges", one line an edge, those to the logits too, the largest weight first.
        """
        if table is not None and one_of("table", table, self.tables) == "edges":
            return super().to_frame(table)
        order, direct = np.argsort(-np.abs(self.effects), kind="stable"), self.to_logits
        return pd.DataFrame(
            {
                "node": [self.nodes[i] for i in order],
                "site": [self.nodes[i].rpartition("/")[0] for i in order],
                "effect": self.effects[order],
                "to_logits": direct[order],
            }
        )

    def _facts(self) -> str:
        return (
            f"{len(self.features)} features and {len(self.errors)} errors at {len(self.sites)} "
            f"sites, {sum(self.targets < len(self.nodes))} edges, {self.task}, {self.method}"
        )


@checked
def circuit(
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
    the logits. method, reference, steps: of the effects, as in `effects`. layers: whose
    dictionaries are searched and, later, ablated; None leaves the first third of the model as it
    is, where features stand for single tokens and a circuit would list the vocabulary. errors:
    whether what a dictionary leaves over is a node too. n: how many pairs. effects: those of an
    earlier call with the same dictionaries, in place of method, reference and steps.

    Raises `ValueError` for numbers below 1 or a threshold below 0, layers without a dictionary, a
    threshold that keeps nothing, effects of another task or other sites, and as `effects`.

    Source: Marks et al., "Sparse Feature Circuits: Discovering and Editing Interpretable Causal
    Graphs in Language Models" (2024), arXiv:2403.19647, section 3.
    """
    check_fits(model, *dicts.values())
    searched = in_layers(dicts, model.spec, layers)
    if effects is None:
        effects = effects_of(
            model, task, searched, method=method, reference=reference, steps=steps, n=n
        )
    examples = Examples.of(model, task, n=n)
    _check_effects(effects, searched, examples)
    numbers = _choose(effects, searched, n_nodes, threshold, errors)
    bases = [FeatureBasis(dictionary) for dictionary in searched.values()]
    edges = feature_edges(model, examples, bases, numbers, effects.reference)
    every = {site: effects.at(str(site)) for site in searched}
    taken = [(basis, numbers[basis.site]) for basis in bases if basis.site in numbers]
    names = [name for basis, few in taken for name in np.array(basis.names)[few].tolist()]
    values = np.concatenate([every[basis.site][few] for basis, few in taken])
    strongest = np.sort(np.argsort(-np.abs(edges.weights), kind="stable")[:n_edges])
    edges = replace(
        edges,
        sources=edges.sources[strongest],
        targets=edges.targets[strongest],
        weights=edges.weights[strongest],
    )
    found = FeatureCircuit(
        **provenance(model, examples.batch.clean),
        **graph_of(names, values, edges, effects.metric),
        prompt="".join(examples.batch.clean.strings[0]),
        task=effects.task,
        metric_name=effects.metric,
        method=effects.method,
        reference=effects.reference,
        steps=effects.steps,
        gap=effects.gap,
        sites=tuple(map(str, searched)),
        active={
            str(site): np.flatnonzero(every[site][: d.n_features]) for site, d in searched.items()
        },
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
    missing = [str(site) for site in dicts if str(site) not in effects.sizes]
    if effects.task != examples.batch.task or missing:
        raise ValueError(
            "effects are those of the same task and of every dictionary; got "
            f"{effects!r} for {examples.batch.task}"
            + (f", without {missing[0]}." if missing else ".")
        )
    for site, dictionary in dicts.items():
        if effects.sizes[str(site)] != dictionary.n_features + 1:
            raise ValueError(
                f"effects were found with another dictionary at {site}: "
                f"{effects.sizes[str(site)]} nodes, not {dictionary.n_features + 1}."
            )


def _choose(
    effects: FeatureEffects,
    dicts: Dictionaries,
    n_nodes: int,
    threshold: float | None,
    errors: bool,
) -> dict[Site, np.ndarray]:
    """By site the numbers of the chosen nodes, ascending."""
    sites = set(map(str, dicts))
    candidates = [
        (name, abs(effect))
        for name, site, effect in zip(
            effects.nodes["node"], effects.nodes["site"], effects.effect.tolist(), strict=True
        )
        if site in sites and (errors or not name.endswith("/error"))
    ]
    if threshold is None:
        taken = candidates[:n_nodes]
    else:
        taken = [(name, size) for name, size in candidates if size > threshold]
    if not taken:
        largest = max((size for _, size in candidates), default=0.0)
        raise ValueError(
            f"No node has an absolute effect above {threshold or 0:g}; the largest is "
            f"{largest:.3g}. Lower the threshold, or look at the task."
        )
    chosen = chosen_nodes(dicts, map(str, dicts), [name for name, _ in taken])
    return {site: np.flatnonzero(mask) for site, mask in chosen.items() if mask.any()}


def graph_of(
    names: Sequence[str], effects: np.ndarray, edges: Edges, metric_name: str
) -> dict[str, Any]:
    """The fields of a `Graph` of nodes in the order of a pass, the logits behind them."""
    sites = [Site.parse(name.rpartition("/")[0]) for name in names]
    units = [name.rpartition("/")[2] for name in names]
    direct = np.flatnonzero(edges.to_logits)
    top = 1 + max((site.layer or 0 for site in sites), default=0)
    n = len(names)
    return {
        "ids": (*names, "logits"),
        "roots": ("logits",),
        "labels": (*names, metric_name),
        "kinds": (*("error" if unit == "error" else "feature" for unit in units), "logits"),
        "channels": ("",) * (len(edges.weights) + len(direct)),
        "layers": np.array([*(site.layer or 0 for site in sites), top]),
        "positions": np.full(n + 1, -1),
        "units": np.array([*(-1 if unit == "error" else int(unit) for unit in units), -1]),
        "scores": np.array([*effects, np.nan]),
        "sources": np.concatenate([edges.sources, direct]),
        "targets": np.concatenate([edges.targets, np.full(len(direct), n)]),
        "weights": np.concatenate([edges.weights, edges.to_logits[direct]]),
    }


def _leads_on(circuit: FeatureCircuit) -> np.ndarray:
    """(node,) bool: whether kept edges lead from the node to the logits, the last."""
    # Nodes stand in the order of the pass, so that one sweep from the end reaches them all.
    reached = np.arange(len(circuit.ids)) == len(circuit.ids) - 1
    for target in range(len(reached) - 1, -1, -1):
        if reached[target]:
            reached[circuit.sources[circuit.targets == target]] = True
    return reached


def _order(name: str) -> tuple[Site, float]:
    where, _, unit = name.rpartition("/")
    return Site.parse(where), math.inf if unit == "error" else int(unit)


# -- edges -----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class _Detach(Edit):
    """The activation as it is, but nothing flows back through it."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation.detach()


@dataclass(frozen=True)
class Edges:
    """Edges between chosen nodes: positions in the list of all chosen nodes, site by site.

    to_logits: (node,) what each node adds to the metric with no other site in between.
    """

    sources: np.ndarray
    targets: np.ndarray
    weights: np.ndarray
    to_logits: np.ndarray


def feature_edges(
    model: Model,
    examples: Examples,
    bases: Sequence[FeatureBasis],
    chosen: Chosen,
    reference: str,
) -> Edges:
    """The direct effect of every chosen node on every later one, and of that one on the metric.

    chosen: by site, numbers of its nodes; the error is the last node of a site. The weight of u → d
    is Σ over positions of ∂m/∂d · ∂d/∂u · (u − its reference) at the clean run, where what flows
    through the node sites between u and d is held: one vector-Jacobian product a node d. Means over
    the examples.

    Source: Marks et al. (2024), equation 5.
    """
    first: dict[Site, int] = {}
    n = 0
    for basis in bases:
        if basis.site in chosen:
            first[basis.site] = n
            n += len(chosen[basis.site])
    weights, to_logits = np.zeros((n, n)), np.zeros(n)
    references = References.of(model, bases, examples, reference)
    for part in parts_of(examples, bases):
        work = _Part(model, part, bases, chosen, references)
        for target in work.with_nodes:
            at = slice(first[target.site], first[target.site] + len(chosen[target.site]))
            for source, found in work.into(target):
                start = first[source.site]
                weights[start : start + found.shape[1], at] += found.T
        for source, found in work.into_logits():
            start = first[source.site]
            to_logits[start : start + len(found)] += found
    weights /= len(examples.batch)
    sources, targets = np.nonzero(weights)
    return Edges(sources, targets, weights[sources, targets], to_logits / len(examples.batch))


class _Part:
    """Examples that run together: their clean codes, gradients, and differences."""

    def __init__(
        self,
        model: Model,
        part: Group,
        bases: Sequence[FeatureBasis],
        chosen: Chosen,
        references: References,
    ) -> None:
        self.model, self.part, self.chosen = model, part, chosen
        self.bases = bases
        self.with_nodes = [basis for basis in bases if basis.site in chosen]
        entries = {Site("resid_pre", basis.site.layer) for basis in bases}
        read = sorted({*sites_of(bases), *entries})
        self.clean = model.run(part.batch.clean, read=read, grad_of=part.metric, logits_at="last")
        corrupt = references.run(part)
        self.differences: dict[Site, Codes] = {}
        for basis in bases:
            now = basis.codes(self.clean)
            self.differences[basis.site] = now - references.codes(basis, part, corrupt)

    def into(self, target: FeatureBasis) -> list[tuple[FeatureBasis, np.ndarray]]:
        """For each source of a site (target node, source node), summed over the examples."""
        before = [basis for basis in self.bases if basis.site < target.site]
        start = self._start(target.dictionary.site, before)
        read = {basis.site: self._as_read(basis.site, start) for basis in before}
        held = sorted({at for at in read.values() if at is not None})
        sources = [
            (basis, at)
            for basis in before
            if basis.site in self.chosen and (at := read[basis.site]) is not None
        ]
        if not sources:
            return []
        numbers = self.chosen[target.site]
        most = max(1, TOKENS_PER_PASS // (len(self.part) * self.part.n_positions))
        found: dict[Site, list[np.ndarray]] = {basis.site: [] for basis, _ in sources}
        for begin in range(0, len(numbers), most):
            few = numbers[begin : begin + most]
            pulled = self._pulled_back(target, few, held, start)
            for basis, at in sources:
                if at not in pulled:
                    found[basis.site].append(np.zeros((len(few), len(self.chosen[basis.site]))))
                    continue
                grads = pulled[at].unflatten(0, (len(few), len(self.part)))
                found[basis.site].append(np.stack([self._scores(basis, one) for one in grads]))
        return [(basis, np.concatenate(found[basis.site])) for basis, _ in sources]

    def into_logits(self) -> list[tuple[FeatureBasis, np.ndarray]]:
        """For each site (node,) what its chosen nodes add to the metric directly."""
        sites = [basis.site for basis in self.bases]
        run = _quiet_run(
            self.model,
            self.part.batch.clean,
            read=sites,
            edits=[_Detach(site) for site in sites],
            grad_of=self.part.metric,
            logits_at="last",
        )
        return [(basis, self._scores(basis, run.grad(basis.site))) for basis in self.with_nodes]

    def _scores(self, basis: FeatureBasis, grad: torch.Tensor) -> np.ndarray:
        """(node,) Σ difference · gradient of the chosen nodes, over examples and positions."""
        nodes = self.chosen[basis.site]
        return basis.effects_of(nodes, self.differences[basis.site], grad, self.clean)

    def _start(self, read: Site, sources: Sequence[FeatureBasis]) -> int:
        """The layer that a pass to `read` may start at: what lies before is held at a source."""
        last = read.layer or 0
        held = [
            (basis.site.layer or 0) + (basis.site.stream == "resid_post")
            for basis in sources
            if basis.site.stream in ("resid_pre", "resid_post")
        ]
        return max((layer for layer in held if layer <= last), default=0)

    def _as_read(self, site: Site, start: int) -> Site | None:
        """The source as a pass that starts at a layer reads it; None for what lies before that."""
        layer = site.layer or 0
        if site.stream == "resid_post" and layer == start - 1:
            return Site("resid_pre", start)
        return site if layer >= start else None

    def _pulled_back(
        self, target: FeatureBasis, numbers: np.ndarray, read: Sequence[Site], start: int
    ) -> dict[Site, torch.Tensor]:
        """Rows (target node, example): the gradient of ∂m/∂d · d where the pass is held.

        Without the sites that the nodes cannot depend on: a transcoder's features see nothing
        between what it reads and what it decodes.
        """
        n, dictionary = len(self.part), target.dictionary
        rows = list(range(n)) * len(numbers)
        grad = self.clean.grad(target.site)
        at_codes = dictionary.pull_back(grad, self.clean[dictionary.site])
        grad, of_error = grad.to(at_codes), dictionary.n_features

        def metric(x: torch.Tensor) -> torch.Tensor:
            """(row,) each row's own node, weighted; the error less x itself for a transcoder."""
            codes = dictionary.encode(x)
            parts = []
            for i, number in enumerate(numbers.tolist()):
                own = slice(i * n, (i + 1) * n)
                if number < of_error:
                    parts.append((at_codes[..., number] * codes[own, :, number]).sum(-1))
                else:
                    rest = -dictionary.decode(codes[own], x[own])
                    rest = rest if dictionary.is_transcoder else rest + x[own].to(rest)
                    parts.append((grad * rest).sum((-1, -2)))
            return torch.cat(parts)

        def output(x: torch.Tensor) -> torch.Tensor:
            """(row,) the part of a transcoder's error that is the site's own activation."""
            weight = torch.as_tensor(numbers == of_error, device=x.device).repeat_interleave(n)
            return weight * (grad.repeat(len(numbers), 1, 1) * x.to(grad)).sum((-1, -2))

        resume = Resume(start, self._entry(start)[rows], rows=rows)

        def pulled(read: Sequence[Site], of: Metric, at: Site) -> Mapping[Site, torch.Tensor]:
            edits = [_Detach(site) for site in read]
            options: dict[str, Any] = {"read": read, "edits": edits, "resume": resume}
            run = _quiet_run(self.model, self.part.batch.clean, grad_of=of, grad_at=at, **options)
            return run.grads

        grads: dict[Site, torch.Tensor] = {}
        if before := [site for site in read if site <= dictionary.site]:
            grads |= pulled(before, metric, dictionary.site)
        if dictionary.is_transcoder and of_error in numbers:
            for site, grad_at_site in pulled(read, output, target.site).items():
                grads[site] = grads[site] + grad_at_site if site in grads else grad_at_site
        return grads

    def _entry(self, start: int) -> torch.Tensor:
        for site in (Site("resid_pre", start), Site("resid_post", start - 1) if start else None):
            if site is not None and site in self.clean.activations:
                return self.clean[site]
        site = Site("resid_pre", start)
        return self.model.run(self.part.batch.clean, read=site, logits_at=())[site]


def _quiet_run(model: Model, tokens: Any, **options: Any) -> Run:
    """A run whose edits are meant to leave the numbers as they are."""
    with unchanged_is_fine():
        return model.run(tokens, **options)
