"""Calls: the public calls that an explorer makes, each made once, and printed as Python."""

from __future__ import annotations

import functools
import inspect
import operator
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import workbench as wb

#: A line that would be longer is broken, an argument a line.
LONGEST = 88
_PLAIN = (str, int, float, bool, type(None))


@dataclass(frozen=True, eq=False)
class Call:
    """A call that was made, or one by which `result` can be had."""

    name: str
    function: Callable[..., Any] | None
    args: tuple[Any, ...]
    options: Mapping[str, Any]
    result: Any

    @property
    def owner(self) -> Any:
        """The object whose method was called, else None."""
        return getattr(self.function, "__self__", None)

    def is_same(self, function: Any, args: tuple[Any, ...], options: Mapping[str, Any]) -> bool:
        return self.function == function and _same(self.args, args) and _same(self.options, options)


class Calls:
    """The calls of an explorer: `calls(name, function, *args, **options)` gives the result.

    What the last run called with the same arguments is not called again. `code` prints the calls of
    the last run as they were made, with the names under which the package offers them: those with a
    name, and of the others those that stand in them. Only public functions and methods can be
    called; so can `operator.getitem` and `getattr`.
    """

    def __init__(self) -> None:
        self._given: dict[str, Call] = {}
        self._held: list[Call] = []
        self._now: list[Call] = []
        self._shown: tuple[list[Call], list[Call]] = [], []

    def given(
        self,
        name: str,
        value: Any,
        function: Callable[..., Any] | None = None,
        *args: Any,
        **options: Any,
    ) -> Any:
        """The value stands under this name; function: what the code calls to have it again.

        Without one the code says that it is what the explorer was given. Numbers and texts are
        written as they are.
        """
        if not isinstance(value, _PLAIN):
            self._given[name] = Call(name, function, args, options, value)
        return value

    def begin(self) -> None:
        """A new run."""
        self._now = []

    def end(self) -> None:
        """The run worked: its calls are the code, and held for the next."""
        self._held = self._now
        self._shown = list(self._given.values()), list(self._now)

    def forget(self) -> None:
        """Make every call again: what they were given has changed within."""
        self._held = []

    def __call__(self, name: str, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        for held in (*self._now, *self._held):
            if held.is_same(function, args, options):
                result = held.result
                break
        else:
            result = function(*args, **options)
        self._now.append(Call(name, function, args, options, result))
        return result

    def stands_for(
        self, name: str, result: Any, function: Callable[..., Any], *args: Any, **options: Any
    ) -> Any:
        """Print a call for a result with the same numbers, had quicker from what is held."""
        self._now.append(Call(name, function, args, options, result))
        return result

    @property
    def code(self) -> str:
        """The calls as Python that runs by itself, but for what is named in a comment."""
        given, made = self._shown
        return _Printer(given, made).text


class _Printer:
    """Calls as text. What was given, and calls without a name, are printed where they are used."""

    def __init__(self, given: list[Call], made: list[Call]) -> None:
        # By the identity of what they gave: the first call, or the first with a name.
        self._known: dict[int, Call] = {}
        for call in (*given, *made):
            first = self._known.get(id(call.result))
            if isinstance(call.result, _PLAIN) or call.result is call.owner:
                continue
            if first is None or (call.name and not first.name):
                self._known[id(call.result)] = call
        self._given = {id(call) for call in given}
        self._lines: list[str] = []
        self._said: dict[str, Call] = {}
        self._unknown: list[str] = []
        for call in made:
            if call.name:
                self._define(call)

    @property
    def text(self) -> str:
        names = ", ".join(self._unknown)
        comment = [f"# {names}: those that this explorer was given"] if names else []
        return "\n".join(["import workbench as wb", "", *comment, *self._lines])

    def _define(self, call: Call) -> str:
        """The name of a call, whose line stands above."""
        if self._said.get(call.name) is not call:
            self._said[call.name] = call
            if call.function is None:
                self._unknown.append(call.name)
            else:
                self._lines.append(f"{call.name} = {self._call(call)}")
        return call.name

    def _call(self, call: Call) -> str:
        function = call.function
        if function is operator.getitem:
            owner, key = call.args
            return f"{self._value(owner)}[{self._value(key)}]"
        if function is getattr:
            return f"{self._value(call.args[0])}.{call.args[1]}"
        assert function is not None
        known = call.owner is not None and id(call.owner) in self._known
        head = f"{self._value(call.owner)}.{_member(function)}" if known else public_name(function)
        items = [self._value(each) for each in call.args]
        plain = _defaults(function)
        items += [
            f"{name}={self._value(value)}"
            for name, value in call.options.items()
            if name not in plain or not _same(value, plain[name])
        ]
        return _wrapped(f"{head}(", items, ")")

    def _value(self, value: Any) -> str:
        if isinstance(value, _PLAIN):
            return repr(value)
        if (call := self._known.get(id(value))) is not None:
            if call.name or id(call) in self._given:
                return self._define(call)
            return self._call(call)
        if isinstance(value, Mapping):
            pairs = [f"{self._value(key)}: {self._value(each)}" for key, each in value.items()]
            return _wrapped("{", pairs, "}")
        if isinstance(value, list):
            return _wrapped("[", [self._value(each) for each in value], "]")
        if isinstance(value, tuple):
            items = [self._value(each) for each in value]
            return _wrapped("(", items, ",)" if len(items) == 1 else ")")
        raise TypeError(
            f"A recorded call takes texts, numbers, what was given and results of earlier calls; "
            f"got a {type(value).__name__}. Name it with `given`."
        )


def public_name(function: Callable[..., Any]) -> str:
    """The name under which `workbench` offers a function or class: `wb.ablate`.

    Raises `TypeError` for what is not public.
    """
    name = getattr(function, "__name__", "")
    if isinstance(owner := getattr(function, "__self__", None), type):
        return f"{public_name(owner)}.{_member(function)}"
    if name and not name.startswith("_"):
        if getattr(wb, name, None) is function:
            return f"wb.{name}"
        # A family is a namespace: its folder is its name.
        family = function.__module__.split(".")[1:2]
        if family and getattr(getattr(wb, family[0], None), name, None) is function:
            return f"wb.{family[0]}.{name}"
    raise TypeError(f"An explorer makes public calls; got {function!r}.")


def _member(function: Callable[..., Any]) -> str:
    if (name := function.__name__).startswith("_"):
        raise TypeError(f"An explorer calls public methods; got {function!r}.")
    return name


@functools.cache
def _signature(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a method of torch, which has none
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def _defaults(function: Callable[..., Any]) -> dict[str, Any]:
    return _signature(getattr(function, "__func__", function))


def _wrapped(head: str, items: list[str], tail: str) -> str:
    """Items between brackets on one line, or a line each where that is too long."""
    line = f"{head}{', '.join(items)}{tail}"
    if not items or (len(line) <= LONGEST and "\n" not in line):
        return line
    body = textwrap.indent(",\n".join(items), "    ")
    return f"{head}\n{body},\n{tail.lstrip(',')}"


def _same(a: Any, b: Any) -> bool:
    """Whether two arguments are one object, or literals that say the same."""
    if a is b:
        return True
    if type(a) is not type(b):
        return False
    if isinstance(a, _PLAIN):
        return a == b
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[key], b[key]) for key in a)
    return False
