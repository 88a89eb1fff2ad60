"""Tokens: a batch of prompts as ids and strings, with positions that are safe under padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import torch

Positions = int | slice | Sequence[int] | Literal["last"] | None


@dataclass(frozen=True)
class Tokens:
    """A batch of token rows, padded to one length.

    A *position* always counts a row's own tokens: 0 is its first real token and -1 its last,
    wherever the padding lies. A *column* is a place in the padded arrays.

    ids: (batch, column) int64.  mask: (batch, column) bool, True on real tokens.
    strings: for each row its real tokens as text, without padding.
    side: where the padding lies.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    strings: tuple[tuple[str, ...], ...]
    side: Literal["right", "left"] = "right"

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or self.ids.shape != self.mask.shape:
            raise ValueError(
                f"Token ids and mask are both (batch, pos); got {tuple(self.ids.shape)} and "
                f"{tuple(self.mask.shape)}."
            )

    @property
    def n_rows(self) -> int:
        return self.ids.shape[0]

    @property
    def n_columns(self) -> int:
        return self.ids.shape[1]

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """How many real tokens each row has."""
        return tuple(int(n) for n in self.mask.sum(-1).tolist())

    @property
    def padded(self) -> bool:
        """Whether any row has padding."""
        return min(self.lengths) < self.n_columns

    @cached_property
    def position_ids(self) -> torch.Tensor:
        """(batch, column) int64: each real token's position in its own row; 0 on padding."""
        return (self.mask.long().cumsum(-1) - 1).clamp(min=0)

    def offset(self, row: int) -> int:
        """The column of a row's first real token."""
        return self.n_columns - self.lengths[row] if self.side == "left" else 0

    def columns(self, row: int, positions: Positions = None) -> list[int]:
        """The columns of the given positions of a row; None means all its real tokens.

        Raises `IndexError` where the row has no such position.
        """
        n = self.lengths[row]
        if positions is None:
            chosen: Sequence[int] = range(n)
        elif isinstance(positions, str):
            if positions != "last":
                raise ValueError(
                    f"A position is a number, a slice, a list or 'last'; got {positions!r}."
                )
            chosen = [-1]
        elif isinstance(positions, slice):
            chosen = range(n)[positions]
        elif isinstance(positions, int):
            chosen = [positions]
        else:
            chosen = [int(p) for p in positions]
        for p in chosen:
            if not -n <= p < n:
                raise IndexError(
                    f"Row {row} has {n} tokens, so its positions run from 0 to {n - 1} "
                    f"(or -{n} to -1); got position {p}."
                )
        return [self.offset(row) + p % n for p in chosen]

    def take(self, rows: Sequence[int]) -> Tokens:
        """The given rows, in that order, repeats allowed."""
        index = list(rows)
        return Tokens(
            self.ids[index], self.mask[index], tuple(self.strings[r] for r in index), self.side
        )

    def trimmed(self) -> Tokens:
        """Without the columns in which every row has padding."""
        n = max(self.lengths)
        if n == self.n_columns:
            return self
        keep = slice(-n, None) if self.side == "left" else slice(n)
        return Tokens(self.ids[:, keep], self.mask[:, keep], self.strings, self.side)

    def to(self, device: Any) -> Tokens:
        """The same tokens on another device."""
        if self.ids.device == device:
            return self
        return Tokens(self.ids.to(device), self.mask.to(device), self.strings, self.side)

    def __len__(self) -> int:
        return self.n_rows

    def __repr__(self) -> str:
        lengths = ", ".join(map(str, self.lengths[:8])) + (", …" if self.n_rows > 8 else "")
        return f"Tokens({self.n_rows} rows of {lengths} tokens)"


def pad(
    rows: Sequence[Sequence[int]],
    strings: Sequence[Sequence[str]],
    *,
    pad_id: int,
    side: Literal["right", "left"] = "right",
    device: Any = None,
) -> Tokens:
    """The rows of ids as one padded `Tokens`. Raises `ValueError` for an empty row."""
    import torch

    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long)
    mask = torch.zeros((len(rows), width), dtype=torch.bool)
    for r, row in enumerate(rows):
        at = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[r, at] = torch.tensor(row, dtype=torch.long)
        mask[r, at] = True
    return Tokens(ids.to(device), mask.to(device), tuple(tuple(s) for s in strings), side)


def token_strings(tokenizer: Any, ids: Sequence[int]) -> list[str]:
    """Each id as the text it stands for, leading space kept.

    A token is decoded by itself; where that loses the space which marks the start of a word
    (SentencePiece tokenizers), the space is put back. Bytes that are not valid text by themselves
    are shown as their byte-level symbols.
    """
    pieces = tokenizer.convert_ids_to_tokens(list(ids))
    out = []
    for i, piece in zip(ids, pieces, strict=True):
        text = tokenizer.decode([i], clean_up_tokenization_spaces=False)
        if "\N{REPLACEMENT CHARACTER}" in text:
            text = str(piece)
        elif isinstance(piece, str) and piece.startswith("\u2581") and not text.startswith(" "):
            text = " " + text
        out.append(text)
    return out


def encode(
    tokenizer: Any,
    prompts: str | Sequence[str] | Sequence[Sequence[int]],
    *,
    max_length: int,
    prepend_bos: bool | None = None,
    side: Literal["right", "left"] = "right",
    device: Any = None,
) -> Tokens:
    """The prompts as `Tokens`: one text, a list of texts, or a list of lists of ids.

    `prepend_bos`: None keeps to what the tokenizer itself does; True and False see to it that each
    text starts, or does not start, with the start token. Ids are taken as they are.

    Raises `TypeError` for what is not text, `ValueError` for a prompt that is empty or longer than
    `max_length` tokens.
    """
    batch = [prompts] if isinstance(prompts, str) else prompts
    if not isinstance(batch, Sequence) or isinstance(batch, bytes) or len(batch) == 0:
        raise TypeError(
            "A prompt is a text, a list of texts, or a list of lists of token ids; got "
            f"{prompts!r}."
        )
    rows = [_row(tokenizer, r, prompt, prepend_bos) for r, prompt in enumerate(batch)]
    for r, row in enumerate(rows):
        if len(row) > max_length:
            raise ValueError(
                f"This model reads at most {max_length} tokens; prompt {r} has {len(row)}. "
                "Shorten it, or cut it into several prompts."
            )
    pad_id = next(
        (
            i
            for i in (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.bos_token_id)
            if i is not None
        ),
        0,
    )
    strings = [token_strings(tokenizer, row) for row in rows]
    return pad(rows, strings, pad_id=pad_id, side=side, device=device)


def _row(tokenizer: Any, r: int, prompt: Any, prepend_bos: bool | None) -> list[int]:
    if isinstance(prompt, str):
        if not prompt:
            raise ValueError(
                f"A prompt has at least one character; prompt {r} is empty. Write some text."
            )
        ids = list(tokenizer(prompt).input_ids)
        bos = tokenizer.bos_token_id
        if prepend_bos is not None:
            if bos is None:
                raise ValueError(
                    "prepend_bos needs a tokenizer with a start token; this one has none. Leave it "
                    "out."
                )
            if prepend_bos and ids[:1] != [bos]:
                ids = [bos, *ids]
            elif (
                not prepend_bos and ids[:1] == [bos] and not prompt.startswith(tokenizer.bos_token)
            ):
                ids = ids[1:]
        if not ids:
            raise ValueError(
                f"A prompt has at least one token; prompt {r}, {prompt!r}, has none. Write some "
                "text."
            )
        return ids
    if (
        isinstance(prompt, Sequence)
        and prompt
        and all(isinstance(i, int) and not isinstance(i, bool) for i in prompt)
    ):
        size = len(tokenizer)
        if bad := [i for i in prompt if not 0 <= i < size]:
            raise ValueError(f"Token ids run from 0 to {size - 1}; prompt {r} has {bad[0]}.")
        return list(prompt)
    raise TypeError(
        f"A prompt is a text, a list of texts, or a list of lists of token ids; prompt {r} is "
        f"{prompt!r}."
    )
