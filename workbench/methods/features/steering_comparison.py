"""Steering compared: along the flow against one layer, by what it gains and what it damages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ...activations import batches, check_texts
from ...check import Count, Level, Positive, Seed, checked
from ...edits import Add
from ...features.flow import FeatureFlow
from ...model import Model, Prompts
from ...resample import bootstrap
from ...result import Result, axes, provenance
from ...targets import Targets, token_ids
from ...tokens import token_strings
from .steering_plan import Push, edits_of, read_dictionaries, read_pushes, typical_length
from .steering_runs import (
    concept_log_probs,
    divergences,
    log_probs,
    losses,
    random_edits,
    settings,
)

FLOW, RANDOM = "flow", "random"
STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
DAMAGES = ("kl", "loss")
EFFECTS = ("log_probability", "probability")
N_RESAMPLES = 1000


@dataclass(frozen=True, eq=False, repr=False)
class SteeringComparison(Result):
    """What each way to spread a push gains for a concept, and what it does to other texts.

    path: the features of the flow that are pushed. ways: "flow", equal shares along the path; each
    feature of the path, the whole push in its layer; "random", as "flow" but along random
    directions, the mean of several draws. At one strength all ways add the same length.

    concept: the tokens to be promoted. unit: the length of strength 1. strengths: (strength).
    plain_effect (batch), effect (way, strength, batch): natural log-probability of the concept
    (its tokens' summed probability) after each prompt. kl (way, strength, text): KL(plain ‖
    steered) on other texts, the mean over positions, in nats; plain_loss (text), loss (way,
    strength, text): mean cross-entropy of their next tokens. For "random" they are means over the
    draws.
    """

    path: tuple[str, ...]
    ways: tuple[str, ...]
    concept: tuple[str, ...]
    unit: float
    n_random: int
    strengths: np.ndarray = axes("strength", np.float64)
    plain_effect: np.ndarray = axes("batch")
    effect: np.ndarray = axes("way strength batch")
    plain_loss: np.ndarray = axes("text")
    loss: np.ndarray = axes("way strength text")
    kl: np.ndarray = axes("way strength text")

    picture = "steering.steering_comparison"

    # -- numbers ---------------------------------------------------------------------------------

    def gain(self, measure: str = "log_probability") -> np.ndarray:
        """(way, strength, batch) what steering adds to the concept, or to its probability."""
        if measure not in EFFECTS:
            raise ValueError(f"The effect is one of {', '.join(EFFECTS)}; got {measure!r}.")
        now, before = self.effect.astype(np.float64), self.plain_effect.astype(np.float64)
        return now - before if measure == EFFECTS[0] else np.exp(now) - np.exp(before)

    def harm(self, damage: str = "kl") -> np.ndarray:
        """(way, strength, text) the damage: KL, or the rise of the loss, in nats a token."""
        if damage not in DAMAGES:
            raise ValueError(f"The damage is one of {', '.join(DAMAGES)}; got {damage!r}.")
        if damage == "kl":
            return self.kl.astype(np.float64)
        return self.loss.astype(np.float64) - self.plain_loss.astype(np.float64)

    def matched_damage(self, damage: str = "kl") -> float:
        """The largest mean damage that every way but "random" reaches, so that all compare.

        0, that of no push, where a way does no damage (the loss falls at every strength).
        """
        means = self.harm(damage).mean(-1).max(-1, initial=0.0)
        return float(min(means[i] for i, way in enumerate(self.ways) if way != RANDOM))

    def effect_at(
        self,
        way: str,
        at: float | None = None,
        *,
        damage: str = "kl",
        measure: str = "log_probability",
        level: Level = 0.95,
    ) -> tuple[float, float, float]:
        """The most a way gains with at most so much mean damage, and its interval: value, low,
        high.

        Read off straight lines between the points of the strengths, beginning at no push, over the
        square root of the damage: of a small push the effect grows with its length and KL with the
        square of that. at: the damage, `matched_damage` where it is None. The interval: bootstrap
        over prompts and texts. Raises `ValueError` for another way, measure or damage.
        """
        i = self._way(way)
        at = self.matched_damage(damage) if at is None else at
        return self._interval(lambda x, y: _reached(x[i], y[i], at), measure, damage, level)

    def area(
        self,
        way: str,
        *,
        damage: str = "kl",
        measure: str = "log_probability",
        level: Level = 0.95,
    ) -> tuple[float, float, float]:
        """The mean of `effect_at` over damages from 0 to `matched_damage`: value, low, high."""
        i, most = self._way(way), self.matched_damage(damage)

        def statistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
            levels = np.linspace(0, most, 21)
            each = np.stack([_reached(x[i], y[i], at) for at in levels])
            return np.trapezoid(each, dx=1 / 20, axis=0)

        return self._interval(statistic, measure, damage, level)

    def difference(
        self,
        way: str,
        other: str,
        at: float | None = None,
        *,
        damage: str = "kl",
        measure: str = "log_probability",
        level: Level = 0.95,
    ) -> tuple[float, float, float]:
        """`effect_at` of one way minus that of another, paired: value, low, high."""
        i, j = self._way(way), self._way(other)
        at = self.matched_damage(damage) if at is None else at
        return self._interval(
            lambda x, y: _reached(x[i], y[i], at) - _reached(x[j], y[j], at),
            measure,
            damage,
            level,
        )

    def best(self, *, damage: str = "kl", measure: str = "log_probability") -> pd.DataFrame:
        """The ways, the one with the most effect at `matched_damage` first.

        Columns: effect with _low and _high, area (see there), and the paired difference from
        "flow", flow_minus with _low and _high (0 for "flow" itself), all with 95 % intervals.
        """
        options: dict[str, Any] = {"damage": damage, "measure": measure}
        rows = []
        for way in self.ways:
            effect, low, high = self.effect_at(way, **options)
            minus = self.difference(FLOW, way, **options)
            rows.append(
                {
                    "effect": effect,
                    "effect_low": low,
                    "effect_high": high,
                    "area": self.area(way, **options)[0],
                    "flow_minus": minus[0],
                    "flow_minus_low": minus[1],
                    "flow_minus_high": minus[2],
                }
            )
        frame = pd.DataFrame(rows, index=pd.Index(self.ways, name="way"))
        return frame.sort_values("effect", ascending=False, kind="stable")

    def winner(self, *, damage: str = "kl", measure: str = "log_probability") -> str:
        """The way with the most effect at the matched damage."""
        return str(self.best(damage=damage, measure=measure).index[0])

    def to_frame(self) -> pd.DataFrame:
        """One line a way and strength: effect (gain in log-probability), probability (of the
        concept), kl and loss (its rise), each a mean with its 95 % interval in _low and _high.
        """
        columns = {
            "effect": self.gain(),
            "probability": np.exp(self.effect.astype(np.float64)),
            "kl": self.harm("kl"),
            "loss": self.harm("loss"),
        }
        rows = []
        for i, way in enumerate(self.ways):
            for s, strength in enumerate(self.strengths):
                row: dict[str, Any] = {"way": way, "strength": float(strength)}
                for name, values in columns.items():
                    one = values[i, s]
                    low, high = bootstrap(
                        lambda chosen, one=one: one[chosen].mean(-1), len(one), seed=self.seed or 0
                    )
                    row |= {name: float(one.mean()), f"{name}_low": low, f"{name}_high": high}
                rows.append(row)
        return pd.DataFrame(rows)

    def _way(self, way: str) -> int:
        if way not in self.ways:
            raise ValueError(f"The ways compared are {', '.join(self.ways)}; got {way!r}.")
        return self.ways.index(way)

    def _interval(
        self,
        statistic: Callable[[np.ndarray, np.ndarray], np.ndarray],
        measure: str,
        damage: str,
        level: float,
    ) -> tuple[float, float, float]:
        """statistic: from damage and gain (way, strength, resample) to (resample)."""
        gain, harm = self.gain(measure), self.harm(damage)
        value = statistic(harm.mean(-1, keepdims=True), gain.mean(-1, keepdims=True))
        # One draw of numbers serves both: prompts and texts are resampled independently.
        n = gain.shape[-1] + harm.shape[-1]
        rng = np.random.default_rng(self.seed or 0)
        prompts = rng.integers(gain.shape[-1], size=(N_RESAMPLES, gain.shape[-1]))
        texts = rng.integers(harm.shape[-1], size=(N_RESAMPLES, n - gain.shape[-1]))
        drawn = statistic(harm[..., texts].mean(-1), gain[..., prompts].mean(-1))
        low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
        return float(value[0]), float(low), float(high)

    def _facts(self) -> str:
        at = self.matched_damage()
        harm, gain = self.harm().mean(-1), self.gain().mean(-1)
        reached = {
            way: float(_reached(harm[i, :, None], gain[i, :, None], at)[0])
            for i, way in enumerate(self.ways)
        }
        order = sorted(reached, key=lambda way: -reached[way])
        each = [f"{way} {reached[way]:.3g}" for way in order]
        return f"gain in log-probability of the concept at KL {at:.3g}: {', '.join(each)}"


def root(damage: np.ndarray) -> np.ndarray:
    """The square root, of a negative damage (a loss that fell) minus that of its size."""
    return np.sign(damage) * np.sqrt(np.abs(damage))


def _reached(harm: np.ndarray, gain: np.ndarray, at: float) -> np.ndarray:
    """The most gain on the line from (0, 0) through the points with at most `at` damage.

    harm, gain: (strength, resample) in the order of strengths. Gives (resample).
    """
    zero, limit = np.zeros_like(harm[:1]), root(np.asarray(at))
    x, y = np.concatenate([zero, root(harm)]), np.concatenate([zero, gain])
    best = np.full(x.shape[1:], -np.inf)
    for here, there, low, high in zip(x[:-1], x[1:], y[:-1], y[1:], strict=True):
        best = np.where(here <= limit, np.maximum(best, low), best)
        best = np.where(there <= limit, np.maximum(best, high), best)
        # The line crosses the limit inside this step.
        crosses = (here - limit) * (there - limit) < 0
        share = np.where(crosses, (limit - here) / np.where(crosses, there - here, 1.0), 0.0)
        best = np.where(crosses, np.maximum(best, low + share * (high - low)), best)
    return best


@checked
def compare_steering(
    model: Model,
    flow: FeatureFlow,
    texts: Any,
    *,
    concept: Targets,
    prompts: Prompts,
    dicts: Any = None,
    strengths: Sequence[float] = STRENGTHS,
    unit: Positive | None = None,
    n_random: Count = 3,
    seed: Seed = 0,
    batch_size: Count = 16,
    progress: bool = True,
) -> SteeringComparison:
    """Steering along a flow beside steering at each of its layers, as a `SteeringComparison`.

    texts: what the push should leave alone; damage is measured on them. concept: the tokens that
    the push should promote, words or ids. prompts: where it should; the effect is read after their
    last token, so that they should be ones where the concept could follow. strengths: above 0,
    ascending, in units as in `steer`, close enough that straight lines between them are fair.
    unit: None measures the path's typical size on `texts`. n_random: random unit directions, drawn
    anew at every layer, spread as the flow is. batch_size: texts in one pass. The push acts at
    every position.

    Raises `ValueError` for a path of one layer, where there is nothing to compare, for strengths
    that are not ascending and above 0, no texts, texts of a single token, and a concept that is no
    token; `KeyError` for a site without a dictionary.

    Source: after the multi-layer steering of Laptev et al. (2025); the curves of effect over
    damage, matched damage and the random control are ours.
    """
    given = [float(s) for s in strengths]
    if not given or given[0] <= 0 or any(a >= b for a, b in pairwise(given)):
        raise ValueError(f"Strengths are numbers above 0, ascending; got {tuple(strengths)!r}.")
    dicts = read_dictionaries(model, dicts)
    pushes, path = read_pushes(flow, dicts)
    if len(path) < 2:
        raise ValueError(
            f"A flow is compared with its single layers, so its path has at least two; this one "
            f"is {', '.join(map(str, path)) or 'empty'}. Take a feature with a predecessor."
        )
    ids = list(dict.fromkeys(token_ids(model.tokenizer, concept, of="A word of the concept")))
    if not ids:
        raise ValueError("A concept is at least one token, like [' cat', ' dog']; got none.")
    asked, n_texts = model.tokens(prompts), check_texts(texts)
    unit = typical_length(model, dicts, path, texts) if unit is None else float(unit)

    ways = (FLOW, *map(str, path), RANDOM)
    plans: list[list[list[Add]]] = []  # (way, draw) → edits of length 1
    plans.append([edits_of(pushes, dicts, 1.0)])
    plans += [[edits_of([Push(site, 1.0)], dicts, 1.0)] for site in path]
    rng = np.random.default_rng(seed)
    plans.append([random_edits(pushes, dicts, rng) for _ in range(n_random)])

    shape = (len(ways), len(given))
    effect = np.zeros((*shape, len(asked)))
    kl, loss = (np.zeros((*shape, n_texts)) for _ in range(2))
    plain_effect = concept_log_probs(model, asked, (), ids)
    plain_loss = np.zeros(n_texts)
    n_batches = -(-n_texts // max(1, batch_size))
    total = sum(map(len, plans)) * len(given) * (n_batches + 1)
    with tqdm(total=total, desc="steering", disable=not progress) as bar:
        for w, s, edits, share in settings(plans, given, unit):
            effect[w, s] += share * concept_log_probs(model, asked, edits, ids)
            bar.update()
        for rows, tokens in batches(model, texts, batch_size):
            if min(tokens.lengths) < 2:
                raise ValueError(
                    "The loss is that of each next token, so a text has at least two tokens; text "
                    f"{rows.start + tokens.lengths.index(1)} has one."
                )
            plain = log_probs(model, tokens, ())
            plain_loss[rows] = losses(plain, tokens)
            for w, s, edits, share in settings(plans, given, unit):
                steered = log_probs(model, tokens, edits)
                kl[w, s, rows] += share * divergences(plain, steered, tokens)
                loss[w, s, rows] += share * losses(steered, tokens)
                bar.update()
    return SteeringComparison(
        **provenance(model, asked, seed),
        path=tuple(map(str, path)),
        ways=ways,
        concept=tuple(token_strings(model.tokenizer, ids)),
        unit=unit,
        n_random=n_random,
        strengths=np.array(given),
        plain_effect=plain_effect,
        effect=effect,
        plain_loss=plain_loss,
        loss=loss,
        kl=kl,
    )
