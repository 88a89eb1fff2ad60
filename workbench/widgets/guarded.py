"""A widget whose messages from the browser are checked before anything changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anywidget
import traitlets
from traitlets import TraitError

STATIC = Path(__file__).parent / "static"


class GuardedWidget(anywidget.AnyWidget):
    """The base of a widget that takes a choice from the browser and nothing else.

    NAME: of its bundle in `static/`. DATA: the traits that only Python may set.
    """

    NAME: str
    DATA: frozenset[str] = frozenset()

    def __init_subclass__(cls, **options: Any) -> None:
        # Each widget is of a subclass of its own, with traits in place of these files.
        if "NAME" in vars(cls):
            cls._esm, cls._css = (STATIC / f"{cls.NAME}.{kind}" for kind in ("js", "css"))
        super().__init_subclass__(**options)

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """Takes the user's choice from the browser; a message that does not fit changes nothing.

        Raises TraitError for one that does not fit, after sending the browser the true state.
        """
        try:
            if foreign := sorted(self.DATA & sync_data.keys()):
                raise TraitError(f"the browser may not change the widget's data: {foreign}")
            super().set_state(sync_data)
        except TraitError:
            self.send_state([name for name in sync_data if name in self.keys])
            raise


def one_of(trait: str, allowed: Sequence[str]) -> Any:
    """The check of a trait that is one of these strings, to be named in the class."""

    @traitlets.validate(trait)
    def check(_: Any, proposal: Any) -> str:
        if proposal["value"] not in allowed:
            raise TraitError(f"{trait} is one of {', '.join(allowed)}; given {proposal['value']!r}")
        return proposal["value"]

    return check


def strings(name: str, given: Sequence[str]) -> list[str]:
    """The strings as a list; raises TypeError for anything else, one string alone among it."""
    if isinstance(given, str) or not all(isinstance(item, str) for item in given):
        of_ids = ", such as [tokenizer.decode(i) for i in ids]" if name == "tokens" else ""
        raise TypeError(f"{name} is a list of strings; given {given!r:.80}{of_ids}")
    return list(given)


def is_index(value: Any, length: int) -> bool:
    """Whether the value is a whole number (True is not) from 0 and below the length."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < length
