"""Tokens: positions count a row's own tokens, wherever the padding lies."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.parity.zoo import tokenizer
from workbench.encoding import encode
from workbench.tokens import Tokens, pad, token_strings

ROWS = st.lists(st.lists(st.integers(2, 59), min_size=1, max_size=8), min_size=1, max_size=5)


def padded(rows: list[list[int]], side) -> Tokens:
    return pad(rows, [["x"] * len(r) for r in rows], pad_id=1, side=side)


@given(ROWS, st.sampled_from(["left", "right"]))
def test_columns_of_positions_hold_the_rows_own_tokens(rows: list[list[int]], side):
    tokens = padded(rows, side)
    assert tokens.lengths == tuple(map(len, rows))
    for r, row in enumerate(rows):
        columns = tokens.columns(r)
        assert tokens.ids[r, columns].tolist() == row
        assert tokens.mask[r].nonzero()[:, 0].tolist() == columns
        assert tokens.position_ids[r, columns].tolist() == list(range(len(row)))
        assert tokens.columns(r, -1) == tokens.columns(r, "last") == [columns[-1]]
        assert tokens.columns(r, slice(1, None)) == columns[1:]
        assert tokens.columns(r, [0, -1]) == [columns[0], columns[-1]]


@given(ROWS, st.sampled_from(["left", "right"]), st.data())
def test_taken_rows_keep_their_tokens(rows: list[list[int]], side, data: st.DataObject):
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=6))
    tokens = padded(rows, side).take(chosen)
    assert [tokens.ids[i, tokens.columns(i)].tolist() for i in range(len(chosen))] == [
        rows[r] for r in chosen
    ]


def test_a_position_that_a_row_does_not_have_is_an_error_with_its_range():
    tokens = padded([[5, 6, 7], [8]], "left")
    with pytest.raises(IndexError, match=r"Row 1 has 1 tokens, .*from 0 to 0 \(or -1 to -1\); got"):
        tokens.columns(1, 2)
    with pytest.raises(ValueError, match=r"A position is a number, a slice, a list or 'last'; got"):
        tokens.columns(0, "first")  # pyright: ignore[reportArgumentType]


def test_prompts_are_texts_or_ids():
    words = tokenizer()
    assert encode(words, "w5 w9", max_length=9).ids.tolist() == [[5, 9]]
    assert encode(words, ["w5 w9", "w7"], max_length=9).lengths == (2, 1)
    assert encode(words, [[5, 9], [7]], max_length=9).strings == (("w5", "w9"), ("w7",))
    assert repr(encode(words, ["w5 w9", "w7"], max_length=9)) == "Tokens(2 rows of 2, 1 tokens)"


def test_the_start_token_is_put_before_a_text_or_taken_away_once():
    words = tokenizer()
    assert encode(words, "w5", max_length=9, prepend_bos=True).ids.tolist() == [[0, 5]]
    assert encode(words, "<end> w5", max_length=9, prepend_bos=True).ids.tolist() == [[0, 5]]
    assert encode(words, "w5", max_length=9, prepend_bos=False).ids.tolist() == [[5]]
    words.bos_token = None
    with pytest.raises(ValueError, match="prepend_bos needs a tokenizer with a start token"):
        encode(words, "w5", max_length=9, prepend_bos=True)


def test_token_strings_keep_the_space_that_starts_a_word():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"\u2581a": 0, "b": 1, "?": 2}, unk_token="?"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Metaspace()
    assert token_strings(PreTrainedTokenizerFast(tokenizer_object=inner), [0, 1]) == [" a", "b"]


def test_bytes_that_are_no_text_by_themselves_show_as_symbols():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    inner = Tokenizer(models.BPE(alphabet, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    byte_level = PreTrainedTokenizerFast(tokenizer_object=inner)
    strings = token_strings(byte_level, byte_level("é a").input_ids)
    assert strings == ["Ã", "©", " ", "a"]


def test_ids_and_mask_have_one_shape():
    with pytest.raises(ValueError, match=r"both \(batch, pos\); got \(1, 2\) and \(1, 3\)"):
        Tokens(torch.zeros(1, 2, dtype=torch.long), torch.ones(1, 3, dtype=torch.bool), (("", ""),))
