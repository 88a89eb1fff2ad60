"""Feature search: features by a token they fire on, by a concept's words, or by their label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import numpy as np
import pandas as pd

from ..check import Count, Later, checked
from ..concepts import Concepts
from .index import FeatureIndex
from .label import Label, Labels, automatic
from .label import label as label_of

#: A view of more concepts than this can no longer be read.
MOST_CONCEPTS = 32


@checked
def find(
    index: FeatureIndex,
    *,
    token: str | None = None,
    concept: Annotated[
        Concepts | Mapping[str, Sequence[str]] | Sequence[str] | None, Later()
    ] = None,
    text: str | None = None,
    labels: Labels | None = None,
    n: Count = 20,
) -> pd.DataFrame:
    """The features that fit best, at most `n`, with their labels and the labels' scores.

    token: a token string; features that fire on it, by the share of their activity that falls on
    it. concept: words, or up to 32 concepts by name (`Concepts`, or a mapping); features whose
    firing tells these words from others: chosen by F1 on the texts for fitting, and given with
    precision and recall on the held-out ones, `n` for each concept. text: a part of a label, in
    small or capital letters, "" for every label; by the label's F1. labels: by default those made
    from the index.

    Columns: feature; share and rate (the share of the token's occurrences at which it fires), or
    concept, f1, precision and recall; then label, label_f1 and frequency.

    Raises `ValueError` unless exactly one of token, concept and text is given, for more than 32
    concepts, and for a token or words that the texts do not have.
    """
    if (token is not None) + (concept is not None) + (text is not None) != 1:
        raise ValueError(
            "Features are found by one of token=, concept= and text=; got "
            f"token={token!r}, concept={concept!r:.60}, text={text!r}."
        )
    if token is not None:
        return _framed(index, labels, _by_token(index, token, n))
    if concept is not None:
        return _framed(index, labels, _by_concepts(index, _named(concept), n))
    assert text is not None
    labels = label_of(index) if labels is None else labels
    sought = text.strip().casefold()
    found = [
        i
        for i in labels
        if sought in labels[i].text.casefold()
        or any(sought in each.casefold() for each in labels[i].tokens)
    ]
    order = sorted(found, key=lambda i: -(labels[i].f1 or 0.0))
    return _framed(index, labels, {"feature": np.array(order[:n], np.int64)})


def _by_token(index: FeatureIndex, token: str, n: int) -> dict[str, np.ndarray]:
    # A word that no text begins with is asked for without its space all the time.
    ids = index.ids_of(token) or index.ids_of(f" {token}")
    if not ids:
        raise ValueError(
            f"The index's texts do not have the token {token!r}. Token strings keep their leading "
            "space, as in ' dog'."
        )
    pairs = index.token_pairs()
    own = np.isin(pairs.token, ids)
    feature = pairs.feature[own]
    share = pairs.total[own] / index.total[feature]
    rate = (pairs.fitted + pairs.held_out)[own] / index.token_counts[:, ids].sum()
    order = np.argsort(-share, kind="stable")[:n]
    return {"feature": feature[order], "share": share[order], "rate": rate[order]}


def _named(
    concept: Concepts | Mapping[str, Sequence[str]] | Sequence[str],
) -> dict[str, Sequence[str]]:
    named: dict[str, Sequence[str]]
    if isinstance(concept, Concepts):
        named = {name: concept.words(name) for name in concept.names}
    elif isinstance(concept, Mapping):
        named = dict(concept)
    elif isinstance(concept, str):
        raise ValueError(f"A concept is a list of words; got {concept!r}. Write [{concept!r}].")
    else:
        named = {", ".join(concept[:3]) + (", …" if len(concept) > 3 else ""): list(concept)}
    if not 1 <= len(named) <= MOST_CONCEPTS:
        raise ValueError(
            f"One view shows 1 to {MOST_CONCEPTS} concepts; got {len(named)}. Ask for some of "
            "them, for example concepts.only(family)."
        )
    return named


def _by_concepts(
    index: FeatureIndex, named: Mapping[str, Sequence[str]], n: int
) -> dict[str, np.ndarray]:
    parts = [_by_words(index, name, words, n) for name, words in named.items()]
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def _by_words(
    index: FeatureIndex, name: str, words: Sequence[str], n: int
) -> dict[str, np.ndarray]:
    sought = {word.strip() for word in words}
    ids = [i for i, string in index.strings.items() if string.strip() in sought]
    if not ids:
        raise ValueError(
            f"None of the words of {name!r} stands in the index's texts: {', '.join(words)!r:.80}."
        )
    pairs = index.token_pairs()
    own = np.isin(pairs.token, ids)
    scores = []
    for part, hits in enumerate((pairs.fitted, pairs.held_out)):
        right = np.bincount(pairs.feature[own], hits[own], index.n_features)
        fires = index.count_held_out if part else index.count - index.count_held_out
        there = index.token_counts[part, ids].sum()
        scores.append((right, fires, there))
    (right, fires, there), (right_out, fires_out, there_out) = scores
    f1 = 2 * right / np.maximum(fires + there, 1)
    order = np.argsort(-f1, kind="stable")[:n]
    order = order[f1[order] > 0]
    right, fires = right_out[order], fires_out[order]
    return {
        "feature": order,
        "concept": np.array([name] * len(order), object),
        "f1": 2 * right / np.maximum(fires + there_out, 1),
        "precision": right / np.maximum(fires, 1),
        "recall": right / max(int(there_out), 1),
    }


def _framed(
    index: FeatureIndex, labels: Labels | None, columns: dict[str, np.ndarray]
) -> pd.DataFrame:
    numbers = [int(i) for i in columns["feature"]]
    shown: list[Label] = []
    for i in numbers:
        label = Label() if labels is None else labels[i]
        shown.append(label if label.text or not index.count[i] else automatic(index, i))
    return pd.DataFrame(
        {
            **columns,
            "feature": [index.name(i) for i in numbers],
            "label": [label.text for label in shown],
            "label_f1": np.array([label.f1 for label in shown], float),
            "frequency": index.frequency[numbers],
        }
    )
