import re

import numpy as np
import pytest
from traitlets import TraitError

from workbench.widgets import FeatureGrid
from workbench.widgets.arrays import decode

from .features import activations
from .test_flow_graph import check_traits


def grid(**changes) -> FeatureGrid:
    return FeatureGrid(**{**activations(), **changes})


def test_what_is_given_is_what_travels():
    given = activations()
    shown = FeatureGrid(**given, title="a prompt")
    assert shown.features == tuple(given["features"])
    assert [feature["label"] for feature in shown._features] == given["labels"]
    np.testing.assert_array_equal(decode(shown._values["values"]), given["values"])
    np.testing.assert_array_equal(decode(shown._explained["values"]), given["explained"])
    assert (shown.title, shown.order, shown.n_shown, shown.position) == ("a prompt", "max", 12, -1)
    assert repr(shown) == "FeatureGrid(40 features × 30 positions)"


def test_labels_and_explained_variance_may_be_absent_and_activations_unknown():
    shown = FeatureGrid(["a"], ["f", "g"], np.array([[np.nan], [1.0]]))
    assert [feature["label"] for feature in shown._features] == ["", ""]
    assert np.isnan(decode(shown._explained["values"])).all()
    assert np.isnan(decode(shown._values["values"])[0, 0])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"tokens": []}, "a grid has at least one token and one feature; given 0 and 40"),
        ({"features": ["a"] * 40}, "each feature has a name of its own that is not empty"),
        ({"labels": ["a"]}, "labels has one entry a feature, 40; given 1"),
        ({"values": np.zeros((40, 2))}, "values has shape (40, 30); given (40, 2)"),
        ({"values": np.full((40, 30), np.inf)}, "values are finite, or NaN where not known"),
        ({"explained": np.zeros(3)}, "explained has shape (30,); given (3,)"),
    ],
)
def test_data_that_do_not_fit_are_refused(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        grid(**changes)


def test_texts_that_are_no_strings_are_refused():
    for changes in ({"tokens": "abc"}, {"features": [1] * 40}, {"labels": [None] * 40}):
        with pytest.raises(TypeError, match="is a list of strings"):
            grid(**changes)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("order", "size", "order is one of max, sum, position, chosen; given 'size'"),
        ("n_shown", 33, "n_shown is a number from 1 to 32, since nobody compares more rows"),
        ("n_shown", 0, "given 0"),
        ("chosen", ["x"], "chosen holds names of the grid's features; not among them: ['x']"),
        ("feature", "x", "feature is the name of one of the features"),
        ("position", 30, "position is a number from 0 to 29, or -1 for none; given 30"),
        ("position", -2, "given -2"),
    ],
)
def test_a_choice_that_is_not_there_is_refused_and_the_old_one_stays(name, value, text):
    shown = grid()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=re.escape(text)):
        shown.set_state({name: value})
    assert getattr(shown, name) == before


def test_at_most_32_features_are_chosen_and_each_once():
    shown = grid()
    shown.chosen = list(shown.features[:32])
    for wrong in (list(shown.features[:33]), [shown.features[0]] * 2):
        with pytest.raises(TraitError, match="chosen holds each feature once and at most 32"):
            shown.chosen = wrong
    assert len(shown.chosen) == 32


def test_the_browser_chooses_features_and_places():
    shown = grid()
    choice = {
        "order": "chosen", "n_shown": 3, "chosen": list(shown.features[3:5]),
        "feature": shown.features[3], "position": 7,
    }  # fmt: skip
    shown.set_state(choice)
    assert {name: getattr(shown, name) for name in choice} == choice


@pytest.mark.parametrize("name", sorted(FeatureGrid.DATA))
def test_the_browser_cannot_change_the_data(name):
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        grid().set_state({name: "x"})


def test_update_replaces_everything_in_one_message_and_keeps_what_still_makes_sense(monkeypatch):
    shown = grid(title="old", order="sum", n_shown=5)
    kept, gone = shown.features[0], shown.features[39]
    shown.set_state({"chosen": [kept, gone], "feature": gone, "position": 20})
    sent = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    new = activations(10, 21)
    new["features"][0] = kept
    shown.update(**new)
    assert len(sent) == 1
    assert (shown.title, shown.order, shown.n_shown) == ("old", "sum", 5)
    assert (shown.chosen, shown.feature, shown.position) == ([kept], "", 20)
    shown.update(**activations(10, 20), status="running…")
    assert (shown.position, shown.status) == (-1, "running…")
    before = shown.get_state()
    with pytest.raises(TraitError, match="n_shown is"):
        shown.update(**new, n_shown=40, title="new")
    assert shown.get_state() == before


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    check_traits("feature_grid", FeatureGrid, {"order", "n_shown", "chosen", "feature", "position"})
