"""The live circuit without a browser: cuts, presets, undo, and code that gives the same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.patchings import Runs, ablate
from workbench.live import LiveCircuit
from workbench.tasks import TaskDoesNotFit


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {name: wb.load(name, device="cpu") for name in ("tinyworld", "tinyworld-llama")}


@pytest.fixture
def explorer(models: dict[str, Any]) -> LiveCircuit:
    return wb.live.circuit(models["tinyworld"], wb.task("ioi"), n=8, n_edges=20)


def by_code(explorer: LiveCircuit) -> Runs:
    """What the exported code gives."""
    names: dict[str, Any] = {}
    exec(explorer.code, names)
    return Runs(names["ablation"])


def test_it_opens_with_the_whole_model(explorer: LiveCircuit) -> None:
    assert (explorer.preset, explorer.ablation, explorer.example) == (
        "whole model",
        "counterfactual",
        0,
    )
    assert explorer.reading.faithfulness == pytest.approx(1, abs=1e-6)
    assert explorer.reading.ablated == pytest.approx(explorer.reading.clean, abs=1e-4)
    clean, ablated, corrupt = explorer.reading.answers
    assert clean.tokens == ablated.tokens and clean.tokens[0] != corrupt.tokens[0]
    assert repr(explorer) == "LiveCircuit(ioi: whole model, 0 cut by hand)"


@pytest.mark.parametrize("preset", ["whole model", "found circuit", "complement", "random circuit"])
@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_the_code_gives_the_numbers_that_are_shown(
    name: str, preset: str, models: dict[str, Any]
) -> None:
    explorer = wb.live.circuit(models[name], wb.task("ioi"), n=8, n_edges=20)
    explorer.preset = preset
    edge = next(name for name in explorer.bench.edge_ids if name.endswith("L1H2.v"))
    explorer.view.cut_nodes = ["L2.mlp"]
    explorer.view.cut_edges = [edge]
    explorer.ablation = "resample"
    result = by_code(explorer)
    assert result.ablated.mean() == pytest.approx(explorer.reading.ablated, abs=1e-3)
    assert result.clean.mean() == pytest.approx(explorer.reading.clean, abs=1e-3)


def test_the_code_names_another_draw_and_another_precision() -> None:
    model = wb.load("tinyworld", device="cpu", dtype="bfloat16")
    explorer = wb.live.circuit(model, wb.task("ioi", n=6, seed=3), n_edges=20)
    explorer.view.cut_nodes = ["L2.mlp"]
    assert "wb.load('tinyworld', dtype='bfloat16')" in explorer.code
    assert "wb.task('ioi', n=6, seed=3)" in explorer.code
    result = by_code(explorer)
    assert result.ablated.mean() == pytest.approx(explorer.reading.ablated, rel=0.02)
    other = ablate(model, wb.task("ioi", n=6), ["L2.mlp_out"], reference="counterfactual")
    assert other.clean.mean() != pytest.approx(explorer.reading.clean, rel=0.02)


def test_undo_and_reset_go_through_the_states(explorer: LiveCircuit) -> None:
    explorer.view.cut_nodes = ["L0H2"]
    faithful = explorer.reading.faithfulness
    assert faithful < 0.1
    explorer.preset = "found circuit"
    explorer.undo()
    assert (explorer.preset, explorer.view.cut_nodes) == ("whole model", ["L0H2"])
    assert explorer.reading.faithfulness == faithful
    explorer.reset()
    assert explorer.view.cut_nodes == [] and explorer.reading.faithfulness == pytest.approx(1)
    explorer.undo()
    assert explorer.view.cut_nodes == ["L0H2"]
    explorer.undo()
    explorer.undo()
    assert explorer.view.cut_nodes == [] and explorer.preset == "whole model"


def test_presets_mark_their_members_and_the_complement_carries_nothing(
    explorer: LiveCircuit,
) -> None:
    assert explorer.view.in_circuit_edges is None
    explorer.preset = "found circuit"
    assert len(explorer.view.in_circuit_edges or []) == explorer.found.n_edges
    assert explorer.reading.faithfulness > 0.9
    explorer.preset = "complement"
    assert abs(explorer.reading.faithfulness) < 0.1
    explorer.preset = "random circuit"
    assert abs(explorer.reading.faithfulness) < 0.5


def test_a_key_value_edge_is_cut_for_all_heads_that_share_it(models: dict[str, Any]) -> None:
    explorer = wb.live.circuit(models["tinyworld-llama"], wb.task("ioi"), n=4, n_edges=20)
    explorer.view.cut_edges = ["embed→L1H0.v"]
    assert explorer.view.cut_edges == ["embed→L1H0.v", "embed→L1H1.v"]
    explorer.view.cut_edges = ["embed→L1H1.v"]
    assert explorer.view.cut_edges == []


def test_another_task_starts_afresh_and_one_that_does_not_fit_is_told(
    explorer: LiveCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer.view.cut_nodes = ["L0H2"]
    explorer.task = "agreement"
    assert explorer.bench.examples.batch.task == "agreement" and explorer.view.cut_nodes == []
    assert explorer.reading.faithfulness == pytest.approx(1)

    def misfit(name: str) -> Any:
        raise TaskDoesNotFit(f"The task {name} fits no tokenizer.")

    with monkeypatch.context() as patched:
        # Of the module, whose name its function takes over.
        patched.setitem(LiveCircuit._task_changed.__globals__, "load_task", misfit)
        explorer.task = "weekdays"
    assert explorer.message == "The task weekdays fits no tokenizer."
    assert explorer.bench.examples.batch.task == "agreement"

    def broken(*args: Any, **options: Any) -> Any:
        raise MemoryError("out of memory")

    monkeypatch.setattr(explorer.bench, "read", broken)
    explorer.view.cut_nodes = ["L1H0"]
    assert explorer.message == "out of memory"
    assert explorer.view.status == "error: this is the last state that worked"


def test_answers_with_markup_are_shown_as_text(
    explorer: LiveCircuit, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    odd = replace(explorer.reading.answers[0], tokens=("<b>x</b>", "&", "a", "b", "c"))
    reading = replace(explorer.reading, answers=(odd, odd, odd), faithfulness=float("nan"))
    monkeypatch.setattr(explorer.bench, "read", lambda *cut: reading)
    explorer.view.cut_edges = ["embed→L0H2.v", "L0H2→L0.mlp", "L0.mlp→logits"]
    text = explorer._answers.value
    assert "&lt;b&gt;x&lt;/b&gt;" in text and "<b>x</b>" not in text
    assert "faithfulness —" in text and "3 of 479 edges ablated" in text


def test_a_circuit_draws_itself_and_names_its_members(models: dict[str, Any]) -> None:
    model = models["tinyworld"]
    circuit = wb.circuits.of(model, ["embed → L0H2.v", "L0H2.z → L0.mlp_in", "L0.mlp_out → logits"])
    graph = circuit.widget()
    assert graph.in_circuit_edges == ["embed→L0H2.v", "L0H2→L0.mlp", "L0.mlp→logits"]
    assert graph.in_circuit_nodes == ["embed", "L0H2", "L0.mlp", "logits"]
    assert len(graph._nodes) == len(circuit.parts.writers) + 1
    assert "graph-view" in circuit.html()
    assert np.isfinite(circuit.edge_scores).all()
