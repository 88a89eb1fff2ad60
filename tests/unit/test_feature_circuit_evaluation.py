"""The scores of a feature circuit, each run recomputed with the codes put in by hand."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.feature_circuit_models import (
    BACKENDS,
    CLOSE,
    KINDS,
    NAMES,
    batch,
    dicts,
    ids_of,
    kept_pass,
    metric,
    model,
    plain_pass,
    reference,
)
from tests.unit.kernels import examples, kept_metric, node_bases
from workbench.dictionary.collection import Dictionaries
from workbench.site import Site

REFERENCES = ("mean-position", "counterfactual")
SIZES = (2, 9, 10**6)


@cache
def circuit(name: str = "gpt2") -> wb.features.FeatureCircuit:
    return wb.features.circuit(
        model(name), batch(name), dicts(), n_nodes=25, layers=(0, 1), steps=2
    )


@cache
def evaluated(name: str = "gpt2", backend: str = "nnsight") -> wb.features.FeatureCircuitEvaluation:
    return wb.features.evaluate_circuit(
        model(name, backend),
        batch(name),
        circuit(name),
        dicts(),
        references=REFERENCES,
        sizes=SIZES,
        n_controls=2,
        seed=3,
    )


def slow(name: str, masks: dict[Site, np.ndarray], kind: str) -> np.ndarray:
    """(batch,) the metric, one prompt at a time."""
    kept = {str(site): mask for site, mask in masks.items()}
    return np.array([kept_pass(name, dicts(), kept, kind, i) for i in range(len(batch(name)))])


@pytest.mark.parametrize("name", NAMES)
def test_every_run_of_an_evaluation_is_one_with_codes_put_in_by_hand(name: str) -> None:
    result, chosen = evaluated(name), circuit(name).chosen(dicts())
    nothing = {site: np.zeros_like(mask) for site, mask in chosen.items()}
    features = {site: np.append(mask[:-1], False) for site, mask in chosen.items()}
    errors = {site: np.append(0 * mask[:-1], mask[-1]) > 0 for site, mask in chosen.items()}
    every = {site: np.append(0 * mask[:-1] + 1, 0) > 0 for site, mask in chosen.items()}
    rest = {site: ~mask for site, mask in chosen.items()}
    for at, kind in enumerate(REFERENCES):
        choices = {
            "empty": nothing,
            "inside": chosen,
            "outside": rest,
            "no_errors": features,
            "only_errors": errors,
            "no_dictionary_errors": every,
        }
        for field, masks in choices.items():
            np.testing.assert_allclose(
                getattr(result, field)[at], slow(name, masks, kind), err_msg=field, **CLOSE
            )
        for i in range(2):
            drawn = circuit(name).random(3 + i).chosen(dicts())
            np.testing.assert_allclose(result.random[at, i], slow(name, drawn, kind), **CLOSE)
    assert (result.n_features, result.n_errors) == (
        len(circuit(name).features),
        len(circuit(name).errors),
    )


def test_the_curves_keep_the_best_nodes_of_each_kind() -> None:
    result = evaluated()
    effects = wb.features.effects(model(), batch(), dicts(), method="ig", steps=2)
    every = [(site, i, abs(v)) for site in effects.sites for i, v in enumerate(effects.at(site))]
    best = sorted(every, key=lambda row: -row[2])
    for at, size in enumerate(SIZES):
        masks: Any = {site: np.zeros(n, bool) for site, n in effects.sizes.items()}
        for site, i, _ in best[:size]:
            masks[site][i] = True
        np.testing.assert_allclose(
            result.at_size[1, at], slow("gpt2", masks, "counterfactual"), **CLOSE
        )
    for values in (result.at_size, result.coordinates, result.parts):
        for kind in range(len(REFERENCES)):
            np.testing.assert_allclose(values[kind, -1], result.whole, **CLOSE)
    for nodes, values, empty in (
        ("features", result.at_size, result.empty),
        ("coordinates", result.coordinates, result.coordinates_empty),
        ("parts", result.parts, result.parts_empty),
    ):
        low, high = empty[1].mean(), result.whole.mean()
        wanted = (values[1].mean(-1) - low) / (high - low)
        np.testing.assert_allclose(result.curve("counterfactual", nodes), wanted, rtol=1e-4)
        assert result.curve("counterfactual", nodes)[-1] == pytest.approx(1, abs=1e-4)


def test_as_many_pairs_are_taken_as_are_asked_for_and_the_circuits_own_method() -> None:
    plain = wb.features.circuit(
        model(), batch(), dicts(), n_nodes=25, layers=(0, 1), method="attribution"
    )
    options: dict[str, Any] = {"references": "mean", "sizes": (3,), "n_controls": 1}
    result = wb.features.evaluate_circuit(model(), batch(), plain, dicts(), n=2, **options)
    assert result.whole.shape == (2,) == result.inside[0].shape and len(result.tokens) == 2
    two = batch().take(range(2))
    effects = wb.features.effects(model(), two, dicts(), reference=plain.reference)
    every = [(site, i, abs(v)) for site in effects.sites for i, v in enumerate(effects.at(site))]
    masks = {site: np.zeros(n, bool) for site, n in effects.sizes.items()}
    for site, i, _ in sorted(every, key=lambda row: -row[2])[:3]:
        masks[site][i] = True
    wanted = [kept_pass("gpt2", dicts(), masks, "mean", row, two) for row in range(2)]
    np.testing.assert_allclose(result.at_size[0, 0], wanted, **CLOSE)


def test_without_any_coordinate_of_every_stream_the_prompt_is_the_corrupt_one() -> None:
    result = evaluated()
    corrupt = []
    for row in range(len(batch())):
        logits, _ = plain_pass("gpt2", ids_of(batch(), row, "corrupt"))
        corrupt.append(metric(batch(), row, logits).item())
    # The last residual stream is among the sites, so that nothing of the clean prompt is left.
    np.testing.assert_allclose(result.coordinates_empty[1], corrupt, **CLOSE)


def test_heads_and_neurons_are_put_to_their_reference_by_hand() -> None:
    bases = node_bases.plain_bases(model().spec)
    generator = np.random.default_rng(0)
    kept = {basis.site: generator.random(basis.n_nodes) < 0.5 for basis in bases}
    pairs = examples.Examples.of(model(), batch())
    (found,) = kept_metric(model(), pairs, bases, [kept], "counterfactual")
    for row in range(len(batch())):
        _, corrupt = plain_pass("gpt2", ids_of(batch(), row, "corrupt"))
        put: dict[str, Any] = {}
        for site, mask in kept.items():

            def change(value: Any, seen: Any, away=corrupt[str(site)], mask=mask) -> Any:
                out = value.clone()
                gone = torch.as_tensor(~mask)
                out[:, :, gone] = away[:, :, gone].detach()
                return out

            put[str(site)] = change
        logits, _ = plain_pass("gpt2", ids_of(batch(), row), put)
        assert found[row] == pytest.approx(metric(batch(), row, logits).item(), abs=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_kept_is_the_plain_model_and_choices_do_not_touch_each_other(kind: str) -> None:
    bases = node_bases.feature_bases(dicts())
    pairs = examples.Examples.of(model(), batch())
    all_of = {basis.site: np.ones(basis.n_nodes, bool) for basis in bases}
    but_one = {site: mask.copy() for site, mask in all_of.items()}
    but_one[Site("mlp_out", 1)][-1] = False
    none = {site: ~mask for site, mask in all_of.items()}
    found = kept_metric(model(), pairs, bases, [all_of, none, {}, but_one], kind)
    np.testing.assert_allclose(found[0], pairs.clean, rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[2], pairs.clean, rtol=0, atol=1e-5)
    for choice, values in ((none, found[1]), (but_one, found[3])):
        np.testing.assert_allclose(values, slow("gpt2", choice, kind), **CLOSE)
    (alone,) = kept_metric(model(), pairs, bases, [none], kind)
    np.testing.assert_allclose(alone, found[1], rtol=0, atol=1e-5)


def test_scores_are_ratios_of_means_with_intervals_around_them() -> None:
    result = evaluated()
    fields = {"faithfulness": "inside", "completeness": "outside", "no_errors": "no_errors"}
    for at, kind in enumerate(REFERENCES):
        low, high = result.empty[at].mean(), result.whole.mean()
        for name, field in fields.items():
            value, lowest, highest = result.score(name, kind)
            wanted = (getattr(result, field)[at].mean() - low) / (high - low)
            assert value == pytest.approx(wanted, rel=1e-4)
            assert lowest <= value <= highest
        wanted = (result.random[at].mean(-1) - low) / (high - low)
        np.testing.assert_allclose(result.random_scores(kind), wanted, rtol=1e-4)
    flat = np.zeros((2, 3))
    half = replace(
        result, empty=flat, inside=flat + 1, outside=flat + 1.01, whole=flat[0] + 2, gap=1.0
    )
    assert half.score("faithfulness", REFERENCES[0])[0] == 0.5
    # Less than a twentieth of the gap between nothing and the whole model measures nothing.
    assert np.isnan(replace(half, whole=flat[0] + 0.01).score("completeness", REFERENCES[0])).all()


def test_both_backends_give_the_same_scores() -> None:
    one, other = (evaluated(backend=backend) for backend in BACKENDS)
    for field in ("empty", "inside", "outside", "random", "at_size", "coordinates", "parts"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-3, atol=1e-4)


def test_an_evaluation_is_listed_and_the_same_from_disk(tmp_path: Path) -> None:
    result = evaluated()
    frame = result.to_frame()
    assert list(frame.index) == list(REFERENCES)
    for kind in REFERENCES:
        assert frame.loc[kind, "faithfulness"] == result.score("faithfulness", kind)[0]
        assert frame.loc[kind, "only_errors"] == result.score("only_errors", kind)[0]
    assert "faithfulness" in repr(result)
    result.save(tmp_path / "scores")
    again = wb.features.FeatureCircuitEvaluation.load(tmp_path / "scores")
    np.testing.assert_array_equal(again.random, result.random)
    assert again.score("faithfulness", "counterfactual") == result.score(
        "faithfulness", "counterfactual"
    )


def test_what_is_not_there_is_refused_by_name() -> None:
    result = evaluated()
    with pytest.raises(ValueError, match="A score is one of faithfulness, .*; got 'inside'"):
        result.score("inside", "counterfactual")
    with pytest.raises(ValueError, match="has the references mean-position.*; got 'zero'"):
        result.score("faithfulness", "zero")
    with pytest.raises(ValueError, match="A curve is of features, .*; got 'heads'"):
        result.curve("counterfactual", "heads")
    call: Any = wb.features.evaluate_circuit
    for options in ({"references": ()}, {"sizes": ()}, {"sizes": (0,)}, {"n_controls": 0}):
        with pytest.raises(
            ValueError, match="at least one reference, sizes and a num|n_controls is a"
        ):
            call(model(), batch(), circuit(), dicts(), **options)
    with pytest.raises(ValueError, match="A reference is one of .*; got 'median'"):
        call(model(), batch(), circuit(), dicts(), references="median")
    less = Dictionaries([dicts()["L0.attn_out"]])
    with pytest.raises(ValueError, match="has nodes at L0.mlp_out, and .* has no such site"):
        call(model(), batch(), circuit(), less)


def test_a_reference_at_one_position_is_the_mean_over_prompts_of_that_length() -> None:
    codes, _ = reference("gpt2", dicts()["L0.attn_out"], 0, "mean-position")
    other, _ = reference("gpt2", dicts()["L0.attn_out"], 2, "mean-position")
    assert codes.shape == other.shape and (codes == other).all()
