"""Circuit methods on models whose edges are known: each must rank the true edges first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from tests.known_answers import plain_graph
from tests.known_answers.models import builders
from tests.known_answers.models.known import KnownModel
from tests.patchings import ablate
from workbench.circuits.attribution import attribute
from workbench.circuits.components import Components
from workbench.circuits.evaluation import evaluate, minimality
from workbench.circuits.find import find_circuit
from workbench.loading import load

#: All pairs where every way of corrupting has to be there, some where one kind is enough.
N, ALL = 8, None
#: The least ROC AUC of the true edges among all, by method.
LEAST = {"exact": 0.99, "eap": 0.95, "eap-ig": 0.95, "eap-ig-activations": 0.95}
BACKENDS = ("nnsight", "transformer_lens")


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], KnownModel]:
    root = tmp_path_factory.mktemp("known")

    def build(name: str) -> KnownModel:
        folder: Path = root / name
        return builders[name](folder)

    return cache(build)


@pytest.fixture(scope="module")
def model_of(known: Callable[[str], KnownModel]) -> Callable[..., Any]:
    return cache(lambda name, backend: load(known(name).folder, backend=backend, device="cpu"))


def truth(known: KnownModel, parts: Components) -> np.ndarray:
    return parts.mask(known.true_edges)


def auc(scores: np.ndarray, true: np.ndarray, parts: Components) -> float:
    return float(roc_auc_score(true[parts.edges], np.abs(scores[parts.edges])))


@pytest.mark.parametrize("method", LEAST)
@pytest.mark.parametrize("name", builders)
def test_true_edges_rank_first_and_random_scores_do_not(
    name: str, method: str, known: Callable[[str], KnownModel], model_of: Callable[..., Any]
) -> None:
    model, parts = model_of(name, "nnsight"), Components.of(model_of(name, "nnsight").spec)
    batch = known(name).task.on(model, n=N)
    true = truth(known(name), parts)
    result = attribute(model, batch, method=method, over="edges")
    assert auc(result.edge_matrix(), true, parts) >= LEAST[method]
    chance = [
        auc(np.random.default_rng(seed).random(true.shape), true, parts) for seed in range(200)
    ]
    assert np.mean(chance) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("name", builders)
def test_exact_scores_are_those_of_the_plain_edge_by_edge_recomputation(
    name: str, known: Callable[[str], KnownModel], model_of: Callable[..., Any]
) -> None:
    model = model_of(name, "nnsight")
    batch = known(name).task.on(model, n=4)
    found = attribute(model, batch, method="exact", over="edges")
    gap = float(found.clean.mean() - found.corrupt.mean())
    plain = plain_graph.edge_effects(
        known(name).hf_model(), batch.clean.ids, batch.corrupt.ids, batch.metric, kind="denoising"
    )
    matrix, parts = found.edge_matrix(), found.parts
    assert len(plain) == parts.n_edges
    worst = max(abs(float(matrix[parts.edge(edge)]) - value / gap) for edge, value in plain.items())
    # The constant that fixes the norms' size, 100, costs float32 two digits.
    assert worst < 2e-4


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", builders)
def test_acdc_keeps_exactly_the_true_edges(
    name: str, backend: str, known: Callable[[str], KnownModel], model_of: Callable[..., Any]
) -> None:
    model = model_of(name, backend)
    circuit = find_circuit(model, known(name).task, method="acdc", threshold=0.01, n=ALL)
    assert set(circuit.edges) == {f"{a} → {b}" for a, b in known(name).true_edges}


@pytest.mark.parametrize("name", builders)
def test_the_found_circuit_is_faithful_and_random_ones_are_not(
    name: str, known: Callable[[str], KnownModel], model_of: Callable[..., Any]
) -> None:
    model, true = model_of(name, "nnsight"), known(name).true_edges
    circuit = find_circuit(model, known(name).task, n_edges=len(true), n=ALL)
    assert set(circuit.edges) == {f"{a} → {b}" for a, b in true}
    scores = evaluate(
        model, known(name).task, circuit, references="counterfactual", n_controls=20, n=ALL
    )
    faithfulness, low, _ = scores.score(change="inside")
    assert faithfulness == pytest.approx(1, abs=0.02) and low > 0.95
    assert abs(scores.score(change="outside")[0]) < 0.02
    assert scores.to_frame().beyond[0] == 1
    assert scores.effect(of="controls").mean() < 0.2
    assert minimality(scores, "counterfactual").lost.min() > 0.1


@pytest.mark.parametrize("name", builders)
def test_ablating_everything_is_the_corrupt_run_and_distractors_do_nothing(
    name: str, known: Callable[[str], KnownModel], model_of: Callable[..., Any]
) -> None:
    model = model_of(name, "nnsight")
    parts = Components.of(model.spec)
    everything = [parts.edge_name(*edge) for edge in np.argwhere(parts.edges).tolist()]
    whole = ablate(model, known(name).task, everything, reference="counterfactual", n=N)
    np.testing.assert_allclose(whole.ablated, whole.corrupt, atol=2e-3)
    assert whole.effect == pytest.approx(1, abs=1e-3)
    used = np.flatnonzero(truth(known(name), parts).any(1))
    idle = [writer for w, writer in enumerate(parts.writers) if w not in used]
    nothing = ablate(model, known(name).task, idle, reference="counterfactual", n=N)
    assert nothing.effect == pytest.approx(0, abs=5e-3)
