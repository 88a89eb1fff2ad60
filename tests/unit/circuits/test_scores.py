"""Scores of circuits by hand: below 0, above 1, at a tie, at the ends of what can be measured."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import draws, made, two_sided
from workbench.effects import Measure, table_of

KIND = "counterfactual"


def evaluated(
    inside: Any,
    *,
    empty: Any = (-1.0, 1.0),
    whole: Any = (1.0, 3.0),
    gap: float = 2.0,
    random: Any = ((0.0, 0.0),),
    fractions: Any = (0.5, 1.0),
    at: Any = None,
    seed: int | None = 0,
) -> Any:
    """One reference. Without more, 0 is the metric 0 and 1 the metric 2."""
    at = [inside] * len(fractions) if at is None else at
    keys = [("inside", KIND, 0.1), ("outside", KIND, 0.9), ("without embed", KIND), ("empty", KIND)]
    keys += [("top", KIND, f) for f in fractions]
    names = ("change", "reference", "fraction")
    measure = Measure(
        "t",
        "logits",
        np.array(whole),
        np.array([inside, inside, inside, empty, *at]),
        np.array(random),
        scale=("empty", "plain"),
        smallest=0.05 * abs(gap),
    )
    drawn = [("inside", KIND, None, "random", i) for i in range(len(random))]
    return made(
        wb.Effects,
        seed,
        what="by hand",
        changes=table_of(names, keys),
        controls=table_of((*names, "kind", "draw"), drawn),
        measures=(measure,),
    )


def score(result: Any, **options: Any) -> tuple[float, float, float]:
    return result.score(change="inside", **options)


def curve(result: Any) -> list[float]:
    return result.effect()[result.rows(change="top"), 0].tolist()


def areas(result: Any, **options: Any) -> float:
    return result.area(along="fraction", change="top", **options).area.item()


def line(result: Any, change: str = "inside") -> Any:
    frame = result.to_frame()
    return frame[frame.change == change].iloc[0]


@pytest.mark.parametrize(("inside", "wanted"), [(-4, -2), (-1, -0.5), (0, 0), (3, 1.5), (20, 10)])
def test_faithfulness_keeps_its_sign_and_size_below_zero_and_above_one(
    inside: float, wanted: float
) -> None:
    assert score(evaluated((inside, inside)))[0] == pytest.approx(wanted)
    assert curve(evaluated((inside, inside))) == pytest.approx([wanted] * 2)
    # Where the whole model has less of the answer than nothing of it, 1 is still the whole model.
    turned = evaluated((-inside, -inside), whole=(-1.0, -3.0), empty=(1.0, -1.0), gap=-2.0)
    assert score(turned)[0] == pytest.approx(wanted)
    assert [line(turned).effect, line(turned, "outside").effect] == pytest.approx([wanted, wanted])


@pytest.mark.parametrize("gap", [20.0, -20.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_from_a_twentieth_of_the_gap_on_an_ablation_measures_something(
    gap: float, sign: int
) -> None:
    at_the_end = evaluated((0.5, 0.5), empty=(0.0, 0.0), whole=(sign, sign), gap=gap)
    assert score(at_the_end)[0] == pytest.approx(0.5 * sign)
    below = evaluated((0.5, 0.5), empty=(0.0, 0.0), whole=(0.99 * sign,) * 2, gap=gap)
    assert np.isnan(score(below)).all()


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
@pytest.mark.parametrize("seed", [0, 3])
def test_the_interval_is_that_of_a_ratio_of_means_over_the_same_draws(
    level: float, seed: int
) -> None:
    rng = np.random.default_rng(5)
    inside, empty = rng.normal(1, 1, 9), rng.normal(0, 0.1, 9)
    whole = empty + rng.uniform(1, 3, 9)
    result = evaluated(inside, empty=empty, whole=whole, random=[inside], seed=seed)
    ratios = [
        (inside[rows].mean() - empty[rows].mean()) / (whole[rows].mean() - empty[rows].mean())
        for rows in draws(9, 2000, seed)
    ]
    found = score(result, level=level)
    assert found[1:] == pytest.approx(two_sided(ratios, level), abs=1e-6)


def test_draws_that_measure_nothing_leave_the_interval_to_the_others() -> None:
    # One of three examples moves the metric the other way: drawn often, it hides the others.
    inside, whole = np.array([1.0, 2.0, -1.0]), np.array([2.5, 3.5, -4.5])
    result = evaluated(inside, empty=np.zeros(3), whole=whole, random=[inside], gap=8.0)
    ratios = []
    for rows in draws(3, 2000, 0):
        size = whole[rows].mean()
        ratios.append(np.nan if abs(size) < 0.05 * 8 else inside[rows].mean() / size)
    assert 0 < np.isnan(ratios).sum() < 1000
    found = score(result)
    assert found == pytest.approx((2 / 1.5, *two_sided(ratios, 0.95)), abs=1e-6)


def test_areas_count_what_lies_below_zero_and_above_one_in_any_order_of_sizes() -> None:
    heights = {0.1: -0.5, 0.2: 0.4, 0.6: 1.8, 1.0: 1.0}
    fractions = [0.6, 0.1, 1.0, 0.2]
    result = evaluated((1, 1), fractions=fractions, at=[(2 * heights[f],) * 2 for f in fractions])
    ends = sorted(heights)
    widths = [(a, b, b - a) for a, b in pairwise(ends)]
    cpr = sum(w * (heights[a] + heights[b]) / 2 for a, b, w in widths)
    cmd = sum(w * (abs(1 - heights[a]) + abs(1 - heights[b])) / 2 for a, b, w in widths)
    assert (areas(result), areas(result, missing=True)) == pytest.approx((cpr, cmd), abs=1e-6)
    # 0.8 too much costs as much as 0.8 too little.
    over, under = (evaluated((1, 1), at=[(2 * x, 2 * x)] * 2) for x in (1.8, 0.2))
    too_much, too_little = (areas(each, missing=True) for each in (over, under))
    assert too_much == pytest.approx(too_little) == pytest.approx(0.4)
    assert areas(over) == pytest.approx(0.9)
    assert np.isnan(areas(evaluated((1, 1), fractions=(0.5,))))
    with pytest.raises(KeyError, match="No change has .*'bottom'"):
        over.area(along="fraction", change="bottom")


def test_a_random_circuit_as_far_from_one_is_no_worse() -> None:
    # Faithfulness 0.75; the same, as far above 1, nearer on either side, farther on either side.
    random = [(x, x) for x in (1.5, 2.5, 1.75, 2.25, 1.0, 3.0, -9.0)]
    result = evaluated((1.5, 1.5), random=random)
    drawn = result.effect(of="controls")[:, 0]
    assert drawn.tolist() == [0.75, 1.25, 0.875, 1.125, 0.5, 1.5, -4.5]
    assert line(result).beyond == pytest.approx(3 / 7)
    # One that overshoots is compared by its distance too, and one that is the whole model beats
    # all but its equals.
    assert line(evaluated((2.5, 2.5), random=random)).beyond == pytest.approx(3 / 7)
    assert line(evaluated((2, 2), random=[(2, 2), (0, 0)])).beyond == 0.5


def test_scores_of_feature_circuits_keep_their_sign_and_each_curve_its_own_nothing() -> None:
    # One reference, of which each kind of node has its own nothing; two sizes, two pairs.
    changes = {
        ("inside", "mean", "features", 2): [-2.0, -2.0],
        ("outside", "mean", "features", None): [3.0, 3.0],
        ("empty", "mean", "features", None): [-1.0, 1.0],
        ("top", "mean", "features", 1): [-1.0, -1.0],
        ("top", "mean", "features", 2): [4.0, 4.0],
        ("empty", "mean", "coordinates", None): [1.0, 1.0],
        ("top", "mean", "coordinates", 1): [0.0, 2.0],
        ("top", "mean", "coordinates", 2): [1.0, 1.0],
        ("empty", "mean", "parts", None): [-2.0, -2.0],
        ("top", "mean", "parts", 1): [2.0, 2.0],
        ("top", "mean", "parts", 2): [-2.0, -2.0],
    }
    controls = {("inside", "mean", "features", None, "random", i): [5.0 * i] * 2 for i in (0, 1)}
    names = ["change", "reference", "nodes", "n_nodes"]
    changed, control = (np.array(list(each.values())) for each in (changes, controls))
    one = Measure("t", "logits", np.array([1.0, 3.0]), changed, control)
    result = made(
        wb.Effects,
        what="t",
        changes=table_of(names, list(changes)),
        controls=table_of([*names, "kind", "draw"], list(controls)),
        measures=(one,),
    ).scaled("empty", "plain", 0.1)
    assert result.score(change="inside")[0] == pytest.approx(-1.0)
    assert result.score(change="outside")[0] == pytest.approx(1.5)
    assert result.effect(of="controls")[:, 0].tolist() == [0.0, 2.5]
    wanted = {"features": [-0.5, 2.0], "coordinates": [0.0, 0.0], "parts": [1.0, 0.0]}
    for nodes, curve in wanted.items():
        rows = result.rows(change="top", nodes=nodes)
        assert result.effect()[rows, 0].tolist() == pytest.approx(curve)


def test_a_check_sets_the_first_of_both_and_their_ranks_beside_each_other_by_size() -> None:
    check = made(
        wb.circuits.AttributionCheck,
        task="t",
        method="eap",
        over="edges",
        names=("a", "b", "c", "d"),
        approximate=np.array([3.0, -2.0, 1.0, 0.0], np.float32),
        exact=np.array([-1.0, 0.5, 3.0, 2.0], np.float32),
    )
    assert [check.overlap(k) for k in (1, 2, 3, 4)] == pytest.approx([0, 0, 2 / 3, 1])
    # By size a > b > c > d, and c > d > a > b.
    assert check.spearman == pytest.approx(-0.6)
