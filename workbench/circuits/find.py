"""Find: the circuit of a task, by scores of its edges or by ACDC."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from .. import metrics
from ..change import Change
from ..check import Count, Natural, NotNegative, checked
from ..edits import unchanged_is_fine
from ..experiment import passes
from ..model import Model
from ..result import provenance
from ..tasks import Examples, Task, TaskBatch, as_batch, check_finite, tokens_per_pass
from .attribution import Attribution, attribute
from .circuit import Circuit, check_choice, check_model, connected, of_mask
from .components import Components
from .cuts import EdgeCut, contribution_sites, contributions
from .references import References

#: How many cuts are tried ahead in one pass, at first and at most.
FIRST, MOST = 4, 32
#: On up to this many pairs, evenly spread, a circuit is run beside random ones: enough to tell it
#: from chance, and quicker than the search.
CHECKED = 16


@checked
def find(
    model: Model,
    task: Task | TaskBatch,
    *,
    method: str = "eap-ig",
    n_edges: Count | None = None,
    threshold: NotNegative | None = None,
    steps: Count = 5,
    n: Count | None = None,
    attribution: Attribution | None = None,
    n_controls: Natural = 5,
    progress: bool = True,
) -> Circuit:
    """The circuit of a task: the edges that matter, connected from embedding to logits.

    method: as in `attribute` ("eap", "eap-ig", "eap-ig-activations", "exact"), or "acdc". n_edges:
    how many edges at most: from the logits backwards, the edge with the largest absolute score
    whose reader is already in the circuit is taken (Hanna et al. 2024, section 3); what is not
    connected with the embedding is dropped and replaced by the next ones. threshold: every edge
    whose absolute score is above it, less what is not connected; for "acdc" the KL in nats that
    cutting an edge may add (Conmy et al. 2023, arXiv:2304.14997). One of the two is given.
    attribution: scores that are there already, in place of `method`; a sweep over sizes is
    `attribution.circuit(n_edges=…)`. n: how many pairs. n_controls: random circuits of its size
    that it is run beside, on up to 16 of the pairs; 0 leaves it unchecked.

    Warns where a random circuit does as well. Raises `ValueError` for an unknown method, where
    neither or both of n_edges and threshold are given, for a threshold that keeps nothing, and for
    scores of another model.
    """
    check_choice(n_edges, threshold)
    if method != "acdc":
        if attribution is None:
            attribution = attribute(model, task, method=method, over="edges", steps=steps, n=n)
        check_model(attribution, model)
        circuit = attribution.circuit(n_edges=n_edges, threshold=threshold)
    elif threshold is None:
        raise ValueError(
            "ACDC cuts edges up to a threshold, the KL in nats that each may add; give "
            "threshold=0.01 for a start, in place of n_edges."
        )
    else:
        circuit = _acdc(model, Examples.of(model, task, n=n), threshold)
    if not n_controls:
        return circuit
    return _beside_random(model, as_batch(model, task, n), circuit, n_controls, progress)


#: At the top of the package.
find_circuit = find


def _beside_random(
    model: Model, batch: TaskBatch, circuit: Circuit, n: int, progress: bool
) -> Circuit:
    """The circuit beside random ones of its size. Warns where one of them does as well."""
    some = np.linspace(0, len(batch) - 1, min(len(batch), CHECKED)).astype(int)
    examples = Examples.of(model, batch.take(some.tolist()))
    try:
        gap = examples.gap
    except ValueError:  # There is no answer that it could carry.
        return circuit
    kept = [one.kept for one in (circuit, *circuit.like(n))]
    bar = tqdm(
        total=len(kept) * len(some), desc=f"beside {n} random circuits", disable=not progress,
        leave=False, delay=2,
    )  # fmt: skip
    with unchanged_is_fine(), bar:
        values = _ablated(model, circuit.parts, examples, kept, bar)
    own, *others = (values - examples.corrupt.mean()) / gap
    found = replace(circuit, faithfulness=float(own), controls=np.array(others))
    if not found.better:
        warnings.warn(
            f"This circuit is {found.caption}, the mean of {n}. Ask for more edges or another "
            "method, and look whether the model does the task: task.evaluate(model).",
            stacklevel=4,
        )
    return found


def _ablated(
    model: Model, parts: Components, examples: Examples, kept: Sequence[np.ndarray], bar: Any
) -> np.ndarray:
    """(mask,) the mean metric when all edges but those of a mask carry the corrupt values."""
    total = np.zeros(len(kept))
    n_tokens = tokens_per_pass(len(parts.writers), model.spec.d_model)
    for group in examples.groups:
        for part in group.split(n_tokens):
            run = model.run(part.batch.corrupt, read=contribution_sites(parts), logits_at=())
            rule = EdgeCut(parts, parts.edges, tuple(contributions(model, parts, run)))
            changes = [Change(replace(rule, kept=each)) for each in kept]
            most, rows = max(1, n_tokens // part.n_positions), range(len(part))
            for numbers, at, logits in passes(
                model, changes, part.batch.clean, rows, most=most, at="last", bar=bar
            ):
                np.add.at(total, numbers, check_finite(part.metric(logits, at), "ablated"))
    return total / len(examples.batch)


def _acdc(model: Model, examples: Examples, threshold: float) -> Circuit:
    parts = Components.of(model.spec)
    kept, scores = acdc_edges(model, parts, examples, threshold)
    return of_mask(
        parts,
        connected(parts, scores, kept, None, threshold),
        scores,
        **provenance(model, examples.batch.clean),
        task=examples.batch.task,
        method="acdc",
        threshold=threshold,
    )


def acdc_edges(
    model: Model, parts: Components, examples: Examples, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """(writer, reader) bool, the edges kept, and float64, by how much each cut raised the KL.

    Readers from the logits backwards, the writers of each from the last to the first: an edge stays
    cut if the mean KL of the cut model from the whole one, with cut edges at their values in the
    corrupt prompts, rises by less than the threshold (nats).

    Several edges are tried in one pass, each on top of those before it, as if all of them could be
    cut; from the first that cannot, the rest is tried again without it. The outcome is the same
    as one by one.

    Source: Conmy et al. 2023, arXiv:2304.14997, algorithm 1.
    """
    rule = References(model, parts, examples).cut("counterfactual")
    whole = _whole(model, examples)
    cut = np.zeros_like(parts.edges)
    rises = np.zeros(parts.edges.shape)
    waiting = [
        (writer, reader)
        for reader in reversed(range(len(parts.readers)))
        for writer in reversed(np.flatnonzero(parts.edges[:, reader]).tolist())
    ]
    now, ahead = 0.0, FIRST
    while waiting:
        tried = waiting[:ahead]
        trial = np.repeat(cut[None], len(tried), 0)
        for i, edge in enumerate(tried):
            trial[i:, edge[0], edge[1]] = True
        kls = _divergence(model, examples, [replace(rule, kept=~each) for each in trial], whole)
        rose = kls - np.concatenate([[now], kls[:-1]])
        failed = np.flatnonzero(rose >= threshold)
        n_cut = int(failed[0]) if len(failed) else len(tried)
        for edge, rise in zip(tried[: n_cut + 1], rose, strict=False):
            rises[edge] = rise
        if n_cut:
            cut, now = trial[n_cut - 1], float(kls[n_cut - 1])
        waiting = waiting[n_cut + bool(len(failed)) :]
        ahead = max(FIRST, ahead // 2) if len(failed) else min(MOST, 2 * ahead)
    return parts.edges & ~cut, rises


def _whole(model: Model, examples: Examples) -> torch.Tensor:
    """(example, 1, d_vocab) the whole model's logits."""
    each: dict[int, torch.Tensor] = {}
    for group in examples.groups:
        logits = model.run(group.batch.clean, logits_at="last").logits
        assert logits is not None
        each |= dict(zip(group.rows, logits, strict=True))
    return torch.stack([each[row] for row in sorted(each)])


def _divergence(
    model: Model, examples: Examples, rules: Sequence[EdgeCut], whole: torch.Tensor
) -> np.ndarray:
    """(rule,) the mean KL(whole ‖ cut) of the next token, in nats."""
    out = np.empty((len(rules), len(examples.batch)))
    changes = [Change(rule) for rule in rules]
    for group in examples.groups:
        most = max(1, rules[0].n_tokens // group.n_positions)
        for numbers, rows, logits in passes(
            model, changes, examples.batch.clean, group.rows, most=most, at="last"
        ):
            out[numbers, rows] = check_finite(metrics.kl(logits, whole[rows]), "ablated")
    return out.mean(1)
