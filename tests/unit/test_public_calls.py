"""From the name of a public call a stranger finds its file, its test and its notebook."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.unit.public_names import families, public

ROOT = Path(__file__).resolve().parents[2]
#: The calls of the families; what comes before a method (load, task, Change …) is in them all.
CALLS = {name: call for name, call in public().items() if inspect.isfunction(call)}
OF_FAMILIES = {
    f"{family}.{name}": getattr(space, name)
    for family, space in families().items()
    for name in space.__all__
    if inspect.isfunction(getattr(space, name))
}


def stub_of(name: str) -> str:
    """The module that a stub names for a public name, as a path below the package."""
    family, _, last = name.rpartition(".")
    space = ROOT / "workbench" / family
    stub = next(each for each in (space / "__init__.pyi", space / "__init__.py") if each.is_file())
    for node in ast.parse(stub.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and any(a.asname == last for a in node.names):
            return "/".join([*([family] if family else []), *str(node.module).split(".")])
    raise LookupError(f"{stub} has no line for {last}")


def text_of(notebook: Path) -> str:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)


def spellings(call: Any) -> list[str]:
    """What a person may write for a call: `wb.circuits.find`, `wb.find_circuit`."""
    at_the_top = [f"wb.{name}" for name in wb.__all__ if getattr(wb, name) is call]
    return at_the_top + [f"wb.{name}" for name, one in OF_FAMILIES.items() if one is call]


@pytest.mark.parametrize("name", sorted(CALLS | OF_FAMILIES))
def test_a_stub_names_the_file_and_the_tests_stand_in_the_folder_of_the_same_name(
    name: str,
) -> None:
    call = (CALLS | OF_FAMILIES)[name]
    module = stub_of(name)
    assert call.__module__ == f"workbench.{module.replace('/', '.')}"
    folder, _, last = module.rpartition("/")
    own = sorted((ROOT / "tests" / "unit" / folder).glob("test_*.py"))
    named = [path for path in own if path.stem == f"test_{last}"] or own
    words = {each.rpartition(".")[2] for each in spellings(call)}
    written = re.compile("|".join(rf"\b{word}(\(| as )" for word in sorted(words)))
    sources = [path.read_text(encoding="utf-8") for path in named]
    assert any(map(written.search, sources)), (module, named)


def rows() -> dict[str, list[Path]]:
    """The README's table of families: the notebooks of each call."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    out, family = [], ""
    for line in re.findall(r"^\| (?:`wb\.(\w+)` )?\| `([\w ]+)` \|.*\| (.*) \|$", text, flags=re.M):
        family = line[0] or family
        links = re.findall(r"\((notebooks/\S+\.ipynb)\)", line[2])
        out += [(f"{family}.{name}", [ROOT / link for link in links]) for name in line[1].split()]
    assert len(out) == len(dict(out))
    return dict(out)


def test_the_readme_lists_the_calls_of_every_family() -> None:
    assert set(rows()) == set(OF_FAMILIES)


@pytest.mark.parametrize("name", sorted(OF_FAMILIES))
def test_a_call_is_shown_in_the_notebook_that_the_readme_names(name: str) -> None:
    named = spellings(OF_FAMILIES[name])
    sources = [text_of(notebook) for notebook in rows()[name]]
    if name.startswith("live."):  # each in the notebook of what it explores
        sources = [text_of(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert any(each in source for each in named for source in sources), named


def test_the_verbs_at_the_top_that_are_of_no_family_are_in_the_readme() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    core = [name for name in CALLS if "." not in name and len(spellings(CALLS[name])) == 1]
    assert [name for name in core if not re.search(rf"wb\.{name}\b", text)] == []
