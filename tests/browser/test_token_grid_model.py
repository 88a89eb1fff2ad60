"""A TokenGrid and its model: new data, several views, a kernel."""

import json

import pytest

from workbench.widgets import page

from ..unit.widgets.grids import VOCABULARY, panel
from .grid_view import SECOND, TOKENS, GridView, box, grid, opened, visible
from .lab import Lab

pytestmark = pytest.mark.browser


def test_a_grid_that_was_hidden_is_drawn_when_it_is_shown(open_page):
    view = opened(open_page, grid())
    view.page.evaluate("document.querySelector('.workbench-output').hidden = true")
    view.page.evaluate("widgetModel.set('quantity', 'entropy')")
    view.frame()
    view.page.set_viewport_size({"width": 700, "height": 800})
    view.page.evaluate("document.querySelector('.workbench-output').hidden = false")
    view.frame()
    view.hover(2, 2)
    assert "entropy" in view.readout.inner_text()
    assert box(view.canvas)["width"] < 700


def test_a_status_is_shown_over_the_dimmed_grid_which_stays(open_page):
    view = opened(open_page, grid())
    view.page.evaluate("widgetModel.set('status', 'error: the prompt is empty')")
    view.page.wait_for_timeout(300)
    status = view.root.locator(".token-grid__status")
    assert status.inner_text() == "error: the prompt is empty"
    assert float(view.canvas.evaluate("(c) => getComputedStyle(c).opacity")) < 0.6
    view.hover(3, 0)
    assert "L2, position 0" in view.readout.inner_text()
    view.page.evaluate("widgetModel.set('status', '')")
    view.frame()
    assert not status.is_visible()


def test_views_of_one_model_stay_in_step_and_a_closed_one_leaves_nothing(open_page):
    view = opened(open_page, grid())
    view.page.evaluate(SECOND)
    other = GridView(view.page, rows=4, positions=3, nth=1)
    view.choose("Show", "entropy")
    view.click(3, 1)
    assert other.root.get_by_label("Show", exact=True).input_value() == "entropy"
    assert other.root.locator(".token-grid__chip").count() == 1
    count = "[...widgetModel.listeners.values()].reduce((n, set) => n + set.size, 0)"
    both = view.page.evaluate(count)
    view.page.evaluate("closeSecond()")
    assert view.page.locator(".token-grid").count() == 1
    assert view.page.evaluate(count) == both / 2 > 0


def test_new_data_are_drawn_within_two_frames_and_the_tooltip_follows(open_page):
    first, second = panel(), panel(seed=9)
    view = opened(open_page, grid(panels=[first]))
    view.hover(3, 2)
    after = json.loads(
        page(grid(panels=[second]), "x").split('"application/json">')[1].split("</script>")[0]
    )["state"]
    view.page.evaluate(
        """(panels) => {
            const revive = widgetModel.constructor;
            widgetModel.set({ _panels: new revive({ panels }).get('panels') });
        }""",
        after["_panels"],
    )
    view.frame()
    best = [visible(VOCABULARY[i]) for i in second["top"][3, 2]]
    assert view.tokens_in_tooltip() == best
    assert best[0] in view.readout.inner_text()


def test_in_jupyterlab_a_click_reaches_python_and_an_update_redraws(jupyterlab: Lab):
    shown = jupyterlab.run(
        [
            "from tests.unit.widgets.grids import VOCABULARY, panel\n"
            "from workbench.widgets import TokenGrid\n"
            f"grid = TokenGrid({TOKENS!r}, [panel()], VOCABULARY)",
            "grid",
        ]
    )
    view = GridView(shown, rows=4, positions=3)
    data, later = panel(), panel(seed=5)
    best = int(data["top"][3, 1, 0])
    view.click(3, 1)
    assert jupyterlab.run_cell(shown, "print(grid.selected, grid.pinned)") == (
        f"{{'row': 3, 'pos': 1}} [{{'pos': 1, 'token': {VOCABULARY[best]!r}, 'id': {best}}}]"
    )
    cells = shown.locator(".jp-CodeCell").count()
    view.press("Escape", "a", "b", "x", "d", "d", "ArrowDown")
    assert shown.locator(".jp-CodeCell").count() == cells, "a key went to the notebook"
    assert jupyterlab.run_cell(shown, "print(grid.selected, grid.pinned)") == "None []"
    source = f"grid.update({TOKENS!r}, [panel(seed=5)], VOCABULARY, quantity='entropy')"
    jupyterlab.run_cell(shown, source)
    view.hover(3, 1)
    assert visible(VOCABULARY[later["top"][3, 1, 0]]) in view.readout.inner_text()
    assert view.root.get_by_label("Show", exact=True).input_value() == "entropy"
    before = f"{view.readout.inner_text()}"
    view.page.evaluate("document.activeElement.blur()")
    jupyterlab.run_cell(shown, "grid.status = 'running…'")
    assert view.root.locator(".token-grid__status").inner_text() == "running…"
    assert before.startswith("L2, position 1")
