"""The live SHIFT in JupyterLab: a tick takes a feature away, and the table is another."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from .lab import Lab, Server

CELLS = [
    "import workbench as wb\n"
    "model = wb.load('tinyworld', device='cpu')\n"
    "dicts = wb.dictionaries('tinyworld').only('resid_post')\n"
    "who = [['teacher', 'pilot'], ['dancer', 'guard']]\n"
    "def made(balanced):\n"
    "    rows = [(i % 2, (i // 2) % 2 if balanced else i % 2, i // 4 % 2) for i in range(40)]\n"
    "    said = 'When the {} came home, {} was hungry.'\n"
    "    texts = [said.format(who[s][k], ('she', 'he')[h]) for s, h, k in rows]\n"
    "    groups = [' '.join(['AB'[s], ('she', 'he')[h]]) for s, h, _ in rows]\n"
    "    return texts, [s for s, *_ in rows], groups\n"
    "texts, labels, groups = made(True)\n"
    "he = [int(group.endswith(' he')) for group in groups]\n"
    "biased = made(False)[:2]\n"
    "acts = wb.activations(model, biased[0], 'L1.resid_post', labels={'list': biased[1]})\n"
    "probe = wb.probe(acts, 'list', method='logistic', controls=())\n"
    "effects = wb.features.effects(model, texts, dicts, metric=probe, labels=he)",
    "explorer = wb.live.shift(model, texts, probe, dicts, effects, labels=labels, groups=groups)\n"
    "explorer",
]


@pytest.fixture(scope="module")
def page(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with Server(tmp_path_factory.mktemp("lab")) as server:
        yield Lab(browser, server).run(CELLS, width=1280, height=1100)


# Half a minute in a real JupyterLab: with the slow tests, so that the plain run stays short.
@pytest.mark.slow
def test_a_tick_adds_the_ways_to_the_table_and_unticking_takes_them_away(page: Page) -> None:
    boxes = page.locator(".widget-checkbox input[type=checkbox]")
    table = page.locator(".widget-html table").last
    expect(boxes).to_have_count(32)
    expect(table.locator("tbody tr")).to_have_count(5)
    boxes.nth(0).check()
    boxes.nth(1).check()
    expect(table).to_contain_text(
        re.compile(r"accuracy.*after.*A she.*after", re.DOTALL), timeout=60_000
    )
    page.get_by_role("button", name="reset").click()
    expect(table).not_to_contain_text("after", timeout=60_000)
    expect(page.locator(".widget-checkbox input:checked")).to_have_count(0)
