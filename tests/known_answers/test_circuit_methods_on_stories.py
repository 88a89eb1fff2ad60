"""Causal methods on a model that others trained, through both backends: the numbers are equal.

And on the embedded models: an interrupt in any of them leaves the model as it was.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.patchings import ablate, patch, path_patch
from tests.unit.circuit_models import BACKENDS, ioi, tinyworld
from workbench.tasks import Group, TaskBatch

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-5}
N = 4
#: The package's function has the name of its module.
MEASURES: dict[str, Any] = import_module("workbench.experiment").MEASURES

METHODS: dict[str, Callable[[Any, TaskBatch], Any]] = {
    "attribute": lambda model, batch: wb.attribute(model, batch, method="eap-ig"),
    "atp*": lambda model, batch: wb.attribute(model, batch, method="atp*"),
    "exact": lambda model, batch: wb.attribute(model, batch, method="exact"),
    "acdc": lambda model, batch: wb.find_circuit(model, batch, method="acdc", threshold=0.1),
    "ablate": lambda model, batch: wb.ablate(model, batch, ["L1H0.z", "embed → L2H1.q"]),
    "path_patch": lambda model, batch: wb.circuits.path_patch(model, batch, sender="L0H0.z"),
    "evaluate_circuit": lambda model, batch: wb.circuits.evaluate(
        model, batch, wb.circuits.of(model, ["embed → logits", "embed → L1.mlp_in"])
    ),
}


@cache
def stories(folder: Path, backend: str) -> Any:
    return wb.load(folder, backend=backend, device="cpu")


@pytest.fixture(scope="module")
def models(asset: Callable[..., Path]) -> tuple[Any, Any]:
    """stories260K through both backends."""
    folder = asset("models", "stories260K")
    return stories(folder, BACKENDS[0]), stories(folder, BACKENDS[1])


@pytest.fixture(scope="module")
def batches(models: tuple[Any, Any]) -> tuple[TaskBatch, TaskBatch]:
    ours, theirs = (wb.task("pronoun", n=N).on(model) for model in models)
    assert ours.clean.strings == theirs.clean.strings and len(ours) == N
    return ours, theirs


@pytest.mark.parametrize("over", ["resid_pre", "z", "mlp_out", "k"])
def test_patches_are_equal(models: Any, batches: Any, over: str) -> None:
    ours, theirs = (
        patch(model, batch, over=over) for model, batch in zip(models, batches, strict=True)
    )
    np.testing.assert_allclose(theirs.effects, ours.effects, **CLOSE)
    assert np.nanmax(np.abs(ours.effects)) > 0.01


@pytest.mark.parametrize(
    ("method", "over"),
    [
        ("attribution", "nodes"),
        ("eap", "edges"),
        ("eap-ig", "edges"),
        ("eap-ig", "neurons"),
        ("eap-ig-activations", "edges"),
        ("atp*", "nodes"),
        ("exact", "nodes"),
    ],
)
def test_attributions_are_equal(models: Any, batches: Any, method: str, over: Any) -> None:
    ours, theirs = (
        wb.attribute(model, batch, method=method, over=over, steps=2)
        for model, batch in zip(models, batches, strict=True)
    )
    assert ours.names == theirs.names
    most = float(np.abs(ours.scores).max())
    np.testing.assert_allclose(theirs.scores, ours.scores, rtol=1e-4, atol=1e-5 * most)
    assert most > 0.01


def test_circuits_paths_and_ablations_are_equal(models: Any, batches: Any) -> None:
    ours, theirs = (
        wb.find_circuit(model, batch, n_edges=40, steps=2)
        for model, batch in zip(models, batches, strict=True)
    )
    np.testing.assert_array_equal(ours.kept, theirs.kept)
    assert 20 < ours.n_edges <= 40
    for kind in ("counterfactual", "resample"):
        cut, other = (
            ablate(model, batch, ours.complement(), reference=kind)
            for model, batch in zip(models, batches, strict=True)
        )
        np.testing.assert_allclose(other.ablated, cut.ablated, **CLOSE)
        assert other.result.texts == cut.result.texts
    for through in ("residual", "mlps"):
        one, two = (
            path_patch(
                model, batch, sender="L0H0.z", receivers=["L3H1.q", "logits"], through=through
            )
            for model, batch in zip(models, batches, strict=True)
        )
        np.testing.assert_allclose(two.patched, one.patched, **CLOSE)


def test_evaluations_are_equal_and_the_whole_model_is_whole(models: Any, batches: Any) -> None:
    circuit = wb.find_circuit(models[0], batches[0], n_edges=40, steps=2)
    ours, theirs = (
        wb.circuits.evaluate(model, batch, circuit, n_controls=2, references="counterfactual")
        for model, batch in zip(models, batches, strict=True)
    )
    (own,), (other,) = ours.measures, theirs.measures
    for part in ("plain", "changed", "control"):
        np.testing.assert_allclose(getattr(other, part), getattr(own, part), **CLOSE)
    examples = ablate(models[0], batches[0], "embed", reference="counterfactual")
    np.testing.assert_allclose(own.plain, examples.clean, **CLOSE)
    empty = own.changed[ours.rows(change="empty")[0]]
    np.testing.assert_allclose(empty, examples.corrupt, **CLOSE)
    np.testing.assert_allclose(examples.ablated, examples.corrupt, **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_leaves_the_model_as_it_was(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = tinyworld("tinyworld-llama", backend), ioi()
    before = model.run(batch.clean).logits
    measure = Group.metric
    for method, call in METHODS.items():
        late = 0
        for after in (0, 5):
            calls = 0

            def counted(of: Any, after: int = after) -> Any:
                def interrupted(*args: Any, **options: Any) -> torch.Tensor:
                    nonlocal calls
                    calls += 1
                    if calls > after:
                        raise KeyboardInterrupt
                    return of(*args, **options)

                return interrupted

            with monkeypatch.context() as patched:
                patched.setattr(Group, "metric", counted(measure))
                # What reads the answers in an experiment.
                unit, of_answers = MEASURES["logit_difference"]
                patched.setitem(MEASURES, "logit_difference", (unit, counted(of_answers)))
                if after == 0:
                    with pytest.raises(KeyboardInterrupt):
                        call(model, batch)
                else:
                    late += interrupts(lambda call=call: call(model, batch))
            assert torch.equal(model.run(batch.clean).logits, before), method
        assert late or method in ("acdc", "path_patch", "ablate"), method


def interrupts(call: Callable[[], Any]) -> bool:
    try:
        call()
    except KeyboardInterrupt:
        return True
    return False
