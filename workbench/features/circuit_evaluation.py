"""Feature circuit evaluation: how much of the answer its features carry, and what else would."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..check import Count, Level, Seed, checked
from ..dictionary.collection import Dictionaries
from ..edits import Edit
from ..methods.faithfulness import faithfulness, faithfulness_interval
from ..model import Model
from ..result import Result, axes, provenance
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
#: What the curves compare: features with errors, the same sites' coordinates, heads and neurons.
CURVES = ("features", "coordinates", "parts")


@dataclass(frozen=True, eq=False, repr=False)
class FeatureCircuitEvaluation(Result):
    """The scores of a feature circuit: every other node of its sites carries its reference.

    references: what the others carry. whole: (batch,) the metric of the plain model. empty, inside,
    outside: (reference, batch) with no node kept, the circuit's, all but the circuit's. no_errors:
    the circuit's features alone, every error ablated; only_errors: its errors alone.
    no_dictionary_errors: all features and no error, how far the dictionaries reach. random:
    (reference, random, batch) as many features at each site drawn from those with an effect. sizes,
    at_size: (size,), (reference, size, batch) the best features and errors of each number;
    coordinates: the best coordinates of the activations of the same sites; parts: the best heads
    and neurons of the same layers, between which the residual stream stays as it is. All are
    chosen by the same method.

    Scores: 0 = as with everything ablated, 1 = as the whole model; ratios of means over the
    examples, NaN for a reference that hardly moves the metric.
    """

    task: str
    metric_name: str
    circuit: str
    n_features: int
    n_errors: int
    gap: float
    references: tuple[str, ...]
    sizes: np.ndarray = axes("size", np.int32)
    whole: np.ndarray = axes("batch")
    empty: np.ndarray = axes("reference batch")
    inside: np.ndarray = axes("reference batch")
    outside: np.ndarray = axes("reference batch")
    no_errors: np.ndarray = axes("reference batch")
    only_errors: np.ndarray = axes("reference batch")
    no_dictionary_errors: np.ndarray = axes("reference batch")
    random: np.ndarray = axes("reference random batch")
    at_size: np.ndarray = axes("reference size batch")
    coordinates: np.ndarray = axes("reference size batch")
    coordinates_empty: np.ndarray = axes("reference batch")
    parts: np.ndarray = axes("reference size batch")
    parts_empty: np.ndarray = axes("reference batch")

    picture = "feature_circuits.feature_circuit_evaluation"

    def score(self, name: str, reference: str, level: Level = 0.95) -> tuple[float, float, float]:
        """A score and its interval (bootstrap over examples): the value, low, high.

        name: "faithfulness"; "completeness", the same of everything but the circuit, where 0 is
        best; "no_errors", "only_errors" or "no_dictionary_errors" as in the fields. Raises
        `ValueError` for another name or reference.
        """
        fields = {"faithfulness": "inside", "completeness": "outside"}
        names = (*fields, "no_errors", "only_errors", "no_dictionary_errors")
        if name not in names:
            raise ValueError(f"A score is one of {', '.join(names)}; got {name!r}.")
        at = self._reference(reference)
        values = getattr(self, fields.get(name, name))[at]
        ends = (self.empty[at], self.whole, self.gap)
        return faithfulness_interval(values, *ends, level=level, seed=self.seed or 0)

    def random_scores(self, reference: str) -> np.ndarray:
        """(random,) the faithfulness of each random circuit."""
        at = self._reference(reference)
        return faithfulness(self.random[at], self.empty[at], self.whole, self.gap)

    def curve(self, reference: str, nodes: str = "features") -> np.ndarray:
        """(size,) the faithfulness of the best nodes of each number, one of `CURVES`."""
        if nodes not in CURVES:
            raise ValueError(f"A curve is of {', '.join(CURVES)}; got {nodes!r}.")
        at = self._reference(reference)
        values, empty = {
            "features": (self.at_size, self.empty),
            "coordinates": (self.coordinates, self.coordinates_empty),
            "parts": (self.parts, self.parts_empty),
        }[nodes]
        return faithfulness(values[at], empty[at], self.whole, self.gap)

    def _reference(self, name: str) -> int:
        if name not in self.references:
            raise ValueError(
                f"This evaluation has the references {', '.join(self.references)}; got {name!r}."
            )
        return self.references.index(name)

    def to_frame(self) -> pd.DataFrame:
        """One line a reference: every score, with 95 % intervals (_low, _high) of the first two,
        and the random circuits' mean faithfulness.
        """
        lines = []
        for reference in self.references:
            line: dict[str, float] = {}
            for name in ("faithfulness", "completeness"):
                line[name], line[f"{name}_low"], line[f"{name}_high"] = self.score(name, reference)
            for name in ("no_errors", "only_errors", "no_dictionary_errors"):
                line[name] = self.score(name, reference)[0]
            line["random_faithfulness"] = float(self.random_scores(reference).mean())
            lines.append(line)
        return pd.DataFrame(lines, index=pd.Index(self.references, name="reference"))

    def _facts(self) -> str:
        value, low, high = self.score("faithfulness", self.references[0])
        chance = float(self.random_scores(self.references[0]).mean())
        return (
            f"{self.n_features} features and {self.n_errors} errors on {self.task}: faithfulness "
            f"{value:.2f} [{low:.2f}, {high:.2f}] under {self.references[0]}, random {chance:.2f}"
        )


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
) -> FeatureCircuitEvaluation:
    """How good a feature circuit is: faithfulness, completeness, and what would do as well.

    Only the circuit's own sites are ablated; layers that were not searched stay as they are.
    references: what the nodes outside carry, as in `effects`. sizes: of the curves, which
    take the nodes with the largest effects on these very pairs by the circuit's method; that
    flatters all of them alike. n_controls: random circuits of
    the same size. n: how many pairs; those that chose the circuit flatter it, so that another draw
    of the task is the honest measure. seed: of random circuits and intervals.

    Raises `ValueError` for dictionaries without the circuit's nodes, an unknown reference, and
    sizes or numbers below 1.

    Source: Marks et al. (2024), section 3.3.
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
    bases = [FeatureBasis(dictionary) for dictionary in used.values()]
    layers = {site.layer for site in used}
    coordinates: list[Basis] = [PlainBasis(site, model.spec) for site in used]
    parts = [basis for basis in plain_bases(model.spec) if basis.site.layer in layers]
    choices = [
        {site: np.zeros_like(mask) for site, mask in chosen.items()},
        chosen,
        {site: ~mask for site, mask in chosen.items()},
        {site: np.append(mask[:-1], False) for site, mask in chosen.items()},
        {site: np.append(np.zeros_like(mask[:-1]), mask[-1]) for site, mask in chosen.items()},
        {site: np.append(np.ones_like(mask[:-1]), False) for site, mask in chosen.items()},
        *(circuit.random(seed + i).chosen(used) for i in range(n_controls)),
        *_sized(model, examples, bases, circuit, sizes),
    ]
    values = np.stack([kept_metric(model, examples, bases, choices, kind) for kind in kinds])
    others = []
    for rest in (coordinates, parts):
        sized: list[Kept] = [
            {basis.site: np.zeros(basis.n_nodes, bool) for basis in rest},
            *_sized(model, examples, rest, circuit, sizes),
        ]
        others.append(np.stack([kept_metric(model, examples, rest, sized, k) for k in kinds]))
    return FeatureCircuitEvaluation(
        **provenance(model, examples.batch.clean, seed),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        circuit=circuit.method,
        n_features=len(circuit.features),
        n_errors=len(circuit.errors),
        gap=examples.gap,
        references=kinds,
        sizes=np.array(sizes),
        whole=examples.clean,
        empty=values[:, 0],
        inside=values[:, 1],
        outside=values[:, 2],
        no_errors=values[:, 3],
        only_errors=values[:, 4],
        no_dictionary_errors=values[:, 5],
        random=values[:, 6 : 6 + n_controls],
        at_size=values[:, 6 + n_controls :],
        coordinates_empty=others[0][:, 0],
        coordinates=others[0][:, 1:],
        parts_empty=others[1][:, 0],
        parts=others[1][:, 1:],
    )


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
