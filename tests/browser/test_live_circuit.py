"""The live circuit in a real JupyterLab: a click cuts, the model runs, the answer changes."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .lab import Lab
from .live_circuit import LiveCircuit

pytestmark = pytest.mark.browser


def test_a_click_changes_the_answer_and_undo_code_and_presets_work(jupyterlab: Lab) -> None:
    live = LiveCircuit(jupyterlab)
    expect(live.answers).to_contain_text("faithfulness 1.00")
    before = live.python("explorer.reading.answers[1].tokens[0]")
    live.click("L0H2")
    live.comes_to("explorer.view.cut_nodes", "['L0H2']")
    expect(live.answers).to_contain_text("faithfulness 0.00")
    after = live.python("explorer.reading.answers[1].tokens[0]")
    assert after != before
    # The clean, ablated and corrupt answers stand side by side.
    tables = live.answers.locator("table")
    expect(tables).to_have_count(3)
    expect(tables.nth(1)).to_contain_text(after.strip())
    expect(tables.nth(0)).to_contain_text(before.strip())

    code = live.python("explorer.code")
    assert "wb.ablate(model, task, ['L0H2.z']" in code
    live.page.get_by_role("button", name="code", exact=True).click()
    box = live.page.locator("textarea:visible").filter(has_text="").last
    assert box.input_value().strip() == code.strip()

    live.press("undo")
    live.comes_to("explorer.view.cut_nodes", "[]")
    expect(live.answers).to_contain_text("faithfulness 1.00")
    live.press("found circuit")
    live.comes_to("explorer.preset", "found circuit")
    assert float(live.python("round(explorer.reading.faithfulness, 2)")) > 0.9
    live.press("complement")
    live.comes_to("explorer.preset", "complement")
    assert abs(float(live.python("round(explorer.reading.faithfulness, 2)"))) < 0.1
    live.press("reset")
    live.comes_to("explorer.preset, explorer.view.cut_nodes", "whole model []")
    expect(live.page.locator("[role=alert]")).to_have_count(0)
