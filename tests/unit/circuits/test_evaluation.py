"""The scores of a circuit, each put together by hand from separate ablations."""

from __future__ import annotations

import warnings
from dataclasses import fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.patchings import ablate
from tests.unit import lens_models
from tests.unit.circuit_models import TINY, WORDS, ioi, tinyworld
from tests.unit.kernels import of_mask
from tests.unit.made_results import draws, two_sided
from workbench import Effects, circuits, find_circuit
from workbench.circuits import Attribution, Circuit, Minimality
from workbench.result import Result

N_CONTROLS = 3
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
REFERENCES = ("counterfactual", "resample", "mean-position")
CLOSE: dict[str, Any] = {"atol": 2e-4, "rtol": 1e-5}


@cache
def found(name: str = "tinyworld") -> Circuit:
    return find_circuit(tinyworld(name), ioi(), n_edges=25, steps=2)


@cache
def evaluated(name: str = "tinyworld", backend: str = "nnsight") -> Effects:
    return circuits.evaluate(tinyworld(name, backend), ioi(), found(name), n_controls=N_CONTROLS)


def under(result: Effects, kind: str, change: str, **labels: Any) -> np.ndarray:
    """(example,) the metric under a change."""
    row = result.rows(change=change, reference=kind, **labels)[0]
    return result.measures[0].changed[row]


def random(result: Effects, kind: str) -> np.ndarray:
    """(draw, example) the metric under each random circuit."""
    return result.measures[0].control[np.array(result.controls["reference"]) == kind]


def nodes_of(result: Effects, kind: str) -> list[str]:
    names = [result.changes["change"][row] for row in result.rows(reference=kind)]
    return [name.removeprefix("without ") for name in names if name.startswith("without ")]


def left(name: str, kept: Circuit, kind: str) -> np.ndarray:
    """(batch,) the metric with all but a circuit ablated."""
    return ablate(tinyworld(name), ioi(), kept.complement(), reference=kind).ablated


def all_of(circuit: Circuit) -> Circuit:
    named = {f.name: getattr(circuit, f.name) for f in fields(Result)}
    named |= {name: getattr(circuit, name) for name in ("task", "method", "threshold")}
    return of_mask(circuit.parts, circuit.parts.edges, circuit.edge_scores, **named)


@pytest.mark.parametrize("name", TINY)
def test_every_run_of_an_evaluation_is_an_ablation_of_its_own(name: str) -> None:
    result, circuit = evaluated(name), found(name)
    assert tuple(dict.fromkeys(result.changes["reference"])) == REFERENCES
    assert {c: len(random(result, c)) for c in REFERENCES} == dict.fromkeys(REFERENCES, N_CONTROLS)
    for kind in REFERENCES:
        sizes = [result.changes["fraction"][r] for r in result.rows(change="top", reference=kind)]
        assert tuple(sizes) == FRACTIONS
        whole = ablate(tinyworld(name), ioi(), all_of(circuit), reference=kind)
        np.testing.assert_allclose(result["ioi"].plain, whole.clean, **CLOSE)
        np.testing.assert_allclose(under(result, kind, "empty"), whole.ablated, **CLOSE)
        inside = under(result, kind, "inside", fraction=circuit.share)
        np.testing.assert_allclose(inside, left(name, circuit, kind), **CLOSE)
        outside = ablate(tinyworld(name), ioi(), circuit, reference=kind).ablated
        np.testing.assert_allclose(under(result, kind, "outside"), outside, **CLOSE)
        for i in range(N_CONTROLS):
            drawn = circuit.random(i)
            assert drawn.n_edges == circuit.n_edges
            np.testing.assert_allclose(random(result, kind)[i], left(name, drawn, kind), **CLOSE)
    np.testing.assert_allclose(under(result, "counterfactual", "empty"), whole.corrupt, **CLOSE)


@pytest.mark.parametrize("name", TINY)
def test_minimality_is_what_each_node_adds_and_fractions_follow_the_scores(name: str) -> None:
    result, circuit, kind = evaluated(name), found(name), "counterfactual"
    each = circuits.minimality(result, kind)
    assert each.nodes == tuple(nodes_of(result, kind)) == circuit.nodes
    for i, node in list(enumerate(circuit.nodes))[:6]:
        less = left(name, circuit.without([node]), kind)
        np.testing.assert_allclose(under(result, kind, f"without {node}"), less, **CLOSE)
        lost = faithfulness(result, under(result, kind, "inside")) - faithfulness(result, less)
        assert each.lost[i] == pytest.approx(lost, abs=1e-4)
    total, n_found = circuit.parts.n_edges, 0
    for fraction in FRACTIONS:
        n_edges = round(fraction * total)
        if n_edges in (0, total):
            wanted = under(result, kind, "empty") if n_edges == 0 else result["ioi"].plain
        else:
            scores = as_attribution(name, circuit)
            try:
                sized = find_circuit(tinyworld(name), ioi(), n_edges=n_edges, attribution=scores)
            except ValueError as error:
                # So few do not connect.
                assert "no path is left" in str(error)
                wanted = under(result, kind, "empty")
            else:
                wanted, n_found = left(name, sized, kind), n_found + 1
        now = under(result, kind, "top", fraction=fraction)
        np.testing.assert_allclose(now, wanted, **CLOSE)
    assert n_found >= 5


@cache
def attribution(name: str) -> Attribution:
    from workbench import attribute

    return attribute(tinyworld(name), ioi(), steps=2)


def as_attribution(name: str, circuit: Circuit) -> Attribution:
    np.testing.assert_array_equal(attribution(name).edge_matrix(), circuit.edge_scores)
    return attribution(name)


def faithfulness(result: Effects, values: np.ndarray, kind: str = "counterfactual") -> float:
    low, high = under(result, kind, "empty").mean(), result.measures[0].plain.mean()
    return float((values.astype(float).mean() - low) / (high - low))


def test_scores_are_ratios_of_means_with_intervals_that_cover_them() -> None:
    result = evaluated()
    frame = result.to_frame()
    for kind in REFERENCES:
        for name in ("inside", "outside"):
            value, low, high = result.score(change=name, reference=kind)
            assert value == pytest.approx(faithfulness(result, under(result, kind, name), kind))
            assert low <= value <= high
            narrow = result.score(change=name, reference=kind, level=0.5)
            assert low <= narrow[1] <= narrow[2] <= high
        drawn = [faithfulness(result, values, kind) for values in random(result, kind)]
        line = frame[(frame.change == "inside") & (frame.reference == kind)].iloc[0]
        assert line.control == pytest.approx(np.mean(drawn), abs=1e-6)
        own = abs(1 - result.score(change="inside", reference=kind)[0])
        farther = np.mean([abs(1 - r) > own for r in drawn])
        assert line.beyond == pytest.approx(farther)
        curve = [
            faithfulness(result, under(result, kind, "top", fraction=f), kind) for f in FRACTIONS
        ]
        steps = np.diff(FRACTIONS)
        middle = (np.array(curve)[1:] + np.array(curve)[:-1]) / 2
        assert area(result, kind) == pytest.approx(float((steps * middle).sum()), abs=1e-6)
        gaps = np.abs(1 - np.array(curve))
        assert area(result, kind, missing=True) == pytest.approx(
            float((steps * (gaps[1:] + gaps[:-1]) / 2).sum()), abs=1e-6
        )
    assert result.score(change="inside", reference="counterfactual")[0] > 0.5
    counterfactual = frame[(frame.change == "inside") & (frame.reference == "counterfactual")]
    assert counterfactual.beyond.tolist() == [1]


def area(result: Effects, kind: str, **options: Any) -> float:
    frame = result.area(along="fraction", change="top", **options)
    return float(frame[frame.reference == kind].area.iloc[0])


def test_the_whole_model_scores_one_and_no_edge_scores_zero() -> None:
    for kept, score in ((all_of(found()), 1.0), (found().without(found().edges), 0.0)):
        result = circuits.evaluate(
            tinyworld(), ioi(), kept, references="counterfactual", fractions=(0.5, 1), n_controls=1
        )
        assert result.score(change="inside")[0] == pytest.approx(score, abs=1e-5)
        assert result.score(change="outside")[0] == pytest.approx(1 - score, abs=1e-5)
        assert kept.n_edges in (0, kept.parts.n_edges)


def test_an_ablation_that_moves_nothing_measures_nothing() -> None:
    full = circuits.evaluate(
        tinyworld(), ioi(), found(), references=("mean-position", "counterfactual"), n_controls=2
    )
    # As if the first reference left everything as it was.
    (measure,) = full.measures
    changed = measure.changed.copy()
    changed[full.rows(change="empty", reference="mean-position")] = measure.plain
    result = replace(full, measures=(replace(measure, changed=changed),))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(result.score(change="inside", reference="mean-position")).all()
        frame = result.to_frame()
        line = frame[(frame.change == "inside") & (frame.reference == "mean-position")].iloc[0]
        assert np.isnan(line.beyond) and np.isnan(area(result, "mean-position"))
        assert np.isnan(circuits.minimality(result, "mean-position").lost).all()
        assert np.isfinite(result.score(change="inside", reference="counterfactual")).all()


@pytest.mark.parametrize("name", TINY)
def test_both_backends_give_the_same_scores(name: str) -> None:
    ours, theirs = evaluated(name), evaluated(name, "transformer_lens")
    assert theirs.changes == ours.changes and theirs.controls == ours.controls
    for part in ("plain", "changed", "control"):
        np.testing.assert_allclose(
            getattr(theirs["ioi"], part), getattr(ours["ioi"], part), atol=1e-4, rtol=1e-5
        )
    for kind in REFERENCES:
        assert theirs.score(change="inside", reference=kind) == pytest.approx(
            ours.score(change="inside", reference=kind), abs=1e-5
        )


@pytest.mark.parametrize("seed", [1, 4])
def test_noise_and_random_circuits_are_drawn_by_the_seed(seed: int) -> None:
    model: Any = lens_models.zoo_model("gpt2")
    circuit = find_circuit(model, WORDS, n_edges=12, method="eap", n_controls=0)
    result = circuits.evaluate(
        model, WORDS, circuit, references="noise", fractions=(0.5,), n_controls=2, seed=seed, n=2
    )
    options: dict[str, Any] = {"reference": "noise", "seed": seed, "n": 2}
    (measure,) = result.measures
    assert result.seed == seed and measure.plain.shape == (2,) and len(result.tokens) == 2

    def alone(kept: Circuit, **more: Any) -> np.ndarray:
        return ablate(model, WORDS, kept.complement(), **(options | more)).ablated

    inside = under(result, "noise", "inside")
    np.testing.assert_allclose(inside, alone(circuit), **CLOSE)
    for i in range(2):
        np.testing.assert_allclose(measure.control[i], alone(circuit.random(seed + i)), **CLOSE)
    assert np.abs(alone(circuit, seed=0) - inside).max() > 1e-3
    other = alone(circuit.random(0))
    assert np.abs(other - measure.control).max(-1).min() > 1e-3


def test_a_circuit_that_chance_draws_too_is_no_better_than_chance() -> None:
    model: Any = lens_models.zoo_model("gpt2")
    drawn = find_circuit(model, WORDS, n_edges=12, method="eap", n_controls=0).random(3)
    for kept in (drawn, all_of(drawn)):
        same = circuits.evaluate(model, WORDS, kept, fractions=(0.5, 1), n_controls=1, seed=3)
        frame = same.to_frame()
        for kind in REFERENCES:
            line = frame[(frame.change == "inside") & (frame.reference == kind)].iloc[0]
            assert line.control == pytest.approx(line.effect, abs=1e-12) and line.beyond == 0


def test_the_table_and_the_text_give_the_scores(tmp_path: Any) -> None:
    result = evaluated()
    frame = result.to_frame()
    assert list(dict.fromkeys(frame.reference)) == list(REFERENCES)
    for kind in REFERENCES:
        line = frame[(frame.change == "outside") & (frame.reference == kind)].iloc[0]
        assert [line.effect, line.low, line.high] == pytest.approx(
            result.score(change="outside", reference=kind)
        )
    value = result.score(change="inside", reference="counterfactual")[0]
    assert f"{found().n_edges} of 479 edges by eap-ig on ioi: " in repr(result)
    assert f"change inside, reference counterfactual, fraction 0.0522: {value:+.3f}" in repr(result)
    result.save(tmp_path / "evaluation")
    back = Effects.load(tmp_path / "evaluation")
    assert back.to_frame().equals(frame) and repr(back) == repr(result)
    each = circuits.minimality(result, "resample")
    each.save(tmp_path / "each")
    assert Minimality.load(tmp_path / "each").to_frame().equals(each.to_frame())
    most = each.nodes[int(each.lost.argmax())]
    assert f"{len(each.nodes)} nodes, resample; without {most} {each.lost.max():.2f}" in repr(each)


@pytest.mark.parametrize("level", [0.5, 0.95])
def test_what_a_node_adds_is_paired_by_example(level: float) -> None:
    result = evaluated()
    (measure,) = result.measures
    empty, inside = (under(result, "resample", name) for name in ("empty", "inside"))
    each = circuits.minimality(result, "resample", level=level)
    for i, node in enumerate(each.nodes):
        less = under(result, "resample", f"without {node}")
        lost = [
            (inside[rows].mean() - less[rows].mean())
            / (measure.plain[rows].mean() - empty[rows].mean())
            for rows in draws(len(inside), 2000, 0)
        ]
        assert (each.low[i], each.high[i]) == pytest.approx(two_sided(lost, level), abs=1e-6)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"references": "none"}, "references is one of 'zero', 'mean'.*got 'none'"),
        ({"references": ()}, r"at least one reference.*got references=\(\)"),
        ({"fractions": (0.0, 1)}, "An evaluation has at least one reference, and fractions"),
        ({"fractions": (0.5, 1.5)}, r"up to 1; got .*fractions=\(0\.5, 1\.5\)"),
        ({"n_controls": 0}, "n_controls is a whole number from 1; got 0"),
        ({"n_controls": -2}, "n_controls is a whole number from 1; got -2"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        circuits.evaluate(tinyworld(), ioi(), found(), **options)


def test_another_models_circuit_and_unknown_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="A Circuit belongs to the model it was made on"):
        circuits.evaluate(lens_models.zoo_model("gpt2"), WORDS, found())
    other = circuits.of(lens_models.zoo_model("gpt2"), ["embed → logits"])
    with pytest.raises(ValueError, match="with 2 layers of 4 .*; this is tinyworld with 4 of"):
        circuits.evaluate(tinyworld(), ioi(), other)
    with pytest.raises(KeyError, match="No change has .*'zero'.*counterfactual.*resample"):
        evaluated().score(change="inside", reference="zero")
    with pytest.raises(KeyError, match="No change has .*'zero'.*counterfactual.*resample"):
        circuits.minimality(evaluated(), "zero")
