"""Feature activations: which features of a dictionary are active at each token of a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..check import Count, checked
from ..dictionary.base import Dictionary, feature_numbers
from ..model import Model, Prompts
from ..places import Places
from ..result import Result, axes, provenance
from ..site import Site
from .check import check_fits
from .label import Labels

#: So many features stand in one view at most, where none are chosen.
MOST_SHOWN = 32
#: Codes (position × feature) that are held at a time.
CODES_AT_ONCE = 2**24


@dataclass(frozen=True, eq=False, repr=False)
class FeatureActivations(Result):
    """The most active features at each token, and some features at all tokens.

    site: the one the dictionary decodes; its features are `site`/number. top, top_values:
    (batch, pos, k) the features with the largest codes above 0 in falling order, and their codes;
    -1 and 0 where there are fewer, and on padding. features: those of `values` (batch, pos,
    feature), the codes at every token, NaN on padding: the features asked for, or those with the
    largest codes in the prompts, largest first. labels: of each of them, with its score, "" for
    none. explained: (batch, pos) 1 − ‖x − x̂‖² / ‖x − decode(0)‖², NaN on padding: how much closer
    the codes bring the decoder to the activation x than no codes at all.
    """

    site: str
    dictionary: str
    n_features: int
    labels: tuple[str, ...]
    features: np.ndarray = axes("feature", np.int64)
    values: np.ndarray = axes("batch pos feature")
    top: np.ndarray = axes("batch pos k", np.int64)
    top_values: np.ndarray = axes("batch pos k")
    explained: np.ndarray = axes("batch pos")

    picture = "feature_pages.feature_activations"
    view = "features.feature_activations"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of `features`."""
        return tuple(f"{self.site}/{number}" for number in self.features)

    def to_frame(self) -> pd.DataFrame:
        """One line a prompt, position and active feature of `top`.

        Columns: prompt, position, token, feature, value, explained (of the position).
        """
        batch, position, k = np.nonzero(self.top >= 0)
        return pd.DataFrame(
            {
                "prompt": batch,
                "position": position,
                "token": [self.tokens[b][p] for b, p in zip(batch, position, strict=True)],
                "feature": [f"{self.site}/{i}" for i in self.top[batch, position, k]],
                "value": self.top_values[batch, position, k],
                "explained": self.explained[batch, position],
            }
        )

    def _facts(self) -> str:
        n = sum(map(len, self.tokens))
        mean = float(np.nanmean(self.explained))
        return f"{self.site}, {n} tokens, explained variance {mean:.3f}"


@checked
def activations(
    model: Model,
    prompts: Prompts,
    dictionary: Dictionary,
    *,
    k: Count = 10,
    features: Sequence[int | str | Site] | None = None,
    labels: Labels | None = None,
) -> FeatureActivations:
    """The features that are active at each token of one or several prompts.

    k: how many features a token. features: numbers or names, whose codes are given at every token;
    by default the 32 with the largest codes in the prompts. labels: by default those that were
    saved with the dictionary.

    Raises `ValueError` for a dictionary that does not fit the model, k below 1, and a feature that
    does not exist.
    """
    check_fits(model, dictionary)
    chosen = None if features is None else feature_numbers(dictionary, list(features))
    tokens = model.tokens(prompts)
    labels = Labels.of(dictionary) if labels is None else labels
    with torch.inference_mode():
        reads = {dictionary.site, dictionary.out_site}
        run = model.run(tokens, read=sorted(reads), logits_at=())
        mask = tokens.mask
        x, target = run[dictionary.site][mask], run[dictionary.out_site][mask]
        largest = _largest(dictionary, x)
        if chosen is None:
            order = largest.argsort(descending=True, stable=True)[:MOST_SHOWN]
            chosen = tuple(order[largest[order] > 0].tolist())
        values, top, top_values, explained = _codes(dictionary, x, target, k, list(chosen))
    places = Places.of(tokens, None)

    def spread(found: torch.Tensor) -> np.ndarray:
        return places.spread(found.cpu().numpy())

    return FeatureActivations(
        **provenance(model, tokens),
        site=str(dictionary.out_site),
        dictionary=dictionary.name or repr(dictionary),
        n_features=dictionary.n_features,
        labels=tuple(str(labels[i]) if labels[i].text else "" for i in chosen),
        features=np.array(chosen, np.int64),
        values=spread(values),
        top=spread(top),
        top_values=np.nan_to_num(spread(top_values)),
        explained=spread(explained),
    )


def _batches(dictionary: Dictionary, n: int) -> list[slice]:
    size = max(1, CODES_AT_ONCE // dictionary.n_features)
    return [slice(start, start + size) for start in range(0, n, size)]


def _largest(dictionary: Dictionary, x: torch.Tensor) -> torch.Tensor:
    """(feature,) the largest code of each over the positions."""
    parts = [dictionary.encode(x[part]).amax(0) for part in _batches(dictionary, len(x))]
    return torch.stack(parts).amax(0)


def _codes(
    dictionary: Dictionary, x: torch.Tensor, target: torch.Tensor, k: int, features: list[int]
) -> tuple[torch.Tensor, ...]:
    """Of each position: codes of `features`, the top features and codes, explained variance."""
    out = []
    for part in _batches(dictionary, len(x)):
        codes = dictionary.encode(x[part])
        values, top = codes.sort(dim=-1, descending=True, stable=True)
        values, top = values[:, :k], top[:, :k]
        there = values > 0
        goal = target[part].to(dictionary.W_dec)
        rest = (goal - dictionary.decode(codes, x[part])).float().pow(2).sum(-1)
        whole = (goal - dictionary.decode(torch.zeros_like(codes), x[part])).float().pow(2).sum(-1)
        out.append(
            (
                codes[:, features].float(),
                top.where(there, -1),
                values.where(there, 0).float(),
                1 - rest / whole,
            )
        )
    return tuple(torch.cat(column) for column in zip(*out, strict=True))
