"""Files that are damaged, foreign or made to do harm: right, or refused in words, and at once.

WORKBENCH_GENERATED says how many the slow test draws, 200 by default.
"""

from __future__ import annotations

import inspect
import os
import random
import shutil
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

import pytest

import workbench as wb
from tests.unit.bends import Bent, bend
from tests.unit.bent_files import Kind, kinds, same
from tests.unit.public_names import public

PACKAGE = str(Path(wb.__file__).parent)
#: How long a file may take: a second, and the disk's reading rate for large ones.
SECONDS, RATE, LARGE = 1.0, 200 * 2**20, 200 * 2**20
FEW = 30


@dataclass(frozen=True)
class Original:
    """A kind, a folder with its files, and what they hold."""

    kind: Kind
    folder: Path
    content: Any


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[Original]:
    out = []
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WORKBENCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        for i, kind in enumerate(kinds()):
            folder = tmp_path_factory.mktemp(f"original-{i}") / "one"
            folder.mkdir()
            kind.make(folder)
            out.append(Original(kind, folder, kind.load(folder)))
            assert same(out[-1].content, kind.load(folder)), kind.name
    return out


@dataclass(frozen=True)
class Outcome:
    """What came of loading a bent file. wrong: why that is no right answer, "" where it is one."""

    kind: str
    bent: Bent
    refused: bool
    seconds: float
    wrong: str


def outcome(originals: list[Original], seed: int, folder: Path) -> Outcome:
    """Bend the files of one kind, load them, and see what comes of it."""
    draw = random.Random(seed)
    groups: dict[str, list[Original]] = {}
    for each in originals:
        groups.setdefault(each.kind.name.split()[0] + str(each.kind.ours), []).append(each)
    original = draw.choice(draw.choice(list(groups.values())))
    place = folder / "one"
    shutil.copytree(original.folder, place)
    others = [p for each in originals for p in sorted(each.folder.rglob("*")) if p.is_file()]
    bent = bend(original.kind, place, draw, others)
    size = max((p.stat().st_size for p in place.rglob("*") if p.is_file()), default=0)
    refused, wrong, started = False, "", time.process_time()
    try:
        loaded = original.kind.load(place)
    except Exception as error:  # whatever it is, it is judged here
        refused, wrong = True, _unlike_ours(error, bent)
        if bent.harmless:
            wrong = f"it says the same, and is refused: {error}"
    else:
        if not same(original.content, loaded):
            wrong = "it loads as something else"
    seconds = time.process_time() - started
    limit = SECONDS if size < LARGE else max(SECONDS, size / RATE)
    if seconds > limit:
        wrong = wrong or f"it took {seconds:.2f} s"
    shutil.rmtree(folder)
    return Outcome(original.kind.name, bent, refused, seconds, wrong)


def _unlike_ours(error: Exception, bent: Bent) -> str:
    """Why an error is none that the documentation promises, "" where it is one."""
    if isinstance(error, FileNotFoundError) and bent.absent:
        return "" if str(error).endswith(".") else f"a bare {error!r}"
    raised = traceback.extract_tb(error.__traceback__)[-1].filename
    ours = type(error) is ValueError and raised.startswith(PACKAGE) and str(error).endswith(".")
    return "" if ours and len(str(error)) < 1500 else f"{type(error).__name__}: {str(error)[:300]}"


def check(originals: list[Original], seeds: range, folder: Path) -> list[Outcome]:
    found = []
    for seed in seeds:
        found.append(outcome(originals, seed, folder / str(seed)))
    wrong = [f"{seed}: {o}" for seed, o in zip(seeds, found, strict=True) if o.wrong]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(found)}", *wrong])
    return found


def paths_read() -> dict[str, CodeType]:
    """Every public function and class method that is given a path and returns what it read."""
    found: dict[str, CodeType] = {}
    for path, value in public().items():
        name = path.rpartition(".")[2]
        owned = vars(value).items() if inspect.isclass(value) else [("", value)]
        for own, function in owned:
            function = inspect.unwrap(getattr(function, "__func__", function))
            if own.startswith("_") or not inspect.isfunction(function):
                continue
            if function.__globals__.get("Path") is not Path:  # a path through a model, or none
                continue
            given = {k: str(v) for k, v in function.__annotations__.items() if "Path" in str(v)}
            # What is called a folder is kept for a later save.
            given = {k: v for k, v in given.items() if k != "folder"}
            writes = str(function.__annotations__["return"]) in ("Path", "str", "dict[str, Any]")
            if set(given) - {"return"} and not writes:
                found[f"{name}.{own}".rstrip(".")] = function.__code__
    # A model's folder is another library's to read; test_checkpoint.py bends it.
    return {
        name: code for name, code in found.items() if code is not inspect.unwrap(wb.load).__code__
    }


def test_every_public_call_that_reads_files_is_among_the_kinds(tmp_path: Path) -> None:
    wanted, called = paths_read(), set()
    assert len(wanted) >= 5
    one_each = {kind.name.split()[0] + str(kind.ours): kind for kind in kinds()}
    for name, kind in one_each.items():
        folder = tmp_path / name
        folder.mkdir()
        kind.make(folder)
        sys.setprofile(lambda frame, *_: called.add(frame.f_code))
        try:
            kind.load(folder)
        finally:
            sys.setprofile(None)
    assert [name for name, code in wanted.items() if code not in called] == []


def test_a_few_bent_files_load_right_or_are_refused(
    originals: list[Original], tmp_path: Path
) -> None:
    assert any(o.refused for o in check(originals, range(FEW), tmp_path))


@pytest.mark.slow
def test_many_bent_files_load_right_or_are_refused(
    originals: list[Original], tmp_path: Path
) -> None:
    n = int(os.environ.get("WORKBENCH_GENERATED", "200"))
    assert len(check(originals, range(FEW, FEW + n), tmp_path)) == n
