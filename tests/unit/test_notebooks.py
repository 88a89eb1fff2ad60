"""The stored notebooks: their outputs, which live without a kernel, and their exercises.

nbval runs the cells and compares what they print. To run them again and store what they show:

    jupyter nbconvert --to notebook --execute --inplace \
        --ExecutePreprocessor.record_timing=False \
        --ExecutePreprocessor.store_widget_state=False notebooks/*.ipynb
"""

from __future__ import annotations

import ast
import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
VIEW = "application/vnd.jupyter.widget-view+json"
LIVE = '<div class="workbench-output"'
LARGEST = {"output": 300_000, "notebook": 3_000_000}
#: What nbval blanks: no text for a reader.
UNREAD = re.compile(r"<script.*?</script>|data:image/png;base64,[\w+/=]+", re.DOTALL)

PATH = re.compile(r"(?:^|[\s'\"(=])~?(?:/[\w.-]+){2,}|\b[A-Za-z]:\\")
DEVICE = re.compile(r"\b(?:cuda|cpu|mps)\b", re.IGNORECASE)
TIME = re.compile(
    r"\b\d+(?:\.\d+)?\s?(?:[µnm]?s|sec|seconds?|min|minutes?)\b|\b\d{1,2}:\d\d\b|\b\d{4}-\d\d-\d\d\b"
)
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+(?![\w.])")

every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
#: Those that teach a method: all but the tour at the start.
METHODS = NOTEBOOKS[1:]
every_method = pytest.mark.parametrize("path", METHODS, ids=lambda path: path.stem)
#: For each exercise an answer of the right form that is wrong.
WRONG = {
    ("01_logit_lens", "exercise-1"): "stage = 'embed'",
    ("01_logit_lens", "exercise-2"): "head = (1, 1)",
    ("02_activation_patching", "exercise-1"): "number_head, day_head = 'L0H2', 'L0H3'",
    ("02_activation_patching", "exercise-2"): "receiver = 'logits'",
    ("03_attribution_and_circuits", "exercise-1"): "n_edges = 10",
    ("03_attribution_and_circuits", "exercise-2"): "shared_edges = {'embed → L0H0.q'}",
    ("04_ablating_a_circuit", "exercise-1"): "head = 'L0H2'",
    ("04_ablating_a_circuit", "exercise-2"): "together = 'less'",
    ("05_dictionaries", "exercise-1"): "month_feature = 'L1.resid_post/0'",
    ("05_dictionaries", "exercise-2"): "carrier = 0",
    ("06_feature_flow", "exercise-1"): "begins_at = 'L3.resid_post/0'",
    ("06_feature_flow", "exercise-2"): "percentage = 99.5",
    ("07_feature_circuits", "exercise-1"): "comes_from = 'L2.resid_post/0'",
    ("07_feature_circuits", "exercise-2"): "other_way = list(ticked[:8])",
    ("08_weights_as_words", "exercise-1"): "switch = 'L0.mlp_post/307'",
    ("08_weights_as_words", "exercise-2"): "one_back, copies = 'L0H3', 'L2H3'",
    ("09_information_flow", "exercise-1"): "carrier = 'L2.resid_post@3 → L3H3.z@6 v'",
    ("09_information_flow", "exercise-2"): "fall = -10.1",
    ("10_concepts_in_parameters", "exercise-1"): "number_path = ('L0H2', 'L0.mlp_out')",
    ("10_concepts_in_parameters", "exercise-2"): "changed_layer = 3",
}


def cells(path: Path, kind: str = "code") -> list[Any]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def tagged(path: Path, *tags: str, kind: str = "code") -> list[Any]:
    """The cells of a kind that have all these tags."""
    return [c for c in cells(path, kind) if {*tags} <= {*c.metadata.get("tags", [])}]


def texts(cell: Any) -> Iterator[str]:
    """What a cell shows as text."""
    for output in cell.outputs:
        if output.output_type == "stream":
            yield output.text
        for kind, text in output.get("data", {}).items():
            if kind.startswith("text/"):
                yield UNREAD.sub("", text)


def plain(source: str) -> str:
    """The Python of a cell, without IPython's own commands."""
    return "".join(line for line in source.splitlines(True) if not line.startswith("%"))


def shows(source: str) -> bool:
    """Whether a cell shows something by nature: ends with a value, or prints outside functions."""
    body = ast.parse(plain(source)).body
    inside = [
        node
        for statement in body
        if not isinstance(statement, ast.FunctionDef | ast.ClassDef)
        for node in ast.walk(statement)
    ]
    prints = any(isinstance(n, ast.Call) and ast.unparse(n.func) == "print" for n in inside)
    return prints or isinstance(body[-1], ast.Expr)


def unstable(text: str) -> list[str]:
    """What of a text would differ on another machine or day: paths, devices, times, digits."""
    found = [m.group().strip() for rule in (PATH, DEVICE, TIME) for m in rule.finditer(text)]
    long = [n for n in DECIMAL.findall(text) if len(n.replace(".", "").lstrip("0")) > 3]
    return found + long


def test_the_notebooks_are_numbered_from_the_start_and_the_readme_lists_them_in_order() -> None:
    names = [path.name for path in NOTEBOOKS]
    assert [name[:2] for name in names] == [f"{i:02d}" for i in range(len(names))]
    assert names[:5] == [
        "00_start_here.ipynb",
        "01_logit_lens.ipynb",
        "02_activation_patching.ipynb",
        "03_attribution_and_circuits.ipynb",
        "04_ablating_a_circuit.ipynb",
    ]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d+\. \[\w+\]\(notebooks/([\w.-]+\.ipynb)\)", readme, flags=re.M)
    assert listed == names


@every_notebook
def test_the_first_cell_picks_model_backend_and_device(path: Path) -> None:
    chosen: dict[str, Any] = {}
    exec(cells(path)[0].source, chosen)
    picked = {name: chosen[name] for name in ("MODEL", "BACKEND", "DEVICE")}
    assert picked == {"MODEL": "tinyworld", "BACKEND": "nnsight", "DEVICE": "auto"}
    assert "gpt2" in cells(path)[0].source
    assert "transformer_lens" in cells(path)[0].source


@every_notebook
def test_every_cell_shows_what_it_should_and_no_error_or_warning(path: Path) -> None:
    wrong = []
    for number, cell in enumerate(cells(path)):
        skipped = "nbval-skip" in cell.metadata.get("tags", [])
        if shows(cell.source) and not cell.outputs and not skipped:
            wrong.append(f"code cell {number} shows nothing")
        for output in cell.outputs:
            if output.output_type == "error" or output.get("name") == "stderr":
                wrong.append(f"code cell {number}: {output.output_type} {output.get('text')}")
    assert wrong == []


def test_a_cell_that_should_show_something_is_told_from_one_that_should_not() -> None:
    assert shows("x = 1\nx")
    assert shows("for i in range(2):\n    print(i)")
    assert not shows("x = 1")
    assert not shows("def f():\n    print(1)")


@every_notebook
def test_outputs_hold_no_path_device_time_or_long_number(path: Path) -> None:
    found = [word for cell in cells(path) for text in texts(cell) for word in unstable(text)]
    assert found == []


def test_paths_devices_times_and_long_numbers_are_found() -> None:
    assert unstable("saved to /home/me/lens.html") == ["/home/me/lens.html"]
    assert unstable("on cuda:0") == ["cuda"]
    assert unstable("took 2.31 s at 12:45 on 2026-01-02") == ["2.31 s", "12:45", "2026-01-02"]
    assert unstable("a logit of 12.34") == ["12.34"]
    assert unstable("0.001 of 9.27, lens.html, L3.mlp_out, 1986 tokens") == []


@every_notebook
def test_the_file_holds_no_trace_of_the_machine_it_ran_on(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text
    assert str(Path.home()) + "/" not in text
    assert not any("execution" in cell.metadata for cell in cells(path)), "times are stored"


@every_notebook
def test_what_is_shown_lives_without_a_kernel_and_has_a_picture_where_nothing_may_run(
    path: Path,
) -> None:
    assert path.stat().st_size <= LARGEST["notebook"]
    document = nbformat.read(path, as_version=4)
    assert "widgets" not in document.metadata, "the state of widgets is what explorers do without"
    n_live = 0
    for cell in cells(path):
        shown = [output.get("data", {}) for output in cell.outputs]
        live = [data for data in shown if LIVE in data.get("text/html", "")]
        for data in live:
            assert sum(len(str(each)) for each in data.values()) <= LARGEST["output"], cell.source
        pages = [data["text/html"] for data in live]
        stills = [data for data in shown if "<img data-still=" in data.get("text/html", "")]
        assert all("<img alt=" in page and "data:image/png" in page for page in pages)
        assert len(stills) == sum(VIEW in data for data in shown), cell.source
        n_live += len(pages) + len(stills)
    assert n_live, "nothing is shown that can be clicked"


@every_method
def test_cells_that_need_a_gpu_say_so_where_there_is_none(path: Path) -> None:
    gpu = tagged(path, "gpu")
    assert len(gpu) >= 3
    assert all("nbval-skip" in cell.metadata.tags for cell in gpu)
    shown = "".join(text for cell in gpu for text in texts(cell))
    assert shown == "Not run: this section needs a GPU and the weights of gpt2.\n"


def solution(path: Path, exercise: str) -> str:
    """The code in the collapsed solution of an exercise."""
    (cell,) = tagged(path, "solution", exercise, kind="markdown")
    assert cell.source.startswith("<details>") and cell.source.endswith("</details>")
    (code,) = re.findall(r"```python\n(.*?)```", cell.source, flags=re.DOTALL)
    return code


def printed(source: str, names: dict[str, Any]) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as out:
        exec(plain(source), names)
    return out.getvalue()


@cache
def ready(path: Path) -> dict[str, Any]:
    """The names that the cells tagged "setup" of a notebook define."""
    names: dict[str, Any] = {}
    for cell in tagged(path, "setup"):
        printed(cell.source, names)
    return names


@pytest.mark.parametrize("name, exercise", WRONG)
def test_an_exercise_says_not_yet_until_its_solution_is_given(name: str, exercise: str) -> None:
    path = ROOT / "notebooks" / f"{name}.ipynb"
    (start,), (check,) = tagged(path, "exercise", exercise), tagged(path, "check", exercise)
    names, number = dict(ready(path)), exercise[-1]
    for attempt in (start.source, WRONG[name, exercise]):
        exec(attempt, names)
        assert printed(check.source, names) == f"Exercise {number}: not yet.\n"
    exec(solution(path, exercise), names)
    assert printed(check.source, names) == f"Exercise {number}: right.\n"


def test_every_notebook_of_a_method_has_two_exercises_that_are_tested() -> None:
    found = {
        (path.stem, tag)
        for path in NOTEBOOKS
        for cell in tagged(path, "exercise")
        for tag in cell.metadata.tags
        if tag != "exercise"
    }
    assert found == WRONG.keys()
    assert found == {(path.stem, f"exercise-{n}") for path in METHODS for n in (1, 2)}


WARNS = "import warnings\nwarnings.warn('renamed', FutureWarning)"
PRINTS = "import sys\nprint('half done', file=sys.stderr)"
LOGS = "import logging\nlogging.getLogger('a').warning('careful')"


def cell(source: str, *written: tuple[str, str], run: bool = True, tags: tuple[str, ...] = ()):
    """A code cell stored with what it wrote: ("stderr", "half done") and the like."""
    new = nbformat.v4
    outputs = [new.new_output("stream", name=n, text=text + "\n") for n, text in written]
    made = new.new_code_cell(source, execution_count=1 if run else None, outputs=outputs)
    made.metadata["tags"] = list(tags)
    return made


def nbval_says(folder: Path, *code: Any) -> str:
    """What pytest with nbval and this suite's conftest says of a notebook of these cells."""
    nbformat.write(nbformat.v4.new_notebook(cells=list(code)), folder / "made.ipynb")
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "nbval.plugin", "-p", "no:cacheprovider"]
        + ["--nbval", "--nbval-current-env", "--color=no", "-rN", "made.ipynb"],
        cwd=folder,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


def test_a_cell_that_writes_to_stderr_fails_however_it_is_stored(tmp_path: Path) -> None:
    said = nbval_says(
        tmp_path,
        cell("print('seen')", ("stdout", "seen")),
        cell(WARNS),
        cell(PRINTS, ("stderr", "half done")),
        cell(f"{PRINTS}\nprint('seen')", ("stdout", "seen"), ("stderr", "half done")),
        cell(LOGS, ("stderr", "careful")),
        cell(PRINTS, tags=("nbval-ignore-output",)),
        cell(PRINTS, run=False),
        cell("print('seen')", ("stdout", "seen")),
    )
    assert "6 failed, 2 passed" in said, said
    assert re.findall(r"Cell (\d): The cell wrote to stderr", said) == ["2", "3", "4", "5", "6"]
    for written in ("FutureWarning: renamed", "half done", "careful"):
        assert written in said
