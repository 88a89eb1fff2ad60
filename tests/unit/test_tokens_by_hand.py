"""Tokens made by hand are checked when they are made, and against the model that reads them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.parity import zoo

#: `wb.Tokens`, whatever it is given.
by_hand: Any = wb.Tokens
IDS = [[5, 6, 7], [8, 1, 1]]
MASK = [[1, 1, 1], [1, 0, 0]]
STRINGS = (("w5", "w6", "w7"), ("w8",))


@pytest.fixture(scope="module", params=["nnsight", "transformer_lens"])
def model(request: pytest.FixtureRequest) -> Any:
    return wb.load(zoo.hf_model("gpt2"), tokenizer=zoo.tokenizer(), backend=request.param)


def made(ids: Any = None, mask: Any = None, strings: Any = STRINGS, side: Any = "right"):
    return by_hand(
        torch.tensor(IDS) if ids is None else ids,
        torch.tensor(MASK) if mask is None else mask,
        strings,
        side,
    )


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_a_mask_of_hugging_face_is_the_mask_that_is_meant(kind, side, model):
    tokenizer = model.tokenizer
    prompts = ["w5 w6 w7", "w8", "w9 w10"]
    batch = tokenizer(prompts, padding=True, padding_side=side, return_tensors="pt")
    strings = [tokenizer.tokenize(prompt) for prompt in prompts]
    tokens = by_hand(batch.input_ids.int(), batch.attention_mask.to(kind), strings, side)
    assert (tokens.ids.dtype, tokens.mask.dtype) == (torch.int64, torch.bool)
    own = model.tokens(prompts, padding_side=side)
    assert tokens.lengths == own.lengths and tokens.strings == own.strings
    torch.testing.assert_close(model.run(tokens).logits, model.run(own).logits, rtol=0, atol=0)
    run = model.run(tokens, read="L1.resid_post", logits_at="last")
    for row, prompt in enumerate(prompts):
        one = model.run(prompt, read="L1.resid_post", logits_at="last")
        torch.testing.assert_close(run.logits[row], one.logits[0])
        torch.testing.assert_close(
            run["L1.resid_post"][row][tokens.mask[row]], one["L1.resid_post"][0]
        )
    assert model.generate(tokens, 3).new == model.generate(own, 3).new
    assert list(run["L1.resid_post"][tokens.mask].shape) == [6, zoo.WIDTH]


@pytest.mark.parametrize("convert", [np.array, list, lambda rows: tuple(map(tuple, rows))])
def test_arrays_and_lists_are_tensors(convert):
    tokens = made(convert(IDS), convert(MASK), [list(row) for row in STRINGS])
    assert tokens.lengths == (3, 1) and tokens.ids.tolist() == IDS
    assert tokens.ids.dtype == torch.int64 and tokens.mask.dtype == torch.bool
    assert tokens.strings == STRINGS


@pytest.mark.parametrize(("arguments", "error", "said"), [
    ({"ids": torch.tensor(IDS).float()}, TypeError, r"Token ids are integers; got float32"),
    ({"ids": torch.tensor(IDS).bool()}, TypeError, r"Token ids are integers; got bool"),
    ({"ids": torch.tensor(IDS) * 1j}, TypeError, r"Token ids are integers; got complex64"),
    ({"ids": np.array(IDS, float)}, TypeError, r"Token ids are integers; got float64"),
    ({"ids": [[5, 6, 7], [8]]}, TypeError, r"Token ids are a tensor .*model.tokens takes lists"),
    ({"ids": "w5"}, TypeError, r"Token ids are a tensor .*; got 'w5'"),
    ({"ids": [["w5"]]}, TypeError, r"Token ids are a tensor"),
    ({"ids": [[2**70]]}, TypeError, r"Token ids are a tensor"),
    ({"ids": torch.tensor(IDS[0])}, ValueError, r"both \(batch, pos\); got \(3,\) and \(2, 3\)"),
    ({"ids": torch.tensor([IDS])}, ValueError, r"both \(batch, pos\); got \(1, 2, 3\)"),
    ({"ids": torch.zeros(0, 3).long(), "mask": torch.zeros(0, 3).long(), "strings": ()},
     ValueError, r"at least one row of one token; got ids of shape \(0, 3\)"),
    ({"ids": torch.zeros(2, 0).long(), "mask": torch.zeros(2, 0).long()},
     ValueError, r"at least one row of one token; got ids of shape \(2, 0\)"),
    ({"mask": torch.tensor(MASK).float()}, TypeError, r"of integers or bool; got float32"),
    ({"mask": torch.tensor([[1, 1, 2], [1, 0, 0]])}, ValueError, r"1 on real tokens.*; got 2"),
    ({"mask": torch.tensor([[1, 1, 1], [-1, 0, 0]])}, ValueError, r"1 on real tokens.*; got -1"),
    ({"mask": None, "ids": torch.tensor(IDS)[:, :2]}, ValueError, r"got \(2, 2\) and \(2, 3\)"),
    ({"mask": torch.tensor([[1, 1, 1], [0, 0, 0]])}, ValueError, r"Row 1 has no real token"),
    ({"mask": torch.tensor([[1, 0, 1], [1, 0, 0]])}, ValueError, r"row 0 has a hole at column 1"),
    ({"mask": torch.tensor([[0, 1, 0], [1, 0, 0]])}, ValueError, r"on one side; row 0 has it on b"),
    ({"mask": torch.tensor([[1, 1, 1], [0, 0, 1]])}, ValueError, r"side='right' .* row 1 has it on "
     r"the left. Give side='left'"),
    ({"side": "left"}, ValueError, r"side='left' .* row 1 has it on the right. Give side='right'"),
    ({"side": "middle"}, ValueError, r"padding is one of 'right', 'left'; got 'middle'"),
    ({"side": None}, ValueError, r"is one of 'right', 'left'; got None"),
    ({"strings": STRINGS[:1]}, ValueError, r"as many rows as the ids have, 2; got 1 rows"),
    ({"strings": "w5 w6"}, ValueError, r"as many rows as the ids have, 2; got 'w5 w6'"),
    ({"strings": None}, ValueError, r"as many rows as the ids have, 2; got None"),
    ({"strings": ("w5", "w8")}, TypeError, r"its tokens as text.*; row 0 has 'w5'"),
    ({"strings": (STRINGS[0], (8,))}, TypeError, r"its tokens as text.*; row 1 has \(8,\)"),
    ({"strings": (STRINGS[0], ("w8", "<pad>", "<pad>"))}, ValueError, r"row 1 has 1 by its mask "
     r"and 3 strings. Leave those of the padding out"),
    ({"strings": (STRINGS[0][:2], ("w8",))}, ValueError, r"row 0 has 3 by its mask and 2 strings"),
])  # fmt: skip
def test_what_does_not_fit_together_is_refused_when_it_is_made(arguments, error, said):
    with pytest.raises(error, match=said) as caught:
        made(**arguments)
    assert len(str(caught.value)) < 300


@given(st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=1, max_size=3),
       st.sampled_from(["right", "left"]))  # fmt: skip
def test_masks_are_taken_exactly_where_padding_lies_on_the_side(rows, side):
    mask = torch.tensor(rows)
    strings = [["w"] * int(row.sum()) for row in mask]
    ordered = mask.flip(1) if side == "left" else mask
    fits = all(row.any() and (row.int().diff() <= 0).all() for row in ordered)
    if fits:
        tokens = by_hand(torch.full(mask.shape, 5), mask.long(), strings, side)
        assert [tokens.columns(r) for r in range(len(rows))] == [
            row.nonzero()[:, 0].tolist() for row in mask
        ]
    else:
        with pytest.raises(ValueError, match=r"side|hole|no real token"):
            by_hand(torch.full(mask.shape, 5), mask.long(), strings, side)


def test_ids_are_checked_against_the_model_that_reads_them(model):
    for wrong in (60, -1, 2**40):
        tokens = made(torch.tensor([[5, 6, wrong], [8, 1, 1]]))
        for use in (model.tokens, model.run, lambda given: model.generate(given, 2)):
            with pytest.raises(ValueError, match=rf"ids run from 0 to 59; row 0 has {wrong}"):
                use(tokens)
    # Under the mask lies whatever the tokenizer pads with, which need not be a token of the model.
    padded = made(torch.tensor([[5, 6, 7], [8, -100, 2**40]]))
    expected = model.run(["w5 w6 w7", "w8"], logits_at="last").logits
    torch.testing.assert_close(model.run(padded, logits_at="last").logits, expected)


def test_a_row_is_as_long_as_the_model_reads_and_padding_does_not_count(model):
    n = model.spec.n_ctx
    ids = torch.randint(2, 60, (1, n + 1))
    strings = [["w"] * (n + 1)]
    with pytest.raises(ValueError, match=rf"reads at most {n} tokens; row 0 has {n + 1}"):
        model.run(by_hand(ids, torch.ones_like(ids), strings))
    mask = torch.ones_like(ids)
    for side, padding in (("right", -1), ("left", 0)):
        mask = torch.ones_like(ids)
        mask[0, padding] = 0
        tokens = by_hand(ids, mask, [strings[0][1:]], side)
        plain = model.run([ids[0, mask[0].bool()].tolist()], logits_at="last").logits
        torch.testing.assert_close(model.run(tokens, logits_at="last").logits, plain)


def test_what_a_tokenizer_returns_is_no_prompt_but_its_parts_make_tokens(model):
    batch = model.tokenizer(["w5 w6", "w7 w8"], return_tensors="pt")
    with pytest.raises(TypeError, match="A prompt is a text"):
        model.run(batch)
    strings = [["w5", "w6"], ["w7", "w8"]]
    tokens = by_hand(batch.input_ids, batch.attention_mask, strings)
    assert torch.equal(model.run(tokens).logits, model.run(["w5 w6", "w7 w8"]).logits)


@pytest.mark.parametrize("rows", [5, [2], [-3], [0.5], [True], ["0"], "0", [], None, [[0]]])
def test_rows_that_are_not_there_are_not_taken(rows):
    with pytest.raises(ValueError, match=r"(choice of rows|Tokens) (is|are) .*at least one"):
        made().take(rows)
    some: Any = [np.int64(-1), 0]
    assert made().take(some).lengths == (1, 3)


@pytest.mark.parametrize("positions", [
    np.int64(1), torch.tensor(1), [np.int32(1)], np.array([1]), torch.tensor([1]), range(1, 2),
    slice(1, 2), (-2,), slice(np.int64(1), 2),
])  # fmt: skip
def test_a_position_is_any_whole_number(positions):
    assert made().columns(0, positions) == [1]


@pytest.mark.parametrize("positions", [
    0.9, [0.9], np.array([0.9]), torch.tensor([0.9]), True, [True], np.array([True]), "first",
    ["1"], float("nan"), [None], [[0]], np.array([[0]]), slice(0.5, 1), {"a": 1}, b"last", 1j,
], ids=repr)  # fmt: skip
def test_what_is_no_whole_number_is_no_position(positions):
    with pytest.raises(ValueError, match=r"A position is a number, a slice, a list or 'last'; got"):
        made().columns(0, positions)
