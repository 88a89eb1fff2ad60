"""Stitching: does the unit that an alignment names do its partner's job in the other model?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ...activations import check_texts
from ...check import Count, Level, Seed, checked, given
from ...model import Model, Prompts
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...site import Site
from .stitch_choice import largest_effects, paired, place_of, pool_layers, stand_ins, unit_name
from .stitch_fits import fit, held_out_correlation
from .stitch_runs import divergences
from .stitch_texts import StitchTexts
from .weight_alignment import WeightAlignment

#: What is put in for a component of b: its partner, the best of a by activation, random ones.
STAND_INS = ("partner", "best", "random")
#: An ablation that moves the output by less than this, in nats, leaves nothing to bring back.
SMALLEST = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class Stitching(Result):
    """What is left of a model when units of another stand in for its own.

    `model` is a, whose units stand in; `model_b` is the one that runs. components: of b. partners:
    of a, by the alignment, similarity: (component,) of their weights. best: of a, the unit with the
    largest correlation on the fitted texts, among those the partner was chosen from (of heads among
    all). controls: for each component random units from the same place. chosen: how components were
    chosen. n_fit: texts fitted on; all numbers are of the other texts, whose `tokens` these are.

    correlation: (component, stand_in) of activations, or of patterns less their means; stand-ins
    are the partner, the best, then the random ones. ablated: (component, text) KL(plain ‖ ablated)
    in nats, a mean over positions, with the component at its mean; stitched: (component, stand_in,
    text) with a stand-in.
    """

    model_b: str
    revision_b: str
    of: str
    chosen: str
    n_fit: int
    components: tuple[str, ...]
    partners: tuple[str, ...]
    best: tuple[str, ...]
    controls: tuple[tuple[str, ...], ...]
    similarity: np.ndarray = axes("component")
    correlation: np.ndarray = axes("component stand_in")
    ablated: np.ndarray = axes("component text")
    stitched: np.ndarray = axes("component stand_in text")

    picture = "alignments.stitching"

    def recovered(self, stand_in: str = "partner") -> np.ndarray:
        """(component,) the share of the damage of ablating it that a stand-in brings back.

        1 − mean KL stitched / mean KL ablated: 1 is the component itself, 0 its mean, negative is
        worse than its mean; NaN where ablating it does nothing. stand_in: "partner", "best" or
        "random" (the mean over the random ones). Raises `ValueError` for another.
        """
        return self.shares[:, self._at(stand_in)].mean(1)

    @property
    def shares(self) -> np.ndarray:
        """(component, stand_in) `recovered` of every stand-in by itself."""
        ablated = self.ablated.astype(np.float64).mean(-1)[:, None]
        stitched = self.stitched.astype(np.float64).mean(-1)
        return 1 - stitched / np.where(ablated > SMALLEST, ablated, np.nan)

    def _at(self, stand_in: str) -> slice:
        if stand_in not in STAND_INS:
            raise ValueError(f"A stand-in is {', '.join(map(repr, STAND_INS))}; got {stand_in!r}.")
        first = STAND_INS.index(stand_in)
        return slice(first, None if stand_in == "random" else first + 1)

    def interval(
        self, component: str, stand_in: str = "partner", level: Level = 0.95
    ) -> tuple[float, float]:
        """The interval of one component's `recovered`: bootstrap over texts.

        Raises `ValueError` for a component that is not here.
        """
        if component not in self.components:
            raise ValueError(
                f"These components were stitched: {', '.join(self.components)}; got {component!r}."
            )
        number = self.components.index(component)
        ablated, stitched = self.ablated[number], self.stitched[number, self._at(stand_in)].mean(0)
        if np.isnan(self.recovered(stand_in)[number]):
            return float("nan"), float("nan")
        return bootstrap(
            lambda i: 1 - stitched[i].mean(-1) / ablated[i].mean(-1),
            len(ablated),
            level,
            self.seed or 0,
        )

    def overall(self, stand_in: str = "partner", level: Level = 0.95) -> tuple[float, float, float]:
        """The median of `recovered` over components and its interval, bootstrap over components.

        The median, since a share has no lower bound and one bad stand-in would be the mean.
        """
        each = self.recovered(stand_in)
        each = each[np.isfinite(each)]
        if not len(each):
            nan = float("nan")
            return nan, nan, nan
        low, high = bootstrap(lambda i: np.median(each[i], -1), len(each), level, self.seed or 0)
        return float(np.median(each)), low, high

    @property
    def beats_random(self) -> np.ndarray:
        """(component,) whether the partner brings back more than each of the random units."""
        return self.recovered() > self.shares[:, self._at("random")].max(1)

    def to_frame(self) -> pd.DataFrame:
        """One line a component: component, partner, best, similarity, ablated (mean KL), and for
        partner, best and random the correlation and recovered; of partner also its 95 % interval
        (recovered_low, _high) and beats_random.
        """
        columns = {
            "component": self.components,
            "partner": self.partners,
            "best": self.best,
            "similarity": self.similarity,
            "ablated": self.ablated.mean(-1),
        }
        for name in STAND_INS:
            columns[f"correlation_{name}"] = self.correlation[:, self._at(name)].mean(1)
        for name in STAND_INS:
            columns[f"recovered_{name}"] = self.recovered(name)
        ends = np.array([self.interval(component) for component in self.components])
        columns |= {"recovered_low": ends[:, 0], "recovered_high": ends[:, 1]}
        return pd.DataFrame(columns | {"beats_random": self.beats_random})

    def _facts(self) -> str:
        parts = []
        for name in STAND_INS:
            median, low, high = self.overall(name)
            parts.append(f"{name} {median:.2f} [{low:.2f}, {high:.2f}]")
        n = len(self.components)
        return (
            f"{n} {self.of} of {self.model_b} replaced by units of {self.model}, median share "
            f"of the damage brought back: {', '.join(parts)}; the partner beats random for "
            f"{int(self.beats_random.sum())} of {n}"
        )


@checked
def stitch(
    alignment: WeightAlignment,
    model_a: Model,
    model_b: Model,
    texts: Prompts,
    *,
    n: Count = 16,
    components: str | Site | Sequence[str | Site] | None = None,
    n_random: Count = 4,
    seed: Seed = 0,
    progress: bool = True,
) -> Stitching:
    """Whether units of model_a do the job of those of model_b they are aligned with.

    A neuron of b is given, at every position, what its partner in a has on the same tokens, scaled
    and shifted by least squares on one half of the texts; a head of b is given its partner's
    attention pattern, as it is, and keeps its own values. Everything else of b follows. Measured on
    the other half: how much of what ablating the component (at its mean activation, or its mean
    pattern at these positions) does to the output is brought back. Compared with random units of a
    and with the unit of a that correlates most, both fitted in the same way: the partner is worth
    something if it is far above the first, and all there is to find if it is near the second.

    components: sites in b, as the alignment names them. None takes the `n` whose ablation does the
    most on the fitted texts, of neurons among the 3 n with the largest estimates by gradients: the
    result is about components that matter. n_random: random units for each. seed: of the split,
    the random units and the intervals.

    Raises `ValueError` for models other than the aligned ones, models that read other tokens, fewer
    than four texts, components without a partner, and models whose patterns cannot be edited.

    Source: model stitching, Bansal et al. (2021, arXiv:2106.07682), here of single units.
    """
    _check_models(alignment, model_a, model_b)
    check_texts(texts)
    pairs = paired(alignment, components)
    model_b.spec.check(Site("mlp_post" if alignment.of == "neurons" else "pattern", 0), edit=True)
    data = StitchTexts.of_models(model_a, model_b, texts, of=alignment.of, seed=seed)
    with tqdm(desc="stitching", delay=1.0, disable=not progress) as bar:
        if components is None:
            pairs = largest_effects(alignment, data, pairs, n, bar)
        places = [place_of(alignment, pair) for pair in pairs]
        layers_a = pool_layers(alignment, pairs)
        fitted = fit(data, layers_a, places)
        others = stand_ins(alignment, pairs, layers_a, fitted, n_random, seed)
        options = {"fitted": fitted, "layers_a": layers_a, "stand_ins": others}
        found = divergences(data, data.held_out, places, fitted.mean_b, bar, **options)
    correlation = held_out_correlation(data, fitted, layers_a, places)
    names = [[unit_name(alignment, layers_a, unit) for unit in row] for row in others.tolist()]
    tokens = model_b.tokens([list(data.rows[text]) for text in data.held_out])
    return Stitching(
        **provenance(model_a, tokens, seed),
        model_b=model_b.spec.name,
        revision_b=model_b.spec.revision,
        of=alignment.of,
        chosen="largest ablation effect" if components is None else "given",
        n_fit=len(data.fit),
        components=tuple(alignment.names_b[pair] for pair in pairs),
        partners=tuple(alignment.names_a[pair] for pair in pairs),
        best=tuple(row[1] for row in names),
        controls=tuple(tuple(row[2:]) for row in names),
        similarity=alignment.similarity[pairs],
        correlation=np.take_along_axis(correlation, others, 1),
        ablated=found[:, 0],
        stitched=found[:, 1:],
    )


def _check_models(alignment: WeightAlignment, model_a: Model, model_b: Model) -> None:
    if not isinstance(alignment, WeightAlignment):
        raise TypeError(
            f"Stitching follows a WeightAlignment, wb.align_weights(a, b); got {given(alignment)}."
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
