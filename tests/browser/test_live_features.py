"""The feature browser in a real JupyterLab: search, read a page, label it, and type a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from .lab import Lab
from .live_features import LiveFeatures

# Half a minute in a real JupyterLab: with the slow tests, so that the plain run stays short.
pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_a_person_searches_reads_labels_and_types_a_prompt(jupyterlab: Lab, tmp_path: Path) -> None:
    live = LiveFeatures(jupyterlab, tmp_path)
    first = live.value("explorer.feature")
    expect(live.name).to_have_text(first)
    expect(live.view).to_contain_text("on held-out text")

    live.search("token", "the")
    live.comes_to("explorer.query", "the")
    found = live.value("explorer.found.feature.tolist()")
    options = live.list.locator("option")
    expect(options).to_have_count(len(found))
    expect(options.first).to_contain_text(found[0].split("/")[1])
    expect(options.first).to_contain_text("of it here")
    live.list.select_option(index=1)
    expect(live.name).to_have_text(found[1])

    live.search("concept", "*")
    live.comes_to("explorer.query", "*")
    expect(live.message).to_contain_text("One view shows 1 to 32 concepts")
    live.search("concept", "mammal, bird")
    live.comes_to("sorted(set(explorer.found.concept))", ["bird", "mammal"])
    expect(live.message).to_have_count(0)

    live.label.fill("my own words")
    live.label.press("Enter")
    live.comes_to("explorer.page.label", "my own words")
    expect(live.view.locator(".feature-page__score")).to_contain_text("not scored")
    assert (
        live.value("wb.features.Labels.of(explorer.dictionary)[explorer.feature].text")
        == "my own words"
    )

    live.prompt.fill("The king of France")
    live.comes_to("explorer.active.tokens[0][-1]", " France")
    most = live.value("explorer.grid.features[0]").removeprefix("L").replace(".resid_post", "")
    expect(live.grid).to_contain_text(most)
    live.prompt.fill("")
    expect(live.message).to_contain_text("A prompt has at least one character")
    live.prompt.fill("The queen")
    live.comes_to("explorer.active.tokens[0][-1]", " queen")

    live.dropdown(0).select_option("L3.resid_post")
    live.comes_to("explorer.page.feature.split('/')[0]", "L3.resid_post")
    expect(live.name).to_contain_text("L3.resid_post/")
    expect(live.message).to_have_count(0)
