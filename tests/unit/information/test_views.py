"""What the graph of a pass gives to its widget."""

from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench.widgets import GraphView
from workbench.widgets.arrays import decode
from workbench.widgets.graph_edges import edge_ids

LIVE = "text/html"
PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module", params=["state", "answer"])
def info(request) -> Any:
    model = wb.load("tinyworld", device="cpu")
    return wb.information.graph(model, PROMPT, measure=request.param, target=" Mary", n_edges=60)


def test_a_graph_is_drawn_with_its_own_nodes_words_edges_and_numbers(info):
    shown = info.widget(threshold=0.1)
    assert isinstance(shown, GraphView) and LIVE in info._repr_mimebundle_()
    graph = info
    assert shown._tokens == list(info.tokens[0]) and shown.ids == graph.ids
    assert [node["words"] for node in shown._nodes] == [list(words[:10]) for words in info.words]
    assert [node["layer"] for node in shown._nodes] == graph.layers.tolist()
    assert [node["column"] for node in shown._nodes] == graph.positions.tolist()
    # The graph's cuts are what `cut` takes.
    assert edge_ids("tokens", shown._nodes, shown._edges) == list(info.edge_names)
    np.testing.assert_allclose(decode(shown._edges["weight"]), graph.weights, rtol=1e-6)
    np.testing.assert_allclose(decode(shown._edges["share"]), info.shares.clip(0, 1), rtol=1e-6)
    expected = {
        "scores": info.contribution,
        "relevance": graph.scores,
        "rest": info.rest,
    }
    for name, values in expected.items():
        np.testing.assert_allclose(decode(shown._numbers[name]), values, atol=1e-6)
    assert shown.roots == list(info.roots) and shown.unit == info.unit
    assert shown.title == "tinyworld: information to ' Mary'" and shown.threshold == 0.1
    for node, told in zip(shown._nodes, info.details, strict=True):
        assert node["details"] == [[caption, list(words)] for caption, words in told]


def test_a_graph_too_large_to_read_has_no_widget_and_says_what_to_do():
    model = wb.load("tinyworld", device="cpu")
    large = wb.information.graph(model, PROMPT, n_edges=4000)
    n_nodes = len(large.ids)
    assert n_nodes > 600 and LIVE not in large._repr_mimebundle_()
    told = f"at most 600 nodes; this one has {n_nodes}.* a smaller n_edges="
    with pytest.raises(TypeError, match=told):
        large.widget()
