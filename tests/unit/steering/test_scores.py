"""Scores of ways to steer by hand: both effects, both damages, and damage below 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import made, two_sided
from workbench.effects import Measure

WAYS = ("flow", "L0.resid_post/3", "L1.resid_post/4")
MEASURES = ("log_probability", "probability")
OPTIONS = [(d, m) for d in ("KL elsewhere", "loss elsewhere") for m in MEASURES]
N_RESAMPLES = 1000
#: With these numbers another damage, or another effect, has another winner.
SEED = 6499


def fields(**given: Any) -> dict[str, np.ndarray]:
    """Three ways at two strengths, on five prompts and four texts; all numbers differ."""
    rng = np.random.default_rng(SEED)
    return {
        "plain_effect": np.log(rng.uniform(0.01, 0.1, 5)),
        "effect": np.log(rng.uniform(0.1, 0.9, (3, 2, 5))),
        "plain_loss": rng.uniform(2, 2.1, 4),
        "loss": np.sort(rng.uniform(2.1, 2.4, (3, 2, 4)), 1),
        "kl": np.sort(rng.uniform(0.1, 2, (3, 2, 4)), 1),
    } | given


def compared(seed: int | None = 0, **given: Any) -> wb.Effects:
    """The same as effects of changes."""
    numbers = fields(**given)
    named = {name: (numbers["plain_effect"], numbers["effect"]) for name in MEASURES[:1]}
    named[MEASURES[1]] = (np.exp(numbers["plain_effect"]), np.exp(numbers["effect"]))
    named["loss elsewhere"] = (numbers["plain_loss"], numbers["loss"])
    named["KL elsewhere"] = (np.zeros(4), numbers["kl"])
    measures = tuple(
        Measure(name, "", plain, changed.reshape(6, -1), np.zeros((0, len(plain))))
        for name, (plain, changed) in named.items()
    )
    changes = {"change": tuple(np.repeat(WAYS, 2).tolist()), "strength": (1.0, 2.0) * 3}
    return made(wb.Effects, seed, what="", changes=changes, controls={}, measures=measures)


def scores(result: wb.Effects, way: str, at: float | None = None, **of: Any) -> Any:
    """The line of a way at equal damage."""
    return result.at_damage(at, **of).set_index("change").loc[way]


def gains(measure: str, **given: Any) -> np.ndarray:
    """(way, strength, prompt), number by number."""
    numbers = fields(**given)
    out = np.empty(numbers["effect"].shape)
    for at, now in np.ndenumerate(numbers["effect"]):
        now, before = float(now), float(numbers["plain_effect"][at[-1]])
        out[at] = now - before if measure == "log_probability" else np.exp(now) - np.exp(before)
    return out


def harms(damage: str, **given: Any) -> np.ndarray:
    numbers = fields(**given)
    out = np.empty(numbers["kl"].shape)
    for at, kl in np.ndenumerate(numbers["kl"]):
        rise = float(numbers["loss"][at]) - float(numbers["plain_loss"][at[-1]])
        out[at] = float(kl) if damage == "KL elsewhere" else rise
    return out


def reached(harm: Sequence[float], gain: Sequence[float], at: float) -> float:
    """The most gain of many points of the line from no push on, over the root of the damage."""

    def root(x: float) -> float:
        return float(np.copysign(abs(x) ** 0.5, x))

    x, y = [0.0, *map(root, harm)], [0.0, *gain]
    share = np.linspace(0, 1, 4001)
    best = -np.inf
    for i in range(len(x) - 1):
        along = x[i] + share * (x[i + 1] - x[i])
        gained = y[i] + share * (y[i + 1] - y[i])
        best = max(best, float(gained[along <= root(at) + 1e-9].max(initial=-np.inf)))
    return best


@pytest.mark.parametrize(("damage", "measure"), OPTIONS)
def test_every_score_takes_the_damage_and_the_effect_that_are_asked_for(
    damage: str, measure: str
) -> None:
    result: Any = compared()
    options: dict[str, Any] = {"damage": damage, "measure": measure}
    gain, harm = gains(measure).mean(-1), harms(damage).mean(-1)
    most = min(harm[i].max() for i in range(3))
    assert result.equal_damage(damage) == pytest.approx(most, abs=1e-6)
    found = {}
    for i, way in enumerate(WAYS):
        found[way] = scores(result, way, **options)["effect"]
        assert found[way] == pytest.approx(reached(harm[i], gain[i], most), abs=2e-3)
        levels = [reached(harm[i], gain[i], at) for at in np.linspace(0, most, 21)]
        area = np.mean([(a + b) / 2 for a, b in pairwise(levels)])
        assert scores(result, way, **options)["area"] == pytest.approx(area, abs=2e-3)
        minus = scores(result, way, beside="flow", **options)["minus"]
        assert minus == pytest.approx(found["flow"] - found[way], abs=1e-6)
    others = [d for d, _ in OPTIONS if d != damage], [m for m in MEASURES if m != measure]
    for other in ({"damage": others[0][0]}, {"measure": others[1][0]}):
        first, second = (
            result.at_damage(**of).set_index("change")["effect"]
            for of in (options | other, options)
        )
        assert not np.allclose(first, second)
    assert list(result.at_damage(**options)["change"]) == list(WAYS)


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 4])
def test_intervals_leave_as_much_on_either_side(level: float, seed: int) -> None:
    result = compared(seed)
    gain, harm = gains("log_probability"), harms("KL elsewhere")
    rng = np.random.default_rng(seed)
    prompts = rng.integers(5, size=(N_RESAMPLES, 5))
    texts = rng.integers(4, size=(N_RESAMPLES, 4))
    # So much damage that every resample reaches its end: the most gain of any point.
    each = [max(0.0, *gain[0][:, rows].mean(-1)) for rows, _ in zip(prompts, texts, strict=True)]
    line = scores(result, "flow", 1e6, level=level)
    found = tuple(line[["effect", "effect_low", "effect_high"]])
    assert found[1:] == pytest.approx(two_sided(each, level), abs=1e-6)
    assert found[0] == pytest.approx(max(0.0, *gain[0].mean(-1)), abs=1e-6)
    assert harm[0].max() < 1e6


def test_a_point_with_just_so_much_damage_is_reached() -> None:
    kl = np.full((3, 2, 4), 0.25)
    kl[:, 1] = 1.0
    effect = np.log(np.full((3, 2, 5), 0.5))
    effect[:, 1] = np.log(0.9)
    result = compared(kl=kl, effect=effect, plain_effect=np.log(np.full(5, 0.1)))
    values = [scores(result, "flow", at, measure="probability").effect for at in (0, 0.25, 1.0, 9)]
    assert values == pytest.approx([0.0, 0.4, 0.8, 0.8], abs=1e-6)
    half = scores(result, "flow", 0.0625, measure="probability").effect
    assert half == pytest.approx(0.2, abs=1e-6)


def test_a_loss_that_falls_is_damage_below_zero_and_no_push_is_always_there() -> None:
    plain = np.full(4, 3.0)
    loss = np.full((3, 2, 4), 3.5)
    loss[0] = [[2.91] * 4, [2.64] * 4]  # the flow only helps: damage -0.09 and -0.36
    result = compared(plain_loss=plain, loss=loss)
    harm = result.effect("loss elsewhere")[result.rows(change="flow"), 0]
    np.testing.assert_allclose(harm, [-0.09, -0.36], atol=1e-6)
    # The way that helps reaches no damage above 0, so what all reach is that of no push.
    assert result.equal_damage("loss elsewhere") == 0.0
    best = result.at_damage(damage="loss elsewhere").set_index("change")
    assert np.isfinite(best["effect"]).all() and best.loc[WAYS[1], "effect"] == 0.0
    gain = gains("log_probability")[0].mean(-1)
    assert best.loc["flow", "effect"] == pytest.approx(max(0.0, *gain), abs=1e-6)
    assert best.loc[WAYS[1], "area"] == 0.0
    # The root keeps the sign: half of the way to -0.36 is at -0.09.
    line = compared(
        plain_loss=plain,
        loss=np.array([[[2.64] * 4] * 2] * 3),
        effect=np.log(np.full((3, 2, 5), 0.9)),
        plain_effect=np.log(np.full(5, 0.1)),
    )
    of: Any = {"damage": "loss elsewhere", "measure": "probability"}
    found = scores(line, "flow", -0.09, **of).effect
    assert found == pytest.approx(0.8, abs=1e-6)
    short = compared(
        plain_loss=plain,
        loss=np.array([[[2.64] * 4, [4.0] * 4]] * 3),
        effect=np.log(np.array([[[0.5] * 5, [0.9] * 5]] * 3)),
        plain_effect=np.log(np.full(5, 0.1)),
    )
    # From -0.36 (root -0.6) at 0.4 to 1 (root 1) at 0.8: nothing is changed at 6/16 of that way.
    found = scores(short, "flow", 0.0, **of).effect
    assert found == pytest.approx(0.4 + 0.4 * 6 / 16, abs=1e-6)
