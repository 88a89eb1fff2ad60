"""Explorer: controls over a view, where each change runs something and redraws."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ipywidgets

from ..check import refuse
from ..files import put_text
from ..widgets import page

#: Seconds to wait for the next change before the model runs.
PAUSE = 0.02


class Explorer(ipywidgets.VBox):
    """Controls, a line for messages, and a view with a `status`; subclasses say what a run does.

    message: why the last change could not be shown, else "". What goes wrong in `_compute` is said
    there in words, and the view keeps what it showed, dimmed.
    """

    #: Whether what is set now is no choice of a person's, so that nothing has to run.
    _quiet = False
    #: What the view says of itself while it shows what came before the trouble.
    STALE = "error: this is the last state that worked"

    def __init__(self, view: Any, controls: Sequence[Any], below: Sequence[Any] = ()) -> None:
        self._view = view
        self._pending: asyncio.TimerHandle | None = None
        self._message = ipywidgets.HTML(layout=ipywidgets.Layout(margin="0 0 0 2px"))
        self.message = ""
        super().__init__([*controls, self._message, view, *below])

    def _compute(self) -> None:
        """Run the model for the controls as they are, and show it."""
        raise TypeError(f"{type(self).__name__} defines no _compute(); define it in the subclass.")

    def _changed(self, change: Any = None) -> None:
        """Run soon: changes that have come in meanwhile make one run, with the last of them."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nothing further can come in
            self._run()
            return
        if self._pending is not None:
            self._pending.cancel()
        self._view.status = "running…"
        self._pending = loop.call_later(PAUSE, self._run)

    def _run(self) -> None:
        self._pending = None
        self._view.status = "running…"
        try:
            self._compute()
        except KeyboardInterrupt:
            self._say("The run was interrupted.")
        except Exception as error:  # whatever went wrong is said in place; a callback has no cell
            self._say(str(error) or repr(error))
        else:
            self._view.status = ""
            self._say("")

    def _choose(self, control: Any, name: str, value: Any) -> None:
        """Set a control. Raises `ArgumentError` for what it does not offer."""
        offered = getattr(control, "_options_values", None)
        if offered is not None and value not in offered:
            raise refuse(name, f"one of {', '.join(map(repr, offered))}", value)
        control.value = value

    def _say(self, message: str) -> None:
        self.message = message
        red = "color: var(--jp-error-color1, #c62828)"
        text = html.escape(message)
        self._message.value = f'<span role="alert" style="{red}">{text}</span>' if message else ""
        if message:
            self._view.status = self.STALE

    def _note(self, message: str) -> None:
        """Something to know that is no error: what is shown is not stale."""
        self.message = message
        self._message.value = f'<span role="status">{html.escape(message)}</span>'

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """What is set inside is no choice of a person's."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    def _page(self, path: str | Path | None, title: str) -> str:
        text = page(self._view, title)
        if path is not None:
            put_text(path, text)
        return text
