"""Scores of a flow's evaluation: means over its edges, their intervals, table and picture."""

from __future__ import annotations

from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

import workbench as wb
from tests.unit.flow_models import TEXTS, dictionaries, model

pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")
ROOTS = ["L2.resid_post/3", "L2.resid_post/6", "L1.resid_post/0"]
FACTOR, SAMPLES = 0.25, 2


@cache
def flow() -> wb.features.FeatureFlow:
    return wb.feature_flow(dictionaries(), ROOTS, min_similarity=-1)


@cache
def evaluated(backend: str = "nnsight") -> wb.Effects:
    return wb.features.evaluate_flow(
        model(backend),
        TEXTS,
        flow(),
        dicts=dictionaries(),
        factor=FACTOR,
        n_samples=SAMPLES,
        methods=("correlation", "permutation"),
        progress=False,
    )


LANES = ("all", "resid", "mlp", "attn")
CHANGES = ("flow", "correlation", "permutation")


def of_lane(result: wb.Effects, measure: str, change: str, lane: str) -> list[float]:
    """The measure of each edge of a lane under a change, or the control; NaN where it has none."""
    one = result[measure]
    at = None if change == "random" else result.rows(change=change, lane="all")[0]
    values = one.control[0] if at is None else one.changed[at]
    lanes: Any = result.examples
    return [
        float(value) if lane in ("all", own) else float("nan")
        for value, own in zip(values, lanes["lane of the edge"], strict=True)
    ]


@pytest.mark.parametrize("of", ["drop", "fallen", "loss"])
@pytest.mark.parametrize("lane", ["all", "mlp"])
def test_scores_are_means_over_edges_with_intervals_over_edges(of: str, lane: str) -> None:
    result = evaluated()
    own, beside = (of_lane(result, of, name, lane) for name in ("flow", "random"))
    value, low, high = result.score(of, change="flow", lane=lane, draws=40)
    assert value == pytest.approx(np.nanmean(own)) and low <= value <= high
    excess = result.score(of, excess=True, change="flow", lane=lane, draws=40)
    assert excess[0] == pytest.approx(np.nanmean(own) - np.nanmean(beside))
    edges = np.random.default_rng(0).integers(len(own), size=(40, len(own)))
    drawn = np.array(
        [[np.nanmean([each[e] for e in row]) for row in edges] for each in (own, beside)]
    )
    np.testing.assert_allclose((low, high), np.quantile(drawn[0], [0.025, 0.975]), atol=1e-6)
    ends = np.quantile(drawn[0] - drawn[1], [0.025, 0.975])
    np.testing.assert_allclose(excess[1:], ends, atol=1e-6)


def test_the_table_holds_the_scores_and_what_was_rescaled() -> None:
    result = evaluated()
    table = result.to_frame().set_index(["measure", "lane", "change"])
    measures = ["drop", "fallen", "loss", "rate", "length"]
    assert list(table.index) == [(m, lane, c) for m in measures for lane in LANES for c in CHANGES]
    assert set(table["kind"]) == {"random"}
    for measure, lane, change in table.index:
        line = table.loc[(measure, lane, change)]
        own = of_lane(result, measure, change, lane)
        assert line["n"] == np.isfinite(own).sum()
        assert line["effect"] == pytest.approx(np.nanmean(own))
        control = np.nanmean(of_lane(result, measure, "random", lane))
        assert line["control"] == pytest.approx(control)
    frame = result.to_frame("examples")
    some = frame[(frame["measure"] == "drop") & (frame["lane"] == "all")]
    drops = [x for c in CHANGES for x in of_lane(result, "drop", c, "all") if np.isfinite(x)]
    np.testing.assert_allclose(some["changed"], drops)
    about: Any = result.examples
    for _, line in some.iterrows():
        for name in ("target", *CHANGES, "random", "similarity", "n_positions"):
            assert line[name] == about[name][line["example"]]


def test_the_picture_has_a_point_for_every_change_and_lane() -> None:
    result = evaluated()
    for of in ("drop", "fallen", "loss"):
        ax = result.plot(where={"measure": of})
        names = [text.get_text() for text in ax.get_yticklabels()]
        assert names == [f"{change} {lane}" for lane in LANES for change in CHANGES]
        points = np.concatenate([np.asarray(c.get_offsets())[:, 0] for c in ax.collections if
                                 len(c.get_offsets()) == len(names)])  # fmt: skip
        wanted = [result.score(of, change=c, lane=lane)[0] for lane in LANES for c in CHANGES]
        np.testing.assert_allclose(points, wanted)
        plt.close(ax.figure)
