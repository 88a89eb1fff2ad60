"""Tests reach what they test as a user does, or by a kernel that kernels.py publishes."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
PACKAGE = TESTS.parent / "workbench"

#: The folders whose files tests may name: the seam, dictionaries, the parts of the front end.
OPEN = {"backends", "dictionary", "widgets"}
#: Folders that have no public names of their own.
CLOSED = {"methods", "pictures", "views"}
#: The one file of the tests that names where a kernel lives.
KERNELS = "unit/kernels.py"


def is_internal(target: str) -> bool:
    """Whether a dotted name is one that only the package itself and the kernels' file may use."""
    parts = target.split(".")
    if parts[0] != "workbench" or len(parts) < 2 or parts[1] in OPEN:
        return False
    if parts[1] in CLOSED:
        return True
    return len(parts) > 2 and (PACKAGE / parts[1]).is_dir()


def internals(source: str) -> list[str]:
    """What a file of tests names of the package's inside, in imports and in strings, in order."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "workbench":
            found += [f"workbench.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.append(node.module)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found += re.findall(r"\bworkbench(?:\.\w+)+", node.value)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("wb", "workbench"):
            found.append(f"workbench.{node.attr}")
    return [target for target in found if is_internal(target)]


READ_TESTS = [
    path.relative_to(TESTS).as_posix()
    for folder in ("unit", "browser")
    for path in sorted((TESTS / folder).rglob("*.py"))
    # These hold wrong imports as examples.
    if path.name not in ("test_imports.py", "test_kernels.py")
]


@pytest.mark.parametrize("name", [name for name in READ_TESTS if name != KERNELS])
def test_a_test_reaches_what_it_tests_through_public_names(name: str) -> None:
    assert not internals((TESTS / name).read_text())


@pytest.mark.parametrize(
    "source",
    [
        "from workbench.lens.logit import logit",
        "def f():\n    from workbench import views",
        "import workbench.pictures.lenses",
        "from workbench.live.circuit import LiveCircuit",
        "monkeypatch.setattr('workbench.views.grid_data', None)",
        "wb.methods.attribution.attribute(model)",
    ],
)
def test_the_reading_of_the_tests_catches_an_internal_name(source: str) -> None:
    assert internals(source)


def test_public_names_and_files_outside_the_families_pass() -> None:
    source = (
        "import workbench as wb\nfrom workbench import live\nfrom workbench.live import circuit\n"
    )
    source += "from workbench.backends.places import x\nfrom workbench.result import Result\n"
    assert not internals(source + "wb.live.circuit('workbench.result')")


def test_the_kernels_are_few_and_each_says_why() -> None:
    lines = (TESTS / KERNELS).read_text().splitlines()
    begins = re.compile(r"from work|import|\w+ = ")
    places = [place for place, line in enumerate(lines) if begins.match(line)]
    assert len(places) <= 80
    for place in places:
        # A module that its package hides behind the function of its name is had by its own.
        line = r"from workbench\S* import (\w+) as \1|\w+ = import_module\(\"workbench\S+\"\)"
        assert re.fullmatch(line, lines[place]), lines[place]
        # A comment may stand over several that belong together.
        assert re.match("# [A-Z]|from ", lines[place - 1]), f"{lines[place]} does not say why"
