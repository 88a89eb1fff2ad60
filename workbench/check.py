"""Check: what a call was given, against what it takes. The annotation of an argument is its rule.

`@checked` reads a call's annotations once and holds every argument against them before anything
runs: `steps: Count` takes a whole number from 1, `Sequence[str]` a list of texts and neither one
text nor a list of ids, `Literal["add", "remove"]` one of two words. numpy's numbers count as
Python's, and come in as Python's; a `Dictionaries` of one passes where a `Dictionary` is asked, and
one `Dictionary`, or several of them, where `Dictionaries` are. What an annotation cannot say (a
layer that the model has, shapes that go together) the call checks itself, with `whole`, `number`,
`one_of` and `tensor`.

Every error is an `ArgumentError` that says the rule, the value given cut to a line, and what to do.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache, wraps
from typing import Annotated, Any, TypeVar, get_args

import torch

from .annotations import NO as NO
from .annotations import Filled, Read, Within, as_whole, resolved, says
from .annotations import Later as Later
from .annotations import as_real as as_real
from .annotations import fits as fits
from .ordinary import ordinary_torch
from .other_names import arguments_here

Checked = TypeVar("Checked", bound=Callable[..., Any])


class ArgumentError(TypeError, ValueError):
    """A call was given what it does not take: another kind of object, or a value out of range."""


#: How many of something, and of what may be none; the limit is above any use.
Count = Annotated[int, Within(1, 1_000_000, guard=True)]
Natural = Annotated[int, Within(0, 1_000_000, guard=True)]
Seed = Annotated[int, Within(0, 2**63 - 1, guard=True)]
Positive = Annotated[float, Within(0, above=True)]
NotNegative = Annotated[float, Within(0)]
Share = Annotated[float, Within(0, 1)]
Power = Annotated[float, Within(0, 1, above=True)]
#: How sure an interval is, as 0.95.
Level = Annotated[float, Within(0, 1, above=True, below=True)]
#: A text that says something.
Text = Annotated[str, Filled(" that is not blank")]


# -- single values, for what an annotation cannot say ------------------------------------------


def given(value: Any) -> str:
    """The value as an error shows it: one line of at most 80 characters."""
    if hasattr(value, "shape") and hasattr(value, "dtype") and getattr(value, "ndim", 0):
        return f"a {type(value).__name__} of shape {tuple(value.shape)} and type {value.dtype}"
    if isinstance(value, (str, bytes, list, tuple)) and len(value) > 80:
        value = value[:80]
    try:
        line = " ".join(repr(value).split())
    except Exception as error:
        line = f"a {type(value).__name__} that cannot be shown ({type(error).__name__})"
    return line if len(line) <= 80 else f"{line[:79]}…"


def refuse(name: str, rule: str, value: Any, then: str = "") -> ArgumentError:
    """The error for `name`: the rule, the value, and `then` what to do; for `raise`."""
    return ArgumentError(f"{name} is {rule}; got {given(value)}.{then and ' '}{then}")


def whole(
    name: str, value: Any, low: int | None = None, high: int | None = None, then: str = ""
) -> int:
    """The value as an int, numpy's included; True, 2.0 and what is out of range are refused."""
    range_ = Within(low, high)
    if (number := as_whole(value)) is None or number not in range_:
        raise refuse(name, f"a whole number{range_.of(value)}", value, then)
    return number


def different(name: str, value: Any, n: int, then: str = "") -> list[int]:
    """The value, one whole number from 0 to n - 1 or several different ones, as a list."""
    several = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
    found = [i for each in several if (i := as_whole(each)) is not None and 0 <= i < n]
    if not found or len(found) < len(several) or len(set(found)) < len(found):
        raise refuse(name, f"different whole numbers from 0 to {n - 1}, or one", value, then)
    return found


def number(
    name: str, value: Any, low: float | None = None, high: float | None = None, then: str = ""
) -> float:
    """The value as a finite float; text, True, NaN and what is out of range are refused."""
    range_ = Within(low, high)
    if (real := as_real(value)) is None or real not in range_:
        raise refuse(name, f"a finite number{range_.of(value)}", value, then)
    return real


def one_of(name: str, value: Any, choices: Collection[str], then: str = "") -> str:
    """The value, if it is one of the words."""
    if not isinstance(value, str) or value not in choices:
        raise refuse(name, f"one of {', '.join(map(repr, choices))}", value, then)
    return value


def tensor(
    name: str,
    value: Any,
    shape: Sequence[int | None] | None = None,
    then: str = "",
    *,
    infinite: bool = False,
) -> torch.Tensor:
    """The value as a floating tensor of numbers; None in `shape` stands for any length.

    infinite: take infinities too. NaN is never taken.
    """
    axes = ", ".join("n" if n is None else str(n) for n in shape or ())
    of = "" if shape is None else f" of shape ({axes}{',' * (len(shape) == 1)})"
    rule = f"numbers{of}, " + ("none of them NaN" if infinite else "all finite")
    try:
        with ordinary_torch():
            out = torch.as_tensor(value)
        out = out if out.is_floating_point() or out.is_complex() else out.float()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise refuse(name, rule, value, then) from None
    same = shape is None or len(shape) == out.ndim
    if not same or not all(
        n in (None, own) for n, own in zip(shape or (), out.shape, strict=False)
    ):
        raise refuse(name, rule, value, then)
    wrong = out.isnan() if infinite else ~out.isfinite()
    if isinstance(value, bool) or out.is_complex() or bool(wrong.any()):
        raise refuse(name, rule, value, then)
    return out


def vectors(name: str, value: torch.Tensor, width: int, then: str = "") -> torch.Tensor:
    """The tensor, if its last axis has so many numbers."""
    if value.ndim == 0 or value.shape[-1] != width:
        raise refuse(name, f"vectors of width {width}", value, then)
    return value


def numbers_of(name: str, value: Any, n: int, then: str = "") -> torch.Tensor:
    """(k,) int64: the value as one or several whole numbers from 0 to n - 1."""
    rule = f"whole numbers from 0 to {n - 1}, or one"
    try:
        with ordinary_torch():
            out = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise refuse(name, rule, value, then) from None
    out = out.long() if out.numel() == 0 else out
    whole = not (out.is_floating_point() or out.is_complex() or out.dtype == torch.bool)
    if not whole or out.ndim > 1 or bool(((out < 0) | (out >= n)).any()):
        raise refuse(name, rule, value, then)
    return out.long().reshape(-1)


def device(name: str, value: Any) -> torch.device | None:
    """The device of this machine that is named; None stays None."""
    if value is None:
        return None
    try:
        return torch.empty(0, device=value).device
    except (TypeError, ValueError, RuntimeError, AssertionError):
        raise refuse(name, "a device of this machine, as 'cpu' or 'cuda'", value) from None


def floating(name: str, value: Any) -> torch.dtype | None:
    """The floating type, given as torch's or by its name; None stays None."""
    own = getattr(torch, value.removeprefix("torch."), None) if isinstance(value, str) else value
    if own is not None and not (isinstance(own, torch.dtype) and own.is_floating_point):
        raise refuse(name, "a floating type, as torch.float16 or 'float16'", value)
    if own is None and value is not None:
        raise refuse(name, "a floating type, as torch.float16 or 'float16'", value)
    return own


# -- every argument of a call -----------------------------------------------------------------

_MADE_BY = {
    "Model": "Load a model with wb.load('tinyworld').",
    "Dictionary": "Read a dictionary with wb.Dictionary.load(…).",
    "Dictionaries": "Read dictionaries with wb.dictionaries('tinyworld').",
    "Task": "Take a task of wb.tasks() with wb.task('ioi'), or make one of your own, "
    "wb.task([(clean, corrupt, answer, foil)]).",
}


def checked(call: Checked) -> Checked:
    """The call, in ordinary torch, with every argument held against its annotation before.

    Of a class: how it is made, its public methods, and the setters of its properties.
    """
    if isinstance(call, type):
        for name, own in list(vars(call).items()):
            if not name.startswith("_") or name in ("__call__", "__getitem__", "__init__"):
                setattr(call, name, _checked_member(own))
        return call  # pyright: ignore[reportReturnType]

    @wraps(call)
    def checking(*args: Any, **options: Any) -> Any:
        signature, rules = _arguments(call)
        where = _where(call.__module__, call.__qualname__)
        try:
            bound = signature.bind(*args, **options)
        except TypeError as error:
            hint = arguments_here(set(options) - set(signature.parameters))
            takes = ", ".join(name for name in signature.parameters if name not in ("self", "cls"))
            raise ArgumentError(f"{where}: {error}; it takes {takes}.{hint}") from None
        for name, value in bound.arguments.items():
            if name in rules and value is not signature.parameters[name].default:
                bound.arguments[name] = held(name, rules[name], value, where)
        for name, make in _readers(call).items():
            if name in bound.arguments:
                bound.arguments[name] = make(bound.arguments[name], bound.arguments)
        with ordinary_torch():
            return call(*bound.args, **bound.kwargs)

    checking.is_checked = True  # pyright: ignore[reportAttributeAccessIssue]
    return checking  # pyright: ignore[reportReturnType]


def _checked_member(own: Any) -> Any:
    if isinstance(own, types.FunctionType):
        return own if getattr(own, "is_checked", False) else checked(own)
    if isinstance(own, (classmethod, staticmethod)):
        return type(own)(checked(own.__func__))
    return own.setter(checked(own.fset)) if isinstance(own, property) and own.fset else own


@cache
def _where(module: str, name: str) -> str:
    """The call as its user writes it after `wb.`: one of a family with it, "lens.tuned"."""
    # A model is known to its user as a wb.Model, whichever backend is behind it.
    name = name.removesuffix(".__init__").replace("TracedModel.", "Model.")
    family, first = ".".join(module.split(".")[:2]), name.split(".")[0]
    flat, own = (getattr(sys.modules[m], "__all__", ()) for m in ("workbench", family))
    return f"{family.split('.')[-1]}.{name}" if first in own and first not in flat else name


def _help(call: str) -> str:
    """Where a call is explained; nothing of one that its user reaches by another name (plot)."""
    public = sys.modules["workbench"].__all__
    return f"See help(wb.{call})." if call.split(".")[0] in public else ""


def held(name: str, hint: Any, value: Any, call: str) -> Any:
    """The value as the annotation has it. `call` is where its user reads more."""
    out = fits(hint, value)
    if out is not NO:
        return out
    kinds = {getattr(each, "__name__", ""): each for each in (hint, *get_args(hint))}
    # What is made at sites is Dictionaries, also at one site: one passes for the other.
    several = list(value.values()) if isinstance(value, Mapping) else value
    several = several if isinstance(several, (list, tuple)) else [several]
    if several and all(type(each).__name__ == "Dictionary" for each in several):
        if "Dictionaries" in kinds:
            return kinds["Dictionaries"](several)
        if fits(hint, several[0]) is not NO:
            if len(several) == 1:
                return several[0]
            first = str(next(iter(value))) if isinstance(value, Mapping) else 0
            raise refuse(name, says(hint), value, f"Take one of them, as dicts[{first!r}].")
    made = next((_MADE_BY[kind] for kind in kinds if kind in _MADE_BY), None)
    raise refuse(name, says(hint, value), value, made or _help(call))


@cache
def _readers(call: Callable[..., Any]) -> dict[str, Callable[..., Any]]:
    """What makes of an argument, and of the others, what the call works with."""
    _, rules = _arguments(call)
    notes = {name: getattr(rule, "__metadata__", ()) for name, rule in rules.items()}
    return {name: n.make for name, each in notes.items() for n in each if isinstance(n, Read)}


@cache
def _arguments(call: Callable[..., Any]) -> tuple[inspect.Signature, dict[str, Any]]:
    """How it is called, and the rule of each argument."""
    signature = inspect.signature(call)
    many = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    rules = {}
    for p in signature.parameters.values():
        if p.annotation is not p.empty:
            one = resolved(p.annotation, call.__module__)
            each = Sequence[one] if p.kind is p.VAR_POSITIONAL else Mapping[str, one]
            rules[p.name] = each if p.kind in many else one
    return signature, rules
