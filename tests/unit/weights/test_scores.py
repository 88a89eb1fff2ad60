"""Scores of what is read off weights, by hand: ties with chance and with rivals, and signs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.kernels import against_draws
from tests.unit.made_results import draws, made, two_sided

SIMILARITY = [0.5, 0.25, 0.75, -0.25]
#: (control, draw, pair): the first group is of pairs 0 and 1, the second of 2 and 3.
CHANCE = [
    [[0.5, 0.25, 0.1, 0.2], [0.5, 0.75, 0.3, -0.25]],
    [[0.1, 0.2, 0.75, 0.9], [0.3, 0.4, 0.8, 0.75]],
]


def aligned(seed: int | None = 0, within: str = "layer", **given: Any) -> Any:
    fields: dict[str, Any] = {
        "similarity": SIMILARITY,
        "chance": CHANCE,
        "rival_a": [0.5, 0.3, 0.7, -0.25],
        "rival_b": [0.5, 0.1, 0.8, -0.3],
        "mean": [[0.0]],
        "mean_chance": [[0.0]],
        "by_side": np.zeros((4, 2)),
        "signs": np.ones(4),
        "layers_a": [0, 0, 1, 1],
        "units_a": [0, 1, 0, 1],
        "layers_b": [0, 0, 1, 1],
        "units_b": [1, 0, 1, 0],
    } | given
    return made(
        wb.compare.WeightAlignment,
        seed,
        model_b="b",
        revision_b="",
        over="heads",
        sides=("OV", "QK"),
        norm="folded",
        within=within,
        tokens_compared="same",
        n_tokens=9,
        n_layers=(2, 2),
        n_units=(2, 2),
        **{name: np.array(value) for name, value in fields.items()},
    )


@pytest.mark.parametrize("within", ["layer", "all"])
@pytest.mark.parametrize("control", [0, 1])
def test_a_pair_by_chance_that_is_as_similar_speaks_against_a_pair(
    control: int, within: str
) -> None:
    result, name = aligned(within=within), ("tokens", "units")[control]
    for pair, own in enumerate(SIMILARITY):
        same = range(4) if within == "all" else (range(2) if pair < 2 else range(2, 4))
        values = [CHANCE[control][draw][i] for draw in range(2) for i in same]
        as_similar = sum(value >= own for value in values)
        assert result.p(name)[pair] == pytest.approx((1 + as_similar) / (1 + len(values)))
        assert result.threshold(name)[pair] == pytest.approx(np.percentile(values, 95))


def test_a_pair_at_the_threshold_is_not_above_chance() -> None:
    flat = aligned(chance=np.full((2, 3, 4), 0.5))
    assert flat.threshold("tokens").tolist() == [0.5] * 4
    assert flat.above_chance("tokens") == 0.25  # 0.75 is above, 0.5 is not
    assert flat.p("units").tolist() == pytest.approx([1.0, 1.0, 1 / 7, 1.0])


def test_as_similar_as_the_best_rival_is_best_and_mutual_needs_both() -> None:
    result = aligned()
    assert result.is_best.tolist() == [True, False, True, True]
    assert result.is_mutual.tolist() == [True, False, False, True]
    frame = result.to_frame()
    assert frame["best"].tolist() == result.is_best.tolist()
    assert frame["mutual"].tolist() == result.is_mutual.tolist()
    np.testing.assert_array_equal(frame["p_units"], result.p("units"))
    np.testing.assert_array_equal(frame["p_tokens"], result.p())


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 5])
def test_the_mean_similarity_has_an_interval_of_its_level(level: float, seed: int) -> None:
    means = np.array(SIMILARITY)[draws(4, 1000, seed)].mean(-1)
    assert aligned(seed).interval(level) == pytest.approx(two_sided(means, level), abs=1e-6)


def test_a_draw_that_finds_as_much_is_counted_and_nothing_counts_as_promoting() -> None:
    scores = np.array([2.0, 0.0, -1.0, -3.0])
    highest = np.array([2.0, 1.0, 3.0, -0.5, 0.0])
    lowest = np.array([-1.0, -4.0, -2.0, 0.0, -0.5])
    chance, share = against_draws(scores, highest, lowest)
    assert share.tolist() == pytest.approx([2 / 5, 4 / 5, 3 / 5, 1 / 5])
    assert chance.tolist() == [[*highest], [*highest], [*lowest], [*lowest]]


def checked(approximate: Any, exact: Any) -> Any:
    return made(
        wb.circuits.AttributionCheck,
        task="t",
        method="eap",
        over="edges",
        names=tuple("abcdef"[: len(approximate)]),
        approximate=np.array(approximate),
        exact=np.array(exact),
    )


def test_ranks_are_of_sizes_and_equal_sizes_share_theirs() -> None:
    check = checked([3.0, -2.0, 2.0, 0.5, 0.5, 0.0], [-1.0, 4.0, -4.0, 0.25, 0.0, 0.0])
    # Sizes 3 2 2 .5 .5 0 have the ranks 6 4.5 4.5 2.5 2.5 1; 1 4 4 .25 0 0: 4 5.5 5.5 3 1.5 1.5.
    ranks = [6, 4.5, 4.5, 2.5, 2.5, 1], [4, 5.5, 5.5, 3, 1.5, 1.5]
    assert check.spearman == pytest.approx(np.corrcoef(*ranks)[0, 1])
    assert check.pearson == pytest.approx(np.corrcoef(check.approximate, check.exact)[0, 1])
    assert check.pearson < 0 < check.spearman
    assert check.overlap(1) == 0.0 and check.overlap(2) == 0.5 and check.overlap(3) == 1.0
    frame = check.to_frame()
    assert frame["name"].tolist() == [*"abcdef"]
    assert (frame["approximate"] - frame["exact"]).tolist() == [4.0, -6.0, 6.0, 0.25, 0.5, 0.0]


@pytest.mark.filterwarnings("error")
def test_scores_that_are_all_one_number_correlate_with_nothing() -> None:
    for check in (checked([1.0, 1.0], [1.0, 2.0]), checked([1.0, 2.0], [3.0, 3.0])):
        assert np.isnan([check.pearson, check.spearman]).all()
    assert "correlation nan" in repr(checked([1.0, 1.0], [1.0, 2.0]))


def test_an_overlap_is_of_as_many_items_as_there_are() -> None:
    check = checked([3.0, -2.0], [1.0, 4.0])
    assert check.overlap(2) == 1.0
    for k in (0, -1, 1.5, True):
        with pytest.raises(ValueError, match=rf"k is a whole number from 1; got {k!r}"):
            check.overlap(k)
    with pytest.raises(ValueError, match=r"k is a whole number from 1 to 2; got 3"):
        check.overlap(3)
