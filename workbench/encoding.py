"""Encoding: how texts, chat messages and lists of ids become the tokens that a model reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

from .check import given, refuse, whole
from .tokens import Tokens, pad, token_strings

#: Texts in which what a tokenizer adds by itself is looked for.
PROBES = ("a", "0", ".")
_RULE = "A prompt is a text, a list of texts, or a list of lists of token ids"


def encode(
    tokenizer: Any,
    prompts: Any = None,
    *,
    messages: Any = None,
    max_length: int,
    n_ids: int | None = None,
    prepend_bos: bool | None = None,
    side: Literal["right", "left"] = "right",
    device: Any = None,
) -> Tokens:
    """The prompts, or the chats of `messages`, as `Tokens`: what `Model.tokens` says.

    max_length: how many tokens the model reads. n_ids: how many ids it has rows for, None for as
    many as the tokenizer has.
    """
    if (prompts is None) == (messages is None):
        raise TypeError(
            "Tokens are made of prompts or of messages, one of them; got "
            f"{'neither' if prompts is None else 'both'}. Give a text, or messages=[{{'role': "
            "'user', 'content': '…'}]."
        )
    if prepend_bos is not None and not isinstance(prepend_bos, bool):
        raise refuse("prepend_bos", "True, False or None", prepend_bos)
    if isinstance(prompts, Tokens):
        return _fitting(prompts.to(device), max_length, n_ids)
    if messages is None:
        rows = id_rows(tokenizer, prompts, prepend_bos=prepend_bos)
    else:
        # A template writes the start token where it belongs; where it writes none there is none.
        texts = chat_texts(tokenizer, messages)
        rows = id_rows(tokenizer, texts, prepend_bos=prepend_bos or False, of="chat")
    size = len(tokenizer) if n_ids is None else min(len(tokenizer), n_ids)
    for r, row in enumerate(rows):
        _check_length(f"prompt {r}", len(row), max_length)
        if bad := [i for i in row if not 0 <= i < size]:
            raise ValueError(f"Token ids run from 0 to {size - 1}; prompt {r} has {bad[0]}.")
    strings = [token_strings(tokenizer, row) for row in rows]
    return pad(rows, strings, pad_id=pad_id(tokenizer, size), side=side, device=device)


def id_rows(
    tokenizer: Any,
    prompts: Any,
    *,
    prepend_bos: bool | None = None,
    of: str = "prompt",
    first: int = 0,
) -> list[list[int]]:
    """The ids of each prompt: of a text as `text_ids` reads it, of ids as they are.

    prompts: a text, or any number of texts and of lists of ids, also as arrays, tensors or an
    iterator. of, first: what errors call one of them, and the number of the first.

    Raises `TypeError` for what is neither text nor ids, `ValueError` for no prompt, an empty one,
    and a text that the tokenizer cannot read.
    """
    rows: list[list[int]] = []
    texts: dict[int, str] = {}
    for r, each in enumerate(_each(prompts), first):
        prompt = _plain(each)
        if isinstance(prompt, str):
            texts[r] = str(prompt)
            rows.append([])
        else:
            rows.append(_ids(prompt, r, of))
    if not rows:
        raise ValueError(
            f"There is at least one {of}; got none. Write some text (an iterator is read once)."
        )
    for r, text in texts.items():
        if not text:
            raise ValueError(
                f"A {of} has at least one character; {of} {r} is empty. Write some text."
            )
    if texts:
        read = text_ids(tokenizer, list(texts.values()), prepend_bos=prepend_bos)
        for (r, text), row in zip(texts.items(), read, strict=True):
            if not row:
                raise ValueError(
                    f"A {of} has at least one token; {of} {r}, {given(text)}, has none. Write some "
                    "text."
                )
            rows[r - first] = row
    return rows


def text_ids(
    tokenizer: Any, texts: Sequence[str], *, prepend_bos: bool | None = None
) -> list[list[int]]:
    """The ids of each text: its own, behind the start token where one belongs there.

    Everything that reads text goes through here, so that all read it alike. None puts the start
    before a text that the tokenizer by itself puts there, True sees to it that there is one, False
    to it that none is added. A text that begins with it gets no second one. What a tokenizer adds
    at the end is left out: the last token is the text's own. Of a text in which the tokenizer finds
    no token the ids are empty.

    Raises `ValueError` for `prepend_bos=True` with a tokenizer that has no start token, and for a
    text that the tokenizer cannot read.
    """
    start = [] if prepend_bos is False else (starts if prepend_bos else start_ids)(tokenizer)
    if prepend_bos and not start:
        raise ValueError(
            "prepend_bos needs a tokenizer with a start token; this one has none. Leave it out."
        )
    rows = _own_ids(tokenizer, texts)
    if not start:
        return rows
    # Where the start token stands for what the vocabulary lacks as well, only the text can tell.
    text = tokenizer.bos_token if start[0] == tokenizer.unk_token_id else None
    return [
        _started(start, row) if text is None or not row or each.lstrip().startswith(text)
        else start + row
        for each, row in zip(texts, rows, strict=True)
    ]  # fmt: skip


def start_ids(tokenizer: Any) -> list[int]:
    """What the tokenizer puts before every text by itself: no id, a start token, or several."""
    for probe in _probes(tokenizer):
        try:
            own = _own_ids(tokenizer, [probe])[0]
        except ValueError:
            continue
        whole = list(tokenizer(probe).input_ids)
        n = len(whole) - len(own)
        if n == 0:
            return []
        # A probe may consist of the very token that is added; then the place cannot be told.
        at = [i for i in range(n + 1) if whole[i : i + len(own)] == own]
        if own and len(at) == 1:
            return whole[: at[0]]
    return []


def starts(tokenizer: Any) -> list[int]:
    """The tokens that may start a text without being its own: those of `start_ids`, and the start
    token.
    """
    bos = tokenizer.bos_token_id
    found = start_ids(tokenizer)
    return found if bos is None or bos in found else [bos, *found]


def chat_texts(tokenizer: Any, messages: Any) -> list[str]:
    """Each chat as the tokenizer's chat template writes it, up to where the answer begins.

    A chat that ends with the assistant's message is left open behind its last word.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            "Messages need a tokenizer with a chat template; this one has none (a base model's "
            "seldom has). Give the prompt as text, or set model.tokenizer.chat_template."
        )
    out = []
    for number, chat in enumerate(_chats(messages)):
        options = (
            {"continue_final_message": True}
            if chat[-1]["role"] == "assistant"
            else {"add_generation_prompt": True}
        )
        try:
            text = tokenizer.apply_chat_template(chat, tokenize=False, **options)
        # A template is a program of the model's author and may raise anything.
        except Exception as error:
            raise ValueError(
                f"The chat template of this tokenizer refuses chat {number}: {error!s:.200}. "
                "Change its roles or their order, or give the prompt as text."
            ) from error
        out.append(text)
    return out


def pad_id(tokenizer: Any, size: int) -> int:
    """An id for padding, which is masked: the tokenizer's own where it has one below `size`."""
    own = (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
    return next((i for i in own if i is not None and 0 <= i < size), 0)


def _fitting(tokens: Tokens, max_length: int, n_ids: int | None) -> Tokens:
    """Tokens that were made elsewhere, checked against what a model reads."""
    for r, length in enumerate(tokens.lengths):
        _check_length(f"row {r}", length, max_length)
    if n_ids is None or 0 <= tokens.id_range[0] <= tokens.id_range[1] < n_ids:
        return tokens
    outside = (tokens.ids < 0) | (tokens.ids >= n_ids)
    wrong = (outside & tokens.mask).nonzero().tolist()
    if wrong:
        r, column = wrong[0]
        raise ValueError(
            f"Token ids run from 0 to {n_ids - 1}; row {r} has {int(tokens.ids[r, column])}. Make "
            "the tokens with this model's tokenizer."
        )
    # Padding is masked, but has to be an id that can be looked up.
    ids = tokens.ids.masked_fill(outside, 0)
    return Tokens(ids, tokens.mask, tokens.strings, tokens.side)


def _check_length(name: str, length: int, max_length: int) -> None:
    if length > max_length:
        raise ValueError(
            f"This model reads at most {max_length} tokens; {name} has {length}. Shorten it, or "
            "cut it into several prompts: wb.read_texts(…, model) does."
        )


def _own_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """The ids of the texts alone, without what the tokenizer adds by itself."""

    try:
        read = tokenizer(
            list(texts), add_special_tokens=False, return_attention_mask=False, verbose=False
        )
        return [list(row) for row in read.input_ids]
    # Tokenizers raise bare exceptions, for a word without an id for example.
    except Exception as error:
        if len(texts) == 1:
            why = str(error)
            if any("\ud800" <= letter <= "\udfff" for letter in texts[0]):
                why = "it has half a surrogate pair, as text has that was read in a wrong encoding"
            raise ValueError(
                f"This tokenizer cannot read {given(texts[0])}: {why:.200}. Leave it out, or write "
                "it otherwise."
            ) from error
    return [row for text in texts for row in _own_ids(tokenizer, [text])]


def _started(start: list[int], row: list[int]) -> list[int]:
    """The row behind the start tokens, those of them left out with which it begins."""
    if not row or row[0] == start[0]:
        return row
    n = next(n for n in range(len(start) - 1, -1, -1) if row[:n] == start[len(start) - n :])
    return start[: len(start) - n] + row


def _probes(tokenizer: Any) -> Iterator[str]:
    yield from PROBES
    special = set(tokenizer.all_special_tokens)
    yield from (
        tokenizer.decode([i]) for token, i in tokenizer.get_vocab().items() if token not in special
    )


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists of numbers or texts."""
    return value.tolist() if hasattr(value, "tolist") else value


def _each(prompts: Any) -> Iterable[Any]:
    if isinstance(prompts, str):
        return [prompts]
    many = _plain(prompts)
    if isinstance(many, (str, bytes, bytearray, memoryview, Mapping, set, frozenset)) or not (
        isinstance(many, Iterable)
    ):
        hint = " Of a file: wb.read_texts(path, model)." * isinstance(prompts, PathLike)
        raise TypeError(f"{_RULE}; got {given(prompts)}.{hint}")
    return many


def _ids(prompt: Any, r: int, of: str) -> list[int]:
    if isinstance(prompt, Mapping) and "role" in prompt:
        raise TypeError(
            f"{of} {r} is a chat message. Write model.tokens(messages=[…]), and give that."
        )
    if isinstance(prompt, (bytes, bytearray, memoryview)) or not isinstance(prompt, Sequence):
        alone = hasattr(prompt, "__index__")
        hint = " Put the ids of one into a list: [[5, 6, 7]]." if alone else ""
        raise TypeError(f"{_RULE}; {of} {r} is {given(prompt)}.{hint}")
    if not prompt:
        raise ValueError(f"A {of} has at least one token; {of} {r} is an empty list.")
    if set(map(type, prompt)) == {int}:
        return list(prompt)
    return [whole(f"A token id of {of} {r}", i) for i in prompt]


def _chats(messages: Any) -> list[list[dict[str, Any]]]:
    """One chat, or a list of them, as lists of messages. Raises for what is neither."""
    example = "[{'role': 'user', 'content': '…'}]"
    if isinstance(messages, (str, bytes, Mapping)) or not isinstance(messages, Iterable):
        raise TypeError(f"Messages are a list like {example}; got {given(messages)}.")
    several = list(messages)
    chats = [several] if several and isinstance(several[0], Mapping) else several
    if not chats:
        raise ValueError(f"A chat has at least one message; got none. Write {example}.")
    for number, chat in enumerate(chats):
        if isinstance(chat, (str, bytes, Mapping)) or not isinstance(chat, Sequence):
            raise TypeError(f"Messages are a list like {example}; chat {number} is {given(chat)}.")
        if not chat:
            raise ValueError(f"A chat has at least one message; chat {number} has none.")
        for place, message in enumerate(chat):
            there = message if isinstance(message, Mapping) else {}
            if not all(isinstance(there.get(key), str) for key in ("role", "content")):
                raise TypeError(
                    "A message has a role and a content, both text, as in "
                    f"{example}; message {place} of chat {number} is {given(message)}."
                )
            if not there["role"]:
                raise ValueError(f"A role is 'user' or another; message {place} has an empty one.")
    return [[dict(message) for message in chat] for chat in chats]
