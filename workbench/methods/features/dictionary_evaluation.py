"""Dictionary evaluation: what a dictionary keeps of the activations and of the model's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ...activations import batches, check_texts
from ...check import Count, Level, Seed, checked
from ...dictionary.base import Dictionary
from ...model import Model
from ...resample import bootstrap
from ...result import Result, axes, provenance
from .named import named_dictionaries
from .splices import SpliceSums, mean_activations

#: A feature that is active at a larger share of the positions counts as dense.
DENSE = 0.1
#: An ablation that costs the model fewer nats a token than this leaves nothing to recover.
SMALLEST_COST = 1e-3
BASELINES = ("zero", "mean")


@dataclass(frozen=True, eq=False, repr=False)
class DictionaryEvaluation(Result):
    """What dictionaries keep of the activations and of the model's loss, one line a dictionary.

    names: the dictionaries, then "all" where several sites were also spliced in one pass. sites,
    kinds, n_features: of each; "", "" and 0 for "all". n_tokens, n_predicted: of each text, its
    positions and those with a next token. Sums over the positions of each text: squared_error, of
    the reconstruction; variance, squared distance from the mean of all texts; active, how many
    codes are above 0 (not 0 where codes are signed); kl, KL(plain ‖ spliced) in nats. Sums over the
    predicted positions, in nats: plain, the model's own next-token loss; spliced, with the
    reconstruction in place of the activation; zero and mean, with 0 and with the mean activation of
    the texts. frequency: the share of positions at which each feature is active, NaN beyond the
    features that a dictionary has. NaN in the line "all" where one activation is asked for.

    Scores are ratios of sums over all texts; their intervals are bootstraps over texts.
    """

    names: tuple[str, ...]
    sites: tuple[str, ...]
    kinds: tuple[str, ...]
    n_features: tuple[int, ...]
    n_tokens: np.ndarray = axes("text", np.int64)
    n_predicted: np.ndarray = axes("text", np.int64)
    squared_error: np.ndarray = axes("dictionary text", np.float64)
    variance: np.ndarray = axes("dictionary text", np.float64)
    active: np.ndarray = axes("dictionary text", np.float64)
    kl: np.ndarray = axes("dictionary text", np.float64)
    plain: np.ndarray = axes("text", np.float64)
    spliced: np.ndarray = axes("dictionary text", np.float64)
    zero: np.ndarray = axes("dictionary text", np.float64)
    mean: np.ndarray = axes("dictionary text", np.float64)
    frequency: np.ndarray = axes("dictionary feature")

    picture = "feature_evaluations.dictionary_evaluation"

    def explained_variance(
        self, name: str | None = None, level: Level = 0.95
    ) -> tuple[float, float, float]:
        """1 − squared error / squared distance from the mean, and its interval: value, low, high.

        1 is perfect, 0 no better than the mean. name: of a dictionary, by default the first. NaN
        for "all" and where the activation never varies.
        """
        at = self._at(name)
        error, variance = self.squared_error[at], self.variance[at]
        return self._interval(lambda x: 1 - _ratio(x(error), x(variance)), level)

    def loss_recovered(
        self, name: str | None = None, baseline: str = "zero", level: Level = 0.95
    ) -> tuple[float, float, float]:
        """(loss ablated − loss spliced) / (loss ablated − loss plain), and its interval.

        1: the model predicts as well as by itself; 0: no better than with the activation ablated.
        baseline: what ablated means, "zero" or "mean" (the stricter). NaN where the ablation costs
        less than 0.001 nats a token, so that there is nothing to recover. Raises `ValueError` for
        another baseline or name.
        """
        at = self._at(name)
        if baseline not in BASELINES:
            raise ValueError(f"The baseline is zero or mean; got {baseline!r}.")
        ablated, spliced = getattr(self, baseline)[at], self.spliced[at]
        if (ablated - self.plain).sum() < SMALLEST_COST * self.n_predicted.sum():
            return float("nan"), float("nan"), float("nan")
        return self._interval(
            lambda x: _ratio(x(ablated) - x(spliced), x(ablated) - x(self.plain)), level
        )

    def l0(self, name: str | None = None) -> float:
        """Mean number of active codes a position."""
        return float(self.active[self._at(name)].sum() / self.n_tokens.sum())

    def dead(self, name: str | None = None) -> np.ndarray:
        """The features that are active at no position of the texts (see n_tokens for how many)."""
        return np.flatnonzero(self._frequency(name) == 0)

    def dense(self, name: str | None = None, above: float = DENSE) -> np.ndarray:
        """The features that are active at a larger share of the positions than `above`."""
        return np.flatnonzero(self._frequency(name) > above)

    def _frequency(self, name: str | None) -> np.ndarray:
        at = self._at(name)
        return self.frequency[at, : self.n_features[at]]

    def _at(self, name: str | None) -> int:
        if name is None:
            return 0
        if str(name) not in self.names:
            raise ValueError(
                f"This evaluation has the dictionaries {', '.join(self.names)}; got {str(name)!r}."
            )
        return self.names.index(str(name))

    def _interval(self, statistic: Any, level: float) -> tuple[float, float, float]:
        value = float(statistic(lambda sums: sums.sum(-1)))
        if not np.isfinite(value):
            return value, value, value
        low, high = bootstrap(
            lambda chosen: statistic(lambda sums: sums[chosen].sum(-1)),
            len(self.n_tokens),
            level,
            self.seed or 0,
            n_resamples=1000,
        )
        return value, low, high

    def to_frame(self) -> pd.DataFrame:
        """One line a dictionary: site, kind, n_features, explained_variance, loss_recovered (zero),
        loss_recovered_mean, l0, kl, loss, loss_spliced, loss_zero and loss_mean (nats a token),
        dead and dense (how many features), n_tokens. In _low and _high: 95 % intervals.
        """
        lines = []
        for at, name in enumerate(self.names):
            line: dict[str, Any] = {"site": self.sites[at], "kind": self.kinds[at]}
            line["n_features"] = self.n_features[at]
            for key, score in (
                ("explained_variance", self.explained_variance(name)),
                ("loss_recovered", self.loss_recovered(name)),
                ("loss_recovered_mean", self.loss_recovered(name, "mean")),
            ):
                line[key], line[f"{key}_low"], line[f"{key}_high"] = score
            n = self.n_predicted.sum()
            line |= {"l0": self.l0(name), "kl": float(self.kl[at].sum() / self.n_tokens.sum())}
            line["loss"] = float(self.plain.sum() / n)
            for key in ("spliced", *BASELINES):
                line[f"loss_{key}"] = float(getattr(self, key)[at].sum() / n)
            line |= {"dead": len(self.dead(name)), "dense": len(self.dense(name))}
            lines.append(line | {"n_tokens": int(self.n_tokens.sum())})
        return pd.DataFrame(lines, index=pd.Index(self.names, name="dictionary"))

    def _facts(self) -> str:
        n = f"on {len(self.n_tokens)} texts, {self.n_tokens.sum()} tokens"
        if len(self.names) > 1:
            return f"{sum(1 for site in self.sites if site)} dictionaries {n}"
        return (
            f"{self.sites[0]}, {self.kinds[0]}, {self.n_features[0]} features: explained variance "
            f"{self.explained_variance()[0]:.3f}, L0 {self.l0():.1f}, loss recovered "
            f"{self.loss_recovered()[0]:.3f} (zero), {len(self.dead())} dead {n}"
        )


@checked
def evaluate_dictionary(
    model: Model,
    dictionaries: Dictionary | Sequence[Dictionary] | Mapping[Any, Dictionary],
    texts: Any,
    *,
    batch_size: Count = 16,
    seed: Seed = 0,
    progress: bool = True,
) -> DictionaryEvaluation:
    """How well dictionaries stand for the activations they were made of, over texts.

    dictionaries: one, a list, a `Dictionaries`, or named ones in a mapping. Each is spliced alone;
    those of different sites also all in one pass, in a last line "all". texts: a list of texts, of
    lists of token ids, or `Tokens`; others than those it was trained on. The texts are read twice,
    first for the mean activations, and never held. seed: of the intervals.

    Raises `ValueError` for no texts, no dictionary, a site that the model does not have or cannot
    edit, another width, texts without any next token, and numbers that are not finite.

    Source: Karvonen et al., "SAEBench" (2025, arXiv:2503.09532), core measures; loss recovered as
    in Rajamanoharan et al. (2024, arXiv:2404.16014), section 4.1, against zero and mean ablation.
    """
    named = named_dictionaries(model, dictionaries, edit=True)
    check_texts(texts)
    with torch.no_grad():
        means = mean_activations(model, list(named.values()), texts, batch_size, progress)
        runs = SpliceSums(model, named, means)
        for _, tokens in batches(
            model, texts, batch_size, title="evaluate dictionaries", progress=progress
        ):
            runs.add(tokens)
    return DictionaryEvaluation(**provenance(model, seed=seed), **runs.fields())


def _ratio(above: Any, below: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)
