"""Clamping neurons, against passes one text at a time and plain sums."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
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
def clamp(model: Any) -> wb.Effects:
    return wb.vocabulary.clamp(model, PROMPTS, NEURONS, value=2.5, seed=1, **OPTIONS)


def texts_of(clamp: wb.Effects) -> dict[str, tuple[str, ...]]:
    assert clamp.texts is not None
    return clamp.texts


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


def test_what_is_measured_is_what_single_passes_give(model: Any, clamp: wb.Effects) -> None:
    change = wb.Change(held(NEURONS, [2.5] * 3))
    drawn = wb.controls.like(model, change, 4, seed=1)
    sets = [[part.what for part in each.parts] for each in (change, *drawn)]
    lengths = model.weight("W_out").norm(dim=-1)
    for edits in sets[1:]:
        # Each writes a vector as long as the neuron whose place it takes.
        for own, edit in zip(NEURONS, edits, strict=True):
            a, b = Site.parse(own), edit.site
            value = 2.5 * lengths[a.layer, a.unit] / lengths[b.layer, b.unit]
            assert float(edit.value) == pytest.approx(float(value), rel=1e-5)
    for row, prompt in enumerate(PROMPTS):
        plain = plain_probability(model, prompt, ())
        assert clamp["probability"].plain[row] == pytest.approx(plain, rel=1e-4)
        found = [plain_probability(model, prompt, edits) for edits in sets]
        assert clamp["probability"].changed[0][row] == pytest.approx(found[0], rel=1e-4)
        np.testing.assert_allclose(clamp["probability"].control[:, row], found[1:], rtol=1e-4)
    for row, text in enumerate(TEXTS):
        assert clamp["loss elsewhere"].plain[row] == pytest.approx(
            plain_loss_and_kl(model, text, ())[0]
        )
        both = np.array([plain_loss_and_kl(model, text, edits) for edits in sets])
        np.testing.assert_allclose(clamp["loss elsewhere"].changed[0][row], both[0, 0], rtol=1e-4)
        np.testing.assert_allclose(
            clamp["KL elsewhere"].changed[0][row], both[0, 1], rtol=1e-3, atol=1e-6
        )
        np.testing.assert_allclose(clamp["loss elsewhere"].control[:, row], both[1:, 0], rtol=1e-4)
        np.testing.assert_allclose(
            clamp["KL elsewhere"].control[:, row], both[1:, 1], rtol=1e-3, atol=1e-6
        )


def test_random_neurons_are_of_the_same_layers_and_never_those_held(model: Any) -> None:
    drawn = wb.controls.like(model, wb.Change(held(NEURONS, [2.5] * 3)), 4, seed=1)
    names = [tuple(str(part.what.site) for part in each.parts) for each in drawn]
    assert len(set(names)) == 4
    for each in names:
        assert [Site.parse(name).layer for name in each] == [1, 1, 2] and len(set(each)) == 3
        assert not set(each) & set(NEURONS)


def test_the_continuations_are_those_of_the_edited_model(model: Any, clamp: wb.Effects) -> None:
    assert texts_of(clamp)["plain"] == model.generate(PROMPTS, 3).texts
    edits = held(NEURONS, [2.5] * 3)
    assert texts_of(clamp)["held"] == model.generate(PROMPTS, 3, edits=edits).texts


def test_batches_and_padding_sides_change_nothing(
    model: Any, clamp: wb.Effects, monkeypatch: pytest.MonkeyPatch
) -> None:
    passes = import_module("workbench.experiment")
    monkeypatch.setattr(passes, "LOGITS", 1)
    monkeypatch.setattr(passes, "TOKENS", 1)
    prompts, others = (model.tokens(some, padding_side="left") for some in (PROMPTS, TEXTS))
    options = {**OPTIONS, "elsewhere": others}
    again = wb.vocabulary.clamp(model, prompts, NEURONS, value=2.5, seed=1, **options)
    every: Any = (
        ("probability", {"rtol": 1e-4}),
        ("loss elsewhere", {"rtol": 1e-4}),
        ("KL elsewhere", {"rtol": 1e-3, "atol": 1e-6}),
    )
    for name, close in every:
        for of in ("changed", "control"):
            a, b = (getattr(each[name], of) for each in (again, clamp))
            np.testing.assert_allclose(a, b, **close)


def test_the_highest_activation_is_that_on_the_texts_elsewhere(model: Any) -> None:
    clamp = wb.vocabulary.clamp(model, PROMPTS, NEURONS, times=2.0, **OPTIONS)
    highest = [
        max(float(x) for text in TEXTS for x in model.run(text, read=name)[name].flatten())
        for name in NEURONS
    ]
    assert clamp.what.startswith(f"{NEURONS[0]} at {2 * highest[0]:.3g}, ")
    edits = held(NEURONS, [2 * each for each in highest])
    expected = [plain_probability(model, prompt, edits) for prompt in PROMPTS]
    np.testing.assert_allclose(clamp["probability"].changed[0], expected, rtol=1e-4)


def test_zero_is_ablation_of_the_neurons_and_of_the_controls(model: Any) -> None:
    clamp = wb.vocabulary.clamp(model, PROMPTS, NEURONS[0], value=0, **OPTIONS)
    edits = Set(NEURONS[0], 0.0)
    expected = plain_probability(model, PROMPTS[0], edits)
    assert clamp["probability"].changed[0][0] == pytest.approx(expected, rel=1e-4)
    third = wb.controls.like(model, wb.Change(edits), 4)[2].parts[0].what
    assert float(third.value) == 0
    other = plain_probability(model, PROMPTS[0], third)
    assert clamp["probability"].control[2, 0] == pytest.approx(other, rel=1e-4)


def test_found_neurons_bring_their_words(model: Any) -> None:
    found = wb.vocabulary.find_neurons(model, WORDS, n=2, n_controls=2)
    options = {name: value for name, value in OPTIONS.items() if name != "words"}
    clamp = wb.vocabulary.clamp(model, PROMPTS, found, value=1.0, **options)
    named = wb.vocabulary.clamp(model, PROMPTS, found.sites, value=1.0, **options, words=WORDS)
    np.testing.assert_array_equal(clamp["probability"].changed, named["probability"].changed)


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
    assert first.texts == second.texts
    if elsewhere is None:
        assert len(first["loss elsewhere"].plain) == 40
    for one, other in zip(first.measures, second.measures, strict=True):
        for field in ("changed", "control"):
            a, b = getattr(one, field), getattr(other, field)
            np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4, err_msg=one.name)


def test_gated_half_precision_models_are_clamped() -> None:
    model = zoo_model("gemma2", dtype="bfloat16")
    ids = [[5, 6, 7], [8, 9]]
    clamp = wb.vocabulary.clamp(
        model, ids, "L1.mlp_post/4", words=[5], elsewhere=ids, n_controls=2, n_new=1
    )
    assert np.isfinite(clamp["loss elsewhere"].control).all()
    assert float(clamp["KL elsewhere"].changed[0].min()) > -1e-3


def test_the_table_holds_means_intervals_and_what_random_neurons_do(
    clamp: wb.Effects,
) -> None:
    frame = clamp.to_frame().set_index("measure")
    assert frame.index.tolist() == ["probability", "loss elsewhere", "KL elsewhere"]
    one = clamp["loss elsewhere"]
    change, control = one.changed[0] - one.plain, one.control - one.plain
    line = frame.loc["loss elsewhere"]
    assert line["n"] == 3 and line["effect"] == pytest.approx(change.mean(), abs=1e-6)
    assert line["changed"] - line["plain"] == pytest.approx(change.mean(), abs=1e-5)
    assert line["control"] == pytest.approx(control.mean(), abs=1e-6)
    assert line["beyond"] == (np.abs(control.mean(1)) < abs(change.mean())).mean()
    assert line["excess"] == pytest.approx(change.mean() - control.mean(), abs=1e-6)
    assert line["low"] <= line["effect"] <= line["high"]
    assert line["excess_low"] <= line["excess"] <= line["excess_high"]
    draws = np.random.default_rng(1).integers(3, size=(2000, 3))
    means = [np.mean([change[i] for i in draw]) for draw in draws]
    assert line["low"] == pytest.approx(np.quantile(means, 0.025), abs=1e-6)
    assert frame.loc["KL elsewhere", "plain"] == 0


def test_it_is_a_result_that_is_saved_named_and_drawn(clamp: wb.Effects, tmp_path: Path) -> None:
    clamp.save(tmp_path / "clamp")
    again = wb.Effects.load(tmp_path / "clamp")
    assert again.to_frame().equals(clamp.to_frame()) and again.texts == clamp.texts
    assert clamp.what == "L1.mlp_post/9 at 2.5, L1.mlp_post/40 at 2.5, L2.mlp_post/3 at 2.5"
    effect = (clamp["probability"].changed[0] - clamp["probability"].plain).mean()
    assert f"{clamp.what}: 1 changes; probability under change held: {effect:+.3f}" in repr(clamp)
    ax = clamp.plot()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == ["probability", "loss elsewhere", "KL elsewhere"]
    assert ax.collections[-1].get_offsets()[0][0] == pytest.approx(
        float(clamp.to_frame()["effect"].iloc[0])
    )


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
        (NEURONS, {"n_new": True}, r"n_new is a whole number from 0; got True"),
        (NEURONS, {"elsewhere": None}, r"none ship for words; give elsewhere="),
        (
            [f"L0.mlp_post/{i}" for i in range(65)],
            {},
            r"from the others of a layer, 63 for 65\. Take fewer",
        ),
    ],
)
def test_bad_input_is_a_named_error(model: Any, neurons: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.vocabulary.clamp(model, PROMPTS, neurons, **{**OPTIONS, **options})
