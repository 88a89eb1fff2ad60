import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from traitlets import TraitError

from workbench.widgets import GraphView
from workbench.widgets.arrays import decode

from .flows import flow

SOURCES = Path(__file__).parents[3] / "widgets" / "src"


def graph(**options: Any) -> GraphView:
    return GraphView(flow(), layout="lanes", **options)


def test_the_features_and_edges_given_are_those_that_travel():
    given = flow()
    shown = GraphView(given, layout="lanes", title="a flow", threshold=0.25, before=np.arange(12))
    for key, name in [("id", "ids"), ("layer", "layers"), ("lane", "lanes"), ("label", "labels")]:
        assert [node[key] for node in shown._nodes] == list(given[name])
    assert [node["class"] for node in shown._nodes] == given["classes"]
    assert [node["ended"] for node in shown._nodes] == given["ended"].tolist()
    assert [node["id"] for node in shown._nodes if node["root"]] == given["roots"]
    for name in ("source", "target", "weight"):
        np.testing.assert_allclose(decode(shown._edges[name]), given["edges"][name], rtol=1e-6)
    for name in ("resid", "mlp", "attn", "successor"):
        np.testing.assert_array_equal(decode(shown._numbers[name]), given[name])
    np.testing.assert_array_equal(decode(shown._numbers["thresholds"]), np.full((12, 4), 0.5))
    np.testing.assert_array_equal(shown.before, np.arange(12, dtype=np.float32))
    assert np.isnan(shown.after).all()
    assert shown.ids == tuple(given["ids"])
    assert (shown.title, shown.threshold, shown.mode) == ("a flow", 0.25, "look")


def test_four_arguments_are_enough():
    shown = GraphView(layout="lanes", graph={
        "ids": ["a", "b"], "layers": [0, 1], "lanes": ["resid", "resid"],
        "edges": {"source": [0], "target": [1], "weight": [0.5]},
    })  # fmt: skip
    assert shown._nodes[0] == {
        "id": "a", "label": "", "lane": "resid", "class": "", "layer": 0, "ended": False,
        "root": False,
    }  # fmt: skip
    for array in shown._numbers.values():
        assert np.isnan(decode(array)).all()
    alone = GraphView(
        {
            "ids": ["a"],
            "layers": [0],
            "lanes": ["mlp"],
            "edges": {"source": [], "target": [], "weight": []},
        },
        layout="lanes",
    )
    assert repr(alone) == "GraphView(lanes: 1 nodes, 0 edges)"


def test_thresholds_are_one_number_or_four_or_four_a_node():
    four = decode(graph(thresholds=[0.1, 0.2, 0.3, 0.4])._numbers["thresholds"])
    np.testing.assert_allclose(four, np.tile([0.1, 0.2, 0.3, 0.4], (12, 1)), rtol=1e-6)
    each = np.random.default_rng(0).random((12, 4)).astype(np.float32)
    np.testing.assert_array_equal(decode(graph(thresholds=each)._numbers["thresholds"]), each)
    with pytest.raises(ValueError, match=r"thresholds is one number, or one .* given \(3,\)"):
        graph(thresholds=[0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ids": []}, "ids is empty: a flow graph has at least one node"),
        ({"labels": ["a"]}, "labels has one entry a node, 12; given 1"),
        ({"ids": ["a"] * 12}, "each node has an id of its own that is not empty"),
        ({"lanes": ["heads"] * 12}, "lanes are 'mlp', 'resid', 'attn'; given ['heads']"),
        ({"classes": ["new"] * 12}, "given ['new']"),
        ({"roots": ["L9.resid_post/1"]}, "roots are ids of nodes; not among them: ['L9"),
        ({"layers": [0, 1]}, "layers and ended have one entry a node, 12; given (2,)"),
        ({"resid": [0.5]}, "resid has shape (12,); given (1,)"),
        ({"before": [0.5]}, "before has shape (12,); given (1,)"),
    ],
)
def test_nodes_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        graph(**changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"source": [0, 1]},
            "and weight have one length; given source (2,), target (1,), weight (1,)",
        ),
        ({"source": [12]}, "source holds indices into nodes, 0 to 11; given 12 to 12"),
        ({"weight": [np.nan]}, "weight is finite; 1 of 1 are not"),
        ({"source": [1], "target": [0]}, "an edge goes up, from a layer's MLP and attention"),
        ({"source": [0], "target": [2]}, "edge 0 goes from L0.mlp_out"),
        (
            {"source": [0, 0], "target": [1, 1], "weight": [0.1, 0.2]},
            "each edge is given once; given more than once: L0.mlp_out",
        ),
        ({"channel": [""]}, "unknown: ['channel']"),
    ],
)
def test_edges_that_do_not_fit_are_refused(changes, text):
    edges = {"source": [0], "target": [1], "weight": [0.5]} | changes
    with pytest.raises(ValueError, match=re.escape(text)):
        graph(edges=edges)


def test_texts_and_numbers_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="labels holds strings"):
        graph(labels=[1] * 12)
    with pytest.raises(TypeError, match="layers holds whole numbers and ended True or False"):
        graph(layers=[0.5] * 12)
    with pytest.raises(TypeError, match="source holds integer indices"):
        graph(edges={"source": [0.5], "target": [1], "weight": [1.0]})


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mode", "cut", "mode is one of look, edit; given 'cut'"),
        ("threshold", 1.5, "threshold is a number from 0 to 1; given 1.5"),
        ("threshold", float("nan"), "threshold is a number from 0 to 1; given nan"),
        ("selected", "L9.resid_post/1", 'selected is the id of a node, or ""'),
        ("expand", ["x", "up", 1], 'expand is [] or [the id of a node, "up" or "down", a count]'),
        ("expand", ["L0.mlp_out/871", "left", 1], "given ['L0.mlp_out/871', 'left', 1]"),
        ("expand", ["L0.mlp_out/871", "up", "1"], "expand is []"),
        ("scales", {"x": 0.0}, "scales holds ids of the graph's nodes; not among them: 'x'"),
        ("scales", {"L0.mlp_out/871": -1.0}, "factors from 0 to 100; given -1.0 for L0.mlp_out"),
        ("scales", {"L0.mlp_out/871": float("inf")}, "given inf"),
    ],
)
def test_a_choice_that_is_not_there_is_refused_and_the_old_one_stays(name, value, text):
    shown = graph()
    assert shown.ids[0] == "L0.mlp_out/871"
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=re.escape(text)):
        setattr(shown, name, value)
    assert getattr(shown, name) == before


def test_the_browser_chooses_and_a_message_that_does_not_fit_changes_nothing(monkeypatch):
    shown = graph(mode="edit")
    first, second = shown.ids[:2]
    # JSON has one kind of number: 0 and 1 arrive as integers.
    shown.set_state({"selected": first, "threshold": 1, "scales": {first: 0, second: 1}})
    assert (shown.selected, shown.threshold, shown.scales) == (first, 1.0, {first: 0.0})
    shown.set_state({"expand": [first, "up", 1]})
    assert shown.expand == [first, "up", 1]
    corrected = []
    monkeypatch.setattr(shown, "send_state", lambda key: corrected.append(sorted(key)))
    with pytest.raises(TraitError, match="threshold is"):
        shown.set_state({"selected": "", "threshold": 2})
    assert (shown.selected, shown.threshold) == (first, 1.0)
    assert corrected == [["selected", "threshold"]]


@pytest.mark.parametrize("name", sorted(GraphView.DATA))
def test_the_browser_cannot_change_the_data(name):
    shown = graph()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        shown.set_state({name: "x"})
    assert getattr(shown, name) == before


def test_update_replaces_everything_in_one_message_and_keeps_what_still_makes_sense(monkeypatch):
    shown = graph(title="old", threshold=0.3, mode="edit", before=np.ones(12))
    low, high = shown.ids[0], shown.ids[-1]
    shown.set_state({"selected": high, "scales": {low: 0, high: 2}, "expand": [high, "up", 3]})
    shown.status = "running…"
    sent = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    shown.update(**flow(2))
    assert len(sent) == 1 and set(sent[0]["state"]) >= {"_nodes", "_edges", "scales", "selected"}
    assert low in shown.ids and high not in shown.ids
    assert (shown.selected, shown.expand, shown.scales) == ("", [], {low: 0.0})
    assert (shown.title, shown.threshold, shown.mode, shown.status) == ("old", 0.3, "edit", "")
    assert np.isnan(shown.before).all(), "the activations belong to the old graph"


def test_without_a_graph_only_the_numbers_change_and_one_alone_leaves_the_other():
    shown = graph()
    shown.update(before=np.arange(12), after=np.zeros(12))
    shown.update(after=np.ones(12), status="running…")
    np.testing.assert_array_equal(shown.before, np.arange(12, dtype=np.float32))
    np.testing.assert_array_equal(shown.after, np.ones(12, np.float32))
    assert shown.status == "running…" and len(shown.ids) == 12


def test_an_update_that_does_not_fit_changes_nothing():
    shown = graph(title="old")
    before = shown.get_state()
    with pytest.raises(
        ValueError, match="update\\(\\) takes ids, layers, lanes and edges together"
    ):
        shown.update(ids=["a"], title="new")
    with pytest.raises(ValueError, match="takes ids, layers, lanes and edges together"):
        shown.update(labels=["a"] * 12)
    with pytest.raises(ValueError, match="after has shape"):
        shown.update(after=[1.0], title="new")
    with pytest.raises(TraitError, match="mode is one of"):
        shown.update(**flow(2), mode="cut", title="new")
    assert shown.get_state() == before


def test_the_repr_is_short_and_the_same_on_every_run():
    shown = graph()
    assert repr(shown) == "GraphView(lanes: 12 nodes, 11 edges)"
    shown.scales = {shown.ids[0]: 0.0}
    assert repr(shown) == "GraphView(lanes: 12 nodes, 11 edges, 1 scaled)"


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    check_traits("graph_view/lanes", GraphView, {"selected", "threshold", "expand", "scales"})


def check_traits(stem: str, widget: Any, choices: set[str]) -> None:
    """The sources read the traits they list, set those of `Choice`, and all are the class's."""
    text = "".join(path.read_text("utf8") for path in (SOURCES / stem).glob("*.js"))
    listed = re.search(r"TRAITS = \[(.*?)\]", text, re.DOTALL)
    choice = re.search(r"@typedef \{\{([^{}]*)\}\} Choice", text, re.DOTALL)
    assert listed and choice
    named = set(re.findall(r'"(\w+)"', listed.group(1)))
    read = set(re.findall(r'model\.get\("(\w+)"\)', text))
    chosen = set(re.findall(r"(\w+):", choice.group(1)))
    assert chosen == choices
    assert read == named, "a view listens to the traits it reads and to no other"
    assert chosen.isdisjoint(widget.DATA)
    assert named | chosen <= set(widget.class_traits(sync=True))
