"""The feature circuit of agreement on tinyworld: chosen on some pairs, measured on others."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from workbench.dictionary.collection import Dictionaries, dictionaries
from workbench.effects import Effects
from workbench.features.circuit import FeatureCircuit, circuit
from workbench.features.circuit_evaluation import evaluate_circuit
from workbench.loading import load
from workbench.tasks import TaskBatch, task

BACKENDS = ("nnsight", "transformer_lens")
HALF, MOST = 48, 100


@cache
def model(backend: str = "nnsight") -> Any:
    return load("tinyworld", backend=backend, device="cpu")


@cache
def dicts() -> Dictionaries:
    return dictionaries("tinyworld")


@cache
def pairs(second: bool) -> TaskBatch:
    batch = task("agreement").on(model())
    return batch.take(range(HALF, 2 * HALF) if second else range(HALF))


@cache
def found(backend: str = "nnsight") -> FeatureCircuit:
    return circuit(model(backend), pairs(False), dicts(), n_nodes=MOST, steps=4)


@cache
def evaluated() -> Effects:
    return evaluate_circuit(
        model(),
        pairs(True),
        found(),
        dicts(),
        references="mean-position",
        sizes=(10, MOST),
        n_controls=2,
    )


def test_at_most_a_hundred_nodes_carry_agreement_to_pairs_they_were_not_chosen_on() -> None:
    result = evaluated()
    assert len(found().nodes) <= MOST and set(found().features)
    assert result.score(change="inside")[0] >= 0.8
    assert (result.effect(of="controls")[:, 0] < 0.2).all()
    assert result.score(change="outside")[0] < 0.3
    batch = pairs(True)
    plain = batch.metric(model().run(batch.clean, logits_at="last").logits)
    np.testing.assert_allclose(result.measures[0].plain, plain.numpy(), rtol=1e-3, atol=1e-4)
    small, large = result.effect()[result.rows(change="top", nodes="features"), 0]
    assert small < large


def test_both_backends_find_the_same_nodes() -> None:
    one, other = (found(backend) for backend in BACKENDS)
    assert one.nodes == other.nodes
    np.testing.assert_allclose(one.effects, other.effects, rtol=1e-2, atol=1e-4)
    assert one.gap == pytest.approx(other.gap, rel=1e-4)
