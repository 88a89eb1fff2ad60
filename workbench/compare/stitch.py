"""Stitch: does the unit that an alignment names do its partner's job in the other model?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..activations import check_texts
from ..check import Count, Seed, checked, given
from ..edits import Set, unchanged_is_fine
from ..effects import Effects, Measure, table_of
from ..metrics import text_kl
from ..model import Model, Prompts, Resume
from ..pictures.marks import Dots
from ..result import provenance
from ..site import Site
from ..tasks import TOKENS_PER_PASS
from ..texts import Texts
from ..tokens import Tokens
from .align import WeightAlignment

#: An ablation that moves the output by less than this, in nats, leaves nothing to bring back.
SMALLEST = 1e-9
#: For each component wanted so many are ablated, those with the largest estimated effects, on up to
#: so many of the fitted texts.
ABLATED, ABLATED_ON = 3, 8
#: Bytes of the logits, or of the units' values, of one part; a few copies of them are made.
BYTES = 64 << 20
STREAMS = {"neurons": "mlp_post", "heads": "pattern"}


@checked
def stitch(
    a: Model,
    b: Model,
    texts: Texts,
    alignment: WeightAlignment,
    *,
    n: Count = 16,
    components: str | Site | Sequence[str | Site] | None = None,
    n_controls: Count = 4,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """Whether units of a do the job of those of b they are aligned with, as `Effects`.

        wb.compare.stitch(model, other, texts, wb.compare.align(model, other)).plot()

    A neuron of b is given what its partner in a has on the same tokens, scaled and shifted by least
    squares on one half of the texts; a head its partner's attention pattern, and keeps its values.
    On the other half: how much of the damage of ablating it (at its mean) is brought back, 1 −
    KL(plain ‖ changed) / KL(plain ‖ ablated), NaN where ablating does nothing. Changes: "partner",
    and "best", the unit of a that correlates most on the fitted texts; controls: n_controls random
    units from the same place, all fitted in the same way; their correlations are on the other half.
    components: sites in b, as the alignment names them; None takes the `n` whose ablation does the
    most on the fitted texts.

    Raises `ValueError` for models other than the aligned ones, models that read other tokens, fewer
    than four texts, components without a partner, and models whose patterns cannot be edited.
    Source: model stitching, Bansal et al. (2021, arXiv:2106.07682), here of single units.
    """
    _check_models(alignment, a, b)
    check_texts(texts)
    pairs = paired(alignment, components)
    b.spec.check(Site("mlp_post" if alignment.over == "neurons" else "pattern", 0), edit=True)
    data = StitchTexts.of_models(a, b, texts, over=alignment.over, seed=seed)
    with tqdm(desc="stitching", delay=1.0, disable=not progress) as bar:
        if components is None:
            pairs = largest_effects(alignment, data, pairs, n, bar)
        places = [place_of(alignment, pair) for pair in pairs]
        layers_a = pool_layers(alignment, pairs)
        fitted = fit(data, layers_a, places)
        others = stand_ins(alignment, pairs, layers_a, fitted, n_controls, seed)
        options = {"fitted": fitted, "layers_a": layers_a, "stand_ins": others}
        found = divergences(data, data.held_out, places, fitted.mean_b, bar, **options)
    correlation = held_out_correlation(data, fitted, layers_a, places)
    names = [[unit_name(alignment, layers_a, unit) for unit in row] for row in others.tolist()]
    tokens = b.tokens([list(data.rows[text]) for text in data.held_out])
    parts = [alignment.names_b[pair] for pair in pairs]
    close = np.take_along_axis(correlation, others, 1).tolist()
    alike = alignment.similarity[pairs].tolist()
    changes: dict[tuple[Any, ...], np.ndarray] = {}
    controls: dict[tuple[Any, ...], np.ndarray] = {}
    for at, change in enumerate(("partner", "best")):
        for i, part in enumerate(parts):
            weights = None if change == "best" else alike[i]
            changes[change, part, names[i][at], close[i][at], weights] = found[i, 1 + at]
    for i, part in enumerate(parts):
        changes["ablated", part] = found[i, 0]
        for draw in range(n_controls):
            key = (part, "random", draw, names[i][2 + draw], close[i][2 + draw])
            controls[key] = found[i, 3 + draw]
    return Effects(
        **provenance(a, tokens, seed),
        what=f"{len(pairs)} {alignment.over} of {b.spec.name} replaced by units of {a.spec.name}",
        changes=table_of(["change", "component", "unit", "correlation", "similarity"], [*changes]),
        controls=table_of(
            ["component", "kind", "draw", "random_unit", "random_correlation"], [*controls]
        ),
        measures=(
            Measure(
                "brought back",
                "nats of KL(plain ‖ changed), a mean over positions",
                np.zeros(len(data.held_out)),
                np.stack([*changes.values()]),
                np.stack([*controls.values()]),
            ),
        ),
        picture=Dots(
            "effect",
            "component",
            "low",
            "high",
            "control",
            "change",
            label="damage of ablation brought back (0 = its mean, 1 = itself)",
        ),
    ).scaled("ablated", "plain", SMALLEST)


def _check_models(alignment: WeightAlignment, model_a: Model, model_b: Model) -> None:
    if not isinstance(alignment, WeightAlignment):
        raise TypeError(
            f"Stitching follows a WeightAlignment, wb.compare.align(a, b); got {given(alignment)}."
        )
    mine = (alignment.model, alignment.revision, alignment.model_b, alignment.revision_b)
    a, b = model_a.spec, model_b.spec
    asked = (a.name, a.revision, b.name, b.revision)
    if mine != asked:
        raise ValueError(
            f"An alignment is stitched in the models that it is of, {mine[0]} ({mine[1]}) and "
            f"{mine[2]} ({mine[3]}), in this order; got {asked[0]} ({asked[1]}) and {asked[2]} "
            f"({asked[3]})."
        )


# -- which units are stitched, and which stand in for them ----------------------------------------


def paired(alignment: WeightAlignment, components: Any) -> list[int]:
    """The numbers of the pairs of these components of b, or of all."""
    if components is None:
        return list(range(len(alignment.similarity)))
    if isinstance(components, (str, Site)):
        components = [components]
    if not components:
        raise ValueError("At least one component is stitched; got none.")
    out = []
    for component in components:
        if alignment.partner(component, back=True) is None:
            raise ValueError(
                f"A stitched component has a partner; {component} of {alignment.model_b} was left "
                "over by the alignment. Leave it out."
            )
        out.append(alignment.names_b.index(str(Site.parse(component))))
    if len(set(out)) != len(out):
        raise ValueError(f"Each component is stitched once; got {list(map(str, components))}.")
    return out


def largest_effects(
    alignment: WeightAlignment, data: StitchTexts, pairs: list[int], n: int, bar: Any
) -> list[int]:
    """The n pairs whose component of b does the most when it is ablated, most first."""
    places = [place_of(alignment, pair) for pair in pairs]
    layers = sorted({layer for layer, _ in places})
    rows = rows_of(data, layers, places)
    order = np.arange(len(pairs))
    if alignment.over == "neurons" and len(pairs) > ABLATED * n:
        estimates = estimated_effects(data, layers)[rows]
        order = np.argsort(-estimates, kind="stable")[: ABLATED * n]
    means = mean_values(data, data.model_b, layers)[[rows[i] for i in order]]
    some = data.fit[:ABLATED_ON]
    found = divergences(data, some, [places[i] for i in order], means, bar)
    largest = np.argsort(-found[:, 0].mean(-1), kind="stable")[:n]
    return [pairs[order[i]] for i in largest]


def place_of(alignment: WeightAlignment, pair: int) -> tuple[int, int]:
    """(layer, unit) in b."""
    return int(alignment.layers_b[pair]), int(alignment.units_b[pair])


def pool_layers(alignment: WeightAlignment, pairs: list[int]) -> list[int]:
    """Layers of a whose units may stand in."""
    if alignment.over == "heads" or alignment.within == "all":
        return list(range(alignment.n_layers[0]))
    return sorted({int(alignment.layers_a[pair]) for pair in pairs})


def stand_ins(
    alignment: WeightAlignment,
    pairs: list[int],
    layers_a: list[int],
    fitted: Fit,
    n_controls: int,
    seed: int,
) -> np.ndarray:
    """(component, stand-in) units of a, numbered through its layers: partner, best, random ones."""
    n = alignment.n_units[0]
    whole = alignment.over == "heads" or alignment.within == "all"
    rng = np.random.default_rng(seed)
    out = []
    for number, pair in enumerate(pairs):
        first = layers_a.index(int(alignment.layers_a[pair])) * n
        partner = first + int(alignment.units_a[pair])
        pool = np.arange(len(layers_a) * n) if whole else np.arange(first, first + n)
        others = pool[pool != partner]
        if len(others) < n_controls:
            raise ValueError(
                f"Random stand-ins are other {alignment.over} of {alignment.model}; there are "
                f"{len(others)}, fewer than n_controls={n_controls}."
            )
        best = pool[np.argmax(_closeness(alignment, fitted, number)[pool])]
        random = rng.choice(others, n_controls, replace=False)
        out.append([partner, best, *random])
    return np.array(out)


def _closeness(alignment: WeightAlignment, fitted: Fit, number: int) -> np.ndarray:
    """(unit,) how well each fits: a neuron may be turned by its slope, a pattern may not."""
    values = fitted.correlation[number]
    return np.abs(values) if alignment.over == "neurons" else values


def unit_name(alignment: WeightAlignment, layers_a: list[int], unit: int) -> str:
    layer, at = layers_a[unit // alignment.n_units[0]], unit % alignment.n_units[0]
    return f"L{layer}.mlp_post/{at}" if alignment.over == "neurons" else f"L{layer}H{at}.z"


# -- texts that both models read, part by part without padding ------------------------------------


@dataclass(frozen=True, eq=False)
class StitchTexts:
    """Texts as ids that both models read. rows: the ids of each; fit, held_out: text numbers."""

    model_a: Model
    model_b: Model
    over: str
    rows: tuple[tuple[int, ...], ...]
    fit: tuple[int, ...]
    held_out: tuple[int, ...]

    @classmethod
    def of_models(
        cls, model_a: Model, model_b: Model, texts: Prompts, *, over: str, seed: int
    ) -> StitchTexts:
        """A random half to fit on, with a longest text in it, and the rest to measure on.

        Raises `ValueError` where the two models read other tokens, for fewer than four texts, and
        for one of a single token.
        """
        tokens = model_a.tokens(texts), model_b.tokens(texts)
        rows = [[tuple(t.ids[r, t.columns(r)].tolist()) for r in range(t.n_rows)] for t in tokens]
        for number, (one, other) in enumerate(zip(*rows, strict=True)):
            if one != other or tokens[0].strings[number] != tokens[1].strings[number]:
                raise ValueError(
                    f"Stitched models read the same tokens; text {number} is read as others by "
                    f"{model_a.spec.name} than by {model_b.spec.name}. Leave it out, or stitch "
                    "models of one tokenizer."
                )
            if len(one) < 2:
                raise ValueError(
                    f"A text has at least two tokens, so that one follows another; text {number} "
                    "has one. Leave it out."
                )
        n = len(rows[0])
        if n < 4:
            raise ValueError(
                "Stitching fits on one half of the texts and measures on the other, two each at "
                f"least; got {n}. Give more texts."
            )
        order = np.random.default_rng(seed).permutation(n)
        lengths = np.array([len(row) for row in rows[0]])
        # The mean pattern of a head is known as far as the texts reach that it is taken over.
        longest = int(np.flatnonzero(lengths[order] == lengths.max())[0])
        order[[0, longest]] = order[[longest, 0]]
        half = n // 2
        fit, rest = sorted(order[:half].tolist()), sorted(order[half:].tolist())
        return cls(model_a, model_b, over, tuple(rows[0]), tuple(fit), tuple(rest))

    @property
    def stream(self) -> str:
        return STREAMS[self.over]

    @property
    def longest(self) -> int:
        return max(map(len, self.rows))

    def parts(self, texts: Sequence[int]) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Numbers of some of the texts, all of one length, and their ids."""
        units = max(m.spec.n_layers * self.n_units(m) for m in (self.model_a, self.model_b))
        for length in sorted({len(self.rows[t]) for t in texts}):
            same = [t for t in texts if len(self.rows[t]) == length]
            each = 8 * units * (length if self.over == "heads" else 1)
            most = max(1, BYTES // (length * max(4 * self.model_b.spec.d_vocab, each)))
            for start in range(0, len(same), most):
                part = same[start : start + most]
                yield part, [list(self.rows[t]) for t in part]

    def values(self, model: Model, tokens: Tokens, layers: Sequence[int]) -> torch.Tensor:
        """(unit, text, …) float32 of every unit of these layers, one layer after the other: a
        neuron's activation at each position, or a head's pattern (dst, src).
        """
        sites = [Site(self.stream, layer) for layer in layers]
        with torch.no_grad():
            run = model.run(tokens, read=sites, logits_at=())
        axis = -1 if self.over == "neurons" else 1
        return torch.cat([run[site].float().movedim(axis, 0) for site in sites])

    def n_units(self, model: Model) -> int:
        return model.spec.d_mlp if self.over == "neurons" else model.spec.n_heads


# -- means and correlations: all sums over texts, but the mean pattern of each head ---------------


@dataclass(frozen=True, eq=False)
class Fit:
    """What the fitted texts say of some units of b and of every unit of some layers of a.

    mean_a (unit, …), mean_b (component, …): the mean activation, or the mean pattern (dst, src).
    slope: (component, unit) of the least squares of b's activation on a's, 1 for patterns.
    correlation: (component, unit) Pearson's, of deviations from the means.
    """

    mean_a: torch.Tensor
    mean_b: torch.Tensor
    slope: np.ndarray
    correlation: np.ndarray

    def stand_in(self, component: int, unit: int, values: torch.Tensor) -> torch.Tensor:
        """(text, …): what is put in for b's component where a's unit has these values."""
        if values.ndim == 3:  # a pattern is one in either model
            return values
        mean_a, mean_b = self.mean_a[unit], self.mean_b[component]
        return mean_b + float(self.slope[component, unit]) * (values - mean_a)


def fit(
    texts: StitchTexts,
    layers_a: Sequence[int],
    components: Sequence[tuple[int, int]],
) -> Fit:
    """components: (layer, unit) in b. Units of a are numbered through `layers_a`."""
    mean_a = mean_values(texts, texts.model_a, layers_a)
    layers_b = sorted({layer for layer, _ in components})
    rows = rows_of(texts, layers_b, components)
    mean_b = mean_values(texts, texts.model_b, layers_b)[rows]
    found = moments(texts, texts.fit, layers_a, layers_b, rows, mean_a, mean_b)
    slope = found.slope() if texts.over == "neurons" else np.ones_like(found.cross)
    return Fit(mean_a, mean_b, slope, found.correlation())


def held_out_correlation(
    texts: StitchTexts,
    fitted: Fit,
    layers_a: Sequence[int],
    components: Sequence[tuple[int, int]],
) -> np.ndarray:
    """(component, unit) Pearson's over the texts that were not fitted."""
    layers_b = sorted({layer for layer, _ in components})
    rows = rows_of(texts, layers_b, components)
    means = fitted.mean_a, fitted.mean_b
    return moments(texts, texts.held_out, layers_a, layers_b, rows, *means).correlation()


def mean_values(texts: StitchTexts, model: Model, layers: Sequence[int]) -> torch.Tensor:
    """(unit,) the mean activation over the fitted texts' positions, or (unit, dst, src)."""
    n, longest = len(layers) * texts.n_units(model), texts.longest
    if texts.over == "neurons":
        total, count = torch.zeros(n, dtype=torch.float64), torch.zeros(1)
    else:
        total = torch.zeros(n, longest, longest, dtype=torch.float64)
        count = torch.zeros(longest, 1)
    for _, ids in texts.parts(texts.fit):
        values = texts.values(model, model.tokens(ids), layers).cpu().double()
        if texts.over == "neurons":
            total += values.sum((1, 2))
            count += values[0].numel()
        else:
            length = values.shape[-1]
            total[:, :length, :length] += values.sum(1)
            count[:length] += len(ids)
    return (total / count).float()


def moments(
    texts: StitchTexts,
    which: Sequence[int],
    layers_a: Sequence[int],
    layers_b: Sequence[int],
    rows_b: Sequence[int],
    mean_a: torch.Tensor,
    mean_b: torch.Tensor,
) -> CrossMoments:
    """Of the deviations from the given means, over some of the texts."""
    out = CrossMoments.zeros(len(rows_b), len(mean_a))
    for _, ids in texts.parts(which):
        each = []
        for model, layers, rows, mean in (
            (texts.model_a, layers_a, None, mean_a),
            (texts.model_b, layers_b, list(rows_b), mean_b),
        ):
            values = texts.values(model, model.tokens(ids), layers).cpu()
            values = values if rows is None else values[rows]
            length = values.shape[-1]
            center = mean[:, None, None] if mean.ndim == 1 else mean[:, None, :length, :length]
            each.append((values - center).double().flatten(1).numpy())
        out.add(*each)
    return out


def rows_of(
    texts: StitchTexts, layers: Sequence[int], components: Sequence[tuple[int, int]]
) -> list[int]:
    """The number of each of b's components among all units of these layers."""
    n = texts.n_units(texts.model_b)
    return [layers.index(layer) * n + unit for layer, unit in components]


@dataclass(eq=False)
class CrossMoments:
    """Running sums over positions of y (component) and x (unit), of their squares and products."""

    n: int
    x: np.ndarray
    y: np.ndarray
    xx: np.ndarray
    yy: np.ndarray
    cross: np.ndarray

    @classmethod
    def zeros(cls, n_components: int, n_units: int) -> CrossMoments:
        x, y = np.zeros(n_units), np.zeros(n_components)
        return cls(0, x, y, x.copy(), y.copy(), np.zeros((n_components, n_units)))

    def add(self, x: np.ndarray, y: np.ndarray) -> None:
        self.n += x.shape[1]
        self.x += x.sum(1)
        self.y += y.sum(1)
        self.xx += (x * x).sum(1)
        self.yy += (y * y).sum(1)
        self.cross += y @ x.T

    def _variances(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n times the variance of x, of y, and their covariance."""
        return (
            (self.xx - self.x**2 / self.n).clip(min=0),
            (self.yy - self.y**2 / self.n).clip(min=0),
            self.cross - np.outer(self.y, self.x) / self.n,
        )

    def slope(self) -> np.ndarray:
        """(component, unit); 0 where x never changes."""
        x, _, cross = self._variances()
        return np.where(x > 0, cross / np.where(x > 0, x, 1), 0)

    def correlation(self) -> np.ndarray:
        """(component, unit); 0 where either never changes."""
        x, y, cross = self._variances()
        size = np.sqrt(np.outer(y, x))
        return np.where(size > 0, cross / np.where(size > 0, size, 1), 0).clip(-1, 1)


# -- passes in which single units are ablated or replaced -----------------------------------------


def divergences(
    texts: StitchTexts,
    which: Sequence[int],
    components: Sequence[tuple[int, int]],
    mean_b: torch.Tensor,
    bar: Any,
    *,
    fitted: Fit | None = None,
    layers_a: Sequence[int] = (),
    stand_ins: np.ndarray | None = None,
) -> np.ndarray:
    """(component, 1 + stand-in, text): KL(plain ‖ changed) of b in nats, a mean over positions.

    First with the component at its mean (component, …), then with each unit of a that stands in for
    it; stand_ins: (component, stand-in), numbered through `layers_a`.
    """
    model, n_more = texts.model_b, 0 if stand_ins is None else stand_ins.shape[1]
    out = np.empty((len(components), 1 + n_more, len(which)), np.float32)
    place = {text: at for at, text in enumerate(which)}
    layers = sorted({layer for layer, _ in components})
    with torch.no_grad():
        for numbers, ids in texts.parts(which):
            tokens, columns = model.tokens(ids), [place[text] for text in numbers]
            plain = model.run(tokens, read=[Site("resid_pre", layer) for layer in layers])
            assert plain.logits is not None
            # One neuron of many moves the output by little: single precision would show.
            log_probs = plain.logits.double().log_softmax(-1)
            values = None
            if stand_ins is not None:
                values = texts.values(texts.model_a, texts.model_a.tokens(ids), layers_a)
            for number, (layer, unit) in enumerate(components):
                put = [_at_mean(mean_b[number], len(numbers), tokens.n_columns)]
                if values is not None and stand_ins is not None and fitted is not None:
                    for other in stand_ins[number].tolist():
                        put.append(fitted.stand_in(number, other, values[other].cpu()))
                site = _unit_site(texts, layer, unit)
                resid = plain[Site("resid_pre", layer)]
                found = _changed(texts, tokens, site, resid, torch.cat(put), log_probs)
                out[number][:, columns] = found.reshape(len(put), -1)
                bar.update(len(put) * len(numbers))
    return out


def _changed(
    texts: StitchTexts,
    tokens: Any,
    site: Site,
    resid: torch.Tensor,
    put: torch.Tensor,
    log_probs: torch.Tensor,
) -> np.ndarray:
    """(row,) KL of passes with these values (row, …) at a unit, over the texts again and again."""
    model, n = texts.model_b, tokens.n_rows
    n_tokens = min(TOKENS_PER_PASS, 2 * BYTES // (8 * model.spec.d_vocab))
    most = max(1, n_tokens // tokens.n_columns)
    out = []
    for at in torch.arange(len(put)).split(most):
        rows = (at % n).tolist()
        value = put[at].to(device=resid.device, dtype=resid.dtype)
        some = tokens.take(rows)
        assert site.layer is not None
        # A stand-in that is exactly what it stands in for is nothing to warn of.
        with unchanged_is_fine():
            run = model.run(some, edits=Set(site, value), resume=Resume(site.layer, resid[rows]))
        assert run.logits is not None
        out.append(text_kl(run.logits.double().log_softmax(-1), log_probs[rows], some).cpu())
    return torch.cat(out).numpy()


def _at_mean(mean: torch.Tensor, n_texts: int, length: int) -> torch.Tensor:
    """(text, …) the mean of a unit in the place of its values."""
    if mean.ndim == 0:
        return mean.expand(n_texts, length)
    return mean[:length, :length].expand(n_texts, length, length)


def _unit_site(texts: StitchTexts, layer: int, unit: int) -> Site:
    if texts.over == "neurons":
        return Site(texts.stream, layer, unit=unit)
    return Site(texts.stream, layer, unit)


def estimated_effects(texts: StitchTexts, layers: Sequence[int]) -> np.ndarray:
    """(neuron,) of b's layers: about what ablating each changes of the loss, over fitted texts.

    |Σ over positions of (mean − activation) times the gradient of the text's loss|, a mean over
    texts: attribution patching (Nanda 2023) with the mean as the other run.
    """
    model = texts.model_b
    mean = mean_values(texts, model, layers)
    sites = [Site("mlp_post", layer) for layer in layers]
    total = np.zeros(len(mean))
    for _, ids in texts.parts(texts.fit):
        tokens = model.tokens(ids)

        def loss(logits: torch.Tensor, tokens: Any = tokens) -> torch.Tensor:
            log_probs = logits[:, :-1].float().log_softmax(-1)
            following = log_probs.gather(-1, tokens.ids[:, 1:, None].to(logits.device))
            return -following[..., 0].mean(-1)

        run = model.run(tokens, read=sites, grad_of=loss)
        for i, site in enumerate(sites):
            at = slice(i * model.spec.d_mlp, (i + 1) * model.spec.d_mlp)
            away = mean[at].to(run[site].device) - run[site].float()
            each = (away * run.grad(site).float()).sum(1).abs()
            total[at] += each.double().sum(0).cpu().numpy()
    return total / len(texts.fit)
