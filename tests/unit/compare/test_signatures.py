"""Signatures: similarities without the vocabulary are those of signatures formed in full."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.parity import zoo
from tests.unit.alignment_models import (
    correlations,
    cosines,
    head_matrices,
    model,
    neuron_signatures,
)
from tests.unit.kernels import signatures as kernel
from workbench.loading import load

EVERY: Any = ("writing", "reading")


def made(kind: Any, a: Any, b: Any, sides: Any, norm: Any = "folded") -> tuple[Any, kernel.Spaces]:
    spaces = kernel.Spaces.of(a, b, EVERY, norm, kernel.shared_tokens(a, b))
    return kind(a, b, spaces, sides, norm), spaces


@pytest.mark.parametrize("norm", ["folded", "none"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "olmo2", "gpt_neox"])
def test_neurons_are_compared_by_correlations_over_the_vocabulary(name: str, norm: str) -> None:
    a, b = model(name, 0), model(name, 1)
    signatures, spaces = made(kernel.NeuronSignatures, a, b, ("out", "in"), norm)
    found = signatures.compare(1, 0, spaces.products()).numpy()
    gated = name in ("llama", "gemma2", "olmo2")
    assert signatures.sides == (("out", "gate", "in") if gated else ("out", "in"))
    assert signatures.signed == ((True, False, True) if gated else (False, False))
    for side, values in zip(signatures.sides, found, strict=True):
        formed = [neuron_signatures(m, layer, f"W_{side}", norm) for m, layer in ((a, 1), (b, 0))]
        every = correlations(formed[0][:4], formed[1][:8])
        np.testing.assert_allclose(values[:4, :8], every, atol=1e-5)


@pytest.mark.parametrize("norm", ["folded", "none"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "olmo2"])
def test_heads_are_compared_by_cosines_of_their_vocabulary_matrices(name: str, norm: str) -> None:
    a, b = model(name, 0), model(name, 1)
    signatures, spaces = made(kernel.HeadSignatures, a, b, ("OV", "QK"), norm)
    found = signatures.compare(0, 1, spaces.products()).numpy()
    for side, values in zip(("OV", "QK"), found, strict=True):
        every = cosines(head_matrices(a, 0, side, norm), head_matrices(b, 1, side, norm))
        np.testing.assert_allclose(values, every, atol=1e-5)


def test_a_plain_neuron_is_compared_with_what_enters_a_gated_ones_nonlinearity() -> None:
    a, b = model("gpt2", 0), model("llama", 1)
    signatures, spaces = made(kernel.NeuronSignatures, a, b, ("out", "in"))
    assert signatures.n_units == (128, 48) and signatures.signed == (True, False)
    found = signatures.compare(0, 0, spaces.products()).numpy()
    formed = [neuron_signatures(a, 0, "W_in")[:5], neuron_signatures(b, 0, "W_gate")[:8]]
    np.testing.assert_allclose(found[1, :5, :8], correlations(*formed), atol=1e-5)


def test_permuted_tokens_compare_each_token_of_one_with_another_of_the_other() -> None:
    a, b = model("gpt2", 0), model("gpt2", 1)
    order = np.random.default_rng(0).permutation(60)
    neurons, spaces = made(kernel.NeuronSignatures, a, b, ("out", "in"))
    found = neurons.compare(0, 0, spaces.products(order)).numpy()
    for side, values in zip(("W_out", "W_in"), found, strict=True):
        formed = [neuron_signatures(m, 0, side)[:6] for m in (a, b)]
        every = correlations(formed[0], formed[1][:, order])
        np.testing.assert_allclose(values[:6, :6], every, atol=1e-5)
    heads, spaces = made(kernel.HeadSignatures, a, b, ("QK",))
    found = heads.compare(0, 0, spaces.products(order)).numpy()[0]
    permuted = [matrix[np.ix_(order, order)] for matrix in head_matrices(b, 0, "QK")]
    np.testing.assert_allclose(found, cosines(head_matrices(a, 0, "QK"), permuted), atol=1e-5)


def test_mixed_units_are_sums_of_units_that_are_all_of_one_size() -> None:
    a, b = model("gpt2", 0), model("gpt2", 1)
    draw = np.random.default_rng(0)
    neurons, spaces = made(kernel.NeuronSignatures, a, b, ("out", "in"))
    weights = draw.standard_normal((128, 128), np.float32)
    mixed = torch.from_numpy(weights)
    found = neurons.compare(0, 0, spaces.products(), None, mixed).numpy()
    for side, values in zip(("W_out", "W_in"), found, strict=True):
        formed = neuron_signatures(b, 0, side)
        standard = (formed - formed.mean(1, keepdims=True)) / formed.std(1, keepdims=True)
        every = correlations(neuron_signatures(a, 0, side)[:4], (weights @ standard)[:20])
        np.testing.assert_allclose(values[:4, :20], every, atol=1e-5)
    heads, spaces = made(kernel.HeadSignatures, a, b, ("OV",))
    found = heads.compare(0, 0, spaces.products(), None, mixed[:4, :4]).numpy()[0]
    unit = [m / np.linalg.norm(m) for m in head_matrices(b, 0, "OV")]
    sums = [sum(float(w) * m for w, m in zip(row, unit, strict=True)) for row in weights[:4, :4]]
    every = cosines(head_matrices(a, 0, "OV"), sums)  # type: ignore[arg-type]
    np.testing.assert_allclose(found, every, atol=1e-5)


def test_some_units_are_compared_as_among_all(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = model("gpt2", 0), model("gpt2", 1)
    for kind, sides in (
        (kernel.NeuronSignatures, ("out", "in")),
        (kernel.HeadSignatures, ("OV", "QK")),
    ):
        signatures, spaces = made(kind, a, b, sides)
        whole = signatures.compare(0, 1, spaces.products())
        some = signatures.compare(0, 1, spaces.products(), np.array([2, 0]))
        np.testing.assert_allclose(some, whole[:, [2, 0]], atol=1e-6)
        monkeypatch.setattr(kernel, "BATCH", 7)
        signatures, spaces = made(kind, a, b, sides)
        np.testing.assert_allclose(signatures.compare(0, 1, spaces.products()), whole, atol=1e-5)
        monkeypatch.undo()


def test_signs_turn_only_what_may_turn_together() -> None:
    values = np.array([[0.2, -0.9], [0.5, 0.1], [-0.6, -0.3]])  # out, gate, in
    total, sign = kernel.combine(values, (True, False, True))
    np.testing.assert_allclose(total, [(0.5 + 0.4) / 3, (0.1 + 1.2) / 3])
    assert sign.tolist() == [-1, -1]
    total, sign = kernel.combine(values, (False, False, False))
    np.testing.assert_allclose(total, values.mean(0))
    assert sign.tolist() == [1, 1]


def test_what_says_the_same_of_every_token_is_similar_to_nothing() -> None:
    a, b = model("gpt2", 0), model("gpt2", 1)
    signatures, spaces = made(kernel.NeuronSignatures, a, b, ("out",))
    weight = a.live_weight("W_out", 0)
    kept = weight[3].clone()
    try:
        weight[3] = 0
        found = signatures.compare(0, 0, spaces.products()).numpy()[0]
    finally:
        weight[3] = kept
    assert (found[3] == 0).all() and (found[4] != 0).all()


# -- tokens -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def other_words(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A GPT-2 whose tokenizer lacks the last ten words, has two others, and counts backwards."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    path = tmp_path_factory.mktemp("other")
    texts = ["<end>", "<pad>", *(f"w{i}" for i in range(49, 1, -1)), "new", "newer"]
    inner = Tokenizer(models.WordLevel({t: i for i, t in enumerate(texts)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<end>", eos_token="<end>", pad_token="<pad>"
    ).save_pretrained(path)
    zoo.hf_model("gpt2", 1).save_pretrained(path)
    return load(path, device="cpu")


def test_models_with_other_tokens_are_refused_with_the_first_difference(other_words: Any) -> None:
    with pytest.raises(ValueError, match=r"same tokens in one order; token 2 is 'w2' in gpt20 and"):
        kernel.shared_tokens(model("gpt2"), other_words)
    with pytest.raises(ValueError, match="Compare those that both have: tokens='shared'"):
        kernel.shared_tokens(model("gpt2"), other_words)
    with pytest.raises(ValueError, match="'same' or 'shared'; got tokens='some'"):
        kernel.shared_tokens(model("gpt2"), model("gpt2", 1), "some")  # type: ignore[arg-type]


def test_shared_tokens_are_those_of_one_text_in_both(other_words: Any) -> None:
    a, b = kernel.shared_tokens(model("gpt2"), other_words, "shared")
    texts = [
        m.tokenizer.convert_ids_to_tokens(ids.tolist())
        for m, ids in ((model("gpt2"), a), (other_words, b))
    ]
    assert texts[0] == texts[1] == ["<end>", "<pad>", *(f"w{i}" for i in range(2, 50))]
    spaces = kernel.Spaces.of(model("gpt2"), other_words, EVERY, "folded", (a, b))
    signatures = kernel.NeuronSignatures(model("gpt2"), other_words, spaces, ("out",), "folded")
    found = signatures.compare(0, 0, spaces.products()).numpy()[0]
    formed = [neuron_signatures(m, 0, "W_out")[:5] for m in (model("gpt2"), other_words)]
    every = correlations(formed[0][:, a], formed[1][:, b])
    np.testing.assert_allclose(found[:5, :5], every, atol=1e-5)


def test_too_few_shared_tokens_are_refused(
    other_words: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "FEWEST", 51)
    with pytest.raises(ValueError, match="at least 51 tokens that both have; .* share 50"):
        kernel.shared_tokens(model("gpt2"), other_words, "shared")
