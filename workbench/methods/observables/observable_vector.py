"""The feature vector of an observable: what one path reads from the residual stream for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ...check import Count, whole
from ...result import Result, axes
from .observable_words import Embedding


@dataclass(frozen=True, eq=False, repr=False)
class ObservableVector(Result):
    """What a path reads from the residual stream to move an observable.

    observable: its name; targets, foils: its tokens, empty where a vector over the vocabulary was
    given; target_ids, foil_ids: theirs. path: the
    components, first to last; () is the direct one. site: the residual stream that the first
    reads. vector: (d_model,), the mean gradient over the points: a stream, centred and divided by
    the scale of the norm before the path, adds its product with the vector to the observable, in
    logits, where a head of the path attends to it fully. size: the mean scale of that norm at the
    points, so that gradient = vector / size.

    points: at what the path was linearised; n_points: how many there are. agreement: the mean
    cosine of the gradient at a point with their mean; 1 where the path is linear. soft_cap: the cap
    that the model applies to its logits afterwards, None for none.

    token_scores: (d_vocab,) what each token of `vocabulary` gives by itself, in logits, divided by
    the scale of its own stream. embedding: "token", as it is stored, or "block 0", as it leaves the
    first block when it stands alone.
    """

    observable: str
    targets: tuple[str, ...]
    foils: tuple[str, ...]
    target_ids: tuple[int, ...]
    foil_ids: tuple[int, ...]
    path: tuple[str, ...]
    site: str
    size: float
    points: str
    n_points: int
    agreement: float
    soft_cap: float | None
    embedding: Embedding
    vocabulary: tuple[str, ...]
    vector: np.ndarray = axes("d_model")
    token_scores: np.ndarray = axes("d_vocab")

    picture = "observables.observable_vector"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.vocabulary) != len(self.token_scores):
            raise ValueError(
                f"Each of the {len(self.token_scores)} scores belongs to a token; got "
                f"{len(self.vocabulary)} tokens."
            )

    @property
    def name(self) -> str:
        """The path as text, "direct" where it has no components."""
        return " → ".join(self.path) or "direct"

    @property
    def gradient(self) -> np.ndarray:
        """(d_model,) the mean gradient in the stream itself, at streams of the size `size`."""
        return self.vector / np.float32(self.size)

    @property
    def norm(self) -> float:
        """The vector's length."""
        return float(np.linalg.norm(self.vector.astype(np.float64)))

    @property
    def spread(self) -> float:
        """The standard deviation of the scores over the vocabulary, in logits."""
        return float(self.token_scores.astype(np.float64).std())

    def words(self, k: Count = 10) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The k tokens that give most of the observable, and the k that take most from it."""
        whole("k", k, 1, len(self.vocabulary), "The vocabulary has no more tokens.")
        order = np.argsort(-self.token_scores, kind="stable")
        most, least = order[:k], order[::-1][:k]
        return tuple(self.vocabulary[i] for i in most), tuple(self.vocabulary[i] for i in least)

    def scores(self, words: str | Sequence[str]) -> np.ndarray:
        """(word,) what each word gives, in logits. Words are tokens with their leading space.

        Raises `ValueError` for a word that is not one token of the vocabulary.
        """
        many = [words] if isinstance(words, str) else list(words)
        return np.array([self.token_scores[self._token(word)] for word in many], np.float32)

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {token: i for i, token in reversed(list(enumerate(self.vocabulary)))}

    def _token(self, word: str) -> int:
        if word in self._ids:
            return self._ids[word]
        spaced = f" {word}" if isinstance(word, str) else ""
        hint = f"Write {spaced!r}." if spaced in self._ids else "Take a word that is one token."
        raise ValueError(
            f"A score belongs to a token of {self.model}'s vocabulary; {word!r} is none. {hint}"
        )

    def coupling(self, other: ObservableVector) -> float:
        """How much `other` is expected to move when this one moves by 1: v·w / v·v.

        Not symmetric. Raises `ValueError` for a vector of another model or site.
        Source: Dunefsky and Cohan 2023 (arXiv:2312.16291), section 3.
        """
        check_together([self, other])
        v, w = self.vector.astype(np.float64), other.vector.astype(np.float64)
        return float(v @ w / (v @ v))

    def to_frame(self) -> pd.DataFrame:
        """One line a token, the largest score first: token and score (logits)."""
        frame = pd.DataFrame({"token": self.vocabulary, "score": self.token_scores})
        return frame.sort_values("score", ascending=False, kind="stable", ignore_index=True)

    def _facts(self) -> str:
        most, least = self.words(min(3, len(self.vocabulary)))
        return (
            f"{self.observable} by {self.name} at {self.site}: {', '.join(map(repr, most))} "
            f"against {', '.join(map(repr, least))}"
        )


def check_together(vectors: Sequence[ObservableVector]) -> None:
    """Raises `ValueError` for none, for one of zeros, and for several models or sites."""
    if not vectors or not all(isinstance(each, ObservableVector) for each in vectors):
        raise ValueError(
            "Vectors are ObservableVectors, at least one, as propagate() gives them; got "
            f"{list(vectors)!r}."
        )
    first = vectors[0]
    for each in vectors:
        if (each.model, each.site) != (first.model, first.site):
            raise ValueError(
                "Vectors are compared in one residual stream of one model; got "
                f"{first.model} {first.site} and {each.model} {each.site}. Propagate them to paths "
                "that begin at the same layer."
            )
        if not np.any(each.vector):
            raise ValueError(
                f"A vector that is compared is not zero; that of {each.observable} by {each.name} "
                "is. Take another path."
            )
