"""The live logit lens in a real JupyterLab: what is typed is read by the model and drawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .lab import Lab
from .live_lens import LiveLens

pytestmark = pytest.mark.browser


def test_what_is_typed_is_run_and_trouble_is_told_in_place(jupyterlab: Lab) -> None:
    live = LiveLens(jupyterlab)
    live.write("The capital of France is")
    assert live.python("explorer.result.tokens[0], explorer.prompt") == (
        "('The', ' capital', ' of', ' France', ' is') The capital of France is"
    )
    live.prompt.press("End")
    live.prompt.press_sequentially(" Paris and", delay=5)
    typed = "The capital of France is Paris and"
    live.comes_to("''.join(explorer.result.tokens[0])", typed)
    expect(live.message).to_have_count(0)
    live.targets.fill("Mary, <img src=x onerror=alert(1)>")
    expect(live.message).to_contain_text("A target is one token; ' <img")
    expect(live.grid.locator(".token-grid__status")).to_contain_text("the last prompt that worked")
    assert live.page.locator("[role=alert] img").count() == 0
    assert live.python("''.join(explorer.view._tokens)") == typed
    live.targets.fill("Paris")
    expect(live.message).to_have_count(0)
    expect(live.grid.locator(".token-grid__status")).to_have_text("")
    live.comes_to("explorer.result.targets", "(' Paris',)")
