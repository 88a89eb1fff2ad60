"""How quickly a grid scrolls and redraws; run with `pytest -m slow -s tests/browser`."""

import json
from statistics import median, quantiles

import pytest

from workbench.widgets import TokenGrid, page

from ..unit.widgets.grids import panel
from .grid_view import GridView

pytestmark = [pytest.mark.browser, pytest.mark.slow]
WORDS = [f" {a}{b}" for a in ("the", "Mary", "river", "extraordinarily") for b in range(25)]

SCROLL = """(scroller) => new Promise((done) => {
    const times = [performance.now()];
    const steps = 180;
    const [right, down] = [scroller.scrollWidth, scroller.scrollHeight];
    const step = () => {
        const way = times.length / steps;
        scroller.scrollTo(right * way, down * Math.abs(Math.sin(way * 6)));
        times.push(performance.now());
        if (times.length <= steps) requestAnimationFrame(step);
        else done(times.slice(1).map((time, i) => time - times[i]));
    };
    requestAnimationFrame(step);
})"""
# From the new data to the frame after the one that drew them: then they are on the screen.
REDRAW = """(panels) => new Promise((done) => {
    const fresh = new widgetModel.constructor({ panels }).get("panels");
    const start = performance.now();
    widgetModel.set({ _panels: fresh });
    requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now() - start)));
})"""


def shown(open_page, n_rows: int, n_positions: int) -> tuple[GridView, TokenGrid]:
    data = panel(n_rows, n_positions, k=10, vocabulary=len(WORDS))
    tokens = [WORDS[i % len(WORDS)] for i in range(n_positions)]
    grid = TokenGrid(tokens, [data], WORDS)
    opened = open_page(page(grid, "speed"))
    return GridView(opened, rows=n_rows, positions=n_positions), grid


def test_48_layers_and_512_positions_scroll_at_30_frames_a_second(open_page):
    view, _ = shown(open_page, 48, 512)
    view.scroller.evaluate(SCROLL)
    frames = view.scroller.evaluate(SCROLL)
    rate = 1000 * len(frames) / sum(frames)
    slowest = quantiles(frames, n=20)[-1]
    print(f"\nscroll 48 × 512: {rate:.0f} frames a second, 95 % of frames within {slowest:.0f} ms")
    assert rate >= 30


@pytest.mark.parametrize(("n_rows", "n_positions"), [(5, 20), (48, 512)])
def test_new_data_are_on_the_screen_in_a_tenth_of_a_second(open_page, n_rows, n_positions):
    view, grid = shown(open_page, n_rows, n_positions)
    text = page(grid, "x").split('"application/json">')[1].split("</script>")[0]
    panels = json.loads(text)["state"]["_panels"]
    times = [view.page.evaluate(REDRAW, panels) for _ in range(5)]
    print(f"\nredraw {n_rows} × {n_positions}: {median(times):.0f} ms (median of 5)")
    assert median(times) < 100
