"""Who imports whom, read from the code; and `import workbench` loads nothing heavy."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[2] / "workbench"

#: What each module or folder of the package may import of the package.
TABLE: dict[str, set[str]] = {
    "annotations": set(),
    "check": {"annotations", "ordinary", "other_names"},
    "other_names": set(),
    "site": {"annotations"},
    "edits": {"site"},
    "tokens": set(),
    "encoding": {"tokens"},
    "memory": set(),
    "metrics": {"tokens"},
    "data": set(),
    "result": {"files", "result_files"},
    "ordinary": set(),
    "turns": {"ordinary"},
    "model": {"edits", "site", "tokens", "turns"},
    "loading": {"backends", "checkpoint", "data", "libraries", "model", "ordinary"},
    "backends": {
        "change",
        "edits",
        "encoding",
        "model",
        "ordinary",
        "other_names",
        "site",
        "tokens",
        "turns",
    },
    "files": set(),
    "reading": set(),
    "result_files": {"files", "reading"},
    "pairs": {"encoding", "tokens"},
    "checkpoint_files": set(),
    "checkpoint": {"checkpoint_files", "libraries"},
    "libraries": set(),
    "resample": set(),
    # Which positions are read, what components write there, and which tokens that says.
    "places": {"tokens"},
    "writers": {"model", "site"},
    "readout": set(),
    "tasks": {"tokens", "encoding", "metrics", "data", "pairs", "resample", "model"},
    "graph": {"neuronpedia", "pictures", "result", "site"},
    "neuronpedia": {"files", "reading"},
    "texts": {"annotations", "data", "encoding", "model", "reading", "tokens"},
    "weight_edits": set(),
    # The core that every method stands on.
    "targets": {"encoding", "tokens"},
    "activations": {"concepts", "dictionary", "model", "result", "site", "tokens"},
    "concepts": {"data", "encoding", "model", "tokens"},
    "questions": {"encoding", "metrics", "model", "targets", "tasks", "tokens"},
    "elsewhere": {"data", "model", "texts", "tokens"},
    "change": {"edits", "files", "model", "reading", "site", "tokens", "weight_edits"},
    "circuits": {
        "change",
        "edits",
        "effects",
        "experiment",
        "graph",
        "memory",
        "metrics",
        "model",
        "pictures",
        "places",
        "resample",
        "result",
        "site",
        "tasks",
        "tokens",
        "writers",
    },
    "compare": {
        "activations",
        "edits",
        "effects",
        "features",
        "memory",
        "methods",
        "metrics",
        "model",
        "pictures",
        "resample",
        "result",
        "site",
        # How many tokens a pass takes.
        "tasks",
        "texts",
        "tokens",
        "vocabulary",
    },
    "controls": {"change", "dictionary", "edits", "model", "site", "weight_edits"},
    "effects": {"pictures", "resample", "result"},
    "experiment": {
        "change",
        "controls",
        "edits",
        "effects",
        "elsewhere",
        "metrics",
        "model",
        "questions",
        "result",
        "tokens",
    },
    "dictionary": {"change", "data", "edits", "files", "model", "ordinary", "reading", "site"},
    "features": {
        "activations",
        "change",
        "concepts",
        "data",
        "dictionary",
        "edits",
        "effects",
        "encoding",
        "files",
        "graph",
        "memory",
        "methods",
        "metrics",
        "model",
        "pictures",
        "places",
        "probing",
        "reading",
        "resample",
        "result",
        "site",
        "tasks",
        "texts",
        "tokens",
        "circuits",
        "controls",
        "experiment",
    },
    "information": {
        "edits",
        "graph",
        "memory",
        "metrics",
        "model",
        "readout",
        "result",
        "site",
        "targets",
        "tokens",
        "vocabulary",
        "writers",
        "effects",
        "pictures",
    },
    "lens": {
        "activations",
        "model",
        "places",
        "readout",
        "result",
        "site",
        "targets",
        "texts",
        "tokens",
        "writers",
    },
    "methods": {
        "memory",
        # The components of a model, and what cuts them.
        "circuits",
        "features",
        "model",
        "site",
        "edits",
        "tokens",
        "places",
        "readout",
        "writers",
        "encoding",
        "tasks",
        "metrics",
        "result",
        "graph",
        "dictionary",
        "texts",
        "data",
        "ordinary",
        "weight_edits",
        # A model that a method has trained is loaded like any other.
        "loading",
        "files",
        "reading",
        "activations",
        "concepts",
        "targets",
        "questions",
        "elsewhere",
        "change",
        "controls",
        "effects",
        "experiment",
        "resample",
        # A result names the mark of its picture.
        "pictures",
        "vocabulary",
    },
    "probing": {"activations", "model", "pictures", "resample", "result", "texts"},
    "vocabulary": {
        "activations",
        "change",
        "circuits",
        "dictionary",
        "edits",
        "effects",
        "elsewhere",
        "experiment",
        "metrics",
        "model",
        "ordinary",
        "pictures",
        "questions",
        "readout",
        "resample",
        "result",
        "site",
        "targets",
        "tasks",
        "tokens",
        "writers",
        "controls",
    },
    "weights": {
        "change",
        "controls",
        "dictionary",
        "effects",
        "elsewhere",
        "experiment",
        # A model that was trained is loaded like any other.
        "loading",
        "methods",
        "model",
        "pictures",
        "questions",
        "resample",
        "result",
        "site",
        "targets",
        "tasks",
        "texts",
        "tokens",
        "vocabulary",
        "weight_edits",
    },
    "steering": {
        "activations",
        "change",
        "dictionary",
        "edits",
        "effects",
        "experiment",
        "metrics",
        "model",
        "probing",
        "questions",
        "result",
        "site",
        "texts",
        "tokens",
    },
    "plots": set(),
    "pictures": {
        "activations",
        "circuits",
        "compare",
        "effects",
        "features",
        "information",
        "lens",
        "methods",
        "plots",
        "result",
        "vocabulary",
        "weights",
    },
    # A result that no widget shows is drawn as its picture.
    "views": {
        "circuits",
        "effects",
        "features",
        "graph",
        "information",
        "lens",
        "methods",
        "pictures",
        "plots",
        "result",
        "widgets",
    },
    "live": {
        "metrics",
        "activations",
        "change",
        "circuits",
        "concepts",
        "dictionary",
        "encoding",
        "experiment",
        "features",
        "files",
        "graph",
        "information",
        "lens",
        "loading",
        "methods",
        "model",
        "probing",
        "targets",
        "tasks",
        "texts",
        "tokens",
        "views",
        "widgets",
        "effects",
    },
    "widgets": set(),
    # What its stub names is loaded when it is used.
    "__init__": set(),
}
#: What every module may import: the checks of arguments.
ANYWHERE = {"check"}
#: Imports that stand inside a function, and their targets: all others stand at a module's top.
AT_CALL_TIME: dict[str, set[str]] = {
    # Views know every method and bring anywidget, pictures bring seaborn (1.5 s).
    "result": {"views", "plots"},
}
#: Their imports are moved with them.
NOT_YET_AT_THE_TOP = {"live", "widgets"}
#: The one place of each library that is heavy, optional or a design decision.
ONLY_IN: dict[str, set[str]] = {
    "nnsight": {"backends"},
    # The Jacobian lens is TransformerLens's own method, wrapped.
    "transformer_lens": {"backends", "lens/jacobian"},
    "anywidget": {"widgets"},
    "matplotlib": {"plots", "pictures"},
    "seaborn": {"plots", "pictures"},
    "ipywidgets": {"live", "views", "widgets"},
}
HEAVY = [*ONLY_IN, "torch", "transformers", "pandas"]
#: A distribution whose import name is not its own name with underscores.
DISTRIBUTIONS = {
    "traitlets": "ipywidgets",
    "IPython": "ipywidgets",
    "huggingface_hub": "transformers",
    "yaml": "transformers",
    "sklearn": "scikit_learn",
    "PIL": "pillow",
}
#: What the README's first command starts and nothing imports.
COMMANDS = {"jupyterlab"}

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@dataclass(frozen=True)
class Import:
    """One import statement of one module: what it names and whether a function holds it."""

    module: str  # the importing file, "lens/logit"
    line: int
    target: str  # dotted and absolute, "workbench.site" or "torch.nn"
    in_function: bool

    @property
    def layer(self) -> str:
        return self.module.split("/")[0]

    def __str__(self) -> str:
        return f"workbench/{self.module}.py:{self.line} imports {self.target}"


def read_imports(source: str, module: str) -> Iterator[Import]:
    """Every import of a module's source that runs, those for type checkers left out."""
    package = ["workbench", *module.split("/")[:-1]]

    def visit(node: ast.AST, in_function: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from visit(other, in_function)
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, node.lineno, alias.name, in_function)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*base, node.module] if node.module else base)
            whole = start in ("workbench", "")
            for name in [f"{start}.{alias.name}" for alias in node.names] if whole else [start]:
                yield Import(module, node.lineno, name, in_function)
        inside = in_function or isinstance(node, FUNCTIONS)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    yield from visit(ast.parse(source), False)


def module_name(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").as_posix()


MODULES = sorted(module_name(path) for path in PACKAGE.rglob("*.py"))
IMPORTS = [
    found for name in MODULES for found in read_imports((PACKAGE / f"{name}.py").read_text(), name)
]


def inner(found: Import) -> str | None:
    """The module or folder of the package that an import names, None for another library's."""
    parts = found.target.split(".")
    return parts[1] if parts[0] == "workbench" and len(parts) > 1 else None


def against_the_table(found: Import) -> bool:
    target = inner(found)
    if target is None or target == found.layer or target.startswith("__"):
        return False
    late = AT_CALL_TIME.get(found.module, set()) if found.in_function else set()
    return target not in TABLE[found.layer] | late | ANYWHERE


def test_every_module_has_a_row_in_the_table() -> None:
    assert {name.split("/")[0] for name in MODULES} <= set(TABLE)


def test_the_package_imports_itself_as_the_table_says() -> None:
    wrong = [str(found) for found in IMPORTS if found.layer in TABLE and against_the_table(found)]
    assert not wrong, "\n".join(wrong)


def test_of_the_pictures_methods_import_the_marks_alone() -> None:
    named = [each for each in IMPORTS if each.layer == "methods" and inner(each) == "pictures"]
    assert not [str(each) for each in named if each.target != "workbench.pictures.marks"]


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("lens/logit", "from ..backends import nnsight"),
        ("lens/logit", "from workbench.widgets.token_grid import TokenGrid"),
        ("lens/logit", "def f():\n    from .. import views"),
        ("tokens", "from .site import Site"),
        ("site", "from .backends import nnsight"),
        ("widgets/token_grid", "import workbench.model"),
        ("result", "from .views import widget"),
        ("__init__", "from .result import Result"),
    ],
)
def test_the_reading_of_the_code_catches_a_wrong_import(module: str, source: str) -> None:
    assert any(against_the_table(found) for found in read_imports(source, module))


def test_imports_for_type_checkers_and_named_late_ones_pass() -> None:
    source = "if TYPE_CHECKING:\n    from .views import widget\ndef f():\n    from . import views\n"
    found = list(read_imports(source, "result"))
    assert [each.target for each in found] == ["workbench.views"]
    assert not against_the_table(found[0])


def test_imports_stand_at_the_top_of_each_module() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if found.in_function
        and found.layer not in NOT_YET_AT_THE_TOP
        and inner(found) not in AT_CALL_TIME.get(found.module, set())
    ]
    assert not wrong, "\n".join(wrong)


def test_each_heavy_library_is_imported_in_its_one_place() -> None:
    wrong = [
        str(found)
        for found in IMPORTS
        if (places := ONLY_IN.get(found.target.split(".")[0]))
        and found.module not in places
        and found.layer not in places
    ]
    assert not wrong, "\n".join(wrong)


def test_what_is_imported_is_what_pyproject_depends_on(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    declared = {line.split(">=")[0].replace("-", "_") for line in project["dependencies"]}
    libraries = {found.target.split(".")[0] for found in IMPORTS} - {"workbench", "__future__"}
    imported = {DISTRIBUTIONS.get(n, n) for n in libraries if n not in sys.stdlib_module_names}
    assert imported - declared == set()
    assert declared - imported == COMMANDS


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = f"import sys, workbench; print([n for n in {HEAVY!r} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_is_quick() -> None:
    # A bound that only a heavy import breaks, taken inside the process so that a busy machine's
    # start-up does not count. tests/benchmarks/import_time.py prints the figure itself.
    code = "import time; t = time.process_time(); import workbench; print(time.process_time() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.3


#: The packages whose public names stand in a stub: the whole one, and the families.
STUBS = {
    ".".join(["workbench", *path.parent.relative_to(PACKAGE).parts]): path
    for path in sorted(PACKAGE.rglob("__init__.pyi"))
}


def stub(package: str = "workbench") -> dict[str, str]:
    """Public name → the module that the stub has it from, "" for a module of the package."""
    tree = ast.parse(STUBS[package].read_text())
    found = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: node.module or "" for node in found for alias in node.names}


@pytest.mark.parametrize("package", STUBS)
def test_the_public_names_are_those_of_the_stub(package: str) -> None:
    space = importlib.import_module(package)
    assert space.__all__ == dir(space) == sorted(stub(package))


def test_a_name_at_the_top_is_one_of_its_family() -> None:
    # By object: logit_lens is wb.lens.logit.
    for name, home in stub().items():
        if (package := f"workbench.{home.split('.')[0]}") in STUBS and home:
            space = importlib.import_module(package)
            flat = getattr(importlib.import_module("workbench"), name)
            assert any(getattr(space, each) is flat for each in space.__all__), name


#: Every public name is what the stub says, whatever was imported before and in which order.
EVERY_NAME = """
import importlib, random, sys, types
import workbench as wb

def right(package, name, home):
    module = importlib.import_module(f"{package}.{home or name}")
    return getattr(sys.modules[package], name) is (getattr(module, name) if home else module)

modules, names, order = MODULES, NAMES, sys.argv[1]
random.Random(int(order or 0)).shuffle(modules)
for module in modules if order else []:
    importlib.import_module(module)
print([each for each in names if not right(*each)])
"""


@pytest.mark.parametrize(("order", "eager"), [("", ""), ("1", ""), ("2", ""), ("3", "1")])
def test_no_module_takes_the_place_of_a_public_name(order: str, eager: str) -> None:
    modules = [f"workbench.{name}".replace("/", ".").removesuffix(".__init__") for name in MODULES]
    every = [(package, *each) for package in STUBS for each in stub(package).items()]
    code = EVERY_NAME.replace("MODULES", repr(modules)).replace("NAMES", repr(every))
    done = subprocess.run(
        [sys.executable, "-c", code, order],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "EAGER_IMPORT": eager},
    )
    assert done.stdout == "[]\n"


def test_an_unknown_name_of_the_package_is_an_attribute_error() -> None:
    import workbench

    with pytest.raises(AttributeError, match="no_such_name"):
        workbench.no_such_name  # noqa: B018  # pyright: ignore[reportAttributeAccessIssue]
