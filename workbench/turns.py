"""Turns: the runs of one model take them, so that no thread meets another's edit."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .ordinary import ordinary_torch

Given = ParamSpec("Given")
Gives = TypeVar("Gives")

#: How many seconds a run waits for one other run, and for one block of edited weights, to end.
OF_A_RUN, OF_AN_EDIT = 1800.0, 30.0


class Turn:
    """Who may run: one thread at a time, as often nested as it likes.

    Models over the same memory share one. A block of edited weights is a turn too; one that does
    not end may be waiting for the very thread that waits for it, so that is refused in the end.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._owner: int | None = None
        self._depth = self._edits = self._n_ended = 0

    @contextmanager
    def taken(self, *, edits: bool = False) -> Iterator[None]:
        """The turn for the block, waited for. Raises `RuntimeError` where it does not come."""
        me = threading.get_ident()
        with self._changed:
            while self._owner not in (None, me):
                n_ended = self._n_ended
                came = self._changed.wait(OF_AN_EDIT if self._edits else OF_A_RUN)
                if not came and self._n_ended == n_ended:
                    raise RuntimeError(self._why())
            self._owner, self._depth = me, self._depth + 1
            self._edits += edits
        try:
            yield
        finally:
            with self._changed:
                self._depth, self._edits = self._depth - 1, self._edits - edits
                if not self._depth:
                    self._owner, self._n_ended = None, self._n_ended + 1
                    self._changed.notify_all()

    def _why(self) -> str:
        if self._edits:
            return (
                "A model whose weights are edited is run by the thread that edited them; another "
                f"thread's block of edited weights has not ended in {OF_AN_EDIT:.0f} seconds. Run "
                "in that thread, or after the block."
            )
        return (
            "The runs of one model take turns; another thread's has not ended in "
            f"{OF_A_RUN:.0f} seconds. End it, or load the model a second time."
        )


#: The turn of each model in memory, by where its first numbers are.
_TURNS: weakref.WeakValueDictionary[int, Turn] = weakref.WeakValueDictionary()


def turn_of(memory: int) -> Turn:
    """The turn of all models whose numbers begin at this address; one of its own for none (0)."""
    return _TURNS.setdefault(memory, Turn()) if memory else Turn()


def alone(
    method: Callable[Concatenate[Any, Given], Gives],
) -> Callable[Concatenate[Any, Given], Gives]:
    """A model's method, with no other thread's run beside it and in ordinary torch."""

    @wraps(method)
    def call(self: Any, /, *args: Given.args, **options: Given.kwargs) -> Gives:
        with self.turn.taken(), ordinary_torch():
            return method(self, *args, **options)

    return call
