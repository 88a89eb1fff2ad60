"""Pictures of observables: what is drawn is what was found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.lens_models import TEXTS, words_model

PROMPTS = [TEXTS[0][:-6], "When Paul and Anna went to the park, Anna gave a book to"]


@pytest.fixture(scope="module")
def obs() -> Any:
    return wb.vocabulary.observable(words_model(), " Mary", " John")


def widths(ax: Any) -> list[float]:
    return [patch.get_width() for patch in ax.patches]


def labels(ax: Any) -> list[str]:
    return [text.get_text() for text in ax.get_yticklabels()]


def test_paths_are_drawn_from_the_widest_on(obs: Any) -> None:
    found = obs.paths()
    ax = found.plot(top=5)
    np.testing.assert_allclose(widths(ax), found.spread[:5])
    assert labels(ax)[0] == " → ".join(found.best)


def test_an_attribution_has_a_bar_a_component_and_a_dot_a_prompt(obs: Any) -> None:
    split = obs.attribute(PROMPTS, path="L1H2")
    ax = split.plot(top=4)
    assert len(ax.patches) == 4
    assert [len(line.get_xdata()) for line in ax.lines[:4]] == [2] * 4
    assert "by L1H2" in ax.get_title()


def test_couplings_are_a_table_in_colours_around_0(obs: Any) -> None:
    table = wb.vocabulary.couplings(
        [obs.propagate("L1H2"), wb.vocabulary.observable(obs.model, " store").propagate("L1H2")]
    )
    ax = table.plot()
    image = ax.images[0]
    assert image.norm.vmin == -image.norm.vmax
    np.testing.assert_allclose(image.get_array(), table.coefficients, rtol=1e-6)
    cosines = table.plot(value="cosine").images[0].get_array()
    assert cosines[0, 0] == pytest.approx(1)


def test_a_trial_is_drawn_beside_its_controls(obs: Any) -> None:
    vector = obs.propagate("L1H2")
    tried = wb.vocabulary.evaluate(
        obs.model, PROMPTS, vector, n_controls=2, elsewhere=(), progress=False
    )
    ax = tried.plot(where={"measure": "pushed"})
    assert labels(ax) == ["observable random"]
    frame = tried.to_frame().query("measure == 'pushed'")
    assert ax.collections[-1].get_offsets()[0, 0] == pytest.approx(frame.effect.iloc[0])
    assert len(tried.png()) > 1000
    with pytest.raises(ValueError, match="got where 'measure' is 'truth'"):
        tried.plot(where={"measure": "truth"})
