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
def evaluated(name: str = "gpt2", backend: str = "nnsight") -> wb.Effects:
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


#: The changes by the names of what they keep.
FIELDS = {
    "empty": "empty",
    "inside": "inside",
    "outside": "outside",
    "no_errors": "without errors",
    "only_errors": "errors alone",
    "no_dictionary_errors": "all features",
}
KINDS_OF_NODES = ("features", "coordinates", "heads and neurons")


def values(
    result: wb.Effects, change: str, reference: str, nodes: str = "features", **n: Any
) -> Any:
    """(batch,) the metric under a change."""
    rows = result.rows(change=change, reference=reference, nodes=nodes, **n)
    return result.measures[0].changed[rows[0]]


def drawn_of(result: wb.Effects, reference: str) -> Any:
    """(random, batch) the metric with random circuits."""
    return result.measures[0].control[np.array(result.controls["reference"]) == reference]


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
    for kind in REFERENCES:
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
                values(result, FIELDS[field], kind), slow(name, masks, kind), err_msg=field, **CLOSE
            )
        for i in range(2):
            drawn = circuit(name).random(3 + i).chosen(dicts())
            np.testing.assert_allclose(drawn_of(result, kind)[i], slow(name, drawn, kind), **CLOSE)
    assert result.rows(change="inside", n_nodes=len(circuit(name).nodes)).size == 2


def test_the_curves_keep_the_best_nodes_of_each_kind() -> None:
    result = evaluated()
    effects = wb.features.effects(model(), batch(), dicts(), method="ig", steps=2)
    every = [(site, i, abs(v)) for site in effects.sites for i, v in enumerate(effects.at(site))]
    best = sorted(every, key=lambda row: -row[2])
    for size in SIZES:
        masks: Any = {site: np.zeros(n, bool) for site, n in effects.sizes.items()}
        for site, i, _ in best[:size]:
            masks[site][i] = True
        found = values(result, "top", "counterfactual", n_nodes=size)
        np.testing.assert_allclose(found, slow("gpt2", masks, "counterfactual"), **CLOSE)
    plain, last = result.measures[0].plain, SIZES[-1]
    for nodes in KINDS_OF_NODES:
        for kind in REFERENCES:
            every = values(result, "top", kind, nodes, n_nodes=last)
            np.testing.assert_allclose(every, plain, **CLOSE)
        low, high = values(result, "empty", "counterfactual", nodes).mean(), plain.mean()
        tops = [values(result, "top", "counterfactual", nodes, n_nodes=n).mean() for n in SIZES]
        curve = result.effect()[
            result.rows(change="top", reference="counterfactual", nodes=nodes), 0
        ]
        np.testing.assert_allclose(curve, (tops - low) / (high - low), rtol=1e-4)
        assert curve[-1] == pytest.approx(1, abs=1e-4)


def test_as_many_pairs_are_taken_as_are_asked_for_and_the_circuits_own_method() -> None:
    plain = wb.features.circuit(
        model(), batch(), dicts(), n_nodes=25, layers=(0, 1), method="attribution"
    )
    options: dict[str, Any] = {"references": "mean", "sizes": (3,), "n_controls": 1}
    result = wb.features.evaluate_circuit(model(), batch(), plain, dicts(), n=2, **options)
    assert result.measures[0].changed.shape[1] == 2 == len(result.tokens)
    two = batch().take(range(2))
    effects = wb.features.effects(model(), two, dicts(), reference=plain.reference)
    every = [(site, i, abs(v)) for site in effects.sites for i, v in enumerate(effects.at(site))]
    masks = {site: np.zeros(n, bool) for site, n in effects.sizes.items()}
    for site, i, _ in sorted(every, key=lambda row: -row[2])[:3]:
        masks[site][i] = True
    wanted = [kept_pass("gpt2", dicts(), masks, "mean", row, two) for row in range(2)]
    np.testing.assert_allclose(values(result, "top", "mean", n_nodes=3), wanted, **CLOSE)


def test_without_any_coordinate_of_every_stream_the_prompt_is_the_corrupt_one() -> None:
    result = evaluated()
    corrupt = []
    for row in range(len(batch())):
        logits, _ = plain_pass("gpt2", ids_of(batch(), row, "corrupt"))
        corrupt.append(metric(batch(), row, logits).item())
    # The last residual stream is among the sites, so that nothing of the clean prompt is left.
    found = values(result, "empty", "counterfactual", "coordinates")
    np.testing.assert_allclose(found, corrupt, **CLOSE)


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
    plain = result.measures[0].plain
    for kind in REFERENCES:
        low, high = values(result, "empty", kind).mean(), plain.mean()
        for name in ("inside", "outside", "without errors"):
            value, lowest, highest = result.score(change=name, reference=kind)
            wanted = (values(result, name, kind).mean() - low) / (high - low)
            assert value == pytest.approx(wanted, rel=1e-4)
            assert lowest <= value <= highest
        wanted = (drawn_of(result, kind).mean(-1) - low) / (high - low)
        beside = np.array(result.controls["reference"]) == kind
        np.testing.assert_allclose(result.effect(of="controls")[beside, 0], wanted, rtol=1e-4)
    # Less than a twentieth of the gap between nothing and the whole model measures nothing.
    one = result.measures[0]
    assert one.smallest == pytest.approx(0.05 * abs(examples.Examples.of(model(), batch()).gap))
    flat = replace(one, changed=0 * one.changed, plain=0 * one.plain + 0.9 * one.smallest)
    assert np.isnan(replace(result, measures=(flat,)).score(change="outside")).all()


def test_both_backends_give_the_same_scores() -> None:
    one, other = (evaluated(backend=backend).measures[0] for backend in BACKENDS)
    for field in ("plain", "changed", "control"):
        np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-3, atol=1e-4)


def test_an_evaluation_is_listed_drawn_and_the_same_from_disk(tmp_path: Path) -> None:
    result = evaluated()
    frame = result.to_frame()
    inside = frame[frame.change == "inside"]
    assert list(inside.reference) == list(REFERENCES) and inside.control.notna().all()
    lines = {line.get_label() for line in result.plot().lines}
    assert {"inside features", *(f"top {nodes}" for nodes in KINDS_OF_NODES)} <= lines
    result.save(tmp_path / "scores")
    again = wb.Effects.load(tmp_path / "scores")
    np.testing.assert_array_equal(again.measures[0].control, result.measures[0].control)
    at: Any = {"change": "inside", "reference": "counterfactual"}
    assert again.score(**at) == result.score(**at)


def test_what_is_not_there_is_refused_by_name() -> None:
    with pytest.raises(KeyError, match="No change has .*zero"):
        evaluated().score(change="inside", reference="zero")
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
