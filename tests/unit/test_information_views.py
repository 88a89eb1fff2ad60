"""What an information flow gives to its widget."""

from typing import Any

import numpy as np
import pytest

import workbench as wb
from workbench import views
from workbench.views import information
from workbench.widgets import TokenFlow
from workbench.widgets.arrays import decode
from workbench.widgets.token_flow_data import edge_ids

PROMPT = "When Mary and John went to the store, John gave a drink to"


@pytest.fixture(scope="module", params=["state", "answer"])
def flow(request) -> Any:
    model = wb.load("tinyworld", device="cpu")
    return wb.information_flow(model, PROMPT, by=request.param, target=" Mary", n_edges=60)


def test_a_flow_is_drawn_with_its_own_nodes_words_edges_and_numbers(flow):
    shown = views.widget(flow, threshold=0.1)
    assert isinstance(shown, TokenFlow) and views.has_widget(flow)
    graph = flow.graph
    assert shown._tokens == list(flow.tokens[0]) and shown.ids == graph.ids
    assert [node["words"] for node in shown._nodes] == [list(words[:10]) for words in flow.words]
    assert [node["layer"] for node in shown._nodes] == graph.layers.tolist()
    assert [node["column"] for node in shown._nodes] == graph.positions.tolist()
    # The graph's cuts are what `cut_flow` takes.
    assert edge_ids(shown._nodes, shown._edges) == list(flow.edge_names)
    np.testing.assert_allclose(decode(shown._edges["weight"]), graph.weights, rtol=1e-6)
    np.testing.assert_allclose(decode(shown._edges["share"]), flow.shares.clip(0, 1), rtol=1e-6)
    expected = {"scores": flow.contribution, "relevance": graph.scores, "rest": flow.rest}
    for name, values in expected.items():
        np.testing.assert_allclose(decode(shown._numbers[name]), values, atol=1e-6)
    assert shown.roots == list(flow.roots) and shown.unit == flow.unit
    assert shown.title == "tinyworld: information flow to ' Mary'" and shown.threshold == 0.1
    for node, told in zip(shown._nodes, flow.details, strict=True):
        assert node["details"] == [[caption, list(words)] for caption, words in told]


def test_a_flow_too_large_to_read_has_no_widget_and_says_what_to_do(flow, monkeypatch):
    monkeypatch.setattr(information, "MOST_NODES", 10)
    assert not views.has_widget(flow)
    with pytest.raises(TypeError, match="at most 10 nodes; this flow has .* a smaller n_edges="):
        views.widget(flow)
