"""What a TokenGrid shows: text, numbers, colours and themes."""

from typing import Any

import numpy as np
import pytest

from workbench.widgets import TokenGrid

from ..unit.widgets.grids import VOCABULARY, panel
from .grid_view import TOKENS, box, grid, opened, visible

pytestmark = pytest.mark.browser
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "<b>bold</b>"]


def test_every_cell_and_header_is_drawn_with_its_own_text(open_page):
    data = panel(seed=3)
    following = [" one", " two", ""]
    view = opened(open_page, grid(panels=[data], next_token=following))
    texts = view.texts()
    for row in range(4):
        for pos in range(3):
            token = VOCABULARY[data["top"][row, pos, 0]]
            assert texts[pos, 1 + 3 - row] == visible(token), (row, pos)
        assert texts[-1, 1 + 3 - row] == data["rows"][row]
    assert (2, 0) not in texts, "what follows the last token is not known"
    for pos in range(3):
        assert texts.get((pos, 0), "") == visible(following[pos])
        assert texts[pos, 5] == visible(TOKENS[pos])
        assert texts[pos, 6] == str(pos)


def test_hovering_states_the_numbers_of_every_cell(open_page):
    data = panel()
    view = opened(open_page, grid(panels=[data], quantity="entropy", next_token=TOKENS))
    for row in range(4):
        for pos in range(3):
            view.hover(row, pos)
            best = [VOCABULARY[i] for i in data["top"][row, pos]]
            probability = np.exp(data["top_logprob"][row, pos])
            entropy = data["quantities"]["entropy"]["values"][row, pos]
            assert view.readout.inner_text() == (
                f"{data['rows'][row]}, position {pos} “{visible(TOKENS[pos])}”: "
                f"top token “{visible(best[0])}”, probability {probability[0]:.3f}; "
                f"entropy {entropy:.2f} nats"
            )
            assert view.tokens_in_tooltip() == [visible(token) for token in best]
            numbers = view.tooltip.locator(".token-grid__number").all_inner_texts()
            assert [float(n) for n in numbers[:3]] == pytest.approx(probability, abs=6e-4)
            assert f"{entropy:.2f} nats" in numbers
    view.leave()
    assert not view.tooltip.is_visible()


def test_half_precision_and_two_byte_ids_arrive_as_numpy_wrote_them(open_page):
    vocabulary = [f" w{i}" for i in range(300)]
    data = panel(vocabulary=300)
    data["top_logprob"] = data["top_logprob"].astype(np.float16)
    shown = TokenGrid(TOKENS, [data], vocabulary)
    assert shown._panels[0]["top"]["dtype"] == "uint16"
    view = opened(open_page, shown)
    for row, pos in [(0, 0), (2, 1), (3, 2)]:
        view.hover(row, pos)
        assert view.tokens_in_tooltip() == [f"·w{i}" for i in data["top"][row, pos]]
        numbers = view.tooltip.locator(".token-grid__number").all_inner_texts()[:3]
        expected = np.exp(data["top_logprob"][row, pos].astype(np.float64))
        assert numbers == [f"{p:.3f}" for p in expected]


def test_hovering_moves_nothing_on_the_page(open_page):
    view = opened(open_page, grid())
    parts = [view.root, view.scroller, view.readout]
    before = [box(part) for part in parts]
    heights = view.page.evaluate("document.documentElement.scrollHeight")
    for row, pos in [(3, 2), (0, 0), (2, 1)]:
        view.hover(row, pos)
        assert [box(part) for part in parts] == before
        assert view.page.evaluate("document.documentElement.scrollHeight") == heights


def test_an_undefined_value_is_grey_and_said_to_be_undefined(open_page):
    values = np.array([[np.nan, 0.5, 1.0]] * 4)
    given = panel(quantities={"probability": {"values": values}})
    view = opened(open_page, grid(panels=[given]))
    assert view.color(1, 0) == (0x8A, 0x8A, 0x92)
    view.hover(1, 0)
    assert "not a number" in view.tooltip.inner_text()


def test_headers_stay_where_they_are_and_follow_the_cells_when_the_grid_scrolls(open_page):
    tokens = [f" t{i}" for i in range(200)]
    big = panel(48, 200, vocabulary=8)
    view = opened(open_page, TokenGrid(tokens, [big], VOCABULARY, next_token=tokens))
    seen = box(view.canvas)
    left = {"x": seen["x"], "y": seen["y"] + 30, "width": 50, "height": 400}
    foot = {"x": seen["x"] + 60, "y": seen["y"] + seen["height"] - 36, "width": 700, "height": 36}

    def picture(clip: Any) -> bytes:
        view.frame()
        return view.page.screenshot(clip=clip)

    labels, inputs = picture(left), picture(foot)
    view.scroller.evaluate("(scroller) => scroller.scrollTo(1300, 0)")
    assert picture(left) == labels and picture(foot) != inputs
    view.scroller.evaluate("(scroller) => scroller.scrollTo(0, 480)")
    assert picture(left) != labels and picture(foot) == inputs
    view.scroller.evaluate("(scroller) => scroller.scrollTo(5200, 480)")
    view.frame()
    for y in (seen["y"] + 10, seen["y"] + seen["height"] - 20):
        x, _ = view.point(20, 107)
        view.page.mouse.move(x, y)
        view.frame()
        assert "Input at position 107: ·t107" in view.tooltip.inner_text()
        assert "Next token: ·t107" in view.tooltip.inner_text()
    view.hover(20, 107)
    assert view.readout.inner_text().startswith("L19, position 107 “·t107”")
    view.page.mouse.wheel(0, 60)
    view.frame()
    assert not view.tooltip.is_visible()


def test_a_grid_of_one_cell_works(open_page):
    one = TokenGrid(["x"], [panel(1, 1, 1)], VOCABULARY)
    view = opened(open_page, one)
    view.click(0, 0)
    assert view.readout.inner_text().startswith("embed, position 0 “x”: top token ")
    assert view.root.locator(".token-grid__chart circle").count() == 1


def test_markup_in_tokens_is_shown_and_never_executed(open_page):
    vocabulary = [*EVIL, *VOCABULARY[3:]]
    data = panel(vocabulary=3)
    evil = TokenGrid(EVIL, [data], vocabulary, title=EVIL[0], next_token=EVIL)
    evil.status = EVIL[2]
    view = opened(open_page, evil)
    view.page.on("dialog", lambda dialog: pytest.fail(f"a token opened {dialog.message}"))
    view.click(3, 1)
    view.hover(3, 1)
    best = [vocabulary[i] for i in data["top"][3, 1]]
    assert view.tokens_in_tooltip() == best
    for place in ("list", "chip", "title", "status"):
        words = view.root.locator(f".token-grid__{place}").inner_text()
        assert any(token in words for token in EVIL), place
    assert view.root.locator("img, b, script").count() == 0


def test_long_and_invisible_tokens_are_clipped_in_the_cell_and_whole_in_the_tooltip(open_page):
    vocabulary = [" " + "extraordinarily" * 20, "\n\n", "\u202edesrever"]
    data = panel(vocabulary=3)
    view = opened(open_page, TokenGrid(TOKENS, [data], vocabulary))
    view.hover(3, 0)
    texts = view.tokens_in_tooltip()
    assert "·" + "extraordinarily" * 20 in texts and "↵↵" in texts and "\\u202edesrever" in texts
    tip = box(view.tooltip)
    assert tip["x"] >= 0 and tip["x"] + tip["width"] <= 900


@pytest.mark.parametrize(("width", "theme"), [(900, "light"), (900, "dark"), (500, "light")])
def test_nothing_overlaps_or_sticks_out(open_page, width, theme):
    panels = [panel(), panel(component="attn_out"), panel(lens="tuned lens")]
    view = opened(open_page, grid(panels=panels, title="Lens"), width=width, theme=theme)
    view.click(3, 2)
    view.leave()
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    fields = view.root.locator(".workbench__field:not([hidden]), .token-grid__legend")
    boxes = [box(fields.nth(i)) for i in range(fields.count())]
    assert len(boxes) == 5
    for i, a in enumerate(boxes):
        for b in boxes[:i]:
            apart = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
            assert apart or a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]
    labels = view.root.locator(".token-grid__chart text")
    texts = [box(labels.nth(i)) for i in range(labels.count())]
    for i, a in enumerate(texts):
        for b in texts[:i]:
            apart = a["x"] >= b["x"] + b["width"] or b["x"] >= a["x"] + a["width"]
            assert apart or a["y"] >= b["y"] + b["height"] or b["y"] >= a["y"] + a["height"]


def test_the_theme_follows_the_system_and_jupyterlabs_variables(open_page):
    light = opened(open_page, grid())
    dark = opened(open_page, grid(), theme="dark")
    shade = "(root) => getComputedStyle(root).backgroundColor"
    assert light.root.evaluate(shade) == "rgb(255, 255, 255)"
    assert dark.root.evaluate(shade) == "rgb(22, 22, 26)"
    light.page.evaluate(
        """() => {
            document.body.style.setProperty('--jp-layout-color0', '#111111');
            document.body.style.setProperty('--jp-layout-color1', '#203040');
            document.body.dataset.jpThemeLight = 'false';
        }"""
    )
    light.frame()
    assert light.root.evaluate(shade) == "rgb(17, 17, 17)"
    assert light.pixel(2, 2) == (0x20, 0x30, 0x40)
