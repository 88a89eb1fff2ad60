"""Concept vectors: the vectors whose words stand out, and those that the answers need."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.concept_trace_models import (
    BACKENDS,
    OTHERS,
    PROMPTS,
    TEXTS,
    WORDS,
    ids_of,
    log_probabilities,
    model_of,
    unchanged,
    value_row,
    weights_of,
)
from tests.unit.lens_models import words_model


def slow_scores(model: Any, words: list[str]) -> np.ndarray:
    """(layer, neuron) the mean standard score of the words, neuron by neuron."""
    norm, head = model.norm("ln_final"), model.weight("W_U").double()
    out = np.zeros((model.spec.n_layers, model.spec.d_mlp))
    ids = [ids_of(word)[0] for word in words]
    stored = [model.weight("W_out", layer).double() for layer in range(len(out))]
    posts = [model.norm("ln2_post", layer) for layer in range(len(out))]
    for layer, row in np.ndindex(*out.shape):
        vector, post = stored[layer][row], posts[layer]
        if post is not None:
            vector = (vector - vector.mean() if post.centers else vector) * post.weight.double()
        vector = (vector - vector.mean() if norm.centers else vector) * norm.weight.double()
        numbers = vector @ head
        scores = (numbers - numbers.mean()) / numbers.std(unbiased=False)
        out[layer, row] = float(scores[ids].mean())
    return out


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_by_words_they_are_the_best_of_all_neurons(name: str) -> None:
    model = model_of(name)
    found = wb.weights.concept_vectors(model, WORDS, n_neurons=6)
    scores = slow_scores(model, WORDS)
    best = np.argsort(-scores.ravel())[:6]
    assert found.places == [divmod(int(i), model.spec.d_mlp) for i in best]
    np.testing.assert_allclose(found.scores, scores.ravel()[best], atol=1e-4)
    for place, vector in zip(found.places, found.vectors, strict=True):
        np.testing.assert_array_equal(vector, model.weight("W_out", place[0])[place[1]].numpy())
    assert found.lost is None


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_by_ablation_they_are_those_without_which_a_plain_model_answers_worst(name: str) -> None:
    model = model_of(name)
    before = weights_of(model)
    found = wb.weights.concept_vectors(model, WORDS, n_neurons=4, questions=PROMPTS, n_shortlist=12)
    assert unchanged(model, before)
    effects = {}
    for name_, (layer, unit) in zip(
        (wide := wb.weights.concept_vectors(model, WORDS, n_neurons=12)).neurons,
        wide.places,
        strict=True,
    ):
        plain = model.to_hugging_face()
        whole = log_probabilities(plain, PROMPTS).mean()
        with torch.no_grad():
            value_row(plain, layer, unit).zero_()
        effects[name_] = float(whole - log_probabilities(plain, PROMPTS).mean())
    best = sorted(effects, key=lambda n: -effects[n])[:4]
    assert list(found.neurons) == best
    assert found.lost is not None
    np.testing.assert_allclose(found.lost, [effects[n] for n in best], atol=1e-5)
    assert found.n_shortlist == 12
    assert found.tokens == model.tokens([p for p, _ in PROMPTS]).strings


@pytest.mark.parametrize("name", ["gpt2", "gpt_neox", "olmo2"])
def test_both_backends_find_the_same(name: str) -> None:
    one, two = (
        wb.weights.concept_vectors(
            model_of(name, b), WORDS, n_neurons=4, questions=PROMPTS, n_shortlist=8
        )
        for b in BACKENDS
    )
    assert one.neurons == two.neurons
    np.testing.assert_allclose(one.lost, two.lost, atol=1e-5)  # type: ignore[arg-type]
    np.testing.assert_allclose(one.scores, two.scores, atol=1e-5)


def test_with_either_sign_the_farthest_from_zero_come_first() -> None:
    found = wb.weights.concept_vectors(model_of("llama"), WORDS, n_neurons=6, effect="either")
    scores = slow_scores(model_of("llama"), WORDS)
    best = np.argsort(-np.abs(scores).ravel())[:6]
    assert found.places == [divmod(int(i), 48) for i in best] and found.effect == "either"
    np.testing.assert_allclose(found.scores, scores.ravel()[best], atol=1e-4)


def test_a_bfloat16_model_gives_nearly_the_same_scores() -> None:
    half = wb.weights.concept_vectors(
        model_of("gpt2", dtype="bfloat16"), WORDS, n_neurons=5, questions=PROMPTS
    )
    full = slow_scores(model_of("gpt2"), WORDS)
    for place, score in zip(half.places, half.scores, strict=True):
        assert score == pytest.approx(full[place], abs=0.05)


def test_a_layer_is_searched_alone(tmp_path: Any) -> None:
    found = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=5, layers=1, questions=PROMPTS)
    assert {layer for layer, _ in found.places} == {1}
    assert found.n_searched == model_of().spec.d_mlp
    assert found.n_shortlist == 25
    again = wb.weights.ConceptVectors.load(found.save(tmp_path / "vectors"))
    assert repr(again) == repr(found)
    assert again.own_words == found.own_words
    np.testing.assert_array_equal(again.vectors, found.vectors)
    table = found.to_frame()
    assert list(table["vector"]) == list(found.neurons)
    assert list(table.columns)[:4] == ["vector", "own_words", "layer", "neuron"]
    assert list(table.columns)[4:] == ["score", "by_chance", "size", "lost"]
    sizes = [float(np.sqrt((row**2).mean())) for row in found.vectors]
    np.testing.assert_allclose(table["size"], sizes, rtol=1e-6)
    assert found.plot().get_title() == "gpt2: value vectors for w5, w9, w30"


@pytest.mark.parametrize(
    ("arguments", "options", "text"),
    [
        (([],), {}, r"found by at least one word; got none"),
        ((WORDS,), {"n_neurons": 0}, "n_neurons is a whole number from 1; got 0"),
        (
            (WORDS,),
            {"n_neurons": 257},
            r"n_neurons is a whole number from 1 to 256; got 257\. No more",
        ),
        (
            (WORDS,),
            {"n_neurons": 20, "layers": 5},
            "layers is different whole numbers from 0 to 1, or one;",
        ),
        ((WORDS,), {"n_shortlist": 9}, r"how many are ablated one by one; add questions="),
        (
            (WORDS,),
            {"n_neurons": 5, "n_shortlist": 4, "questions": PROMPTS},
            r"n_shortlist is a whole number from 5 to 256; got 4\.",
        ),
        ((WORDS,), {"questions": []}, r"questions asks at least one question; got none"),
        ((WORDS,), {"questions": [("w5", [])]}, r"has an answer; 'w5' has none"),
        (
            (WORDS,),
            {"questions": [("w5", "w6 w7")]},
            r"An answer is one token; 'w6 w7' is 2 .*'w6'",
        ),
        ((WORDS,), {"norm": "half"}, "norm is one of 'folded', 'none'; got 'half'"),
    ],
)
def test_what_cannot_be_found_is_said(arguments: Any, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.weights.concept_vectors(model_of(), *arguments, **options)


@pytest.mark.parametrize("prompts", ["w5 w6", ["w5 w6"], [("w5", "w6", "w7")], 5])
def test_prompts_without_answers_are_refused(prompts: Any) -> None:
    with pytest.raises(TypeError, match="questions is a Task, a TaskBatch, a mapping whose keys"):
        wb.weights.concept_vectors(model_of(), WORDS, questions=prompts)


def test_a_word_of_several_tokens_is_named_in_its_pieces() -> None:
    with pytest.raises(ValueError, match=r"is one token; ' Marys' is 2 .*' Mary', 's'"):
        wb.weights.concept_vectors(words_model(), [" Paris", " Marys"])


def test_a_model_without_neurons_is_refused(monkeypatch: Any) -> None:
    model = model_of()
    streams = tuple(s for s in model.spec.streams if s != "mlp_post")
    monkeypatch.setattr(model, "spec", replace(model.spec, streams=streams))
    with pytest.raises(ValueError, match=r"gpt2 \(GPT2LMHeadModel\) has none"):
        wb.weights.concept_vectors(model, WORDS)


def test_vectors_belong_to_the_model_they_were_found_in() -> None:
    found = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=3)

    def used(vectors: Any, *of: str) -> Any:
        asked = {"prompts": PROMPTS, "else": OTHERS}
        return wb.weights.ablate(model_of(*of), asked, vectors, n_controls=2, elsewhere=TEXTS)

    assert "value vectors" in used(found, "gpt2", "transformer_lens").what
    with pytest.raises(ValueError, match=r"were found in, gpt2; this is llama. Find them in this"):
        used(found, "llama")
    with pytest.raises(ValueError, match=r"this one has .* \(2, 128, 32\), that one had \(3, 128"):
        used(replace(found, n_layers=3))
    with pytest.raises(ValueError, match=r"its value vectors are others, of another training"):
        used(replace(found, vectors=found.vectors[::-1].copy()))


def test_they_are_directions_of_the_streams_that_they_are_written_to() -> None:
    found = wb.weights.concept_vectors(model_of(), WORDS, n_neurons=5)
    dicts = found.dictionaries
    assert [str(site) for site in dicts] == [
        f"L{layer}.mlp_out" for layer in sorted({layer for layer, _ in found.places})
    ]
    for name, (layer, _), vector in zip(found.neurons, found.places, found.vectors, strict=True):
        dictionary = dicts[f"L{layer}.mlp_out"]
        row = dictionary.W_dec[dictionary.names.index(name)]
        np.testing.assert_array_equal(row.numpy(), vector)
