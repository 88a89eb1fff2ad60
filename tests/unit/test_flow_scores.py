"""Scores of a flow's evaluation, their intervals, tables and picture."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.flow_models import TEXTS, dictionaries, model
from tests.unit.kernels import flow_evaluation

pytestmark = pytest.mark.filterwarnings("ignore:A threshold lies above what chance")
ROOTS = ["L2.resid_post/3", "L2.resid_post/6", "L1.resid_post/0"]
FACTOR, SAMPLES = 0.25, 2


@cache
def flow() -> wb.features.FeatureFlow:
    return wb.feature_flow(dictionaries(), ROOTS, min_similarity=-1)


@cache
def matches() -> wb.features.FeatureMatches:
    return wb.features.match(dictionaries(), thresholds=0.3, progress=False)


@cache
def validated(backend: str = "nnsight") -> wb.features.FlowEvaluation:
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


def slow_score(result: wb.features.FlowEvaluation, arm: int, e: int, of: str, counts: Any) -> float:
    top = bottom = 0.0
    for s, text in enumerate(result.text[e]):
        if text < 0:
            continue
        n = counts[text]
        top += n * float(
            {"drop": result.after, "fallen": result.fallen, "loss": result.loss}[of][arm, e, s]
        )
        bottom += n * float(
            {"drop": result.before, "fallen": result.active}[of][e, s] if of != "loss" else 1
        )
    if bottom == 0:
        return float("nan")
    return 1 - top / bottom if of == "drop" else top / bottom


@pytest.mark.parametrize("of", ["drop", "fallen", "loss"])
@pytest.mark.parametrize("lane", [None, "mlp"])
def test_scores_are_means_over_edges_with_intervals_over_texts_and_edges(
    of: str, lane: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flow_evaluation, "N_RESAMPLES", 40)
    result = validated()
    own = [e for e, name in enumerate(result.lanes) if lane in (None, name)]
    once = np.ones(len(TEXTS))
    plain = [slow_score(result, 0, e, of, once) for e in own]
    value, low, high = result.score("flow", lane, of=of)
    assert value == pytest.approx(np.nanmean(plain)) and low <= value <= high
    used = sorted({int(text) for e in own for text in result.text[e] if text >= 0})
    texts = np.random.default_rng(0).integers(len(used), size=(40, len(used)))
    edges = np.random.default_rng((0, 1)).integers(len(own), size=(40, len(own)))
    for arms in ([0], [0, 3]):
        drawn = []
        for r in range(40):
            counts = np.zeros(len(TEXTS))
            for i in texts[r]:
                counts[used[i]] += 1
            each = [
                slow_score(result, arms[0], own[i], of, counts)
                - (slow_score(result, arms[1], own[i], of, counts) if len(arms) > 1 else 0)
                for i in edges[r]
            ]
            drawn.append(np.nanmean(each))
        found = (
            result.score("flow", lane, of=of)
            if len(arms) == 1
            else result.advantage("flow", "random", lane, of=of)
        )
        np.testing.assert_allclose(found[1:], np.quantile(drawn, [0.025, 0.975]), atol=1e-6)


def test_tables_hold_the_scores() -> None:
    result = validated()
    frame = result.to_frame()
    assert len(frame) == 4 * len(result.targets)
    for a, arm in enumerate(result.arms):
        own = frame[frame["arm"] == arm].reset_index()
        np.testing.assert_allclose(own["drop"], result.drop[a])
        assert list(own["feature"]) == list(result.features[a])
    summary = result.summary().set_index(["lane", "arm"])
    for lane in ("all", "resid", "mlp", "attn"):
        for arm in result.arms:
            line = summary.loc[(lane, arm)]
            name = None if lane == "all" else lane
            assert tuple(line[["drop", "drop_low", "drop_high"]]) == result.score(arm, name)
            wanted = result.advantage(arm, "random", name)
            assert tuple(line[["advantage", "advantage_low", "advantage_high"]]) == wanted
    with pytest.raises(ValueError, match="has the arms flow, correlation, .* got 'cosine'"):
        result.score("cosine")
    with pytest.raises(ValueError, match="A lane is one of resid, mlp, attn, or None; got 'up'"):
        result.score("flow", "up")
    with pytest.raises(ValueError, match="A score is of drop, fallen, loss; got 'rise'"):
        result.score("flow", of="rise")


def test_the_picture_has_a_mean_for_every_arm_and_lane() -> None:
    import matplotlib.pyplot as plt

    result = validated()
    for of in ("drop", "fallen", "loss"):
        ax = result.plot(of=of)
        dots = [line for line in ax.lines if line.get_marker() == "o"]
        shown = [float(np.asarray(line.get_xdata())[0]) for line in dots]
        wanted = [
            result.score(arm, lane, of=of)[0]
            for lane in (None, "resid", "mlp", "attn")
            for arm in result.arms
        ]
        np.testing.assert_allclose(shown, wanted)
        plt.close(ax.figure)
