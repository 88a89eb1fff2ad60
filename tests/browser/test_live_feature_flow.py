"""The live flow in a real JupyterLab: click, switch off, and what is downstream changes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .lab import Lab
from .live_feature_flow import ACTIVE, LiveFeatureFlow

pytestmark = pytest.mark.browser


def test_a_feature_is_switched_off_and_numbers_words_and_page_follow(jupyterlab: Lab) -> None:
    live = LiveFeatureFlow(jupyterlab)
    name = live.value(ACTIVE)
    last = live.value("explorer.flow.path()[-1]")
    words = live.answers.locator("table")
    expect(words).to_have_count(2)
    plain = words.nth(1).text_content() or ""
    before = live.node(last).text_content()

    # A click shows the feature's page, of the texts given.
    live.click(name)
    page = live.page.locator(".feature-page")
    expect(page).to_be_visible()
    expect(page).to_contain_text(name)
    expect(page.locator(".feature-page__contexts")).to_be_visible()

    # Off: the activations of what follows and the next words change, and the page says how far.
    live.press("Switch the feature off (0)")
    live.comes_to("explorer.view.scales", {name: 0.0})
    expect(live.answers).to_contain_text("1 feature scaled")
    assert live.value("explorer.reading.kl") > 1e-4
    numbers = live.value(
        f"[float(x) for i in [explorer.view.ids.index({last!r})]"
        " for x in (explorer.view.before[i], explorer.view.after[i])]"
    )
    assert abs(numbers[1] - numbers[0]) > 1e-3
    assert live.node(last).text_content() != before
    assert live.node(name).get_attribute("class").count("is-off") == 1
    off = words.nth(1).inner_text()

    # Four times as much by the slider is another thing again, and the code says the same.
    live.press("Four times the activation (4)")
    live.comes_to("explorer.view.scales", {name: 4.0})
    live.page.wait_for_function(
        "(text) => document.querySelectorAll('.workbench-answers table')[1].innerText !== text",
        arg=off,
    )
    live.press("code")
    code = live.value("explorer.code")
    assert ": 4.0}, rows=[1])" in code
    box = live.page.locator("textarea:visible").last
    assert box.input_value().strip() == code.strip()

    live.press("undo")
    live.comes_to("explorer.view.scales", {name: 0.0})
    live.press("reset")
    live.comes_to("explorer.view.scales", {})
    expect(words.nth(1)).to_have_text(plain)

    # The slider leaves out weaker edges.
    n_edges = live.edges.count()
    slider = live.graph.get_by_role("slider")
    slider.focus()
    slider.press("End")
    expect(live.edges).to_have_count(0)
    live.comes_to("explorer.view.threshold", 1.0)
    slider.press("Home")
    expect(live.edges).to_have_count(n_edges)

    # More of what lies before the last feature.
    n_nodes = live.nodes.count()
    live.click(last)
    live.press("Expand down: show more predecessors (d)")
    live.page.wait_for_function(
        "(n) => document.querySelectorAll('.graph-view__node').length > n", arg=n_nodes
    )
    assert live.nodes.count() == live.value("len(explorer.view.ids)")
    expect(live.page.locator("[role=alert]")).to_have_count(0)
