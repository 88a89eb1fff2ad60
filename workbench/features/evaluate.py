"""Dictionary evaluation: what a dictionary keeps of the activations and of the model's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..activations import Moments, batches, check_texts, row_sums, stream
from ..check import Level, Seed, checked
from ..dictionary.base import Dictionary, Splice
from ..edits import Edit, Set, unchanged_is_fine
from ..metrics import text_kl, text_loss
from ..model import Model, Resume, Run
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site
from ..tokens import Tokens
from .check import check_fits

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
def evaluate(
    model: Model,
    texts: Any,
    dicts: Dictionary | Sequence[Dictionary] | Mapping[Any, Dictionary],
    *,
    seed: Seed = 0,
    progress: bool = True,
) -> DictionaryEvaluation:
    """How well dictionaries stand for the activations they were made of, over texts.

    dicts: one, a list, a `Dictionaries`, or named ones in a mapping. Each is spliced alone;
    those of different sites also all in one pass, in a last line "all". texts: a list of texts, of
    lists of token ids, or `Tokens`; others than those it was trained on. The texts are read twice,
    first for the mean activations, and never held. seed: of the intervals.

    Raises `ValueError` for no texts, no dictionary, a site that the model does not have or cannot
    edit, another width, texts without any next token, and numbers that are not finite.

    Source: Karvonen et al., "SAEBench" (2025, arXiv:2503.09532), core measures; loss recovered as
    in Rajamanoharan et al. (2024, arXiv:2404.16014), section 4.1, against zero and mean ablation.
    """
    named = named_dictionaries(model, dicts, edit=True)
    check_texts(texts)
    with torch.no_grad():
        means = mean_activations(model, list(named.values()), texts, progress)
        runs = SpliceSums(model, named, means)
        for _, tokens in batches(
            model, texts, TEXTS_AT_ONCE, title="evaluate dictionaries", progress=progress
        ):
            runs.add(tokens)
    return DictionaryEvaluation(**provenance(model, seed=seed), **runs.fields())


def _ratio(above: Any, below: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(below) > 0, np.divide(above, below), np.nan)


def named_dictionaries(model: Model, given: Any, *, edit: bool = False) -> dict[str, Dictionary]:
    """Dictionaries by name: their site where no other is given, numbered where two share it.

    Raises `TypeError` for what is no dictionary, `ValueError` for none, for a site that the model
    does not have (with `edit`: cannot change), and for another width.
    """
    pairs: list[tuple[str, Any]]
    if isinstance(given, Mapping):
        pairs = [(str(name), dictionary) for name, dictionary in given.items()]
    else:
        several = list(given) if isinstance(given, Sequence) else [given]
        names = [str(getattr(dictionary, "out_site", "")) for dictionary in several]
        pairs = [
            (name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}", dictionary)
            for i, (name, dictionary) in enumerate(zip(names, several, strict=True))
        ]
    if not pairs:
        raise ValueError("There is at least one dictionary to evaluate; got none.")
    for _, dictionary in pairs:
        if not isinstance(dictionary, Dictionary):
            raise TypeError(
                "What is evaluated is a Dictionary, a list of them, or a mapping from names to "
                f"them; got {given!r:.120}."
            )
        check_fits(model, dictionary)
        model.spec.check(dictionary.out_site, edit=edit)
    return dict(pairs)


#: The row of all dictionaries spliced in one pass.
TOGETHER = "all"
#: Texts in a pass.
TEXTS_AT_ONCE = 16
#: Up to so many codes (position × feature) are held at a time.
CODES_AT_ONCE = 2**24


def mean_activations(
    model: Model, dictionaries: Sequence[Dictionary], texts: Any, progress: bool
) -> dict[Any, torch.Tensor]:
    """The mean activation at each site that is decoded, float64."""
    moments = {site: Moments() for site in sorted({d.out_site for d in dictionaries})}
    how: dict[str, Any] = {"title": "mean activations", "progress": progress}
    for part in stream(model, texts, list(moments), batch_size=TEXTS_AT_ONCE, **how):
        for site, own in moments.items():
            own.add(torch.tensor(part[site]))
    return {site: own.mean.to(model.spec.device) for site, own in moments.items()}


class SpliceSums:
    """The sums of each text, put together batch by batch."""

    def __init__(self, model: Model, named: dict[str, Dictionary], means: dict[Any, Any]) -> None:
        self.model, self.named, self.means = model, named, means
        sites = [d.out_site for d in named.values()]
        self.together = len(named) > 1 and len(set(sites)) == len(sites)
        self.sums: dict[str, list[np.ndarray]] = {}
        self.per_text: dict[str, list[np.ndarray]] = {"n_tokens": [], "n_predicted": []}
        self.counts = {name: np.zeros(d.n_features) for name, d in named.items()}
        self.ablated: dict[tuple[Site, ...], dict[str, np.ndarray]] = {}

    def add(self, tokens: Tokens) -> None:
        own = list(self.named.values())
        read = {s for d in own for s in (d.site, d.out_site)}
        read |= {Site("resid_pre", layer) for d in own if (layer := _resume_layer([d]))}
        run = self.model.run(tokens, read=sorted(read))
        plain = run.logits
        assert plain is not None
        lengths = np.array(tokens.lengths)
        self.ablated.clear()
        line: dict[str, list[np.ndarray]] = {}
        for name, dictionary in self.named.items():
            here = self._codes(name, dictionary, run, tokens)
            here |= self._losses([dictionary], run)
            for key, sums in here.items():
                line.setdefault(key, []).append(sums)
        if self.together:
            here = self._losses(own, run)
            for key in line:
                line[key].append(here.get(key, np.full(len(lengths), np.nan)))
        for key, sums in line.items():
            self.sums.setdefault(key, []).append(np.array(sums))
        each = {"n_tokens": lengths, "n_predicted": lengths - 1}
        each["plain"] = _next_token_loss(plain, tokens)
        if not np.isfinite(each["plain"]).all():
            raise ValueError(
                f"The loss of {self.model.spec.name} on the texts is not a finite number, so that "
                "there is nothing to compare with. Look at the model's logits on them."
            )
        for key, values in each.items():
            self.per_text.setdefault(key, []).append(values)

    def _codes(
        self, name: str, dictionary: Dictionary, run: Run, tokens: Tokens
    ) -> dict[str, np.ndarray]:
        """The reconstruction's sums of each row, a few rows at a time."""
        parts = max(1, CODES_AT_ONCE // (dictionary.n_features * tokens.n_columns))
        x, y = run[dictionary.site], run[dictionary.out_site]
        mean = self.means[dictionary.out_site]
        out: dict[str, list[Any]] = {"squared_error": [], "variance": [], "active": []}
        for start in range(0, tokens.n_rows, parts):
            rows = range(start, min(start + parts, tokens.n_rows))
            own, at = tokens.take(rows), slice(start, start + parts)
            codes = dictionary.encode(x[at])
            error = y[at].double() - dictionary.decode(codes, x[at]).to(y.device).double()
            on = (codes != 0) if dictionary.encoder.signed else (codes > 0)
            on = on & own.mask.to(on.device)[..., None]
            self.counts[name] = self.counts[name] + on.sum((0, 1)).cpu().numpy()
            out["squared_error"].append(row_sums(error.pow(2).sum(-1), own))
            out["variance"].append(row_sums((y[at].double() - mean).pow(2).sum(-1), own))
            out["active"].append(row_sums(on.sum(-1), own))
        return {key: np.concatenate([p.cpu().numpy() for p in parts]) for key, parts in out.items()}

    def _losses(self, dictionaries: Sequence[Dictionary], run: Run) -> dict[str, np.ndarray]:
        """Loss and KL of each row with the activations replaced."""
        layer = _resume_layer(dictionaries)
        resume = Resume(layer, run[Site("resid_pre", layer)]) if layer else None
        sites = tuple(d.out_site for d in dictionaries)

        def logits(edits: Sequence[Edit]) -> torch.Tensor:
            # A dictionary may be perfect, and an activation may be its mean.
            with unchanged_is_fine():
                out = self.model.run(run.tokens, edits=edits, resume=resume).logits
            assert out is not None
            return out

        assert run.logits is not None
        spliced = logits([Splice(d) for d in dictionaries])
        out = {"spliced": _next_token_loss(spliced, run.tokens)}
        out["kl"] = _kl(spliced, run.logits, run.tokens)
        # Several dictionaries of one site share what its ablation costs.
        if sites not in self.ablated:
            self.ablated[sites] = {
                "zero": _next_token_loss(logits([Set(s, 0.0) for s in sites]), run.tokens),
                "mean": _next_token_loss(
                    logits([Set(s, self.means[s]) for s in sites]), run.tokens
                ),
            }
        return out | self.ablated[sites]

    def fields(self) -> dict[str, Any]:
        """The fields of the result that are its own."""
        own = list(self.named.values())
        n_tokens = np.concatenate(self.per_text["n_tokens"])
        if np.concatenate(self.per_text["n_predicted"]).sum() == 0:
            raise ValueError(
                "A loss is of a next token, and every text has only one token. Give longer texts."
            )
        extra = int(self.together)
        frequency = np.full((len(own) + extra, max(d.n_features for d in own)), np.nan)
        for row, count in enumerate(self.counts.values()):
            frequency[row, : len(count)] = count / n_tokens.sum()
        return {
            "names": (*self.named, *[TOGETHER] * extra),
            "sites": (*(str(d.out_site) for d in own), *[""] * extra),
            "kinds": (*(d.kind for d in own), *[""] * extra),
            "n_features": (*(d.n_features for d in own), *[0] * extra),
            "frequency": frequency,
            **{key: np.concatenate(parts, -1) for key, parts in self.sums.items()},
            **{key: np.concatenate(parts) for key, parts in self.per_text.items()},
        }


def _resume_layer(dictionaries: Sequence[Dictionary]) -> int:
    """The first layer that an edit of these can change: nothing before it is computed again."""
    sites = [site for d in dictionaries for site in (d.site, d.out_site)]
    if any(site.stream in ("embed", "resid_pre") for site in sites):
        return 0
    # What belongs to no layer comes after the last one.
    return min((site.layer for site in sites if site.layer is not None), default=0)


def _next_token_loss(logits: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed −log probability of each row's next tokens, in nats."""
    n = np.array(tokens.lengths) - 1
    mean = text_loss(logits.float().log_softmax(-1), tokens).double().cpu().numpy()
    return np.where(n > 0, mean * n, 0.0)


def _kl(logits: torch.Tensor, plain: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed KL(plain ‖ logits) over each row's tokens, in nats."""
    now, own = (x.float().log_softmax(-1) for x in (logits, plain))
    return text_kl(now, own, tokens).double().cpu().numpy() * np.array(tokens.lengths)
