"""Attention as a picture, and what its widget is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.unit.kernels import lens as kernel
from tests.unit.lens_models import PROMPT, words_model
from tests.unit.widget_data import widget_data
from workbench import attention
from workbench.plots import shown_token
from workbench.widgets import AttentionGrid


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def result() -> Any:
    return attention(words_model(), [PROMPT, "When Mary and Paul"])


def attention_data(result: Any, row: int = 0) -> dict[str, Any]:
    return widget_data(AttentionGrid, lambda: result.widget(row=row))


def tiles(ax: Any, n_layers: int, n_heads: int, n: int) -> np.ndarray:
    """(layer, head, dst, src) as drawn: the picture cut where its values begin and end."""
    drawn = np.ma.filled(np.ma.asarray(ax.images[0].get_array(), float), np.nan)
    full = ~np.isnan(drawn)
    # The first column of a tile and its last row are drawn from end to end.
    lefts = [c for c in range(drawn.shape[1]) if full[:, c].sum() == n_layers * n]
    foots = [r for r in range(drawn.shape[0]) if full[r].sum() == n_heads * n]
    assert len(lefts) == n_heads and len(foots) == n_layers
    out = np.zeros((n_layers, n_heads, n, n))
    for layer, foot in enumerate(reversed(foots)):
        for head, left in enumerate(lefts):
            out[layer, head] = drawn[foot - n + 1 : foot + 1, left : left + n]
    return out


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("row", [0, 1])
def test_every_head_is_drawn_with_its_own_numbers(result: Any, row: int, weighted: bool) -> None:
    values = result.of_prompt(row, weighted=weighted)
    ax = result.plot(row=row, weighted=weighted)
    n = values.shape[-1]
    drawn = tiles(ax, 3, 4, n)
    past = np.tri(n, dtype=bool)
    np.testing.assert_allclose(drawn[..., past], values[..., past], rtol=1e-6)
    assert np.isnan(drawn[..., ~past]).all(), "what cannot be attended to is left empty"
    low, high = ax.images[0].get_clim()
    assert low == 0 and high == pytest.approx(values.max() if weighted else 1)
    label = ax.images[0].colorbar.ax.get_ylabel()
    assert ("norm of what it moves, colours by square roots" in label) == weighted


def test_tokens_are_named_where_there_is_room_and_heads_alone_where_not(result: Any) -> None:
    ax = result.plot(row=1)
    tokens = [shown_token(token) for token in result.tokens[1]]
    assert [label.get_text() for label in ax.get_xticklabels()] == tokens * 4
    assert [label.get_text() for label in ax.get_yticklabels()] == tokens * 3
    names = {text.get_text() for text in ax.texts}
    assert names == {f"L{layer}H{head}" for layer in range(3) for head in range(4)}
    places = {t.get_text(): t.get_position() for t in ax.texts}
    assert places["L2H0"][1] < places["L0H0"][1], "y counts downwards: layer 2 is on top"
    assert places["L0H0"][0] < places["L0H3"][0]
    small = result.plot(row=0, ax=plt.subplots(figsize=(4, 3))[1])
    assert [label.get_text() for label in small.get_xticklabels()] == ["H0", "H1", "H2", "H3"]
    assert [label.get_text() for label in small.get_yticklabels()] == ["L0", "L1", "L2"]


def test_one_head_is_drawn_large_with_its_tokens(result: Any) -> None:
    ax = result.plot(head=(2, 1), weighted=True)
    values = result.of_head(2, 1, weighted=True)
    past = np.tri(len(values), dtype=bool)
    drawn = np.ma.filled(np.ma.asarray(ax.images[0].get_array(), float), np.nan)
    np.testing.assert_allclose(drawn[past], values[past], rtol=1e-6)
    assert np.isnan(drawn[~past]).all()
    assert ax.get_title() == "words: L2H1"
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        shown_token(token) for token in result.tokens[0]
    ]
    own = plt.subplots()[1]
    assert result.plot(head=(0, 0), ax=own) is own


def test_a_picture_of_what_is_not_there_is_a_named_error(result: Any) -> None:
    with pytest.raises(IndexError, match="has prompts 0 to 1; got row=2"):
        result.plot(row=2)
    with pytest.raises(ValueError, match="has the layers 0, 1, 2; got layer 3"):
        result.plot(head=(3, 0))


@pytest.mark.parametrize("row", [0, 1])
def test_the_widget_is_given_the_results_numbers(result: Any, row: int) -> None:
    data = attention_data(result, row)
    assert data["tokens"] == list(result.tokens[row]) and data["layers"] == [0, 1, 2]
    np.testing.assert_array_equal(data["pattern"], result.of_prompt(row))
    np.testing.assert_array_equal(data["value_weighted"], result.of_prompt(row, weighted=True))
    shown = result.widget(row=row, layer=2, head=3, weighted=True)
    assert isinstance(shown, AttentionGrid)
    assert (shown.layer, shown.head, shown.weighted) == (2, 3, True)
    assert shown.title == "words: what each head attends to"


def test_a_result_without_value_weights_has_a_grid_of_patterns_and_layers_keep_their_numbers() -> (
    None
):
    shown = attention(words_model(), PROMPT, layers=[1, 2], value_weighted=False).widget()
    assert shown._value_weighted is None and shown._layers == [1, 2] and shown.layer == 1


def test_many_weights_travel_in_half_precision_where_that_holds_them(
    result: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert attention_data(result)["pattern"].dtype == np.float32
    monkeypatch.setattr(kernel, "FULL_PRECISION", 100)
    data = attention_data(result)
    assert data["pattern"].dtype == data["value_weighted"].dtype == np.float16
    np.testing.assert_allclose(data["pattern"], result.of_prompt(0), rtol=1e-3, atol=1e-7)
    large = result.value_weighted * 1e6
    huge = result.__class__(**{**result.__dict__, "value_weighted": large})
    assert attention_data(huge)["value_weighted"].dtype == np.float32


def test_a_cell_draws_the_grid_and_its_page_needs_no_network(result: Any) -> None:
    bundle: Any = result._repr_mimebundle_()
    assert bundle["text/plain"] == repr(result)
    assert "text/html" in bundle
    text = result.html(title="<b>A</b>")
    assert "<title>&lt;b&gt;A&lt;/b&gt;</title>" in text and 'src="http' not in text
