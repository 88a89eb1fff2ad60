"""From the name of a public call a stranger finds its file, its test and its notebook."""

from __future__ import annotations

import ast
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

import pandas as pd
import pytest

import workbench as wb
from tests.unit import random_dictionaries
from tests.unit.public_names import families, public
from workbench.check import ArgumentError, _arguments, held

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


def takes_dictionaries() -> list[tuple[str, str, Any, bool]]:
    """Of each argument that is one Dictionary or Dictionaries: its call, name, rule, which."""
    out = []
    methods = {
        f"{name}.{each}": getattr(found, "__func__", found)
        for name, kind in public().items()
        if inspect.isclass(kind)
        for each, found in vars(kind).items()
    }
    for call, found in (CALLS | OF_FAMILIES | methods).items():
        for name, rule in _arguments(found)[1].items() if hasattr(found, "is_checked") else ():
            union = get_origin(rule) in (Union, UnionType)
            kinds = {rule, *(get_args(rule) if union else ())}
            if kinds & {wb.Dictionary, wb.Dictionaries} and not any(
                get_origin(kind) in (Mapping, Sequence) for kind in kinds
            ):
                out.append((call, name, rule, wb.Dictionaries in kinds))
    return out


DICTIONARIES = takes_dictionaries()


def test_a_call_that_takes_dictionaries_is_found() -> None:
    one = {call for call, _, _, several in DICTIONARIES if not several}
    assert one >= {
        "features.activations", "features.check", "features.index",
        "features.Labels.of", "features.FeatureIndex.check",
    }  # fmt: skip
    assert {call for call, *_ in DICTIONARIES} - one >= {
        "feature_flow", "features.FeatureFlow.change", "features.circuit", "features.effects",
        "features.evaluate_circuit", "features.evaluate_flow", "features.match", "features.page",
        "features.shift", "steering.directions", "steering.typical_length", "live.features",
    }  # fmt: skip


@pytest.mark.parametrize(("call", "name", "rule", "several"), DICTIONARIES)
def test_dictionaries_of_one_pass_where_one_is_asked_and_one_where_several_are(
    call: str, name: str, rule: Any, several: bool
) -> None:
    each = [random_dictionaries.dictionary("topk", site=f"L{i}.resid_post") for i in (0, 1)]
    one, two = wb.Dictionaries(each[:1]), wb.Dictionaries(each)
    if several:
        assert held(name, rule, two, call) is two
        for given in (each[0], [each[0]], {"mine": each[0]}, one):
            found = held(name, rule, given, call)
            only = found if isinstance(found, wb.Dictionary) else found["L0.resid_post"]
            assert only is each[0]
        assert list(held(name, rule, each, call)) == list(two)
        return
    assert held(name, rule, one, call) is each[0]
    with pytest.raises(ArgumentError) as error:
        held(name, rule, two, call)
    assert re.fullmatch(
        rf"{name} is a Dictionary.*; got Dictionaries\(tiny: 2 of 80 features; L0.resid_post, "
        r"L1.resid_post\). Take one of them, as dicts\['L0.resid_post'\].",
        str(error.value),
    )


def test_what_is_made_at_one_site_is_read_as_one_dictionary() -> None:
    model, texts = wb.load("tinyworld"), wb.texts("tinyworld", n=4)
    made = wb.features.train(
        model, texts, "L1.resid_post", n_features=8, k=2, steps=2, batch_size=8, progress=False
    )
    acts = wb.activations(model, texts, "L1.resid_post", labels={"half": [0, 0, 1, 1]})
    for dicts in (
        made,
        wb.features.decompose(acts, kind="random", n_features=3),
        wb.steering.directions(acts, "half"),
    ):
        assert isinstance(dicts, wb.Dictionaries) and len(dicts) == 1
        one = dicts["L1.resid_post"]
        a, b = (wb.vocabulary.words(model, each, k=3) for each in (dicts, one))
        pd.testing.assert_frame_equal(a.to_frame(), b.to_frame())
    two: tuple[Any, Any] = (made, made["L1.resid_post"])
    a, b = (wb.features.activations(model, "The king", each) for each in two)
    pd.testing.assert_frame_equal(a.to_frame(), b.to_frame())
    with pytest.raises(ArgumentError, match=r"vectors is a Dictionary; got Dictionaries.* Take"):
        wb.vocabulary.words(model, wb.dictionaries("tinyworld"))
