"""Calls and things by name: what the families declare, and the run of one of them.

A *call* is a function (c) -> mapping of tables, named by the public names that it covers. A
*thing* is what several calls take (a circuit, an index), made once a run and only where needed.
Both see the package as `c.wb`, which puts what `moved.py` says in place of a name that has moved.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

FAMILIES = (
    "core",
    "lenses",
    "circuits",
    "dictionaries",
    "features",
    "vocabulary",
    "observables",
    "information",
    "weights",
    "alignment",
)

Tables = Mapping[str, Any]
CALLS: dict[str, Call] = {}
THINGS: dict[str, Callable[[Context], Any]] = {}
#: The options that were given to each public call, by name.
GIVEN: dict[str, set[str]] = {}


@dataclass(frozen=True)
class Call:
    """A function that makes tables, and the public names that it covers: "patch", "Patching".

    backends: where it runs, None for both.
    """

    name: str
    covers: tuple[str, ...]
    tables: Callable[[Context], Tables]
    backends: tuple[str, ...] | None = None


def call(
    *covers: str, backends: tuple[str, ...] | None = None
) -> Callable[[Callable[[Context], Tables]], Callable[[Context], Tables]]:
    """Declare a function as the call of its own name, which covers these public names."""

    def declare(tables: Callable[[Context], Tables]) -> Callable[[Context], Tables]:
        name = tables.__name__
        if name in CALLS:
            raise ValueError(f"Calls have different names; {name!r} stands twice.")
        CALLS[name] = Call(name, covers or (name,), tables, backends)
        return tables

    return declare


def thing(make: Callable[[Context], Any]) -> Callable[[Context], Any]:
    """Declare what calls take as `c.<name>`."""
    THINGS[make.__name__] = make
    return make


def families() -> None:
    """Read every family's calls."""
    package = __name__.rpartition(".")[0]
    for family in FAMILIES:
        importlib.import_module(f"{package}.{family}")


class Moved:
    """A result of the new tree that is read as the old one was.

    columns: {new name: old name} of its table. frame: makes the old table where names are not
    enough. reads: old attributes and methods, each as a value or a function.
    """

    def __init__(
        self,
        new: Any,
        *,
        columns: Mapping[str, str] | None = None,
        frame: Callable[..., Any] | None = None,
        **reads: Any,
    ) -> None:
        self.new, self._columns, self._frame, self._reads = new, columns or {}, frame, reads

    def to_frame(self, *args: Any, **options: Any) -> Any:
        make = self._frame or self.new.to_frame
        return make(*args, **options).rename(columns=self._columns)

    def __getattr__(self, name: str) -> Any:
        reads = self.__dict__.get("_reads", {})
        return reads[name] if name in reads else getattr(self.__dict__["new"], name)


def as_new(value: Any) -> Any:
    """The new tree's own objects in place of those that are read as old ones."""
    if isinstance(value, Moved):
        return value.new
    if type(value) in (list, tuple):
        return type(value)(map(as_new, value))
    return {k: as_new(v) for k, v in value.items()} if type(value) is dict else value


class Package:
    """`workbench` by its old names: what has moved is called as `moved` says."""

    def __init__(self, moved: Mapping[str, Any]) -> None:
        self._moved = moved

    def __getattr__(self, name: str) -> Any:
        import workbench

        found = self._moved[name] if name in self._moved else getattr(workbench, name)
        if isinstance(found, type) or not callable(found):
            return found

        def called(*args: Any, **options: Any) -> Any:
            GIVEN.setdefault(name, set()).update(options)
            return found(*as_new(args), **as_new(options))

        return called


@dataclass
class Context:
    """What a call runs on: `c.wb`, a model's name, a backend, a seed, and every thing by name."""

    model_name: str
    backend: str
    folder: Path
    moved: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Callable[[Context], Any]] = field(default_factory=dict)
    seed: int = 0
    _things: dict[str, Any] = field(default_factory=dict)

    @property
    def wb(self) -> Any:
        return Package(self.moved)

    def __getattr__(self, name: str) -> Any:
        make = self.made.get(name) or THINGS.get(name)
        if make is None:
            raise AttributeError(f"There is no thing {name!r}; declare it with @thing.")
        if name not in self._things:
            self._things[name] = make(self)
        return self._things[name]


def by_name(column: str, each: Mapping[str, Any]) -> pd.DataFrame:
    """A value with its interval by name: columns `column`, value, low, high."""
    lines = [(name, *map(float, value)) for name, value in each.items()]
    return pd.DataFrame(lines, columns=[column, "value", "low", "high"])


def named(prefix: str, each: Mapping[str, Any]) -> dict[str, Any]:
    """The tables with a prefix before their names."""
    return {f"{prefix}: {key}": value for key, value in each.items()}


def chosen(only: list[str], backend: str) -> Iterator[Call]:
    """The calls that cover one of the names, or all of them."""
    names = {name.removeprefix("wb.") for name in only}
    for each in CALLS.values():
        here = each.backends is None or backend in each.backends
        if here and (not names or names & {each.name, *each.covers}):
            yield each
