"""Token rows: the texts of a corpus as ids in one array, a few of them at a time as `Tokens`."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..activations import check_texts
from ..encoding import id_rows
from ..model import Model
from ..tokens import Tokens, pad, token_strings

#: Texts that are encoded at a time.
AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class TokenRows:
    """The token ids of texts, one behind the other.

    ids: (token,) int32. offsets: (text + 1,) int64, where each text begins. strings: of every id
    that occurs.
    """

    ids: np.ndarray
    offsets: np.ndarray
    strings: dict[int, str]

    @classmethod
    def of(cls, model: Model, texts: Any) -> TokenRows:
        """The rows of texts, of lists of token ids, or of `Tokens`; what has no token is refused.

        Raises `TypeError` for what are no texts, `ValueError` for none at all, for one that is
        empty, and for one that is longer than the model's context.
        """
        n = check_texts(texts)
        parts: list[np.ndarray] = []
        for start in range(0, n, AT_ONCE):
            parts += _encoded(model, texts, start, min(start + AT_ONCE, n))
        lengths = np.array([len(part) for part in parts], np.int64)
        limit = model.spec.n_ctx
        if lengths.min() < 1 or lengths.max() > limit:
            number = int(np.flatnonzero((lengths < 1) | (lengths > limit))[0])
            raise ValueError(
                f"Each text has 1 to {limit} tokens, what {model.spec.name} reads; text {number} "
                f"has {lengths[number]}. Leave it out, or cut it into several."
            )
        ids = np.concatenate(parts)
        known = np.unique(ids).tolist()
        strings = dict(zip(known, token_strings(model.tokenizer, known), strict=True))
        return cls(ids, np.concatenate([[0], lengths.cumsum()]), strings)

    @property
    def n_texts(self) -> int:
        return len(self.offsets) - 1

    @property
    def digest(self) -> str:
        """A short hash of the ids and of where each text begins."""
        found = hashlib.sha256(self.ids.astype("<i4").tobytes())
        found.update(self.offsets.astype("<i8").tobytes())
        return found.hexdigest()[:16]

    def row(self, number: int) -> np.ndarray:
        """The ids of one text."""
        return self.ids[self.offsets[number] : self.offsets[number + 1]]

    def tokens(self, model: Model, numbers: Sequence[int]) -> Tokens:
        """The given texts on the model's device."""
        return tokens_of(model, [self.row(number).tolist() for number in numbers], self.strings)


def tokens_of(model: Model, rows: Sequence[Sequence[int]], strings: dict[int, str]) -> Tokens:
    """Rows of ids whose strings are known, as `Tokens` on the model's device."""
    # Padding is masked, so any id will do.
    names = [[strings[i] for i in row] for row in rows]
    return pad(rows, names, pad_id=0, device=model.spec.device)


def _encoded(model: Model, texts: Any, start: int, stop: int) -> list[np.ndarray]:
    if isinstance(texts, Tokens):
        ids, mask = texts.ids[start:stop].cpu().numpy(), texts.mask[start:stop].cpu().numpy()
        rows = [row[real] for row, real in zip(ids, mask, strict=True)]
    else:
        rows = id_rows(model.tokenizer, list(texts[start:stop]), of="text", first=start)
    size = min(len(model.tokenizer), model.spec.d_vocab)  # pyright: ignore[reportArgumentType]
    for row in rows:
        if len(row) and not 0 <= min(row) <= max(row) < size:
            bad = min(row) if min(row) < 0 else max(row)
            raise ValueError(f"Token ids run from 0 to {size - 1}; the texts hold {bad}.")
    return [np.array(row, np.int32) for row in rows]
