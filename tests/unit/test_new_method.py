"""What the README says of making a method: four places, and the package does the rest."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SECTION = "## How a method is made here"


def blocks(repository: Path) -> dict[str, str]:
    """The files of the README's worked example, by path."""
    text = (repository / "README.md").read_text(encoding="utf-8")
    section = text[text.index(SECTION) :].split("\n## ", 1)[0]
    found = re.findall(r"```py\n# (\S+)\n(.*?)```", section, flags=re.S)
    assert len(section.splitlines()) <= 60
    return dict(found)


@pytest.fixture
def with_the_method(repository: Path, tmp_path: Path) -> Path:
    """A copy of the package to which the example's file and line of a stub are added."""
    leave_out = shutil.ignore_patterns("_data", "__pycache__")
    shutil.copytree(repository / "workbench", tmp_path / "workbench", ignore=leave_out)
    (tmp_path / "data").symlink_to(repository / "data")
    shutil.copy(repository / "pyproject.toml", tmp_path)
    for path, source in blocks(repository).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        with (tmp_path / path).open("a", encoding="utf-8") as file:
            file.write(source)
    return tmp_path


def test_a_new_method_touches_its_file_a_line_of_the_stub_its_test_and_its_notebook(
    repository: Path, with_the_method: Path
) -> None:
    file, stub, test = blocks(repository)
    family, name = Path(file).parts[1:]
    call = f"wb.{family}.{name.removesuffix('.py')}"
    assert stub == f"workbench/{family}/__init__.pyi" and test == f"tests/unit/{family}/test_{name}"
    # Everything a result can do, which no further line says.
    source = f"""
exec(open({test!r}).read())
assert {call}.__name__ in dir(wb.{family}) and {call}.__doc__
assert "\\n" not in repr(effects) and len(effects.to_frame()) > 0
assert effects.plot() is not None
assert type(effects).load(effects.save("saved")).to_frame().equals(effects.to_frame())
assert effects.to_html("page.html").read_text().startswith("<!doctype html>")
assert wb.__file__.startswith({str(with_the_method)!r})
"""
    done = subprocess.run(
        [sys.executable, "-c", source],
        cwd=with_the_method,
        env={"PATH": "", "PYTHONPATH": str(with_the_method), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
