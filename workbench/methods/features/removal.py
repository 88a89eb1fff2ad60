"""Removal: what the model loses where a feature fires, beside features of equal activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...dictionary.base import Dictionary, ScaleFeatures
from ...model import Model, Resume
from ...site import Site
from .direct_logits import extremes
from .feature_index import FeatureIndex
from .index_entries import Place, spread
from .token_rows import tokens_of

#: So many control features are drawn, from so many that are closest in activity.
CONTROLS, CLOSEST = 4, 16


@dataclass(frozen=True, eq=False)
class Removal:
    """What removing a feature does at places where it fires, and the same of control features.

    kl, loss: (place,) KL(plain ‖ without) and rise of the next token's loss, in nats; a loss is NaN
    where the text ends. lowered, raised: ids and mean changes of probability without it.
    """

    controls: tuple[int, ...]
    kl: np.ndarray
    loss: np.ndarray
    control_kl: np.ndarray
    control_loss: np.ndarray
    lowered: list[tuple[int, float]]
    raised: list[tuple[int, float]]


def remove(
    model: Model,
    dictionary: Dictionary,
    index: FeatureIndex,
    feature: int,
    n_places: int,
    k: int,
    seed: int,
) -> Removal:
    """What removing the feature, and each control, does at places drawn where it fires.

    The feature's code is set to 0 at every position up to the place, and the prediction there is
    compared. The controls have `n_places` places together.
    """
    own = spread(index.sampled(feature), n_places)
    if not own:
        none = np.zeros(0)
        return Removal((), none, none, none, none, [], [])
    controls = equal_activity(dictionary, index, feature, seed)
    share = -(-n_places // max(1, len(controls)))
    jobs = [(feature, place) for place in own]
    jobs += [(c, place) for c in controls for place in spread(index.sampled(c), share)]
    plain, without = _predictions(model, dictionary, index, jobs)
    kl = (plain.exp() * (plain - without)).sum(-1).cpu().numpy()
    loss = _next_loss(index, jobs, plain, without)
    n = len(own)
    change = (without[:n].exp() - plain[:n].exp()).mean(0)
    return Removal(
        controls,
        kl[:n],
        loss[:n],
        kl[n:],
        loss[n:],
        extremes(-change, k, -1.0),
        extremes(change, k),
    )


def equal_activity(
    dictionary: Dictionary, index: FeatureIndex, feature: int, seed: int
) -> tuple[int, ...]:
    """Features drawn from those that fire about as often and write about as much as the feature.

    Closeness is of the logarithms of frequency and of mean code × length of the decoder row.
    """
    alive = np.flatnonzero(index.count)
    alive = alive[alive != feature]
    lengths = dictionary.W_dec.float().norm(dim=-1).cpu().numpy()
    size = np.log(np.maximum(index.mean * lengths, 1e-30))
    often = np.log(np.maximum(index.count, 1))
    away = np.hypot(size[alive] - size[feature], often[alive] - often[feature])
    closest = alive[np.argsort(away, kind="stable")[:CLOSEST]]
    generator = np.random.default_rng([seed, feature])
    drawn = generator.permutation(closest)[:CONTROLS]
    return tuple(int(i) for i in sorted(drawn))


def _predictions(
    model: Model, dictionary: Dictionary, index: FeatureIndex, jobs: list[tuple[int, Place]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """(place, d_vocab) log-probabilities at each place, plain and without its feature."""
    # What stands behind a place does not change the prediction there.
    rows = [index.text(place.text)[: place.position + 1] for _, place in jobs]
    tokens = tokens_of(model, rows, index.strings)
    edits = [
        ScaleFeatures(
            dictionary, [feature], rows=[r for r, job in enumerate(jobs) if job[0] == feature]
        )
        for feature in sorted({feature for feature, _ in jobs})
    ]
    layer = dictionary.site.layer
    with torch.inference_mode():
        if layer is None:
            runs = [model.run(tokens, edits=changes, logits_at="last") for changes in ((), edits)]
        else:
            # Below the feature's layer both are the same.
            enters = Site("resid_pre", layer)
            plain = model.run(tokens, read=[enters], logits_at="last")
            again = Resume(layer, plain[enters])
            runs = [plain, model.run(tokens, edits=edits, logits_at="last", resume=again)]
        logits = [run.logits for run in runs if run.logits is not None]
        plain_, without = (each[:, 0].float().log_softmax(-1) for each in logits)
    return plain_, without


def _next_loss(
    index: FeatureIndex, jobs: list[tuple[int, Place]], plain: torch.Tensor, without: torch.Tensor
) -> np.ndarray:
    """(place,) how much the loss of the token that follows rises; NaN where none follows."""
    out = np.full(len(jobs), np.nan)
    for row, (_, place) in enumerate(jobs):
        text = index.text(place.text)
        if place.position + 1 < len(text):
            follows = text[place.position + 1]
            out[row] = float(plain[row, follows] - without[row, follows])
    return out
