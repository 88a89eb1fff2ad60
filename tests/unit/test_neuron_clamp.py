"""Clamping neurons, against passes one text at a time and plain sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import clamp as clamp_module
from tests.unit.lens_models import TEXTS, words_model, zoo_model
from workbench.edits import Set
from workbench.loading import load
from workbench.site import Site
from workbench.texts import texts

NEURONS = ("L1.mlp_post/9", "L1.mlp_post/40", "L2.mlp_post/3")
PROMPTS = ["When Mary and John went to the store, John gave a drink to", "The capital of France is"]
WORDS = [" Mary", " Paris"]
OPTIONS: dict[str, Any] = {"words": WORDS, "elsewhere": TEXTS, "n_controls": 4, "n_new": 3}


@pytest.fixture(scope="module")
def model() -> Any:
    return words_model()


@pytest.fixture(scope="module")
def clamp(model: Any) -> wb.vocabulary.NeuronClamp:
    return wb.vocabulary.clamp(model, PROMPTS, NEURONS, value=2.5, seed=1, **OPTIONS)


def held(names: Any, values: Any) -> list[Set]:
    return [Set(name, float(value)) for name, value in zip(names, values, strict=True)]


def plain_probability(model: Any, prompt: Any, edits: Any) -> float:
    ids = [model.tokenizer(word).input_ids[0] for word in WORDS]
    logits = model.run(prompt, edits=edits).logits[0, -1].double()
    return float(sum(logits.exp()[ids]) / logits.exp().sum())


def plain_loss_and_kl(model: Any, text: Any, edits: Any) -> tuple[float, float]:
    ids = model.tokens(text).ids[0].tolist()
    plain = model.run(text).logits[0].double().log_softmax(-1)
    now = model.run(text, edits=edits).logits[0].double().log_softmax(-1)
    losses = [-float(now[at, following]) for at, following in enumerate(ids[1:])]
    kls = [float((p.exp() * (p - q)).sum()) for p, q in zip(plain, now, strict=True)]
    return sum(losses) / len(losses), sum(kls) / len(kls)


def test_what_is_measured_is_what_single_passes_give(
    model: Any, clamp: wb.vocabulary.NeuronClamp
) -> None:
    sets = [held(NEURONS, clamp.values)]
    lengths = model.weight("W_out").norm(dim=-1)
    for names in clamp.controls:
        values = []
        for own, other, value in zip(NEURONS, names, clamp.values, strict=True):
            a, b = Site.parse(own), Site.parse(other)
            values.append(float(value * lengths[a.layer, a.unit] / lengths[b.layer, b.unit]))
        sets.append(held(names, values))
    for row, prompt in enumerate(PROMPTS):
        plain = plain_probability(model, prompt, ())
        assert clamp.plain_probability[row] == pytest.approx(plain, rel=1e-4)
        found = [plain_probability(model, prompt, edits) for edits in sets]
        assert clamp.clamped_probability[row] == pytest.approx(found[0], rel=1e-4)
        np.testing.assert_allclose(clamp.control_probability[:, row], found[1:], rtol=1e-4)
    for row, text in enumerate(TEXTS):
        assert clamp.plain_loss[row] == pytest.approx(plain_loss_and_kl(model, text, ())[0])
        both = np.array([plain_loss_and_kl(model, text, edits) for edits in sets])
        np.testing.assert_allclose(clamp.clamped_loss[row], both[0, 0], rtol=1e-4)
        np.testing.assert_allclose(clamp.clamped_kl[row], both[0, 1], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(clamp.control_loss[:, row], both[1:, 0], rtol=1e-4)
        np.testing.assert_allclose(clamp.control_kl[:, row], both[1:, 1], rtol=1e-3, atol=1e-6)


def test_random_neurons_are_of_the_same_layers_and_never_those_held(
    clamp: wb.vocabulary.NeuronClamp,
) -> None:
    assert len(clamp.controls) == 4 and len(set(clamp.controls)) == 4
    for names in clamp.controls:
        layers = [Site.parse(name).layer for name in names]
        assert layers == [1, 1, 2] and len(set(names)) == 3
        assert not set(names) & set(NEURONS)


def test_the_continuations_are_those_of_the_edited_model(
    model: Any, clamp: wb.vocabulary.NeuronClamp
) -> None:
    assert clamp.plain_texts == model.generate(PROMPTS, 3).texts
    edits = held(NEURONS, clamp.values)
    assert clamp.clamped_texts == model.generate(PROMPTS, 3, edits=edits).texts


def test_portions_and_padding_sides_change_nothing(
    model: Any, clamp: wb.vocabulary.NeuronClamp, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clamp_module, "LOGITS", 1)
    monkeypatch.setattr(clamp_module, "ROWS", 1)
    prompts, others = (model.tokens(some, padding_side="left") for some in (PROMPTS, TEXTS))
    options = {**OPTIONS, "elsewhere": others}
    again = wb.vocabulary.clamp(model, prompts, NEURONS, value=2.5, seed=1, **options)
    for name in ("clamped_probability", "control_probability", "clamped_loss", "control_loss"):
        np.testing.assert_allclose(getattr(again, name), getattr(clamp, name), rtol=1e-4)
    np.testing.assert_allclose(again.control_kl, clamp.control_kl, rtol=1e-3, atol=1e-6)


def test_the_highest_activation_is_that_on_the_texts_elsewhere(model: Any) -> None:
    clamp = wb.vocabulary.clamp(model, PROMPTS, NEURONS, times=2.0, **OPTIONS)
    for name, value in zip(NEURONS, clamp.values, strict=True):
        highest = max(
            float(x) for text in TEXTS for x in model.run(text, read=name)[name].flatten()
        )
        assert value == pytest.approx(2 * highest, rel=1e-5)


def test_zero_is_ablation_of_the_neurons_and_of_the_controls(model: Any) -> None:
    clamp = wb.vocabulary.clamp(model, PROMPTS, NEURONS[0], value=0, **OPTIONS)
    edits = Set(NEURONS[0], 0.0)
    expected = plain_probability(model, PROMPTS[0], edits)
    assert clamp.clamped_probability[0] == pytest.approx(expected, rel=1e-4)
    other = plain_probability(model, PROMPTS[0], Set(clamp.controls[2][0], 0.0))
    assert clamp.control_probability[2, 0] == pytest.approx(other, rel=1e-4)


def test_found_neurons_bring_their_words(model: Any) -> None:
    found = wb.vocabulary.find_neurons(model, WORDS, n=2, n_controls=2)
    options = {name: value for name, value in OPTIONS.items() if name != "words"}
    clamp = wb.vocabulary.clamp(model, PROMPTS, found, value=1.0, **options)
    assert clamp.neurons == found.sites and clamp.words == found.words


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_both_backends_measure_the_same(name: str) -> None:
    elsewhere = None if name == "tinyworld" else texts("tinyworld")[-5:]
    _same_on_both(name, ["The capital of France is"], [" Paris"], elsewhere)


def test_both_backends_measure_the_same_of_stories(asset: Callable[..., Path]) -> None:
    ids = [[1, 300, 310], [1, 320, 330, 340]]
    _same_on_both(asset("models", "stories260K"), ids, [300], ids)


def _same_on_both(name: Any, prompts: Any, words: Any, elsewhere: Any) -> None:
    first, second = (
        wb.vocabulary.clamp(
            load(name, backend=backend, device="cpu"),
            prompts,
            ["L1.mlp_post/7", "L3.mlp_post/20"],
            words=words,
            value=3.0,
            elsewhere=elsewhere,
            n_controls=1,
            n_new=2,
        )
        for backend in ("nnsight", "transformer_lens")
    )
    assert first.clamped_texts == second.clamped_texts and first.controls == second.controls
    if elsewhere is None:
        assert len(first.plain_loss) == 40
    for field in ("clamped_probability", "clamped_loss", "control_loss", "clamped_kl"):
        np.testing.assert_allclose(
            getattr(first, field), getattr(second, field), atol=1e-5, rtol=1e-4, err_msg=field
        )


def test_gated_half_precision_models_are_clamped() -> None:
    model = zoo_model("gemma2", dtype="bfloat16")
    ids = [[5, 6, 7], [8, 9]]
    clamp = wb.vocabulary.clamp(
        model, ids, "L1.mlp_post/4", words=[5], elsewhere=ids, n_controls=2, n_new=1
    )
    assert clamp.clamped_kl.dtype == np.float32 and np.isfinite(clamp.control_loss).all()
    assert float(clamp.clamped_kl.min()) > -1e-3


def test_the_table_holds_means_intervals_and_what_random_neurons_do(
    clamp: wb.vocabulary.NeuronClamp,
) -> None:
    frame = clamp.to_frame().set_index("measure")
    assert frame.index.tolist() == ["probability", "loss elsewhere", "KL elsewhere"]
    change = clamp.clamped_loss - clamp.plain_loss
    control = clamp.control_loss - clamp.plain_loss
    line = frame.loc["loss elsewhere"]
    assert line["n"] == 3 and line["change"] == pytest.approx(change.mean(), abs=1e-6)
    assert line["clamped"] - line["plain"] == pytest.approx(change.mean(), abs=1e-5)
    assert line["random"] == pytest.approx(control.mean(), abs=1e-6)
    assert line["above_random"] == (control.mean(1) < change.mean()).mean()
    assert line["excess"] == pytest.approx(change.mean() - control.mean(), abs=1e-6)
    assert line["low"] <= line["change"] <= line["high"]
    assert line["excess_low"] <= line["excess"] <= line["excess_high"]
    draws = np.random.default_rng(1).integers(3, size=(2000, 3))
    means = [np.mean([change[i] for i in draw]) for draw in draws]
    assert line["low"] == pytest.approx(np.quantile(means, 0.025), abs=1e-6)
    assert frame.loc["KL elsewhere", "plain"] == 0
    assert clamp.interval("loss elsewhere") == (line["low"], line["high"])
    with pytest.raises(ValueError, match="A measure is one of .*got 'kl'"):
        clamp.interval("kl")


def test_it_is_a_result_that_is_saved_named_and_drawn(
    clamp: wb.vocabulary.NeuronClamp, tmp_path: Path
) -> None:
    clamp.save(tmp_path / "clamp")
    again = wb.vocabulary.NeuronClamp.load(tmp_path / "clamp")
    assert again.to_frame().equals(clamp.to_frame()) and again.controls == clamp.controls
    before, after = clamp.plain_probability.mean(), clamp.clamped_probability.mean()
    assert f"L1.mlp_post/9, L1.mlp_post/40, … held: probability {before:.3f} → {after:.3f}" in repr(
        clamp
    )
    ax = clamp.plot()
    x, y = ax.lines[-1].get_data()
    assert float(np.ravel(x)[0]) == pytest.approx(float(clamp.clamped_kl.mean()))
    assert float(np.ravel(y)[0]) == pytest.approx(after - before, abs=1e-6)


def test_a_failed_clamp_leaves_the_model_as_it_was(model: Any) -> None:
    before = model.run(PROMPTS[0]).logits
    with pytest.raises(ValueError, match="at least two tokens"):
        wb.vocabulary.clamp(model, PROMPTS, NEURONS, **{**OPTIONS, "elsewhere": [[5]]})
    assert torch.equal(model.run(PROMPTS[0]).logits, before)


@pytest.mark.parametrize(
    ("neurons", "options", "text"),
    [
        ("L1.mlp_out", {}, r"A neuron is named like 'L2.mlp_post/77'.*got 'L1.mlp_out'"),
        ("L1.mlp_pre/3", {}, r"got 'L1.mlp_pre/3'"),
        ("L1.mlp_post/128", {}, r"neurons 0 to 127 a layer; got neuron 128"),
        ("L7.mlp_post/1", {}, r"layers 0 to 2; got layer 7"),
        ([], {}, r"at least one of them; got 0, 0 of them different"),
        ([NEURONS[0]] * 2, {}, r"once each.*got 2, 1 of them different"),
        (NEURONS, {"words": None}, r"do not say which words to follow; add words="),
        (NEURONS, {"words": []}, r"at least one word is followed; got none"),
        (NEURONS, {"words": " store Mary"}, r"A word to follow is one token; ' store Mary' is 2"),
        (NEURONS, {"value": math.inf}, "value is a finite number or 'max'; got inf"),
        (NEURONS, {"value": "mean"}, r"got 'mean'"),
        (NEURONS, {"times": math.nan}, r"times is a finite number; got nan"),
        (NEURONS, {"n_controls": 0}, r"n_controls is a whole number from 1; got 0"),
        (NEURONS, {"n_new": True}, r"n_new is a whole number from 1; got True"),
        (NEURONS, {"elsewhere": None}, r"none ship for words; give elsewhere="),
        ([f"L0.mlp_post/{i}" for i in range(65)], {}, r"layer 0 has 63 for 65 that are held"),
    ],
)
def test_bad_input_is_a_named_error(model: Any, neurons: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.vocabulary.clamp(model, PROMPTS, neurons, **{**OPTIONS, **options})


def test_an_interval_of_equal_changes_is_that_change(clamp: wb.vocabulary.NeuronClamp) -> None:
    even = replace(clamp, clamped_loss=clamp.plain_loss + np.float32(0.5))
    assert even.interval("loss elsewhere") == pytest.approx((0.5, 0.5), abs=1e-5)
