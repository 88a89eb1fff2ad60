"""An evaluation's numbers, recomputed slowly."""

from __future__ import annotations

import random
from statistics import NormalDist, mean, quantiles

import numpy as np
import pytest

from tests.unit.made_results import draws, two_sided
from workbench.tasks import Evaluation


def evaluation(clean: list[float], templates: str = "aab", **options) -> Evaluation:
    corrupt = np.asarray([-x for x in clean], dtype=np.float32)
    values = np.asarray(clean, dtype=np.float32)
    name = "logit_difference"
    return Evaluation("ioi", "own", name, "tiny", tuple(templates), values, corrupt, **options)


def test_an_example_is_right_where_the_answer_stands_above_the_foil() -> None:
    assert evaluation([1.0, 0.0, -2.0]).accuracy == pytest.approx(1 / 3)


def test_the_interval_of_the_accuracy_holds_every_share_that_a_score_test_accepts() -> None:
    right, n, z = 7, 10, NormalDist().inv_cdf(0.975)
    low, high = evaluation([1.0] * right + [-1.0] * (n - right), "x" * n).accuracy_interval()
    accepted = [
        p for p in np.linspace(0.001, 0.999, 999)
        if abs(right / n - p) <= z * (p * (1 - p) / n) ** 0.5
    ]  # fmt: skip
    assert low == pytest.approx(accepted[0], abs=2e-3)
    assert high == pytest.approx(accepted[-1], abs=2e-3)


def test_an_accuracy_of_one_keeps_an_interval() -> None:
    low, high = evaluation([1.0] * 20, "x" * 20).accuracy_interval()
    assert 0.8 < low < 0.9 and high == 1.0


def test_the_interval_of_the_mean_is_that_of_a_plain_bootstrap() -> None:
    random.seed(1)
    values = [random.gauss(2, 1) for _ in range(40)]
    slow = [mean(random.choices(values, k=len(values))) for _ in range(4000)]
    cuts = quantiles(slow, n=40)
    low, high = evaluation(values, "x" * 40).interval(0.95)
    assert low == pytest.approx(cuts[0], abs=0.05)
    assert high == pytest.approx(cuts[-1], abs=0.05)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = [0.5, -1.0, 3.0, 2.0]
    first = evaluation(values, "abcd").interval()
    assert evaluation(values, "abcd").interval() == first
    assert evaluation(values, "abcd", seed=1).interval() != first


def test_the_frame_has_a_row_for_each_template_and_one_for_all() -> None:
    frame = evaluation([1.0, -1.0, 4.0]).to_frame()
    assert list(frame.index) == ["a", "b", "all"]
    assert frame["n"].tolist() == [2, 1, 3]
    assert frame["accuracy"].tolist() == pytest.approx([0.5, 1.0, 2 / 3])
    assert frame["clean"].tolist() == pytest.approx([0.0, 4.0, 4 / 3])
    assert frame["corrupt"].tolist() == pytest.approx([0.0, -4.0, -4 / 3])
    low, mean_, high = (frame[name].to_numpy() for name in ("clean_low", "clean", "clean_high"))
    assert np.all(low <= mean_) and np.all(mean_ <= high) and np.any(low < high)


def wilson(right: int, n: int, level: float) -> tuple[float, float]:
    """The ends of the shares p with |right / n − p| ≤ z √(p (1 − p) / n), by their equation."""
    z = NormalDist().inv_cdf(0.5 + level / 2)
    a, b, c = 1 + z**2 / n, -(2 * right / n + z**2 / n), (right / n) ** 2
    root = (b**2 - 4 * a * c) ** 0.5
    return (-b - root) / (2 * a), (-b + root) / (2 * a)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.95, 0.99])
def test_intervals_have_the_level_that_is_asked_for_and_ties_are_not_right(level: float) -> None:
    # Two of five stand above the foil, one as high as it.
    values = [1.5, 0.25, 0.0, -0.5, -4.0]
    found = evaluation(values, "x" * 5)
    assert found.accuracy == 0.4
    assert found.accuracy_interval(level) == pytest.approx(wilson(2, 5, level))
    for n_resamples in (50, 700):
        means = np.array(values)[draws(5, n_resamples, 0)].mean(-1)
        own = found.interval(level, n_resamples=n_resamples)
        assert own == pytest.approx(two_sided(means, level))
    means = np.array(values)[draws(5, 2000, 0)].mean(-1)
    assert found.interval(level) == pytest.approx(two_sided(means, level))


@pytest.mark.parametrize("right", [0, 3, 6])
def test_an_interval_of_an_accuracy_stays_between_0_and_1(right: int) -> None:
    found = evaluation([1.0] * right + [-1.0] * (6 - right), "x" * 6)
    low, high = found.accuracy_interval()
    wanted = wilson(right, 6, 0.95)
    assert (low, high) == pytest.approx(wanted, abs=1e-12) and 0 <= low < high <= 1
    assert (low == 0) == (right == 0) and (high == 1) == (right == 6)


def test_no_rounding_takes_an_interval_beyond_0_or_1() -> None:
    for n in range(1, 200):
        assert evaluation([1.0] * n, "x" * n).accuracy_interval()[1] <= 1.0
        assert evaluation([-1.0] * n, "x" * n).accuracy_interval()[0] >= 0.0


def test_each_line_of_the_frame_has_the_intervals_of_its_own_examples() -> None:
    frame = evaluation([3.0, 0.0, -2.0, 1.0, 5.0], "aabbb").to_frame()
    own = {"a": [3.0, 0.0], "b": [-2.0, 1.0, 5.0], "all": [3.0, 0.0, -2.0, 1.0, 5.0]}
    for name, values in own.items():
        line, n = frame.loc[name], len(values)
        right = sum(v > 0 for v in values)
        assert line["accuracy"] == pytest.approx(right / n)
        assert (line["accuracy_low"], line["accuracy_high"]) == pytest.approx(
            wilson(right, n, 0.95)
        )
        means = np.array(values)[draws(n, 2000, 0)].mean(-1)
        assert (line["clean_low"], line["clean_high"]) == pytest.approx(two_sided(means, 0.95))


def test_the_repr_is_one_line_with_the_numbers() -> None:
    text = repr(evaluation([1.0, -1.0, 4.0]))
    assert text == (
        "ioi (own) on tiny: accuracy 0.667 [0.208, 0.939], "
        "logit_difference 1.33 clean, -1.33 corrupt, 3 examples"
    )


def test_shapes_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a template and two metrics.*\(2,\), \(3,\) and \(3,\)"):
        evaluation([1.0, 2.0, 3.0], "ab")


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_outside_zero_and_one_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match=f"between 0 and 1; got {level}"):
        evaluation([1.0, 2.0, 3.0]).interval(level)
    with pytest.raises(ValueError, match=f"between 0 and 1; got {level}"):
        evaluation([1.0, 2.0, 3.0]).accuracy_interval(level)
