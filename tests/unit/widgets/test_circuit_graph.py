import re
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _remove_buffers
from traitlets import TraitError

from workbench.widgets import GraphView
from workbench.widgets.arrays import decode
from workbench.widgets.graph_data import component_nodes
from workbench.widgets.graph_edges import NAMINGS, edge_id, edge_ids, missing_edges

from .circuits import circuit
from .test_flow_graph import check_traits

EDGE = "embed→L0H0.q"


def graph(**options: Any) -> GraphView:
    return GraphView(circuit(), **options)


def test_the_nodes_and_edges_given_are_those_that_travel():
    given = circuit()
    shown = GraphView(given, title="a circuit", unit="nats")
    assert [node["id"] for node in shown._nodes] == [node["id"] for node in given["nodes"]]
    assert shown._nodes[1] == {**given["nodes"][1]}
    for name in ("source", "target", "weight"):
        np.testing.assert_array_equal(decode(shown._edges[name]), given["edges"][name])
    codes = decode(shown._edges["channel"])
    assert [("", "q", "k", "v")[code] for code in codes] == given["edges"]["channel"]
    assert (shown.title, shown.unit, shown.n_edges_shown, shown.mode) == (
        "a circuit", "nats", 50, "select",
    )  # fmt: skip


def test_plain_lists_do_and_what_a_node_leaves_out_is_filled_in():
    nodes = [{"id": "a", "kind": "embed"}, {"id": "b", "kind": "logits"}]
    shown = GraphView({"nodes": nodes, "edges": {"source": [0], "target": [1], "weight": [-1]}})  # pyright: ignore
    assert shown._nodes[0] == {
        "id": "a", "label": "a", "layer": 0, "kind": "embed", "score": None, "note": "",
    }  # fmt: skip
    assert decode(shown._edges["weight"]).tolist() == [-1.0]
    empty = GraphView({"nodes": nodes, "edges": {"source": [], "target": [], "weight": []}})  # pyright: ignore
    assert repr(empty) == "GraphView(components: 2 nodes, 0 edges)"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"kind": "neuron"},
            "node 'L0H0': kind is one of embed, head, mlp, logits; given 'neuron'",
        ),
        ({"layer": -1}, "node 'L0H0': layer is a whole number from 0; given -1"),
        ({"layer": None}, "node 'L0H0': layer is a whole number from 0; given None"),
        ({"layer": True}, "layer is a whole number from 0; given True"),
        ({"score": float("nan")}, "score is finite, or None where not known; given nan"),
        ({"id": "embed"}, "each node has an id of its own; given twice: ['embed']"),
        ({"id": ""}, "node 1: an id is not empty"),
        ({"id": "a→b"}, "has no → and does not end in .q, .k or .v"),
        ({"id": "L0H0.q"}, "given 'L0H0.q'"),
        ({"size": 3}, "unknown: ['size']"),
    ],
)
def test_a_node_that_does_not_fit_is_refused(changes, text):
    given = circuit()
    given["nodes"][1] |= changes
    with pytest.raises(ValueError, match=re.escape(text)):
        GraphView(given)


def test_a_graph_has_nodes_and_their_texts_are_strings():
    none: Any = {"source": [], "target": [], "weight": []}
    with pytest.raises(ValueError, match="nodes is empty: a graph has at least one node"):
        GraphView({"nodes": [], "edges": none})
    for key in ("id", "label", "note"):
        given = circuit()
        given["nodes"][2][key] = 7
        with pytest.raises(TypeError, match="node 2: id, label and note are strings; given"):
            GraphView(given)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"source": [0, 1]},
            "source, target, weight and channel have one length; given source (2,)",
        ),
        ({"channel": ["q", "k"]}, "channel (2,)"),
        ({"source": [8]}, "edges: source holds indices into nodes, 0 to 7; given 8 to 8"),
        ({"target": [-1]}, "edges: target holds indices into nodes, 0 to 7; given -1 to -1"),
        ({"weight": [np.nan]}, "weight is finite; 1 of 1 are not, the first is edge 0, nan"),
        ({"weight": [1e300]}, "weight is finite; 1 of 1 are not, the first is edge 0, 1e+300"),
        ({"channel": ["z"]}, 'channel is one of "", "q", "k" and "v"; given [\'z\']'),
        (
            {"target": [3]},
            "only a head has the channels q, k and v; edge 0 gives channel 'q' to L0.m",
        ),
        ({"source": [4], "target": [1]}, "an edge goes up, from the embedding"),
        ({"source": [1], "target": [2]}, "edge 0 goes from L0H0 to L0H1"),
        ({"weights": [1.0]}, "unknown: ['weights']"),
        (
            {"source": [0, 0], "target": [1, 1], "weight": [1, 2], "channel": ["q", "q"]},
            f"each edge is given once; given more than once: {EDGE}",
        ),
        (
            {"source": [0, 0], "target": [1, 2], "weight": [1, 2], "channel": ["q", ""]},
            "either every edge into a head names its channel or none does; edge 1 into L0H1",
        ),
    ],
)
def test_edges_that_do_not_fit_are_refused(changes, text):
    edges = {"source": [0], "target": [1], "weight": [0.5], "channel": ["q"]} | changes
    with pytest.raises(ValueError, match=re.escape(text)):
        graph(edges=edges)


def test_indices_and_weights_of_the_wrong_kind_are_refused():
    edges = {"source": [0], "target": [1], "weight": [0.5], "channel": ["q"]}
    with pytest.raises(TypeError, match="edges: source holds integer indices into nodes; given fl"):
        graph(edges=edges | {"source": [0.0]})
    with pytest.raises(TypeError, match="edges: weight holds numbers; given str"):
        graph(edges=edges | {"weight": ["1"]})


def test_an_edge_goes_from_a_layers_heads_to_its_mlp_and_never_back():
    for source, target, good in [(1, 3, True), (3, 1, False), (3, 4, True), (6, 7, True)]:
        channel = ["q" if target in (1, 4) else ""]
        edges = {"source": [source], "target": [target], "weight": [1.0], "channel": channel}
        if good:
            assert len(decode(graph(edges=edges)._edges["weight"])) == 1
        else:
            with pytest.raises(ValueError, match=r"goes from L0\.mlp to L0H0"):
                graph(edges=edges)


def test_every_edge_is_known_by_its_id_and_nothing_else_is():
    given = circuit()
    shown = GraphView(given)
    names = edge_ids("components", shown._nodes, shown._edges)
    assert EDGE in names and "L1.mlp→logits" in names and len(set(names)) == len(names)
    assert missing_edges("components", shown._nodes, shown._edges, names) == []
    wrong = ["", "embed", "embed→", "→embed", "embed→L0H0", "L0H0→L0.mlp.q", "a→b→c", "L0H0→embed"]
    assert missing_edges("components", shown._nodes, shown._edges, [*wrong, EDGE]) == wrong


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("n_edges_shown", -1, "n_edges_shown is a number from 0 to 2000; given -1"),
        ("n_edges_shown", 2001, "given 2001"),
        ("mode", "paste", "mode is one of select, cut; given 'paste'"),
        ("selected", "L7H7", "selected is the id of a node or an edge, or \"\"; given 'L7H7'"),
        (
            "cut_nodes",
            ["L7H7"],
            "cut_nodes holds ids of the graph's nodes; not among them: ['L7H7']",
        ),
        ("cut_nodes", ["embed", "embed"], "cut_nodes holds each id once"),
        ("cut_nodes", ["logits"], "'logits' is the output and writes nothing that could be cut"),
        ("cut_edges", ["embed→L0H0"], "cut_edges holds ids of the graph's edges, such as"),
        ("cut_edges", [EDGE, EDGE], "cut_edges holds each id once"),
        ("in_circuit_nodes", ["x"], "in_circuit_nodes holds ids of the graph's nodes"),
        ("in_circuit_edges", ["x"], "in_circuit_edges holds ids of the graph's edges"),
    ],
)
def test_a_choice_that_is_not_there_is_refused_and_the_old_one_stays(name, value, text):
    shown = graph()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=re.escape(text)):
        setattr(shown, name, value)
    assert getattr(shown, name) == before


def test_the_browser_chooses_and_a_message_that_does_not_fit_changes_nothing(monkeypatch):
    shown = graph()
    choice = {
        "selected": EDGE, "cut_nodes": ["L1H0", "embed"], "cut_edges": [EDGE], "mode": "cut",
        "n_edges_shown": 7,
    }  # fmt: skip
    shown.set_state(choice)
    assert {name: getattr(shown, name) for name in choice} == choice
    corrected = []
    monkeypatch.setattr(shown, "send_state", lambda key: corrected.append(sorted(key)))
    with pytest.raises(TraitError, match="mode is one of"):
        shown.set_state({"cut_nodes": [], "mode": "burn"})
    assert shown.cut_nodes == ["L1H0", "embed"] and shown.mode == "cut"
    assert corrected == [["cut_nodes", "mode"]]


@pytest.mark.parametrize(
    "name",
    ["_nodes", "_edges", "title", "unit", "status", "in_circuit_nodes", "in_circuit_edges"],
)
def test_the_browser_cannot_change_the_data(name):
    shown = graph()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        shown.set_state({name: "x"})
    assert getattr(shown, name) == before


def test_update_replaces_everything_in_one_message(monkeypatch):
    shown = graph()
    sent = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    shown.update(**circuit(3, 2, seed=1), title="new", in_circuit_nodes=["embed"])
    assert len(sent) == 1
    assert set(sent[0]["state"]) >= {"_nodes", "_edges", "title", "in_circuit_nodes"}
    assert len(shown._nodes) == 11 and shown.in_circuit_nodes == ["embed"]


def test_update_keeps_the_choices_that_the_new_graph_still_has():
    shown = graph(title="old", unit="nats", in_circuit_edges=[EDGE])
    far = "L1H1→L1.mlp"
    shown.set_state({"selected": EDGE, "cut_nodes": ["L1H1", "embed"], "cut_edges": [far, EDGE]})
    shown.set_state({"mode": "cut", "n_edges_shown": 9})
    shown.status = "running…"
    shown.update(**circuit(1, 1))
    assert (shown.selected, shown.cut_nodes, shown.cut_edges) == (EDGE, ["embed"], [EDGE])
    assert (shown.mode, shown.n_edges_shown) == ("cut", 9)
    assert (shown.title, shown.unit, shown.status) == ("old", "nats", "")
    assert shown.in_circuit_edges is None, "the members belong to the data"
    shown.update(**circuit(1, 1, channels=False))
    assert (shown.selected, shown.cut_edges) == ("", [])


def test_an_update_that_does_not_fit_changes_nothing():
    shown = graph(title="old")
    shown.cut_nodes = ["L1H1"]
    before = shown.get_state()
    with pytest.raises(ValueError, match="nodes is empty"):
        shown.update(nodes=[], edges=circuit()["edges"], title="new")
    with pytest.raises(TraitError, match="in_circuit_nodes holds ids"):
        shown.update(**circuit(1, 1), title="new", in_circuit_nodes=["L1H1"])
    assert shown.get_state() == before


def test_every_edge_of_gpt2_small_travels_in_a_third_of_a_megabyte():
    shown = GraphView(circuit(12, 12))
    _, _, buffers = _remove_buffers(shown.get_state())
    assert len(decode(shown._edges["weight"])) == 32491
    assert sum(map(len, buffers)) < 330_000


def test_the_repr_is_short_and_the_same_on_every_run():
    shown = graph()
    assert repr(shown) == "GraphView(components: 8 nodes, 46 edges)"
    shown.cut_edges = [EDGE]
    assert repr(shown) == "GraphView(components: 8 nodes, 46 edges, 1 cut)"


def test_ids_of_nodes_may_be_any_text_that_leaves_edge_ids_readable():
    nodes = component_nodes([{"id": "<b>x</b>", "kind": "embed"}, {"id": "a.b", "kind": "logits"}])
    assert edge_id(NAMINGS["components"], *(node["id"] for node in nodes)) == "<b>x</b>→a.b"


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    chosen = {"selected", "cut_nodes", "cut_edges", "n_edges_shown", "mode"}
    check_traits("graph_view/components", GraphView, chosen)
