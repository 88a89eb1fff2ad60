"""Corpus: the texts that a measure runs over, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from tqdm.auto import tqdm

from ...check import given, whole
from ...model import Model
from ...tokens import Tokens


def batches(
    model: Model, texts: Any, batch_size: int, *, title: str = "", progress: bool = False
) -> Iterator[tuple[slice, Tokens]]:
    """The rows of each batch and their tokens; a bar counts the batches.

    texts: texts, lists of token ids, or `Tokens`, each within the model's context.
    Raises `ValueError` for no texts and a batch size below 1, `TypeError` for a single text.
    """
    n = check_texts(texts)
    whole("batch_size", batch_size, 1)
    for start in tqdm(range(0, n, batch_size), desc=title, disable=not progress):
        rows = slice(start, min(start + batch_size, n))
        if isinstance(texts, Tokens):
            yield rows, texts.take(range(rows.start, rows.stop)).trimmed()
        else:
            yield rows, model.tokens(list(texts[rows]))


def check_texts(texts: Any) -> int:
    """How many texts there are. Raises as `batches`."""
    if isinstance(texts, Tokens):
        return texts.n_rows
    if isinstance(texts, (str, bytes)) or not isinstance(texts, Sequence):
        raise TypeError(
            "Texts are a list of texts, a list of lists of token ids, or Tokens; got "
            f"{given(texts)}. Put a single text into a list."
        )
    for number, text in enumerate(texts):
        if isinstance(text, bytes) or not (isinstance(text, Sequence) or hasattr(text, "tolist")):
            raise TypeError(
                "Texts are a list of texts, or a list of lists of token ids; text "
                f"{number} is {given(text)}."
            )
    if not texts:
        raise ValueError("A measure over texts needs at least one; got none.")
    return len(texts)


def row_sums(values: torch.Tensor, tokens: Tokens) -> torch.Tensor:
    """(batch, pos, …) → (batch, …) float64: sums over each row's own tokens."""
    mask = tokens.mask.to(values.device)
    mask = mask.reshape(*mask.shape, *[1] * (values.ndim - 2))
    # A row of padding may hold anything, even NaN, which no product with 0 takes away.
    return values.double().masked_fill(~mask, 0.0).sum(1)
