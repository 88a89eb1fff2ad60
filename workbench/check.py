"""Check: what a call was given, against what it takes. The annotation of an argument is its rule.

`@checked` reads a call's annotations once and holds every argument against them before anything
runs: `steps: Count` takes a whole number from 1, `Sequence[str]` a list of texts and neither one
text nor a list of ids, `Literal["add", "remove"]` one of two words. numpy's numbers count as
Python's, and come in as Python's. What an annotation cannot say (a layer that the model has, shapes
that go together) the call checks itself, with `whole`, `number`, `one_of` and `tensor`.

Every error is an `ArgumentError` that says the rule, the value given cut to a line, and what to do.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from functools import cache, wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_args

from .annotations import NO, Within, as_real, as_whole, fits, resolved, says
from .ordinary import ordinary_torch

if TYPE_CHECKING:
    import torch

Checked = TypeVar("Checked", bound=Callable[..., Any])


class ArgumentError(TypeError, ValueError):
    """A call was given what it does not take: another kind of object, or a value out of range."""


#: How many of something, and of what may be none; the limit is above any use.
Count = Annotated[int, Within(1, 10_000_000, guard=True)]
Natural = Annotated[int, Within(0, 10_000_000, guard=True)]
Seed = Annotated[int, Within(0, 2**63 - 1, guard=True)]
Positive = Annotated[float, Within(0, above=True)]
NotNegative = Annotated[float, Within(0)]
Share = Annotated[float, Within(0, 1)]


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


def tensor(name: str, value: Any, shape: Sequence[int | None], then: str = "") -> torch.Tensor:
    """The value as a floating tensor of finite numbers; None in `shape` stands for any length."""
    import torch

    axes = ", ".join("n" if n is None else str(n) for n in shape)
    rule = f"numbers of shape ({axes}{',' * (len(shape) == 1)}), all finite"
    try:
        out = torch.as_tensor(value)
        out = out if out.is_floating_point() else out.float()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        raise refuse(name, rule, value, then) from None
    fits = [n is None or n == own for n, own in zip(shape, out.shape, strict=False)]
    if out.ndim != len(shape) or not all(fits) or not bool(out.isfinite().all()):
        raise refuse(name, rule, value, then)
    return out


# -- every argument of a call -----------------------------------------------------------------

_MADE_BY = {
    "Model": "Load a model with wb.load('tinyworld').",
    "Dictionary": "Read a dictionary with wb.load_dictionary(…).",
    "Dictionaries": "Read dictionaries with wb.dictionaries('tinyworld').",
    "Task": "Take a task of wb.tasks() with wb.task('ioi'), or make one with Task.from_pairs(…).",
}


def checked(call: Checked) -> Checked:
    """The call, with every argument held against its annotation before it runs.

    Of a class: its public methods, and the setters of its properties.
    """
    if isinstance(call, type):
        for name, own in list(vars(call).items()):
            if not name.startswith("_") or name in ("__call__", "__getitem__", "__init__"):
                setattr(call, name, _checked_member(own))
        return call  # pyright: ignore[reportReturnType]

    @wraps(call)
    def held(*args: Any, **options: Any) -> Any:
        signature, rules = _arguments(call)
        try:
            bound = signature.bind(*args, **options)
        except TypeError as error:
            takes = ", ".join(name for name in signature.parameters if name != "self")
            raise ArgumentError(f"{call.__qualname__}: {error}; it takes {takes}.") from None
        for name, value in bound.arguments.items():
            if name in rules and value is not signature.parameters[name].default:
                bound.arguments[name] = _held(name, rules[name], value, call.__qualname__)
        return call(*bound.args, **bound.kwargs)

    return held  # pyright: ignore[reportReturnType]


def _checked_member(own: Any) -> Any:
    if isinstance(own, types.FunctionType):
        return own if hasattr(own, "__wrapped__") else checked(own)
    if isinstance(own, (classmethod, staticmethod)):
        return type(own)(checked(own.__func__))
    return own.setter(checked(own.fset)) if isinstance(own, property) and own.fset else own


def check_fields(instance: Any) -> None:
    """Holds each field of a frozen dataclass against its annotation, for `__post_init__`."""
    kind = type(instance)
    for name, hint in _fields(kind).items():
        value = getattr(instance, name)
        out = _held(name, hint, value, kind.__name__)
        if out is not value:
            object.__setattr__(instance, name, out)


def _held(name: str, hint: Any, value: Any, call: str) -> Any:
    out = fits(hint, value)
    if out is not NO:
        return out
    kinds = [getattr(each, "__name__", "") for each in (hint, *get_args(hint))]
    made = next((_MADE_BY[kind] for kind in kinds if kind in _MADE_BY), None)
    raise refuse(name, says(hint, value), value, made or f"See help(wb.{call}).")


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


@cache
def _fields(kind: type) -> dict[str, Any]:
    """The rule of each field of a dataclass, read where the field is written."""
    homes = {
        name: each.__module__
        for each in reversed(kind.__mro__)
        for name in each.__dict__.get("__annotations__", {})
    }
    return {f.name: resolved(f.type, homes[f.name]) for f in fields(kind)}
