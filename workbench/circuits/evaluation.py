"""Circuit evaluation: how much of the answer a circuit carries, and whether chance does as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..change import Change
from ..check import Count, Level, Seed, checked, one_of
from ..effects import Effects
from ..experiment import experiment
from ..model import Model
from ..pictures.marks import Bars
from ..resample import N_RESAMPLES, interval
from ..result import Result, axes, labels
from ..tasks import Examples, Task, TaskBatch
from .circuit import Circuit, check_model, greedy, named_edges
from .references import KINDS, References

#: An ablation that moves the metric by less than this share of clean − corrupt measures nothing.
SMALLEST_RANGE = 0.05
#: Shares of the edges over which CPR and CMD are taken (MIB, Mueller et al. 2025).
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REFERENCES = ("counterfactual", "resample", "mean-position")


@checked
def evaluate(
    model: Model,
    task: Task | TaskBatch,
    circuit: Circuit,
    *,
    references: str | Sequence[str] = REFERENCES,
    fractions: Sequence[float] = FRACTIONS,
    n_controls: Count = 10,
    n: Count | None = None,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """How much of the answer a circuit carries alone, as `Effects`: 0 as with every edge cut, 1 as
    the whole model.

        scores = wb.circuits.evaluate(model, task, circuit)
        scores.score(change="inside", reference="resample")
        scores.area(along="fraction", change="top")

    references: what the edges outside carry, as in `ablate`. Under each the changes are "inside"
    (the circuit alone: faithfulness), "outside" (it cut out: completeness, 0 is best), "without
    <node>", and "top", the best-scored edges of each of `fractions` of the model's, whose area is
    CPR, with missing=True CMD (MIB, Mueller et al. 2025). Controls of "inside" are `n_controls`
    random circuits of its size. n: how many pairs; those that chose the circuit flatter it, so take
    another draw of the task. An effect is a ratio of means, NaN where a reference hardly moves the
    metric. seed: of random circuits, resampling, noise and intervals.

    Raises `ValueError` for a circuit of another model, an unknown reference, or a fraction outside
    (0, 1].
    """
    check_model(circuit, model)
    kinds = list(dict.fromkeys([references] if isinstance(references, str) else references))
    for kind in kinds:
        one_of("references", kind, KINDS)
    if not kinds or any(not 0 < f <= 1 for f in fractions):
        raise ValueError(
            "An evaluation has at least one reference, and fractions above 0 and up to 1; got "
            f"references={tuple(kinds)} and fractions={tuple(fractions)}."
        )
    parts, edges = circuit.parts, circuit.parts.edges
    examples = Examples.of(model, task, n=n)
    taken = References(model, parts, examples, seed=seed, n_held=2 + len(kinds))
    kept: dict[tuple[Any, ...], np.ndarray] = {
        ("inside", circuit.share): circuit.kept,
        ("outside", 1 - circuit.share): edges & ~circuit.kept,
    }
    kept |= {(f"without {x}",): circuit.kept & ~named_edges(parts, [x]) for x in circuit.nodes}
    kept |= {("top", float(f)): _sized(circuit, f) for f in fractions}
    kept["empty",] = np.zeros_like(edges)
    drawn = circuit.like(n_controls, seed=seed)
    changes: dict[Any, Change] = {}
    controls: dict[Any, Change] = {}
    for kind in kinds:
        whole = taken.cut(kind)
        for (name, *rest), some in kept.items():
            changes[name, kind, *rest] = Change(replace(whole, kept=some))
        for i, one in enumerate(drawn):
            controls["inside", kind, None, "random", i] = Change(replace(whole, kept=one.kept))
    name = examples.batch.task
    effects = experiment(
        model,
        {name: examples.batch},
        changes,
        by="change reference fraction",
        controls=controls,
        elsewhere=(),
        seed=seed,
        progress=progress,
    )
    return replace(
        effects.scaled("empty", "plain", SMALLEST_RANGE * abs(examples.gap)),
        what=f"{circuit.n_edges} of {parts.n_edges} edges by {circuit.method} on {name}",
        picture="circuits.evaluation",
    )


@dataclass(frozen=True, eq=False, repr=False)
class Minimality(Result):
    """How much faithfulness is lost without each node of a circuit, under one reference."""

    reference: str
    nodes: tuple[str, ...] = labels("node", "component of the circuit")
    lost: np.ndarray = axes("node", np.float64, "faithfulness lost without it, 1 = all there is")
    low: np.ndarray = axes("node", np.float64, "low end of its 95 % interval")
    high: np.ndarray = axes("node", np.float64, "high end of its 95 % interval")

    picture = Bars("lost", "node", "low", "high")

    def _facts(self) -> str:
        most = max(zip(self.lost, self.nodes, strict=True), default=(0.0, "no node"))
        return f"{len(self.nodes)} nodes, {self.reference}; without {most[1]} {most[0]:.2f} is lost"


@checked
def minimality(effects: Effects, reference: str, *, level: Level = 0.95) -> Minimality:
    """What each node of a circuit adds to it, from its evaluation, as a table.

        wb.circuits.minimality(wb.circuits.evaluate(model, task, circuit), "counterfactual").plot()

    One line a node: lost, the faithfulness of the circuit less that without the node, paired by
    example, with its interval. Raises `KeyError` for a reference that was not evaluated, or effects
    of anything else.
    """
    own = effects.effect(draws=N_RESAMPLES)
    inside = own[effects.rows(change="inside", reference=reference)[0]]
    rows = {
        name.removeprefix("without "): row
        for row in effects.rows(reference=reference)
        if (name := effects.changes["change"][row]).startswith("without ")
    }
    scores = [interval(inside - own[row], level) for row in rows.values()]
    lost, low, high = np.array(scores).reshape(-1, 3).T
    made = {f: getattr(effects, f) for f in ("model", "revision", "versions", "seed", "tokens")}
    return Minimality(**made, reference=reference, nodes=tuple(rows), lost=lost, low=low, high=high)


def _sized(circuit: Circuit, fraction: float) -> np.ndarray:
    """The circuit of a share of the edges by the circuit's scores; none where that is under one."""
    n_edges = round(fraction * circuit.parts.n_edges)
    if fraction == 1:
        return circuit.parts.edges
    if n_edges == 0:
        return np.zeros_like(circuit.kept)
    return greedy(circuit.parts, circuit.edge_scores, n_edges)
