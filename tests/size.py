"""How large the package is, and how it hangs together; fails where circles or duplicates grow.

Run `python -m tests.size`.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import networkx

PACKAGE = Path(__file__).resolve().parents[1] / "workbench"
#: What there may be of each.
ALLOWED = {"files in circles": 0, "duplicates": 0}


def imports(package: Path) -> networkx.DiGraph:
    """Who imports whom inside a package, those inside functions and for type checkers too.

    An arrow for each pair of files, from the one that imports; the package's own `__init__.py`,
    which names every file, is left out.
    """
    files = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        files[".".join(parts).removesuffix(".__init__")] = path
    graph = networkx.DiGraph()
    for name, path in files.items():
        folder = name.split(".") if path.name == "__init__.py" else name.split(".")[:-1]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                named = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = folder[: len(folder) - node.level + 1] if node.level else []
                start = ".".join([*base, *([node.module] if node.module else [])])
                whole = [f"{start}.{alias.name}" for alias in node.names]
                named = [each if each in files else start for each in whole]
            else:
                continue
            graph.add_edges_from((name, each) for each in named if each in files and each != name)
    graph.add_nodes_from(files)
    graph.remove_node(package.name)
    return graph


def circles(graph: networkx.DiGraph) -> list[list[str]]:
    """The groups of files outside backends each of which imports all others, by way of others."""
    groups = [sorted(group) for group in networkx.strongly_connected_components(graph)]
    return sorted(g for g in groups if len(g) > 1 and not g[0].startswith("workbench.backends."))


def one_importer(graph: networkx.DiGraph, public: set[str]) -> list[str]:
    """The files that hold no public name and that a single other file imports."""
    return sorted(name for name, n in graph.in_degree() if n == 1 and name not in public)


def axis_words(package: Path) -> set[str]:
    """The words that name the axes of results' arrays."""
    words: set[str] = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "axes" and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant) and isinstance(first.value, str):
                    words.update(first.value.split())
    return words


def duplicates(package: Path) -> list[str]:
    """Where more than 12 lines stand twice; imports, signatures, docstrings, comments left out."""
    options = ["--ignore-imports=y", "--ignore-signatures=y", "--ignore-docstrings=y"]
    command = ["--disable=all", "--enable=duplicate-code", "--min-similarity-lines=12", *options]
    done = subprocess.run(
        [sys.executable, "-m", "pylint", *command, "--output-format=json2", str(package)],
        capture_output=True,
        text=True,
        check=False,
        cwd=package.parent,
    )
    try:
        found = json.loads(done.stdout)["messages"]
    except ValueError:
        raise SystemExit(f"pylint gave no report: {done.stderr.strip()[-500:]}") from None
    lines = [message["message"].splitlines()[1:3] for message in found]
    return sorted(", ".join(line.removeprefix("==") for line in pair) for pair in lines)


def main() -> None:
    graph = imports(PACKAGE)
    paths = sorted(PACKAGE.rglob("*.py"))
    # The package's own names, and what each family adds to the places where public names stand.
    public, homes = [], set()
    for stub in PACKAGE.rglob("__init__.pyi"):
        found = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom)]
        inside = ".".join(stub.parent.relative_to(PACKAGE.parent).parts)
        homes |= {f"{inside}.{node.module}" for node in found if node.module}
        public += found if stub.parent == PACKAGE else []
    helpers = one_importer(graph, homes)
    rings, pairs = circles(graph), duplicates(PACKAGE)
    # Files, since two circles that grow together would count as one.
    found = {"files in circles": sum(map(len, rings)), "duplicates": len(pairs)}
    print(f"files                {len(paths):7,}")
    print(f"Python lines         {sum(len(path.read_text().splitlines()) for path in paths):7,}")
    print(f"flat names           {sum(len(node.names) for node in public):7,}")
    print(f"axis words           {len(axis_words(PACKAGE)):7,}")
    print(f"one-importer files   {len(helpers):7,}")
    for name, n in found.items():
        print(f"{name:20} {n:7,}   (allowed: {ALLOWED[name]})")
    for circle in rings:
        print(f"  circle: {', '.join(name.removeprefix('workbench.') for name in circle)}")
    for pair in pairs:
        print(f"  twice: {pair}")
    grown = [name for name, n in found.items() if n > ALLOWED[name]]
    if grown:
        raise SystemExit(f"More than allowed: {', '.join(grown)}.")


if __name__ == "__main__":
    main()
