"""Bent calls: a valid call with an argument replaced, run within its time, and judged.

A call must end in an answer or an error of ours: raised by a `raise` of the package, of a type that
it documents, in a sentence. Beyond that, a value that means the same (numpy's 3, a tuple for a
list) must give the same answer, and one that no call takes (NaN, bytes, an object) none at all.
"""

from __future__ import annotations

import ast
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pandas as pd
import torch
from traitlets import TraitError

import workbench as wb
from tests.unit.base_calls import BaseCalls, Target

PACKAGE = Path(wb.__file__).resolve().parent
OURS = (ValueError, TypeError, LookupError, OSError, MemoryError, RuntimeError, TraitError)
SECONDS = 10.0


class TooSlow(BaseException):
    """A call was still running after its time."""


@dataclass(frozen=True)
class Bent:
    """A call with one argument replaced: by what, and whether it is refused or means the same."""

    target: Target
    arguments: dict[str, Any]
    what: str
    refused: bool = False
    same: bool = False

    def __str__(self) -> str:
        return f"{self.target.name}({self.what})"


# -- what arguments are replaced by -----------------------------------------------------------

#: What no call takes, whichever argument it is.
NEVER: dict[str, Callable[[], Any]] = {
    "nan": lambda: float("nan"), "object()": object, "b'bytes'": lambda: b"bytes", "1j": lambda: 1j,
    "[nan]": lambda: [float("nan")], "[b'x']": lambda: [b"x"], "[object()]": lambda: [object()],
    "array of nan": lambda: np.array([float("nan")]), "inf": lambda: float("inf"),
}  # fmt: skip
#: What some arguments take and most do not.
PERHAPS: dict[str, Callable[[], Any]] = {
    "True": lambda: True, "np.True_": lambda: np.True_, "-1": lambda: -1, "0": lambda: 0,
    "-inf": lambda: float("-inf"), "10**9": lambda: 10**9, "2**70": lambda: 2**70,
    "0.9": lambda: 0.9, "2.5": lambda: 2.5, "np.int64(3)": lambda: np.int64(3),
    "np.float32(.5)": lambda: np.float32(0.5), "np.array(2)": lambda: np.array(2),
    "torch.tensor(2)": lambda: torch.tensor(2), "''": str, "'nonsense'": lambda: "nonsense",
    "'L1.resid_post'": lambda: "L1.resid_post", "' '": lambda: " ", "'é\\0'": lambda: "é\0",
    "None": lambda: None, "[]": list, "()": tuple, "{}": dict, "set()": set, "[[]]": lambda: [[]],
    "[5, 6, 7]": lambda: [5, 6, 7], "[[5, 6, 7]]": lambda: [[5, 6, 7]], "[0.9]": lambda: [0.9],
    "[None]": lambda: [None], "[True]": lambda: [True], "[-1]": lambda: [-1],
    "[10**9]": lambda: [10**9], "['a', 3]": lambda: ["a", 3], "['x', 'x']": lambda: ["x", "x"],
    "['']": lambda: [""], "{'a': 1}": lambda: {"a": 1}, "{0}": lambda: {0},
    "[0, 0]": lambda: [0, 0],
    "{'a': nan}": lambda: {"a": float("nan")}, "generator": lambda: (x for x in ("a", "b")),
    "range(3)": lambda: range(3), "slice(2)": lambda: slice(2), "len": lambda: len,
    "int": lambda: int, "Path": lambda: Path("nowhere"), "zeros(2, 3)": lambda: np.zeros((2, 3)),
    "tensor zeros(2, 3)": lambda: torch.zeros(2, 3), "tensor zeros(0)": lambda: torch.zeros(0),
    "tensor of ints": lambda: torch.arange(3), "tensor half": lambda: torch.ones(3).half(),
    "array of text": lambda: np.array(["a", "b"]), "'tinyworld'": lambda: "tinyworld",
    "DataFrame": lambda: pd.DataFrame({"a": [1]}), "'x' * 10**5": lambda: "x " * 50_000,
    "frozenset": lambda: frozenset({"a"}), "nested": lambda: [[[[1]]]], "Ellipsis": lambda: ...,
}  # fmt: skip


def alike(value: Any) -> dict[str, Any]:
    """Other ways to write a value, which must give the same answer."""
    out: dict[str, Any] = {}
    if isinstance(value, bool):
        out["np.bool_"] = np.bool_(value)
    elif isinstance(value, int):
        out |= {"np.int64": np.int64(value), "np.int32": np.int32(value)}
    elif isinstance(value, float):
        out["np.float64"] = np.float64(value)
    elif isinstance(value, Path):
        out["str of path"] = str(value)
    elif isinstance(value, list):
        out["tuple"] = tuple(value)
        if value and all(type(item) is int for item in value):
            out |= {"array": np.array(value), "np items": [np.int64(item) for item in value]}
    elif isinstance(value, tuple):
        out["list"] = list(value)
    elif isinstance(value, str):
        out["np.str_"] = np.str_(value)
    return out


def near(value: Any) -> dict[str, Any]:
    """Values like the one given, which may be wrong."""
    if isinstance(value, bool) or value is None:
        return {}
    if isinstance(value, torch.Tensor):
        return {"half": value.half(), "flat": value.reshape(-1), "more": value[None, None]}
    if isinstance(value, np.ndarray):
        return {"transposed": value.T, "flat": value.ravel(), "more": value[None, None]}
    if isinstance(value, int):
        return {"text": str(value), "float": float(value), "in a list": [value]}
    if isinstance(value, str):
        return {"bytes": value.encode(), "in a list": [value], "twice": [value, value],
                "upper": value.upper(), "longer": value + "x"}  # fmt: skip
    if isinstance(value, (list, tuple)):
        return {
            "its first": value[0] if value else None, "a set": _set_of(value),
            "twice": [*value] * 2,
            "one None": [*value[1:], None], "one number": [*value[1:], 7], "one deeper": [[*value]],
            "a generator": (item for item in value), "one less": [*value[1:]],
        }  # fmt: skip
    return {"in a list": [value], "its name": str(value)}


def _set_of(value: Sequence[Any]) -> Any:
    try:
        return set(value)
    except TypeError:
        return frozenset()


def objects(calls: BaseCalls) -> dict[str, Any]:
    """Objects of the package, each in the place of every other."""
    kinds = ("Model", "Dictionary", "Dictionaries", "Task", "Tokens", "Site", "Edit", "Run")
    return {f"a {kind}": calls.made(kind) for kind in kinds} | {
        "tokenizer": calls.model.tokenizer, "raw": calls.model.raw,
    }  # fmt: skip


def bends(calls: BaseCalls, name: str) -> list[Bent]:
    """Every bent call of one public call."""
    target = calls.target(name)
    given = target.arguments
    out = [Bent(target, {**given, "nonsense": 1}, "nonsense=1", refused=True)]
    out += [
        Bent(target, {k: v for k, v in given.items() if k != left}, f"without {left}")
        for left in given
    ]
    for argument in target.annotations or given:
        base = given.get(argument, target.defaults.get(argument))
        choices = {
            **{key: (make(), True) for key, make in NEVER.items()},
            **{key: (make(), False) for key, make in PERHAPS.items()},
            **{key: (value, False) for key, value in (near(base) | objects(calls)).items()},
        }
        for key, (value, never) in choices.items():
            bent = {**given, argument: value}
            out.append(Bent(target, bent, f"{argument}={key}", refused=never))
        for key, value in alike(base).items():
            bent = {**given, argument: value}
            out.append(Bent(target, bent, f"{argument}={key} alike", same=True))
    return out


# -- judging ------------------------------------------------------------------------------------


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `TooSlow` where the block takes longer."""

    def stop(*_: Any) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fault(bent: Bent, seconds: float = SECONDS) -> str | None:
    """What is wrong with how a bent call ends, None where it ends well."""
    try:
        with within(seconds):
            answer = bent.target(bent.arguments)
    except TooSlow:
        return f"still running after {seconds:.0f} s"
    except Exception as error:
        if bent.same:
            return f"refused, though it means the same: {error!r:.200}"
        return not_ours(error)
    if bent.refused:
        return f"taken, though no call takes it; gave {answer!r:.80}"
    if bent.same:
        base = bent.target(bent.target.arguments)
        if not equal(base, answer):
            return f"another answer, though it means the same: {answer!r:.80}, not {base!r:.80}"
    return None


def not_ours(error: Exception) -> str | None:
    """Why an error is not one of ours, None where it is."""
    where = error.__traceback__
    frames = traceback.extract_tb(where)
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    line = (
        f"{type(error).__name__}: {str(error)[:160]!r} at {frames[-1].filename}:{frames[-1].lineno}"
    )
    if isinstance(error, TypeError) and len(frames) <= 3 and "argument" in str(error):
        return None  # Python's own, of the public signature
    file = Path(frames[-1].filename)
    if not file.is_relative_to(PACKAGE) or not _raises(where, file):
        own = [f for f in frames if Path(f.filename).is_relative_to(PACKAGE)]
        last = f" below {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        return f"an internal traceback: {line}{last}"
    if not isinstance(error, OURS):
        return f"a type that is not documented: {line}"
    text = str(error.args[0]) if error.args else ""
    if len(text.split()) < 4 or "\n" in text:
        return f"no sentence: {line}"
    return None


def _raises(where: TracebackType | None, file: Path) -> bool:
    """Whether the innermost line is part of a `raise` statement."""
    return where is not None and any(
        first <= where.tb_lineno <= last for first, last in _raise_lines(file)
    )


@cache
def _raise_lines(file: Path) -> list[tuple[int, int]]:
    tree = ast.parse(file.read_text())
    return [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.Raise)
    ]


def equal(one: Any, other: Any) -> bool:
    """Whether two answers hold the same numbers and words, to rounding; numpy's are Python's."""
    one, other = (each.item() if isinstance(each, np.generic) else each for each in (one, other))
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.shape == other.shape and torch.allclose(
            one.double(), other.double(), atol=1e-6, equal_nan=True
        )
    if isinstance(one, np.ndarray):
        if one.dtype.kind not in "fc":
            return np.array_equal(one, other)
        return one.shape == other.shape and np.allclose(one, other, atol=1e-6, equal_nan=True)
    if isinstance(one, float):
        return bool(np.isclose(one, other, atol=1e-6, equal_nan=True))
    if isinstance(one, pd.DataFrame):
        return one.round(5).equals(other.round(5))
    if is_dataclass(one):
        return all(equal(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, Mapping):
        return list(one) == list(other) and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(equal, one, other))
    return one == other if isinstance(one, (str, int, bool, wb.Site)) else True
