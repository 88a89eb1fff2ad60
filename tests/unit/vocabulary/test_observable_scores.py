"""Scores of observables and of unlearning by hand: turned round, out of range, without a spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import draws, made, two_sided
from workbench.effects import Measure

BEFORE = np.array([1.0, -2.0, 0.5, 4.0])


def of_pairs(statistic: str, x: np.ndarray, y: np.ndarray) -> wb.Effects:
    sums = np.stack([x, y, x * x, y * y], -1)[None]
    sums = sums[..., 2:3] if statistic == "ratio" else sums
    none = np.zeros((0, len(x)))
    one = Measure("m", "", 0 * x, (x * y)[None], none, sums=sums, statistic=statistic)
    return made(
        wb.Effects, what="b", changes={"change": ("a",)}, controls={}, measures=(one,)
    )  # fmt: skip


@pytest.mark.parametrize("left", [-0.5, 0.0, 0.25, 1.0, 1.75])
def test_a_slope_may_be_more_than_all_or_less_than_nothing(left: float) -> None:
    slope = of_pairs("slope", BEFORE, 3 + (1 - left) * BEFORE)
    assert slope.score()[0] == pytest.approx(1 - left, abs=1e-12)


@pytest.mark.filterwarnings("error")
def test_a_slope_and_a_correlation_keep_their_signs() -> None:
    said = np.array([0.5, 1.0, -0.5, 2.0])

    def value(statistic: str, x: np.ndarray, y: np.ndarray) -> float:
        return of_pairs(statistic, x, y).score(draws=0)[0]

    assert value("ratio", said, -3 * said) == pytest.approx(-3)
    assert value("slope", said, 1 - 3 * said) == pytest.approx(-3)
    assert value("correlation", said, -3 * said) == pytest.approx(-1)
    # Through 0: predictions that are all the same have a slope, and no correlation.
    flat = np.ones(4)
    assert value("ratio", flat, 2 * flat) == pytest.approx(2)
    for x, y in ((flat, said), (said, flat)):
        assert np.isnan(value("correlation", x, y))
    assert np.isnan(value("ratio", 0 * flat, said)) and np.isnan(value("slope", flat, said))


DIRECT = {
    "ratio": lambda x, y: (x @ y) / (x @ x),
    "slope": lambda x, y: np.polyfit(x, y, 1)[0],
    "correlation": lambda x, y: np.corrcoef(x, y)[0, 1],
}


@pytest.mark.parametrize("n", [6, 12, 24])
@pytest.mark.parametrize("statistic", list(DIRECT))
def test_intervals_are_as_wide_as_those_of_a_slow_bootstrap(statistic: str, n: int) -> None:
    wide, own = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal(n)
        y = 2 * x + rng.standard_normal(n)
        value, *ends = of_pairs(statistic, x, y).score()
        assert value == pytest.approx(DIRECT[statistic](x, y))
        rows = rng.integers(n, size=(500, n))
        rows = rows[[len(set(some)) > 1 for some in rows]]
        each = [DIRECT[statistic](x[some], y[some]) for some in rows]
        wide.append(np.diff(two_sided(each, 0.95)))
        own.append(np.diff(ends))
    assert np.mean(own) == pytest.approx(np.mean(wide), rel=0.1)


@pytest.mark.parametrize(("statistic", "true"), [("ratio", 2), ("slope", 2), ("correlation", 0.8)])
def test_intervals_hold_the_truth_as_often_as_they_say(statistic: str, true: float) -> None:
    held, n_sims, n = 0, 300, 24
    for seed in range(n_sims):
        rng = np.random.default_rng([1, seed])
        x = rng.standard_normal(n)
        _, low, high = of_pairs(statistic, x, 2 * x + 1.5 * rng.standard_normal(n)).score(draws=400)
        held += low <= true <= high
    # A percentile bootstrap of 24 examples falls a little short of the 95 % it aims at.
    assert 0.88 <= held / n_sims <= 0.98


def audited(seed: int | None = 0) -> wb.Effects:
    """Two questions about the concept, behind other text one, two about others; three texts."""
    none = np.zeros((0, 3))

    def measure(name: str, *values: list[float], damage: bool = False) -> Measure:
        plain, *changed = map(np.array, values)
        controls = none[:, : len(plain)]
        return Measure(name, "", plain, np.stack(changed), controls, damage=damage)

    return made(
        wb.Effects,
        seed,
        what="b",
        changes={"change": ("after", "ablated")},
        controls={},
        measures=(
            measure("prompts", [0.9, 0.7], [0.1, 0.8], [0.5, 0.5]),
            measure("after other text", [0.5], [0.5], [0.4]),
            measure("else", [0.2, 0.4], [0.3, 0.1], [0.2, 0.3]),
            measure("loss elsewhere", [2, 1, 3], [2.5, 0.5, 3], [2.1, 1.1, 3.3], damage=True),
            measure("KL elsewhere", [0, 0, 0], [0.4, 0.1, 0.7], [0.2, 0.2, 0.2], damage=True),
        ),
    )


@pytest.mark.parametrize("seed", [0, 8])
def test_an_audit_counts_what_rose_and_what_fell(seed: int) -> None:
    frame = audited(seed).to_frame()
    ablated = frame[frame.change == "ablated"].set_index("measure")
    frame = frame[frame.change == "after"].set_index("measure")
    changes = {
        "prompts": [-0.8, 0.1],
        "after other text": [0.0],
        "else": [0.1, -0.3],
        "loss elsewhere": [0.5, -0.5, 0.0],
        "KL elsewhere": [0.4, 0.1, 0.7],
    }
    for name, values in changes.items():
        line, n = frame.loc[name], len(values)
        assert (line["n"], line["effect"]) == (n, pytest.approx(np.mean(values), abs=1e-6))
        means = np.array(values)[draws(n, 2000, seed)].mean(-1)
        # One question drawn again is always itself, which is no interval.
        ends = two_sided(means, 0.95) if n > 1 else (np.nan, np.nan)
        found = line["low"], line["high"]
        assert found == pytest.approx(ends, abs=1e-6, nan_ok=True)
    assert frame.loc["KL elsewhere", "plain"] == 0.0
    assert ablated.loc["else", "changed"] == pytest.approx(0.25)


def test_traces_stand_beside_the_middle_of_the_others() -> None:
    others = np.linspace(0, 1, 21)
    own = {"cosine": [1.0, -0.5], "change": [0.0, 1.5], "kept": [1.0, 0.25]}
    rest = {"cosine": others, "change": 2 * others, "kept": others**2}
    n = 2 + len(others)
    fields: dict[str, Any] = {name: np.array([*own[name], *rest[name]]) for name in own}
    frame = made(
        wb.weights.Traces,
        after="b",
        words=(" a",),
        k=1,
        neurons=tuple(f"L0.mlp_post/{i}" for i in range(n)),
        kinds=("concept",) * 2 + ("control",) * len(others),
        words_before=((" a",),) * n,
        words_after=((" a",),) * n,
        before_scores=np.zeros(n),
        after_scores=np.zeros(n),
        **fields,
    ).to_frame("measures")
    frame = frame.set_index("measure")
    assert frame.loc["cosine", "concept"] == pytest.approx(0.25)
    for name, others_of in (("cosine", 1.0), ("change", 2.0)):
        line = frame.loc[name]
        assert line["control"] == pytest.approx(others_of / 2)
        assert line["control_low"] == pytest.approx(0.025 * others_of, abs=1e-6)
        assert line["control_high"] == pytest.approx(0.975 * others_of, abs=1e-6)


def test_a_control_that_changes_as_much_is_not_passed() -> None:
    """Of `weights.ablate`: falls, rises and ties with random value vectors."""
    # Changes of −0.25, 0.25, −0.125, 0.125 and 0.5, where the ablation's is −0.25.
    control = np.array([[0.5, 0.25], [1.0, 0.75], [0.625, 0.375], [1.0, 0.5], [1.0, 1.25]])
    plain, changed = np.array([0.75, 0.5]), np.array([[0.25, 0.5]])
    result = made(
        wb.Effects,
        what="ablation",
        changes={"change": ("all",)},
        controls={"change": ("all",) * 5, "kind": ("random",) * 5, "draw": tuple(range(5))},
        measures=(Measure("prompts", "probability", plain, changed, control),),
    )
    line = result.to_frame().iloc[0]
    assert line["effect"] == -0.25 and line["beyond"] == pytest.approx(2 / 5)
    assert line["excess"] == pytest.approx(-0.25 - 0.1, abs=1e-6)
    # The mean of the controls lies below; one draw of them a resample may lie on either side.
    assert line["excess_low"] < line["excess"] < 0 < line["excess_high"]
    assert line["control"] == pytest.approx((-0.25 + 0.25 - 0.125 + 0.125 + 0.5) / 5)
