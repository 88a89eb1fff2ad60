"""Rules of the repository that no single module's test can hold."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {"pyproject.toml", "README.md", "workbench", "notebooks", "widgets", "data", "tests"}
HOST = re.compile(r"(?:https?|wss?)://([^\s/'\"`)>\]]+)", re.IGNORECASE)
#: Names in addresses that no code connects to: XML namespaces and examples on this machine.
NAMES_ONLY = {"www.w3.org", "127.0.0.1", "localhost", "json-schema.org"}
TEXT = {".py", ".js", ".mjs", ".css", ".html", ".sh"}


def tracked() -> list[Path]:
    """The files of the repository: what git holds or would hold."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    names = listed.stdout.split("\0")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


FILES = tracked()
PACKAGE = [p for p in FILES if p.suffix == ".py" and p.is_relative_to(ROOT / "workbench")]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_visible_top_level_is_the_agreed_one() -> None:
    visible = {relative(path).split("/")[0] for path in FILES}
    assert {name for name in visible if not name.startswith(".")} == TOP_LEVEL


def test_the_library_prints_nothing() -> None:
    calls = [
        f"{relative(path)}:{node.lineno}"
        for path in PACKAGE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "print"
    ]
    assert calls == []


def test_no_error_is_swallowed_and_nothing_is_left_unfinished() -> None:
    unfinished = re.compile(r"\b(TODO|FIXME|XXX|NotImplementedError)\b|# type: ignore(?!\[)")
    wrong = [
        f"{relative(path)}:{number}: {line.strip()}"
        for path in PACKAGE
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if unfinished.search(line)
    ]
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler) and node.type is None:
                wrong.append(f"{relative(path)}:{node.lineno}: bare except")
    assert wrong == []


def hosts(path: Path) -> set[str]:
    """The hosts that a file's code names; what a Python file says in docstrings does not count."""
    text = path.read_text()
    if path.suffix == ".py":
        nodes = list(ast.walk(ast.parse(text)))
        prose = {
            ast.get_docstring(node, clean=False)
            for node in nodes
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        }
        values = [node.value for node in nodes if isinstance(node, ast.Constant)]
        text = "\n".join(v for v in values if isinstance(v, str) and v not in prose)
    elif path.suffix in {".js", ".mjs", ".css"}:
        text = re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", text, flags=re.DOTALL)
    return {host.split(":")[0].casefold() for host in HOST.findall(text)}


def test_no_code_names_a_host_of_the_network() -> None:
    ours = ("workbench/", "widgets/", "data/")
    named = {
        relative(path): found
        for path in FILES
        if path.suffix in TEXT
        and relative(path).startswith(ours)
        and (found := hosts(path) - NAMES_ONLY)
    }
    assert named == {}


def test_the_search_for_hosts_finds_one(tmp_path: Path) -> None:
    script = tmp_path / "a.py"
    script.write_text(
        '"""See https://example.org/paper."""\nURL = "https://cdn.example.org/x.js"\n'
    )
    assert hosts(script) == {"cdn.example.org"}
    page = tmp_path / "a.js"
    page.write_text('// https://example.org\nimport "https://cdn.example.org:443/x.js";\n')
    assert hosts(page) == {"cdn.example.org"}


def test_every_data_file_has_its_line_in_the_readme_of_the_data_folder() -> None:
    readme = (ROOT / "data" / "README.md").read_text()
    # The first cell of a row, `models/tinyworld/` or `tasks/*.json`; a folder has all below it.
    cells = re.findall(r"^\| `([^`]+)` \|", readme, flags=re.MULTILINE)
    named = [f"{cell}*" if cell.endswith("/") else cell for cell in cells]
    files = [
        relative(path).removeprefix("data/") for path in FILES if path.is_relative_to(ROOT / "data")
    ]
    shipped = [name for name in files if name != "README.md"]
    assert [name for name in shipped if not any(fnmatch(name, each) for each in named)] == []
    assert [each for each in named if not any(fnmatch(name, each) for name in shipped)] == []


def test_every_notebook_is_stored_as_it_ran() -> None:
    notebooks = [path for path in FILES if path.suffix == ".ipynb"]
    assert notebooks, "no notebook found"
    wrong = []
    for path in notebooks:
        for number, cell in enumerate(json.loads(path.read_text())["cells"]):
            if cell["cell_type"] == "code":
                wrong += [f"{relative(path)}, cell {number}: {w}" for w in not_as_run(cell)]
    assert wrong == []


def not_as_run(cell: dict) -> list[str]:
    """What keeps nbval from comparing a notebook's cell with what it printed when it ran."""
    source, tags = "".join(cell["source"]), set(cell["metadata"].get("tags", []))
    wrong = []
    if cell["execution_count"] is None and not ("nbval-skip" in tags and tags & {"gpu", "network"}):
        wrong.append("stored without having run")
    if any(output["output_type"] == "error" for output in cell["outputs"]):
        wrong.append("stored with an error")
    if re.search("NBVAL_|PYTEST_VALIDATE", source) or tags & {
        "nbval-ignore-output",
        "raises-exception",
    }:
        wrong.append("its output is not compared")
    return wrong


def test_a_cell_that_did_not_run_or_failed_or_is_not_compared_is_found() -> None:
    cell = {"source": ["1 + 1"], "metadata": {}, "execution_count": 1, "outputs": []}
    assert not_as_run(cell) == []
    assert not_as_run({**cell, "execution_count": None}) == ["stored without having run"]
    assert not_as_run({**cell, "outputs": [{"output_type": "error"}]}) == ["stored with an error"]
    assert not_as_run({**cell, "source": ["# NBVAL_IGNORE_OUTPUT"]}) == [
        "its output is not compared"
    ]


#: What workbench reaches into; a new minor release of these has broken it without a word.
TRACED = ("transformers", "transformer-lens", "nnsight")


def ranges() -> dict[str, tuple[str, str]]:
    """Dependency → the first release that it may be, and the one before which it ends."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    both = re.compile(r"([\w.-]+)>=([\d.]+),<([\d.]+)")
    found = [both.fullmatch(line) for line in project["dependencies"]]
    assert all(found), "a dependency has a first and a last release: name>=1.2,<1.3"
    return {match[1]: (match[2], match[3]) for match in found if match}


def minor(release: str) -> tuple[int, int]:
    major, second = release.split(".")[:2]
    return int(major), int(second)


def test_what_is_traced_may_be_no_newer_than_the_minor_release_that_ran() -> None:
    for name in TRACED:
        lower, upper = ranges()[name]
        (major, last), here = minor(upper), minor(version(name))
        # The environment of the lower ends, which .ci/run makes, holds an older one.
        assert here in (minor(lower), (major, last - 1)), (
            f"{name} {version(name)} runs here and {name}>={lower},<{upper} is allowed: run the "
            "tests with both ends, and let the range end before the next minor release"
        )


def test_the_oldest_environment_is_made_of_the_lower_ends_of_every_range() -> None:
    define = 'eval "$(sed -n "/^lower_ends()/,/^}/p" .ci/run)"'
    done = subprocess.run(
        ["bash", "-euc", f"python=$0; {define}; lower_ends", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    pinned = dict(line.split("==") for line in done.stdout.split())
    assert pinned == {name: low for name, (low, _) in ranges().items() if name != "torch"}
