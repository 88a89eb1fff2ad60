import re
from typing import Any

import numpy as np
import pytest
from traitlets import TraitError

from workbench.widgets import GraphView
from workbench.widgets.arrays import decode
from workbench.widgets.graph_edges import CHANNELS, edge_ids

from .test_flow_graph import check_traits
from .token_flows import token_flow

IDS = ["embed@0", "embed@1", "L0H2.z@1", "L0.resid_mid@1", "L0.mlp_post/7@1", "L0.resid_post@1"]


def small(**changes: Any) -> Any:
    """The arguments of a flow of two tokens and one layer."""
    return {
        "tokens": ["a", " b"],
        "ids": IDS,
        "columns": [0, 1, 1, 1, 1, 1],
        "layers": [-1, -1, 0, 0, 0, 0],
        "kinds": ["embed", "embed", "head", "state", "neuron", "state"],
        "words": [["a"], [" b"], [], [" b", "c"], ["d"], ["e"]],
        "edges": edges(),
        **changes,
    }


def edges(**changes: Any) -> Any:
    return {
        "source": [0, 1, 2, 3],
        "target": [2, 2, 3, 4],
        "weight": [0.5, -0.25, 1.0, 2.0],
        "share": [0.5, 0.25, 0.75, 1.0],
        "channel": ["v", "q", "", ""],
        **changes,
    }


def flow(**changes: Any) -> GraphView:
    return GraphView(small(**changes), layout="tokens")


def test_the_nodes_edges_and_numbers_given_are_those_that_travel():
    given = token_flow(5, 2)
    shown = GraphView(given, layout="tokens", title="a flow", threshold=0.25, mode="edit")
    assert shown._tokens == given["tokens"] and shown.ids == tuple(given["ids"])
    for key, name in [
        ("column", "columns"), ("layer", "layers"), ("kind", "kinds"), ("words", "words"),
    ]:  # fmt: skip
        assert [node[key] for node in shown._nodes] == list(given[name])
    told = [[[caption, list(words)] for caption, words in each] for each in given["details"]]
    assert [node["details"] for node in shown._nodes] == told
    for name in ("source", "target", "weight", "share"):
        np.testing.assert_allclose(decode(shown._edges[name]), given["edges"][name], rtol=1e-6)
    codes = decode(shown._edges["channel"])
    assert [CHANNELS[code] for code in codes] == given["edges"]["channel"]
    for name in ("scores", "relevance", "rest"):
        np.testing.assert_allclose(decode(shown._numbers[name]), given[name], rtol=1e-6)
    assert shown.roots == given["roots"]
    assert (shown.title, shown.unit, shown.threshold) == ("a flow", "logits", 0.25)
    assert (shown.mode, shown.selected, shown.other, shown.cut_edges) == ("edit", "", "", [])


def test_a_node_lies_where_a_pass_computes_it_and_what_is_not_given_is_not_known():
    shown = flow()
    rows = [node["row"] for node in shown._nodes]
    assert rows == [3, 3, 0, 1, 2, 3]
    for array in shown._numbers.values():
        assert np.isnan(decode(array)).all()
    assert shown.kinds_shown == ["head", "neuron", "mlp"]
    assert shown.channels_shown == ["v", "k", "q"]
    alone = GraphView(layout="tokens", graph={
        "tokens": ["a"], "ids": ["embed@0"], "columns": [0], "layers": [-1], "kinds": ["embed"],
        "words": [[]], "edges": {"source": [], "target": [], "weight": [], "share": []},
    })  # fmt: skip
    assert repr(alone) == "GraphView(tokens: 1 tokens, 1 nodes, 0 edges)"


def test_edges_are_named_by_their_ends_and_their_channel():
    shown = flow()
    assert edge_ids("tokens", shown._nodes, shown._edges) == [
        "embed@0 → L0H2.z@1 v",
        "embed@1 → L0H2.z@1 q",
        "L0H2.z@1 → L0.resid_mid@1",
        "L0.resid_mid@1 → L0.mlp_post/7@1",
    ]


def test_a_share_that_rounding_puts_above_everything_is_everything():
    shown = flow(edges=edges(share=[1.00005, 0, 1, 1]))
    assert decode(shown._edges["share"]).tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tokens": []}, "at least one token and one node; given 0 tokens and 6 ids"),
        ({"kinds": ["state"]}, "kinds has one entry a node, 6; given 1"),
        ({"details": []}, "details has one entry a node, 6; given 0"),
        ({"ids": ["x", *IDS[2:], "x"]}, "each node has an id of its own; given twice: ['x']"),
        ({"ids": ["", *IDS[1:]]}, "an id is not empty, has no →"),
        ({"ids": ["a → b", *IDS[1:]]}, "which edge ids add; given 'a → b'"),
        ({"ids": ["a v", *IDS[1:]]}, "does not end in ' q', ' k' or ' v'"),
        ({"kinds": ["feature"] * 6}, "kinds are 'embed', 'state', 'head', 'neuron', 'mlp'; given"),
        ({"columns": [0, 1, 1, 1, 1, 2]}, "positions of the tokens, 0 to 1; given 0 to 2"),
        ({"layers": [-1, -1]}, "layers has one entry a node, 6; given (2,)"),
        ({"layers": [0, -1, 0, 0, 0, 0]}, "node 'embed@0': the embedding is in layer -1 and all"),
        ({"ids": [*IDS[:5], "L0.resid_pre@1"]}, "a state's id says where in its layer it is, as"),
        ({"words": [["a"] * 11, *[[]] * 5]}, "node 'embed@0': at most 10 words; given 11"),
        ({"scores": [1.0]}, "scores has shape (6,); given (1,)"),
        ({"scores": [np.inf] * 6}, "scores is finite, NaN where not known; given inf for node 0"),
        ({"rest": [0, 1.5, 0, 0, 0, 0]}, "rest is a share from 0 to 1, NaN where not known; given"),
        ({"relevance": [-1.0] * 6}, "relevance is a share from 0 to 1"),
    ],
)
def test_nodes_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        flow(**changes)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"share": [0.5]}, "source, target, weight, share and channel have one length; given"),
        ({"source": [0, 1, 2, 6]}, "source holds indices into nodes, 0 to 5; given 0 to 6"),
        ({"weight": [np.nan, 0, 0, 0]}, "weight is finite; 1 of 4 are not"),
        ({"share": [0.5, np.nan, -1, 1]}, "share is a number from 0 to 1; 2 of 4 are not, the"),
        ({"channel": ["v", "q", "", "o"]}, 'channel is one of "", "q", "k" and "v"; given'),
        ({"source": [0, 1, 3, 3], "target": [2, 2, 2, 4]}, "an edge goes up, in each layer from"),
        ({"source": [0, 1, 2, 0]}, "only a head reads another token's column; edge 3 goes from"),
        ({"channel": ["v", "q", "", "v"]}, "only a head has the channels q, k and v; edge 3"),
        (
            {"source": [0, 0, 2, 3], "channel": ["v", "v", "", ""]},
            "each edge is given once; given more than once: embed@0",
        ),
        ({"sign": [1, 1, 1, 1]}, "unknown: ['sign']"),
    ],
)
def test_edges_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        flow(edges=edges(**changes))


def test_an_edge_to_an_earlier_token_is_refused():
    ids = ["embed@1", *IDS[1:]]
    ids[1], ids[2] = "embed@0", "L0H2.z@0"
    with pytest.raises(ValueError, match="never goes to an earlier token; edge 0 goes from embed"):
        flow(ids=ids, columns=[1, 0, 0, 1, 1, 1], edges=edges(target=[2, 2, 3, 4]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"words": ["a"] * 6}, "words of 'embed@0' holds strings; given 'a'"),
        ({"words": [[1], *[[]] * 5]}, "words of 'embed@0' holds strings; given [1]"),
        ({"details": [[("query", "abc")], *[()] * 5]}, "details of 'embed@0' holds strings"),
        ({"tokens": "ab"}, "tokens holds strings; given 'ab'"),
        ({"columns": [0.5] * 6}, "columns holds whole numbers; given float64"),
        ({"roots": IDS[5]}, "roots holds strings; given 'L0.resid_post@1'"),
        ({"edges": edges(source=[0.5] * 4)}, "source holds integer indices"),
    ],
)
def test_texts_and_numbers_of_the_wrong_kind_are_refused(changes, text):
    with pytest.raises(TypeError, match=re.escape(text)):
        flow(**changes)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("mode", "cut", "mode is one of look, edit; given 'cut'"),
        ("threshold", 1.5, "threshold is a number from 0 to 1; given 1.5"),
        ("threshold", float("nan"), "threshold is a number from 0 to 1; given nan"),
        ("selected", "L9.resid_post@1", 'selected is the id of a node, or ""; given'),
        ("other", "L9.resid_post@1", 'other is the id of a node, or ""; given'),
        ("roots", ["L9.resid_post@1"], "roots are ids of nodes; not among them: ['L9"),
        ("kinds_shown", ["state"], "kinds_shown holds some of 'head', 'neuron', 'mlp'; given"),
        ("channels_shown", ["o"], "channels_shown holds some of 'v', 'k', 'q'; given ['o']"),
        ("cut_edges", ["embed@0 → L0H2.z@1"], 'such as "embed@3 → L0H1.z@5 v"; not among them: ['),
        ("cut_edges", ["embed@0 → L0H2.z@1 v"] * 2, "cut_edges holds each id once; given"),
    ],
)
def test_a_choice_that_is_not_there_is_refused_and_the_old_one_stays(name, value, text):
    shown = flow()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=re.escape(text)):
        setattr(shown, name, value)
    assert getattr(shown, name) == before


def test_the_browser_chooses_and_a_message_that_does_not_fit_changes_nothing(monkeypatch):
    shown = flow(mode="edit")
    cut = ["L0H2.z@1 → L0.resid_mid@1"]
    shown.set_state({"selected": IDS[5], "other": IDS[0], "threshold": 1, "cut_edges": cut})
    assert (shown.selected, shown.other, shown.threshold) == (IDS[5], IDS[0], 1.0)
    shown.set_state({"kinds_shown": ["mlp", "head"], "word": "b"})
    assert (shown.kinds_shown, shown.word, shown.cut_edges) == (["head", "mlp"], "b", cut)
    corrected = []
    monkeypatch.setattr(shown, "send_state", lambda key: corrected.append(sorted(key)))
    with pytest.raises(TraitError, match="threshold is"):
        shown.set_state({"selected": "", "threshold": 2})
    assert (shown.selected, shown.threshold) == (IDS[5], 1.0)
    assert corrected == [["selected", "threshold"]]


@pytest.mark.parametrize("name", sorted(GraphView.DATA))
def test_the_browser_cannot_change_the_data(name):
    shown = flow()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        shown.set_state({name: "x"})
    assert getattr(shown, name) == before


def test_update_replaces_everything_in_one_message_and_keeps_what_still_makes_sense(monkeypatch):
    shown = GraphView(token_flow(5, 2), layout="tokens", title="old", threshold=0.3, mode="edit")
    low, high = "embed@0", "L1.resid_post@4"
    kept, lost = "embed@0 → L0.resid_mid@0", "L1.resid_mid@0 → L1.resid_post@0"
    shown.set_state({"selected": high, "other": low, "cut_edges": [lost, kept], "word": "Mary"})
    shown.status = "running…"
    sent = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    shown.update(**token_flow(5, 1))
    assert len(sent) == 1 and set(sent[0]["state"]) >= {"_nodes", "_edges", "cut_edges", "selected"}
    assert (shown.selected, shown.other, shown.cut_edges, shown.word) == ("", low, [kept], "Mary")
    assert (shown.title, shown.threshold, shown.mode, shown.status) == ("old", 0.3, "edit", "")
    assert shown.roots == ["L0.resid_post@4"]
    shown.update(**token_flow(3, 1), title="new", status="running…", threshold=0.0)
    assert (shown.title, shown.status, shown.threshold) == ("new", "running…", 0.0)


def test_an_update_that_does_not_fit_changes_nothing():
    shown = flow(title="old")
    before = shown.get_state()
    with pytest.raises(ValueError, match="rest has shape"):
        shown.update(**small(rest=[1.0]), title="new")
    with pytest.raises(TraitError, match="roots are ids"):
        shown.update(**small(ids=["e@0", *IDS[1:]]), roots=["embed@0"], title="new")
    with pytest.raises(TraitError, match="mode is one of"):
        shown.update(**small(), mode="cut", title="new")
    assert shown.get_state() == before


def test_the_repr_is_short_and_the_same_on_every_run():
    shown = flow()
    assert repr(shown) == "GraphView(tokens: 2 tokens, 6 nodes, 4 edges)"
    shown.cut_edges = ["embed@0 → L0H2.z@1 v"]
    assert repr(shown) == "GraphView(tokens: 2 tokens, 6 nodes, 4 edges, 1 cut)"


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    choices = {
        "threshold",
        "kinds_shown",
        "channels_shown",
        "word",
        "selected",
        "other",
        "cut_edges",
    }
    check_traits("graph_view/tokens", GraphView, choices | {"cut_edges"})
