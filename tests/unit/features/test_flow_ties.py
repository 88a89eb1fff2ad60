"""Matches by hand: similarities at a threshold, and ties."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.made_results import made

SITES = ("L0.resid_post", "L1.attn_out", "L1.mlp_out", "L1.resid_post")
NONE = np.nan
#: (lane, site): where each lane leads to.
LEADS = [[-1, -1, -1, 0], [-1, -1, -1, 2], [-1, -1, -1, 1], [3, 3, 3, -1]]
JUST_BELOW = float(np.nextafter(np.float32(0.5), np.float32(0)))
#: Of the features of the last site: similarity before (resid, mlp, attn), and the class.
CASES = {
    (0.5, JUST_BELOW, JUST_BELOW): "carried",
    (0.5, 0.5, 0.1): "processed",
    (0.9, 0.1, 0.5): "processed",
    (JUST_BELOW, 0.5, -0.3): "newborn",
    (0.2, 0.1, 0.5): "newborn",
    (JUST_BELOW, JUST_BELOW, JUST_BELOW): "unexplained",
    (NONE, 0.7, 0.1): "newborn",
    (NONE, NONE, NONE): "dead",
}
NEXT = {0.5: False, JUST_BELOW: True, 0.9: False, NONE: False}


def matched(by: str = "cosine", leads: Any = LEADS, **given: Any) -> Any:
    n = [len(NEXT), 1, 1, len(CASES)]
    similarity = np.full((4, sum(n), 1), NONE, np.float32)
    similarity[:3, -len(CASES) :, 0] = np.array(list(CASES)).T
    similarity[3, : len(NEXT), 0] = list(NEXT)
    similarity[:, :, 0][np.repeat(np.array(leads) < 0, n, axis=1)] = NONE
    there = np.array(leads) >= 0
    fields: dict[str, Any] = {
        "similarity": similarity,
        "index": np.where(np.isnan(similarity), -1, 0),
        "thresholds": np.where(there, 0.5, NONE),
        "chance": np.where(there, 0.5, NONE),
    } | given
    return made(
        wb.features.FeatureMatches,
        method=by,
        k=1,
        n_positions=0,
        sites=SITES,
        fingerprints=("a", "b", "c", "d"),
        n_features=np.array(n),
        leads=np.array(leads),
        **fields,
    )


def test_a_similarity_at_the_threshold_counts_and_one_below_does_not() -> None:
    found = matched()
    assert found.classes[-len(CASES) :].tolist() == list(CASES.values())
    assert found.classes[: len(NEXT)].tolist() == ["first"] * len(NEXT)
    assert found.classes[len(NEXT) : len(NEXT) + 2].tolist() == ["module"] * 2
    assert found.ended[: len(NEXT)].tolist() == list(NEXT.values())
    assert not found.ended[-len(CASES) :].any()  # no dictionary comes after the last


@pytest.mark.parametrize("missing", [[0], [1], [2], [1, 2], [0, 1, 2]])
def test_features_are_the_first_ones_only_where_no_lane_leads_back(missing: list[int]) -> None:
    leads = np.array(LEADS)
    leads[missing, 3] = -1
    own = matched(leads=leads).classes[-len(CASES) :].tolist()
    for values, name in zip(CASES, own, strict=True):
        each = [NONE if lane in missing else value for lane, value in enumerate(values)]
        high = [value >= 0.5 for value in each]
        if len(missing) == 3:
            wanted = "first"
        elif np.isnan(each).all():
            wanted = "dead"
        elif high[0]:
            wanted = "processed" if high[1] or high[2] else "carried"
        else:
            wanted = "newborn" if high[1] or high[2] else "unexplained"
        assert name == wanted


def test_thresholds_reach_from_minus_one_to_one_and_chance_itself_is_not_below_chance() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert set(matched().with_thresholds(1.0).classes) == {
            "first", "module", "unexplained", "dead",
        }  # fmt: skip
        assert matched().with_thresholds("chance").classes.tolist() == matched().classes.tolist()
        assert matched().with_thresholds(0.5).classes.tolist() == matched().classes.tolist()
        assert matched().with_thresholds(None).thresholds[3, 0] == 0.5
    with pytest.warns(UserWarning, match="where 1 of 100 random directions"):
        assert matched().with_thresholds(0.499).ended[1] == np.False_
    with pytest.warns(UserWarning, match="above what chance alone reaches"):
        low = matched().with_thresholds(-1)
    assert set(low.classes[-len(CASES) :]) == {"processed", "newborn", "dead"}
    assert not low.ended.any()


def test_ways_of_matching_agree_where_the_first_counts_by_its_own_threshold() -> None:
    one = matched()
    other_index = np.array(one.index)
    other_index[:3, -8] = 5  # another partner of one feature in every lane, of another in one
    other_index[0, -4] = 3
    other = matched("permutation", index=other_index, similarity=-np.abs(one.similarity))
    frame = one.agreement(other)
    for lane, name in enumerate(("resid", "mlp", "attn", "next")):
        line = frame.loc[name]
        n, same, high, same_high, chance = 0, 0, 0, 0, 0.0
        for node in range(len(one.site_of_node)):
            mine, theirs = int(one.index[lane, node, 0]), int(other.index[lane, node, 0])
            if mine < 0 or theirs < 0:
                continue
            n, same = n + 1, same + (mine == theirs)
            counts = one.similarity[lane, node, 0] >= 0.5
            high, same_high = high + counts, same_high + (counts and mine == theirs)
            chance += 1 / one.n_features[one.leads[lane, one.site_of_node[node]]]
        assert (line["n"], line["n_high"]) == (n, high)
        assert line["same"] == pytest.approx(same / n)
        assert line["same_high"] == pytest.approx(same_high / high)
        assert line["chance"] == pytest.approx(chance / n)


def test_a_saved_match_keeps_its_ties(tmp_path: Any) -> None:
    matched().save(tmp_path / "m")
    again = wb.features.FeatureMatches.load(tmp_path / "m")
    assert again.classes.tolist() == matched().classes.tolist()
    assert replace(again, thresholds=again.thresholds + 1e-6).classes.tolist() != (
        again.classes.tolist()
    )
