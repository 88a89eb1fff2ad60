"""Scores of heads agree with slow recomputations from the whole vocabulary × vocabulary matrix."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import head_circuits, head_scores
from tests.unit.lens_models import zoo_model

HEADS = [(layer, head) for layer in range(2) for head in range(4)]


def randn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_copying_score_is_that_of_the_eigenvalues_of_the_whole_matrix() -> None:
    given = head_circuits.Factors(randn(40, 5), randn(40, 5, seed=1))
    values = np.linalg.eigvals((given.left @ given.right.T).double().numpy())
    expected = values.sum().real / np.abs(values).sum()
    assert head_scores.copying_score(given) == pytest.approx(expected, abs=1e-6)
    assert head_scores.copying_score(
        head_circuits.Factors(given.left, given.left)
    ) == pytest.approx(1)
    assert head_scores.copying_score(
        head_circuits.Factors(given.left, -given.left)
    ) == pytest.approx(-1)
    assert np.isnan(
        head_scores.copying_score(head_circuits.Factors(torch.zeros(40, 5), given.right))
    )


@pytest.mark.parametrize("batch", [1 << 20, 64])
def test_a_word_is_copied_where_it_is_among_the_largest(
    batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(head_scores, "BATCH", batch)
    right = randn(30, 4)
    own = torch.tensor([3, 7, 29, 0, 12])
    left = right[own] + randn(5, 4, seed=1)
    copied, suppressed = head_scores.own_word_extremes(left, right, own, 3)
    for row, word in enumerate(own.tolist()):
        numbers = [float(left[row] @ column) for column in right]
        order = sorted(range(30), key=lambda j: -numbers[j])
        assert bool(copied[row]) == (word in order[:3])
        assert bool(suppressed[row]) == (word in order[-3:])
    assert copied.any()


@pytest.mark.parametrize("top", [1, 2, 3])
def test_the_last_of_the_largest_is_one_of_them_and_an_equal_one_counts_as_before(
    top: int,
) -> None:
    right = torch.tensor([9.0, 7.0, 5.0, 5.0, 3.0, 1.0, -2.0])[:, None]
    own = torch.arange(7)
    copied, suppressed = head_scores.own_word_extremes(torch.ones(7, 1), right, own, top)
    numbers = right[:, 0].tolist()
    for word, number in enumerate(numbers):
        before = sum(n >= number for n in numbers) - 1
        behind = sum(n <= number for n in numbers) - 1
        assert bool(copied[word]) == (before < top)
        assert bool(suppressed[word]) == (behind < top)
    assert int(copied.sum()) == min(top, 2) and int(suppressed.sum()) == top


def test_a_head_that_writes_nothing_neither_copies_nor_suppresses() -> None:
    nothing = head_scores.own_word_extremes(torch.zeros(4, 2), randn(9, 2), torch.arange(4), 3)
    assert not nothing[0].any() and not nothing[1].any()


def test_small_vocabularies_are_read_whole_and_large_ones_sampled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = zoo_model("gpt2")
    assert head_scores.sampled_words(model, None, 0).tolist() == list(range(60))
    monkeypatch.setattr(head_scores, "ALL_UP_TO", 60)
    assert head_scores.sampled_words(model, None, 0).tolist() == list(range(60))
    monkeypatch.setattr(head_scores, "ALL_UP_TO", 59)
    monkeypatch.setattr(head_scores, "SAMPLE", 20)
    some = head_scores.sampled_words(model, None, 0).tolist()
    assert len(set(some)) == 20 and some == sorted(some)
    assert (
        head_scores.sampled_words(model, None, 0).tolist()
        == some
        != head_scores.sampled_words(model, None, 1).tolist()
    )
    assert len(head_scores.sampled_words(model, 7, 0)) == 7


@pytest.mark.parametrize("n", [0, 61, 2.0, True])
def test_a_sample_is_a_number_of_words_of_the_vocabulary(n: Any) -> None:
    with pytest.raises(ValueError, match=f"n_tokens is a whole number from 1 to 60; got {n!r}"):
        head_scores.sampled_words(zoo_model("gpt2"), n, 0)


def test_random_heads_have_the_given_singular_values_and_are_scored_like_others() -> None:
    model = zoo_model("llama")
    words, writing = (
        head_circuits.word_vectors(model, "folded"),
        head_circuits.Writing.to(model, "folded"),
    )
    sample = head_scores.sampled_words(model, 31, 0)
    spectra = np.array([[4.0, 2, 1, 1, 1, 1, 1, 1], [3.0, 3, 0, 0, 0, 0, 0, 0]])
    chance_of = head_scores.RandomHeads.draw(words, writing, sample, 8, 3, seed=0)
    scores, copied, suppressed = chance_of.scores(spectra, 5)
    final = model.norm("ln_final")
    embedding = model.weight("W_E").double()
    sized = embedding / embedding.pow(2).mean(-1, keepdim=True).sqrt()
    for head, spectrum in enumerate(spectra):
        hits = {"copied": 0, "suppressed": 0}
        for draw in range(3):
            inward, outward = (
                each[draw].double() for each in (chance_of.inward, chance_of.outward)
            )
            w_ov = inward.T @ torch.diag(torch.tensor(spectrum)) @ outward
            np.testing.assert_allclose(
                np.linalg.svd(w_ov.numpy())[1][:8], np.sort(spectrum)[::-1], atol=1e-5
            )
            matrix = sized @ w_ov * final.weight.double() @ model.weight("W_U").double()
            values = np.linalg.eigvals(matrix.numpy())
            expected = values.sum().real / np.abs(values).sum()
            assert scores[head, draw] == pytest.approx(expected, abs=1e-4)
            for word in sample[draw::3].tolist():
                order = matrix[word].argsort(descending=True).tolist()
                hits["copied"] += word in order[:5]
                hits["suppressed"] += word in order[-5:]
        assert copied[head] == pytest.approx(hits["copied"] / 31)
        assert suppressed[head] == pytest.approx(hits["suppressed"] / 31)


@pytest.mark.parametrize("name", ["gpt2", "opt"])
def test_a_table_of_positions_gives_the_attention_of_the_mean_word(name: str) -> None:
    model = zoo_model(name)
    run = model.run([[5] * 9], read=["embed", "L0.resid_pre"], logits_at=(), stop_after=0)
    # What the model itself adds for the positions, whichever rows of its table that is.
    places = (run["L0.resid_pre"] - run["embed"])[0].double()
    embedding = model.weight("W_E").double()
    found = head_scores.previous_token(model, HEADS, 0)
    assert found.source == "weights" and found.scores.shape == (8, 1)
    table = model.weight("W_pos")[-64:]
    for layer, head in ((0, 1), (1, 2)):
        norm, streams = model.norm("ln1", layer), []
        for place in places:
            x = embedding.mean(0) + place
            words = embedding + place
            square = (words - words.mean(-1, keepdim=True)).pow(2).mean()
            unit = (x - x.mean()) / (square + norm.epsilon).sqrt()
            streams.append(unit * norm.weight.double() + norm.bias.double())
        q, k = (
            torch.stack(streams) @ model.weight(f"W_{c}", layer, head).double()
            + model.weight(f"b_{c}", layer, head).double()
            for c in "QK"
        )
        expected = np.zeros((9, 9))
        for dst in range(9):
            raw = [float(q[dst] @ k[src]) / 8**0.5 for src in range(dst + 1)]
            weights = np.exp(np.array(raw) - max(raw))
            expected[dst, : dst + 1] = weights / weights.sum()
        scale = head_scores.attention_scale(model, layer)
        got = head_scores.table_pattern(
            model, head_scores.table_stream(model, table, layer), layer, head, scale
        )
        np.testing.assert_allclose(got[:9, :9], expected, atol=1e-5)
        mean = float(got.diagonal(-1).mean())
        assert found.scores[HEADS.index((layer, head)), 0] == pytest.approx(mean)
    assert found.chance == pytest.approx(np.mean([1 / (dst + 1) for dst in range(1, 64)]))


@pytest.mark.parametrize("name", ["llama", "gemma2", "bloom"])
def test_without_a_table_it_is_measured_as_attention_measures_it(name: str) -> None:
    model = zoo_model(name)
    found = head_scores.previous_token(model, HEADS[2:7], 0)
    assert found.source == "prompts" and found.chance == head_scores.chance(32)
    ids = np.random.default_rng(0).choice(range(2, 60), (16, 32))
    expected = wb.attention(model, ids.tolist(), value_weighted=False)
    for row in (0, 9):
        scores = expected.head_scores(row=row)["previous_token"].to_numpy()
        np.testing.assert_allclose(found.scores[:, row], scores[2:7], atol=1e-5)


def test_a_scale_that_is_not_the_usual_one_is_read_off_the_model(tmp_path: Any) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    from tests.parity.zoo import CONFIGS, tokenizer
    from workbench.loading import load

    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    config = GPT2Config(**CONFIGS["gpt2"][1], scale_attn_by_inverse_layer_idx=True, **ids)
    torch.manual_seed(0)
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model = load(tmp_path, device="cpu")
    assert head_scores.attention_scale(model, 0) == pytest.approx(8**-0.5, rel=1e-4)
    assert head_scores.attention_scale(model, 1) == pytest.approx(8**-0.5 / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("backend", "source"), [("transformer_lens", "prompts"), ("nnsight", "weights")]
)
def test_without_scores_of_a_known_scale_weights_alone_do_not_do(
    backend: str, source: str, tmp_path: Any
) -> None:
    from transformers import GPTNeoConfig, GPTNeoForCausalLM

    from tests.parity.zoo import tokenizer
    from workbench.loading import load

    sizes: dict[str, Any] = {"vocab_size": 60, "hidden_size": 32, "num_layers": 2, "num_heads": 4}
    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "max_position_embeddings": 64}
    config = GPTNeoConfig(**sizes, **ids, attention_types=[[["global"], 2]])
    torch.manual_seed(0)
    GPTNeoForCausalLM(config).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    model: Any = load(tmp_path, device="cpu", backend=backend)
    found = head_scores.previous_token(model, HEADS, 0)
    assert isinstance(found, head_scores.PreviousToken) and found.source == source
    assert np.isfinite(found.scores).all()
    hidden = ("attn_scores", "pattern")
    streams = tuple(stream for stream in model.spec.streams if stream not in hidden)
    model.spec = replace(model.spec, streams=streams)
    found = head_scores.previous_token(model, HEADS, 0)
    assert found.source == "none" and np.isnan(found.scores).all()
