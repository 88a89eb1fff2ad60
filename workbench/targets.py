"""Words as single tokens: what targets, foils and token sets are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .check import whole
from .encoding import text_ids
from .tokens import token_strings

Target = str | int
Targets = Target | Sequence[Target] | None


def token_id(tokenizer: Any, target: Target, *, of: str = "A target") -> int:
    """The id of a target: a text that is one token, its leading space included, or an id.

    A text with a leading space is read as it follows other text, so that tokenizers which put a
    space before everything give the same token. `of` begins the error: what the target is for.

    Raises `ValueError` for a text of several tokens, naming them, and for an id out of range;
    `TypeError` for anything else.
    """
    if not isinstance(target, str):
        size = len(tokenizer)
        return whole(of, target, 0, size - 1, "It is an id, or a text that is one token.")
    if not target:
        raise ValueError(
            f"{of} is a text that is one token; got an empty text. Write for example ' Mary'."
        )
    alone = _ids(tokenizer, target)
    before = _ids(tokenizer, "a")
    after = _ids(tokenizer, "a" + target)
    if target[0].isspace() and after[:-1] == before:
        return _known(tokenizer, after[-1], target, of)
    if len(alone) == 1:
        return _known(tokenizer, alone[0], target, of)
    pieces = ", ".join(map(repr, token_strings(tokenizer, alone[:8]))) + ", …" * (len(alone) > 8)
    hint = "Give one of these, or a token id."
    if not target[0].isspace() and _ids(tokenizer, "a " + target)[:-1] == before:
        hint = f"{' ' + target!r}, with its leading space, is one token."
    raise ValueError(
        f"{of} is one token; {target!r} is {len(alone)} for this tokenizer: {pieces}. {hint}"
    )


def token_ids(tokenizer: Any, targets: Targets, *, of: str = "A target") -> list[int]:
    """The ids of one target or a list of them; None gives none."""
    if targets is None:
        return []
    several = isinstance(targets, Sequence) and not isinstance(targets, str)
    many: Any = targets if several else [targets]
    return [token_id(tokenizer, target, of=of) for target in many]


def foil_ids(tokenizer: Any, foils: Targets, n_targets: int) -> list[int]:
    """One foil a target; a single one serves them all. `ValueError` where the numbers differ."""
    ids = token_ids(tokenizer, foils, of="A foil")
    if not ids:
        return []
    if not n_targets:
        raise ValueError(
            f"A foil is what a target is compared with; got foils {foils!r} and no targets. Add "
            "targets=."
        )
    if len(ids) not in (1, n_targets):
        raise ValueError(
            f"Foils pair with the targets, one each, or one for all; got {len(ids)} foils and "
            f"{n_targets} targets."
        )
    return ids * n_targets if len(ids) == 1 else ids


def set_ids(
    tokenizer: Any, token_sets: Mapping[str, Sequence[Target]] | None
) -> dict[str, list[int]]:
    """The ids of each named set, each once. `ValueError` for none, or a word of several tokens."""
    out = {}
    for name, words in (token_sets or {}).items():
        if isinstance(words, str):
            raise TypeError(
                f"The token set {name!r} is a list of tokens; got the text {words!r}. Write "
                f"[{words!r}]."
            )
        ids = token_ids(tokenizer, words, of=f"A member of the token set {name!r}")
        if not ids:
            raise ValueError(f"A token set has at least one token; {name!r} is empty.")
        out[str(name)] = list(dict.fromkeys(ids))
    return out


def _known(tokenizer: Any, found: int, target: str, of: str) -> int:
    """The token, unless it stands for whatever the vocabulary lacks."""
    if found == tokenizer.unk_token_id and target.strip() != tokenizer.unk_token:
        raise ValueError(
            f"{of} is a token of the vocabulary; {target!r} is in none of this tokenizer's, which "
            f"reads it as {tokenizer.unk_token!r}. Give another word, or a token id."
        )
    return found


def _ids(tokenizer: Any, text: str) -> list[int]:
    return text_ids(tokenizer, [text], prepend_bos=False)[0]
