"""Pictures of heads as words hold the results' own numbers and words, and nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

import workbench as wb
from tests.unit.kernels import marks
from tests.unit.lens_models import words_model
from workbench.plots import shown_token

#: The colours of what adds and of what takes away.
POSITIVE, NEGATIVE = marks.POSITIVE, marks.NEGATIVE


@pytest.fixture(autouse=True)
def _closed_figures() -> Iterator[None]:
    yield
    plt.close("all")


@cache
def result() -> wb.vocabulary.HeadVocabulary:
    return wb.vocabulary.heads(words_model(), n_pairs=4, n_controls=2, progress=False)


def texts_apart(ax: Any) -> bool:
    """Whether no text that is drawn lies on another."""
    ax.figure.canvas.draw()
    boxes = [Text.get_window_extent(text) for text in ax.texts if text.get_text()]
    pairs = [(a, b) for i, a in enumerate(boxes) for b in boxes[i + 1 :]]
    return not any(a.shrunk(0.9, 0.7).overlaps(b.shrunk(0.9, 0.7)) for a, b in pairs)


def test_the_scores_of_all_heads_are_four_panels_layers_upwards() -> None:
    ax = result().plot()
    panels = [np.asarray(image.get_array()) for image in ax.images]
    values = [
        result().copying_scores,
        result().copying_shares,
        result().suppression_shares,
        result().previous_token,
    ]
    for panel, expected in zip(panels, values, strict=True):
        np.testing.assert_allclose(panel, expected.reshape(3, 4))
    # Blue is positive, and the scale of the signed score is centred on 0.
    image = ax.images[0]
    assert image.cmap.name == "RdBu" and (image.norm.vmin, image.norm.vmax) == (-1, 1)
    assert {image.origin for image in ax.images} == {"lower"}
    texts = [text.get_text() for text in ax.texts]
    assert "copied (of top 5)" in texts and texts.count("H3") == 4
    low, high = np.quantile(result().random_copying_scores, [0.025, 0.975])
    assert f"random heads: copying score {low:.2f} to {high:.2f}" in ax.get_title()
    assert texts_apart(ax)


def test_heads_that_were_not_read_are_left_blank() -> None:
    some = wb.vocabulary.heads(
        words_model(), ["L0H1", "L2H2"], n_pairs=0, n_controls=1, top=3, progress=False
    )
    panel = np.ma.filled(some.plot().images[0].get_array(), np.nan)
    assert panel.shape == (2, 3) and np.isfinite(panel).sum() == 2
    assert panel[1, 2] == pytest.approx(some.copying_scores[1])


def test_small_squares_have_colour_bars_in_place_of_numbers() -> None:
    import dataclasses

    many = result()
    # The same numbers, as if the twelve heads were one layer's.
    wide = dataclasses.replace(many, layers=np.zeros(12), numbers=np.arange(12))
    ax = wide.plot()
    assert len(ax.child_axes) == 4 and not any("." in t.get_text() for t in ax.texts)
    assert texts_apart(ax)


def test_one_head_is_drawn_as_its_pairs_and_directions() -> None:
    one = result().of("L1H2")
    ax = result().plot(head="L1H2", n_pairs=3, n_directions=2, words=3)
    texts = [text.get_text() for text in ax.texts]
    for kind in range(3):
        for pair in range(3):
            source, target = (
                shown_token(one.word(int(i)), 14) for i in one.pair_ids[0, kind, pair]
            )
            assert f"{source} → {target}" in texts
    widths = [bar.get_width() for bar in ax.patches]
    values = np.abs(one.pair_values[0, :, :3])
    np.testing.assert_allclose(
        np.reshape(widths, (3, 3)), 0.8 * values / values.max(1, keepdims=True), rtol=1e-5
    )
    signs = [POSITIVE if value >= 0 else NEGATIVE for value in one.pair_values[0, :, :3].ravel()]
    assert [to_hex(bar.get_facecolor()) for bar in ax.patches] == signs
    for circuit in range(2):
        for sign in range(2):
            ids = one.direction_ids[0, circuit, 1, sign, 1, :3].tolist()
            assert "  ".join(shown_token(one.word(i), 9) for i in ids) in texts
    assert "copying score" in ax.get_title() and texts_apart(ax)


def test_a_head_without_pairs_is_drawn_as_its_directions_alone() -> None:
    bare = wb.vocabulary.heads(words_model(), "L0H1", n_pairs=0, n_controls=1, progress=False)
    ax = bare.plot()
    assert not ax.patches and any(t.get_text() == "QK singular directions" for t in ax.texts)
    assert bare.png()[:4] == b"\x89PNG"


def test_a_head_that_is_not_in_the_result_is_refused() -> None:
    with pytest.raises(KeyError, match="has the heads L0H0"):
        result().plot(head="L9H9")
