import base64
import html
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from workbench.widgets import TokenGrid, output, page
from workbench.widgets.arrays import decode
from workbench.widgets.guarded import STATIC

from .grids import VOCABULARY, panel

EVIL = ["</script><script>alert(1)</script>", "<!--<script>", "<img src=x onerror=alert(1)>"]


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags = ["document"]
        self.texts: dict[str, str] = {}

    def handle_starttag(self, tag, attrs):
        self.tags.append(dict(attrs).get("type") or tag)

    def handle_data(self, data):
        self.texts[self.tags[-1]] = self.texts.get(self.tags[-1], "") + data


def read(text: str) -> Elements:
    elements = Elements()
    elements.feed(text)
    return elements


def content(text: str) -> dict:
    return json.loads(read(text).texts["application/json"])


def test_the_page_carries_the_state_the_bundle_and_nothing_of_the_kernel():
    grid = TokenGrid(["a", " b", " c"], [panel()], VOCABULARY, title="Lens", quantity="entropy")
    parts = content(page(grid, "A page"))
    assert parts["css"] in (STATIC / "token_grid.min.css").read_text("utf-8")
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
    outside = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"https?://|src=|href=|@import|url\(", outside)
    policy = html.unescape(re.findall('Content-Security-Policy" content="(.*?)"', text)[0])
    assert policy.startswith("default-src 'none';") and "http" not in policy


def test_an_output_holds_its_picture_where_no_script_may_run():
    grid = TokenGrid(["a", " b", " c"], [panel()], VOCABULARY)
    text = output(grid, 'A "grid" <b>', picture=b"\x89PNG 1")
    image = read(text)
    assert image.tags.count("img") == 1
    assert (
        f'src="data:image/png;base64,{base64.b64encode(bytes([0x89]) + b"PNG 1").decode()}"' in text
    )
    assert 'alt="A &quot;grid&quot; &lt;b&gt;"' in text
    # Two outputs of the same are the same; of another, another.
    assert output(grid, "x") == output(grid, "x")
    grid.color_scheme = "magma"
    key = re.compile('data-output="(wb-[0-9a-f]{16})"')
    assert key.findall(output(grid, "x")) != key.findall(text)


def test_what_is_no_widget_is_refused():
    for make in (page, output):
        with pytest.raises(TypeError, match=r"of this package's widgets, as TokenGrid; given dict"):
            make({}, "x")  # pyright: ignore[reportArgumentType]
