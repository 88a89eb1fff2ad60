"""What a result gives its widget, before the widget makes bytes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def widget_data(widget: type, draw: Callable[[], Any]) -> dict[str, Any]:
    """The arguments by name that a widget is made with while `draw` runs."""
    seen: dict[str, Any] = {}
    made: Any = widget.__init__

    def noted(self: Any, **arguments: Any) -> None:
        seen.update(arguments)
        made(self, **arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(widget, "__init__", noted)
        draw()
    return seen
