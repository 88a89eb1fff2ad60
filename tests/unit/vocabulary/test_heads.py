"""Head vocabulary: pairs, directions and shares agree with the whole matrices, written out."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import tinyworld
from tests.unit.kernels import head_circuits
from tests.unit.lens_models import zoo_model
from workbench.loading import load

ARCHITECTURES = ["gpt2", "gpt_neox", "gptj", "opt", "bloom", "qwen3", "gemma2", "olmo2"]
HEAD = "L1H2"
SOME = ("L0H0", "L1H2", "L2H3")


def read(model: Any, heads: Any = None, **options: Any) -> wb.vocabulary.HeadVocabulary:
    quick: dict[str, Any] = {"progress": False, "n_controls": 2}
    return wb.vocabulary.heads(model, heads, **{**quick, **options})


@cache
def in_tinyworld(name: str = "tinyworld") -> wb.vocabulary.HeadVocabulary:
    return read(tinyworld(name), SOME, n_pairs=3, embedding="first_block")


def squares(model: Any, layer: int, head: int, norm: str, words: torch.Tensor) -> Any:
    """(word, word) OV and QK of a head in float64, word by word as a pass would have them."""
    spec = model.spec
    group = head // (spec.n_heads // spec.n_kv_heads)
    w = {c: model.weight(f"W_{c}", layer, group).double() for c in "KV"}
    w |= {c: model.weight(f"W_{c}", layer, head).double() for c in "QO"}
    before, after = (model.norm(name, layer) for name in ("ln1", "ln1_post"))
    final, w_u = model.norm("ln_final"), model.weight("W_U").double()
    streams = []
    for word in words.double():
        if norm == "folded" and before is not None:
            word = word - word.mean() if before.centers else word
            word = word / word.pow(2).mean().sqrt() * before.weight.double()
        streams.append(word)
    ov = []
    for x in streams:
        out = x @ w["V"] @ w["O"]
        for each in (after, final) if norm == "folded" else ():
            if each is not None:
                out = (out - out.mean() if each.centers else out) * each.weight.double()
        ov.append(out @ w_u * spec.logit_scale)
    q, k = (torch.stack([x @ w[c] for x in streams]) for c in "QK")
    return torch.stack(ov).numpy(), (q @ k.T / spec.d_head**0.5).numpy()


def check_pairs(result: wb.vocabulary.HeadVocabulary, head: int, ov: Any, qk: Any) -> None:
    n = result.pair_values.shape[2]
    for kind, matrix, sign in ((0, ov, 1), (1, ov, -1), (2, qk, 1)):
        expected = np.sort((sign * matrix).ravel())[::-1][:n] * sign
        scale = np.abs(matrix).max()
        np.testing.assert_allclose(result.pair_values[head, kind], expected, atol=1e-5 * scale)
        rows, columns = result.pair_ids[head, kind].T
        np.testing.assert_allclose(matrix[rows, columns], expected, atol=1e-5 * scale)


@pytest.mark.parametrize("norm", ["folded", "none"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_pairs_and_shares_are_those_of_the_whole_matrices(name: str, norm: Any) -> None:
    model = zoo_model(name)
    result = read(model, HEAD, norm=norm, n_pairs=7)
    ov, qk = squares(model, 1, 2, norm, model.weight("W_E"))
    check_pairs(result, 0, ov, qk)
    for word in range(60):
        order = np.argsort(-ov[word]).tolist()
        assert result.copied[0, word] == (word in order[:5])
        assert result.suppressed[0, word] == (word in order[-5:])
    values = np.linalg.eigvals(ov)
    expected = values.sum().real / np.abs(values).sum()
    assert result.copying_scores[0] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_singular_directions_are_those_of_the_matrices_in_the_residual_stream(name: str) -> None:
    model = zoo_model(name)
    result = read(model, HEAD, n_directions=3, k=4)
    group = 2 // (model.spec.n_heads // model.spec.n_kv_heads)
    before, after = model.norm("ln1", 1), model.norm("ln1_post", 1)
    fold = torch.diag(before.weight.double())
    if before.centers:
        fold = (torch.eye(32).double() - 1 / 32) @ fold
    w_q, w_o = (model.weight(f"W_{c}", 1, 2).double() for c in "QO")
    w_k, w_v = (model.weight(f"W_{c}", 1, group).double() for c in "KV")
    if after is not None:
        w_o = w_o * after.weight.double()
    maps = fold @ w_v @ w_o, fold @ w_q @ w_k.T @ fold.T / 8**0.5
    sizes = model.weight("W_E").double()
    sizes = sizes - sizes.mean(-1, keepdim=True) if before.centers else sizes
    embedding = model.weight("W_E").double() / sizes.pow(2).mean(-1, keepdim=True).sqrt()
    final = model.norm("ln_final")
    for c, matrix in enumerate(maps):
        expected = np.linalg.svd(matrix.numpy())[1][:8]
        np.testing.assert_allclose(result.singular_values[0, c], expected, rtol=1e-4, atol=1e-5)
        for d in range(3):
            first, second = torch.from_numpy(result.directions[0, c, d].copy()).double()
            torch.testing.assert_close(first @ matrix, expected[d] * second, atol=1e-4, rtol=1e-4)
            assert float(second.norm()) == pytest.approx(1, abs=1e-5)
            centred = second - second.mean() if final.centers else second
            logits = centred / centred.pow(2).mean().sqrt() * final.weight.double()
            logits = logits @ model.weight("W_U").double()
            sides = [embedding @ first, logits if c == 0 else embedding @ second]
            for side, numbers in enumerate(sides):
                for sign, signed in enumerate((numbers, -numbers)):
                    top = signed.topk(4)
                    at = (0, c, d, sign, side)
                    np.testing.assert_allclose(result.direction_values[at], top.values, atol=1e-4)
                    assert result.direction_ids[at].tolist() == top.indices.tolist()


def test_words_behind_the_first_block_are_what_it_makes_of_each_alone() -> None:
    model = zoo_model("gpt2")
    result = read(model, ["L0H1", HEAD], embedding="first_block", n_pairs=5)
    words = torch.cat(
        [model.run([[i]], read="L0.resid_post")["L0.resid_post"][:, 0] for i in range(60)]
    )
    check_pairs(result, 1, *squares(model, 1, 2, "folded", words))
    check_pairs(result, 0, *squares(model, 0, 1, "folded", model.weight("W_E")))
    assert "heads of layer 0 read W_E" in result.notes[-2]
    plain = read(model, ["L0H1", HEAD], n_pairs=5)
    np.testing.assert_array_equal(plain.copied[0], result.copied[0])
    assert plain.random_copying_scores[0] == pytest.approx(result.random_copying_scores[0])
    assert plain.random_copying_scores[1] != pytest.approx(result.random_copying_scores[1])


def assert_equal_results(
    one: wb.vocabulary.HeadVocabulary, other: wb.vocabulary.HeadVocabulary
) -> None:
    for name in ("copying_scores", "pair_values", "singular_values", "previous_token"):
        a, b = getattr(one, name), getattr(other, name)
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, np.abs(a).max()))
    np.testing.assert_array_equal(one.copied, other.copied)
    np.testing.assert_array_equal(one.suppressed, other.suppressed)


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_the_backends_give_the_same_result(name: str) -> None:
    other = read(tinyworld(name, "transformer_lens"), "L2H3", n_pairs=3, embedding="first_block")
    assert_equal_results(in_tinyworld(name).of("L2H3"), other)


def test_it_reads_stories260k_on_both_backends(asset: Callable[..., Path]) -> None:
    folder = asset("models", "stories260K")
    one, other = (
        read(load(folder, backend=backend, device="cpu"), ["L0H1", "L4H7"], n_pairs=3)
        for backend in ("nnsight", "transformer_lens")
    )
    assert_equal_results(one, other)
    assert one.previous_token_source == "prompts" and one.exact


def test_half_precision_weights_are_multiplied_in_single_precision() -> None:
    model = zoo_model("llama", dtype="bfloat16")
    result = read(model, HEAD, n_pairs=3)
    ov, qk = squares(model, 1, 2, "folded", model.weight("W_E"))
    for kind, matrix in ((0, ov), (2, qk)):
        expected = np.sort(matrix.ravel())[::-1][:3]
        # Of the weights with their norm folded in, which half precision rounds once.
        np.testing.assert_allclose(result.pair_values[0, kind], expected, rtol=0.02)
    assert np.isfinite(result.copying_scores).all()


def test_a_padded_vocabulary_counts_as_far_as_it_has_words(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    from tests.parity import zoo

    zoo.save("gpt2", tmp_path)
    padded: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "gpt2")
    padded.resize_token_embeddings(70, mean_resizing=False)
    # Larger than every word, so that it would come first.
    padded.transformer.wte.weight.data[60:] *= 50
    padded.save_pretrained(tmp_path / "gpt2")
    result, plain = (
        read(model, HEAD, n_pairs=5, norm="none", embedding="first_block")
        for model in (load(tmp_path / "gpt2", device="cpu"), zoo_model("gpt2"))
    )
    assert result.n_words == plain.n_words == result.copied.shape[1] == 60
    np.testing.assert_array_equal(result.pair_ids, plain.pair_ids)
    assert_equal_results(result, plain)


def test_one_head_of_many_is_what_it_is_alone() -> None:
    part = in_tinyworld().of("L2H3.z")
    alone = read(tinyworld(), "L2H3", n_pairs=3, embedding="first_block")
    assert part.heads == alone.heads == ("L2H3",) and part.layers == [2] and part.numbers == [3]
    assert_equal_results(part, alone)
    with pytest.raises(KeyError, match=r"has the heads L2H3; got 'L1H1'"):
        part.of("L1H1")


def test_shares_of_a_sample_have_intervals_and_those_of_all_words_none() -> None:
    every = in_tinyworld().of("L2H3")
    some = read(tinyworld(), "L2H3", n_pairs=0, n_tokens=300, embedding="first_block")
    share = float(every.copying_shares[0])
    assert every.exact and every.copying_share_low == every.copying_share_high == share
    assert not some.exact and some.copied.shape == (1, 300)
    low, high = some.copying_share_low[0], some.copying_share_high[0]
    assert low < share < high and 0.05 < high - low < 0.2
    np.testing.assert_array_equal(some.copied[0], every.copied[0, some.token_ids])
    assert some.suppression_share_high[0] < 0.1


def test_the_tables_hold_the_results_own_numbers() -> None:
    result = in_tinyworld()
    scores: Any = result.to_frame()
    assert len(scores) == 3 and scores["head"].tolist() == list(result.heads)
    assert scores["copying_score"].to_numpy() == pytest.approx(result.copying_scores)
    assert scores["copying_share"].to_numpy() == pytest.approx(result.copied.mean(1))
    low, high = scores["copying_score_control_low"], scores["copying_score_control_high"]
    assert (low < scores["copying_score_control"]).all() and (low < high).all()
    assert scores["previous_token_low"].isna().all()
    pairs = result.to_frame("pairs")
    assert len(pairs) == 3 * 3 * 3
    line = pairs[(pairs["head"] == "L1H2") & (pairs["kind"] == "suppressed")].iloc[2]
    at = result.heads.index("L1H2")
    words = [tinyworld().tokenizer.decode([i]) for i in result.pair_ids[at, 1, 2]]
    assert [line["source"], line["target"]] == words and line["rank"] == 3
    assert line["value"] == pytest.approx(float(result.pair_values[at, 1, 2]))
    singular = result.to_frame("singular")
    assert len(singular) == 3 * 2 * 4 * 2
    line = singular.iloc[5]
    assert (line["head"], line["circuit"], line["direction"], line["sign"]) == (
        "L0H0",
        "OV",
        2,
        "-",
    )
    ids = result.direction_ids[0, 0, 2, 1, 1].tolist()
    assert line["writes"] == tuple(result.word(i) for i in ids)
    squares_of = result.singular_values[0, 0].astype(float) ** 2
    assert line["share"] == pytest.approx(squares_of[2] / squares_of.sum())
    measured: Any = in_tinyworld("tinyworld-llama").to_frame()
    assert (measured["previous_token_low"] <= measured["previous_token"]).all()
    with pytest.raises(ValueError, match="one of 'scores', 'pairs', 'singular'; got 'words'"):
        result.to_frame("words")


def test_it_is_a_result_that_is_saved_and_described(tmp_path: Path) -> None:
    result = in_tinyworld()
    result.save(tmp_path / "heads")
    again = wb.vocabulary.HeadVocabulary.load(tmp_path / "heads")
    for what in ("scores", "pairs", "singular"):
        assert again.to_frame(what).equals(result.to_frame(what))
    assert repr(result) == (
        "HeadVocabulary(tinyworld: 3 heads, norm folded, words as first_block, "
        "shares of 1986 words)"
    )
    assert repr(result.of("L2H3")).startswith("HeadVocabulary(tinyworld: L2H3, norm")


def test_no_pairs_are_asked_for_and_none_come() -> None:
    result = read(zoo_model("gpt2"), HEAD, n_pairs=0)
    assert result.pair_ids.shape == (1, 3, 0, 2) and np.isnan(result.pair_shares).all()
    assert len(result.to_frame("pairs")) == 0


def test_notes_say_what_is_folded_in_and_what_is_left_out() -> None:
    gemma, olmo = (read(zoo_model(name), HEAD, n_pairs=0) for name in ("gemma2", "olmo2"))
    assert gemma.notes[0] == (
        "Folded in: the weights of the norm before attention and the post-norm of attention and "
        "the final norm; no bias."
    )
    assert "division of the final norm and of the post-norm" in gemma.notes[2]
    assert "no norm stands before attention" in olmo.notes[1]
    assert "rotary or ALiBi positions" in gemma.notes[3]
    plain = read(zoo_model("gpt2"), HEAD, n_pairs=0, norm="none")
    assert plain.notes[0].startswith("No norm's weight")
    assert "from W_pos and W_QK" in plain.notes[-1]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"heads": "L9H0"}, "has layers 0 to 1 with heads 0 to 3; got L9H0"),
        ({"heads": "L1H4.z"}, "has layers 0 to 1 with heads 0 to 3; got L1H4"),
        ({"heads": "L1.mlp_out"}, "written 'L3H1' or 'L3H1.z'; got 'L1.mlp_out'"),
        ({"heads": "L1H1.q"}, "written 'L3H1' or 'L3H1.z'; got 'L1H1.q'"),
        ({"heads": []}, "At least one head is read; got none"),
        ({"heads": ["L1H1", "L1H1.z"]}, "L1H1 stands twice"),
        ({"k": 0}, "k is a whole number from 1; got 0"),
        ({"n_pairs": -1}, "n_pairs is a whole number from 0; got -1"),
        ({"n_directions": 9}, r"n_directions is a whole number from 1 to 8; got 9\."),
        ({"top": 60}, r"top is a whole number from 1 to 59; got 60\. These are"),
        ({"n_controls": 0}, "n_controls is a whole number from 1; got 0"),
        ({"n_tokens": 61}, r"n_tokens is a whole number from 1 to 60; got 61\. The"),
        ({"norm": "all"}, "norm is one of 'folded', 'none'; got 'all'"),
        ({"embedding": "W_E"}, "embedding is one of 'weights', 'first_block'; got 'W_E'"),
    ],
)
def test_bad_input_is_a_named_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        read(zoo_model("gpt2"), **{"heads": "L0H0", **arguments})


def test_an_embedding_of_another_width_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = zoo_model("gpt2")
    narrow = model.weight("W_E")[:, :16]
    monkeypatch.setattr(model, "weight", lambda name, *_, **__: narrow)
    with pytest.raises(ValueError, match="embeds tokens in 16 and computes in 32"):
        head_circuits.word_vectors(model, "folded")
