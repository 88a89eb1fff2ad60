"""What a GraphView in lanes shows and what pointer and keys do to it."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from workbench.widgets import GraphView

from ..unit.widgets.flows import flow
from .flow_view import opened
from .grid_view import box

pytestmark = pytest.mark.browser
EVIL = ["<img src=x onerror=alert(1)>", "</script><script>alert(1)</script>", "<b>bold</b>"]


def graph(**options: Any) -> GraphView:
    return GraphView(flow(), layout="lanes", **options)


def test_features_lanes_layers_and_edges_are_drawn_and_told(open_page):
    given = flow()
    view = opened(open_page, graph(title="a flow"))
    assert view.drawn() == set(given["ids"]) and view.edges() == set(range(11))
    assert view.count.inner_text() == "12 of 12 features, 11 of 11 edges"
    lanes = view.root.locator(".graph-view__lane").all_text_contents()
    assert lanes == ["MLP", "residual stream", "attention"]
    assert view.root.locator(".graph-view__layer").all_text_contents() == ["L0", "L1", "L2", "L3"]
    height = {name: box(view.node(name))["y"] for name in given["ids"]}
    across = {name: box(view.node(name))["x"] for name in given["ids"]}
    for name, layer, lane in zip(given["ids"], given["layers"], given["lanes"], strict=True):
        for other, below, side in zip(given["ids"], given["layers"], given["lanes"], strict=True):
            if below < layer or (below == layer and lane == "resid" != side):
                assert height[name] < height[other]
            if (side, lane) in [("mlp", "resid"), ("resid", "attn")]:
                assert across[other] < across[name]
    for number, weight in enumerate(given["edges"]["weight"]):
        width = view.root.locator(f'[data-edge="{number}"]').get_attribute("stroke-width")
        assert float(width or 0) == pytest.approx(1 + 6 * weight, abs=0.006)
    words = view.text(given["ids"][1])
    assert "Monday, Friday" in words and "0/652" in words
    assert "is-root" in (view.node(given["roots"][0]).get_attribute("class") or "")
    legend = view.root.locator(".graph-view__legend").inner_text()
    assert all(name in legend for name in ("carried", "processed", "newborn", "ends here"))
    ended = [name for name, end in zip(given["ids"], given["ended"], strict=True) if end]
    assert view.root.locator("[data-node] .graph-view__end").count() == len(ended) == 1

    # Pointing states the numbers, brings the strongest path out, and moves nothing.
    node = given["ids"].index("L2.resid_post/16")
    assert given["ids"][node] == given["roots"][0]
    before = [box(part) for part in (view.root, view.scroller, view.readout)]
    view.hover(given["ids"][node])
    said = view.readout.inner_text()
    for name, number in [("residual stream before", given["resid"]), ("MLP", given["mlp"])]:
        held = "high" if number[node] >= 0.5 else "low"
        assert f"in the {name} {number[node]:.2f} ({held}, from 0.50)" in said
        assert f"{number[node]:.2f}" in view.tooltip.inner_text()
    assert f"{given['classes'][node]}" in said and "strongest path" in said
    assert [box(part) for part in (view.root, view.scroller, view.readout)] == before
    source, target = given["edges"]["source"], given["edges"]["target"]
    expected, at = set(), node
    while (ways := [e for e in range(11) if target[e] == at]) != []:
        resid = [e for e in ways if given["lanes"][source[e]] == "resid"] or ways
        best = max(resid, key=lambda e: given["edges"]["weight"][e])
        expected.add(best)
        at = source[best]
    expected.add(next(e for e in range(11) if source[e] == node))
    assert view.edges(".is-path") == expected
    assert len(expected) == 4
    view.leave()
    assert not view.tooltip.is_visible() and view.edges(".is-path") == set()

    # An edge tells its similarity.
    line = view.root.locator('[data-edge="0"]')
    x, y = line.evaluate(
        """(line) => {
            const at = line.getPointAtLength(0.5 * line.getTotalLength());
            const inWindow = at.matrixTransform(line.getScreenCTM());
            return [inWindow.x, inWindow.y];
        }"""
    )
    view.page.mouse.move(x, y)
    view.frame()
    assert f"{given['edges']['weight'][0]:.2f}" in view.tooltip.inner_text()


def test_the_threshold_hides_weak_edges_and_what_hangs_on_nothing_and_nothing_jumps(open_page):
    given = flow()
    weight = given["edges"]["weight"]
    view = opened(open_page, graph())
    places = {name: box(view.node(name)) for name in given["ids"]}
    view.slider.focus()
    view.slider.press("End")
    view.frame()
    assert view.get("threshold") == 1 and view.drawn() == set(given["roots"])
    limit = float(np.round(np.median(weight), 2))
    view.set(threshold=limit)
    strong = [e for e in range(11) if weight[e] >= limit]
    joined = {given["roots"][0]}
    while True:
        ends = [{given["ids"][given["edges"][n][e]] for n in ("source", "target")} for e in strong]
        grown = joined.union(*(pair for pair in ends if pair & joined))
        if grown == joined:
            break
        joined = grown
    assert view.drawn() == joined and 1 < len(joined) < 12
    assert view.count.inner_text().startswith(f"{len(joined)} of 12 features")
    for name in joined:
        assert box(view.node(name))["x"] == places[name]["x"]
        assert box(view.node(name))["y"] == places[name]["y"]
    # What is selected is never lost.
    gone = sorted(set(given["ids"]) - joined)[0]
    view.set(selected=gone)
    assert view.drawn() == joined | {gone}


def test_a_click_selects_and_the_buttons_beside_it_ask_to_grow_the_graph(open_page):
    view = opened(open_page, graph())
    root, other = flow()["roots"][0], "L1.mlp_out/276"
    view.click(root)
    assert view.get("selected") == root and not view.tooltip.is_visible()
    assert view.root.get_by_role("button").count() == 0, "nobody would answer"
    view.press("u", "0")
    assert view.get("expand") == [] and view.get("scales") == {}
    view.set(mode="edit")
    assert "is-selected" in (view.node(root).get_attribute("class") or "")
    view.leave()
    assert view.readout.inner_text().startswith(root)
    view.use("Expand up")
    assert view.get("expand") == [root, "up", 1]
    view.use("Expand down")
    assert view.get("expand") == [root, "down", 2]
    view.click(other)
    assert view.get("selected") == other
    frame = box(view.scroller)
    view.page.mouse.click(frame["x"] + frame["width"] - 30, frame["y"] + 60)
    view.frame()
    assert view.get("selected") == "" and view.root.get_by_role("button").count() == 0


def test_edit_mode_shows_activations_and_scales_the_selected_feature(open_page):
    given = flow()
    before = np.linspace(0.5, 6, 12)
    after = before.copy()
    after[3] = np.nan
    view = opened(open_page, graph(mode="edit", before=before, after=after))
    first, second = given["ids"][0], given["ids"][1]
    node = view.node(second)
    assert f"{before[1]:.2f} → {after[1]:.2f}" in view.text(second)
    room = box(view.node(given["ids"][11]).locator(".graph-view__before"))["width"]
    bar = box(node.locator(".graph-view__before"))["width"]
    assert bar == pytest.approx(room * before[1] / before[11], abs=0.2)
    unknown = view.node(given["ids"][3])
    assert unknown.locator(".graph-view__after").count() == 0
    assert "→" not in view.text(given["ids"][3])
    view.click(second)
    assert view.button("Leave the feature").get_attribute("aria-pressed") == "true"
    view.use("Switch the feature off")
    assert view.get("scales") == {second: 0}
    assert "off" in view.text(second) and "is-off" in (node.get_attribute("class") or "")
    assert view.button("Switch the feature off").get_attribute("aria-pressed") == "true"
    view.leave()
    assert "; switched off; similarity" in view.readout.inner_text()
    view.click(first)
    view.use("Four times")
    assert view.get("scales") == {second: 0, first: 4}
    view.set(scales={second: 0, first: 0.5})
    assert "×0.5" in view.text(first)
    view.press("2")
    assert view.get("scales") == {second: 0, first: 2}
    view.press("1")
    view.use("Leave the feature")
    assert view.get("scales") == {second: 0}
    view.set(status="running…")
    assert view.root.get_by_role("status").inner_text() == "running…"


def test_the_keyboard_reaches_every_feature(open_page):
    view = opened(open_page, graph(mode="edit"))
    root = flow()["roots"][0]
    view.press("Enter")
    assert view.get("selected") == root, "it starts at what was asked for"
    reached = {root}
    for key in ["ArrowUp"] * 4 + ["ArrowDown", "ArrowLeft", "ArrowRight", "ArrowRight"] * 8:
        view.scroller.press(key)
        view.scroller.press("Enter")
        reached.add(view.get("selected"))
    assert reached == set(flow()["ids"])
    here = view.get("selected")
    view.frame()
    described = view.scroller.get_attribute("aria-activedescendant") or ""
    label = view.page.locator(f"#{described}").get_attribute("aria-label")
    assert label == view.readout.inner_text() and here in (label or "")
    view.press("d", "u")
    assert view.get("expand") == [here, "up", 2]
    view.press("0")
    assert view.get("scales") == {here: 0}
    view.press("Escape")
    assert view.get("selected") == ""


def test_the_keyboard_reaches_the_edges_of_a_feature_and_tells_their_similarity(open_page):
    given = flow()
    view = opened(open_page, graph())
    node = given["ids"].index(given["roots"][0])
    edges = given["edges"]
    own = [e for e in range(11) if node in (edges["source"][e], edges["target"][e])]
    own.sort(key=lambda e: -edges["weight"][e])
    view.press("Enter")
    for e in own:
        view.press("e")
        told = view.readout.inner_text().split(": similarity ")[1]
        assert float(told) == pytest.approx(edges["weight"][e], abs=0.0051)
        assert view.edges(".is-focus") == {e} and told in view.tooltip.inner_text()
    view.press("e")
    assert view.readout.inner_text().startswith(given["roots"][0]), "after the last the node again"


def test_markup_in_names_and_labels_is_text(open_page):
    given = flow()
    given["ids"][:3] = EVIL
    given["labels"][:3] = EVIL
    view = opened(open_page, GraphView(given, layout="lanes", title=EVIL[0]))
    for name in EVIL:
        view.hover(name)
        assert view.tooltip.inner_text().count(name) >= 2
        assert name in view.readout.inner_text()
        view.click(name)
        assert view.get("selected") == name
    assert view.root.locator("img, script").count() == 0
    assert "bold" not in view.root.locator("b").all_text_contents()
    assert view.root.locator(".graph-view__title").inner_text() == EVIL[0]


@pytest.mark.parametrize(
    ("width", "theme", "layers", "per_row", "mode"),
    [(900, "light", 4, 1, "edit"), (420, "dark", 4, 1, "look"), (1000, "dark", 12, 6, "look")],
)
def test_nothing_overlaps_and_no_label_leaves_its_box(
    open_page, width, theme, layers, per_row, mode
):
    given = flow(layers, per_row)
    n = len(given["ids"])
    activations = {"before": np.full(n, 12345.0), "after": np.full(n, 0.001)}
    shown = GraphView(given, layout="lanes", mode=mode, **activations)
    view = opened(open_page, shown, width=width, theme=theme)
    boxes, texts = view.root.locator("[data-node]").evaluate_all(
        """(nodes) => {
            const edges = ({ left, top, right, bottom }) => [left, top, right, bottom];
            const at = (node, kind) => [...node.querySelectorAll(kind)]
                .map((part) => edges(part.getBoundingClientRect()));
            return [nodes.map((node) => at(node, ".graph-view__box")[0]),
                nodes.map((node) => at(node, "text"))];
        }"""
    )
    assert len(boxes) == n
    for (left, top, right, bottom), words in zip(boxes, texts, strict=True):
        for x0, y0, x1, y1 in words:
            assert left <= x0 and x1 <= right and top <= y0 and y1 <= bottom
    for a, b in combinations(boxes, 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    # What does not fit scrolls in its frame, never the page.
    assert view.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sideways = view.scroller.evaluate("(part) => part.scrollWidth > part.clientWidth")
    assert sideways == (per_row > 1)
    if sideways:
        inside, root = box(view.scroller), box(view.node(given["roots"][0]))
        assert inside["x"] < root["x"] < inside["x"] + inside["width"] - root["width"]
        view.slider.focus()
        view.slider.press("End")
        view.frame()
        assert not view.scroller.evaluate("(part) => part.scrollWidth > part.clientWidth")
