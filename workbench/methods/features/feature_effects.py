"""Feature effects: what each feature, and each dictionary's error, does to a task's metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ...check import Count, checked
from ...dictionary.collection import Dictionaries
from ...edits import Set
from ...model import Model, Resume, Run
from ...result import Result, provenance
from ...site import Site
from ...tasks import Examples, Group, Task, TaskBatch
from .dictionary_check import check_fits
from .node_bases import Basis, Codes, feature_bases
from .node_references import References, check_reference, parts_of, sites_of

METHODS = ("attribution", "ig")


@dataclass(frozen=True, eq=False, repr=False)
class FeatureEffects(Result):
    """The effect of each node of each site on a task's metric; a site's last node is its error.

    Positive where the node, as it is in the clean run, gives more of the metric than its reference.
    method, reference, steps: as asked for. gap: the mean metric of clean − corrupt runs. nodes: by
    site, the names of its nodes. effects: by site, (node,) mean over the examples.
    """

    task: str
    metric_name: str
    method: str
    reference: str
    steps: int
    gap: float
    nodes: dict[str, tuple[str, ...]]
    effects: dict[str, np.ndarray]

    picture = "feature_circuits.feature_effects"

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in the order of a forward pass."""
        return tuple(self.effects)

    def top(self, n: Count | None = None) -> list[tuple[str, int, float]]:
        """The `n` nodes of the largest absolute effect: site, number of the node, effect."""
        sites = np.repeat(np.arange(len(self.effects)), [len(e) for e in self.effects.values()])
        values = np.concatenate(list(self.effects.values()))
        numbers = np.concatenate([np.arange(len(e)) for e in self.effects.values()])
        order = np.argsort(-np.abs(values), kind="stable")[:n]
        return [(self.sites[sites[i]], int(numbers[i]), float(values[i])) for i in order]

    def to_frame(self) -> pd.DataFrame:
        """One line a node with an effect, the largest absolute one first: node, site, effect."""
        top = [row for row in self.top() if row[2]]
        return pd.DataFrame(
            {
                "node": [self.nodes[site][number] for site, number, _ in top],
                "site": [site for site, _, _ in top],
                "effect": [effect for _, _, effect in top],
            }
        )

    def _facts(self) -> str:
        n = sum(len(each) for each in self.effects.values())
        active = sum(int(np.count_nonzero(each)) for each in self.effects.values())
        return f"{self.task}: {active} of {n} nodes have an effect, {self.method}, {self.reference}"


@checked
def feature_effects(
    model: Model,
    task: Task | TaskBatch,
    dicts: Dictionaries,
    *,
    method: str = "attribution",
    reference: str = "counterfactual",
    steps: Count = 10,
    n: Count | None = None,
) -> FeatureEffects:
    """What each feature does to the metric of a task's clean prompts, summed over the positions.

    method: "attribution", (code − reference) · gradient at the clean run; "ig", the gradient
    averaged over `steps` points between the reference and the clean activation of one site, the
    others as in the clean run, which costs a pass of that many rows a site. reference: what a node
    carries when it is taken away, "counterfactual" (from the paired corrupt prompt), "mean",
    "mean-position" or "zero". n: how many pairs.

    Gradients at a site are those of the whole model below it, so that x = decode(codes) + error
    holds as it is and nothing is spliced in. Raises `ValueError` for an unknown method or
    reference, for dictionaries that do not fit the model, and as `Task.on`.

    Source: Marks et al., "Sparse Feature Circuits" (2024), equations 3 and 4, with the sign turned:
    there an effect is what changes when the node is taken away. The path is cut at its midpoints.
    """
    check_fits(model, *dicts.values())
    if missing := [site for site in dicts if site.layer is None]:
        raise ValueError(f"Effects are of features in the layers of a model; got {missing[0]}.")
    check_method(method, steps)
    check_reference(reference)
    examples = Examples.of(model, task, n=n)
    bases = feature_bases(dicts)
    effects = node_effects(model, examples, bases, method=method, reference=reference, steps=steps)
    batch = examples.batch
    return FeatureEffects(
        **provenance(model, batch.clean),
        task=batch.task,
        metric_name=batch.metric_name,
        method=method,
        reference=reference,
        steps=steps if method == "ig" else 0,
        gap=examples.gap,
        nodes={str(basis.site): tuple(basis.names) for basis in bases},
        effects={str(site): values for site, values in effects.items()},
    )


def check_method(method: str, steps: int) -> None:
    """Raises `ValueError` for an unknown method and for steps below 1."""
    if method not in METHODS:
        raise ValueError(f"Effects are found by {' or '.join(METHODS)}; got {method!r}.")


def node_effects(
    model: Model,
    examples: Examples,
    bases: Sequence[Basis],
    *,
    method: str,
    reference: str,
    steps: int,
) -> dict[Site, np.ndarray]:
    """(node,) float32 a site: the mean effect of each node over the examples."""
    references = References.of(model, bases, examples, reference)
    totals: dict[Site, torch.Tensor] = {}
    for part in parts_of(examples, bases, steps if method == "ig" else 1):
        for site, found in _effects_of(model, part, bases, references, method, steps).items():
            total = found.double().sum(0)
            totals[site] = totals[site] + total if site in totals else total
    n = len(examples.batch)
    return {site: (total / n).float().cpu().numpy() for site, total in totals.items()}


def _effects_of(
    model: Model,
    part: Group,
    bases: Sequence[Basis],
    references: References,
    method: str,
    steps: int,
) -> dict[Site, torch.Tensor]:
    """(example, node) effects a site, for examples that run together."""
    batch = part.batch
    corrupt = references.run(part)
    if method == "attribution":
        clean = model.run(batch.clean, read=sites_of(bases), grad_of=part.metric, logits_at="last")
    else:
        entries = {Site("resid_pre", basis.site.layer) for basis in bases}
        clean = model.run(batch.clean, read=sorted({*sites_of(bases), *entries}), logits_at=())
    out = {}
    for basis in bases:
        if method == "attribution" and corrupt is not None:
            out[basis.site] = basis.effects_between(clean, corrupt, clean.grad(basis.site))
            continue
        difference = basis.codes(clean) - references.codes(basis, part, corrupt)
        if method == "attribution":
            grad = clean.grad(basis.site)
        else:
            grad = _path_gradient(model, part, basis, clean, difference, steps)
        out[basis.site] = basis.effects(difference, grad, clean)
    return out


def _path_gradient(
    model: Model, part: Group, basis: Basis, clean: Run, difference: Codes, steps: int
) -> torch.Tensor:
    """The gradient at the basis' site, averaged from the reference to the clean activation."""
    site, n = basis.site, len(part)
    now = clean[site]
    change = basis.written(difference, clean).to(now)
    back = 1 - (torch.arange(steps, device=now.device, dtype=torch.float64) + 0.5) / steps
    shape = (steps, *[1] * now.ndim)
    path = (now[None] - back.view(shape).to(now) * change[None]).flatten(0, 1)
    layer = site.layer or 0
    rows = list(range(n)) * steps
    at, resid, edits = site, path, []
    if site.stream == "resid_post" and layer + 1 < model.spec.n_layers:
        # What leaves a block enters the next one, which saves running the block.
        layer, at = layer + 1, Site("resid_pre", layer + 1)
    elif site.stream != "resid_pre":
        resid, edits = clean[Site("resid_pre", layer)][rows], [Set(site, path)]
    run = model.run(
        part.batch.clean,
        read=at,
        edits=edits,
        grad_of=lambda logits: part.metric(logits, rows),
        logits_at="last",
        resume=Resume(layer, resid, rows=rows),
    )
    return run.grad(at).unflatten(0, (steps, n)).mean(0)
