import re

import numpy as np
import pytest
from traitlets import TraitError

from workbench.widgets import FeaturePage
from workbench.widgets.arrays import decode

from .features import NAME, page
from .test_flow_graph import check_traits


def shown(**changes) -> FeaturePage:
    return FeaturePage(**{**page(), **changes})


def test_what_is_given_is_what_travels():
    given = page()
    widget = FeaturePage(**given, editable=True)
    assert (widget.feature, widget.label, widget.editable) == (NAME, given["label"], True)
    for name in ("label", "score", "frequency", "n_active", "mean", "maximum", "ablation_note"):
        assert widget._page[name] == given[name]
    assert widget._page["promoted"][0] == {"token": " barks", "value": 2.31}
    assert widget._page["fires_on"][1] == {"token": " cat", "value": 0.31}
    assert widget._page["nearest"][1] == {"name": "L2.resid_post/900", "label": "", "value": 0.655}
    assert widget._page["ablation"][0]["control"] == [0.02, 0.0, 0.05]
    assert widget._page["ablation"][1]["control"] is None
    assert widget._page["histogram"]["counts"] == given["histogram"]["counts"].tolist()
    texts, values = widget._contexts["texts"], decode(widget._contexts["values"])
    assert [text["group"] for text in texts] == [each["group"] for each in given["contexts"]]
    start = 0
    for text, context in zip(texts, given["contexts"], strict=True):
        end = start + len(text["tokens"])
        np.testing.assert_array_equal(values[start:end], context["values"])
        assert (text["tokens"], text["at"]) == (context["tokens"], context["at"])
        start = end
    assert start == len(values)


def test_a_name_is_enough_and_a_context_is_shown_for_its_most_active_token():
    assert repr(FeaturePage(NAME)) == f"FeaturePage({NAME}, 0 contexts)"
    widget = FeaturePage(NAME, [{"tokens": ["a", "b", "c"], "values": [0.0, -3.0, 2.0]}])
    assert widget._contexts["texts"][0] == {
        "tokens": ["a", "b", "c"], "at": 1, "group": "most active", "source": "",
    }  # fmt: skip
    assert widget._page["score"] == "not scored" and widget._page["mean"] is None
    assert repr(widget) == f"FeaturePage({NAME}, 1 context)"


def test_a_dead_feature_says_so_and_has_no_contexts():
    widget = FeaturePage(NAME, dead=True, frequency=0.0, n_active=0)
    assert repr(widget) == f"FeaturePage({NAME}, dead)"
    with pytest.raises(ValueError, match="a dead feature never fires; given 5 contexts of it"):
        shown(dead=True)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"feature": ""}, "feature is a name such as 'L3.resid_post/123'; given ''"),
        ({"frequency": 1.2}, "frequency is a share from 0 to 1; given 1.2"),
        ({"mean": float("nan")}, "mean: a number is finite; given nan"),
        ({"mean": "3"}, "mean: a number is finite; given '3'"),
        ({"contexts": [{"tokens": [], "values": []}]}, "context 0: tokens is empty"),
        ({"contexts": [{"tokens": ["a"], "values": [1, 2]}]}, "values has shape (1,); given (2,)"),
        ({"contexts": [{"tokens": ["a"], "values": [np.inf]}]}, "values are finite; given inf"),
        (
            {"contexts": [{"tokens": ["a"], "values": [1.0], "at": 1}]},
            "context 0: at is a position, 0 to 0; given 1",
        ),
        ({"contexts": [{"tokens": ["a"], "values": [1.0], "peak": 0}]}, "unknown: ['peak']"),
        ({"histogram": {"edges": [0, 1], "counts": [1, 2]}}, "edges has one entry more than"),
        ({"histogram": {"edges": [1, 1], "counts": [1]}}, "edges are finite and rise"),
        ({"histogram": {"edges": [0, 1], "counts": [-1]}}, "counts are whole numbers from 0"),
        ({"promoted": [("a",)]}, "promoted holds pairs of a token and a number"),
        ({"promoted": [("a", np.nan)]}, "promoted: a number is finite; given nan"),
        ({"nearest": [{"name": "", "value": 1}]}, "nearest holds each feature once, with a name"),
        ({"coactive": [{"name": "a", "value": 1}] * 2}, "coactive holds each feature once"),
        ({"nearest": [{"name": "a"}]}, "missing: ['value']"),
        (
            {"ablation": [{"quantity": "KL", "effect": (1.0, 2.0)}]},
            "ablation: effect is (mean, low, high); given (1.0, 2.0)",
        ),
        ({"colour": "red"}, "unknown: ['colour']"),
    ],
)
def test_what_does_not_fit_is_refused(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        shown(**changes)


def test_texts_that_are_no_strings_are_refused():
    for changes in (
        {"label": 3},
        {"contexts": [{"tokens": [1], "values": [1.0]}]},
        {"promoted": [(1, 1.0)]},
        {"nearest": [{"name": 1, "value": 1.0}]},
    ):
        with pytest.raises(TypeError, match="holds strings"):
            shown(**changes)


def test_the_browser_follows_a_link_of_the_page_and_no_other():
    widget = shown()
    widget.set_state({"chosen": "L2.resid_post/900"})
    assert widget.chosen == "L2.resid_post/900"
    with pytest.raises(TraitError, match="chosen is the name of a feature that the page names"):
        widget.set_state({"chosen": "L0.resid_post/1"})
    assert widget.chosen == "L2.resid_post/900"


def test_the_browser_changes_the_label_where_it_may(monkeypatch):
    widget = shown()
    corrected = []
    monkeypatch.setattr(widget, "send_state", lambda key: corrected.append(key))
    with pytest.raises(TraitError, match="the label of this page may not be changed"):
        widget.set_state({"label": "mammals"})
    assert widget.label == page()["label"] and corrected == ["label"]
    widget.editable = True
    widget.set_state({"label": "mammals"})
    assert widget.label == "mammals"
    assert widget._page["label"] == page()["label"], "the score belongs to the label it was of"
    with pytest.raises(TraitError, match="a label has at most 200 characters; given 201"):
        widget.set_state({"label": "x" * 201})


@pytest.mark.parametrize("name", sorted(FeaturePage.DATA))
def test_the_browser_cannot_change_the_data(name):
    widget = shown()
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        widget.set_state({name: "x"})


def test_update_shows_another_feature_in_one_message(monkeypatch):
    widget = shown(editable=True)
    widget.set_state({"chosen": "L3.resid_post/7"})
    widget.status = "running…"
    sent = []
    monkeypatch.setattr(widget.comm, "send", lambda data, **_: sent.append(data))
    widget.update("L3.resid_post/7", page(2)["contexts"], label="animals")
    assert len(sent) == 1
    assert (widget.feature, widget.label, widget._page["mean"]) == (
        "L3.resid_post/7", "animals", None,
    )  # fmt: skip
    assert (widget.chosen, widget.status, widget.editable) == ("", "", True)
    before = widget.get_state()
    with pytest.raises(ValueError, match="unknown: \\['colour'\\]"):
        widget.update(NAME, colour="red")  # pyright: ignore[reportCallIssue]
    assert widget.get_state() == before


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    check_traits("feature_page", FeaturePage, {"label", "chosen"})
