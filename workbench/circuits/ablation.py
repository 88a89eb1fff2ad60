"""Ablation: what is left of the answer when components, edges or neurons are cut."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch

from ..check import Count, Level, Seed, checked
from ..edits import Edit, Set
from ..model import Model
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, check_finite
from ..tokens import token_strings
from .circuit import Circuit, check_model
from .components import ARROW, Components
from .cuts import cut_edits, node_edits
from .references import GroupRun, References, check_kind, others


class Cut(NamedTuple):
    """What is ablated, and what stands in its place; its name is "L3H1.z: mean"."""

    target: str
    reference: str

    @classmethod
    def of(cls, name: str, reference: str) -> Cut:
        """The cut of this name; `reference` where the name has none of its own."""
        target, _, own = name.partition(": ")
        return cls(target, own or reference)

    def __str__(self) -> str:
        return f"{self.target}: {self.reference}"


@dataclass(frozen=True, eq=False, repr=False)
class Ablation(Result):
    """The metric of each example with the cuts made, beside the plain runs.

    cuts: what was ablated and what stood in its place, "L3H1.z: mean". clean, corrupt, ablated: the
    metric. clean_top, ablated_top: the most likely next token of each example. n_unchanged: edits
    that left every number as it was.
    """

    task: str
    metric_name: str
    cuts: tuple[str, ...]
    n_unchanged: int
    clean_top: tuple[str, ...]
    ablated_top: tuple[str, ...]
    clean: np.ndarray = axes("batch")
    corrupt: np.ndarray = axes("batch")
    ablated: np.ndarray = axes("batch")

    picture = "circuits.ablation"

    @property
    def effect(self) -> float:
        """How much of the answer is lost, a ratio of means: 0 = as clean, 1 = as corrupt."""
        return self._effect(np.arange(len(self.clean))[None])[0]

    def interval(self, level: Level = 0.95) -> tuple[float, float]:
        """The interval of `effect`: bootstrap over examples, percentiles, seeded."""
        return bootstrap(self._effect, len(self.clean), level, self.seed or 0)

    def _effect(self, chosen: np.ndarray) -> np.ndarray:
        clean, corrupt, ablated = (
            values.astype(np.float64)[chosen].mean(-1)
            for values in (self.clean, self.corrupt, self.ablated)
        )
        return (clean - ablated) / (clean - corrupt)

    def to_frame(self) -> pd.DataFrame:
        """One line an example: clean, ablated, corrupt (the metric), clean_top, ablated_top."""
        return pd.DataFrame(
            {
                "clean": self.clean,
                "ablated": self.ablated,
                "corrupt": self.corrupt,
                "clean_top": self.clean_top,
                "ablated_top": self.ablated_top,
            }
        )

    def _facts(self) -> str:
        low, high = self.interval()
        some = ", ".join(self.cuts[:3]) + (", …" if len(self.cuts) > 3 else "")
        return (
            f"{len(self.cuts)} cut ({some}) on {self.task}: {self.metric_name} "
            f"{self.clean.mean():.2f} → {self.ablated.mean():.2f}, effect {self.effect:.2f} "
            f"[{low:.2f}, {high:.2f}]"
        )


Named = str | Site | Circuit | Iterable["str | Site"]


@checked
def ablate(
    model: Model,
    task: Task | TaskBatch,
    components: Named,
    *,
    reference: str = "resample",
    n: Count | None = None,
    seed: Seed = 0,
) -> Ablation:
    """What is left of a task's answers when something is cut, as an `Ablation`.

    components: nodes ("L3H1.z", "L2.mlp_out", "embed"), edges ("L2H3.z → L3H1.q") and neurons
    ("L2.mlp_post/77"), together; "L3H1.z: mean" has its own reference; a `Circuit` is cut out.
    reference: what a cut component carries at every position: "zero", "mean" (over the task),
    "mean-position" (over the prompts of that length; "mean" where it is the only one), "resample"
    (from another prompt of the task), "counterfactual" (from the paired corrupt prompt), "noise"
    (its own value plus Gaussian noise; of the embedding's scale, for a neuron of its own), or
    "optimal" (the constant that changes the answer least). n: how many pairs. seed: of resample and
    noise.

    Raises `ValueError` for an unknown reference or component, for none, for a circuit of another
    model, and where clean and corrupt do not differ.
    """
    cuts = read_cuts(model, components, reference)
    examples = Examples.of(model, task, n=n)
    _ = examples.gap
    plan = _Plan(model, cuts, examples, seed)
    ablated = np.empty(len(examples.batch))
    tops = {"clean": [""] * len(ablated), "ablated": [""] * len(ablated)}
    n_unchanged = 0
    for i, group in enumerate(examples.groups):
        plain = model.run(group.batch.clean, logits_at="last").logits
        run = model.run(group.batch.clean, edits=plan.edits(i), logits_at="last")
        assert plain is not None and run.logits is not None
        n_unchanged += len(run.unchanged)
        ablated[list(group.rows)] = check_finite(group.metric(run.logits), "ablated")
        for name, logits in (("clean", plain), ("ablated", run.logits)):
            best = token_strings(model.tokenizer, logits[:, 0].argmax(-1).tolist())
            for row, text in zip(group.rows, best, strict=True):
                tops[name][row] = text
    return Ablation(
        **provenance(model, examples.batch.clean, seed),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        cuts=tuple(map(str, cuts)),
        n_unchanged=n_unchanged,
        clean_top=tuple(tops["clean"]),
        ablated_top=tuple(tops["ablated"]),
        clean=examples.clean,
        corrupt=examples.corrupt,
        ablated=ablated,
    )


def read_cuts(model: Model, components: Named, reference: str) -> tuple[Cut, ...]:
    """The cuts that a call names. Raises as `ablate`."""
    check_kind(reference)
    if isinstance(components, Circuit):
        check_model(components, model)
        components = components.edges
    each = [components] if isinstance(components, (str, Site)) else list(components)
    cuts = tuple(Cut.of(str(name), reference) for name in each)
    if not cuts:
        raise ValueError("An ablation cuts at least one node, edge or neuron; got none.")
    for cut in cuts:
        check_kind(cut.reference)
        if _is_neuron(cut):
            model.spec.check(cut.target, edit=True)
            if cut.reference == "optimal":
                raise ValueError(
                    f"Optimal constants are found for whole components; got the neuron "
                    f"{cut.target}. Take another reference, such as 'mean'."
                )
        elif _is_edge(cut.target):
            Components.of(model.spec).edge(cut.target)
        else:
            Components.nodes_of(model.spec).writer(cut.target)
    _check_one_reference(Components.nodes_of(model.spec), cuts)
    return cuts


def _check_one_reference(parts: Components, cuts: tuple[Cut, ...]) -> None:
    """Raises `ValueError` where two references meet in one component or neuron."""
    references: dict[str, str] = {}
    for cut in cuts:
        owner = cut.target if _is_neuron(cut) else parts.writers[_writer(parts, cut.target)]
        if references.setdefault(owner, cut.reference) != cut.reference:
            raise ValueError(
                "A component that is ablated carries one value, in all its edges; "
                f"{owner} is cut as {references[owner]} and as {cut.reference}. Choose "
                "one of the two."
            )


def _writer(parts: Components, target: str) -> int:
    """The writer of a node or an edge by its name."""
    return parts.edge(target)[0] if _is_edge(target) else parts.writer(target)


def _is_neuron(cut: Cut) -> bool:
    return "/" in cut.target


def _is_edge(target: str) -> bool:
    return ARROW in target or "->" in target


class _Plan:
    """The edits of a set of cuts, group by group."""

    def __init__(self, model: Model, cuts: tuple[Cut, ...], examples: Examples, seed: int) -> None:
        self._model, self._examples = model, examples
        self._parts = Components.nodes_of(model.spec)
        self._neurons = [cut for cut in cuts if _is_neuron(cut)]
        self._components = [cut for cut in cuts if not _is_neuron(cut)]
        references = References(model, self._parts, examples, seed=seed)
        self._values: dict[str, list[GroupRun]] = {
            kind: list(references.of(kind))
            for kind in dict.fromkeys(cut.reference for cut in self._components)
        }
        self._neuron_values = _Neurons(model, examples, self._neurons, seed)

    def edits(self, number: int) -> list[Edit]:
        """The edits of group `number`."""
        group, parts = self._examples.groups[number], self._parts
        edits: list[Edit] = []
        if self._components:
            reference = self._reference(number)
            if any(_is_edge(cut.target) for cut in self._components):
                mask = np.zeros_like(parts.edges)
                for cut in self._components:
                    # Cutting a node is cutting what leaves it.
                    at = (
                        parts.edge(cut.target) if _is_edge(cut.target) else parts.writer(cut.target)
                    )
                    mask[at] = True
                masks = np.repeat((mask & parts.edges)[None], len(group), 0)
                edits += cut_edits(self._model, parts, masks, reference)
            else:
                nodes = np.zeros((len(group), len(parts.writers)), bool)
                nodes[:, [parts.writer(cut.target) for cut in self._components]] = True
                edits += node_edits(self._model, parts, nodes, reference)
        return edits + self._neuron_values.edits(number)

    def _reference(self, number: int) -> torch.Tensor:
        """(example, pos, writer, d_model): each writer's value where it is cut."""
        first, *more = self._values
        reference = self._values[first][number].reference
        if more:
            reference = reference.clone()
            for cut in self._components:
                writer = _writer(self._parts, cut.target)
                reference[:, :, writer] = self._values[cut.reference][number].reference[
                    :, :, writer
                ]
        return reference


class _Neurons:
    """Values of single neurons when they are ablated."""

    def __init__(self, model: Model, examples: Examples, cuts: list[Cut], seed: int) -> None:
        self._cuts, self._examples = cuts, examples
        self._sites = [Site.parse(cut.target) for cut in cuts]
        self._rng = np.random.default_rng(seed)
        self._clean, self._corrupt = [], []
        if cuts:
            for group in examples.groups:
                for into, tokens in (
                    (self._clean, group.batch.clean),
                    (self._corrupt, group.batch.corrupt),
                ):
                    into.append(model.run(tokens, read=self._sites, logits_at=()))

    def edits(self, number: int) -> list[Edit]:
        return [
            Set(site, self._value(cut.reference, site, number, self._examples.groups[number]))
            for cut, site in zip(self._cuts, self._sites, strict=True)
        ]

    def _value(self, kind: str, site: Site, number: int, group: Group) -> torch.Tensor:
        """(example, pos)"""
        now, other = self._clean[number][site], self._corrupt[number][site]
        everywhere = torch.cat([run[site].flatten() for run in self._clean])
        if kind == "zero":
            return torch.zeros_like(now)
        if kind == "mean":
            return everywhere.mean().expand_as(now)
        if kind == "mean-position":
            return (now.mean(0, keepdim=True) if len(now) > 1 else everywhere.mean()).expand_as(now)
        if kind == "counterfactual":
            return other
        if kind == "resample":
            return torch.cat([now, other])[others(len(group), self._rng)]
        random = torch.as_tensor(self._rng.standard_normal(tuple(now.shape)), dtype=now.dtype)
        return now + everywhere.std() * random.to(now.device)
