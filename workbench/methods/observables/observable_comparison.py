"""Directions of one stream side by side: the observable's vectors, fitted ones and random ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ...model import Model, Norm
from ...targets import token_ids
from .observable_baselines import BASELINES, few_rows
from .observable_path import Step
from .observable_trials import Trials, damage
from .observable_vector import ObservableVector
from .observable_words import Embedding, token_streams

#: The name of the control, which every comparison has.
RANDOM = "random"


def fitted(
    pool: Trials, n_examples: int, n_draws: int, rng: np.random.Generator
) -> dict[str, list[np.ndarray]]:
    """Each baseline's direction for every draw of a few of the pool's rows."""
    streams, labels = pool.normed(), pool.examples.labels
    assert labels is not None
    draws = [few_rows(labels, pool.examples.groups, n_examples, rng) for _ in range(n_draws)]
    return {
        name: [fit(streams[rows], labels[rows]) for rows in draws]
        for name, fit in BASELINES.items()
    }


def tried(
    trials: Trials,
    first: ObservableVector,
    path: Sequence[Step],
    directions: Mapping[str, list[np.ndarray]],
    n_vectors: int,
    length: float,
    progress: bool,
) -> dict[str, np.ndarray]:
    """What the ablation of each direction and a push along it do, and were foretold to."""
    n_draws = len(directions[RANDOM])
    shape = (len(directions), n_draws, len(trials.examples))
    names = ("ablated", "pushed", "predicted_ablated", "predicted_pushed")
    out = {name: np.zeros(shape) for name in names}
    gradients = trials.predicted(first.vector.astype(np.float64), path)
    total = n_vectors + (len(directions) - n_vectors) * n_draws
    with tqdm(total=total, desc="directions", disable=not progress) as bar:
        for d, draws in enumerate(directions.values()):
            # A vector is the same in every draw: one trial serves them all.
            for i, direction in enumerate(draws[:1] if d < n_vectors else draws):
                unit = direction / np.linalg.norm(direction)
                at = slice(None) if d < n_vectors else i
                results = (trials.ablate(unit), trials.push(unit, length))
                for name, (values, changes) in zip(names[:2], results, strict=True):
                    out[name][d, at] = values
                    pairs = zip(changes, gradients, strict=True)
                    said = [float((change * gradient).sum()) for change, gradient in pairs]
                    out[f"predicted_{name}"][d, at] = said
                bar.update()
    return out


def harm(
    trials: Trials,
    directions: Mapping[str, list[np.ndarray]],
    n_vectors: int,
    texts: Any,
    batch_size: int,
    progress: bool,
) -> np.ndarray:
    """(direction, draw, text)"""
    edits = [
        trials.everywhere(direction / np.linalg.norm(direction))
        for d, draws in enumerate(directions.values())
        for direction in (draws[:1] if d < n_vectors else draws)
    ]
    each = iter(damage(trials.obs.model, texts, edits, batch_size, progress))
    n_draws = len(directions[RANDOM])
    out = []
    for d in range(len(directions)):
        rows = [next(each) for _ in range(1 if d < n_vectors else n_draws)]
        out.append(np.stack(rows * n_draws if d < n_vectors else rows))
    return np.stack(out)


def word_scores(
    model: Model,
    embedding: Embedding,
    norm: Norm | None,
    directions: Mapping[str, list[np.ndarray]],
    truth: Mapping[str, float],
) -> np.ndarray:
    """(direction, draw, word) what each direction gives for the words' own streams."""
    ids = token_ids(model.tokenizer, list(truth), of="A word with a known number")
    if len(ids) < 2:
        raise ValueError(
            f"Known numbers are ordered, so there are two or more; got {dict(truth)!r}."
        )
    streams = np.concatenate(
        [x.double().cpu().numpy() for x in token_streams(model, embedding, norm, ids)]
    )
    return np.stack([np.stack(draws) @ streams.T for draws in directions.values()])
