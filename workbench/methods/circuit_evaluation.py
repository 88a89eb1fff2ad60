"""Circuit evaluation: how much of the answer a circuit carries, and whether chance does as well."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..check import Count, Level, Seed, checked
from ..model import Model
from ..result import Result, axes, provenance
from ..tasks import Task, TaskBatch
from .circuit import Circuit, check_model, greedy, named_edges, random_edges
from .circuit_runs import CircuitRuns
from .examples import Examples
from .faithfulness import faithfulness, faithfulness_interval
from .references import References, check_kind

#: Shares of the edges over which CPR and CMD are taken (MIB, Mueller et al. 2025).
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ABLATIONS = ("counterfactual", "resample", "mean-position")


@dataclass(frozen=True, eq=False, repr=False)
class CircuitEvaluation(Result):
    """The scores of a circuit, by ablation: everything outside it carries its ablated value.

    ablations: the kinds. whole, empty: (ablation, batch) the metric of the whole model and with all
    edges cut. inside: with the circuit alone; outside: with the circuit cut out (its complement).
    random: (ablation, random, batch) circuits of as many edges drawn at random. nodes: the
    circuit's components; without: (ablation, node, batch) the circuit less one of them. fractions,
    n_edges_at, at_fraction: (fraction), (fraction), (ablation, fraction, batch) the best-scored
    circuits of each share of the model's edges.

    Scores: 0 = as with everything ablated, 1 = as the whole model; ratios of means over the
    examples. NaN for an ablation that hardly moves the metric, so that there is nothing to measure.
    """

    task: str
    metric_name: str
    circuit: str
    n_edges: int
    n_model_edges: int
    gap: float
    ablations: tuple[str, ...]
    nodes: tuple[str, ...]
    fractions: np.ndarray = axes("fraction", np.float64)
    n_edges_at: np.ndarray = axes("fraction", np.int32)
    whole: np.ndarray = axes("ablation batch")
    empty: np.ndarray = axes("ablation batch")
    inside: np.ndarray = axes("ablation batch")
    outside: np.ndarray = axes("ablation batch")
    random: np.ndarray = axes("ablation random batch")
    without: np.ndarray = axes("ablation node batch")
    at_fraction: np.ndarray = axes("ablation fraction batch")

    picture = "circuits.circuit_evaluation"

    def _score(self, values: np.ndarray, ablation: int) -> np.ndarray:
        """values (…, batch) → (…) normalised."""
        return faithfulness(values, self.empty[ablation], self.whole[ablation], self.gap)

    def score(self, name: str, ablation: str, level: Level = 0.95) -> tuple[float, float, float]:
        """A score and its interval (bootstrap over examples): the value, low, high.

        name: "faithfulness", (m(C) − m(∅)) / (m(M) − m(∅)), or "completeness", the same of the
        complement, (m(M∖C) − m(∅)) / (m(M) − m(∅)): what is left without the circuit, 0 is
        best (Marks et al. 2024). Raises `ValueError` for another name or ablation.
        """
        if name not in ("faithfulness", "completeness"):
            raise ValueError(f"A score is faithfulness or completeness; got {name!r}.")
        at = self._ablation(ablation)
        values = (self.inside if name == "faithfulness" else self.outside)[at]
        ends = (self.empty[at], self.whole[at], self.gap)
        return faithfulness_interval(values, *ends, level=level, seed=self.seed or 0)

    def random_scores(self, ablation: str) -> np.ndarray:
        """(random,) the faithfulness of each random circuit."""
        at = self._ablation(ablation)
        return self._score(self.random[at], at)

    def better_than_chance(self, ablation: str) -> float:
        """The share of random circuits whose faithfulness is farther from 1 than the circuit's."""
        own = abs(1 - self.score("faithfulness", ablation)[0])
        farther = np.abs(1 - self.random_scores(ablation)) > own
        return float(farther.mean()) if np.isfinite(own) else float("nan")

    def minimality(self, ablation: str) -> dict[str, float]:
        """For each node of the circuit the faithfulness that is lost without it."""
        at = self._ablation(ablation)
        lost = self._score(self.inside[at], at) - self._score(self.without[at], at)
        return dict(zip(self.nodes, lost.tolist(), strict=True))

    def curve(self, ablation: str) -> np.ndarray:
        """(fraction,) the faithfulness at each share of the edges."""
        at = self._ablation(ablation)
        return self._score(self.at_fraction[at], at)

    def cpr(self, ablation: str) -> float:
        """Area under the faithfulness curve over the share of edges; larger is better (MIB)."""
        return _area(self.fractions, self.curve(ablation))

    def cmd(self, ablation: str) -> float:
        """Area between the faithfulness curve and 1; 0 is best (MIB)."""
        return _area(self.fractions, np.abs(1 - self.curve(ablation)))

    @property
    def disagreement(self) -> float:
        """The largest difference of faithfulness between two of the ablations that measure it."""
        each = np.array([self.score("faithfulness", a)[0] for a in self.ablations])
        each = each[np.isfinite(each)]
        return float(np.ptp(each)) if len(each) else float("nan")

    def _ablation(self, name: str) -> int:
        if name not in self.ablations:
            raise ValueError(
                f"This evaluation has the ablations {', '.join(self.ablations)}; got {name!r}."
            )
        return self.ablations.index(name)

    def to_frame(self) -> pd.DataFrame:
        """One line an ablation: faithfulness and completeness with 95 % intervals (_low, _high),
        the random circuits' mean faithfulness, better_than_chance, cpr, cmd.
        """
        lines = []
        for ablation in self.ablations:
            line: dict[str, float] = {}
            for name in ("faithfulness", "completeness"):
                line[name], line[f"{name}_low"], line[f"{name}_high"] = self.score(name, ablation)
            line["random_faithfulness"] = float(self.random_scores(ablation).mean())
            line["better_than_chance"] = self.better_than_chance(ablation)
            line |= {"cpr": self.cpr(ablation), "cmd": self.cmd(ablation)}
            lines.append(line)
        return pd.DataFrame(lines, index=pd.Index(self.ablations, name="ablation"))

    def _facts(self) -> str:
        value, low, high = self.score("faithfulness", self.ablations[0])
        chance = float(self.random_scores(self.ablations[0]).mean())
        return (
            f"{self.n_edges} of {self.n_model_edges} edges on {self.task}: faithfulness "
            f"{value:.2f} [{low:.2f}, {high:.2f}] under {self.ablations[0]}, random "
            f"{chance:.2f}; ablations differ by {self.disagreement:.2f}"
        )


@checked
def evaluate_circuit(
    model: Model,
    task: Task | TaskBatch,
    circuit: Circuit,
    *,
    ablations: str | Sequence[str] = ABLATIONS,
    fractions: Sequence[float] = FRACTIONS,
    n_random: Count = 10,
    n: Count | None = None,
    seed: Seed = 0,
) -> CircuitEvaluation:
    """How good a circuit is, by every score and ablation, as a `CircuitEvaluation`.

    ablations: what the edges outside carry, as in `ablate`. fractions: shares of the model's edges
    for CPR and CMD (MIB); circuits of that size are chosen by the circuit's own scores. n_random:
    random circuits of the same size. n: how many pairs; those that chose the circuit flatter it, so
    that another draw of the task is the honest measure. seed: of random circuits, resampling, noise
    and intervals.

    Raises `ValueError` for a circuit of another model, an unknown ablation, or a fraction outside
    (0, 1].
    """
    check_model(circuit, model)
    kinds = tuple([ablations] if isinstance(ablations, str) else ablations)
    for kind in kinds:
        check_kind(kind)
    if not kinds or any(not 0 < f <= 1 for f in fractions):
        raise ValueError(
            "An evaluation has at least one ablation, and fractions above 0 and up to 1; got "
            f"ablations={kinds} and fractions={tuple(fractions)}."
        )
    parts, edges = circuit.parts, circuit.parts.edges
    examples = Examples.of(model, task, n=n)
    references = References(model, parts, examples, seed=seed)
    nodes = circuit.nodes
    sized = [_sized(circuit, f) for f in fractions]
    kept = [
        np.zeros_like(edges),
        edges,
        circuit.kept,
        edges & ~circuit.kept,
        *(random_edges(parts, circuit.n_edges, seed + i) for i in range(n_random)),
        *(circuit.kept & ~named_edges(parts, [node]) for node in nodes),
        *sized,
    ]
    cuts = edges & ~np.array(kept)
    values = np.array([CircuitRuns(references, kind).metric(cuts) for kind in kinds])
    after_random, after_nodes = 4 + n_random, 4 + n_random + len(nodes)
    return CircuitEvaluation(
        **provenance(model, examples.batch.clean, seed),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        circuit=circuit.method,
        n_edges=circuit.n_edges,
        n_model_edges=parts.n_edges,
        gap=examples.gap,
        ablations=kinds,
        nodes=nodes,
        fractions=np.array(fractions),
        n_edges_at=np.array([int(mask.sum()) for mask in sized]),
        empty=values[:, 0],
        whole=values[:, 1],
        inside=values[:, 2],
        outside=values[:, 3],
        random=values[:, 4:after_random],
        without=values[:, after_random:after_nodes],
        at_fraction=values[:, after_nodes:],
    )


def _sized(circuit: Circuit, fraction: float) -> np.ndarray:
    """The circuit of a share of the edges by the circuit's scores; none where that is under one."""
    n_edges = round(fraction * circuit.parts.n_edges)
    if fraction == 1:
        return circuit.parts.edges
    if n_edges == 0:
        return np.zeros_like(circuit.kept)
    return greedy(circuit.parts, circuit.scores, n_edges)


def _area(fractions: np.ndarray, values: np.ndarray) -> float:
    if len(fractions) < 2:
        return float("nan")
    order = np.argsort(fractions)
    return float(np.trapezoid(values[order], fractions[order]))
