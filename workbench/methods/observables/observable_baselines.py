"""Directions fitted on labelled examples, to be compared with an observable's vector."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize


def difference_in_means(streams: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(d_model,) the mean of the streams labelled 1 less that of those labelled -1."""
    return streams[labels > 0].mean(0) - streams[labels < 0].mean(0)


def logistic_probe(streams: np.ndarray, labels: np.ndarray, strength: float = 1.0) -> np.ndarray:
    """(d_model,) the weights of a logistic regression with an intercept.

    The least Σ log(1 + exp(−label · logit)) + |w|² / (2 · strength) over streams that are centred
    and, as a whole, scaled to a root mean square of 1.
    """
    centred = streams.astype(np.float64) - streams.mean(0, dtype=np.float64)
    scale = float(np.sqrt((centred**2).mean())) or 1.0
    x, y = centred / scale, labels.astype(np.float64)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        weights, bias = parameters[:-1], parameters[-1]
        margins = y * (x @ weights + bias)
        # d log(1 + e^-m) / dm, written so that large margins do not overflow.
        slopes = -y * np.exp(-np.logaddexp(0, margins))
        value = np.logaddexp(0, -margins).sum() + weights @ weights / (2 * strength)
        return float(value), np.append(x.T @ slopes + weights / strength, slopes.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B",
                     options={"maxiter": 1000, "gtol": 1e-8, "ftol": 1e-14})  # fmt: skip
    return found.x[:-1] / scale


#: Name → the direction (d_model,) of streams (example, d_model) and labels ±1.
BASELINES = {"difference in means": difference_in_means, "logistic probe": logistic_probe}


def split_groups(
    groups: np.ndarray, labels: np.ndarray | None, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Rows to fit on and rows to test on: half of the words of each label, none in both.

    Raises `ValueError` where a label has a single word.
    """
    test = np.zeros(len(groups), bool)
    kinds = np.ones(len(groups)) if labels is None else labels
    for kind in np.unique(kinds):
        words = rng.permutation(np.unique(groups[kinds == kind]))
        if len(words) < 2:
            raise ValueError(
                "Directions are tested on other words than they are fitted on, so that each label "
                "has two or more where its prompts differ; one has a single one. Give more "
                "examples."
            )
        test |= np.isin(groups, words[: -(-len(words) // 2)]) & (kinds == kind)
    return np.flatnonzero(~test), np.flatnonzero(test)


def few_rows(
    labels: np.ndarray, groups: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """n rows, half of each label, and of different words as far as there are such."""
    chosen: list[int] = []
    for label, count in ((1, -(-n // 2)), (-1, n // 2)):
        mine = rng.permutation(np.flatnonzero(labels == label))
        first = [i for k, i in enumerate(mine) if groups[i] not in groups[mine[:k]]]
        rest = [i for i in mine if i not in first]
        if len(mine) < count:
            raise ValueError(
                f"Directions are fitted on n_examples={n} prompts, half of each label; there are "
                f"{len(mine)} of one. Ask for fewer, or give more examples."
            )
        chosen += [*first, *rest][:count]
    return np.array(chosen)
