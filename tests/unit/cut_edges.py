"""What the tests of cuts share: whole small graphs, and runs with edits of one's own."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.circuit_models import tinyworld
from tests.unit.lens_models import zoo_model
from tests.unit.plain_pass import EVERY, graph_of

SHORT = "Mary gave John a"
IDS = [[5, 9, 7, 30]]


def model_of(name: str, backend: str = "nnsight") -> tuple[Any, Any]:
    if name.startswith("tinyworld"):
        return tinyworld(name, backend), SHORT
    return zoo_model(name, backend), IDS


@cache
def whole(
    name: str = "tinyworld", measure: Any = "answer", final_norm: Any = "real"
) -> wb.information.InformationGraph:
    model, prompt = model_of(name)
    return graph_of(
        model, prompt, measure=measure, final_norm=final_norm, n_edges=EVERY, n_neurons=3
    )


def run_with(model: Any, info: wb.information.InformationGraph, edits: Any) -> np.ndarray:
    """The logits of the last position with edits of one's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logits = model.run([info.token_ids.tolist()], edits=edits, logits_at="last").logits
    return logits[0, 0].double().numpy()


def runs(result: wb.Effects, name: str = "answer") -> np.ndarray:
    """(run,) a measure of the plain run, the cut one and the controls."""
    one = result[name]
    return np.concatenate([one.plain, one.changed[0], one.control[:, 0]])


def fall(result: wb.Effects, name: str = "answer") -> float:
    """How far the answer falls."""
    return -float(result.effect(name)[0, 0])


def others_of(result: wb.Effects) -> list[list[str]]:
    """The edges of each control."""
    return [each.split("; ") for each in result.controls["draw"]]


def best_of(result: wb.Effects, run: int, k: int) -> dict[str, float]:
    """The likeliest next tokens of a run."""
    words = [each for each in result.measures if each.unit == "probability"]
    each = {one.name: float(runs(result, one.name)[run]) for one in words}
    return dict(sorted(each.items(), key=lambda item: -item[1])[:k])


def check(
    info: wb.information.InformationGraph,
    result: wb.Effects,
    logits: np.ndarray,
    row: int = 1,
) -> None:
    """Whether a run of a cut is the run of these logits."""
    cap = 5.0 if info.model == "gemma2" else None
    inner = logits if cap is None else cap * np.arctanh(logits / cap)
    away = inner.mean() if info.foil_id is None else inner[info.foil_id]
    assert runs(result)[row] == pytest.approx(inner[info.target_id] - away, abs=1e-4)
    weights = np.exp(logits - logits.max())
    probabilities = weights / weights.sum()
    assert runs(result, info.target)[row] == pytest.approx(probabilities[info.target_id], abs=1e-5)
    best = np.sort(probabilities)[::-1][:6]
    if row < 2:
        np.testing.assert_allclose(list(best_of(result, row, 6).values()), best, atol=1e-5)


def strongest(
    info: wb.information.InformationGraph, source: str, target: str, channel: str = ""
) -> str:
    """The heaviest edge between two kinds of nodes that has a channel."""
    graph = info
    alike = [
        e
        for e in range(len(graph.weights))
        if graph.kinds[graph.sources[e]] == source
        and graph.kinds[graph.targets[e]] == target
        and graph.channels[e] == channel
    ]
    return info.edge_names[max(alike, key=lambda e: abs(graph.weights[e]))]


def ends(edge: str) -> tuple[str, str]:
    source, _, target = edge.partition(" → ")
    return source, target.partition(" ")[0]
