"""Attention patterns and what they move, against plain loops over Hugging Face's own modules."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit import lens_models
from tests.unit.lens_models import PROMPT, words_model, zoo_model
from workbench import attention as _attention
from workbench import data, load
from workbench.lens import Attention
from workbench.result import provenance

#: Its optional array and its tables would else have to be narrowed wherever one is tested.
attention: Any = _attention

BACKENDS = ("nnsight", "transformer_lens")
IDS = [[2, 3, 4, 2, 3, 9], [5, 6, 7]]


def plain(folder: Any, ids: list[int]) -> tuple[Any, Any]:
    """The Hugging Face model and what it says of its attention, for one unpadded row."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    with torch.no_grad():
        asked = {"output_attentions": True, "output_hidden_states": True}
        return model, model(torch.tensor([ids]), **asked)


def slow_gpt2(folder: Any, ids: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """(layer, head, dst, src) plain and value-weighted, one weight at a time."""
    model, out = plain(folder, ids)
    n_heads, width = model.config.n_head, model.config.n_embd
    d_head = width // n_heads
    pattern = torch.stack(out.attentions)[:, 0].double().numpy()
    weighted = np.zeros_like(pattern)
    for layer, block in enumerate(model.transformer.h):
        with torch.no_grad():
            joint = block.attn.c_attn(block.ln_1(out.hidden_states[layer][0]))
        v = joint[:, 2 * width :].double().numpy()
        w_o = block.attn.c_proj.weight.detach().double().numpy()
        for head, dst, src in np.ndindex(n_heads, len(ids), len(ids)):
            at = slice(head * d_head, (head + 1) * d_head)
            moved = pattern[layer, head, dst, src] * (v[src, at] @ w_o[at])
            weighted[layer, head, dst, src] = np.sqrt((moved**2).sum())
    return pattern, weighted


def slow_llama(
    folder: Any, ids: list[int], *, post_norm: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """As `slow_gpt2` for blocks of Llama's form, whose query heads share key/value heads."""
    model, out = plain(folder, ids)
    n_heads, n_kv_heads = model.config.num_attention_heads, model.config.num_key_value_heads
    pattern = torch.stack(out.attentions)[:, 0].double().numpy()
    weighted = np.zeros_like(pattern)
    for layer, block in enumerate(model.model.layers):
        stream = out.hidden_states[layer][0]
        with torch.no_grad():
            v = block.self_attn.v_proj(stream if post_norm else block.input_layernorm(stream))
        v = v.double().numpy()
        d_head = v.shape[1] // n_kv_heads
        w_o = block.self_attn.o_proj.weight.detach().double().numpy().T
        moved = np.zeros((n_heads, len(ids), len(ids), w_o.shape[1]))
        for head, dst, src in np.ndindex(n_heads, len(ids), len(ids)):
            group = head // (n_heads // n_kv_heads)
            value = v[src, group * d_head : (group + 1) * d_head]
            moved[head, dst, src] = pattern[layer, head, dst, src] * (
                value @ w_o[head * d_head : (head + 1) * d_head]
            )
        if post_norm:
            norm = block.post_attention_layernorm
            for dst in range(len(ids)):
                whole = moved[:, dst].sum((0, 1))
                size = np.sqrt((whole**2).mean() + norm.variance_epsilon)
                moved[:, dst] *= norm.weight.detach().double().numpy() / size
        weighted[layer] = np.sqrt((moved**2).sum(-1))
    return pattern, weighted


def agrees(result: Attention, row: int, slow: tuple[np.ndarray, np.ndarray]) -> None:
    np.testing.assert_allclose(result.of_prompt(row), slow[0], atol=1e-6)
    weighted = result.of_prompt(row, weighted=True)
    np.testing.assert_allclose(weighted, slow[1], atol=1e-5, rtol=1e-5)
    assert weighted.max() > 0.1


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_equals_plain_loops_over_a_gpt2_with_a_shorter_prompt_beside(backend: str) -> None:
    model = words_model(backend)
    result = attention(model, [PROMPT, "When Mary and Paul"])
    for row in range(2):
        ids = result.token_ids[row][result.token_ids[row] >= 0].tolist()
        agrees(result, row, slow_gpt2(f"{lens_models._folder.name}/words", ids))


@pytest.mark.parametrize("backend", BACKENDS)
def test_under_grouped_queries_a_head_uses_the_value_of_its_group(backend: str) -> None:
    folder = data.path("models/tinyworld-llama")
    model = load("tinyworld-llama", backend=backend, device="cpu")
    assert model.spec.n_kv_heads < model.spec.n_heads
    result = attention(model, PROMPT)
    agrees(result, 0, slow_llama(folder, result.token_ids[0].tolist()))


@pytest.mark.parametrize("backend", BACKENDS)
def test_where_a_norm_follows_the_attention_what_is_moved_goes_through_it(backend: str) -> None:
    model = zoo_model("olmo2", backend)
    result = attention(model, IDS[:1])
    slow = slow_llama(f"{lens_models._folder.name}/olmo2", IDS[0], post_norm=True)
    agrees(result, 0, slow)


@pytest.mark.parametrize("name", ["gpt_neox", "gemma2", "mistral"])
def test_both_backends_give_the_same_numbers(name: str) -> None:
    one, other = (attention(zoo_model(name, backend), IDS) for backend in BACKENDS)
    np.testing.assert_allclose(one.pattern, other.pattern, atol=1e-5)
    np.testing.assert_allclose(one.value_weighted, other.value_weighted, atol=1e-5)


def test_padding_on_either_side_changes_nothing_and_is_nan_in_the_result() -> None:
    model = words_model()
    prompts = [PROMPT, "When Mary and Paul"]
    right = attention(model, prompts)
    left = attention(model, model.tokens(prompts, padding_side="left"))
    n = len(right.tokens[1])
    for result in (right, left):
        for values in (result.pattern, result.value_weighted):
            assert values is not None
            assert np.isnan(values[1, :, :, n:]).all() and np.isnan(values[1, ..., n:]).all()
            assert np.isfinite(values[1, ..., :n, :n]).all()
        assert result.token_ids[1, n:].tolist() == [-1] * (len(right.tokens[0]) - n)
    np.testing.assert_allclose(left.pattern, right.pattern, atol=1e-6)
    np.testing.assert_allclose(left.value_weighted, right.value_weighted, atol=1e-5)
    alone = attention(model, prompts[1])
    np.testing.assert_allclose(alone.pattern[0], right.of_prompt(1), atol=1e-6)


def test_each_destination_spreads_a_weight_of_one_over_its_past() -> None:
    result = attention(words_model(), PROMPT)
    np.testing.assert_allclose(result.pattern.sum(-1), 1, atol=1e-5)
    future = np.triu(np.ones(result.pattern.shape[-2:], bool), 1)
    assert not result.pattern[..., future].any()
    assert result.value_weighted is not None and not result.value_weighted[..., future].any()


def test_some_layers_are_read_in_the_order_of_the_model() -> None:
    model = words_model()
    whole, part = attention(model, PROMPT), attention(model, PROMPT, layers=[2, 0])
    assert part.layers.tolist() == [0, 2]
    np.testing.assert_array_equal(part.pattern, whole.pattern[:, [0, 2]])
    np.testing.assert_array_equal(part.of_head(2, 3), whole.pattern[0, 2, 3])
    np.testing.assert_array_equal(
        attention(model, PROMPT, layers=1).of_head(1, 0, weighted=True),
        whole.of_head(1, 0, weighted=True),
    )


def test_plain_patterns_alone_are_one_array() -> None:
    result = attention(words_model(), PROMPT, value_weighted=False)
    assert result.value_weighted is None
    assert "value_weighted" not in result.to_frame().columns
    with pytest.raises(ValueError, match="plain patterns alone. Compute it with value_weighted"):
        result.of_prompt(weighted=True)
    assert repr(result) == "Attention(words: 1 prompt, 14 tokens, 3 layers × 4 heads)"


def test_the_table_has_a_line_for_every_weight_of_every_prompt() -> None:
    result = attention(words_model(), [PROMPT, "When Mary"], layers=[0, 2])
    frame = result.to_frame()
    assert list(frame.columns) == [
        "prompt", "layer", "head", "dst", "src", "dst_token", "src_token", "weight",
        "value_weighted",
    ]  # fmt: skip
    lengths = [len(tokens) for tokens in result.tokens]
    assert len(frame) == sum(2 * 4 * n * (n + 1) // 2 for n in lengths)
    assert not frame.isna().any().any()
    for line in frame.sample(60, random_state=0).itertuples():
        at = (line.layer, line.head, line.prompt)
        assert line.weight == result.of_head(*at)[line.dst, line.src]
        assert line.value_weighted == result.of_head(*at, weighted=True)[line.dst, line.src]
        tokens = result.tokens[line.prompt]
        assert (line.dst_token, line.src_token) == (tokens[line.dst], tokens[line.src])


def made(patterns: list[np.ndarray], ids: list[list[int]]) -> Any:
    """One layer of heads with given patterns; every weight moves a vector of length 2."""
    longest = max(map(len, ids))
    pattern = np.full((len(ids), 1, len(patterns), longest, longest), np.nan)
    token_ids = np.full((len(ids), longest), -1)
    for row, each in enumerate(ids):
        n = len(each)
        token_ids[row, :n] = each
        for head, given in enumerate(patterns):
            pattern[row, 0, head, :n, :n] = given[:n, :n]
    fields = provenance(words_model())
    fields["tokens"] = tuple(tuple(map(str, each)) for each in ids)
    return Attention(
        **fields, layers=np.array([4]), token_ids=token_ids,
        pattern=pattern, value_weighted=2 * pattern,
    )  # fmt: skip


def one_source(sources: list[int]) -> np.ndarray:
    return np.eye(len(sources))[sources]


def test_heads_that_do_one_thing_have_a_score_of_one_for_it() -> None:
    #        destination   0  1  2  3  4  5    tokens  7 8 9 7 8 5
    heads = {
        "first_token": [0, 0, 0, 0, 0, 0],
        "previous_token": [0, 0, 1, 2, 3, 4],
        "self": [0, 1, 2, 3, 4, 5],
        "duplicate_token": [0, 0, 0, 0, 1, 0],
        "induction": [0, 0, 0, 1, 2, 0],
    }
    result = made([one_source(each) for each in heads.values()], [[7, 8, 9, 7, 8, 5]])
    scores = result.head_scores()
    assert scores["layer"].tolist() == [4] * 5 and scores["head"].tolist() == list(range(5))
    for head, name in enumerate(heads):
        assert scores[name][head] == 1.0, name
    assert scores["first_token"].tolist() == pytest.approx([1, 1 / 5, 0, 4 / 5, 3 / 5])
    assert scores["induction"].tolist() == [0, 0, 0, 0, 1]
    pairs = result.head_scores(weighted=True)[list(heads)].to_numpy()
    np.testing.assert_allclose(pairs, scores[list(heads)])


def test_scores_equal_their_definition_in_plain_loops() -> None:
    result = attention(words_model(), [PROMPT, "When Mary and Mary and John went to Paul"])
    ids = [[i for i in row if i >= 0] for row in result.token_ids.tolist()]
    for weighted in (False, True):
        scores = result.head_scores(weighted=weighted).set_index(["layer", "head"])
        for (layer, head), found in scores.iterrows():
            shares: dict[str, list[float]] = {name: [] for name in scores.columns}
            for row, each in enumerate(ids):
                weights = result.of_head(layer, head, row, weighted=weighted)
                for dst in range(len(each)):
                    share = weights[dst] / weights[dst].sum()
                    past = range(dst)
                    same = [src for src in past if each[src] == each[dst]]
                    after = [src + 1 for src in same if src + 1 < dst]
                    if dst:
                        shares["first_token"].append(share[0])
                        shares["previous_token"].append(share[dst - 1])
                        shares["self"].append(share[dst])
                    if same:
                        shares["duplicate_token"].append(share[same].sum())
                    if after:
                        shares["induction"].append(share[after].sum())
            for name, each in shares.items():
                assert found[name] == pytest.approx(np.mean(each), abs=1e-6), name


def test_a_score_that_no_token_can_have_is_not_a_number() -> None:
    scores = made([np.eye(3)], [[7, 8, 9]]).head_scores()
    assert scores["self"][0] == 1.0
    assert np.isnan(scores[["duplicate_token", "induction"]].to_numpy()).all()
    repeated = made([np.eye(3)], [[7, 8, 9], [7, 7, 8]])
    assert np.isnan(repeated.head_scores(row=0)["duplicate_token"][0])
    assert repeated.head_scores(row=1)["duplicate_token"][0] == 0.0
    # A token that repeats at once is followed by itself: nothing that induction could look at.
    assert np.isnan(repeated.head_scores(row=1)["induction"][0])


def test_a_saved_result_is_read_back_equal(tmp_path: Any) -> None:
    for value_weighted in (True, False):
        result = attention(words_model(), [PROMPT, "When Mary"], value_weighted=value_weighted)
        result.save(tmp_path / "attention")
        again = Attention.load(tmp_path / "attention")
        np.testing.assert_array_equal(again.pattern, result.pattern)
        np.testing.assert_array_equal(again.token_ids, result.token_ids)
        assert (again.value_weighted is None) == (not value_weighted)
        assert again.to_frame().equals(result.to_frame())
        assert repr(again) == repr(result)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layers": []}, "layers is different whole numbers from 0 to 2, or one;"),
        ({"layers": 3}, "layers is different whole numbers from 0 to 2, or one;"),
        ({"layers": [0, -1]}, "layers is different whole numbers from 0 to 2, or one;"),
        ({"layers": [True]}, "layers is a whole number, a list of whole numbers or"),
        ({"layers": "0"}, "layers is a whole number, a list of whole numbers or"),
        ({"layers": [1, 1]}, "layers is different whole numbers from 0 to 2, or one;"),
    ],
)
def test_layers_that_are_not_there_are_named_errors(options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        attention(words_model(), PROMPT, **options)


def test_a_backend_without_patterns_says_to_take_the_other() -> None:
    model = copy.copy(words_model())
    model.spec = replace(model.spec, streams=("v",), architecture="Strange")
    with pytest.raises(
        ValueError,
        match="reads pattern and v; Strange has no pattern on the nnsight backend. "
        "Load the model with the other backend",
    ):
        attention(model, PROMPT)


def test_a_prompt_layer_or_head_that_the_result_lacks_is_a_named_error() -> None:
    result = attention(words_model(), PROMPT, layers=[0, 2])
    with pytest.raises(IndexError, match="has prompts 0 to 0; got row=1"):
        result.of_prompt(1)
    with pytest.raises(IndexError, match="got row=-1"):
        result.head_scores(row=-1)
    with pytest.raises(ValueError, match="has the layers 0, 2; got layer 1"):
        result.of_head(1, 0)
    with pytest.raises(ValueError, match="words has heads 0 to 3; got head 4"):
        result.of_head(0, 4)
    with pytest.raises(ValueError, match="are the 3 positions of the prompts; the pattern has 2"):
        made([np.eye(3)], [[7, 8, 9]]).__class__(
            **provenance(words_model()), layers=[0], token_ids=[[1, 2, 3]],
            pattern=np.zeros((1, 1, 1, 2, 2)),
        )  # fmt: skip
