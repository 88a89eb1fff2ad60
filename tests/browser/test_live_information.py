"""The live graph of a pass in a real JupyterLab: click a head, a path, cut it, another prompt."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .lab import Lab
from .live_information import EDGE, FIRST, HEAD, LAST, LiveInformation

pytestmark = pytest.mark.browser


def test_a_head_is_read_a_path_cut_and_the_answer_changes(jupyterlab: Lab) -> None:
    live = LiveInformation(jupyterlab)
    words = live.answers.locator("table")
    expect(words).to_have_count(1)
    expect(words.first).to_contain_text("Paris")
    panel = live.graph.locator(".graph-view__panel")

    # A head: what it looks for, and what it moved from where, with the answer without it.
    live.click(HEAD)
    node = live.page.locator(".workbench-node")
    expect(node).to_contain_text("its query looks for")
    expect(node.locator("tr").nth(1)).to_contain_text("France")
    expect(node.locator("tr").nth(1)).to_contain_text("logits")
    expect(panel).to_contain_text("value of 'France'@3")

    # Two nodes: the strongest path between them, with its edges; of a state what the norm does.
    live.click(FIRST)
    live.click(LAST)
    path = live.page.locator(".workbench-path")
    expect(path).to_contain_text(f"Strongest path from {FIRST} to {LAST}")
    expect(path).to_contain_text(f"{EDGE} ✂")
    expect(panel).to_contain_text("the norm holds back")
    expect(panel).to_contain_text("the norm brings out")

    # The path is cut: another answer, and with random edges cut the old one.
    live.press("cut this path")
    expect(words).to_have_count(3)
    expect(words.nth(1).locator("tr").first).to_contain_text("Rome")
    expect(words.nth(0).locator("tr").first).to_contain_text("Paris")
    expect(words.nth(2)).to_contain_text("Paris")
    assert live.value("[list(explorer.cuts), explorer.message]") == [[EDGE], ""]
    live.press("code")
    box = live.page.locator("textarea:visible").last
    assert f"wb.information.cut(model, graph, [{EDGE!r}])" in box.input_value()
    live.press("undo")
    expect(words).to_have_count(1)

    # An edge is cut by a click on it.
    live.graph.locator(".graph-view__scroll").press("Escape")
    expect(path).to_have_count(0)
    live.click_edge(EDGE)
    expect(words).to_have_count(3)
    expect(words.nth(1).locator("tr").first).to_contain_text("Rome")
    live.comes_to("explorer.view.cut_edges", [EDGE])

    # Another prompt: another graph, with nothing cut.
    live.prompt.fill("The capital of Italy is")
    expect(words).to_have_count(1)
    expect(words.first.locator("tr").first).to_contain_text("Rome")
    live.comes_to("[explorer.information.target, list(explorer.cuts)]", [" Rome", []])
    expect(live.page.locator("[role=alert]")).to_have_count(0)
