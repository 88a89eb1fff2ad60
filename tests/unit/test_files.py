"""Files are put in place whole: whatever breaks off a save, the old or the new one is there."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.bent_files import graph, labels, made_up, same
from tests.unit.kernels import index_file
from tests.unit.random_dictionaries import dictionary
from workbench import files
from workbench.result import Result, axes


@dataclass(frozen=True, eq=False, repr=False)
class Numbers(Result):
    values: np.ndarray = axes("pos")


def result(n: int) -> Numbers:
    return replace(made_up(Numbers), model=f"model {n}", values=np.full(4, float(n)))


def _labelled(folder: Path, n: int) -> None:
    own = labels(folder)
    own[0] = f"label {n}"
    own.save(folder)


#: What saves the n-th version into a folder, and what loads it.
SAVED: dict[str, tuple[Callable[[Path, int], Any], Callable[[Path], Any]]] = {
    "result": (lambda f, n: result(n).save(f / "one"), lambda f: Numbers.load(f / "one")),
    "dictionary": (
        lambda f, n: dictionary("topk", seed=n).save(f),
        lambda f: wb.Dictionary.load(f).tensors,
    ),
    "labels": (_labelled, lambda f: wb.features.Labels.of(replace(dictionary("topk"), path=f))),
    "graph": (
        lambda f, n: replace(graph(), prompt=f"prompt {n}").to_neuronpedia(f / "one.json"),
        lambda f: wb.Graph.from_neuronpedia(f / "one.json"),
    ),
    "page": (
        lambda f, n: files.put_text(f / "page.html", f"page {n}"),
        lambda f: (f / "page.html").read_text(),
    ),
}
#: Where a save may break off, and with what.
STEPS: list[tuple[Any, str]] = [
    (os, "replace"), (os, "fsync"), (Path, "chmod"), (Path, "write_text"), (hashlib, "file_digest"),
    (files.tempfile, "mkdtemp"), (json, "dumps"),
]  # fmt: skip
TROUBLE = [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")]


def breaks(
    monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, at: int, error: Any
) -> list[int]:
    """From its `at`-th call on, a function raises; the list gets the calls that there were."""
    function, calls = getattr(owner, name), []

    def broken(*args: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) >= at:
            raise error
        return function(*args, **options)

    monkeypatch.setattr(owner, name, broken)
    return calls


@pytest.mark.parametrize("error", TROUBLE, ids=["interrupt", "full disk"])
@pytest.mark.parametrize("kind", SAVED)
def test_a_save_that_breaks_off_leaves_the_old_or_the_new(
    kind: str, error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, load = SAVED[kind]
    versions = []
    for n in (0, 1):
        (folder := tmp_path / f"version-{n}").mkdir()
        save(folder, n)
        versions.append(load(folder))
    assert not same(*versions)
    broken = 0
    for owner, name in STEPS:
        for at in range(1, 9):
            (folder := tmp_path / f"{name}-{at}").mkdir()
            save(folder, 0)
            names = sorted(path.name for path in folder.iterdir())
            with monkeypatch.context() as patched:
                calls = breaks(patched, owner, name, at, error)
                try:
                    save(folder, 1)
                except BaseException as raised:
                    assert raised is error
                    broken += 1
                else:
                    assert len(calls) < at or name == "fsync"
            assert any(same(load(folder), version) for version in versions), (name, at)
            left = sorted(path.name for path in folder.iterdir())
            # Only where a second file could not follow the first does it wait beside it.
            assert left == names or (name == "replace" and at == 2), (name, at, left)
            save(folder, 1)
            assert same(load(folder), versions[1])
            assert sorted(path.name for path in folder.iterdir()) == names
            if len(calls) < at:
                break
    assert broken >= 4


KILLED = """
import os, sys
from pathlib import Path
from tests.unit.test_files import SAVED
kind, folder, at = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
replace, calls = os.replace, []
def killed(*args):
    calls.append(1)
    if len(calls) == at:
        os.kill(os.getpid(), 9)
    replace(*args)
os.replace = killed
SAVED[kind][0](folder, 1)
"""


@pytest.mark.parametrize(("kind", "at"), [("result", 1), ("result", 2), ("dictionary", 2)])
def test_a_process_that_is_killed_within_a_save_leaves_one_whole(
    kind: str, at: int, tmp_path: Path, repository: Path
) -> None:
    save, load = SAVED[kind]
    (new := tmp_path / "new").mkdir()
    (folder := tmp_path / "one").mkdir()
    save(new, 1)
    save(folder, 0)
    old = load(folder)
    command = [sys.executable, "-c", KILLED, kind, str(folder), str(at)]
    ended = subprocess.run(command, cwd=repository, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert len(list(folder.iterdir())) == 3, "it was killed too late"
    assert same(load(folder), old if at == 1 else load(new))
    save(folder, 1)
    assert len(list(folder.iterdir())) == 2, "what it left is cleaned"
    assert same(load(folder), load(new))


def test_two_that_save_the_same_at_once_never_mix(tmp_path: Path) -> None:
    def save(n: int) -> None:
        for _ in range(6):
            result(n).save(tmp_path / "one")

    threads = [threading.Thread(target=save, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    seen = set()
    while any(thread.is_alive() for thread in threads):
        if (tmp_path / "one.safetensors").exists():
            read = Numbers.load(tmp_path / "one")
            assert read.model == f"model {int(read.values[0])}"
            seen.add(read.model)
    assert seen
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.json", "one.safetensors"]


@pytest.fixture
def mask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def test_links_and_permissions_stay_as_they_were(tmp_path: Path, mask: None) -> None:
    save, load = SAVED["result"]
    (real := tmp_path / "real").mkdir()
    save(real, 0)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in sorted(real.iterdir())]
    assert modes == [0o640, 0o640], "as the umask gives, also where a library gives less"
    (real / "one.json").chmod(0o664)
    (linked := tmp_path / "linked").mkdir()
    for path in real.iterdir():
        (linked / path.name).symlink_to(path)
    save(linked, 1)
    assert all(path.is_symlink() for path in linked.iterdir())
    assert load(real).model == "model 1"
    assert stat.S_IMODE((real / "one.json").stat().st_mode) == 0o664
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(IsADirectoryError, match="folder.html is a folder. Give the name of a file"):
        files.put_text(tmp_path / "folder.html", "a page")
    files.put_text(os.devnull, "a page")
    assert not Path(os.devnull).is_file()


def test_files_without_a_checksum_are_refused(tmp_path: Path) -> None:
    save, load = SAVED["result"]
    save(tmp_path, 3)
    text = json.loads((tmp_path / "one.json").read_text())
    for key in ("sha256", "arrays"):
        (tmp_path / "one.json").write_text(json.dumps({k: text[k] for k in text if k != key}))
        with pytest.raises(ValueError, match=rf"not a result that save\(\) wrote: .*'{key}'"):
            load(tmp_path)


@pytest.mark.parametrize(
    ("entry", "value", "text"),
    [
        ("seed", "3", "result.seed is of type int; got '3'"),
        ("tokens", 5, "result.tokens is of type"),
        ("model", None, "result.model is of type str; got 'None'"),
        ("values", {"array": "none"}, "result.values names an array of float32"),
        ("more", 1, "result has no entry 'more'"),
    ],
)
def test_a_file_with_values_of_another_type_is_refused(
    entry: str, value: Any, text: str, tmp_path: Path
) -> None:
    SAVED["result"][0](tmp_path, 3)
    old = json.loads((tmp_path / "one.json").read_text())
    del old["sha256"]
    old["result"][entry] = value
    (tmp_path / "one.json").write_text(json.dumps(files.sealed(old)))
    with pytest.raises(ValueError, match=f"does not hold a whole Numbers .*{text}"):
        Numbers.load(tmp_path / "one")


def test_the_file_of_another_result_is_not_taken(tmp_path: Path) -> None:
    save, load = SAVED["result"]
    for name, n in (("a", 0), ("b", 1)):
        (tmp_path / name).mkdir()
        save(tmp_path / name, n)
    os.replace(tmp_path / "a" / "one.safetensors", tmp_path / "b" / "one.safetensors")
    with pytest.raises(ValueError, match="not the file of arrays that was saved with one.json"):
        load(tmp_path / "b")


def test_an_index_is_there_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for owner, name in STEPS:
        with monkeypatch.context() as patched:
            breaks(patched, owner, name, 1, KeyboardInterrupt())
            with pytest.raises(KeyboardInterrupt):
                index_file.write(tmp_path / "index", {"x": np.zeros(2)}, {"n": 1})
        assert list(tmp_path.iterdir()) == [], name


def savers() -> dict[str, Callable[[Path], Any]]:
    def index(path: Path) -> Any:
        model = wb.load("tinyworld", device="cpu")
        read = wb.dictionaries("tinyworld")["L2.resid_post"]
        return wb.features.index(model, ["The capital", "Of it"], read, path=path, progress=False)

    return {
        "result": result(1).save,
        "labels": lambda path: labels(path.parent).save(path),
        "text": lambda path: files.put_text(path, "text"),
        "index": index,
    }


@pytest.mark.parametrize("kind", list(savers()))
@pytest.mark.parametrize("name", ["x " * 50_000, "a/" * 3_000 + "x"], ids=["a name", "a path"])
def test_a_path_longer_than_the_system_takes_is_refused(
    tmp_path: Path, kind: str, name: str
) -> None:
    with pytest.raises(ValueError, match="A path is of names and of a length that the system ta"):
        savers()[kind](tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", list(savers()))
def test_below_what_is_no_folder_nothing_is_written(tmp_path: Path, kind: str) -> None:
    (tmp_path / "file").write_text("kept")
    with pytest.raises(
        OSError, match=r"^Nothing can be written in .*file\S*: .* Give another path"
    ):
        savers()[kind](tmp_path / "file" / "x")
    assert (tmp_path / "file").read_text() == "kept"
