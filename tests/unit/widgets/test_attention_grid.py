import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _remove_buffers
from traitlets import TraitError

from workbench.widgets import AttentionGrid, attention_grid
from workbench.widgets.arrays import decode

from .attentions import attention

TOKENS = ["When", " Mary", " and", " John"]
SOURCES = Path(__file__).parents[3] / "widgets" / "src"


def grid(**options: Any) -> AttentionGrid:
    return AttentionGrid(TOKENS, *attention(), **options)


def square(payload: Any, n: int) -> np.ndarray:
    """(layer, head, dst, src) of what travels, read pair by pair."""
    packed = decode(payload)
    out = np.zeros((*packed.shape[:2], n, n), packed.dtype)
    pair = 0
    for dst in range(n):
        for src in range(dst + 1):
            out[:, :, dst, src] = packed[:, :, pair]
            pair += 1
    assert pair == packed.shape[2]
    return out


def test_the_weights_given_are_the_weights_that_travel() -> None:
    pattern, weighted = attention()
    shown = grid()
    np.testing.assert_array_equal(square(shown._pattern, 4), pattern.astype(np.float32))
    np.testing.assert_array_equal(square(shown._value_weighted, 4), weighted.astype(np.float32))
    halves = AttentionGrid(TOKENS, pattern.astype(np.float16))
    assert halves._pattern["dtype"] == "float16" and halves._value_weighted is None
    np.testing.assert_array_equal(square(halves._pattern, 4), pattern.astype(np.float16))


def test_what_is_not_chosen_is_the_first_head_of_the_first_layer() -> None:
    shown = grid()
    assert (shown.layer, shown.head, shown.position, shown.weighted) == (0, 0, None, False)
    some = grid(layers=[2, 5, 9], head=1, position=3, weighted=True, title="A")
    assert (some.layer, some.head, some.position, some.weighted) == (2, 1, 3, True)
    assert grid(layers=[2, 5, 9], layer=9).layer == 9


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"tokens": "When"}, TypeError, "tokens is a list of strings; given 'When'"),
        ({"tokens": []}, ValueError, "tokens is empty: attention is shown for at least one"),
        ({"tokens": TOKENS[:3]}, ValueError, "(layer, head, dst, src) with 3 destinations"),
        ({"pattern": np.zeros(4)}, ValueError, "one a token; given (4,)"),
        ({"pattern": np.zeros((0, 2, 4, 4))}, ValueError, "given (0, 2, 4, 4)"),
        ({"pattern": np.full((3, 2, 4, 4), "x")}, TypeError, "pattern holds numbers; given"),
        (
            {"value_weighted": np.zeros((3, 1, 4, 4))},
            ValueError,
            "value_weighted has shape (3, 2, 4, 4), as the pattern; given (3, 1, 4, 4)",
        ),
        ({"layers": [0, 1]}, ValueError, "3 rising numbers from 0, one for each layer"),
        ({"layers": [0, 2, 1]}, ValueError, "given [0, 2, 1]"),
        ({"layers": [-1, 0, 1]}, ValueError, "given [-1, 0, 1]"),
    ],
)
def test_data_that_do_not_fit_together_are_refused(
    changes: dict[str, Any], error: type[Exception], text: str
) -> None:
    pattern, weighted = attention()
    given = {"tokens": TOKENS, "pattern": pattern, "value_weighted": weighted} | changes
    with pytest.raises(error, match=re.escape(text)):
        AttentionGrid(**given)


def test_weights_that_no_causal_head_has_are_refused() -> None:
    for value, text in [
        (np.nan, "pattern holds finite weights of at least 0; cut off a prompt's padding"),
        (-0.1, "pattern holds finite weights of at least 0"),
        (np.inf, "pattern holds finite weights"),
    ]:
        pattern, _ = attention()
        pattern[2, 1, 3, 0] = value
        with pytest.raises(ValueError, match=text):
            AttentionGrid(TOKENS, pattern)
    pattern, _ = attention()
    pattern[1, 0, 1, 2] = 0.01
    with pytest.raises(ValueError, match="0 where the source is later .* shows causal attention"):
        AttentionGrid(TOKENS, pattern)


def test_more_weights_than_a_page_can_carry_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attention_grid, "MOST_WEIGHTS", 100)
    AttentionGrid(TOKENS, attention()[0])
    with pytest.raises(
        ValueError, match="at most 100 weights; these are 120: show fewer layers, or a shorter"
    ):
        grid()


def test_choices_that_are_not_there_are_refused_and_the_old_ones_stay() -> None:
    shown = grid(layers=[2, 5, 9], position=1)
    for name, value, text in [
        ("layer", 1, "layer is one of 2, 5, 9; given 1"),
        ("layer", True, "layer is one of 2, 5, 9; given True"),
        ("head", 2, "head is a number from 0 to 1; given 2"),
        ("head", -1, "given -1"),
        ("position", 4, "position is None or a number from 0 to 3; given 4"),
        ("position", -1, "given -1"),
        ("position", "x", "position"),
        ("weighted", "yes", "weighted"),
    ]:
        before = getattr(shown, name)
        with pytest.raises(TraitError, match=text):
            setattr(shown, name, value)
        assert getattr(shown, name) == before
    plain = AttentionGrid(TOKENS, attention()[0])
    with pytest.raises(TraitError, match="weighted needs value_weighted, and this grid was given"):
        plain.weighted = True
    with pytest.raises(TraitError, match="head is a number from 0 to 1; given 7"):
        grid(head=7)


def test_the_browser_chooses_and_a_message_that_does_not_fit_changes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = grid()
    shown.set_state({"layer": 2, "head": 1, "position": 3, "weighted": True})
    assert (shown.layer, shown.head, shown.position, shown.weighted) == (2, 1, 3, True)
    shown.set_state({"position": None})
    assert shown.position is None
    corrected: list[Any] = []
    monkeypatch.setattr(shown, "send_state", lambda key: corrected.append(sorted(key)))
    with pytest.raises(TraitError, match="head is a number"):
        shown.set_state({"layer": 0, "head": 9})
    assert (shown.layer, shown.head) == (2, 1)
    assert corrected == [["head", "layer"]]


@pytest.mark.parametrize("name", sorted(AttentionGrid.DATA))
def test_the_browser_cannot_change_the_data(name: str) -> None:
    shown = grid()
    before = getattr(shown, name)
    with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
        shown.set_state({name: "x"})
    assert getattr(shown, name) == before


def test_update_replaces_everything_in_one_message_and_keeps_what_still_makes_sense(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown = grid(layer=2, head=1, position=2, weighted=True, title="old")
    sent: list[Any] = []
    monkeypatch.setattr(shown.comm, "send", lambda data, **_: sent.append(data))
    longer = [*TOKENS, " went"]
    shown.update(longer, *attention(3, 2, 5, seed=1))
    assert len(sent) == 1 and shown._tokens == longer
    assert (shown.layer, shown.head, shown.position, shown.weighted) == (2, 1, 2, True)
    assert shown.title == "old"
    shown.update(["a"], attention(1, 1, 1)[0], layers=[4], title="new")
    assert (shown.layer, shown.head, shown.position, shown.weighted) == (4, 0, None, False)
    assert shown.title == "new"
    before = shown.get_state()
    with pytest.raises(ValueError, match="shape"):
        shown.update(TOKENS, attention(1, 1, 1)[0])
    assert shown.get_state() == before


def test_twelve_layers_of_twelve_heads_over_48_tokens_stay_under_a_megabyte() -> None:
    halves = [values.astype(np.float16) for values in attention(12, 12, 48)]
    shown = AttentionGrid([" x"] * 48, *halves)
    _, _, buffers = _remove_buffers(shown.get_state())
    assert sum(map(len, buffers)) == 2 * 2 * 144 * 48 * 49 // 2 < 1e6


def test_the_repr_is_short_and_the_same_on_every_run() -> None:
    assert repr(grid()) == "AttentionGrid(3 layers × 2 heads × 4 positions)" == repr(grid())


def test_the_traits_that_the_javascript_names_are_traits_of_the_class() -> None:
    files = [SOURCES / "attention_grid.js", *(SOURCES / "attention_grid").glob("*.js")]
    text = "".join(path.read_text("utf8") for path in files)
    listed = re.search(r"TRAITS = \[(.*?)\]", text, re.DOTALL)
    choice = re.search(r"@typedef \{\{(layer: .*?)\}\} Choice", text, re.DOTALL)
    assert listed and choice
    named = set(re.findall(r'"(\w+)"', listed.group(1)))
    # The type checker holds every change that a view makes to this list.
    chosen = set(re.findall(r"(\w+):", choice.group(1)))
    assert chosen == {"layer", "head", "position", "weighted"}
    assert set(re.findall(r'model\.get\("(\w+)"\)', text)) == named
    assert named | chosen <= set(AttentionGrid.class_traits(sync=True))
    assert named - chosen == AttentionGrid.DATA
