"""Scores of ways to steer by hand: both effects, both damages, and damage below 0."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import made, two_sided

WAYS = ("flow", "L0.resid_post/3", "random")
OPTIONS = [(d, m) for d in ("kl", "loss") for m in ("log_probability", "probability")]
N_RESAMPLES = 1000
#: With these numbers another damage, or another effect, has another winner.
SEED = 6499


def compared(seed: int | None = 0, **given: Any) -> Any:
    """Three ways at two strengths, on five prompts and four texts; all numbers differ."""
    rng = np.random.default_rng(SEED)
    fields = {
        "plain_effect": np.log(rng.uniform(0.01, 0.1, 5)),
        "effect": np.log(rng.uniform(0.1, 0.9, (3, 2, 5))),
        "plain_loss": rng.uniform(2, 2.1, 4),
        "loss": np.sort(rng.uniform(2.1, 2.4, (3, 2, 4)), 1),
        "kl": np.sort(rng.uniform(0.1, 2, (3, 2, 4)), 1),
    } | given
    names = {"path": WAYS[1:2], "ways": WAYS, "concept": (" a",), "unit": 1.0, "n_random": 1}
    return made(wb.SteeringComparison, seed, strengths=np.array([1.0, 2.0]), **names, **fields)


def gains(result: Any, measure: str) -> np.ndarray:
    """(way, strength, prompt), number by number."""
    out = np.empty(result.effect.shape)
    for at, now in np.ndenumerate(result.effect):
        now, before = float(now), float(result.plain_effect[at[-1]])
        out[at] = now - before if measure == "log_probability" else np.exp(now) - np.exp(before)
    return out


def harms(result: Any, damage: str) -> np.ndarray:
    out = np.empty(result.kl.shape)
    for at, kl in np.ndenumerate(result.kl):
        rise = float(result.loss[at]) - float(result.plain_loss[at[-1]])
        out[at] = float(kl) if damage == "kl" else rise
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
    result, options = compared(), {"damage": damage, "measure": measure}
    gain, harm = gains(result, measure).mean(-1), harms(result, damage).mean(-1)
    most = min(harm[i].max() for i in range(2))
    assert result.matched_damage(damage) == pytest.approx(most, abs=1e-6)
    found = {}
    for i, way in enumerate(WAYS):
        found[way] = result.effect_at(way, **options)[0]
        assert found[way] == pytest.approx(reached(harm[i], gain[i], most), abs=2e-3)
        levels = [reached(harm[i], gain[i], at) for at in np.linspace(0, most, 21)]
        area = np.mean([(a + b) / 2 for a, b in pairwise(levels)])
        assert result.area(way, **options)[0] == pytest.approx(area, abs=2e-3)
        minus = result.difference("flow", way, **options)[0]
        assert minus == pytest.approx(found["flow"] - found[way], abs=1e-6)
    others = [d for d in ("kl", "loss") if d != damage], [m for _, m in OPTIONS[:2] if m != measure]
    for other in ({"damage": others[0][0]}, {"measure": others[1][0]}):
        assert result.winner(**(options | other)) != result.winner(**options)
    best = result.best(**options)
    order = sorted(WAYS, key=lambda way: -found[way])
    assert list(best.index) == order and result.winner(**options) == order[0]
    for way in WAYS:
        line = best.loc[way]
        assert line["effect"] == pytest.approx(found[way])
        assert line["flow_minus"] == pytest.approx(found["flow"] - found[way], abs=1e-6)
        assert line["area"] == pytest.approx(result.area(way, **options)[0])


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 4])
def test_intervals_leave_as_much_on_either_side(level: float, seed: int) -> None:
    result = compared(seed)
    gain, harm = gains(result, "log_probability"), harms(result, "kl")
    rng = np.random.default_rng(seed)
    prompts = rng.integers(5, size=(N_RESAMPLES, 5))
    texts = rng.integers(4, size=(N_RESAMPLES, 4))
    # So much damage that every resample reaches its end: the most gain of any point.
    each = [max(0.0, *gain[0][:, rows].mean(-1)) for rows, _ in zip(prompts, texts, strict=True)]
    found = result.effect_at("flow", 1e6, level=level)
    assert found[1:] == pytest.approx(two_sided(each, level), abs=1e-6)
    assert found[0] == pytest.approx(max(0.0, *gain[0].mean(-1)), abs=1e-6)
    assert harm[0].max() < 1e6


def test_a_point_with_just_so_much_damage_is_reached() -> None:
    kl = np.full((3, 2, 4), 0.25)
    kl[:, 1] = 1.0
    effect = np.log(np.full((3, 2, 5), 0.5))
    effect[:, 1] = np.log(0.9)
    result = compared(kl=kl, effect=effect, plain_effect=np.log(np.full(5, 0.1)))
    values = [result.effect_at("flow", at, measure="probability")[0] for at in (0, 0.25, 1.0, 9)]
    assert values == pytest.approx([0.0, 0.4, 0.8, 0.8], abs=1e-6)
    half = result.effect_at("flow", 0.0625, measure="probability")[0]
    assert half == pytest.approx(0.2, abs=1e-6)


def test_a_loss_that_falls_is_damage_below_zero_and_no_push_is_always_there() -> None:
    plain = np.full(4, 3.0)
    loss = np.full((3, 2, 4), 3.5)
    loss[0] = [[2.91] * 4, [2.64] * 4]  # the flow only helps: damage -0.09 and -0.36
    result = compared(plain_loss=plain, loss=loss)
    np.testing.assert_allclose(result.harm("loss")[0].mean(-1), [-0.09, -0.36], atol=1e-6)
    # The way that helps reaches no damage above 0, so what all reach is that of no push.
    assert result.matched_damage("loss") == 0.0
    best = result.best(damage="loss")
    assert np.isfinite(best["effect"]).all() and best.loc[WAYS[1], "effect"] == 0.0
    gain = gains(result, "log_probability")[0].mean(-1)
    assert best.loc["flow", "effect"] == pytest.approx(max(0.0, *gain), abs=1e-6)
    assert result.area(WAYS[1], damage="loss")[0] == 0.0
    # The root keeps the sign: half of the way to -0.36 is at -0.09.
    line = compared(
        plain_loss=plain,
        loss=np.array([[[2.64] * 4] * 2] * 3),
        effect=np.log(np.full((3, 2, 5), 0.9)),
        plain_effect=np.log(np.full(5, 0.1)),
    )
    found = line.effect_at("flow", -0.09, damage="loss", measure="probability")[0]
    assert found == pytest.approx(0.8, abs=1e-6)
    short = compared(
        plain_loss=plain,
        loss=np.array([[[2.64] * 4, [4.0] * 4]] * 3),
        effect=np.log(np.array([[[0.5] * 5, [0.9] * 5]] * 3)),
        plain_effect=np.log(np.full(5, 0.1)),
    )
    # From -0.36 (root -0.6) at 0.4 to 1 (root 1) at 0.8: nothing is changed at 6/16 of that way.
    found = short.effect_at("flow", 0.0, damage="loss", measure="probability")[0]
    assert found == pytest.approx(0.4 + 0.4 * 6 / 16, abs=1e-6)


def test_the_table_says_how_probable_the_concept_is_and_not_what_it_gained() -> None:
    result, frame = compared(), compared().to_frame()
    for i, way in enumerate(WAYS):
        own = frame[frame["way"] == way]
        np.testing.assert_allclose(own["probability"], np.exp(result.effect[i]).mean(-1), rtol=1e-6)
        np.testing.assert_allclose(own["loss"], harms(result, "loss")[i].mean(-1), rtol=1e-6)
        np.testing.assert_allclose(own["kl"], result.kl[i].mean(-1), rtol=1e-6)
        gain = gains(result, "log_probability")[i].mean(-1)
        np.testing.assert_allclose(own["effect"], gain, rtol=1e-5)
