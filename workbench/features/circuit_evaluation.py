"""Feature circuit evaluation: how much of the answer its features carry, and what else would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..check import Count, Seed, checked
from ..circuits.evaluation import SMALLEST_RANGE
from ..dictionary.collection import Dictionaries
from ..edits import Edit
from ..effects import Effects, Measure, table_of
from ..experiment import MEASURES
from ..model import Model
from ..pictures.marks import Lines
from ..result import provenance
from ..site import Site
from ..tasks import Examples, Task, TaskBatch, check_finite
from .check import check_fits
from .circuit import FeatureCircuit
from .effects import node_effects
from .nodes import (
    Basis,
    Codes,
    FeatureBasis,
    PlainBasis,
    References,
    check_reference,
    parts_of,
    plain_bases,
)

#: Which nodes are kept, (node,) bool, by site; a site that is missing keeps all of its nodes.
Kept = Mapping[Site, np.ndarray]
SIZES = (5, 10, 20, 50, 100, 200, 400)


@checked
def evaluate_circuit(
    model: Model,
    task: Task | TaskBatch,
    circuit: FeatureCircuit,
    dicts: Dictionaries,
    *,
    references: str | Sequence[str] = ("mean-position", "counterfactual", "mean"),
    sizes: Sequence[int] = SIZES,
    n_controls: Count = 5,
    n: Count | None = None,
    seed: Seed = 0,
) -> Effects:
    """How much of the answer a feature circuit carries, as `Effects`: 0 as with every node of its
    sites ablated, 1 as the whole model.

        scores = wb.features.evaluate_circuit(model, task, circuit, dicts)
        scores.score(change="inside", reference="mean-position")

    references: what the nodes outside carry, as in `effects`; layers that were not searched stay as
    they are. Under each the changes are "inside" (the circuit alone: faithfulness), "outside" (all
    but it: completeness, 0 is best), "without errors" and "errors alone", of the circuit, "all
    features", without any error, and "top", the best nodes of each of `sizes`, of three kinds:
    features with errors, the coordinates of the same sites, and heads and neurons of their layers,
    between which the residual stream stays as it is. They are chosen on these very pairs by the
    circuit's method, which flatters all alike. Controls of "inside" are `n_controls` random
    circuits of its size. n: how many pairs; those that chose the circuit flatter it, so take
    another draw of the task. An effect is a ratio of means, NaN where a reference hardly moves the
    metric. Raises `ValueError` for dictionaries without the circuit's nodes, an unknown reference,
    and sizes below 1. Source: Marks et al. (2024), section 3.3.
    """
    kinds = tuple([references] if isinstance(references, str) else references)
    for kind in kinds:
        check_reference(kind)
    if not kinds or not sizes or min(*sizes, n_controls, 1) < 1:
        raise ValueError(
            "An evaluation has at least one reference, sizes and a number of random circuits from "
            f"1; got references={kinds}, sizes={tuple(sizes)}, n_controls={n_controls!r}."
        )
    chosen = circuit.chosen(dicts)
    used = Dictionaries(dicts[site] for site in chosen)
    check_fits(model, *used.values())
    examples = Examples.of(model, task, n=n)
    layers = {site.layer for site in used}
    bases: dict[str, list[Basis]] = {
        "features": [FeatureBasis(dictionary) for dictionary in used.values()],
        "coordinates": [PlainBasis(site, model.spec) for site in used],
        "heads and neurons": [b for b in plain_bases(model.spec) if b.site.layer in layers],
    }
    tried: dict[tuple[Any, ...], Kept] = {
        ("inside", "features", len(circuit.nodes)): chosen,
        ("outside", "features"): {site: ~mask for site, mask in chosen.items()},
        ("without errors", "features"): _no_errors(chosen),
        ("errors alone", "features"): {
            site: np.append(np.zeros_like(mask[:-1]), mask[-1]) for site, mask in chosen.items()
        },
        ("all features", "features"): _no_errors(
            {site: np.ones_like(mask) for site, mask in chosen.items()}
        ),
    }
    for name, own in bases.items():
        tried["empty", name] = {b.site: np.zeros(b.n_nodes, bool) for b in own}
        best = _sized(model, examples, own, circuit, sizes)
        tried |= {("top", name, size): one for size, one in zip(sizes, best, strict=True)}
    drawn = [circuit.random(seed + i).chosen(used) for i in range(n_controls)]
    changes: dict[tuple[Any, ...], np.ndarray] = {}
    controls: dict[tuple[Any, ...], np.ndarray] = {}
    for kind in kinds:
        for name, own in bases.items():
            some = {key: one for key, one in tried.items() if key[1] == name}
            beside = drawn if name == "features" else []
            found = kept_metric(model, examples, own, [*some.values(), *beside], kind)
            keys = [(change, kind, *rest) for change, *rest in some]
            changes |= dict(zip(keys, found, strict=False))
            for i, values in enumerate(found[len(some) :]):
                controls["inside", kind, name, None, "random", i] = values
    batch, names = examples.batch, ["change", "reference", "nodes", "n_nodes"]
    measure = Measure(
        batch.task,
        MEASURES[batch.metric_name][0],
        examples.clean,
        np.stack(list(changes.values())),
        np.stack(list(controls.values())),
    )
    return Effects(
        **provenance(model, batch.clean, seed),
        what=f"{len(circuit.nodes)} nodes by {circuit.method} on {batch.task}",
        changes=table_of(names, list(changes)),
        controls=table_of([*names, "kind", "draw"], list(controls)),
        measures=(measure,),
        picture=Lines(
            "effect",
            "n_nodes",
            ("change", "nodes"),
            "low",
            "high",
            first=("measure", "reference"),
            label="faithfulness (0 = all ablated, 1 = whole model)",
            log="x",
            level=(0.0, 1.0),
        ),
    ).scaled("empty", "plain", SMALLEST_RANGE * abs(examples.gap))


def _no_errors(kept: Kept) -> Kept:
    return {site: np.append(mask[:-1], False) for site, mask in kept.items()}


def _sized(
    model: Model,
    examples: Examples,
    bases: Sequence[Basis],
    circuit: FeatureCircuit,
    sizes: Sequence[int],
) -> list[Kept]:
    """For each size the nodes of the largest absolute effect, by the circuit's own method."""
    method = "ig" if circuit.steps else "attribution"
    effects = node_effects(
        model,
        examples,
        bases,
        method=method,
        reference=circuit.reference,
        steps=max(1, circuit.steps),
    )
    values = np.abs(np.concatenate([effects[basis.site] for basis in bases]))
    order = np.argsort(-values, kind="stable")
    starts = np.cumsum([0, *(basis.n_nodes for basis in bases)])
    out: list[Kept] = []
    for size in sizes:
        kept = np.zeros(len(values), bool)
        kept[order[:size]] = True
        parts = {b.site: kept[starts[i] : starts[i + 1]] for i, b in enumerate(bases)}
        out.append(parts)
    return out


def kept_metric(
    model: Model, examples: Examples, bases: Sequence[Basis], kept: Sequence[Kept], kind: str
) -> np.ndarray:
    """(choice, example) float64: the metric on the clean prompts with only some nodes kept.

    All other nodes of all sites carry their reference at the same time. kept: one choice each; the
    choices run as rows of the same passes.
    """
    references = References.of(model, bases, examples, kind)
    out = np.zeros((len(kept), len(examples.batch)))
    for part in parts_of(examples, bases, len(kept)):
        corrupt = references.run(part)
        edits: list[Edit] = []
        n = len(part)
        for i, choice in enumerate(kept):
            rows = list(range(i * n, (i + 1) * n))
            for basis in bases:
                if basis.site not in choice or choice[basis.site].all():
                    continue
                reference = references.codes(basis, part, corrupt)
                mask = _mask(choice[basis.site], reference)
                edits.append(basis.edit(mask, reference, rows))
        tokens = part.batch.clean.take(list(range(n)) * len(kept))
        logits = model.run(tokens, edits=edits, logits_at="last").logits
        assert logits is not None
        values = part.metric(logits, list(range(n)) * len(kept))
        out[:, list(part.rows)] = check_finite(values, "ablated").reshape(len(kept), n)
    return out


def _mask(kept: np.ndarray, reference: Codes) -> torch.Tensor:
    return torch.as_tensor(kept, device=reference.values.device)
