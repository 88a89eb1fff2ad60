import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from workbench.widgets import TokenGrid, page
from workbench.widgets.arrays import decode

from .grids import VOCABULARY, panel

EVIL = ["</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>"]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags = ["document"]
        self.texts: dict[str, str] = {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(dict(attrs).get("id") or tag)

    def handle_data(self, data):
        self.texts[self.tags[-1]] = self.texts.get(self.tags[-1], "") + data


def read(text: str) -> Elements:
    elements = Elements()
    elements.feed(text)
    return elements


def content(text: str) -> dict:
    return json.loads(read(text).texts["content"])


def test_the_page_carries_the_state_the_bundle_and_nothing_of_the_kernel():
    grid = TokenGrid(["a", " b", " c"], [panel()], VOCABULARY, title="Lens", quantity="entropy")
    parts = content(page(grid, "A page"))
    assert parts["esm"] == str(grid._esm)
    assert set(parts["state"]) == {
        "_tokens", "_next_token", "_vocabulary", "_panels", "title", "status",
        "panel", "quantity", "color_scheme", "selected", "pinned",
    }  # fmt: skip
    assert parts["state"]["quantity"] == "entropy"
    top = parts["state"]["_panels"][0]["top"]
    top["data"] = base64.b64decode(top["data"]["__bytes__"])
    np.testing.assert_array_equal(decode(top), panel()["top"])


def test_markup_in_strings_adds_no_element_to_the_page():
    plain = TokenGrid(["a", " b", " c"], [panel()], VOCABULARY)
    vocabulary = [*EVIL, *VOCABULARY[3:]]
    evil = TokenGrid(EVIL, [panel()], vocabulary, title=EVIL[0], next_token=EVIL)
    text = page(evil, EVIL[0])
    assert read(text).tags == read(page(plain, "x")).tags
    assert content(text)["state"]["_tokens"] == EVIL
    assert read(text).texts["title"].strip() == EVIL[0]


def test_the_page_names_no_address_and_forbids_every_request():
    text = page(TokenGrid(["a", " b", " c"], [panel()], VOCABULARY), "x")
    outside = re.sub(r'<script type="application/json".*?</script>', "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|src=|href=|@import|url\(", outside)
    assert "default-src &#x27;none&#x27;" in text


def test_what_is_no_widget_is_refused():
    with pytest.raises(TypeError, match=r"page\(\) takes an anywidget.AnyWidget; given dict"):
        page({}, "x")  # pyright: ignore[reportArgumentType]
