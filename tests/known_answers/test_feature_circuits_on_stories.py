"""Feature circuits and SHIFT on a Llama that others trained, with random dictionaries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import BACKENDS
from tests.unit.random_dictionaries import dictionary

CLOSE: dict[str, Any] = {"rtol": 1e-3, "atol": 1e-4}


@pytest.fixture(scope="module")
def models(asset: Callable[..., Path]) -> list[Any]:
    """stories260K through both backends."""
    folder = asset("models", "stories260K")
    return [wb.load(folder, backend=backend, device="cpu") for backend in BACKENDS]


def test_both_backends_give_the_same_circuit_and_scores(models: list[Any]) -> None:
    width = models[0].spec.d_model
    sites = ("L2.mlp_out", "L3.attn_out", "L4.mlp_out", "L4.resid_post")
    dicts = wb.Dictionaries(
        [
            dictionary("relu", d_in=width, n=24, seed=i, site=site, model="")
            for i, site in enumerate(sites)
        ]
    )
    found, scores = [], []
    for model in models:
        batch = wb.task("pronoun", n=4).on(model)
        circuit = wb.features.circuit(model, batch, dicts, n_nodes=30, steps=2)
        found.append(circuit)
        scores.append(
            wb.features.evaluate_circuit(
                model,
                batch,
                found[0],
                dicts,
                references=("mean", "counterfactual"),
                sizes=(10,),
                n_controls=1,
            )
        )
    one, other = found
    assert one.nodes == other.nodes and len(one.features) > 5
    np.testing.assert_allclose(one.effects, other.effects, **CLOSE)
    np.testing.assert_allclose(one.to_logits, other.to_logits, **CLOSE)
    for field in ("plain", "changed", "control"):
        first, second = (getattr(each.measures[0], field) for each in scores)
        np.testing.assert_allclose(first, second, rtol=1e-3, atol=1e-3, err_msg=field)
