"""Ablation: what is left of the answer when components, edges or neurons are cut."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import numpy as np
import torch

from ..check import Count, Seed, checked, one_of, refuse
from ..edits import Edit, Set, unchanged_is_fine
from ..effects import Effects, table_of
from ..model import Model
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, check_finite
from ..tokens import token_strings
from .circuit import Circuit, check_model
from .components import ARROW, Components
from .cuts import cut_edits, node_edits
from .patching import effects_between
from .references import KINDS, GroupRun, References, others


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


Named = str | Site | Circuit | Iterable["str | Site"]


@checked
def ablate(
    model: Model,
    task: Task | TaskBatch,
    components: Mapping[str, Named] | Named,
    *,
    reference: str | Sequence[str] = "resample",
    n: Count | None = None,
    seed: Seed = 0,
) -> Effects:
    """What a task's answers lose when something is cut, as `Effects`: 0 as clean, 1 as corrupt.

        wb.ablate(model, task, ["L2H1", "L1.mlp_out"], reference="mean").score()
        wb.ablate(model, task, {"one": "L2H1", "both": ["L2H1", "L3H0"]}, reference="zero")

    components: nodes ("L3H1.z", "L2.mlp_out", "embed"), edges ("L2H3.z → L3H1.q") and neurons
    ("L2.mlp_post/77"), together; "L3H1.z: mean" has its own reference; a `Circuit` is cut out.
    Several by name are a change each, under each reference. reference: what a cut component carries
    at every position: "zero", "mean" (over the task), "mean-position" (over the prompts of that
    length; "mean" where it is the only one), "resample" (from another prompt of the task),
    "counterfactual" (from the paired corrupt prompt), "noise" (its own value plus Gaussian noise;
    of the embedding's scale, for a neuron of its own), or "optimal" (the constant that changes the
    answer least). n: how many pairs. seed: of resample and noise. The likeliest next tokens are
    the `texts`.

    Raises `ValueError` for an unknown reference or component, for none, for a circuit of another
    model, and where clean and corrupt do not differ.
    """
    named = components if isinstance(components, Mapping) else {_name(components): components}
    kinds = [reference] if isinstance(reference, str) else list(reference)
    cuts = {}
    for kind, (name, each) in product(kinds, named.items()):
        some = read_cuts(model, each, kind)
        cuts[name, ", ".join(dict.fromkeys(cut.reference for cut in some))] = some
    if not cuts or {"plain", "corrupt"} & {*named}:
        rule = "cut as one or several changes, none of them named plain or corrupt"
        raise refuse("components", rule, named)
    examples = Examples.of(model, task, n=n)
    _ = examples.gap
    used = dict.fromkeys(c.reference for some in cuts.values() for c in some if not _is_neuron(c))
    parts = Components.nodes_of(model.spec)
    references = References(model, parts, examples, seed=seed, n_held=1 + max(1, len(used)))
    held = {kind: list(references.of(kind)) for kind in used}
    plans = [_Plan(references, held, some, seed) for some in cuts.values()]
    ablated = np.empty((len(cuts), len(examples.batch)))
    texts = {name: [""] * len(examples.batch) for name in ["plain", *map(" ".join, cuts)]}
    for i, group in enumerate(examples.groups):
        for name, number, edits in [
            ("plain", None, []),
            *((" ".join(key), k, plans[k].edits(i)) for k, key in enumerate(cuts)),
        ]:
            with unchanged_is_fine():
                logits = model.run(group.batch.clean, edits=edits, logits_at="last").logits
            assert logits is not None
            best = token_strings(model.tokenizer, logits[:, 0].argmax(-1).tolist())
            for row, text in zip(group.rows, best, strict=True):
                texts[name][row] = text
            if number is not None:
                ablated[number, list(group.rows)] = check_finite(group.metric(logits), "ablated")
    return effects_between(
        model,
        examples,
        f"ablations on {examples.batch.task}",
        table_of(["change", "reference"], list(cuts)),
        ablated,
        seed=seed,
        texts={name: tuple(said) for name, said in texts.items()},
    )


def _name(components: Named) -> str:
    """What a set of components is called: the first of them, and how many more there are."""
    if isinstance(components, Circuit):
        return f"circuit of {components.n_edges} edges"
    names = [components] if isinstance(components, (str, Site)) else list(components)
    more = f" + {len(names) - 3} more" * (len(names) > 3)
    return " + ".join(map(str, names[:3])) + more


def read_cuts(model: Model, components: Named, reference: str) -> tuple[Cut, ...]:
    """The cuts that a call names. Raises as `ablate`."""
    one_of("reference", reference, KINDS)
    if isinstance(components, Circuit):
        check_model(components, model)
        components = components.edges
    each = [components] if isinstance(components, (str, Site)) else list(components)
    cuts = tuple(Cut.of(str(name), reference) for name in each)
    if not cuts:
        raise ValueError("An ablation cuts at least one node, edge or neuron; got none.")
    for cut in cuts:
        one_of("reference", cut.reference, KINDS)
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

    def __init__(
        self,
        references: References,
        held: Mapping[str, Sequence[GroupRun]],
        cuts: Sequence[Cut],
        seed: int,
    ) -> None:
        self._model, self._examples = references.model, references.examples
        self._parts = references.parts
        self._components = [cut for cut in cuts if not _is_neuron(cut)]
        kinds = dict.fromkeys(cut.reference for cut in self._components)
        self._values = {kind: held[kind] for kind in kinds}
        neurons = [cut for cut in cuts if _is_neuron(cut)]
        self._neuron_values = _Neurons(self._model, self._examples, neurons, seed)

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
