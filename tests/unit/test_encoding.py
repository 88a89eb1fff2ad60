"""Text becomes tokens by one rule, whatever a tokenizer adds by itself."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import workbench as wb
from tests.parity import zoo
from tests.unit.kernels import token_rows
from tests.unit.tokenizers import CHAT, SPECIAL, Letters, adding
from workbench.questions import Questions

START, END, A, B, USER, ASSISTANT = (SPECIAL.index(f"<{n}>") for n in (
    "s", "/s", "a", "b", "user", "assistant"
))  # fmt: skip
#: What tokenizers put around a text: before it, and after it.
AROUND: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    ((), ()),
    (("<s>",), ()),
    ((), ("</s>",)),
    (("<s>",), ("</s>",)),
    (("<s>",), ("<s>",)),
    (("<a>", "<b>"), ()),
    (("<a>", "<s>"), ("</s>", "<b>")),
]
USER_TURN = [{"role": "user", "content": "w9 w10"}]
WORDS = st.lists(st.integers(len(SPECIAL), 59), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def loaded() -> Any:
    return wb.load(zoo.hf_model("gpt2"), tokenizer=adding())


@pytest.fixture
def reading(loaded: Any) -> Iterator[Callable[..., Any]]:
    """reading(tokenizer) → the model with that tokenizer, for one test."""
    own = loaded.tokenizer

    def swap(tokenizer: Any) -> Any:
        loaded.tokenizer = tokenizer
        return loaded

    yield swap
    loaded.tokenizer = own


def ids(tokens: wb.Tokens) -> list[list[int]]:
    return [row[real].tolist() for row, real in zip(tokens.ids, tokens.mask, strict=True)]


def text(numbers: list[int]) -> str:
    return " ".join(f"w{i}" for i in numbers)


@pytest.mark.parametrize(("before", "after"), AROUND)
def test_a_text_has_the_start_once_and_ends_with_its_own_last_word(before, after, loaded):
    tokenizer = adding(before, after)
    start = [SPECIAL.index(name) for name in before]
    with_bos = start if START in start else [START, *start]

    @given(WORDS, st.booleans(), st.booleans())
    def check(words: list[int], begins: bool, ends: bool) -> None:
        loaded.tokenizer = tokenizer
        own = [*words, *([END] if ends else [])]
        said = " ".join([text(words), *(["</s>"] if ends else [])])
        given = " ".join([*(before if begins else ()), said])
        assert ids(loaded.tokens(given)) == [start + own]
        assert ids(loaded.tokens([given, "w9"], prepend_bos=False)) == [
            [*(start if begins else []), *own],
            [9],
        ]
        assert ids(loaded.tokens(said, prepend_bos=True)) == [with_bos + own]
        tokens = loaded.tokens(["w9 w10 w11", given], padding_side="left")
        assert int(tokens.ids[1, tokens.columns(1, "last")[0]]) == own[-1]
        assert tokens.strings[1][-1] == ("</s>" if ends else f"w{words[-1]}")

    own = loaded.tokenizer
    check()
    loaded.tokenizer = own


def test_a_text_that_begins_with_a_part_of_the_start_gets_the_rest(reading):
    model = reading(adding(("<a>", "<b>")))
    for begun in ("<a> <b> w9", "<b> w9", "w9"):
        assert ids(model.tokens(begun)) == [[A, B, 9]]
    assert ids(model.tokens("<a> w9")) == [[A, 9]]
    # Without a start token of its name, what the tokenizer puts there by itself is the start.
    model = reading(adding(("<a>", "<b>"), bos_token=None))
    assert ids(model.tokens("w9", prepend_bos=True)) == [[A, B, 9]]
    model = reading(adding(("<a>",)))
    assert ids(model.tokens("w9", prepend_bos=True)) == [[START, A, 9]]
    assert ids(model.tokens("<s> w9", prepend_bos=True)) == [[START, 9]]


def test_a_word_without_an_id_is_no_start_token_though_both_have_one_id(reading):
    model = reading(adding(("<unk>",), bos_token="<unk>"))
    unknown = SPECIAL.index("<unk>")
    assert ids(model.tokens("zebra w9")) == [[unknown, unknown, 9]]
    assert ids(model.tokens("<unk> w9")) == [[unknown, 9]]


def test_no_start_token_is_needed_where_none_is_to_be_added(reading):
    model = reading(adding(bos_token=None))
    assert ids(model.tokens("w9", prepend_bos=False)) == [[9]]
    with pytest.raises(ValueError, match="prepend_bos needs a tokenizer with a start token"):
        model.tokens("w9", prepend_bos=True)
    with pytest.raises(TypeError, match="prepend_bos is True or False or None; got 'yes'"):
        model.tokens("w9", prepend_bos="yes")


@pytest.mark.parametrize("special", [
    {"pad_token": None},
    {"pad_token": "</s>"},
    {"pad_token": None, "eos_token": None},
    {"pad_token": None, "eos_token": None, "bos_token": None},
])  # fmt: skip
def test_padding_needs_no_token_of_its_own(special, reading):
    model = reading(adding(**special))
    both = model.tokens(["w9 w10 </s>", "w9"])
    assert ids(both) == [[9, 10, END], [9]] and both.mask.tolist()[1] == [True, False, False]
    one = model.run("w9", logits_at="last").logits[0]
    torch.testing.assert_close(model.run(both, logits_at="last").logits[1], one)


@pytest.mark.parametrize(
    "given", [
        ["w9 w10", "w11"],
        ("w9 w10", "w11"),
        np.array(["w9 w10", "w11"]),
        [np.str_("w9 w10"), np.str_("w11")],
        iter(["w9 w10", "w11"]),
        (f"w{i}" if i == 11 else f"w{i} w10" for i in (9, 11)),
        [[9, 10], [11]],
        ((9, 10), (11,)),
        [np.array([9, 10]), np.array([11])],
        [[np.int64(9), np.int32(10)], [np.uint8(11)]],
        [torch.tensor([9, 10]), torch.tensor([11], dtype=torch.int32)],
        [range(9, 11), [torch.tensor(11)]],
        ["w9 w10", [11]],
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_texts_and_ids_come_in_many_forms(given, loaded):
    assert ids(loaded.tokens(given)) == [[9, 10], [11]]


def test_arrays_of_ids_are_rows(loaded):
    assert ids(loaded.tokens(np.array([[9, 10], [11, 12]]))) == [[9, 10], [11, 12]]
    assert ids(loaded.tokens(torch.tensor([[9, 10], [11, 12]]))) == [[9, 10], [11, 12]]


@pytest.mark.parametrize(("prompts", "error", "said"), [
    (b"w9", TypeError, r"A prompt is a text, a list of .*; got b'w9'"),
    ([b"w9"], TypeError, r"prompt 0 is b'w9'"),
    ([bytearray(b"w9")], TypeError, r"prompt 0 is bytearray"),
    ({"w9": 1}, TypeError, r"got \{'w9': 1\}"),
    ({"w9"}, TypeError, r"got \{'w9'\}"),
    (5, TypeError, r"got 5"),
    (np.int64(5), TypeError, r"got np.int64\(5\)"),
    (torch.tensor(5), TypeError, r"got tensor\(5\)"),
    ([9, 10], TypeError, r"prompt 0 is 9. Put the ids of one into a list: \[\[5, 6, 7\]\]"),
    (torch.tensor([9, 10]), TypeError, r"prompt 0 is 9. Put the ids of one into a list"),
    ([[9.0]], TypeError, r"A token id of prompt 0 is a whole number; got 9.0"),
    (torch.tensor([[9.0]]), TypeError, r"A token id of prompt 0 is a whole number; got 9.0"),
    ([[True]], TypeError, r"A token id of prompt 0 is a whole number; got True"),
    ([[np.bool_(True)]], TypeError, r"A token id of prompt 0 is a whole number; got np.True_"),
    (torch.tensor([[True]]), TypeError, r"A token id of prompt 0 is a whole number; got True"),
    ([[9, "w9"]], TypeError, r"A token id of prompt 0 is a whole number; got 'w9'"),
    (["w9", None], TypeError, r"prompt 1 is None"),
    ([[[9]]], TypeError, r"A token id of prompt 0 is a whole number; got \[9\]"),
    ([], ValueError, r"at least one prompt; got none"),
    ((), ValueError, r"at least one prompt; got none"),
    (iter([]), ValueError, r"at least one prompt; got none.*an iterator is read once"),
    ("", ValueError, r"at least one character; prompt 0 is empty"),
    (["w9", ""], ValueError, r"at least one character; prompt 1 is empty"),
    ([[9], []], ValueError, r"at least one token; prompt 1 is an empty list"),
    ([np.array([], np.int64)], ValueError, r"prompt 0 is an empty list"),
    (" ", ValueError, r"at least one token; prompt 0, ' ', has none"),
    (["w9", "\n\t "], ValueError, r"at least one token; prompt 1, '\\n\\t ', has none"),
    ("w9 \ud800", ValueError, r"cannot read 'w9 \\ud800': it has half a surrogate pair"),
    ([[60]], ValueError, r"Token ids run from 0 to 59; prompt 0 has 60"),
    ([[9], [-1]], ValueError, r"Token ids run from 0 to 59; prompt 1 has -1"),
    ([[2**70]], ValueError, r"Token ids run from 0 to 59; prompt 0 has 1180591620717411303424"),
    (["w9", "w9 " * 64], ValueError, r"reads at most 64 tokens; prompt 1 has 65. Shorten it"),
    ("w9 " * 20_000, ValueError, r"reads at most 64 tokens; prompt 0 has 20001"),
    ([{"role": "user", "content": "w9"}], TypeError, r"is a chat message. Write model.tokens\(mes"),
])  # fmt: skip
def test_what_is_no_prompt_is_refused_in_a_line(prompts, error, said, reading):
    # A start token by itself is no word of a prompt of spaces.
    model = reading(adding(("<s>",), ("</s>",)))
    with pytest.raises(error, match=said) as caught:
        model.tokens(prompts)
    assert len(str(caught.value)) < 400


def test_a_word_that_the_tokenizer_cannot_read_is_named(reading):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"w0": 0, "w1": 1}, unk_token="<none>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    model = reading(PreTrainedTokenizerFast(tokenizer_object=inner))
    assert ids(model.tokens(["w1", "w0 w1"])) == [[1], [0, 1]]
    with pytest.raises(ValueError, match=r"This tokenizer cannot read 'w1 w2': WordLevel error"):
        model.tokens(["w1", "w1 w2"])


def test_a_token_without_a_row_in_the_model_is_refused(reading):
    model = reading(adding(n_words=60))
    model.tokenizer.add_tokens(["more"])
    with pytest.raises(ValueError, match=r"Token ids run from 0 to 59; prompt 1 has 60"):
        model.tokens(["w9", "w9 more"])


# -- chats -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), AROUND[:4])
def test_a_chat_is_read_as_its_template_writes_it(before, after, reading):
    model = reading(adding(before, after))
    model.tokenizer.chat_template = CHAT
    expected = [START, USER, 9, 10, END, ASSISTANT]
    by_hugging_face = model.tokenizer.apply_chat_template(USER_TURN, add_generation_prompt=True)
    assert ids(model.tokens(messages=USER_TURN)) == [expected] == [by_hugging_face["input_ids"]]
    written = model.tokenizer.apply_chat_template(
        USER_TURN, add_generation_prompt=True, tokenize=False
    )
    # The text of a template, given as a text, is the same tokens.
    for prepend_bos in (None, True, False):
        assert ids(model.tokens(written, prepend_bos=prepend_bos)) == [expected]
        assert ids(model.tokens(messages=USER_TURN, prepend_bos=prepend_bos)) == [expected]


def test_a_template_without_a_start_token_decides_too(reading):
    model = reading(adding(("<s>",)))
    model.tokenizer.chat_template = CHAT.removeprefix("<s>")
    assert ids(model.tokens(messages=USER_TURN)) == [[USER, 9, 10, END, ASSISTANT]]
    assert ids(model.tokens(messages=USER_TURN, prepend_bos=True))[0][:2] == [START, USER]


def test_several_chats_are_rows_and_an_answer_begun_is_open(reading):
    model = reading(adding())
    model.tokenizer.chat_template = CHAT
    begun = [*USER_TURN, {"role": "assistant", "content": "w11"}]
    tokens = model.tokens(messages=[USER_TURN, tuple(begun)], padding_side="left")
    assert ids(tokens) == [
        [START, USER, 9, 10, END, ASSISTANT],
        [START, USER, 9, 10, END, ASSISTANT, 11],
    ]
    assert tokens.side == "left"
    assert model.generate(model.tokens(messages=USER_TURN), 2).new == (
        model.generate([[START, USER, 9, 10, END, ASSISTANT]], 2).new
    )


@pytest.mark.parametrize(("messages", "error", "said"), [
    ("w9", TypeError, r"Messages are a list like \[\{'role'.*; got 'w9'"),
    (USER_TURN[0], TypeError, r"Messages are a list like .*; got \{'role'"),
    (5, TypeError, r"Messages are a list like .*; got 5"),
    ([], ValueError, r"at least one message; got none"),
    ([[]], ValueError, r"at least one message; chat 0 has none"),
    (["w9"], TypeError, r"chat 0 is 'w9'"),
    ([USER_TURN, USER_TURN[0]], TypeError, r"chat 1 is \{'role'"),
    ([{"role": "user"}], TypeError, r"a role and a content, both text.*message 0 of chat 0 is"),
    ([{"content": "w9"}], TypeError, r"a role and a content, both text"),
    ([{"role": "user", "content": None}], TypeError, r"a role and a content, both text"),
    ([{"role": "user", "content": [{"type": "text"}]}], TypeError, r"both text"),
    ([{"role": 1, "content": "w9"}], TypeError, r"a role and a content, both text"),
    ([{"role": "", "content": "w9"}], ValueError, r"message 0 has an empty one"),
    ([USER_TURN[0], "w9"], TypeError, r"message 1 of chat 0 is 'w9'"),
    ([{"role": "system", "content": "w9"}], ValueError, r"refuses chat 0: no system here"),
    ([{"role": "user", "content": "w9 " * 70}], ValueError, r"reads at most 64 tokens"),
])  # fmt: skip
def test_what_is_no_chat_is_refused(messages, error, said, reading):
    model = reading(adding())
    refusing = "{% if messages[0].role == 'system' %}{{ raise_exception('no system here') }}"
    model.tokenizer.chat_template = refusing + "{% endif %}" + CHAT
    with pytest.raises(error, match=said) as caught:
        model.tokens(messages=messages)
    assert len(str(caught.value)) < 400


def test_a_chat_needs_a_template_and_no_prompts_beside_it(loaded):
    with pytest.raises(ValueError, match="Messages need a tokenizer with a chat template; this"):
        loaded.tokens(messages=USER_TURN)
    with pytest.raises(TypeError, match="of prompts or of messages, one of them; got both"):
        loaded.tokens("w9", messages=USER_TURN)
    with pytest.raises(TypeError, match="of prompts or of messages, one of them; got neither"):
        loaded.tokens()


# -- whatever else reads text ------------------------------------------------------------------


@pytest.mark.parametrize(("before", "after"), AROUND)
def test_each_row_that_a_long_text_is_cut_into_has_the_start(before, after, reading):
    model = reading(adding(before, after))
    start = [SPECIAL.index(name) for name in before]
    n = len(start)
    rows = ids(wb.read_texts(text(list(range(8, 38))), model, length=n + 6))
    assert [row[:n] for row in rows] == [start] * 5
    assert [i for row in rows for i in row[n:]] == list(range(8, 38))


@pytest.mark.parametrize(("before", "after"), AROUND)
def test_tasks_targets_questions_and_texts_follow_the_same_rule(before, after, reading):
    model = reading(adding(before, after))
    start = [SPECIAL.index(name) for name in before]
    pairs = [
        {"clean": f"w{i} w{i + 1}", "corrupt": f"w{i} w{i + 2}", "answers": " w50", "foils": " w51"}
        for i in range(8, 24)
    ]
    task = wb.task(pairs)
    batch = task.on(model)
    assert ids(batch.clean) == [[*start, i, i + 1] for i in range(8, 24)]
    assert (batch.answer_ids[:, 0] == 50).all() and (batch.foil_ids[:, 0] == 51).all()
    plain = task.on(model, prepend_bos=False)
    assert ids(plain.corrupt) == [[i, i + 2] for i in range(8, 24)]
    lens = wb.logit_lens(model, "w9 w10", targets=" w11")
    assert list(lens.tokens[0]) == [*before, "w9", "w10"]
    assert lens.targets == ("w11",)
    rows = token_rows.TokenRows.of(model, ["w9 w10", "<s> w9"])
    assert rows.row(0).tolist() == [*start, 9, 10] == ids(model.tokens("w9 w10"))[0]
    assert rows.row(1).tolist() == ids(model.tokens("<s> w9"))[0]
    asked = Questions.of(model, {"w9 w10": "w11"})
    after_text = asked.after(model, [[*start, 20, 21]])
    assert ids(after_text.tokens) == [[*start, 20, 21, 9, 10]]


def test_a_task_as_long_as_the_model_reads_fits_with_its_start_token(reading):
    model = reading(adding(("<s>",)))
    pairs = [
        {"clean": f"{long} w10", "corrupt": f"{long} w11", "answers": " w50", "foils": " w51"}
        for long in (f"w{i}" + " w9" * 61 for i in range(8, 24))
    ]
    task = wb.task(pairs)
    for prepend_bos in (None, True, False):
        lengths = task.on(model, prepend_bos=prepend_bos).clean.lengths
        assert set(lengths) == {63 if prepend_bos is False else 64}


def test_a_target_that_the_vocabulary_lacks_is_refused(loaded):
    with pytest.raises(ValueError, match=r"A target is a token of the vocabulary; ' zebra' is in"):
        wb.logit_lens(loaded, "w9", targets=" zebra")
    assert wb.logit_lens(loaded, "w9", targets="<unk>").targets == ("<unk>",)


def test_every_text_is_read_in_one_place():
    package = Path(wb.__file__).parent
    calls = [
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "tokenizer" in (source := path.read_text(encoding="utf-8"))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).rsplit(".", 1)[-1]
        in ("tokenizer", "encode_plus", "batch_encode")
    ]
    assert set(calls) == {"encoding.py"}


def test_a_tokenizer_written_in_python_follows_the_same_rule(reading):
    model = reading(Letters())
    assert model.tokenizer("<s>ab").input_ids == [0, 0, 3, 4, 1]
    for prompt, own in (("ab", [3, 4]), ("<s>ab", [3, 4]), ("ab</s>", [3, 4, 1])):
        assert ids(model.tokens(prompt)) == [[0, *own]]
    assert ids(model.tokens("ab", prepend_bos=False)) == [[3, 4]]


def test_what_a_tokenizer_was_saved_with_cuts_and_pads_nothing(reading):
    model = reading(adding(("<s>",)))
    model.tokenizer.backend_tokenizer.enable_truncation(3)
    model.tokenizer.backend_tokenizer.enable_padding(length=8)
    model.tokenizer.model_max_length = 3
    assert model.tokens(["w9 w10 w11 w12", "w9"]).lengths == (5, 2)
