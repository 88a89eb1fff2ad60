"""What an AttentionGrid shows and takes: heads, weights, pins, keys and themes."""

import re

import matplotlib
import numpy as np
import pytest

from workbench.widgets import AttentionGrid

from ..unit.widgets.attentions import attention
from .attention_view import TOKENS, AttentionView, made, opened
from .grid_view import SECOND, box, visible
from .lab import Lab

pytestmark = pytest.mark.browser
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "<b>x</b>", "a"]
PATTERN, WEIGHTED = attention()


def viridis(part: float) -> tuple[int, ...]:
    """The colour of a share of the scale, as matplotlib publishes it."""
    step = int(np.floor(part * 255 + 0.5))
    return tuple(round(255 * channel) for channel in matplotlib.colormaps["viridis"](step)[:3])


def near(color: tuple[int, ...], other: tuple[int, ...]) -> bool:
    """Equal up to rounding and half a step of the table."""
    return max(abs(a - b) for a, b in zip(color, other, strict=True)) <= 4


def short(weight: float) -> str:
    """A weight as it stands under a token."""
    if weight == 0:
        return "0"
    return "<.01" if weight < 0.005 else f"{weight:.2f}"


def test_every_head_is_drawn_small_and_chosen_large_with_its_own_weights(open_page):
    view = opened(open_page, made(layers=[1, 4, 6]))
    for layer in range(3):
        for head in range(2):
            for dst in range(4):
                for src in range(dst + 1):
                    place = view.head(layer, head, (src + 0.5) / 4, (dst + 0.5) / 4)
                    drawn = view.color(view.all_heads, place)
                    assert near(drawn, viridis(PATTERN[layer, head, dst, src])), (layer, head)
            view.click_at(view.head(layer, head))
            assert (view.state("layer"), view.state("head")) == ([1, 4, 6][layer], head)
            view.leave()
            for dst in range(4):
                for src in range(dst + 1):
                    drawn = view.color(view.enlarged, view.cell(dst, src))
                    assert near(drawn, viridis(PATTERN[layer, head, dst, src])), (dst, src)
            future = view.color(view.enlarged, view.cell(0, 3))
            assert min(future) > 220, "what cannot be attended to is left empty"


def test_pointing_at_a_token_states_what_it_attends_to_and_what_attends_to_it(open_page):
    view = opened(open_page, made(layer=2, head=1))
    weights = PATTERN[2, 1]
    assert view.numbers() == [short(w) for w in weights[3]], "the last token, before any choice"
    for pos in range(4):
        view.chips.nth(pos).hover()
        view.frame()
        around = [weights[max(pos, other), min(pos, other)] for other in range(4)]
        assert view.numbers() == [short(w) for w in around]
        words = view.readout.inner_text()
        best = int(np.argmax(weights[pos]))
        name = "itself" if best == pos else f"“{visible(TOKENS[best])}” ({best})"
        start = f"L2H1: “{visible(TOKENS[pos])}” ({pos}) attends most to {name} "
        assert words.startswith(f"{start}{weights[pos, best]:.3f}")
        if pos < 3:
            later = pos + 1 + int(np.argmax(weights[pos + 1 :, pos]))
            reader = f"“{visible(TOKENS[later])}” ({later}) {weights[later, pos]:.3f}"
            assert f"most attended to by {reader}" in words
    assert view.state("position") is None


def test_tokens_are_highlighted_by_weight_in_one_colour_for_each_direction(open_page):
    view = opened(open_page, made())
    view.chips.nth(2).hover()
    view.frame()
    fills = view.chips.evaluate_all("(all) => all.map((e) => getComputedStyle(e).backgroundColor)")
    colors = [tuple(map(int, re.findall(r"\d+", fill))) for fill in fills]
    blue, orange = (0x2F, 0x7F, 0xD0), (0xD8, 0x60, 0x2A)
    for pos, weight in enumerate([*PATTERN[0, 0, 2, :3], PATTERN[0, 0, 3, 2]]):
        hue = blue if pos <= 2 else orange
        expected = tuple(round(255 + (channel - 255) * weight) for channel in hue)
        assert max(abs(a - b) for a, b in zip(colors[pos], expected, strict=True)) <= 1


def test_pointing_at_a_cell_states_its_weight(open_page):
    view = opened(open_page, made(layer=1, head=1))
    for dst, src in [(3, 0), (3, 3), (2, 1), (1, 0), (0, 0)]:
        view.point_at(view.cell(dst, src))
        assert view.readout.inner_text() == (
            f"L1H1: “{visible(TOKENS[dst])}” ({dst}) attends to “{visible(TOKENS[src])}” ({src}): "
            f"{PATTERN[1, 1, dst, src]:.3f}"
        )
    view.point_at(view.cell(1, 3))
    assert "cannot attend to the later “·b” (3)" in view.readout.inner_text()
    view.leave()
    assert "no later token could attend to it" in view.readout.inner_text()


def test_a_click_pins_a_token_and_a_second_click_lets_go(open_page):
    view = opened(open_page, made())
    view.chips.nth(1).click()
    view.leave()
    assert view.state("position") == 1
    assert view.numbers()[1] == f"{PATTERN[0, 0, 1, 1]:.2f}"
    caption = view.root.locator(".attention-grid__subject")
    assert caption.inner_text() == "L0H0: “·b” at position 1 (pinned)"
    assert view.chips.nth(1).get_attribute("aria-selected") == "true"
    view.click_at(view.head(2, 1))
    view.leave()
    assert caption.inner_text() == "L2H1: “·b” at position 1 (pinned)", "a pin outlives the head"
    view.chips.nth(1).click()
    assert view.state("position") is None
    view.click_at(view.cell(2, 0))
    assert view.state("position") == 2, "a row of the enlarged head is its destination"
    view.click_at(view.cell(2, 1))
    assert view.state("position") is None


def test_value_weighted_attention_has_its_own_numbers_and_colours(open_page):
    view = opened(open_page, made(layer=2))
    view.choose("value-weighted attention")
    assert view.state("weighted") is True
    weights = WEIGHTED[2, 0]
    assert view.numbers() == [short(w) for w in weights[3]]
    for dst, src in [(3, 0), (2, 2), (0, 0)]:
        drawn = view.color(view.enlarged, view.cell(dst, src))
        assert near(drawn, viridis(weights[dst, src] / weights.max()))
        small = view.color(view.all_heads, view.head(2, 0, (src + 0.5) / 4, (dst + 0.5) / 4))
        assert near(small, viridis(np.sqrt(weights[dst, src] / WEIGHTED.max())))
    assert "by square roots" in view.root.locator(".attention-grid__heads").inner_text()
    scale = view.root.locator(".attention-grid__scale").get_attribute("aria-label")
    assert scale is not None and scale.endswith(f"from 0 to {float(f'{weights.max():.3g}'):g}")
    view.choose("attention")
    assert view.numbers() == [short(w) for w in PATTERN[2, 0, 3]]


def test_without_value_weights_there_is_nothing_to_choose_between(open_page):
    view = opened(open_page, made(value_weighted=None))
    assert not view.root.get_by_label("Show", exact=True).is_visible()


def test_a_head_whose_weights_are_all_zero_is_drawn(open_page):
    view = opened(open_page, made(value_weighted=np.zeros_like(WEIGHTED), weighted=True))
    assert view.numbers() == ["0"] * 4
    assert "attends most to nothing" in view.readout.inner_text()
    assert near(view.color(view.enlarged, view.cell(2, 0)), viridis(0))


def test_the_keyboard_chooses_heads_reads_weights_and_pins(open_page):
    view = opened(open_page, made(layers=[1, 4, 6]))
    view.press(view.all_heads, "ArrowUp", "ArrowRight")
    assert (view.state("layer"), view.state("head")) == (4, 1)
    view.press(view.all_heads, "ArrowUp", "ArrowUp", "ArrowRight", "Home")
    assert (view.state("layer"), view.state("head")) == (6, 0)
    view.page.evaluate(
        """() => {
            const { shadowRoot } = document.querySelector(".workbench-output");
            const heads = shadowRoot.querySelector(".attention-grid__scroll");
            for (const key of ["ArrowDown", "ArrowRight", "ArrowDown", "ArrowUp"])
                heads.dispatchEvent(new KeyboardEvent("keydown", { key }));
        }"""
    )
    assert (view.state("layer"), view.state("head")) == (4, 1), "keys faster than frames all count"
    view.press(view.all_heads, "ArrowUp", "ArrowLeft")
    view.press(view.enlarged, "ArrowLeft", "ArrowUp", "Home")
    text = view.readout.inner_text()
    assert text == f"L6H0: “·c” (2) attends to “a” (0): {PATTERN[2, 0, 2, 0]:.3f}"
    view.press(view.enlarged, "Enter")
    assert view.state("position") == 2
    view.press(view.enlarged, "Escape")
    assert view.state("position") is None
    view.press(view.list, "Home", "ArrowRight", " ")
    assert view.state("position") == 1
    active = view.list.get_attribute("aria-activedescendant")
    assert active == view.chips.nth(1).get_attribute("id")
    view.press(view.list, "End")
    assert view.readout.inner_text().startswith("L6H0: “·b” (3) attends most to")


def test_keys_of_the_grid_do_not_reach_the_notebook_around_it_and_others_do(open_page):
    view = opened(open_page, made())
    view.page.evaluate(
        "window.keys = []; document.addEventListener('keydown', (event) => keys.push(event.key))"
    )
    view.press(view.all_heads, "ArrowUp", "q")
    view.press(view.enlarged, "ArrowDown", "Enter", "Escape", "w")
    view.press(view.list, "ArrowLeft", " ", "Escape", "Shift+Enter")
    assert view.page.evaluate("keys") == ["q", "w", "Shift", "Enter"]


def test_hovering_moves_nothing_on_the_page(open_page):
    view = opened(open_page, made(), width=700, height=1000)
    parts = [view.root, view.enlarged, view.readout, view.list, *view.chips.all()]
    before = [box(part) for part in parts]
    places = [view.cell(3, 0), view.cell(1, 1), view.head(2, 1), view.head(0, 0)]
    for place in places:
        view.point_at(place)
        assert [box(part) for part in parts] == before
    for pos in range(4):
        view.chips.nth(pos).hover()
        view.frame()
        assert [box(part) for part in parts] == before


def test_markup_in_a_token_or_the_title_stays_text(open_page):
    view = opened(open_page, made(tokens=EVIL, title=EVIL[0]))
    view.chips.nth(0).hover()
    view.frame()
    assert view.root.locator("img, script, b").count() == 0
    tokens = view.chips.locator(".attention-grid__token").all_inner_texts()
    assert tokens == EVIL
    assert view.root.locator(".attention-grid__title").inner_text() == EVIL[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_background_in_both_themes(open_page, theme):
    view = opened(open_page, made(), theme=theme)
    background = view.color(view.enlarged, (view.cell(0, 0)[0], view.cell(3, 0)[1] + 30))
    assert (min(background) > 200) == (theme == "light")
    contrasts = """(all) => {
        const light = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((c) => c / 255)
            .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const behind = (e) => {
            const color = getComputedStyle(e).backgroundColor;
            const clear = color.startsWith("rgba") && color.endsWith(", 0)");
            return clear ? behind(e.parentElement) : color;
        };
        return all.filter((e) => e.textContent && e.checkVisibility()).map((e) => {
            const both = [light(getComputedStyle(e).color), light(behind(e))].sort((a, b) => b - a);
            return (both[0] + 0.05) / (both[1] + 0.05);
        });
    }"""
    for pos in range(4):
        view.chips.nth(pos).hover()
        view.frame()
        texts = ".attention-grid__chip, .attention-grid__readout, .attention-grid__caption"
        found = view.root.locator(f"{texts}, .attention-grid__legend-name").evaluate_all(contrasts)
        assert len(found) >= 7 and min(found) >= 4.5


def test_a_theme_that_changes_is_followed(open_page):
    view = opened(open_page, made())
    corner = (view.cell(0, 0)[0] - 20, view.cell(3, 0)[1] + 60)
    assert view.color(view.enlarged, corner) == (255, 255, 255)
    view.page.evaluate("document.body.style.setProperty('--jp-layout-color0', 'rgb(10, 20, 30)')")
    view.frame()
    assert view.color(view.enlarged, corner) == (10, 20, 30)


def long(n: int, n_layers: int, n_heads: int, **options) -> AttentionGrid:
    tokens = [f" {'the' if i % 3 else 'meadow'}{i % 7}" for i in range(n)]
    pattern, weighted = attention(n_layers, n_heads, n)
    return AttentionGrid(tokens, pattern.astype(np.float16), weighted.astype(np.float16), **options)


def test_48_tokens_of_144_heads_fit_a_notebook_without_scrolling(open_page):
    view = opened(open_page, long(48, 12, 12), width=900)
    for scroller in (view.all_heads, view.enlarged, view.list):
        inner, outer = scroller.evaluate("(e) => [e.scrollWidth, e.clientWidth]")
        assert inner <= outer
    assert view.page.evaluate("document.documentElement.scrollWidth") <= 900
    view.click_at(view.head(11, 11))
    assert (view.state("layer"), view.state("head")) == (11, 11)
    view.chips.nth(40).hover()
    view.frame()
    pattern = attention(12, 12, 48)[0].astype(np.float16).astype(np.float32)[11, 11]
    around = [pattern[max(40, other), min(40, other)] for other in range(48)]
    assert view.numbers() == [short(w) for w in around]


def test_of_many_tokens_those_pointed_at_or_reached_by_keys_come_into_view(open_page):
    view = opened(open_page, long(200, 2, 32, layer=1, head=31))
    inside = """(e) => {
        const list = e.parentElement.getBoundingClientRect(), chip = e.getBoundingClientRect();
        return chip.top >= list.top - 1 && chip.bottom <= list.bottom + 1;
    }"""
    view.press(view.enlarged, *["ArrowUp"] * 3)
    assert "(196)" in view.readout.inner_text()
    top, height = view.enlarged.evaluate("(e) => [e.scrollTop, e.clientHeight]")
    assert top + height > 196 * 6, "the destination is brought into view"
    assert view.chips.nth(196).evaluate(inside)
    view.press(view.list, "Home")
    assert view.chips.nth(0).evaluate(inside)
    assert view.enlarged.evaluate("(e) => [e.scrollLeft, e.scrollTop]") == [0, 0]
    view.press(view.list, "End", "Enter")
    assert view.state("position") == 199 and view.chips.nth(199).evaluate(inside)


@pytest.mark.parametrize("width", [360, 520, 760, 1400])
def test_nothing_sticks_out_of_the_page_at_any_width(open_page, width):
    view = opened(open_page, long(30, 4, 16), width=width)
    assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    heads, large = box(view.all_heads), box(view.enlarged)
    beside = large["x"] >= heads["x"] + heads["width"]
    below = large["y"] >= heads["y"] + heads["height"]
    assert beside or below, "the parts do not lie on one another"


def test_views_of_one_model_stay_in_step_and_a_closed_one_leaves_nothing(open_page):
    view = opened(open_page, made())
    view.page.evaluate(SECOND)
    other = AttentionView(view.page, layers=3, heads=2, positions=4, nth=1)
    view.chips.nth(2).click()
    view.choose("value-weighted attention")
    assert other.root.get_by_label("Show", exact=True).input_value() == "weighted"
    assert other.chips.nth(2).get_attribute("aria-selected") == "true"
    ids = view.page.locator("[id^=attention-grid-]").evaluate_all("(all) => all.map((e) => e.id)")
    assert len(set(ids)) == len(ids) == 8
    count = "[...widgetModel.listeners.values()].reduce((n, set) => n + set.size, 0)"
    both = view.page.evaluate(count)
    view.page.evaluate("closeSecond()")
    assert view.page.locator(".attention-grid").count() == 1
    assert view.page.evaluate(count) == both / 2 > 0


def test_in_jupyterlab_a_click_reaches_python_and_an_update_redraws(jupyterlab: Lab):
    shown = jupyterlab.run(
        [
            "from tests.unit.widgets.attentions import attention\n"
            "from workbench.widgets import AttentionGrid\n"
            f"grid = AttentionGrid({TOKENS!r}, *attention())",
            "grid",
        ]
    )
    view = AttentionView(shown, layers=3, heads=2, positions=4)
    source = "print(grid.layer, grid.head, grid.position, grid.weighted)"

    def told() -> str:
        return jupyterlab.run_cell(shown, source)

    # One at a time: a choice waits in the browser until the kernel has answered the one before.
    view.click_at(view.head(2, 1))
    assert told() == "2 1 None False"
    view.chips.nth(1).click()
    assert told() == "2 1 1 False"
    view.choose("value-weighted attention")
    assert told() == "2 1 1 True"
    jupyterlab.run_cell(shown, f"grid.update({TOKENS!r}, *attention(seed=5))")
    view.frame()
    weights = attention(seed=5)[1][2, 1]
    around = [weights[max(1, other), min(1, other)] for other in range(4)]
    assert view.numbers() == [short(w) for w in around]


@pytest.mark.slow
def test_a_prompt_of_48_tokens_and_144_heads_follows_the_pointer_at_30_frames_a_second(open_page):
    view = opened(open_page, long(48, 12, 12))
    times = view.page.evaluate(
        """() => new Promise((done) => {
            const { shadowRoot } = document.querySelector(".workbench-output");
            const chips = shadowRoot.querySelectorAll(".attention-grid__chip");
            const times = [performance.now()];
            const step = () => {
                const over = { bubbles: true, pointerType: "mouse" };
                chips[times.length % 48].dispatchEvent(new PointerEvent("pointerover", over));
                widgetModel.set("head", times.length % 12);
                times.push(performance.now());
                if (times.length <= 120) requestAnimationFrame(step);
                else done(times.slice(1).map((time, i) => time - times[i]));
            };
            requestAnimationFrame(step);
        })"""
    )
    print(f"\n48 tokens × 144 heads: {1000 * len(times) / sum(times):.0f} frames a second")
    assert 1000 * len(times) / sum(times) >= 30
