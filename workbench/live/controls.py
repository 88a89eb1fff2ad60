"""Controls: what an explorer asks of a person, each a widget and a property of the explorer."""

from __future__ import annotations

import copy
from typing import Any

import ipywidgets
import numpy as np
import traitlets

from ..check import ArgumentError, number, refuse, whole

#: Widths of controls in a row: as wide as its text, and what the others leave.
NARROW, REST = "6em", "rest"


class Held(traitlets.HasTraits):
    """A value that no control of ipywidgets shows: what is clicked in a view."""

    value = traitlets.Any()


class Control(property):
    """A choice, declared on an explorer's class: a widget for a hand, a property for code.

    kind: the class of ipywidgets, or `Held`. label, hint: beside it, and what it says by itself.
    width: CSS, or `REST`. undo: whether `undo` takes a change back and `reset` knows its beginning.
    trait: of the explorer's view, or "grid.feature" of another, which is the same value. traits: of
    the widget.

    Setting the property is what a hand does; it raises `ArgumentError` for what the widget does not
    offer.
    """

    def __init__(
        self,
        kind: type[Any],
        label: str = "",
        *,
        hint: str = "",
        width: str = "auto",
        undo: bool = False,
        trait: str = "",
        **traits: Any,
    ) -> None:
        self.kind, self.label, self.hint, self.width = kind, label, hint, width
        self.undo, self.trait, self.traits = undo, trait, traits
        super().__init__(self._value, self._choose)
        self.__doc__ = hint or label

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def setter(self, fset: Any) -> Control:
        """Itself: a control checks by its widget, and `checked` has nothing to add."""
        return self

    @property
    def is_typed(self) -> bool:
        """Whether each keystroke is a change."""
        return issubclass(self.kind, (ipywidgets.Text, ipywidgets.Textarea))

    def widget(self, **traits: Any) -> Any:
        """A new widget; traits are those that an explorer knows only when it is made."""
        if self.kind is Held:
            return Held(**traits)
        given = self.traits | traits
        if self.label:
            given["description"] = self.label
        if self.hint:
            given["placeholder" if self.is_typed else "tooltip"] = self.hint
            # Beside a box the text has the room that it needs; a button is its own text.
            if not issubclass(self.kind, ipywidgets.ToggleButton):
                given["style"] = {"description_width": "initial"}
        wide = {"width": "auto", "flex": "1 1 14em"} if self.width == REST else {}
        layout = ipywidgets.Layout(**(wide or {"width": self.width}))
        return self.kind(layout=layout, **given)

    def _value(self, explorer: Any) -> Any:
        return copy.copy(explorer.boxes[self.name].value)

    def _choose(self, explorer: Any, value: Any) -> None:
        widget = explorer.boxes[self.name]
        offered = getattr(widget, "_options_values", None)
        if offered is not None:
            if not any(type(value) is type(each) and value == each for each in offered):
                raise refuse(self.name, f"one of {', '.join(map(repr, offered))}", value)
        elif hasattr(widget, "max"):
            check = whole if isinstance(widget.value, int) else number
            value = check(self.name, value, widget.min, widget.max)
        elif isinstance(widget.value, str) and not isinstance(value, str):
            raise refuse(self.name, "a text", value)
        elif isinstance(widget.value, bool):
            if not isinstance(value, (bool, np.bool_)):
                raise refuse(self.name, "True or False", value)
            value = bool(value)
        elif isinstance(widget.value, (list, tuple)):
            several = isinstance(value, (list, tuple))
            if not several or not all(isinstance(each, (str, int)) for each in value):
                raise refuse(self.name, "a list of names", value)
        try:
            widget.value = value
        except traitlets.TraitError as error:
            # What was given may be written on several lines.
            raise ArgumentError(" ".join(str(error).split())) from error
