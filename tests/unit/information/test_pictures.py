"""The picture of a graph shows what it says, and nothing lies on anything else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex

import workbench as wb
from tests.unit.circuit_models import tinyworld
from tests.unit.kernels import marks
from tests.unit.lens_models import zoo_model

#: The colours of what adds and of what takes away.
POSITIVE, NEGATIVE = marks.POSITIVE, marks.NEGATIVE

PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module")
def info() -> wb.information.InformationGraph:
    return wb.information.graph(tinyworld(), PROMPT, measure="answer", foil=" John", details=False)


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def boxes(ax: Any) -> list[Any]:
    """What each node covers, in pixels."""
    ax.figure.canvas.draw()
    return [text.get_bbox_patch().get_window_extent() for text in ax.texts]


@pytest.mark.parametrize("n_edges", [60, 150])
def test_no_node_lies_on_another_nor_outside(
    info: wb.information.InformationGraph, n_edges: int
) -> None:
    ax = info.plot(n_edges=n_edges)
    drawn = boxes(ax)
    assert len(drawn) > 30
    for i, one in enumerate(drawn):
        for other in drawn[:i]:
            assert not one.overlaps(other)
    frame = ax.get_window_extent()
    assert min(box.x0 for box in drawn) >= frame.x0 and max(box.x1 for box in drawn) <= frame.x1
    assert max(box.y1 for box in drawn) <= frame.y1 + 5
    labels = [label.get_window_extent() for label in ax.get_xticklabels()]
    assert [label.get_text() for label in ax.get_xticklabels()][:2] == ["When", "·Mary"]
    assert not any(a.overlaps(b) for i, a in enumerate(labels) for b in labels[:i])
    assert max(label.y1 for label in labels) < min(box.y0 for box in drawn)


def test_every_edge_is_a_line_of_its_sign_and_the_widest_is_the_most_relevant(
    info: wb.information.InformationGraph,
) -> None:
    ax = info.plot(n_edges=60)
    order = np.argsort(-info.relevance)
    lines = ax.lines
    assert len(lines) == 60
    colors = [to_hex(line.get_color()) for line in lines]
    assert set(colors) == {POSITIVE, NEGATIVE}
    widest = max(lines, key=lambda line: line.get_linewidth())
    weight = info.weights[order[0]]
    assert to_hex(widest.get_color()) == (POSITIVE if weight >= 0 else NEGATIVE)
    # All edges go up, from layer to layer.
    assert all(line.get_ydata()[0] < line.get_ydata()[1] for line in lines)
    assert "60 of 150 edges" in ax.get_title() and "‘ Mary’ − ‘ John’" in ax.get_title()


def test_nodes_carry_their_number_their_word_and_the_color_of_their_kind(
    info: wb.information.InformationGraph,
) -> None:
    ax = info.plot(n_edges=150)
    graph = info
    assert len(ax.texts) == len(graph.ids)
    heads = [i for i, kind in enumerate(graph.kinds) if kind == "head"]
    texts = [text.get_text() for text in ax.texts]
    head = heads[0]
    number = graph.ids[head].partition("H")[2].partition(".")[0]
    assert any(t.startswith(f"H{number} ") for t in texts)
    counts = {kind: graph.kinds.count(kind) for kind in ("head", "neuron")}
    edges = [to_hex(text.get_bbox_patch().get_edgecolor()) for text in ax.texts]
    assert edges.count("#8e6ae0") == counts["head"]
    assert edges.count("#b07a1e") == counts["neuron"] + graph.kinds.count("mlp")


def test_a_part_that_is_not_joined_to_the_end_is_drawn_too(
    info: wb.information.InformationGraph,
) -> None:
    part = info.prune(kinds=["embed", "head"])
    assert len(part.plot().lines) == len(part.weights)


def test_a_parallel_block_and_a_given_axes_are_drawn() -> None:
    result = wb.information.graph(zoo_model("gptj"), [[5, 9, 7]], n_edges=40, k=1, details=False)
    _, ax = plt.subplots()
    assert result.plot(ax=ax) is ax
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "embedding", "layer 0", "layer 1"
    ]  # fmt: skip


def test_a_cut_shows_the_answers_the_controls_and_the_next_words(
    info: wb.information.InformationGraph,
) -> None:
    edge = next(name for name in info.edge_names if name.endswith(" v"))
    result = wb.information.cut(tinyworld(), info, edge, n_controls=3, k=4)
    frame = result.to_frame()
    ax = result.plot()
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert [name.strip() for name in names] == [name.strip() for name in frame.measure]
    np.testing.assert_allclose(ax.collections[-1].get_offsets()[:, 0], frame.effect)
    assert len(ax.patches) == len(frame)
