"""What a FeaturePage shows and what pointer and keys do to it."""

from typing import Any

import numpy as np
import pytest

from workbench.widgets import FeaturePage

from ..unit.widgets.features import NAME, TEXT, page
from .grid_view import box
from .page_view import opened

pytestmark = pytest.mark.browser
EVIL = "<img src=x onerror=alert(1)>"


def shown(**options: Any) -> FeaturePage:
    return FeaturePage(**{**page(), **options})


def channels(color: str) -> list[float]:
    return [float(part) for part in color.partition("(")[2].rstrip(")").split(",")[:3]]


def test_everything_given_is_on_the_page(open_page):
    given = page()
    view = opened(open_page, shown(), width=1000)
    head = view.root.locator("header").inner_text()
    for words in (NAME, given["label"], "F1 0.93 on held-out text", "1.23 % of positions (1,181)"):
        assert words in head
    assert "mean where active\n3.10" in head and "maximum\n9.22" in head
    groups = view.root.locator(".feature-page__group h4").all_inner_texts()
    assert groups == ["most active 3", "drawn evenly 2"]
    lines = view.root.locator(".feature-page__context")
    assert lines.count() == 5
    assert lines.nth(0).text_content() == "".join(TEXT)
    promoted = view.part("Promotes").inner_text().split()
    assert promoted[promoted.index("·barks") + 1] == "+2.31"
    assert "−1.70" in view.part("Suppresses").inner_text()
    assert "40.0 %" in view.part("Active on").inner_text()
    effects = view.part("Without the feature").inner_text()
    assert "+0.41 (0.30 to 0.55)" in effects and "+0.020 (0 to 0.050)" in effects
    assert "not measured" in effects and given["ablation_note"] in effects
    assert "−1.40" in view.part("Less likely without it").inner_text()
    assert "+0.80" in view.part("More likely without it").inner_text()
    chart = view.root.locator(".feature-page__histogram")
    counts = given["histogram"]["counts"]
    assert chart.locator(".feature-page__bar").count() == 20
    assert f"{counts.sum():,} activations from 0.050 to 10.00" in (
        chart.get_attribute("aria-label") or ""
    )
    heights = chart.locator(".feature-page__bar").evaluate_all(
        "bars => bars.map((bar) => bar.getBoundingClientRect().height)"
    )
    np.testing.assert_allclose(
        np.array(heights) / max(heights), np.log1p(counts) / np.log1p(counts).max(), atol=0.02
    )

    # The more active a token, the more of the colour; what is not active has none.
    values = given["contexts"][0]["values"]
    colors = view.root.locator('[data-context="0"]').evaluate_all(
        "tokens => tokens.map((token) => token.style.background)"
    )
    shades = {}
    for value, color in zip(values, colors, strict=True):
        assert (color == "") == (value == 0)
        if color:
            shades[value] = channels(color)
    assert len(shades) == 4
    reds = [shades[value][0] for value in sorted(shades)]
    assert reds == sorted(reds, reverse=True)
    assert all(blue > red for red, _, blue in shades.values())

    # Pointing states the number and moves nothing.
    before = [box(part) for part in (view.root, view.texts, view.readout)]
    view.token(0, 6).hover()
    assert f"activation {values[6]:.2f}" in view.tooltip.inner_text()
    assert view.readout.inner_text() == (
        f"“·cat”: activation {values[6]:.2f}; context 1 of 5, most active, "
        f"{given['contexts'][0]['source']}"
    )
    assert [box(part) for part in (view.root, view.texts, view.readout)] == before
    view.page.mouse.move(1, 1)
    assert not view.tooltip.is_visible()

    # The keyboard reaches the tokens.
    view.texts.press("ArrowRight")
    view.texts.press("ArrowRight")
    place = given["contexts"][0]["at"] + 2
    assert view.readout.inner_text().startswith(f"“{TEXT[place].replace(' ', '·', 1)}”")
    view.texts.press("ArrowDown")
    assert "the place this context is shown for; context 2 of 5" in view.readout.inner_text()
    described = view.texts.get_attribute("aria-activedescendant") or ""
    label = view.page.locator(f"#{described}").get_attribute("aria-label")
    assert label == view.readout.inner_text()

    # A link of the page is followed by whoever made it.
    view.root.get_by_role("button", name="L2.resid_post/900").click()
    assert view.get("chosen") == "L2.resid_post/900"
    view.set(status="running…")
    assert view.root.get_by_role("status").inner_text() == "running…"


def test_a_label_is_changed_where_it_may_be_and_is_then_not_scored(open_page):
    view = opened(open_page, shown(editable=True))
    view.label.fill("kinds of animals")
    view.label.press("Enter")
    view.frame()
    assert view.get("label") == "kinds of animals"
    assert view.score.inner_text() == "not scored"
    view.label.fill("something else")
    view.label.press("Escape")
    view.frame()
    assert view.get("label") == "kinds of animals" and view.label.input_value() == view.get("label")
    view.label.fill(page()["label"])
    view.label.blur()
    view.frame()
    assert view.score.inner_text() == "F1 0.93 on held-out text"
    view.set(editable=False)
    assert not view.label.is_visible()
    assert view.root.locator(".feature-page__label").inner_text() == page()["label"]


def test_a_dead_feature_says_so(open_page):
    dead = FeaturePage(NAME, dead=True, frequency=0.0, n_active=0, nearest=page()["nearest"])
    view = opened(open_page, dead)
    assert "This feature never fires on these texts" in view.root.inner_text()
    assert not view.texts.is_visible()
    assert view.root.get_by_role("button").count() == 2


def test_markup_in_tokens_labels_and_names_is_text(open_page):
    evil = {
        "feature": EVIL, "label": EVIL, "score": EVIL,
        "contexts": [{"tokens": [EVIL, " ", "\n", "<b>x</b>"], "values": [1.0, 0, 0, -2.0],
                      "group": EVIL, "source": EVIL}],
        "promoted": [(EVIL, 1.0)], "nearest": [{"name": EVIL, "label": EVIL, "value": 1.0}],
        "ablation": [{"quantity": EVIL, "unit": EVIL, "effect": (0, 0, 0)}], "ablation_note": EVIL,
    }  # fmt: skip
    view = opened(open_page, shown(**evil), theme="dark")
    view.token(0, 0).hover()
    assert EVIL in view.tooltip.inner_text()
    assert view.root.inner_text().count(EVIL) >= 9
    assert view.root.locator("img, script").count() == 0
    assert view.token(0, 1).inner_text() == "·" and view.token(0, 2).inner_text() == "↵"
    assert view.token(0, 3).inner_text() == "<b>x</b>"
    red, _, blue = channels(view.token(0, 3).evaluate("(part) => part.style.background"))
    assert red > blue, "what is negative is red"
    view.root.get_by_role("button", name=EVIL).click()
    assert view.get("chosen") == EVIL


@pytest.mark.parametrize(("width", "theme"), [(1000, "dark"), (420, "light")])
def test_nothing_is_wider_than_the_page(open_page, width, theme):
    long = {
        "promoted": [("x" * 60, 1.0)],
        "label": "y" * 150,
        "feature": "L10.resid_post/" + "9" * 40,
    }
    view = opened(open_page, shown(**long), width=width, theme=theme)
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    frame = box(view.root)
    ends = view.root.locator("section, header, p, table").evaluate_all(
        "parts => parts.map((part) => part.getBoundingClientRect().right)"
    )
    assert len(ends) > 20 and max(ends) <= frame["x"] + frame["width"]
    beside = box(view.root.locator(".feature-page__side"))["y"] < box(view.readout)["y"]
    assert beside == (width == 1000)
