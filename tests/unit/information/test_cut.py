"""Flow cut: the answer of each run, its controls, and what is refused."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import BACKENDS
from tests.unit.cut_edges import (
    best_of,
    check,
    ends,
    fall,
    model_of,
    others_of,
    run_with,
    runs,
    strongest,
    whole,
)
from tests.unit.lens_models import words_model
from tests.unit.plain_pass import edges_of, graph_of, place
from workbench.edits import Scale


def test_expected_adds_up_the_weights_and_counts_a_neuron_once() -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    out = strongest(info, "neuron", "state")
    into = next(e for e in info.edge_names if ends(e)[1] == ends(out)[0])
    head = strongest(info, "head", "state")
    weight = dict(zip(info.edge_names, info.weights, strict=True))
    both = wb.information.cut(model, info, [into, out, head], n_controls=2)
    assert both.what == f"3 edges, first {into}"
    assert fall(both, "predicted") == pytest.approx(weight[out] + weight[head], abs=1e-6)
    assert all(len(edges) == 2 for edges in others_of(both))
    small = wb.information.cut(model, info, [into, out, head], strength=0.01, n_controls=0)
    assert fall(small, "predicted") == pytest.approx(0.01 * fall(both, "predicted"), rel=1e-5)
    said = fall(small, "predicted")
    assert fall(small) == pytest.approx(said, abs=2e-2 * abs(said) + 1e-4)
    shares = wb.information.cut(model, whole(measure="state"), head, n_controls=0)
    assert "predicted" not in [measure.name for measure in shares.measures]


@pytest.mark.parametrize("seed", [0, 1])
def test_controls_are_other_edges_of_the_same_kinds_and_are_run_as_said(seed: int) -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    graph = info
    number = {name: e for e, name in enumerate(info.edge_names)}

    def kinds(names: Any) -> Counter[tuple[str, ...]]:
        """What is cut; a neuron's edge in and its edge out are one cut."""
        out = []
        for e in map(number.__getitem__, names):
            both = graph.kinds[graph.sources[e]], graph.kinds[graph.targets[e]]
            one = [kind for kind in both if kind in ("neuron", "mlp")]
            out.append(tuple(one) or (*both, graph.channels[e]))
        return Counter(out)

    def taken(name: str) -> str:
        """What is cut with an edge: itself, or the neuron or the MLP at one end of it."""
        at = (graph.sources[number[name]], graph.targets[number[name]])
        parts = [graph.ids[node] for node in at if graph.kinds[node] in ("neuron", "mlp")]
        return parts[0] if parts else name

    chosen = [
        strongest(info, "head", "state"),
        strongest(info, "state", "head", "v"),
        strongest(info, "state", "head", "k"),
        strongest(info, "neuron", "state"),
        strongest(info, "state", "mlp"),
    ]
    result = wb.information.cut(model, info, chosen, n_controls=3, seed=seed)
    assert len(others_of(result)) == 3 == len(set(result.controls["draw"]))
    cut = {taken(name) for name in chosen}
    for edges in others_of(result):
        assert kinds(edges) == kinds(chosen)
        assert not cut & {taken(name) for name in edges}
    for i, edges in enumerate(others_of(result)):
        alone = wb.information.cut(model, info, edges, n_controls=0)
        for name in ("answer", info.target, "KL", "predicted"):
            assert runs(result, name)[2 + i] == pytest.approx(runs(alone, name)[1], abs=1e-4)
    again = wb.information.cut(model, info, chosen, n_controls=3, seed=seed)
    assert again.controls == result.controls
    other = wb.information.cut(model, info, chosen, n_controls=3, seed=seed + 10)
    assert other.controls != result.controls
    own = result.effect(of="controls")[:, 0]
    np.testing.assert_allclose(own, runs(result)[2:] - runs(result)[0])


def test_where_there_is_nothing_like_it_there_are_no_controls() -> None:
    model, prompt = model_of("gptj")
    info = graph_of(model, prompt, n_edges=1)
    result = wb.information.cut(model, info, info.edge_names[0])
    assert result.kinds == ()
    assert len(runs(result)) == 2


def alone_at_the_start(info: wb.information.InformationGraph) -> dict[int, list[str]]:
    """Of one head the key edges of its first positions."""
    out: dict[int, list[str]] = {}
    for name, (_, target, channel, _) in zip(info.edge_names, edges_of(info), strict=True):
        if channel == "k" and target.startswith("L1H0."):
            out.setdefault(place(target)[1], []).append(name)
    return out


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_head_left_with_nothing_is_a_named_error_and_leaves_no_trace(backend: str) -> None:
    info = whole()
    model, _ = model_of("tinyworld", backend)
    logits = run_with(model, info, [])
    keys = alone_at_the_start(info)[1]
    assert len(keys) == 2
    with pytest.raises(ValueError, match=r"keys of positions \[0, 1\] cut, L1H0.z@1 has nothing"):
        wb.information.cut(model, info, keys)
    np.testing.assert_array_equal(run_with(model, info, []), logits)


def test_a_control_that_would_leave_a_head_with_nothing_is_left_out() -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    keys = alone_at_the_start(info)
    # Of two key edges of one head only those that are cut and those that must not be are left.
    keep = [info.edge_names.index(e) for e in (*keys[1], *keys[3][:2])]
    part = info._part(np.array(sorted(keep)))
    result = wb.information.cut(model, part, [info.edge_names[e] for e in keep[2:]])
    assert result.kinds == ()
    assert runs(result).shape == (2,)


def test_no_cut_warns_and_a_fraction_of_nothing_changes_nothing() -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for source, target, channel in (
            ("head", "state", ""), ("state", "head", "v"), ("state", "head", "k"),
            ("state", "head", "q"), ("neuron", "state", ""), ("mlp", "state", ""),
            ("state", "state", ""),
        ):  # fmt: skip
            edge = strongest(info, source, target, channel)
            result = wb.information.cut(model, info, edge, strength=0, n_controls=0)
            assert fall(result) == pytest.approx(0, abs=1e-5)
            assert runs(result, "KL") == pytest.approx(0, abs=1e-6)


def test_at_several_roots_the_answer_is_that_of_the_last() -> None:
    model, prompt = model_of("tinyworld")
    info = graph_of(model, prompt, position=None, n_edges=60)
    result = wb.information.cut(model, info, info.edge_names[-1], n_controls=0)
    check(info, result, run_with(model, info, []), 0)
    assert next(iter(best_of(result, 0, 1))) == info.target


def test_a_soft_cap_is_taken_off_the_answer_but_not_off_the_words() -> None:
    model, prompt = model_of("gemma2")
    cap = model.spec.soft_cap
    assert cap == 5
    info = graph_of(model, prompt, measure="answer", foil="w6", final_norm="real", n_edges=40)
    result = wb.information.cut(model, info, info.edge_names[0], n_controls=1)
    logits = run_with(model, info, [])
    inner = cap * np.arctanh(logits / cap)
    assert runs(result)[0] == pytest.approx(inner[info.target_id] - inner[info.foil_id], abs=1e-4)
    weights = np.exp(logits)
    expected = weights[info.target_id] / weights.sum()
    assert runs(result, info.target)[0] == pytest.approx(expected, abs=1e-5)


def test_the_words_and_the_divergence_are_those_of_each_run() -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    head = strongest(info, "head", "state")
    result = wb.information.cut(model, info, head, n_controls=1, k=3)
    site, position = place(ends(head)[0])
    rows = [run_with(model, info, e) for e in ([], Scale(site, 0, positions=position))]
    plain, cut = (row - np.log(np.exp(row - row.max()).sum()) - row.max() for row in rows)
    expected = float((np.exp(plain) * (plain - cut)).sum())
    assert runs(result, "KL")[1] == pytest.approx(expected, abs=1e-5)
    for row, logits in enumerate(rows):
        order = np.argsort(-logits)[:3]
        assert tuple(best_of(result, row, 3)) == tuple(model.tokenizer.decode([i]) for i in order)
    assert result["answer"].unit == "logits"


def test_a_cut_is_saved_and_tabled(tmp_path: Path) -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    head = strongest(info, "head", "state")
    result = wb.information.cut(model, info, head, n_controls=2)
    again = wb.Effects.load(result.save(tmp_path / "cut"))
    frame = result.to_frame()
    assert again.to_frame().equals(frame) and again.controls == result.controls
    assert list(frame.measure[:4]) == ["answer", "predicted", "KL", info.target]
    assert set(frame.change) == {"cut"} and set(frame.kind) == {"random"}
    assert frame.effect[0] == pytest.approx(-fall(result))
    assert all(name in info.edge_names for each in others_of(result) for name in each)
    assert repr(result).startswith(
        f"Effects(tinyworld: {head}: 1 changes; answer under change cut, strength 1.0: "
        f"{-fall(result):+.3f}"
    )


@pytest.mark.parametrize(
    ("edges", "options", "text"),
    [
        ([], {}, "A cut names at least one edge"),
        ("L0H0.z@0 → nothing", {}, "'L0H0.z@0 → nothing' is no edge of this graph"),
        (None, {}, "An edge is cut once; .* is named twice"),
        ("", {"strength": 1.5}, "0 to 1; got 1.5"),
        ("", {"strength": float("nan")}, "0 to 1; got nan"),
        ("", {"n_controls": -1}, "n_controls is a whole number from 0; got -1"),
        ("", {"k": 0}, "k is a whole number from 1; got 0"),
    ],
)
def test_bad_input_is_a_named_error(edges: Any, options: Any, text: str) -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    first = info.edge_names[0]
    given = [first, first] if edges is None else edges or (first if edges == "" else [])
    with pytest.raises(ValueError, match=text):
        wb.information.cut(model, info, given, **options)


def test_where_the_pattern_comes_too_late_an_edge_into_a_head_is_a_named_error() -> None:
    info = whole("gptj")
    model, _ = model_of("gptj", "transformer_lens")
    logits = run_with(model, info, [])
    for channel in "vkq":
        edge = strongest(info, "state", "head", channel)
        with pytest.raises(ValueError, match="GPTJForCausalLM the transformer_lens backend gives"):
            wb.information.cut(model, info, edge)
    np.testing.assert_array_equal(run_with(model, info, []), logits)
    head = strongest(info, "head", "state")
    assert wb.information.cut(model, info, head, n_controls=0).kinds == ()
    there, _ = model_of("gptj")
    assert wb.information.cut(there, info, edge, n_controls=0).kinds == ()


def test_another_model_is_a_named_error() -> None:
    info = whole()
    with pytest.raises(ValueError, match="model that their graph is of, tinyworld; got words"):
        wb.information.cut(words_model(), info, info.edge_names[0])
