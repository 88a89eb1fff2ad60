"""Scores of concepts by hand: nothing found, more kept than there was, families of unequal size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import draws, made, two_sided


def evaluated(seed: int | None = 0, **given: Any) -> Any:
    """One dictionary, three concepts on three texts; the third concept's feature never fires."""
    fields: dict[str, Any] = {
        "found": [[4, 0, 4], [2, 2, 2], [3, 1, 0]],
        "hits": [[[3, 0, 4], [1, 2, 0], [0, 0, 0]]],
        "false": [[[1, 0, 2], [0, 5, 0], [0, 0, 0]]],
        "present": [[[2, 0, 2], [1, 1, 1], [0, 0, 0]]],
        "absorbed": [[[1, 0, 0], [0, 0, 1], [0, 0, 0]]],
        "absorption_share": [[0.2, 0.4, np.nan]],
        "before": [0.1, 0.2, 0.3, 0.1],
        "after": [[0.9, 0.7, 0.8, 0.2]],
        "whole": [[1.0, 0.9, 1.0, 0.6]],
        "damage": [[0.1, 0.2, 0.3, 1.0]],
        "size": [[1.0, 1.0, 1.0, 1.0]],
        "stay_before": [0.5, 0.8, 0.9],
        "stay_after": [[0.7, 0.2, 0.45]],
    }
    fields = {name: np.array(given.get(name, value)) for name, value in fields.items()}
    ones = np.ones((1, 3))
    return made(
        wb.features.ConceptEvaluation,
        seed,
        names=("d",),
        sites=("L0.resid_post",),
        kinds=("topk",),
        n_features=(8,),
        concepts=("a", "b", "c"),
        families=("x", "x", "y"),
        strength=1.0,
        split_gain=0.05,
        swap_families=("x", "x", "x", "y"),
        swap_prompts=("", "", "", ""),
        targets=("a", "b", "a", "c"),
        stay_families=("x", "y", "y"),
        stay_prompts=("", "", ""),
        feature=ones,
        threshold=ones,
        sign=ones,
        n_split=ones,
        split_f1=ones,
        hedging=ones,
        hedging_chance=ones,
        **fields,
    )


def test_a_feature_that_never_fires_scores_nothing_and_not_everything() -> None:
    result = evaluated()
    assert result.of_concepts("precision").tolist() == pytest.approx([7 / 10, 3 / 8, 0])
    assert result.of_concepts("recall").tolist() == pytest.approx([7 / 8, 3 / 6, 0])
    assert result.of_concepts("f1").tolist() == pytest.approx([14 / 18, 6 / 14, 0])
    assert result.score("precision")[0] == pytest.approx((7 / 10 + 3 / 8) / 3)
    found = result.of_concepts("absorption")
    assert found[:2].tolist() == pytest.approx([1 / 4, 1 / 3]) and np.isnan(found[2])
    assert result.score("absorption")[0] == pytest.approx((1 / 4 + 1 / 3) / 2)
    assert result.score("absorption_fraction")[0] == pytest.approx(0.3)


def test_families_weigh_the_same_and_no_answer_is_kept_more_than_whole() -> None:
    result = evaluated()
    assert result.score("success")[0] == pytest.approx((0.8 + 0.2) / 2)
    assert result.score("whole")[0] == pytest.approx((2.9 / 3 + 0.6) / 2)
    assert result.score("damage")[0] == pytest.approx((0.2 + 1.0) / 2)
    kept = (1.0 + (0.25 + 0.5) / 2) / 2
    assert result.score("kept")[0] == pytest.approx(kept)
    assert result.score("causal")[0] == pytest.approx(0.5 * kept)


@pytest.mark.parametrize("level", [0.5, 0.95])
@pytest.mark.parametrize("seed", [0, 6])
def test_intervals_have_their_level_and_seed(level: float, seed: int) -> None:
    result = evaluated(seed)
    hits, false, found = result.hits[0], result.false[0], result.found
    each = []
    for rows in draws(3, 500, seed):
        ratios = []
        for c in range(3):
            h, f, n = (values[c][rows].sum() for values in (hits, false, found))
            if n:
                ratios.append(2 * h / (n + h + f))
        each.append(np.mean(ratios))
    assert result.score("f1", level=level)[1:] == pytest.approx(two_sided(each, level))

    def drawn(rng: np.random.Generator, *families: np.ndarray) -> np.ndarray:
        """(resample,) the mean over families, each drawn anew by itself."""
        each = [x[rng.integers(len(x), size=(500, len(x)))].mean(1) for x in families]
        return np.mean(each, axis=0)

    rng, x, y = np.random.default_rng(seed), result.after[0][:3], result.after[0][3:]
    success = drawn(rng, x, y)
    assert result.score("success", level=level)[1:] == pytest.approx(
        two_sided(success, level), abs=1e-6
    )
    ratio = np.minimum(1, result.stay_after[0] / result.stay_before)
    causal = success * drawn(rng, ratio[:1], ratio[1:])
    assert result.score("causal", level=level)[1:] == pytest.approx(
        two_sided(causal, level), abs=1e-6
    )
