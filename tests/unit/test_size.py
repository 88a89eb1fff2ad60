"""The size report: circles, files with one importer, axis words and duplicates are found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.size import axis_words, circles, duplicates, imports, one_importer


def package(folder: Path, **files: str) -> Path:
    root = folder / "workbench"
    for name, text in {"__init__": "from .a import f\n", **files}.items():
        path = root / f"{name.replace('__in__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_circles_through_functions_and_type_checks_are_found(tmp_path: Path) -> None:
    graph = imports(
        package(
            tmp_path,
            a="from .b import g\n",
            b="if TYPE_CHECKING:\n    from . import c\n",
            c="def f():\n    from workbench import a\n",
            d="import workbench.a\nimport os\n",
            backends__in__a="from .b import g\n",
            backends__in__b="from . import a\n",
        )
    )
    assert circles(graph) == [["workbench.a", "workbench.b", "workbench.c"]]
    assert set(graph.predecessors("workbench.a")) == {"workbench.c", "workbench.d"}


def test_a_file_with_one_importer_and_no_public_name_is_found(tmp_path: Path) -> None:
    graph = imports(package(tmp_path, a="from .b import g\nfrom .c import h", b="", c="", d=""))
    assert one_importer(graph, {"workbench.c"}) == ["workbench.b"]


def test_the_words_of_axes_are_read_from_the_fields(tmp_path: Path) -> None:
    code = 'x: int = axes("layer pos")\ny: int = axes("pos", optional=True)\nplot(axes=1)\n'
    assert axis_words(package(tmp_path, a=code)) == {"layer", "pos"}


# pylint is of the dev extra, which the slow tests have and a user's first run has not.
@pytest.mark.slow
def test_lines_that_stand_twice_are_found_where_they_are_more_than_twelve(tmp_path: Path) -> None:
    def twice(n: int) -> list[str]:
        body = "".join(f"    x{i} = y[{i}] + {i}\n" for i in range(n))
        a, b = f"def f(y):\n{body}    return 1\n", f"def g(y):\n{body}    return 2\n"
        return duplicates(package(tmp_path / str(n), a=a, b=b))

    assert twice(12) == []
    assert [pair.count("workbench.") for pair in twice(13)] == [2]
