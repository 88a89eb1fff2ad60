"""Whether a dictionary fits a model: its width and site, and how well it explains what is there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ..activations import Activations, stream
from ..check import checked
from ..dictionary.base import Dictionary
from ..dictionary.normalization import Normalization
from ..encoding import text_ids
from ..model import Model
from ..result import Result, axes, labels, provenance
from ..texts import Texts
from ..texts import texts as shipped_texts

#: Below this share of the variance the check warns, and where another normalisation leaves less of
#: what is unexplained than `CLEARLY` times. Where it also gives back each activation's own length,
#: which explains something by itself, less than `BY_FAR` times.
ENOUGH, CLEARLY, BY_FAR = 0.5, 0.8, 0.5


@dataclass(frozen=True, eq=False, repr=False)
class DictionaryCheck(Result):
    """How well a dictionary explains a model's activations, as it is and normalised otherwise.

    A text's first token often has an outlier that outweighs all others, so its explained variance
    is told with it and without.
    """

    #: What the dictionary is, in words.
    dictionary: str
    site: str
    out_site: str
    kind: str
    n_features: int
    d_in: int
    #: The model that the dictionary names, "" where it names none.
    made_for: str
    #: Whether that is this model, None where it names none.
    same_model: bool | None
    n_positions: int
    #: The mean length of the activations read.
    mean_norm: float
    #: How much of their squared length lies along the mean over d_in, which centring takes away.
    mean_share: float
    #: What the check warned of.
    warned: tuple[str, ...]
    variants: tuple[str, ...] = labels(
        "row", "the normalisation tried, its own first", name="variant"
    )
    scale: tuple[str, ...] = labels("row", "as in `Normalization`", name="scale")
    center: np.ndarray = axes("row", np.bool_, "whether the mean over d_in is taken away")
    factor: np.ndarray = axes("row", note="what activations are multiplied by")
    explained_variance: np.ndarray = axes(
        "row", note="1 − squared error / squared distance from the mean activation"
    )
    explained_after_first: np.ndarray = axes(
        "row", note="the same without first tokens, NaN where there are no others"
    )
    l0: np.ndarray = axes("row", note="mean number of active codes")

    picture = "dictionaries.dictionary_check"

    @property
    def best(self) -> int:
        """The number of the variant that explains most."""
        return int(np.argmax(self.score))

    @property
    def score(self) -> np.ndarray:
        """(row,) explained variance after the first tokens, over all where that is unknown."""
        after = self.explained_after_first
        return np.where(np.isfinite(after), after, self.explained_variance)

    def _facts(self) -> str:
        where = self.site if self.site == self.out_site else f"{self.site} → {self.out_site}"
        best = self.best
        better = self.score[best] > self.score[0] + 0.005
        other = f"; {self.variants[best]}: {self.score[best]:.3f}" if better else ""
        return (
            f"{where}, {self.kind}, {self.n_features} features of {self.d_in}: explained variance "
            f"{self.explained_variance[0]:.3f} ({self.explained_after_first[0]:.3f} after first "
            f"tokens{other}), L0 {self.l0[0]:.1f}, {self.n_positions} positions, "
            f"{len(self.warned)} warning{'s' * (len(self.warned) != 1)}"
        )


def check_fits(model: Model, *dictionaries: Dictionary) -> None:
    """Nothing, where the model has each dictionary's sites, in the dictionary's width.

    Raises `ValueError` for a layer or stream that the model does not have, and for another width.
    Nothing is run, so that every method can ask first.
    """
    for dictionary in dictionaries:
        ends = [(dictionary.site, dictionary.d_in, "reads")]
        if dictionary.is_transcoder:
            ends.append((dictionary.out_site, dictionary.d_out, "gives"))
        for site, d, verb in ends:
            try:
                model.spec.check(site)
            except ValueError as error:
                raise ValueError(
                    f"{dictionary!r} does not fit {model.spec.name}. {error}"
                ) from None
            width = model.spec.d_mlp if site.axes[-1] == "d_mlp" else model.spec.d_model
            if d != width:
                raise ValueError(
                    f"{dictionary!r} {verb} vectors of width {d}; {site} of {model.spec.name} has "
                    f"{width}. It is a dictionary of another model or site: load one that was made "
                    "for this one."
                )


@checked
def check(model: Model, texts: Texts, dictionary: Dictionary) -> DictionaryCheck:
    """Whether a dictionary was made for what this model computes, in numbers.

    texts: a list of texts, of lists of token ids, or `Tokens`, of which up to 4,096 positions are
    read; None: the model's shipped ones, else a few English sentences, which say little of
    other languages. The dictionary's own normalisation is measured beside others: with the mean
    over d_in taken away or left, by the factor that gives these activations the length √d_in,
    and by each activation's own length or layer norm.

    Warns, with the number: where the dictionary names another model; where it explains less than
    half of the variance; and where another normalisation explains some and leaves less than 0.8 of
    what it leaves unexplained (0.5 for those that scale each activation by itself and give its
    length back), a sign that the dictionary was trained on activations normalised so.

    Raises `ValueError` for a site that the model does not have and for another width.
    """
    check_fits(model, dictionary)
    given = default_texts(model) if texts is None else texts
    x, y, first, strings = sample(model, dictionary, given)
    norms = x.norm(dim=-1)
    share = (x.mean(-1) ** 2 * x.shape[-1]).sum() / (norms**2).sum().clamp(min=1e-30)
    factor = x.shape[-1] ** 0.5 / max(float(norms.mean()), 1e-30)
    tried = variants(dictionary, factor)
    with torch.no_grad():
        scores = np.array([score(dictionary, way, x, y, first) for way in tried.values()])
    source: dict[str, Any] = {**provenance(model), "tokens": strings}
    result = DictionaryCheck(
        **source,
        dictionary=repr(dictionary),
        site=str(dictionary.site),
        out_site=str(dictionary.out_site),
        kind=dictionary.kind,
        n_features=dictionary.n_features,
        d_in=dictionary.d_in,
        made_for=dictionary.model,
        same_model=_same_model(dictionary.model, model.spec.name),
        variants=tuple(tried),
        scale=tuple(way.scale for way in tried.values()),
        n_positions=len(x),
        mean_norm=float(norms.mean()),
        mean_share=float(share),
        warned=(),
        center=np.array([way.center for way in tried.values()]),
        factor=np.array([way.factor for way in tried.values()]),
        explained_variance=scores[:, 0],
        explained_after_first=scores[:, 1],
        l0=scores[:, 2],
    )
    warned = tuple(_warnings(result))
    for text in warned:
        warnings.warn(text, stacklevel=2)
    return replace(result, warned=warned)


def _same_model(made_for: str, name: str) -> bool | None:
    """Whether two names mean one model; TransformerLens calls gpt2 gpt2-small."""
    if not made_for:
        return None
    short = [given.rstrip("/").rpartition("/")[2].lower() for given in (made_for, name)]
    short = ["gpt2" if given == "gpt2-small" else given for given in short]
    return short[0] == short[1]


def _warnings(result: DictionaryCheck) -> Iterator[str]:
    own = float(result.score[0])
    if result.same_model is False:
        yield (
            f"{result.dictionary} was made for {result.made_for!r}; this model is "
            f"{result.model!r}. It explains {own:.3f} of the variance at {result.out_site}."
        )
    if not own >= ENOUGH:
        yield (
            f"{result.dictionary} explains {own:.3f} of the variance at {result.out_site} of "
            f"{result.model} (over {result.n_positions} positions), less than {ENOUGH}: it may be "
            "of another model or site, or expect activations normalised otherwise."
        )
    clearly = np.where(np.isin(result.scale, ("layer_norm", "constant_norm")), BY_FAR, CLEARLY)
    better = np.flatnonzero((1 - result.score < clearly * (1 - own)) & (result.score > 0))
    if len(better):
        others = "; ".join(
            f"{result.score[i]:.3f} with “{result.variants[i]}” (L0 {result.l0[i]:.1f}; "
            f"{_how(result, int(i))})"
            for i in better[np.argsort(-result.score[better], kind="stable")]
        )
        yield (
            f"{result.dictionary} explains {own:.3f} of the variance as it is (L0 "
            f"{result.l0[0]:.1f}), and more where its activations are normalised otherwise, as "
            f"they may have been in its training: {others}."
        )


def _how(result: DictionaryCheck, i: int) -> str:
    """How to have the dictionary with another normalisation."""
    center, scale = bool(result.center[i]), result.scale[i]
    if scale == "factor":
        return f"Dictionary.load(…, center={center}, factor={result.factor[i]:.4g})"
    if scale == "none" and result.scale[0] == "none":
        return f"Dictionary.load(…, center={center})"
    return f"dataclasses.replace(…, normalization=Normalization({center}, {scale!r}))"


#: Positions that are sampled at most, and encoded at a time.
MOST_POSITIONS, AT_ONCE = 4096, 512
#: Texts in a pass.
TEXTS_AT_ONCE = 8
#: Texts that are read where none are given and the model has none of its own.
SAMPLE = (
    "The library opens at nine in the morning and closes when the last reader has gone home.",
    "In 1911 the expedition reached the pole, planted a flag, and began the long walk back.",
    "She said that the results were surprising, but that nobody should trust them before a second "
    "laboratory had found the same.",
    "def area(width, height):\n    return width * height\n",
    "Water boils at 100 degrees at the level of the sea and at less on a high mountain.",
    "“Where have you been?” he asked. “At the market,” she answered, “and then at the harbour.”",
    "The committee will meet on Tuesday to discuss the budget, the new bridge, and the schools.",
    "Mary and John went to the store, and John gave a bottle of milk to Mary.",
)


def default_texts(model: Model) -> Sequence[Any]:
    """The model's shipped texts, else sentences as its own token ids."""
    try:
        return shipped_texts(model.spec.name, n=64)
    except ValueError:
        # In another language's tokens a sentence may be longer than a small model reads.
        return [row[: model.spec.n_ctx] for row in text_ids(model.tokenizer, SAMPLE)]


def sample(
    model: Model, dictionary: Dictionary, texts: Any
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, tuple[tuple[str, ...], ...]]:
    """(position, d) what is read and what is decoded, which are first tokens, and the tokens."""
    sites = sorted({dictionary.site, dictionary.out_site})
    parts: list[Activations] = []
    for part in stream(model, texts, sites, batch_size=TEXTS_AT_ONCE):
        parts.append(part)
        if sum(map(len, parts)) >= MOST_POSITIONS:
            break
    read, wanted = (
        torch.from_numpy(np.concatenate([part[site] for part in parts])[:MOST_POSITIONS])
        for site in (dictionary.site, dictionary.out_site)
    )
    first = torch.from_numpy(np.concatenate([part.position == 0 for part in parts]))
    strings = tuple(text for part in parts for text in part.tokens)
    return read, wanted, first[:MOST_POSITIONS], strings


def variants(dictionary: Dictionary, factor: float) -> dict[str, Normalization]:
    """The dictionary's own normalisation, then others that it could have been trained with."""
    own = dictionary.normalization
    streams = dictionary.site.axes[-1] == "d_model"
    out = {"as it is": own}
    if streams and own.scale != "layer_norm":
        name = "mean left in" if own.center else "mean taken away"
        out[name] = replace(own, center=not own.center)
    if own.scale != "none":
        out["not scaled"] = Normalization(own.center)
    if own.scale != "factor":
        out[f"times {factor:.3g}"] = Normalization(own.center, "factor", factor)
    if own.scale != "layer_norm":
        out["layer norm"] = Normalization(False, "layer_norm")
    if own.scale != "constant_norm":
        out["constant norm"] = Normalization(own.center, "constant_norm")
    return out


def score(
    dictionary: Dictionary,
    way: Normalization,
    x: torch.Tensor,
    y: torch.Tensor,
    first: torch.Tensor,
) -> tuple[float, float, float]:
    """Explained variance over all positions and over all but first tokens, and L0."""
    tried = replace(dictionary, normalization=way)
    errors, active = [], 0
    for start in range(0, len(x), AT_ONCE):
        part = x[start : start + AT_ONCE].to(tried.device)
        codes = tried.encode(part)
        active += int((codes != 0).sum())
        error = tried.decode(codes, part).float().cpu() - y[start : start + AT_ONCE]
        errors.append(error.double().pow(2).sum(-1))
    error = torch.cat(errors)

    def explained(kept: torch.Tensor) -> float:
        if int(kept.sum()) < 2:
            return float("nan")
        chosen = y[kept].double()
        spread = float((chosen - chosen.mean(0)).pow(2).sum())
        return 1 - float(error[kept].sum()) / spread if spread else float("nan")

    return explained(torch.ones_like(first)), explained(~first), active / len(x)
