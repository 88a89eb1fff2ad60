"""Pictures of attributions, circuits, ablations and paths hold the results' own numbers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from tests.unit.circuit_models import ioi, tinyworld
from tests.unit.kernels import marks
from workbench import ablate, attribute, circuits, find_circuit
from workbench.circuits import Circuit, path_patch


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@cache
def circuit(name: str = "tinyworld") -> Circuit:
    return find_circuit(tinyworld(name), ioi(), n_edges=20, steps=1)


def texts_apart(ax: Any) -> bool:
    """Whether no text that is drawn lies on another, and all lie inside the figure."""
    figure = ax.figure
    figure.canvas.draw()
    texts = [t for t in ax.texts if t.get_text()]
    for axis in (ax.xaxis, ax.yaxis):
        low, high = sorted(axis.get_view_interval())
        texts += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    # The text alone: that of an annotation would take in its arrow.
    boxes = [Text.get_window_extent(t) for t in texts if t.get_text()]
    inside = all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        for box in boxes
    )
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]]
    return inside and not any(a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)) for a, b in pairs)


def test_an_attribution_is_drawn_as_bars_of_its_largest_scores() -> None:
    result = attribute(tinyworld(), ioi(), method="eap")
    ax = result.plot(top=12)
    order = result.ranking()[:12]
    np.testing.assert_allclose([bar.get_width() for bar in ax.patches], result.scores[order])
    assert [t.get_text() for t in ax.get_yticklabels()] == [result.name(int(i)) for i in order]
    for bar in ax.patches:
        wanted = marks.POSITIVE if bar.get_width() >= 0 else marks.NEGATIVE
        assert to_hex(bar.get_facecolor()) == wanted
    assert ax.get_title() == "tinyworld: eap of 479 edges on ioi, 3 examples, the 12 largest of 479"
    # The largest stands on top.
    bottom, top = ax.get_ylim()
    assert bottom > top and texts_apart(ax)


def test_scores_at_positions_say_where() -> None:
    result = attribute(tinyworld(), ioi(), method="attribution", positions=True)
    ax = result.plot(top=5)
    names = [t.get_text() for t in ax.get_yticklabels()]
    order = result.ranking()[:5]
    assert names == [f"{result.name(int(i))} {result.positions[i]}" for i in order]


def test_a_check_draws_every_item_the_diagonal_and_the_names_of_large_errors() -> None:
    result = circuits.check_attribution(tinyworld(), ioi(), method="eap")
    ax = result.plot(named=4)
    points, diagonal = ax.lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    error = np.abs(result.approximate.astype(float) - result.exact)
    order = np.argsort(-error, kind="stable")
    np.testing.assert_allclose(sorted(points.get_xdata()), sorted(result.exact))
    np.testing.assert_allclose(sorted(points.get_ydata()), sorted(result.approximate))
    assert {t.get_text() for t in ax.texts} == {result.names[i] for i in order[:4]}
    assert texts_apart(ax)


def test_a_path_is_drawn_with_its_effect_and_the_interval() -> None:
    result = path_patch(tinyworld(), ioi(), "L0.mlp_out", ["L3H1.q", "logits"])
    ax = result.plot()
    (points,) = ax.collections[-1:]
    np.testing.assert_allclose(points.get_offsets()[:, 0], [result.score(draws=0)[0]])
    assert [t.get_text() for t in ax.get_yticklabels()] == ["L0.mlp_out → L3H1.q, logits residual"]


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_a_circuit_is_drawn_with_its_nodes_and_a_line_for_each_edge(name: str) -> None:
    result = circuit(name)
    graph = result
    ax = result.plot()
    assert sorted(t.get_text() for t in ax.texts) == sorted(graph.ids)
    assert len(ax.lines) == len(graph.weights)
    colors = [to_hex(line.get_color()) for line in ax.lines]
    assert colors.count(marks.NEGATIVE) == int((graph.weights < 0).sum())
    assert colors.count(marks.POSITIVE) == int((graph.weights >= 0).sum())
    labels = [t.get_text() for t in ax.get_yticklabels()]
    assert labels == ["embed", "L0", "L1", "L2", "L3", "logits"]
    assert texts_apart(ax)


def test_an_evaluation_is_drawn_with_a_curve_for_each_ablation_and_the_random_circuits() -> None:
    kinds = ("counterfactual", "zero")
    result = circuits.evaluate(tinyworld(), ioi(), circuit(), references=kinds, n_controls=4)
    ax = result.plot()
    curves = {line.get_label(): line for line in ax.lines if line.get_label() in kinds}
    effect = result.effect()[:, 0]
    assert set(curves) == set(kinds)
    for kind, line in curves.items():
        rows = result.rows(change="top", reference=kind)
        np.testing.assert_allclose(line.get_ydata(), effect[rows])
        shares = [100 * result.changes["fraction"][row] for row in rows]
        np.testing.assert_allclose(line.get_xdata(), shares)
    points = {
        mark: [y for line in ax.lines if line.get_marker() == mark for y in line.get_ydata()]
        for mark in "ovx"
    }
    for mark, change in (("o", "inside"), ("v", "outside")):
        own = [result.score(change=change, reference=kind)[0] for kind in kinds]
        np.testing.assert_allclose(points[mark], own)
    np.testing.assert_allclose(points["x"], result.effect(of="controls")[:, 0])
    legend = [t.get_text() for t in ax.get_legend().get_texts()]
    assert legend == [*kinds, "the circuit", "its complement", "random circuits"]


def test_ablations_are_drawn_with_a_point_for_each_and_its_interval() -> None:
    cuts = {"head": "L3H1.z", "more": ["L2H0.z", "L1.mlp_out"]}
    result = ablate(tinyworld(), ioi(), cuts, reference=["zero", "mean"])
    ax = result.plot()
    frame = result.to_frame()
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == ["head zero", "more zero", "head mean", "more mean"]
    (points,) = ax.collections[-1:]
    np.testing.assert_allclose(points.get_offsets()[:, 0], frame.effect)
    ends = [s for c in ax.collections[:-1] for s in c.get_segments()]
    np.testing.assert_allclose([s[:, 0] for s in ends], frame[["low", "high"]])


def test_pictures_are_drawn_on_axes_that_are_given() -> None:
    result = ablate(tinyworld(), ioi(), ["L3H1.z"], reference="zero")
    figure, (left, right) = plt.subplots(1, 2)
    assert result.plot(ax=left) is left and circuit().plot(ax=right) is right
    assert left.collections and right.texts and plt.get_fignums() == [figure.number]
