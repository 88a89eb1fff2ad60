"""From results to widgets and pages: what the grid is given, and how a cell draws itself."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.kernels import lens as kernel
from tests.unit.lens_models import PROMPT, logit_lens, words_model
from tests.unit.widget_data import widget_data
from workbench import attention, direct_logit_attribution
from workbench.widgets import TokenGrid, page


def grid_data(result: Any, row: int = 0) -> dict[str, Any]:
    return widget_data(TokenGrid, lambda: result.widget(row=row))


@pytest.fixture(scope="module")
def lens() -> Any:
    return logit_lens(
        words_model(), [PROMPT, "The capital of Italy is"], sites=["resid_post", "z"], k=4,
        targets=[" Mary", " John"], foils=[" John", " Mary"],
        token_sets={"names": [" Mary", " Paul"]},
    )  # fmt: skip


@pytest.mark.parametrize("row", [0, 1])
def test_the_grid_is_given_the_results_numbers(lens: Any, row: int) -> None:
    data = grid_data(lens, row)
    n = len(lens.tokens[row])
    assert data["tokens"] == list(lens.tokens[row])
    assert data["next_token"] == [*lens.tokens[row][1:], ""]
    for given, panel in zip(data["values"], lens.panels, strict=True):
        for r, p in np.ndindex(len(panel.rows), n):
            words = [data["vocabulary"][i] for i in given["top"][r, p]]
            assert words == [lens.text(i) for i in panel.top_ids[row, r, p]]
        np.testing.assert_array_equal(given["top_logprob"], panel.top_logprobs[row, :, :n])
        values = {name: quantity["values"] for name, quantity in given["quantities"].items()}
        assert list(values) == [
            "probability", "entropy", "kl", "probability of ' Mary'", "rank of ' Mary'",
            "probability of ' John'", "rank of ' John'", "logit ' Mary' − ' John'",
            "logit ' John' − ' Mary'", "mass: names",
        ]  # fmt: skip
        np.testing.assert_allclose(values["probability"], np.exp(panel.top_logprobs[row, :, :n, 0]))
        np.testing.assert_array_equal(values["kl"], panel.kl[row, :, :n])
        np.testing.assert_array_equal(
            values["rank of ' John'"], panel.target_ranks[row, :, :n, 1] + 1
        )
        np.testing.assert_array_equal(
            values["logit ' Mary' − ' John'"], panel.difference[row, :, :n, 0]
        )
        np.testing.assert_array_equal(values["mass: names"], panel.masses[row, :, :n, 0])


@pytest.mark.parametrize("row", [0, 1])
def test_the_tracks_are_those_of_the_prompt_shown(lens: Any, row: int) -> None:
    data, n = grid_data(lens, row), len(lens.tokens[row])
    for given, panel in zip(data["values"], lens.panels, strict=True):
        tracks = given["tracks"]
        assert tracks["offsets"][0] == 0 and len(tracks["offsets"]) == n + 1
        for p in range(n):
            inside = slice(*tracks["offsets"][p : p + 2])
            for i, ranks in zip(tracks["ids"][inside], tracks["ranks"][inside], strict=True):
                for r in range(len(panel.rows)):
                    if ranks[r] < lens.k:
                        assert given["top"][r, p, ranks[r]] == i


def test_the_widget_is_a_grid_with_the_options_given(lens: Any) -> None:
    grid = lens.widget(row=1, quantity="kl", color_scheme="magma")
    assert isinstance(grid, TokenGrid)
    assert grid.quantity == "kl" and grid.color_scheme == "magma"
    assert grid._tokens == list(lens.tokens[1])


def test_a_lens_without_measures_or_targets_still_has_a_grid() -> None:
    bare = logit_lens(words_model(), PROMPT, measures=(), k=1)
    panel = grid_data(bare)["values"][0]
    assert list(panel["quantities"]) == ["probability"] and "tracks" not in panel
    assert isinstance(bare.widget(), TokenGrid)


def test_large_readings_travel_in_half_precision(
    lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grid_data(lens)["values"][0]["top_logprob"].dtype == np.float32
    monkeypatch.setattr(kernel, "FULL_PRECISION", 100)
    half = grid_data(lens)["values"][0]["top_logprob"]
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, lens.panels[0].top_logprobs[0], rtol=1e-3)


def test_a_cell_draws_the_view_beside_the_picture_and_the_plain_text(lens: Any) -> None:
    """Each is what a front end may choose; none needs a kernel, and no widget is left behind."""
    from ipywidgets.widgets.widget import _instances as kept

    before = set(kept)
    bundle: Any = lens._repr_mimebundle_()
    assert set(kept) == before
    assert bundle["text/plain"] == repr(lens)
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert f'src="data:image/png;base64,{bundle["image/png"]}"' in bundle["text/html"]
    assert "view.default.render" in bundle["text/html"]
    assert sum(map(len, bundle.values())) < 300_000


def test_a_result_without_a_widget_draws_its_picture() -> None:
    split = direct_logit_attribution(words_model(), PROMPT, " Mary")
    bundle: Any = split._repr_mimebundle_()
    assert bundle["text/plain"] == repr(split)
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")


def test_a_view_that_fails_becomes_a_warning(lens: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("no canvas")

    monkeypatch.setattr(TokenGrid, "__init__", broken)
    with pytest.warns(
        UserWarning, match=r"LogitLens could not be drawn: RuntimeError\('no canvas'\)"
    ):
        assert lens._repr_mimebundle_() == {"text/plain": repr(lens)}


def test_the_page_of_a_lens_is_one_file_that_needs_no_network(lens: Any, tmp_path: Path) -> None:
    path = lens.to_html(str(tmp_path / "lens.html"), title="A <lens> & more")
    assert path == tmp_path / "lens.html"
    text = path.read_text(encoding="utf-8")
    assert text == lens.html(title="A <lens> & more")
    assert "<title>A &lt;lens&gt; &amp; more</title>" in text
    assert 'src="http' not in text and 'href="http' not in text


def test_the_page_of_a_picture_holds_it_and_its_table(tmp_path: Path) -> None:
    split = direct_logit_attribution(words_model(), PROMPT, " Mary")
    text = split.html(title="<img src=x onerror=alert(1)>")
    assert "<img src=x" not in text
    assert 'src="data:image/png;base64,' in text
    assert "L2H3" in text and "contribution" in text


def test_markup_in_a_token_stays_text_in_a_table() -> None:
    split = direct_logit_attribution(words_model(), "store <img src=x>", " Mary")
    assert "<img src=x" not in split.html()


def test_a_page_leaves_no_widget_and_no_figure_behind(
    lens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ipywidgets keeps every widget, and its layout, until it is closed."""
    import matplotlib.pyplot as plt
    from ipywidgets.widgets.widget import _instances as kept

    shown = lens.widget()
    before, figures = set(kept), plt.get_fignums()
    seen = attention(words_model(), PROMPT)
    split = direct_logit_attribution(words_model(), PROMPT, " Mary")
    for result in (lens, seen, split):
        result.html()
        assert set(kept) == before and plt.get_fignums() == figures
    # A widget of one's own stays open, also where its page is made.
    assert shown.model_id in kept and page(shown, "mine") and shown.model_id in kept

    def no_page(*arguments: Any) -> None:
        raise RuntimeError("no page")

    def half_drawn(*arguments: Any) -> None:
        plt.figure()
        no_page()

    monkeypatch.setattr("workbench.widgets.page", no_page)
    monkeypatch.setattr("workbench.plots.plot", half_drawn)
    for result in (lens, seen, split):
        with pytest.raises(RuntimeError, match="no page"):
            result.html()
        assert set(kept) == before and plt.get_fignums() == figures
    shown.close()
