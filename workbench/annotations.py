"""Annotations: what an argument may be, as its annotation says: of a value, and in words."""

from __future__ import annotations

import builtins
import math
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ForwardRef, Literal, TypeVar, Union, get_args, get_origin

import numpy as np


@dataclass(frozen=True)
class Within:
    """The range of a number in an annotation.

    above, below: the lowest, the highest value itself is left out. guard: the highest is a guard
    against slips, and is told only to those who pass it.
    """

    low: float | None = None
    high: float | None = None
    above: bool = False
    below: bool = False
    guard: bool = False

    def __contains__(self, number: float) -> bool:
        low = self.low is None or (number > self.low if self.above else number >= self.low)
        high = self.high is None or (number < self.high if self.below else number <= self.high)
        return low and high

    def of(self, value: Any) -> str:
        """The range as it follows "a number" in an error about the value."""
        size = as_whole(value) or as_real(value) or 0
        passed = self.high is not None and size > self.high
        low = "" if self.low is None else f" {'above' if self.above else 'from'} {self.low}"
        if self.high is None or (self.guard and not passed):
            return low
        return f"{low} and below {self.high}" if self.below else f"{low or ' up'} to {self.high}"


@dataclass(frozen=True)
class Filled:
    """Of a list in an annotation: it holds one item or more; of a text, more than blanks."""

    words: str = ", at least one"

    def __contains__(self, items: Any) -> bool:
        return len(items.strip() if isinstance(items, str) else items) > 0

    def of(self, value: Any) -> str:
        return self.words


@dataclass(frozen=True)
class Later:
    """Of an annotation: the rule is held where the value is read, which takes more than it says."""


@dataclass(frozen=True)
class Read:
    """Of an annotation: what the call works with is made of the value and of all arguments."""

    make: Callable[[Any, Mapping[str, Any]], Any]


#: What `fits` gives for a value that does not.
NO = object()
_NOUNS = {
    Any: "anything", None: "None", str: "a text", bool: "True or False", int: "a whole number",
    float: "a finite number", Path: "a path", bytes: "bytes", slice: "a slice",
}  # fmt: skip
_PLURALS = {str: "texts", int: "whole numbers", float: "finite numbers", Any: "anything"}


def fits(hint: Any, value: Any) -> Any:
    """The value in the form that the annotation names, or `NO`."""
    if isinstance(hint, (str, ForwardRef)):
        hint = resolved(getattr(hint, "__forward_arg__", hint), __name__)
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar):
        return value
    if origin is Annotated and any(isinstance(each, Later) for each in args):
        return value
    if origin is Annotated:
        inner = fits(args[0], value)
        ranges = [each for each in args[1:] if isinstance(each, (Within, Filled))]
        return NO if inner is NO or any(inner not in each for each in ranges) else inner
    if origin in (Union, types.UnionType):
        return next((out for each in args if (out := fits(each, value)) is not NO), NO)
    if origin is Literal:
        return next((each for each in args if _same(each, value)), NO)
    if hint in (None, type(None)):
        return None if value is None else NO
    if hint is bool:
        is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"
        return bool(value) if is_bool and not getattr(value, "ndim", 0) else NO
    if hint is str:
        return str(value) if isinstance(value, str) else NO
    if hint in (int, float):
        out = (as_whole if hint is int else as_real)(value)
        return NO if out is None else out
    kind = origin or hint
    if kind is Callable or kind is type:
        return value if callable(value) else NO
    if not isinstance(kind, type):
        return value
    if kind.__name__ == "ndarray" and not isinstance(value, kind):
        return _array(value)
    if kind in (Sequence, list, tuple) and args:
        out = _fits_items(args if kind is tuple else (*args, ...), value)
        return tuple(out) if kind is tuple and out is not NO else out
    if kind is Iterable and args:
        return _fits_items((*args, ...), _listed(value))
    if kind.__name__ == "Model":
        # A stand-in need not do all that a model does.
        return value if hasattr(value, "spec") and hasattr(value, "run") else NO
    if not isinstance(value, kind):
        return NO
    if issubclass(kind, Mapping) and len(args) == 2:
        pairs = {k: (fits(args[0], k), fits(args[1], v)) for k, v in value.items()}
        wrong = any(k is NO or v is NO for k, v in pairs.values())
        return NO if wrong else value if not pairs else dict(pairs.values())
    return value


def _array(value: Any) -> Any:
    """A list or a tensor of numbers as an array."""
    if not isinstance(value, Sequence) and not hasattr(value, "numpy"):
        return NO
    try:
        out = np.asarray(value)
    except (TypeError, ValueError, RuntimeError):
        return NO
    return out if out.dtype.kind in "biuf" else NO


def _listed(value: Any) -> Any:
    """What can be gone through once, as a list; text and what cannot stay as they are."""
    if isinstance(value, (str, bytes, Sequence)) or not isinstance(value, Iterable):
        return value
    try:
        return list(value)
    except TypeError:  # a tensor of a single number
        return value


def _same(one: Any, value: Any) -> bool:
    """Whether the value is one of a Literal's; 1 is not True."""
    alike = isinstance(value, type(one)) and isinstance(value, bool) == isinstance(one, bool)
    return alike and value == one


def _fits_items(args: tuple[Any, ...], value: Any) -> Any:
    if isinstance(value, (str, bytes, bytearray)):
        return NO
    if getattr(value, "ndim", 0) and hasattr(value, "tolist"):
        value = value.tolist()
    if not isinstance(value, Sequence):
        return NO
    if len(args) == 2 and args[1] is ...:
        if args[0] is Any or (args[0] in (int, str) and all(type(v) is args[0] for v in value)):
            return value
        args = (args[0],) * len(value)
    if len(args) != len(value):
        return NO
    out = [fits(each, item) for each, item in zip(args, value, strict=True)]
    if any(item is NO for item in out):
        return NO
    same = all(new is old for new, old in zip(out, value, strict=True))
    return value if same else tuple(out) if isinstance(value, tuple) else out


def says(hint: Any, value: Any = None) -> str:
    """The annotation in words, what an argument is, for an error about the value."""
    if isinstance(hint, (str, ForwardRef)):
        hint = resolved(getattr(hint, "__forward_arg__", hint), __name__)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return says(args[0]) + "".join(
            e.of(value) for e in args[1:] if isinstance(e, (Within, Filled))
        )
    if origin in (Union, types.UnionType):
        parts = list(dict.fromkeys(says(each, value) for each in args))
        return " or ".join([", ".join(parts[:-1]), parts[-1]] if parts[1:] else parts)
    if origin is Literal:
        return f"{'one of ' * (len(args) > 1)}{', '.join(map(repr, args))}"
    if origin is tuple and ... not in args:
        return f"a list of {len(args)}: {', '.join(map(says, args))}"
    if origin in (Sequence, list, tuple, Iterable):
        each = (
            _plural(args[0].__name__)
            if isinstance(args[0], type)
            else "items, each " + says(args[0])
        )
        return f"a list of {_PLURALS.get(args[0], each)}"
    if origin in (Mapping, dict):
        return f"a mapping whose keys are each {says(args[0])}, whose values {says(args[1])}"
    kind = None if hint is type(None) else origin or hint
    name = getattr(kind, "__name__", str(kind))
    return _NOUNS.get(kind, f"{'an' if name[:1] in 'AEIO' else 'a'} {name}")


def _plural(name: str) -> str:
    return name[:-1] + "ies" if name.endswith("y") else name + "s"


class _Names(dict[str, Any]):
    """The names of an annotation that its module imports for the type checker only."""

    def __missing__(self, name: str) -> Any:
        package = __name__.partition(".")[0]
        libraries = {"np": "numpy", "pd": "pandas"}
        if (library := sys.modules.get(libraries.get(name, name))) is not None:
            return library
        loaded = [m for key, m in sys.modules.items() if key.partition(".")[0] == package]
        found = [vars(module)[name] for module in loaded if name in vars(module)]
        # What no module has loaded has no instance that could be given.
        return found[0] if found else getattr(sys.modules.get("transformers"), name, Any)


def resolved(hint: Any, module: str) -> Any:
    """The annotation as the objects that its text names in the module."""
    if not isinstance(hint, str):
        return hint
    own = vars(sys.modules[module])
    return eval(hint, {}, _Names({**vars(builtins), **own}))


def as_whole(value: Any) -> int | None:
    """The value as an int where it is a whole number by its type, numpy's included; else None."""
    if type(value) is int:
        return value
    if isinstance(value, bool) or getattr(value, "ndim", 0) or not hasattr(value, "__index__"):
        return None
    is_bool = "bool" in str(getattr(value, "dtype", ""))
    try:
        return None if is_bool else int(value.__index__())
    except TypeError:  # an array of a floating type
        return None


def as_real(value: Any) -> float | None:
    """The value as a float where it is a finite number and neither text nor True; else None."""
    if isinstance(value, (bool, str, bytes)) or getattr(value, "ndim", 0):
        return None
    if "bool" in str(getattr(value, "dtype", "")) or not hasattr(value, "__float__"):
        return None
    try:
        real = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return real if math.isfinite(real) else None
