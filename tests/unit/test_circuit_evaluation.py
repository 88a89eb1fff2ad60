"""The scores of a circuit, each put together by hand from separate ablations."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from tests.unit import lens_models
from tests.unit.circuit_models import TINY, WORDS, ioi, tinyworld
from workbench import (
    Attribution,
    Circuit,
    CircuitEvaluation,
    ablate,
    circuit_of,
    evaluate_circuit,
    find_circuit,
)

N_RANDOM = 3
FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
ABLATIONS = ("counterfactual", "resample", "mean-position")
CLOSE: dict[str, Any] = {"atol": 2e-4, "rtol": 1e-5}


@cache
def found(name: str = "tinyworld") -> Circuit:
    return find_circuit(tinyworld(name), ioi(), n_edges=25, steps=2)


@cache
def evaluated(name: str = "tinyworld", backend: str = "nnsight") -> CircuitEvaluation:
    return evaluate_circuit(tinyworld(name, backend), ioi(), found(name), n_random=N_RANDOM)


def left(name: str, kept: Circuit, kind: str) -> np.ndarray:
    """(batch,) the metric with all but a circuit ablated."""
    return ablate(tinyworld(name), ioi(), kept.complement(), kind=kind).ablated


def all_of(circuit: Circuit) -> Circuit:
    return replace(circuit, kept=circuit.parts.edges)


@pytest.mark.parametrize("name", TINY)
def test_every_run_of_an_evaluation_is_an_ablation_of_its_own(name: str) -> None:
    result, circuit = evaluated(name), found(name)
    assert result.ablations == ABLATIONS and tuple(result.fractions) == FRACTIONS
    for at, kind in enumerate(ABLATIONS):
        whole = ablate(tinyworld(name), ioi(), all_of(circuit), kind=kind)
        np.testing.assert_allclose(result.whole[at], whole.clean, **CLOSE)
        np.testing.assert_allclose(result.empty[at], whole.ablated, **CLOSE)
        np.testing.assert_allclose(result.inside[at], left(name, circuit, kind), **CLOSE)
        outside = ablate(tinyworld(name), ioi(), circuit, kind=kind).ablated
        np.testing.assert_allclose(result.outside[at], outside, **CLOSE)
        for i in range(N_RANDOM):
            drawn = circuit.random(i)
            assert drawn.n_edges == circuit.n_edges
            np.testing.assert_allclose(result.random[at, i], left(name, drawn, kind), **CLOSE)
    np.testing.assert_allclose(result.empty[0], whole.corrupt, **CLOSE)


@pytest.mark.parametrize("name", TINY)
def test_minimality_is_what_each_node_adds_and_fractions_follow_the_scores(name: str) -> None:
    result, circuit = evaluated(name), found(name)
    assert result.nodes == circuit.nodes
    for i, node in list(enumerate(circuit.nodes))[:6]:
        less = left(name, circuit.without([node]), "counterfactual")
        np.testing.assert_allclose(result.without[0, i], less, **CLOSE)
        lost = faithfulness(result, result.inside[0]) - faithfulness(result, less)
        assert result.minimality("counterfactual")[node] == pytest.approx(lost, abs=1e-4)
    total = circuit.parts.n_edges
    for i, fraction in enumerate(FRACTIONS):
        n_edges = round(fraction * total)
        assert result.n_edges_at[i] <= n_edges
        if n_edges in (0, total):
            wanted = result.empty[0] if n_edges == 0 else result.whole[0]
        elif result.n_edges_at[i]:
            scores = as_attribution(name, circuit)
            sized = find_circuit(tinyworld(name), ioi(), n_edges=n_edges, attribution=scores)
            assert sized.n_edges == result.n_edges_at[i]
            wanted = left(name, sized, "counterfactual")
        else:
            wanted = result.empty[0]
        np.testing.assert_allclose(result.at_fraction[0, i], wanted, **CLOSE)


@cache
def attribution(name: str) -> Attribution:
    from workbench import attribute

    return attribute(tinyworld(name), ioi(), steps=2)


def as_attribution(name: str, circuit: Circuit) -> Attribution:
    np.testing.assert_array_equal(attribution(name).edge_matrix(), circuit.scores)
    return attribution(name)


def faithfulness(result: CircuitEvaluation, values: np.ndarray, at: int = 0) -> float:
    low, high = (x[at].astype(float).mean() for x in (result.empty, result.whole))
    return float((values.astype(float).mean() - low) / (high - low))


def test_scores_are_ratios_of_means_with_intervals_that_cover_them() -> None:
    result = evaluated()
    for at, kind in enumerate(ABLATIONS):
        for name, values in (("faithfulness", result.inside), ("completeness", result.outside)):
            value, low, high = result.score(name, kind)
            assert value == pytest.approx(faithfulness(result, values[at], at))
            assert low <= value <= high
            narrow = result.score(name, kind, 0.5)
            assert low <= narrow[1] <= narrow[2] <= high
        random = [faithfulness(result, values, at) for values in result.random[at]]
        np.testing.assert_allclose(result.random_scores(kind), random, atol=1e-6)
        own = abs(1 - result.score("faithfulness", kind)[0])
        farther = np.mean([abs(1 - r) > own for r in random])
        assert result.better_than_chance(kind) == pytest.approx(farther)
        curve = [faithfulness(result, values, at) for values in result.at_fraction[at]]
        np.testing.assert_allclose(result.curve(kind), curve, atol=1e-6)
        steps = np.diff(FRACTIONS)
        middle = (np.array(curve)[1:] + np.array(curve)[:-1]) / 2
        assert result.cpr(kind) == pytest.approx(float((steps * middle).sum()), abs=1e-6)
        gaps = np.abs(1 - np.array(curve))
        assert result.cmd(kind) == pytest.approx(
            float((steps * (gaps[1:] + gaps[:-1]) / 2).sum()), abs=1e-6
        )
    each = [result.score("faithfulness", kind)[0] for kind in ABLATIONS]
    assert result.disagreement == pytest.approx(max(each) - min(each))
    assert result.score("faithfulness", "counterfactual")[0] > 0.5
    assert result.better_than_chance("counterfactual") == 1


def test_the_whole_model_scores_one_and_no_edge_scores_zero() -> None:
    for kept, score in ((all_of(found()), 1.0), (found().without(found().edges), 0.0)):
        result = evaluate_circuit(
            tinyworld(), ioi(), kept, ablations="counterfactual", fractions=(0.5, 1), n_random=1
        )
        assert result.score("faithfulness", "counterfactual")[0] == pytest.approx(score, abs=1e-5)
        assert result.score("completeness", "counterfactual")[0] == pytest.approx(
            1 - score, abs=1e-5
        )
        assert result.n_edges in (0, result.n_model_edges)


def test_an_ablation_that_moves_nothing_measures_nothing() -> None:
    full = evaluate_circuit(
        tinyworld(), ioi(), found(), ablations=("mean-position", "counterfactual"), n_random=2
    )
    # As if the first ablation left everything as it was.
    result = replace(full, empty=np.stack([full.whole[0], full.empty[1]]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        value, low, high = result.score("faithfulness", "mean-position")
        assert np.isnan([value, low, high]).all()
        assert np.isnan(result.better_than_chance("mean-position"))
        assert np.isnan(result.cpr("mean-position"))
        assert np.isnan(list(result.minimality("mean-position").values())).all()
        assert np.isfinite(result.score("faithfulness", "counterfactual")).all()
        assert result.disagreement == 0


@pytest.mark.parametrize("name", TINY)
def test_both_backends_give_the_same_scores(name: str) -> None:
    ours, theirs = evaluated(name), evaluated(name, "transformer_lens")
    for part in ("whole", "empty", "inside", "outside", "random", "without", "at_fraction"):
        np.testing.assert_allclose(getattr(theirs, part), getattr(ours, part), atol=1e-4, rtol=1e-5)
    for kind in ABLATIONS:
        assert theirs.score("faithfulness", kind) == pytest.approx(
            ours.score("faithfulness", kind), abs=1e-5
        )


@pytest.mark.parametrize("seed", [1, 4])
def test_noise_and_random_circuits_are_drawn_by_the_seed(seed: int) -> None:
    model: Any = lens_models.zoo_model("gpt2")
    circuit = find_circuit(model, WORDS, n_edges=12, method="eap")
    result = evaluate_circuit(
        model, WORDS, circuit, ablations="noise", fractions=(0.5,), n_random=2, seed=seed, n=2
    )
    options: dict[str, Any] = {"kind": "noise", "seed": seed, "n": 2}
    assert result.seed == seed and result.whole.shape == (1, 2) and len(result.tokens) == 2

    def alone(kept: Circuit, **more: Any) -> np.ndarray:
        return ablate(model, WORDS, kept.complement(), **(options | more)).ablated

    np.testing.assert_allclose(result.inside[0], alone(circuit), **CLOSE)
    for i in range(2):
        np.testing.assert_allclose(result.random[0, i], alone(circuit.random(seed + i)), **CLOSE)
    assert np.abs(alone(circuit, seed=0) - result.inside[0]).max() > 1e-3
    other = alone(circuit.random(0))
    assert np.abs(other - result.random[0]).max(-1).min() > 1e-3


def test_a_circuit_that_chance_draws_too_is_no_better_than_chance() -> None:
    model: Any = lens_models.zoo_model("gpt2")
    drawn = find_circuit(model, WORDS, n_edges=12, method="eap").random(3)
    for kept in (drawn, replace(drawn, kept=drawn.parts.edges)):
        same = evaluate_circuit(model, WORDS, kept, fractions=(0.5, 1), n_random=1, seed=3)
        for kind in ABLATIONS:
            assert same.random_scores(kind)[0] == same.score("faithfulness", kind)[0]
            assert same.better_than_chance(kind) == 0


def test_the_table_and_the_text_give_the_scores(tmp_path: Any) -> None:
    result = evaluated()
    frame = result.to_frame()
    assert list(frame.index) == list(ABLATIONS)
    for kind in ABLATIONS:
        line = frame.loc[kind]
        value, low, high = result.score("completeness", kind)
        wanted = [line["completeness"], line["completeness_low"], line["completeness_high"]]
        assert wanted == pytest.approx([value, low, high])
        assert line["cmd"] == pytest.approx(result.cmd(kind))
        assert line["random_faithfulness"] == pytest.approx(result.random_scores(kind).mean())
    value = result.score("faithfulness", "counterfactual")[0]
    assert f"{result.n_edges} of 479 edges on ioi: faithfulness {value:.2f} [" in repr(result)
    result.save(tmp_path / "evaluation")
    back = CircuitEvaluation.load(tmp_path / "evaluation")
    assert back.to_frame().equals(frame) and repr(back) == repr(result)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ablations": "none"}, "An ablation is one of zero, mean.*got 'none'"),
        ({"ablations": ()}, r"at least one ablation.*got ablations=\(\)"),
        ({"fractions": (0.0, 1)}, "An evaluation has at least one ablation, and fractions"),
        ({"fractions": (0.5, 1.5)}, r"up to 1; got .*fractions=\(0\.5, 1\.5\)"),
        ({"n_random": 0}, "n_random is a whole number from 1; got 0"),
        ({"n_random": -2}, "n_random is a whole number from 1; got -2"),
    ],
)
def test_options_that_do_not_fit_are_named(options: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        evaluate_circuit(tinyworld(), ioi(), found(), **options)


def test_another_models_circuit_and_unknown_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="A Circuit belongs to the model it was made on"):
        evaluate_circuit(lens_models.zoo_model("gpt2"), WORDS, found())
    other = circuit_of(lens_models.zoo_model("gpt2"), ["embed → logits"])
    with pytest.raises(ValueError, match="with 2 layers of 4 .*; this is tinyworld with 4 of"):
        evaluate_circuit(tinyworld(), ioi(), other)
    with pytest.raises(ValueError, match="A score is faithfulness or completeness; got 'cpr'"):
        evaluated().score("cpr", "counterfactual")
    with pytest.raises(ValueError, match="has the ablations counterfactual, .*; got 'zero'"):
        evaluated().score("faithfulness", "zero")
