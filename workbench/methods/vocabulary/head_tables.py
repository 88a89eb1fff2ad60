"""Tables of a `HeadVocabulary`: its scores, its pairs, its singular directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...resample import bootstrap
from .head_directions import CIRCUITS, SIGNS
from .head_pairs import KINDS

if TYPE_CHECKING:
    from .head_vocabulary import HeadVocabulary


def scores(result: HeadVocabulary) -> dict[str, Any]:
    """One line a head."""
    low, high = np.quantile(result.random_copying_scores, [0.025, 0.975], axis=1)
    columns: dict[str, Any] = {
        "head": result.heads,
        "layer": result.layers,
        "number": result.numbers,
        "copying_score": result.copying_scores,
        "random_copying_score": result.random_copying_scores.mean(1),
        "random_copying_score_low": low,
        "random_copying_score_high": high,
    }
    for name, of in (("copying", "copied"), ("suppression", "suppressed")):
        ends = np.array([result.share_interval(head, of=of) for head in result.heads])
        columns[f"{name}_share"] = getattr(result, f"{name}_shares")
        columns[f"{name}_share_low"], columns[f"{name}_share_high"] = ends.T
        columns[f"random_{name}_share"] = getattr(result, f"random_{name}_shares")
    ends = np.array([_previous_interval(result, row) for row in result.previous_token])
    columns["previous_token"] = result.previous_token.mean(1)
    columns["previous_token_low"], columns["previous_token_high"] = ends.T
    columns["previous_token_chance"] = result.previous_token_chance
    return columns


def _previous_interval(result: HeadVocabulary, row: np.ndarray) -> tuple[float, float]:
    if result.previous_token_source != "prompts":
        return float("nan"), float("nan")
    return bootstrap(lambda drawn: row[drawn].mean(-1), len(row), seed=result.seed or 0)


def pairs(result: HeadVocabulary) -> list[dict[str, Any]]:
    """One line a pair."""
    return [
        {
            "head": head,
            "kind": kind,
            "rank": rank,
            "source": result.word(int(ids[0])),
            "target": result.word(int(ids[1])),
            "value": float(result.pair_values[h, which, rank]),
        }
        for h, head in enumerate(result.heads)
        for which, kind in enumerate(KINDS)
        for rank, ids in enumerate(result.pair_ids[h, which])
    ]


def singular(result: HeadVocabulary) -> list[dict[str, Any]]:
    """One line a singular direction and sign."""
    squares = result.singular_values.astype(np.float64) ** 2
    totals = squares.sum(-1)
    return [
        {
            "head": head,
            "circuit": circuit,
            "direction": d,
            "singular_value": float(result.singular_values[h, c, d]),
            "share": float(squares[h, c, d] / totals[h, c]) if totals[h, c] else float("nan"),
            "sign": sign,
            "reads": _words(result, h, c, d, s, 0),
            "writes": _words(result, h, c, d, s, 1),
        }
        for h, head in enumerate(result.heads)
        for c, circuit in enumerate(CIRCUITS)
        for d in range(result.direction_ids.shape[2])
        for s, sign in enumerate(SIGNS)
    ]


def _words(result: HeadVocabulary, *at: int) -> tuple[str, ...]:
    return tuple(result.word(int(i)) for i in result.direction_ids[at])


TABLES: dict[str, Callable[[HeadVocabulary], Any]] = {
    "scores": scores,
    "pairs": pairs,
    "singular": singular,
}
