"""Tokens: a batch of prompts as ids and strings, with positions that are safe under padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import torch

from . import check
from .check import as_whole, checked, given, one_of, refuse, whole

Positions = int | slice | Sequence[int] | Literal["last"] | None


@dataclass(frozen=True)
class Tokens:
    """A batch of token rows, padded to one length.

    A *position* always counts a row's own tokens: 0 is its first real token and -1 its last,
    wherever the padding lies. A *column* is a place in the padded arrays.

    ids: (batch, column) int64.  mask: (batch, column) bool, True on real tokens.
    strings: for each row its real tokens as text, without padding.
    side: where the padding lies.

    `Model.tokens` makes them. Made by hand, from what a tokenizer returns for example, they are
    checked: ids of any integer type and a mask of 0 and 1 are converted, arrays and lists too.

        Tokens(batch.input_ids, batch.attention_mask, strings, side="left")

    Raises `TypeError` for ids that are no integers, a mask that is not 0 and 1, and strings that
    are no text; `ValueError` for shapes that differ, no row, a row without a real token or with
    padding elsewhere than on `side`, and strings that are not as many as a row's real tokens.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    strings: tuple[tuple[str, ...], ...]
    side: Literal["right", "left"] = "right"

    def __post_init__(self) -> None:
        ids, mask = _whole_numbers(self.ids), _real(self.mask)
        if ids.ndim != 2 or ids.shape != mask.shape:
            raise ValueError(
                f"Token ids and mask are both (batch, pos); got {tuple(ids.shape)} and "
                f"{tuple(mask.shape)}."
            )
        if 0 in ids.shape:
            raise ValueError(
                f"Tokens are at least one row of one token; got ids of shape {tuple(ids.shape)}."
            )
        one_of("The side of the padding", self.side, ("right", "left"))
        # Frozen for whoever holds it; here it is still being made.
        set_field = partial(object.__setattr__, self)
        set_field("ids", ids)
        set_field("mask", mask.to(ids.device))
        _check_padding(self)
        set_field("strings", _strings(self.strings, self.lengths))

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

    @cached_property
    def id_range(self) -> tuple[int, int]:
        """The smallest and the largest id, padding included."""
        return int(self.ids.min()), int(self.ids.max())

    @checked
    def offset(self, row: int) -> int:
        """The column of a row's first real token."""
        return self.n_columns - self.lengths[row] if self.side == "left" else 0

    def columns(self, row: int, positions: Positions = None) -> list[int]:
        """The columns of the given positions of a row; None means all its real tokens.

        Raises `IndexError` where the row has no such position.
        """
        if as_whole(row) is None or not -self.n_rows <= row < self.n_rows:
            raise IndexError(f"There are rows 0 to {self.n_rows - 1}; got row={given(row)}.")
        n = self.lengths[row]
        if positions is None:
            chosen: Sequence[int] = range(n)
        elif isinstance(positions, str) and positions == "last":
            chosen = [-1]
        else:
            chosen = _positions(positions, n)
        for p in chosen:
            if not -n <= p < n:
                raise IndexError(
                    f"Row {row} has {n} tokens, so its positions run from 0 to {n - 1} "
                    f"(or -{n} to -1); got position {p}."
                )
        return [self.offset(row) + p % n for p in chosen]

    def take(self, rows: Sequence[int]) -> Tokens:
        """The given rows, in that order, repeats allowed; those below 0 count from the end."""
        try:
            index = [range(self.n_rows)[whole("A row", r)] for r in rows]
        except (TypeError, IndexError):
            rule = f"a list of numbers from 0 to {self.n_rows - 1}, at least one"
            raise refuse("The choice of rows", rule, rows) from None
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
        device = check.device("device", device)
        if device is None or self.ids.device == device:
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
    width = max(map(len, rows))
    ids = torch.full((len(rows), width), pad_id, dtype=torch.long, device="cpu")
    mask = torch.zeros((len(rows), width), dtype=torch.bool, device="cpu")
    for r, row in enumerate(rows):
        at = slice(width - len(row), width) if side == "left" else slice(0, len(row))
        ids[r, at] = torch.tensor(row, dtype=torch.long, device="cpu")
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


def _positions(positions: Any, n: int) -> Sequence[int]:
    try:
        if isinstance(positions, slice):
            return range(n)[positions]
        several = isinstance(positions, Sequence) or getattr(positions, "ndim", 0)
        if several and not isinstance(positions, (str, bytes)):
            return [whole("A position", p) for p in positions]
        return [whole("A position", positions)]
    except TypeError:
        raise refuse("A position", "a number, a slice, a list or 'last'", positions) from None


def _tensor(value: Any, name: str) -> torch.Tensor:
    try:
        return torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise TypeError(
            f"{name} are a tensor (batch, pos) of integers; got {given(value)}, whose rows may "
            "differ in length. model.tokens takes lists of ids and pads them."
        ) from None


def _whole_numbers(value: Any) -> torch.Tensor:
    ids = _tensor(value, "Token ids")
    if ids.dtype.is_floating_point or ids.dtype.is_complex or str(ids.dtype) == "torch.bool":
        raise TypeError(f"Token ids are integers; got {str(ids.dtype).removeprefix('torch.')}.")
    return ids.long()


def _real(value: Any) -> torch.Tensor:
    mask = _tensor(value, "Masks")
    kind = str(mask.dtype).removeprefix("torch.")
    if kind == "bool":
        return mask
    if mask.dtype.is_floating_point or mask.dtype.is_complex:
        raise TypeError(
            f"A mask is 1 on real tokens and 0 on padding, of integers or bool; got {kind}."
        )
    if other := mask[(mask != 0) & (mask != 1)].tolist():
        raise ValueError(f"A mask is 1 on real tokens and 0 on padding; got {other[0]}.")
    return mask.bool()


def _check_padding(tokens: Tokens) -> None:
    """Raises where a row's real tokens are not together at the end that `side` leaves to them."""

    def together(mask: torch.Tensor, side: str) -> torch.Tensor:
        """(…) whether no real token follows padding, as seen from the end without padding."""
        left, right = mask[..., :-1], mask[..., 1:]
        ordered = (left <= right) if side == "left" else (right <= left)
        return ordered.all(-1) & mask[..., -1 if side == "left" else 0]

    # On the CPU, since every answer that is asked of a device waits for it.
    mask = tokens.mask.cpu()
    fits = together(mask, tokens.side)
    if bool(fits.all()):
        return
    r = int((~fits).nonzero()[0])
    if not tokens.lengths[r]:
        raise ValueError(f"Row {r} has no real token: its mask is 0 everywhere. Leave it out.")
    other = "left" if tokens.side == "right" else "right"
    if bool(together(mask[r], other)):
        raise ValueError(
            f"side={tokens.side!r} says where the padding lies, and row {r} has it on the {other}. "
            f"Give side={other!r}, with every row padded there."
        )
    there = mask[r].nonzero()[:, 0].tolist()
    if there[-1] - there[0] + 1 == len(there):
        raise ValueError(f"A row has its padding on one side; row {r} has it on both. Cut one off.")
    hole = next(c for c in range(there[0], there[-1]) if c not in there)
    raise ValueError(
        f"A row's real tokens lie together; the mask of row {r} has a hole at column {hole}. Take "
        "the token out, or ablate it: to mask it would move the positions behind it."
    )


def _strings(value: Any, lengths: Sequence[int]) -> tuple[tuple[str, ...], ...]:
    if isinstance(value, str) or not isinstance(value, Sequence) or len(value) != len(lengths):
        got = f"{len(value)} rows" if isinstance(value, (tuple, list)) else given(value)
        raise ValueError(f"Strings are as many rows as the ids have, {len(lengths)}; got {got}.")
    for r, (row, n) in enumerate(zip(value, lengths, strict=True)):
        if isinstance(row, str) or not isinstance(row, Sequence) or set(map(type, row)) - {str}:
            raise TypeError(
                f"The strings of a row are its tokens as text, ('The', ' cat'); row {r} has "
                f"{given(row)}."
            )
        if len(row) != n:
            raise ValueError(
                f"Each real token has its string; row {r} has {n} by its mask and {len(row)} "
                "strings. Leave those of the padding out."
            )
    return tuple(map(tuple, value))
