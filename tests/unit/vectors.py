"""An observable's vector in tests: its numbers, its facts, and what words give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import workbench as wb


def numbers(vector: Any) -> np.ndarray:
    """(d_model,)"""
    (one,) = vector.values()
    return one.W_dec[0].numpy()


def facts(vector: Any) -> Mapping[str, Any]:
    (one,) = vector.values()
    return one.info


def all_scores(model: Any, vector: Any) -> np.ndarray:
    """(d_vocab,) what each token gives, in logits."""
    table = wb.vocabulary.words(model, vector, space="site", k=None)
    return table.top_values[0][np.argsort(table.top_ids[0])]


def scores(model: Any, vector: Any, words: Sequence[str]) -> np.ndarray:
    """(word,) what words of one token give."""
    ids = [model.tokenizer(word, add_special_tokens=False).input_ids for word in words]
    assert all(len(each) == 1 for each in ids)
    return all_scores(model, vector)[[each[0] for each in ids]]


def words(model: Any, vector: Any, k: int) -> tuple[list[str], list[str]]:
    """The k words that give most, and the k that take most."""
    frame = wb.vocabulary.words(model, vector, space="site", k=k).to_frame("words")
    most, least = (frame[frame.end == end].token.tolist() for end in ("top", "bottom"))
    return most, least
