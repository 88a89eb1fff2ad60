"""The picture of activation patching says what was patched, where, and how much it mattered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.patchings import patch
from tests.unit import lens_models
from tests.unit.circuits.test_patching import SMALL, TASK, words
from tests.unit.widget_data import widget_data
from workbench.widgets import TokenGrid


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    yield
    plt.close("all")


def labels(ax: Any, axis: str) -> list[str]:
    return [each.get_text() for each in getattr(ax, f"get_{axis}ticklabels")()]


def patching_data(result: Any, row: int | None = None) -> dict[str, Any]:
    return widget_data(TokenGrid, lambda: result.result.widget(row=row))


def cells(ax: Any) -> np.ndarray:
    """The values drawn, upwards."""
    return np.asarray(ax.images[0].get_array())


def test_layers_and_positions_are_drawn_with_zero_in_the_middle() -> None:
    result = patch(lens_models.zoo_model("gpt2"), TASK)
    ax = result.result.plot()
    np.testing.assert_allclose(cells(ax), result.mean)
    low, high = ax.images[0].get_clim()
    assert low == -high and high == pytest.approx(np.abs(result.mean).max())
    assert ax.get_ylim()[0] < ax.get_ylim()[1] and labels(ax, "y") == ["L0", "L1"]
    # The prompts have different tokens, so positions are numbers.
    assert labels(ax, "x") == [str(i) for i in range(6)]
    assert ax.get_title() == "gpt2: denoise resid_pre on my task"
    assert ax.images[0].colorbar.ax.get_ylabel() == "effect (0 = corrupt, 1 = clean)"


def test_one_example_has_its_own_tokens_and_no_place_it_lacks() -> None:
    result = patch(lens_models.zoo_model("gpt2"), TASK, direction="noise")
    ax = result.result.plot(table="examples", where={"example": 1})
    np.testing.assert_allclose(cells(ax), result.effects[1, :, :4])
    assert labels(ax, "x") == [f"w{20 + i}" for i in range(4)]
    assert ax.get_title() == "gpt2: noise resid_pre on my task, example 1"
    assert ax.images[0].colorbar.ax.get_ylabel() == "effect (0 = clean, 1 = corrupt)"
    with pytest.raises(ValueError, match=r"'example' is 3\. 'example' is one of 0, 1, 2\."):
        result.result.plot(table="examples", where={"example": 3})


def test_tokens_that_all_examples_share_are_named_in_the_mean() -> None:
    task = words([("w2 w3 w8", "w2 w7 w8"), ("w2 w4 w8", "w2 w9 w8")])
    ax = patch(lens_models.zoo_model("gpt2"), task).result.plot()
    assert labels(ax, "x") == ["w2", "1", "w8"]


def test_heads_neurons_and_whole_layers_have_their_own_labels() -> None:
    model = lens_models.zoo_model("gpt2")
    ax = patch(model, SMALL, over="z").result.plot()
    assert labels(ax, "x") == ["H0", "H1", "H2", "H3"] and ax.get_xlabel() == "head"
    ax = patch(model, SMALL, over="pattern", by="head dst").result.plot()
    assert labels(ax, "y")[:5] == ["L0H0", "L0H1", "L0H2", "L0H3", "L1H0"]
    assert ax.get_xlabel() == "dst" and cells(ax).shape == (8, 4)
    ax = patch(model, SMALL, by="layer").result.plot()
    assert labels(ax, "x") == ["resid_pre"] and cells(ax).shape == (2, 1)
    ax = patch(model, SMALL, over="mlp_post", by="neuron", layers=0).result.plot()
    assert ax.get_xlabel() == "neuron" and cells(ax).shape == (1, model.spec.d_mlp)
    assert labels(ax, "x")[:3] == ["/0", "/1", "/2"]


def test_a_number_that_rounds_to_zero_has_no_sign() -> None:
    ax = patch(lens_models.zoo_model("gpt2"), TASK).result.plot()
    texts = [text.get_text() for text in ax.texts]
    assert len(texts) == 12 and "-0.00" not in texts and "0.00" in texts


def test_a_result_without_positions_is_a_page_with_its_picture_and_numbers() -> None:
    result = patch(lens_models.zoo_model("gpt2"), SMALL, over="z")
    page = result.result.html()
    assert "denoise z on my task" in page and page.startswith("<!doctype html>")
    assert "image/png" in (bundle := result.result._repr_mimebundle_())
    assert "text/html" not in bundle
    with pytest.raises(TypeError, match="this result has them by layer, head. Draw it with plot"):
        result.result.widget()


def test_the_grid_has_the_effects_of_every_layer_and_position() -> None:
    result = patch(lens_models.zoo_model("gpt2"), TASK)
    data = patching_data(result)
    (panel,) = data["values"]
    assert panel["rows"] == ["L0", "L1"] and data["tokens"] == [str(i) for i in range(6)]
    assert panel["top"].shape == (2, 6, 0) and data["vocabulary"] == []
    quantities = panel["quantities"]
    np.testing.assert_allclose(quantities["effect"]["values"], result.mean, rtol=1e-6)
    for name, end in zip(("low", "high"), result.interval(), strict=True):
        np.testing.assert_allclose(quantities[name]["values"], end, rtol=1e-6)
    assert quantities["effect"]["scale"] == "diverging"
    assert quantities["effect"]["low"] == -quantities["effect"]["high"] < 0
    assert repr(result.result.widget()) == "TokenGrid(2 rows × 6 positions, denoise of resid_pre)"
    assert result.result.widget().title == "gpt2: denoise resid_pre on my task, mean of 3 examples"


def test_the_grid_of_one_example_has_its_tokens_and_its_metric() -> None:
    result = patch(lens_models.zoo_model("gpt2"), TASK, over="z", by="head pos", layers=1)
    data = patching_data(result, 1)
    (panel,) = data["values"]
    assert panel["rows"] == ["L1H0", "L1H1", "L1H2", "L1H3"]
    assert data["tokens"] == [f"w{20 + i}" for i in range(4)]
    found = panel["quantities"]
    np.testing.assert_allclose(found["effect"]["values"], result.effects[1, 0, :, :4], rtol=1e-6)
    np.testing.assert_allclose(found["changed"]["values"], result.patched[1, 0, :, :4], rtol=1e-6)
    assert result.result.widget(row=1).quantity == "effect"
    with pytest.raises(IndexError, match=r"The examples are numbered 0 to 2; got row=-1\."):
        result.result.widget(row=-1)


def test_chosen_positions_carry_their_own_numbers() -> None:
    task = words([("w2 w3 w8", "w2 w7 w8")])
    result = patch(lens_models.zoo_model("gpt2"), task, positions=[1, -1])
    assert patching_data(result)["tokens"] == ["1 w3 / w7", "2 w8"]
