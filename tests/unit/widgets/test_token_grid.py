import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _remove_buffers
from traitlets import TraitError

from workbench.widgets import TokenGrid
from workbench.widgets.arrays import decode
from workbench.widgets.panel import encode_panel

from .grids import VOCABULARY, panel

TOKENS = ["When", " Mary", " gave"]
SOURCES = Path(__file__).parents[3] / "widgets" / "src"


def grid(**options) -> TokenGrid:
    panels = options.pop("panels", [panel()])
    return TokenGrid(TOKENS, panels, VOCABULARY, **options)


def test_the_arrays_given_are_the_arrays_that_travel():
    given = panel()
    shown = grid(panels=[given])._panels[0]
    np.testing.assert_array_equal(decode(shown["top"]), given["top"])
    np.testing.assert_array_equal(decode(shown["top_logprob"]), given["top_logprob"])
    for name, quantity in given["quantities"].items():
        np.testing.assert_array_equal(
            decode(shown["quantities"][name]["values"]), quantity["values"].astype(np.float32)
        )
    for name in ("offsets", "ids", "ranks", "logprobs"):
        np.testing.assert_array_equal(decode(shown["tracks"][name]), given["tracks"][name])


def test_what_a_quantity_leaves_out_is_filled_in():
    values = panel()["quantities"]["entropy"]["values"].astype(np.float32)
    shown = grid()._panels[0]["quantities"]
    assert shown["entropy"]["low"] == values.min() and shown["entropy"]["high"] == values.max()
    assert shown["entropy"]["label"] == "entropy" and shown["entropy"]["unit"] == "nats"
    assert shown["probability"]["scale"] == "sequential"
    assert shown["probability"]["digits"] == 3
    assert shown["logit ' Mary' − ' John'"]["label"] == "logit difference"


def test_ends_of_the_colours_come_from_the_finite_values():
    values = np.array([[np.nan, 2.0, 3.0]] * 4)
    values[0, 1] = np.inf
    shown = grid(panels=[panel(quantities={"x": {"values": values}})], quantity="x")
    assert (shown._panels[0]["quantities"]["x"]["low"]) == 2.0
    assert (shown._panels[0]["quantities"]["x"]["high"]) == 3.0


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"rows": []}, "rows are labels, at least one; given []"),
        ({"top": np.zeros((4, 2, 3), int)}, "(row, pos, k) = (4, 3, 0 or more); given (4, 2, 3)"),
        ({"top": np.full((4, 3, 3), 8)}, "ids into the vocabulary, 0 to 7; given 8 to 8"),
        ({"top": np.full((4, 3, 3), -1)}, "given -1 to -1"),
        ({"top_logprob": np.zeros((4, 3, 2))}, "top_logprob has shape (4, 3, 3); given (4, 3, 2)"),
        ({"top_logprob": np.full((4, 3, 3), 0.5)}, "log-probabilities, at most 0 and never NaN"),
        ({"top_logprob": np.full((4, 3, 3), np.nan)}, "log-probabilities, at most 0"),
        ({"top_logprob": np.tile([-3.0, -2.0, -1.0], (4, 3, 1))}, "best first; sort them along k"),
        ({"quantities": {}}, "quantities needs at least one entry"),
        ({"lenses": "x"}, "unknown: ['lenses']"),
        (
            {"quantities": {"e": {"values": np.zeros((3, 4))}}},
            "quantity 'e' has shape (4, 3); given (3, 4)",
        ),
        (
            {"quantities": {"e": {"values": np.zeros((4, 3)), "scale": "linear"}}},
            "scale is one of sequential, diverging, log; given 'linear'",
        ),
        (
            {"quantities": {"e": {"values": np.zeros((4, 3)), "scale": "log"}}},
            "a log scale needs values above 0, the least is 0; count ranks from 1",
        ),
        (
            {"quantities": {"e": {"values": np.zeros((4, 3)), "low": 2, "high": 1}}},
            "low is finite and at most high; given 2 and 1",
        ),
        (
            {"quantities": {"e": {"values": np.zeros((4, 3)), "digits": -1}}},
            "digits is a whole number from 0 to 10; given -1",
        ),
        ({"quantities": {"e": {}}}, "missing: ['values']"),
    ],
)
def test_a_panel_that_does_not_fit_together_is_refused_with_the_field(changes, text):
    with pytest.raises(ValueError, match=re.escape(text)) as error:
        grid(panels=[panel(**changes)])
    assert "panel 'logit lens' / 'resid_post'" in str(error.value)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [
        ("offsets", np.array([0, 1]), "offsets (4,); given"),
        ("offsets", np.array([0, 2, 1, 99]), "offsets rise from 0 to the number of ids"),
        ("ranks", np.zeros((1, 4), int), "given (1, 4)"),
        ("ranks", lambda ranks: ranks - 1, "from -1"),
        ("ids", lambda ids: ids + 8, "ids into the vocabulary, 0 to 7"),
        ("logprobs", np.zeros((1, 4)), "logprobs has shape"),
    ],
)
def test_tracks_that_do_not_fit_are_refused(field, value, text):
    given = panel()
    given["tracks"][field] = value(given["tracks"][field]) if callable(value) else value
    with pytest.raises(ValueError, match=re.escape(text)):
        grid(panels=[given])


def test_numbers_of_the_wrong_kind_are_refused():
    with pytest.raises(TypeError, match="top holds integer ids; given float64"):
        grid(panels=[panel(top=np.zeros((4, 3, 3)))])
    with pytest.raises(TypeError, match="quantity 'e' holds numbers; given"):
        grid(panels=[panel(quantities={"e": {"values": np.full((4, 3), "x")}})])


def test_the_strings_and_the_number_of_positions_are_checked():
    with pytest.raises(ValueError, match="tokens is empty"):
        TokenGrid([], [panel()], VOCABULARY)
    with pytest.raises(ValueError, match="panels is empty"):
        TokenGrid(TOKENS, [], VOCABULARY)
    with pytest.raises(TypeError, match="tokens is a list of strings; given 'When'"):
        TokenGrid("When", [panel()], VOCABULARY)
    with pytest.raises(ValueError, match="next_token has one string a position, 3; given 2"):
        grid(next_token=["a", "b"])
    with pytest.raises(ValueError, match=r"given twice: \[\('logit lens', 'resid_post'\)\]"):
        grid(panels=[panel(), panel()])


def test_choices_that_are_not_there_are_refused_and_the_old_ones_stay():
    shown = grid()
    for name, value, text in [
        ("panel", 1, "panel is a number from 0 to 0; given 1"),
        ("panel", -1, "given -1"),
        ("quantity", "loss", "quantity is one of 'probability', 'entropy', .* given 'loss'"),
        ("color_scheme", "jet", "viridis, cividis, magma, inferno, plasma; given 'jet'"),
        ("selected", {"row": 4, "pos": 0}, "row from 0 to 3 and a position from 0 to 2; given"),
        ("selected", {"row": 0}, "selected is None or"),
        ("selected", {"row": True, "pos": 0}, "selected is None or"),
        ("selected", {"row": 0, "pos": 0, "x": 1}, "selected is None or"),
        ("pinned", [{"pos": 3, "token": " Mary", "id": 0}], "position from 0 to 2"),
        ("pinned", [{"pos": 0, "token": " Mary", "id": 1}], "the id and string of one token"),
        ("pinned", [{"pos": 0, "token": " Mary"}], "a pin is"),
        ("pinned", ["x"], "pinned"),
    ]:
        before = getattr(shown, name)
        with pytest.raises(TraitError, match=text):
            setattr(shown, name, value)
        assert getattr(shown, name) == before


def test_an_unknown_first_choice_is_refused():
    with pytest.raises(TraitError, match="quantity is one of"):
        grid(quantity="loss")
    with pytest.raises(TraitError, match="panel is a number from 0 to 0; given 3"):
        grid(panel=3)


def test_the_browser_chooses_and_a_message_that_does_not_fit_changes_nothing(monkeypatch):
    shown = grid(panels=[panel(), panel(2, component="attn_out", seed=1)])
    shown.set_state({"selected": {"row": 3, "pos": 2}, "quantity": "entropy"})
    assert shown.selected == {"row": 3, "pos": 2} and shown.quantity == "entropy"
    corrected = []
    monkeypatch.setattr(shown, "send_state", lambda key: corrected.append(sorted(key)))
    with pytest.raises(TraitError, match="quantity is one of"):
        shown.set_state({"color_scheme": "magma", "quantity": "loss"})
    assert (shown.color_scheme, shown.quantity) == ("viridis", "entropy")
    assert corrected == [["color_scheme", "quantity"]]


@pytest.mark.parametrize("name", ["_panels", "_tokens", "_vocabulary", "title", "status"])
def test_the_browser_cannot_change_the_data(name):
    shown = grid()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        shown.set_state({name: "x"})
    assert getattr(shown, name) == before


def test_a_panel_that_lacks_the_quantity_or_the_row_falls_back():
    small = panel(2, component="attn_out", quantities={"norm": {"values": np.ones((2, 3))}})
    shown = grid(panels=[panel(), small])
    shown.selected = {"row": 3, "pos": 0}
    shown.panel = 1
    assert shown.quantity == "norm" and shown.selected is None


def test_update_replaces_everything_in_one_message(monkeypatch):
    shown = grid()
    sent = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    longer = ["a", " b", " c", " d"]
    shown.update(longer, [panel(5, 4, seed=2)], VOCABULARY, title="new", status="")
    assert len(sent) == 1
    assert set(sent[0]["state"]) >= {"_tokens", "_panels", "title"}
    assert shown._tokens == longer and len(shown._panels[0]["rows"]) == 5


def test_update_keeps_the_choices_that_still_make_sense():
    attention = panel(component="attn_out", seed=1)
    shown = grid(panels=[panel(), attention], quantity="entropy", panel=1, color_scheme="magma")
    tracked = int(attention["tracks"]["ids"][0])
    pin = {"pos": 0, "token": VOCABULARY[tracked], "id": tracked}
    shown.pinned = [pin]
    shown.selected = {"row": 1, "pos": 1}
    shown.status = "running…"
    # The same data with the panels and the vocabulary in another order.
    order = np.arange(len(VOCABULARY))[::-1]
    moved = panel(component="attn_out", seed=1)
    moved["top"] = order[moved["top"]]
    moved["tracks"]["ids"] = order[moved["tracks"]["ids"]]
    shown.update(TOKENS, [moved, panel()], VOCABULARY[::-1])
    assert shown.panel == 0 and shown._panels[shown.panel]["component"] == "attn_out"
    assert (shown.quantity, shown.color_scheme, shown.status) == ("entropy", "magma", "")
    assert shown.selected == {"row": 1, "pos": 1}
    assert shown.pinned == [{**pin, "id": len(VOCABULARY) - 1 - tracked}]


def test_update_drops_the_choices_that_are_gone():
    shown = grid(quantity="entropy")
    best = int(panel()["top"][0, 2, 0])
    shown.pinned = [{"pos": 2, "token": VOCABULARY[best], "id": best}]
    shown.selected = {"row": 3, "pos": 2}
    only = {"surprise": {"values": np.ones((2, 1))}}
    shown.update(["x"], [panel(2, 1, quantities=only)], VOCABULARY)
    assert (shown.quantity, shown.selected, shown.pinned) == ("surprise", None, [])


def test_a_pin_whose_string_is_ambiguous_is_kept_only_with_its_own_id():
    data = panel(tracked=False, vocabulary=4)
    vocabulary = ["�", "�", "a", "b"]
    shown = TokenGrid(TOKENS, [data], vocabulary)
    best = int(data["top"][0, 0, 0])
    shown.pinned = [{"pos": 0, "token": vocabulary[best], "id": best}]
    shown.update(TOKENS, [data], vocabulary)
    assert shown.pinned == [{"pos": 0, "token": vocabulary[best], "id": best}]
    shown.pinned = [{"pos": 0, "token": "�", "id": 1}]
    shown.update(TOKENS, [panel(tracked=False, vocabulary=3)], ["�", "x", "�"])
    assert shown.pinned == []


def test_an_update_that_does_not_fit_changes_nothing():
    shown = grid(quantity="entropy", title="old")
    before = shown.get_state()
    with pytest.raises(ValueError, match="shape"):
        shown.update(["a"], [panel()], VOCABULARY, title="new")
    with pytest.raises(TraitError, match="quantity is one of"):
        shown.update(TOKENS, [panel(seed=5)], VOCABULARY, title="new", quantity="loss")
    assert shown.get_state() == before


def test_a_grid_of_48_layers_and_512_positions_stays_under_five_megabytes():
    rng = np.random.default_rng(0)
    n_rows, n_positions, k, n_vocabulary, followed = 48, 512, 10, 50257, 20
    shape = (n_rows, n_positions)
    best = -np.sort(rng.exponential(size=(*shape, k)), axis=-1).astype(np.float32)
    n = followed * n_positions
    big: Any = {
        "lens": "logit lens",
        "component": "resid_post",
        "rows": [f"L{layer}" for layer in range(n_rows)],
        "top": rng.integers(0, n_vocabulary, (*shape, k)),
        "top_logprob": best,
        "quantities": {
            name: {"values": rng.random(shape)} for name in ("probability", "b", "c", "d", "e")
        },
        "tracks": {
            "offsets": np.arange(n_positions + 1) * followed,
            "ids": rng.integers(0, n_vocabulary, n),
            "ranks": rng.integers(0, n_vocabulary, (n, n_rows)),
            "logprobs": -rng.random((n, n_rows)).astype(np.float16),
        },
    }
    vocabulary = [f" token{i}" for i in range(n_vocabulary)]
    shown = TokenGrid([" x"] * n_positions, [big], vocabulary)
    state, _, buffers = _remove_buffers(shown.get_state())
    data = sum(map(len, buffers)) + sum(len(token.encode()) + 3 for token in vocabulary)
    assert "_esm" in state and data <= 5e6, f"{data / 1e6:.2f} MB"


def test_the_repr_is_short_and_the_same_on_every_run():
    assert repr(grid()) == "TokenGrid(4 rows × 3 positions, logit lens of resid_post)"
    assert repr(grid()) == repr(grid())


def test_a_panel_in_half_precision_travels_in_half_precision():
    given = panel()
    given["top_logprob"] = given["top_logprob"].astype(np.float16)
    assert encode_panel(given, 3, len(VOCABULARY))["top_logprob"]["dtype"] == "float16"


def test_the_traits_that_the_javascript_names_are_traits_of_the_class():
    text = "".join(
        path.read_text("utf8")
        for path in [SOURCES / "token_grid.js", *(SOURCES / "token_grid").glob("*.js")]
    )
    listed = re.search(r"TRAITS = \[(.*?)\]", text, re.DOTALL)
    assert listed
    named = set(re.findall(r'"(\w+)"', listed.group(1)))
    read = set(re.findall(r'model\.get\("(\w+)"\)', text))
    # The type checker holds every change that a view makes to this list.
    choice = re.search(r"@typedef \{\{(quantity: .*?)\}\} Choice", text, re.DOTALL)
    assert choice
    chosen = set(re.findall(r"(\w+):", choice.group(1)))
    assert chosen == {"quantity", "panel", "selected", "pinned", "color_scheme"}
    assert read == named, "a view listens to the traits it reads and to no other"
    assert named | chosen <= set(TokenGrid.class_traits(sync=True))
