import hashlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FRONT_END = ROOT / "widgets"
STATIC = ROOT / "workbench" / "widgets" / "static"
SOURCES = [path.name for path in FRONT_END.glob("src/*.*")]
#: Each as it can be read, and as small as it gets, for outputs and pages.
BUNDLES = sorted([*SOURCES, *(name.replace(".", ".min.") for name in SOURCES)])


def header(name: str) -> tuple[dict[str, str], str]:
    head, body = (STATIC / name).read_bytes().decode("utf8").split(" */\n", 1)
    return dict(re.findall(r"^ \* ([\w-]+): (.+)$", head, re.MULTILINE)), body


def test_every_source_at_the_top_has_its_bundle_and_no_other_is_shipped():
    assert sorted(path.name for path in STATIC.iterdir()) == BUNDLES
    assert "token_grid.js" in BUNDLES and "token_grid.css" in BUNDLES


@pytest.mark.parametrize("name", BUNDLES)
def test_the_bundle_was_built_from_the_sources_that_are_here(name):
    fields, _ = header(name)
    sources = fields["sources"].split()
    assert f"src/{name.replace('.min', '')}" in sources and "package-lock.json" in sources
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.encode() + b"\0" + (FRONT_END / source).read_bytes() + b"\0")
    assert digest.hexdigest() == fields["sources-sha256"], (
        f"{name} is older than its sources: run `npm run build` in widgets/"
    )


@pytest.mark.parametrize("name", BUNDLES)
def test_nobody_edited_the_bundle_by_hand(name):
    fields, body = header(name)
    assert hashlib.sha256(body.encode()).hexdigest() == fields["body-sha256"], (
        f"{name} was changed after it was built: change widgets/src and run `npm run build`"
    )


def test_the_bundle_asks_for_nothing_from_the_network():
    text = (STATIC / "token_grid.js").read_text("utf8")
    assert not re.search(r"\bfetch\(|XMLHttpRequest|WebSocket|importScripts|^import ", text, re.M)
    assert not re.search(r"\.innerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
    assert "url(" not in (STATIC / "token_grid.css").read_text("utf8")


@pytest.mark.parametrize("name", [name for name in BUNDLES if ".min." in name])
def test_a_small_bundle_is_small_and_closes_no_script(name):
    small, whole = header(name)[1], header(name.replace(".min", ""))[1]
    assert len(small) < (0.7 if name.endswith("js") else 0.95) * len(whole)
    assert "</script" not in small and "<!--" not in small
