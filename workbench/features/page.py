"""The feature page: what one feature fires on, what it does, and what is near it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from .. import metrics
from ..check import Count, Level, Natural, Seed, checked
from ..dictionary.base import Dictionary, ScaleFeatures
from ..dictionary.collection import Dictionaries
from ..model import Model, Resume
from ..resample import bootstrap
from ..result import Arrays, Result, axes, provenance
from ..site import Site
from ..texts import Texts
from ..tokens import token_strings
from .check import check_fits
from .index import FeatureIndex, Place, spread
from .index import index as index_of
from .label import Label, Labels, automatic
from .token_rows import tokens_of

#: How far the codes of an index may be from the model's own, as a share, before it is refused.
FARTHEST = 0.1


@dataclass(frozen=True, eq=False, repr=False)
class FeatureContext(Arrays):
    """A stretch of text around a place where the feature fires."""

    #: "top" for the largest codes, "sampled" for places drawn evenly from all at which it fires.
    group: str
    #: Its number.
    text: int
    #: Of the place, in the text.
    position: int
    #: Of the place, in `tokens`.
    at: int
    #: The code there.
    value: float
    #: About which share of its codes above 0 are smaller.
    quantile: float
    tokens: tuple[str, ...]
    activations: np.ndarray = axes("pos", note="the feature's code at every token shown")


@dataclass(frozen=True, eq=False, repr=False)
class FeaturePage(Result):
    """Everything about one feature of a dictionary.

    A dead feature, whose code is nowhere above 0, has no contexts and no effects.
    """

    #: Its name, like "L3.resid_post/123".
    feature: str
    dictionary: str
    label: str
    label_by: str
    #: What the label detects it by.
    label_tokens: tuple[str, ...]
    #: How well the label detects it on held-out texts, None where it is not scored.
    f1: float | None
    n_texts: int
    n_positions: int
    #: At so many of the positions its code is above 0.
    n_active: int
    #: Of its codes above 0.
    mean: float
    largest: float
    contexts: tuple[FeatureContext, ...]
    #: The tokens with the largest shares of its activity.
    top_tokens: tuple[str, ...]
    #: The tokens whose logits its direction raises and lowers most, see `direct_logits`; empty
    #: where its site is not added to the residual stream.
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    #: Features with the largest cosine between decoder rows.
    nearest: tuple[str, ...]
    nearest_labels: tuple[str, ...]
    #: Features that fire together with it.
    together: tuple[str, ...]
    together_labels: tuple[str, ...]
    #: Features drawn from those of equal activity.
    controls: tuple[str, ...]
    #: The tokens whose probabilities fall and rise most without it, by their mean changes.
    lowered: tuple[str, ...]
    raised: tuple[str, ...]
    bin_edges: np.ndarray = axes("bin_edge", np.float64, "of the histogram's codes")
    histogram: np.ndarray = axes("bin", np.int64, "codes above 0 between two bin_edges")
    token_share: np.ndarray = axes("token", note="share of its activity on a top token")
    token_rate: np.ndarray = axes("token", note="share of the token's occurrences where it fires")
    promoted_logits: np.ndarray = axes("promoted", note="of each token")
    suppressed_logits: np.ndarray = axes("suppressed", note="of each token")
    nearest_cosine: np.ndarray = axes("near", note="between decoder rows")
    together_jaccard: np.ndarray = axes("beside", note="Jaccard index of where they fire")
    effect_kl: np.ndarray = axes(
        "example", note="KL(plain ‖ without it) at places where it fires (nats)"
    )
    effect_loss: np.ndarray = axes("example", note="rise of the next token's loss there (nats)")
    control_kl: np.ndarray = axes("draw", note="the same of the controls where they fire (nats)")
    control_loss: np.ndarray = axes("draw", note="the same of the controls where they fire (nats)")
    lowered_change: np.ndarray = axes("lowered", note="mean change of probability without it")
    raised_change: np.ndarray = axes("raised", note="mean change of probability without it")

    picture = "feature_pages.feature_page"
    view = "features.feature_page"

    @property
    def frequency(self) -> float:
        """The share of positions at which it fires."""
        return self.n_active / self.n_positions

    @property
    def dead(self) -> bool:
        """Whether it never fires on the texts."""
        return self.n_active == 0

    @property
    def score(self) -> str:
        """The label's score in words."""
        return Label(self.label, f1=self.f1).score

    def effect(self, level: Level = 0.95) -> pd.DataFrame:
        """What removing it does beside the controls, a line for kl and one for loss (nats).

        Columns: mean, low, high, control, control_low, control_high: means over places, with
        percentile intervals from resampled places. NaN where none was measured.
        """
        rows = {}
        for name, own, control in (
            ("kl", self.effect_kl, self.control_kl),
            ("loss", self.effect_loss, self.control_loss),
        ):
            row = {}
            for prefix, values in (("", own), ("control", control)):
                # A place at the end of its text has no next token, so no loss.
                known = values[np.isfinite(values)].astype(np.float64)
                low = high = mean = float("nan")
                if len(known):
                    mean = float(known.mean())
                    low, high = bootstrap(
                        lambda chosen, x=known: x[chosen].mean(-1),
                        len(known),
                        level,
                        self.seed or 0,
                    )
                ends = (
                    ("control", "control_low", "control_high")
                    if prefix
                    else ("mean", "low", "high")
                )
                row |= dict(zip(ends, (mean, low, high), strict=True))
            rows[name] = row
        return pd.DataFrame.from_dict(rows, orient="index")

    def to_frame(self) -> pd.DataFrame:
        """One line a context: group, text, position, value, quantile, token, context."""
        return pd.DataFrame(
            [
                {
                    "group": context.group,
                    "text": context.text,
                    "position": context.position,
                    "value": context.value,
                    "quantile": context.quantile,
                    "token": context.tokens[context.at],
                    "context": "".join(context.tokens),
                }
                for context in self.contexts
            ],
            columns=["group", "text", "position", "value", "quantile", "token", "context"],
        )

    def _facts(self) -> str:
        label = Label(self.label, f1=self.f1)
        if self.dead:
            return f"{self.feature} never fires on {self.n_positions} tokens"
        return f"{self.feature}, {label}, fires at {100 * self.frequency:.3g} % of the tokens"


@checked
def page(
    model: Model,
    texts: Texts,
    dicts: Dictionary | Dictionaries,
    feature: int | str | Site,
    *,
    labels: Labels | None = None,
    others: Dictionaries | None = None,
    n_contexts: Count = 12,
    n_sampled: Count = 8,
    before: Natural = 24,
    after: Natural = 8,
    k: Count = 10,
    n_effect: Natural = 12,
    seed: Seed = 0,
    progress: bool = True,
) -> FeaturePage:
    """Contexts, tokens, histogram, neighbours and effect of one feature, as a `FeaturePage`.

    feature: a number, or a name like "L3.resid_post/123"; with `Dictionaries` a name. texts: an
    index, as `features.index` gives one, or texts, of which one is made or read again. labels: by
    default those saved with the dictionary, and where there are none, a label by tokens from the
    index. others: dictionaries in which near features are looked for too; by default the given
    `Dictionaries`. n_contexts, n_sampled: how many contexts of the largest codes, and of evenly
    drawn ones, with up to `before` and `after` tokens around; no place is shown twice. k: how many
    tokens and features each list has. n_effect: at how many places the feature is removed; 0 leaves
    it out. seed: of the drawn controls.

    Raises `ValueError` for a feature that does not exist, a dictionary that does not fit the model,
    and an index of another dictionary or model. A feature that never fires has a page that says so.
    """
    if isinstance(dicts, Dictionaries):
        if not isinstance(feature, (str, Site)):
            raise ValueError(
                "Among several dictionaries a feature is named, like 'L3.resid_post/123'; got "
                f"{feature!r}."
            )
        others = dicts if others is None else others
        dictionary, number = dicts.feature(feature)
    else:
        dictionary = dicts
        number = dictionary.check_feature(feature)
    check_fits(model, dictionary)
    if isinstance(texts, FeatureIndex):
        index = texts
        index.check(dictionary)
    else:
        index = index_of(model, texts, dictionary, progress=progress)
    if labels is None:
        labels = Labels.of(dictionary)
    label = labels[number]
    if not label.text and index.count[number]:
        label = automatic(index, number)
    contexts = _contexts(model, dictionary, index, number, n_contexts, n_sampled, before, after)
    removal = remove(model, dictionary, index, number, n_effect, k, seed)
    edges, counts = _trimmed(index.bin_edges, index.histogram(number))
    used = index.tokens(number)[:k]
    near = nearest(dictionary, number, others, k)
    beside = index.together(number)[:k]
    strings = model.tokenizer
    promoted, suppressed = _promoted(model, dictionary, number, k)
    return FeaturePage(
        **provenance(model, seed=seed),
        feature=str(dictionary.feature(number)),
        dictionary=dictionary.name or repr(dictionary),
        label=label.text,
        label_by=label.by,
        label_tokens=label.tokens,
        f1=label.f1,
        n_texts=index.n_texts,
        n_positions=index.n_positions,
        n_active=int(index.count[number]),
        mean=float(index.mean[number]),
        largest=float(index.largest[number]),
        contexts=contexts,
        bin_edges=edges,
        histogram=counts,
        top_tokens=tuple(use.string for use in used),
        token_share=np.array([use.share for use in used]),
        token_rate=np.array([use.rate for use in used]),
        **_named_tokens(strings, "promoted", "promoted_logits", promoted),
        **_named_tokens(strings, "suppressed", "suppressed_logits", suppressed),
        nearest=tuple(name for name, _ in near),
        nearest_cosine=np.array([cosine for _, cosine in near]),
        nearest_labels=labels_of([name for name, _ in near], labels, index, others),
        together=tuple(index.name(pair.feature) for pair in beside),
        together_jaccard=np.array([pair.jaccard for pair in beside]),
        together_labels=labels_of([index.name(p.feature) for p in beside], labels, index, others),
        controls=tuple(index.name(control) for control in removal.controls),
        effect_kl=removal.kl,
        effect_loss=removal.loss,
        control_kl=removal.control_kl,
        control_loss=removal.control_loss,
        **_named_tokens(strings, "lowered", "lowered_change", removal.lowered),
        **_named_tokens(strings, "raised", "raised_change", removal.raised),
    )


def _contexts(
    model: Model,
    dictionary: Dictionary,
    index: FeatureIndex,
    feature: int,
    n_contexts: int,
    n_sampled: int,
    before: int,
    after: int,
) -> tuple[FeatureContext, ...]:
    """The shown places, with the feature's code at each token around them."""
    places = [("top", place) for place in index.contexts(feature)[:n_contexts]]
    # Of a feature that seldom fires, the places drawn are those with the largest codes again.
    seen = {(place.text, place.position) for _, place in places}
    rest = [place for place in index.sampled(feature) if (place.text, place.position) not in seen]
    places += [("sampled", place) for place in spread(rest, n_sampled)]
    if not places:
        return ()
    # What stands behind a place does not change its code, so the rest of a text is not read.
    rows = [index.text(place.text)[: place.position + after + 1] for _, place in places]
    tokens = tokens_of(model, rows, index.strings)
    with torch.inference_mode():
        run = model.run(tokens, read=[dictionary.site], logits_at=(), stop_after=dictionary.site)
        codes = (
            dictionary.encode_some(run[dictionary.site], [feature])[..., 0].float().cpu().numpy()
        )
    _check_codes(model, index, [(place, codes[r]) for r, (_, place) in enumerate(places)])
    out = []
    for row, (group, place) in enumerate(places):
        start = max(0, place.position - before)
        shown = tokens.strings[row][start:]
        out.append(
            FeatureContext(
                group=group,
                text=place.text,
                position=place.position,
                at=place.position - start,
                value=place.value,
                quantile=_quantile(index, feature, place.value),
                tokens=shown,
                activations=codes[row, start : start + len(shown)],
            )
        )
    return tuple(out)


def _check_codes(
    model: Model, index: FeatureIndex, found: Sequence[tuple[Place, np.ndarray]]
) -> None:
    """Raise `ValueError` where the model gives other codes than the index has."""
    away = [abs(codes[place.position] / place.value - 1) for place, codes in found]
    if (middle := float(np.median(away))) > FARTHEST:
        raise ValueError(
            f"The index in {index.folder} was made with another model: {model.spec.name} gives "
            f"codes that are {100 * middle:.0f} % away from it. Make it again with features.index."
        )


def _quantile(index: FeatureIndex, feature: int, value: float) -> float:
    """About which share of the feature's codes above 0 are smaller: even within its bin."""
    counts, edges = index.histogram(feature), index.bin_edges
    own = int(np.clip(np.searchsorted(edges, value, "right") - 1, 0, len(counts) - 1))
    low, high = edges[own], min(edges[own + 1], float(index.largest[feature]))
    inside = np.clip((value - low) / max(high - low, 1e-30), 0.0, 1.0)
    return float((counts[:own].sum() + inside * counts[own]) / counts.sum())


def _trimmed(edges: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The histogram without the empty bins at its ends."""
    full = np.flatnonzero(counts)
    if not len(full):
        return np.zeros(1), np.zeros(0, np.int64)
    kept = slice(full[0], full[-1] + 1)
    return edges[full[0] : full[-1] + 2], counts[kept]


def _promoted(
    model: Model, dictionary: Dictionary, feature: int, k: int
) -> tuple[list[tuple[int, float]], list[tuple[int, float]]]:
    """The tokens whose logits the feature's direction raises and lowers most, with the numbers."""
    with torch.inference_mode():
        logits = direct_logits(model, dictionary.out_site, dictionary.directions[feature])
    return ([], []) if logits is None else (extremes(logits, k), extremes(-logits, k, -1.0))


def _named_tokens(
    tokenizer: Any, name: str, number: str, found: Sequence[tuple[int, float]]
) -> dict[str, Any]:
    # A vocabulary may be padded beyond what its tokenizer knows.
    size = len(tokenizer)
    strings = [token_strings(tokenizer, [i])[0] if i < size else f"[{i}]" for i, _ in found]
    return {name: tuple(strings), number: np.array([value for _, value in found])}


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
    kl = metrics.kl(without, plain).cpu().numpy()
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


def nearest(
    dictionary: Dictionary, feature: int, others: Dictionaries | None, k: int
) -> list[tuple[str, float]]:
    """The features whose decoder rows have the largest cosine with the feature's."""
    direction = dictionary.directions[feature]
    found: list[tuple[str, float]] = []
    rest = (
        [] if others is None else [d for d in others.values() if d.out_site != dictionary.out_site]
    )
    for each in [dictionary, *rest]:
        if each.out_site.axes[-1] != dictionary.out_site.axes[-1] or each.d_out != dictionary.d_out:
            continue
        cosine = each.directions @ direction.to(each.directions)
        if each is dictionary:
            cosine = torch.where(
                torch.arange(len(cosine), device=cosine.device) == feature, -2, cosine
            )
        found += [(str(each.feature(i)), c) for i, c in extremes(cosine, min(k, len(cosine) - 1))]
    return sorted(found, key=lambda pair: -pair[1])[:k]


def labels_of(
    names: Sequence[str], labels: Labels, index: FeatureIndex, others: Dictionaries | None
) -> tuple[str, ...]:
    """Each feature's label with its score, "" where it has none."""
    known: dict[str, Labels] = {labels.site: labels}
    out = []
    for name in names:
        site = Site.parse(name)
        whole = str(site.whole)
        if whole not in known and others is not None:
            known[whole] = Labels.of(others[whole])
        label = known[whole][name]
        if not label.text and whole == index.site and site.unit is not None:
            label = automatic(index, site.unit) if index.count[site.unit] else label
        out.append(str(label) if label.text else "")
    return tuple(out)


#: Streams whose vectors are added to the residual stream, or are it.
RESIDUAL = ("embed", "resid_pre", "attn_out", "resid_mid", "mlp_out", "resid_post")


def direct_logits(model: Model, site: Site, direction: torch.Tensor) -> torch.Tensor | None:
    """(d_vocab,) float32: W_U · (weight of the final norm × centred direction), less its mean.

    The norm's division by the size of the residual stream is left out, so the numbers compare
    tokens and not features; what later layers do with the direction is left out too. Neurons
    (mlp_post) are first written by W_out, and a norm behind the MLP gives its weight. None for a
    site whose vectors are not added to the residual stream.
    """
    x = direction.to(model.weight("W_U", copy=False))
    if site.stream == "mlp_post":
        x = x @ model.weight("W_out", site.layer, copy=False) * model.spec.residual_multiplier
        behind = model.norm("ln2_post", site.layer)
        x = x if behind is None else behind.center(x) * behind.weight
    elif site.stream not in (*RESIDUAL, "ln_final"):
        return None
    norm = model.norm("ln_final")
    if norm is not None and site.stream != "ln_final":
        x = norm.center(x) * norm.weight
    logits = (x @ model.weight("W_U", copy=False)).float() * model.spec.logit_scale
    return logits - logits.mean()


def extremes(values: torch.Tensor, k: int, sign: float = 1.0) -> list[tuple[int, float]]:
    """The k largest values of (d_vocab,) with their ids, times a sign."""
    best, ids = values.topk(min(k, len(values)))
    return [(i, sign * value) for i, value in zip(ids.tolist(), best.tolist(), strict=True)]
