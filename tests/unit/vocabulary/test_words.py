"""Directions and biases as words, against loops over tokens and against the model itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit import plain_words
from tests.unit.lens_models import words_model, zoo_model
from workbench.edits import Set
from workbench.loading import load

K = 4


def random(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def check(table: wb.vocabulary.DirectionVocabulary, at: int, values: np.ndarray) -> None:
    """A row's words are those of numbers for all tokens."""
    order = np.argsort(-values)
    assert table.top_ids[at].tolist() == order[:K].tolist()
    assert table.bottom_ids[at].tolist() == order[::-1][:K].tolist()
    np.testing.assert_allclose(table.top_values[at], values[order[:K]], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        table.bottom_values[at], values[order[::-1][:K]], rtol=1e-4, atol=1e-5
    )
    assert table.kurtosis is not None
    assert table.kurtosis[at] == pytest.approx(plain_words.kurtosis(values), abs=2e-3)


@pytest.mark.parametrize("norm", ["folded", "none"])
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gptj"])
def test_directions_are_read_as_loops_over_tokens_read_them(name: str, norm: Any) -> None:
    model, rows = zoo_model(name), 3 * random(2, 32)
    ways: dict[Any, Any] = {"unembed": plain_words.logits_of, "embed": plain_words.products_of}
    for space, slowly in ways.items():
        table = wb.vocabulary.words(model, rows, k=K, norm=norm, space=space)
        assert (table.space, table.norm) == (space, norm)
        assert (table.share is None) == (space == "embed")
        for at in range(2):
            check(table, at, slowly(model, rows[at].double().numpy(), norm == "folded"))


def test_one_direction_or_an_array_will_do_and_length_does_not_count() -> None:
    model, row = words_model(), random(32)
    one = wb.vocabulary.words(model, row, k=K)
    many = wb.vocabulary.words(model, np.stack([row.numpy(), 7 * row.numpy()]), k=K)
    np.testing.assert_allclose(one.top_values[0], many.top_values[1], rtol=1e-5)
    np.testing.assert_array_equal(many.top_ids[0], many.top_ids[1])
    assert many.sizes[1] == pytest.approx(7 * many.sizes[0], rel=1e-5)
    assert one.names == ("direction 0",)


def plain_biases(model: Any) -> dict[str, np.ndarray]:
    """Each bias that is added, as logits of every token."""
    spec, numpy = model.spec, plain_words.numpy
    out: dict[str, np.ndarray] = {}
    for layer in range(spec.n_layers):
        posts = [model.norm(name, layer) for name in ("ln1_post", "ln2_post")]
        for head in range(spec.n_heads):
            group = head // (spec.n_heads // spec.n_kv_heads)
            W_O = numpy(model.weight("W_O", layer, head))
            out[f"L{layer}H{head}.b_V"] = plain_words.behind(
                posts[0], numpy(model.weight("b_V", layer))[group] @ W_O, True
            )
        for name, post in (("b_O", posts[0]), ("b_out", posts[1])):
            bias = numpy(model.weight(name, layer))
            out[f"L{layer}.{name}"] = plain_words.behind(post, bias, True)
    numbers = {name: plain_words.logits_of(model, bias) for name, bias in out.items() if bias.any()}
    scale, norm = spec.logit_scale, model.norm("ln_final")
    numbers["ln_final"] = scale * numpy(norm.bias) @ numpy(model.weight("W_U"))
    numbers["b_U"] = scale * numpy(model.weight("b_U"))
    return {name: values for name, values in numbers.items() if values.any()}


@pytest.mark.parametrize("name", ["gpt2", "gptj", "qwen2", "opt", "phi"])
def test_every_bias_is_read_and_only_those(name: str) -> None:
    model = zoo_model(name)
    expected, table = plain_biases(model), wb.vocabulary.biases(model, k=K)
    assert table.names == tuple(expected)
    if name == "qwen2":
        assert "L0H3.b_V" in table.names and "L0.b_O" not in table.names
    if name in ("gptj", "phi"):
        assert table.names[-1] == "b_U"
        size = np.sqrt((plain_words.numpy(model.weight("b_U")) ** 2).mean())
        assert table.sizes[-1] == pytest.approx(size, rel=1e-5)
    for at, values in enumerate(expected.values()):
        check(table, at, values)


def test_the_bias_of_the_values_is_what_a_head_adds_whatever_it_attends_to() -> None:
    model = words_model()
    bias = model.weight("b_V", 1)[2]
    run = model.run("When Mary and John", edits=Set("L1H2.v", bias), read="L1H2.z", logits_at=())
    z = run["L1H2.z"]
    torch.testing.assert_close(z, bias.expand_as(z), atol=1e-6, rtol=1e-5)
    values = plain_words.logits_of(model, plain_words.numpy(z[0, -1] @ model.weight("W_O", 1, 2)))
    table = wb.vocabulary.biases(model, k=K)
    check(table, table.names.index("L1H2.b_V"), values)


def test_a_model_without_any_bias_is_a_named_error() -> None:
    with pytest.raises(ValueError, match=r"llama \(LlamaForCausalLM\) adds no bias"):
        wb.vocabulary.biases(zoo_model("llama"))


@pytest.mark.parametrize("name", ["tinyworld"])
def test_both_backends_give_the_same_words(name: str) -> None:
    first, second = (
        wb.vocabulary.biases(load(name, backend=backend, device="cpu"))
        for backend in ("nnsight", "transformer_lens")
    )
    assert first.names == second.names and first.vocabulary == second.vocabulary
    np.testing.assert_allclose(first.top_values, second.top_values, atol=1e-5, rtol=1e-5)
    np.testing.assert_array_equal(first.top_ids, second.top_ids)


def test_half_precision_models_are_read() -> None:
    table = wb.vocabulary.words(zoo_model("olmo2", dtype="bfloat16"), random(2, 32), k=2)
    full = wb.vocabulary.words(zoo_model("olmo2"), random(2, 32), k=2)
    assert table.top_values.dtype == np.float32
    np.testing.assert_allclose(table.top_values, full.top_values, rtol=0.1)


def test_it_is_a_result_that_is_saved_tabled_and_drawn(tmp_path: Path) -> None:
    table = wb.vocabulary.words(words_model(), random(3, 32), names=["a", "b", "c"], k=K)
    table.save(tmp_path / "table")
    again = wb.vocabulary.DirectionVocabulary.load(tmp_path / "table")
    frame: Any = again.to_frame(n=2)
    assert frame.equals(table.to_frame(n=2)) and frame["direction"].tolist() == ["a", "b", "c"]
    words: Any = table.to_frame("words").query("direction == 'b'")
    assert frame["top"][1] == "|".join(words[words["end"] == "top"]["token"][:2])
    assert words["value"].iloc[0] == pytest.approx(float(table.top_values[1, 0]))
    assert repr(table) == (
        "DirectionVocabulary(words: 3 directions through the unembedding, top 4 words, norm folded)"
    )
    ax = table.plot(where={"end": "bottom"})
    assert [label.get_text() for label in ax.get_yticklabels()] == ["a", "b", "c"]
    assert 3 <= len(ax.texts) <= 3 * K


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        (random(2, 31), {}, r"are \(n, 32\), at least one; got the shape \(2, 31\)"),
        (torch.zeros(0, 32), {}, r"at least one; got the shape \(0, 32\)"),
        (torch.eye(32)[:2] * torch.tensor([[1.0], [0.0]]), {}, "direction 1 has not. Leave it out"),
        (random(2, 32) / 0, {}, "directions is numbers, all finite; got a Tensor of shape"),
        (random(2, 32), {"names": ["a"]}, "Each of the 2 directions has a name of its own; got 1"),
        (random(2, 32), {"names": ["a", "a"]}, "got 2 names, 1 of them different"),
        (random(2, 32), {"space": "logits"}, "space is one of .*got 'logits'"),
        (random(2, 32), {"norm": "all"}, "norm is one of 'folded', 'none'; got 'all'"),
        (random(2, 32), {"k": 0}, "k is a whole number from 1 or None; got 0"),
    ],
)
def test_bad_input_is_a_named_error(rows: torch.Tensor, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        wb.vocabulary.words(words_model(), rows, **options)
