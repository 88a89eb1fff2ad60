"""Neurons as words, against loops over tokens and against the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.parity import zoo
from tests.unit import plain_words
from tests.unit.lens_models import words_model, zoo_model
from workbench.edits import Set
from workbench.loading import load

K = 5


@pytest.fixture(scope="module")
def model() -> Any:
    return words_model()


@pytest.fixture(scope="module")
def table(model: Any) -> wb.vocabulary.NeuronVocabulary:
    return wb.vocabulary.neurons(model, k=K)


@pytest.mark.parametrize("norm", ["folded", "none"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "olmo2", "gpt_neox", "opt", "bloom"])
def test_every_number_is_that_of_a_loop_over_tokens(name: str, norm: Any) -> None:
    model = zoo_model(name)
    table = wb.vocabulary.neurons(model, 1, k=K, norm=norm)
    gated = name in ("llama", "gemma2", "olmo2")
    assert table.sides == (("out", "in", "gate") if gated else ("out", "in"))
    assert table.share is not None and table.kurtosis is not None and table.norm == norm
    assert table.bottom_ids is not None and table.bottom_values is not None
    for s, side in enumerate(table.sides):
        for unit in (0, 31):
            values = plain_words.numbers(model, 1, unit, side, norm == "folded")
            order = np.argsort(-values)
            close: Any = {"rtol": 1e-4, "atol": 1e-4}
            assert table.top_ids[s, 0, unit].tolist() == order[:K].tolist()
            assert table.bottom_ids[s, 0, unit].tolist() == order[::-1][:K].tolist()
            np.testing.assert_allclose(table.top_values[s, 0, unit], values[order[:K]], **close)
            np.testing.assert_allclose(
                table.bottom_values[s, 0, unit], values[order[::-1][:K]], **close
            )
            assert table.kurtosis[s, 0, unit] == pytest.approx(
                plain_words.kurtosis(values), abs=1e-3
            )
            if side == "out":
                assert table.share[0, unit] == pytest.approx(plain_words.share(values), rel=1e-3)


def test_words_out_are_the_logits_of_the_direction_by_itself(
    model: Any, table: wb.vocabulary.NeuronVocabulary
) -> None:
    direction = model.weight("W_out", 2)[7]
    norm = model.norm("ln_final")
    unit = direction / norm.center(direction).pow(2).mean().sqrt()
    logits = model.unembed(unit) - norm.bias @ model.weight("W_U") - model.weight("b_U")
    best = logits.topk(K)
    assert table.top_ids[0, 2, 7].tolist() == best.indices.tolist()
    np.testing.assert_allclose(table.top_values[0, 2, 7], best.values.numpy(), atol=1e-4)


def test_words_in_are_what_the_neuron_reads_where_only_the_embedding_is(
    model: Any, table: wb.vocabulary.NeuronVocabulary
) -> None:
    # Each word by itself, as a prompt whose residual stream is set to its embedding; so large that
    # the norm's epsilon is nothing beside it.
    layer, unit = 1, 9
    ids = table.top_ids[1, layer, unit].tolist()
    stream = 1000 * model.weight("W_E")[ids][:, None]
    prompts = [[i] for i in ids]
    run = model.run(prompts, edits=Set("L1.resid_mid", stream), read="L1.mlp_pre", logits_at=())
    read = run["L1.mlp_pre"][:, 0, unit].numpy()
    expected = table.top_values[1, layer, unit] + table.biases[layer, unit]
    np.testing.assert_allclose(read, expected, atol=2e-4)


def test_a_gate_reads_the_same_way() -> None:
    model = zoo_model("llama")
    table = wb.vocabulary.neurons(model, 1, k=3, sides="gate")
    assert table.gate_biases is not None
    ids = table.top_ids[0, 0, 4].tolist()
    edit = Set("L1.resid_mid", 1000 * model.weight("W_E")[ids][:, None])
    run = model.run([[i] for i in ids], edits=edit, read="L1.mlp_pre", logits_at=())
    expected = table.top_values[0, 0, 4] + table.gate_biases[0, 4]
    np.testing.assert_allclose(run["L1.mlp_pre"][:, 0, 4].numpy(), expected, atol=2e-4)


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_both_backends_give_the_same_table(name: str) -> None:
    _same_on_both(name)


def test_both_backends_give_the_same_table_of_stories(asset: Callable[..., Path]) -> None:
    _same_on_both(asset("models", "stories260K"))


def _same_on_both(name: Any) -> None:
    first, second = (
        wb.vocabulary.neurons(load(name, backend=backend, device="cpu"), 1)
        for backend in ("nnsight", "transformer_lens")
    )
    assert first.vocabulary == second.vocabulary
    assert (first.top_ids == second.top_ids).mean() > 0.999
    for field in ("top_values", "bottom_values", "share", "sizes", "biases"):
        np.testing.assert_allclose(
            getattr(first, field), getattr(second, field), atol=1e-5, rtol=1e-5, err_msg=field
        )


def test_a_padded_vocabulary_is_read_up_to_the_last_word_of_the_tokenizer(tmp_path: Path) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(vocab_size=zoo.N_WORDS + 4, n_embd=16, n_layer=1, n_head=2, n_positions=8)
    torch.manual_seed(0)
    padded: Any = GPT2LMHeadModel(config)
    padded.transformer.wte.weight.data[zoo.N_WORDS :] = 50.0 * torch.randn(4, 16)
    padded.save_pretrained(tmp_path)
    zoo.tokenizer().save_pretrained(tmp_path)
    model = load(tmp_path, device="cpu")
    table = wb.vocabulary.neurons(model, k=3)
    assert len(table.vocabulary) == zoo.N_WORDS == len(model.tokenizer)
    assert int(table.top_ids.max()) < zoo.N_WORDS
    values = plain_words.numbers(model, 0, 5, "out")
    np.testing.assert_allclose(table.top_values[0, 0, 5], -np.sort(-values)[:3], atol=1e-4)


def test_half_precision_finds_nearly_the_same_words() -> None:
    full = wb.vocabulary.neurons(zoo_model("olmo2"), k=3)
    half = wb.vocabulary.neurons(zoo_model("olmo2", dtype="bfloat16"), k=3)
    assert half.top_values.dtype == np.float32
    assert (full.top_ids[..., 0] == half.top_ids[..., 0]).mean() > 0.9
    np.testing.assert_allclose(full.top_values, half.top_values, rtol=0.1, atol=0.1)


def test_layers_and_sides_are_parts_of_the_whole(
    model: Any, table: wb.vocabulary.NeuronVocabulary
) -> None:
    part = wb.vocabulary.neurons(
        model, [2, 0], k=K, sides=["in"], bottom=False, measures=("kurtosis",)
    )
    assert part.layers.tolist() == [0, 2] and part.sides == ("in",)
    np.testing.assert_array_equal(part.top_ids[0], table.top_ids[1, [0, 2]])
    assert part.bottom_ids is None and part.share is None
    assert part.kurtosis is not None and table.kurtosis is not None
    np.testing.assert_array_equal(part.kurtosis[0], table.kurtosis[1, [0, 2]])


def test_the_table_has_a_line_a_neuron(table: wb.vocabulary.NeuronVocabulary) -> None:
    frame = table.to_frame(n=2)
    assert len(frame) == table.n_neurons == 3 * 128
    line = frame.iloc[table.row("L1.mlp_post/9")]
    assert (line["neuron"], line["layer"], line["unit"]) == ("L1.mlp_post/9", 1, 9)
    words = table.words("L1.mlp_post/9")
    for side, end, column in (("out", "top", "out"), ("in", "bottom", "in_bottom")):
        some = words[(words["side"] == side) & (words["end"] == end)]
        assert some["rank"].tolist() == list(range(1, K + 1))
        assert line[column] == "|".join(some["token"][:2])
    assert table.share is not None
    assert line["share"] == table.share[1, 9] and line["bias"] == table.biases[1, 9]
    assert str(table.site(table.row("L2.mlp_post/77"))) == "L2.mlp_post/77"
    for row in (-1, table.n_neurons, 2**70):
        with pytest.raises(ValueError, match=f"row is a whole number from 0 to .*; got {row}"):
            table.site(row)


def test_search_finds_every_place_of_a_word_best_rank_first(
    table: wb.vocabulary.NeuronVocabulary,
) -> None:
    found: Any = table.search(" Mary")
    token = table.vocabulary.index(" Mary")
    assert table.bottom_ids is not None
    n = int((table.top_ids == token).sum() + (table.bottom_ids == token).sum())
    assert len(found) == n > 0 and set(found["token"]) == {" Mary"}
    assert found["rank"].is_monotonic_increasing
    out = table.search(" Mary", side="out")
    assert set(out["side"]) == {"out"} and len(out) == (found["side"] == "out").sum()
    for line in found.head(5).to_dict("records"):
        words: Any = table.words(line["neuron"])
        here = (words["side"] == line["side"]) & (words["end"] == line["end"])
        place = words[here & (words["rank"] == line["rank"])].to_dict("records")[0]
        assert place["token"] == " Mary" and place["value"] == pytest.approx(line["value"])


def test_a_word_without_its_space_finds_the_token_with_and_without(
    table: wb.vocabulary.NeuronVocabulary,
) -> None:
    assert set(table.search("Mary")["token"]) <= {"Mary", " Mary"}
    assert len(table.search("Mary")) >= len(table.search(" Mary"))
    by_id = table.search(table.vocabulary.index(" Mary"))
    assert by_id.equals(table.search(" Mary"))


def test_kept_counts_equal_top_words_and_what_all_pairs_would_give(
    table: wb.vocabulary.NeuronVocabulary,
) -> None:
    rng = np.random.default_rng(0)
    moved = table.top_ids.copy()
    some = rng.permutation(128)[:50]
    moved[0, 1, some] = moved[0, 1, np.roll(some, 1)]
    other = replace(table, top_ids=moved)
    kept = table.kept(other).set_index(["side", "layer"])
    assert kept.loc[("out", 0), "kept"] == 1 and kept.loc[("out", 0), "overlap"] == 1
    a, b = table.top_ids[0, 1], moved[0, 1]
    line = kept.loc[("out", 1)]
    assert line["kept"] == pytest.approx(np.mean([x[0] == y[0] for x, y in zip(a, b, strict=True)]))
    overlaps = [len(set(x) & set(y)) / K for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    assert line["overlap"] == pytest.approx(np.mean(overlaps))
    chance = [x[0] == y[0] for x in a for y in b]
    assert line["kept_by_chance"] == pytest.approx(np.mean(chance))
    both = [len(set(x) & set(y)) / K for x in a.tolist() for y in b.tolist()]
    assert line["overlap_by_chance"] == pytest.approx(np.mean(both))
    assert line["low"] < line["kept"] < line["high"] and line["n"] == 128


def test_two_checkpoints_share_more_words_than_chance() -> None:
    last, early = load("tinyworld", device="cpu"), load("tinyworld-checkpoints/step-004000")
    kept = wb.vocabulary.neurons(last, 0, sides="out").kept(
        wb.vocabulary.neurons(early, 0, sides="out")
    )
    assert kept["low"].iloc[0] > 10 * kept["kept_by_chance"].iloc[0]


def test_it_is_a_result_that_is_saved_drawn_and_named(
    table: wb.vocabulary.NeuronVocabulary, tmp_path: Path
) -> None:
    table.save(tmp_path / "table")
    again = wb.vocabulary.NeuronVocabulary.load(tmp_path / "table")
    assert again.to_frame().equals(table.to_frame())
    assert repr(again) == (
        "NeuronVocabulary(words: 384 neurons of 3 layers, out and in, top 5 words, norm folded)"
    )
    ax = table.plot(neurons=["L1.mlp_post/9"], side="in", end="bottom", words=3)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["L1/9"]
    assert len(ax.texts) == 3
    assert len(table.plot(n=4).get_yticklabels()) == 4
    with pytest.raises(ValueError, match="end is one of 'top', 'bottom'; got 'middle'"):
        table.plot(end="middle")


@pytest.mark.parametrize(
    ("layer", "options", "error", "text"),
    [
        (3, {}, ValueError, "layers is different whole numbers from 0 to 2, or one;"),
        ([0, 0], {}, ValueError, "layers is different whole numbers from 0 to 2, or one;"),
        ("1", {}, TypeError, "layers is a whole number, a list of whole numbers or"),
        (0, {"k": 10**6}, ValueError, r"k is a whole number from 1 to 334; got 1000000\. The"),
        (0, {"sides": "up"}, ValueError, "sides is a list of items, each one of 'out', 'in',"),
        (0, {"sides": ("out", "gate")}, ValueError, r"has no gate; leave 'gate' out"),
        (0, {"norm": "half"}, ValueError, "norm is one of 'folded', 'none'; got 'half'"),
        (0, {"measures": ("entropy",)}, ValueError, r"measures is some of"),
    ],
)
def test_bad_input_is_a_named_error(
    model: Any, layer: Any, options: Any, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        wb.vocabulary.neurons(model, layer, **options)


def test_questions_that_the_table_cannot_answer_are_named_errors(
    table: wb.vocabulary.NeuronVocabulary,
) -> None:
    with pytest.raises(ValueError, match=r"neurons 0 to 127 of the layers 0, 1, 2.*L3.mlp_post/1"):
        table.words("L3.mlp_post/1")
    with pytest.raises(ValueError, match=r"is none\. Tokens like it are 'Mary'.*its pieces"):
        table.search(" Marry")
    with pytest.raises(ValueError, match="sides out, in; got 'gate'"):
        table.search(" Mary", side="gate")
    other = wb.vocabulary.neurons(zoo_model("gpt2"), k=K)
    with pytest.raises(ValueError, match=r"within one vocabulary; words has \d+ tokens, gpt2 60"):
        table.kept(other)
    smaller = replace(table, layers=np.array([0, 1, 3]))
    with pytest.raises(ValueError, match=r"the layers of one are \(0, 1, 2\), of the other"):
        table.kept(smaller)


def test_a_model_without_neurons_is_a_named_error(model: Any) -> None:
    class NoNeurons:
        spec = replace(model.spec, d_mlp=0)

    with pytest.raises(ValueError, match="model is a Model; got"):
        wb.vocabulary.neurons(NoNeurons())  # pyright: ignore[reportArgumentType]
