"""Clean and corrupt prompts with their answers and foils, and the check against a tokenizer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import pairwise
from typing import Any

import pandas as pd
from transformers import PreTrainedTokenizerBase

from .check import ArgumentError
from .check import given as shown
from .encoding import text_ids
from .tokens import token_strings

_RULE = "A pair is (clean, corrupt, answer, foil), or a dict with these keys"


@dataclass(frozen=True)
class Pair:
    """A clean prompt, its corrupt partner, and what may follow.

    On the clean prompt an answer is right; on the corrupt one a foil is, or the answers no longer
    are. Neither prompt ends with a space: an answer is the token that follows the prompt in
    tokenise(prompt + answer), and so brings its own.

    Raises `ValueError` where a text is missing, or a word is an answer and a foil.
    """

    clean: str
    corrupt: str
    answers: tuple[str, ...]
    foils: tuple[str, ...]
    template: str = ""
    labels: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("clean", "corrupt"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text or text != text.rstrip():
                raise ValueError(
                    f"The {name} prompt is a text that does not end with a space; got "
                    f"{shown(text)}. The space belongs to the answer, ' Paris'."
                )
        for name in ("answers", "foils"):
            words = getattr(self, name)
            several = isinstance(words, Iterable) and not isinstance(words, str)
            words = tuple(words) if several else (words,)
            if not words or not all(isinstance(word, str) and word for word in words):
                raise ValueError(
                    f"The {name} are one or more texts; {shown(self.clean)} has {shown(words)}."
                )
            object.__setattr__(self, name, words)
        if both := [word for word in self.answers if word in self.foils]:
            raise ValueError(
                f"No text is an answer and a foil; {shown(self.clean)} has {both[0]!r}."
            )

    @classmethod
    def read(cls, given: Any) -> Pair:
        """The pair (clean, corrupt, answer, foil), or of a mapping with these keys, or this class's
        fields.

        Raises `ValueError` for a missing or an unknown key, and for what is no pair.
        """
        if isinstance(given, Pair):
            return given
        if _is_row(given):
            return cls(*given)
        names = [each.name for each in fields(cls)]
        named: dict[Any, Any] = {}
        if isinstance(given, Mapping):
            plural = {"answer": "answers", "foil": "foils"}
            named = {plural.get(key, key): value for key, value in given.items()}
        if len(named) < len(given) or not {*names[:4]} <= {*named} <= {*names}:
            keys = list(given) if isinstance(given, Mapping) else given
            raise ValueError(f"{_RULE}, and perhaps {' and '.join(names[4:])}; got {shown(keys)}.")
        return cls(**named)


@dataclass(frozen=True)
class SetCheck:
    """Which pairs of a set a tokenizer can use.

    answers, foils: for each pair the ids that may follow its prompts, empty where it fails.
    failures: pair number → why it fails. left_out: pair number → those of its answers and foils
    that merge with the end of a prompt, and so are no token of their own.
    """

    name: str
    answers: tuple[tuple[int, ...], ...]
    foils: tuple[tuple[int, ...], ...]
    failures: Mapping[int, str]
    left_out: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    @property
    def n_pairs(self) -> int:
        return len(self.answers)

    @property
    def passing(self) -> tuple[int, ...]:
        """The numbers of the pairs that pass."""
        return tuple(i for i in range(self.n_pairs) if i not in self.failures)

    @property
    def fits(self) -> bool:
        """Whether half of the pairs pass, and at least 8 of them (all, where there are fewer)."""
        return len(self.passing) >= max(self.n_pairs / 2, min(8, self.n_pairs))

    def to_frame(self) -> pd.DataFrame:
        """One row a pair: whether it passes, and why not."""
        why = [self.failures.get(i, "") for i in range(self.n_pairs)]
        return pd.DataFrame({"passes": [not each for each in why], "why_not": why}).rename_axis(
            "pair"
        )

    def __repr__(self) -> str:
        text = f"{self.name}: {len(self.passing)} of {self.n_pairs} pairs pass"
        if self.failures:
            first = min(self.failures)
            text += f" (pair {first} fails: {self.failures[first]})"
        if self.left_out:
            first, words = next(iter(self.left_out.items()))
            text += (
                f", {len(self.left_out)} without some of their words (pair {first}: {words[0]!r})"
            )
        return text


@dataclass(frozen=True)
class PairSet:
    """Pairs that are written for one kind of vocabulary.

    whole_words: the set needs a tokenizer in which every word of the prompts, the answers and the
    foils is one token. one_token: one in which the answers and the foils are; else the first token
    of each is read.
    """

    name: str
    pairs: tuple[Pair, ...]
    whole_words: bool = False
    note: str = ""
    one_token: bool = False

    def check(
        self,
        tokenizer: PreTrainedTokenizerBase,
        *,
        max_length: int | None = None,
        prepend_bos: bool | None = None,
    ) -> SetCheck:
        """Which pairs this tokenizer can use, why the others fail, and the ids that may follow.

        max_length: how many tokens the model reads, None for any number. prepend_bos: as in
        `Model.tokens`.
        """
        ids = _Encoder(tokenizer, self.pairs, prepend_bos)
        answers: list[tuple[int, ...]] = []
        foils: list[tuple[int, ...]] = []
        failures: dict[int, str] = {}
        left_out: dict[int, tuple[str, ...]] = {}
        for i, pair in enumerate(self.pairs):
            try:
                found = _follow(ids, pair, self, max_length)
            except _Fails as reason:
                failures[i] = str(reason)
                found = (), (), ()
            answers.append(found[0])
            foils.append(found[1])
            if found[2]:
                left_out[i] = found[2]
        return SetCheck(self.name, tuple(answers), tuple(foils), failures, left_out)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"PairSet({self.name!r}, {len(self)} pairs)"


def read_sets(given: Iterable[Mapping[str, Any]]) -> tuple[PairSet, ...]:
    """The sets of a task file, named after their vocabulary: "english", "english-2"."""
    seen: Counter[str] = Counter()
    sets = []
    for each in given:
        name = each["vocabulary"]
        seen[name] += 1
        sets.append(
            PairSet(
                name if seen[name] == 1 else f"{name}-{seen[name]}",
                tuple(map(Pair.read, each["pairs"])),
                each["whole_words"],
                each.get("note", ""),
            )
        )
    return tuple(sets)


def read_pairs(given: Any) -> tuple[Pair, ...]:
    """Own pairs: one, several, or a pandas DataFrame, whose further columns become labels.

    Raises `ArgumentError` that names the pair by its number.
    """
    if isinstance(given, pd.DataFrame):
        rows = [_labelled(row) for row in given.to_dict("records")]
    elif isinstance(given, (Pair, Mapping)) or _is_row(given):
        rows = [given]
    elif isinstance(given, Iterable) and not isinstance(given, (str, bytes)):
        rows = list(given)
    else:
        raise ArgumentError(f"Pairs are a list, or a DataFrame. {_RULE}; got {shown(given)}.")
    pairs = []
    for number, row in enumerate(rows):
        try:
            pairs.append(Pair.read(row))
        except ValueError as error:
            raise ArgumentError(f"Pair {number}: {error}") from None
    return tuple(pairs)


def _is_row(given: Any) -> bool:
    """Whether it is (clean, corrupt, answer, foil), and no list of four pairs."""
    row = isinstance(given, (tuple, list)) and len(given) == 4
    return row and all(isinstance(text, str) for text in given[:2])


def _labelled(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of a table with the columns that are no part of a pair as its labels."""
    known = {*(each.name for each in fields(Pair)), "answer", "foil"} - {"labels"}
    own = {key: value for key, value in row.items() if key in known}
    return own | {"labels": {str(key): value for key, value in row.items() if key not in known}}


class _Fails(Exception):
    """Why a pair cannot be used with a tokenizer."""


class _Encoder:
    """The ids of every text of some pairs, made in one call, and the text of each id.

    lengths: of each prompt, a start token included.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, pairs: Sequence[Pair], prepend_bos: bool | None
    ) -> None:
        prompts = {prompt for pair in pairs for prompt in (pair.clean, pair.corrupt)}
        follow = {p.clean + word for p in pairs for word in (*p.answers, *p.foils)}
        follow |= {p.corrupt + word for p in pairs for word in (*p.answers, *p.foils)}
        follow |= {
            f"{p.clean} {word}"
            for p in pairs
            for word in (*p.answers, *p.foils)
            if _joined(p.clean, word)
        }
        texts = sorted(prompts | follow)
        encoded = text_ids(tokenizer, texts, prepend_bos=False)
        self._ids = dict(zip(texts, map(tuple, encoded), strict=True))
        started = text_ids(tokenizer, sorted(prompts), prepend_bos=prepend_bos)
        self.lengths = dict(zip(sorted(prompts), map(len, started), strict=True))
        used = sorted({i for row in self._ids.values() for i in row})
        self.strings = dict(zip(used, token_strings(tokenizer, used), strict=True))
        self.unknown = tokenizer.unk_token_id
        self.unknown_text = tokenizer.unk_token

    def __getitem__(self, text: str) -> tuple[int, ...]:
        ids = self._ids[text]
        if self.unknown in ids and str(self.unknown_text) not in text:
            raise _Fails(f"{text!r} has a part that the vocabulary lacks")
        return ids

    def texts(self, ids: Sequence[int]) -> list[str]:
        """The text of each id."""
        return [self.strings[i] for i in ids]

    def split_word(self, ids: Sequence[int]) -> str | None:
        """The first word that ids cut into several tokens, None where each word is one token."""
        texts = self.texts(ids)
        for i, (left, right) in enumerate(pairwise(texts), 1):
            if left[-1:].isalnum() and right[:1].isalnum():
                start = re.findall(r"[^\W_]+$", "".join(texts[:i]))
                end = re.findall(r"^[^\W_]+", "".join(texts[i:]))
                return "".join(start + end)
        return None


def _follow(
    ids: _Encoder, pair: Pair, of: PairSet, max_length: int | None
) -> tuple[tuple[int, ...], tuple[int, ...], tuple[str, ...]]:
    """The ids of a pair's answers and foils, and the words left out. Raises `_Fails`."""
    clean, corrupt = ids[pair.clean], ids[pair.corrupt]
    if len(clean) != len(corrupt):
        differ = _differ(ids.texts(clean), ids.texts(corrupt))
        raise _Fails(f"clean has {len(clean)} tokens and corrupt {len(corrupt)}: {differ}")
    if clean == corrupt:
        raise _Fails("clean and corrupt are the same tokens")
    if max_length is not None and (n := ids.lengths[pair.clean]) > max_length:
        raise _Fails(f"it has {n} tokens and the model reads at most {max_length}")
    if of.whole_words:
        _check_whole(ids, pair)
    if of.one_token:
        _check_one_token(ids, pair)
    answers, lost_answers = _next_ids(ids, pair, pair.answers)
    foils, lost_foils = _next_ids(ids, pair, pair.foils)
    if both := [i for i in foils if i in answers]:
        raise _Fails(
            f"the answer {answers[both[0]]!r} and the foil {foils[both[0]]!r} start with the same "
            f"token {ids.strings[both[0]]!r}"
        )
    return tuple(answers), tuple(foils), lost_answers + lost_foils


def _check_whole(ids: _Encoder, pair: Pair) -> None:
    for prompt in (pair.clean, pair.corrupt):
        for word in (*pair.answers, *pair.foils):
            if split := ids.split_word(ids[prompt + word]):
                raise _Fails(f"the word {split!r} is split into several tokens")


def _joined(prompt: str, word: str) -> bool:
    """Whether a word goes on with the last word of a prompt, as one without its space does."""
    ends = prompt[-1] + word[0]
    return ends.isascii() and ends.isalpha()


def _check_one_token(ids: _Encoder, pair: Pair) -> None:
    for word in (*pair.answers, *pair.foils):
        row = ids[pair.clean]
        if _joined(pair.clean, word) and len(ids[f"{pair.clean} {word}"]) == len(row) + 1:
            raise _Fails(f"{word!r} lacks its leading space: {' ' + word!r} is one token")
        whole = ids[pair.clean + word]
        if whole[: len(row)] == row and len(whole) > len(row) + 1:
            pieces = ids.texts(whole[len(row) :])
            raise _Fails(
                f"{word!r} is {len(pieces)} tokens, {_listed(pieces)}, and one is read: give one "
                "of these, or another word"
            )


def _differ(clean: list[str], corrupt: list[str]) -> str:
    """Where two rows of tokens differ, without what they begin and end with alike."""
    while clean and corrupt and clean[0] == corrupt[0]:
        clean, corrupt = clean[1:], corrupt[1:]
    while clean and corrupt and clean[-1] == corrupt[-1]:
        clean, corrupt = clean[:-1], corrupt[:-1]
    return f"{_listed(clean)} in place of {_listed(corrupt)}"


def _listed(tokens: Sequence[str]) -> str:
    """The first tokens as text, in quotes."""
    shown_ = " ".join(map(repr, tokens[:8])) or "nothing"
    return shown_ + " …" * (len(tokens) > 8)


def _next_ids(
    ids: _Encoder, pair: Pair, words: tuple[str, ...]
) -> tuple[dict[int, str], tuple[str, ...]]:
    """The token that follows both prompts, for each word, and the words that have none.

    Where a word merges with the end of a prompt (" 17" + "76" may be the one token " 1776"), no
    token of its own follows the prompt. Of several answers such words are left out, up to half.
    """
    found: dict[int, str] = {}
    lost = []
    for word in words:
        following = set()
        for prompt in (pair.clean, pair.corrupt):
            row, whole = ids[prompt], ids[prompt + word]
            kept = whole[: len(row)] == row and len(whole) > len(row)
            following.add(whole[len(row)] if kept else None)
        if None in following:
            lost.append(word)
        elif len(following) > 1:
            raise _Fails(f"{word!r} is another token after the corrupt prompt")
        else:
            found.setdefault(following.pop(), word)
    if len(lost) > len(words) / 2:
        raise _Fails(f"the prompt's own tokens change when {lost[0]!r} follows {pair.clean!r}")
    return found, tuple(lost)
