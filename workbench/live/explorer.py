"""Explorer: declared controls over a view, where each change runs public calls and redraws."""

from __future__ import annotations

import asyncio
import base64
import html
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import ipywidgets
from IPython.display import display

from ..check import checked
from ..files import put_text
from ..loading import load
from ..model import Model
from ..widgets import page
from .calls import Calls
from .controls import NARROW, Control

#: Seconds to wait for the next change before the model runs.
PAUSE = 0.02


@checked
class Explorer(ipywidgets.VBox):
    """Controls, a line for messages, a view and panels; a subclass declares them and `_compute`.

    Each `Control` of the class is a widget, `boxes[name]`, and a property to read and set. `ROWS`
    says how they stand; those that stand in no row are clicked in the view. A change calls
    `_<control>_changed` where there is one, then `_compute`, which runs what the controls ask for
    through `calls` and gives what the view shows, then `_draw`. message: why the last change could
    not be shown, or what there is to know, else ""; the view keeps what it showed, dimmed. Trouble
    with what an explorer begins with is an ordinary error.
    """

    #: Controls and attributes that stand in each row, and over and under the view; "buttons" are
    #: undo, reset and code.
    ROWS: tuple[tuple[str, ...], ...] = ()
    ABOVE: tuple[str, ...] = ()
    BELOW: tuple[str, ...] = ()
    #: What the view says of itself while it shows what came before the trouble.
    STALE = "error: this is the last state that worked"
    #: The attribute that holds the result whose picture stands where no kernel runs.
    PICTURE = "result"
    #: What `reset` goes back to, as its button says.
    BEGINNING = "As it began"
    view: Any = None
    #: Whether what is set now is no choice of a person's, so that nothing has to run.
    _quiet = False

    def __init__(
        self,
        model: Model,
        view: Callable[..., Any],
        start: dict[str, dict[str, Any]],
        calls: Calls | None = None,
    ) -> None:
        """view: what makes it of what `_compute` gives. start: traits of controls, by name.

        calls: they know what else is given.
        """
        self.model, self.calls = model, calls or Calls()
        spec = model.spec
        how = {} if spec.backend == "nnsight" else {"backend": spec.backend}
        how |= {} if spec.dtype == "float32" else {"dtype": spec.dtype}
        self.calls.given("model", model, load, spec.name, **how)
        self.message = self._note = ""
        self._pending: asyncio.TimerHandle | None = None
        self._waiting: dict[str, None] = {}
        self._declared = {
            name: control
            for owner in reversed(type(self).__mro__)
            for name, control in vars(owner).items()
            if isinstance(control, Control)
        }
        self.boxes = {
            name: control.widget(**start.get(name, {})) for name, control in self._declared.items()
        }
        self._message = ipywidgets.HTML(layout=ipywidgets.Layout(margin="0 0 0 2px"))
        self._hides = ipywidgets.HTML(layout=ipywidgets.Layout(display="none"))
        self._code = ipywidgets.Textarea(
            layout=ipywidgets.Layout(width="auto", height="13em", display="none")
        )
        named = {"buttons": self._buttons()}

        def widgets(names: Iterable[str]) -> list[Any]:
            return [
                each
                for name in names
                for each in named.get(name) or [self.boxes.get(name) or getattr(self, name)]
            ]

        self.calls.begin()
        self._drawn = self._compute()
        self.view = view(**self._drawn)
        self.calls.end()
        layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        lines = [widgets(row) for row in self.ROWS]
        rows = [row[0] if len(row) == 1 else ipywidgets.HBox(row, layout=layout) for row in lines]
        above, below = widgets(self.ABOVE), widgets(self.BELOW)
        super().__init__([*rows, *above, self._message, self.view, *below, self._code, self._hides])
        for name, control in self._declared.items():
            if control.trait:
                owner, _, trait = control.trait.rpartition(".")
                self._link(self.boxes[name], getattr(self, owner or "view"), trait)
            self.boxes[name].observe(self._observer(name), names="value")
        self._undo: list[dict[str, Any]] = []
        self._last = self._beginning = self._state()
        self._typed = ""
        self._finish()

    def _buttons(self) -> list[Any]:
        def button(name: str, hint: str, kind: Any = ipywidgets.Button) -> Any:
            layout = ipywidgets.Layout(width=NARROW)
            return kind(description=name, tooltip=hint, layout=layout)

        self._undo_button = button("undo", "Take the last change back")
        self._undo_button.on_click(lambda _: self.undo())
        self._reset_button = button("reset", self.BEGINNING)
        self._reset_button.on_click(lambda _: self.reset())
        self._code_button = button("code", "Python that does the same", ipywidgets.ToggleButton)
        self._code_button.observe(self._show_code, names="value")
        return [self._undo_button, self._reset_button, self._code_button]

    def _compute(self) -> dict[str, Any]:
        """Run the public calls for the controls as they are; what the view shows of them."""
        raise TypeError(f"{type(self).__name__} defines no _compute(); define it in the subclass.")

    def _draw(self) -> str:
        """Show what a run gave beside the view; what there is to know of it, or ""."""
        return ""

    @property
    def code(self) -> str:
        """Python that gives what is shown: the calls of the last run that worked."""
        return self.calls.code

    def undo(self) -> None:
        """Go back to before the last change."""
        if self._undo:
            self._restore(self._undo.pop())

    def reset(self) -> None:
        """Go back to the beginning; `undo` brings the choices back."""
        if self._last != self._beginning:
            self._undo.append(self._last)
            self._restore(self._beginning)

    def html(self, *, title: str | None = None) -> str:
        """The view as it is now, as one self-contained HTML page that needs no network."""
        return self._page(title or self._title())

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write the page of `html` to `path`, and return that path."""
        return put_text(path, self.html(title=title))

    def _page(self, title: str) -> str:
        return page(self.view, title)

    def _title(self) -> str:
        return repr(self)

    def _ipython_display_(self) -> None:
        """The explorer, and a picture of it as it is now: a notebook keeps the picture, and the
        living explorer hides it.
        """
        image = base64.b64encode(getattr(self, self.PICTURE).png()).decode("ascii")
        key = "wb-" + sha256(image.encode()).hexdigest()[:16]
        self._hides.value = f'<style>[data-still="{key}"] {{ display: none !important }}</style>'
        still = f'<img data-still="{key}" alt="{html.escape(self._title())}"'
        still += f' style="max-width: 100%" src="data:image/png;base64,{image}">'
        own: Any = self._repr_mimebundle_()
        text = {"text/plain": repr(self)}
        display(own | text, raw=True)
        display({"text/html": still} | text, raw=True)

    # -- what a change does ----------------------------------------------------------------------

    def _link(self, box: Any, view: Any, trait: str) -> None:
        """What is clicked in a view is the control's value, and the other way round."""
        box.value = getattr(view, trait)
        view.observe(lambda change: setattr(box, "value", change["new"]), names=trait)
        box.observe(lambda change: setattr(view, trait, change["new"]), names="value")

    def _observer(self, name: str) -> Callable[[Any], None]:
        def changed(change: Any) -> None:
            if not self._quiet:
                self._changed(name)

        return changed

    def _changed(self, name: str) -> None:
        """A person has changed a control."""
        follow = getattr(self, f"_{name}_changed", None)
        if follow is not None:
            with self._in_place(), self._quietly():
                self._note = follow() or ""
            if self._failed:
                # A run that waits would take the trouble for settled.
                self._run_no_more()
                return
        state = self._state()
        if state != self._last:
            # What is typed into one box is taken back at once.
            if not (name == self._typed and self._undo):
                self._undo.append(self._last)
            self._typed = name if self._declared[name].is_typed else ""
            self._last = state
            self._undo_button.disabled = False
        self._run_soon()

    def _run_soon(self) -> None:
        """Changes by hand that come in meanwhile make one run, with the last of them.

        What code sets is run at once, so that its next line finds what it asked for.
        """
        self._run_no_more()
        if not self._by_hand():
            self._run()
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # no kernel, so nothing further can come in
            self._run()
            return
        self.view.status = "running…"
        self._pending = loop.call_later(PAUSE, self._run)

    def _run_no_more(self) -> None:
        """Take back the run that waits, if there is one."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _by_hand(self) -> bool:
        """Whether the browser is setting something, and not code."""
        shown = [*self.boxes.values(), *vars(self).values()]
        return any(getattr(each, "_property_lock", None) for each in shown)

    def _run(self) -> None:
        self._pending = None
        self.calls.begin()
        with self._in_place():
            if (data := self._compute()) is not self._drawn:
                with self._quietly():
                    self.view.update(**data)
                self._drawn = data
        if not self._failed:
            self.calls.end()
            self._finish()

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Whatever goes wrong inside is said in place, since a callback has no cell."""
        self._failed, self.view.status = True, "running…"
        try:
            yield
        except KeyboardInterrupt:
            self._say("The run was interrupted.")
        except Exception as error:
            self._say(said(error))
        else:
            self._failed, self.view.status = False, ""

    def _finish(self) -> None:
        with self._quietly():
            note = self._draw() or self._note
        self._note = ""
        self._last = self._state()
        self._undo_button.disabled = not self._undo
        self._code.value = self.code
        self._say(note, is_error=False)

    def _state(self) -> dict[str, Any]:
        """What `undo` goes through."""
        return {name: getattr(self, name) for name, each in self._declared.items() if each.undo}

    def _restore(self, state: dict[str, Any]) -> None:
        with self._quietly():
            for name, value in state.items():
                self.boxes[name].value = value
        self._last, self._typed = state, ""
        self._undo_button.disabled = not self._undo
        self._run_soon()

    def _begin_anew(self) -> None:
        """What was chosen before is another thing now: nothing of it can be undone."""
        self._undo.clear()

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """What is set inside is no choice of a person's."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    # -- what is said ----------------------------------------------------------------------------

    def _say(self, message: str, *, is_error: bool = True) -> None:
        """Say in the line for messages what went wrong, or what there is to know."""
        self.message = message
        role = 'alert" style="color: var(--jp-error-color1, #c62828)' if is_error else "status"
        text = html.escape(message)
        self._message.value = f'<span role="{role}">{text}</span>' if message else ""
        if message and is_error:
            self.view.status = self.STALE

    def _tell(self, panel: Any, make: Callable[[], str], what: str = "") -> None:
        """Show HTML in a panel; trouble is said there, since the view is as good as before."""
        try:
            panel.value = make()
        except Exception as error:
            panel.value = f'<span role="alert">{html.escape(f"{what}{said(error)}")}</span>'

    def _show_code(self, change: Any) -> None:
        self._code.layout.display = "" if self._code_button.value else "none"


def said(error: BaseException) -> str:
    """An error in words; those of a `KeyError` without their quotation marks."""
    one = isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str)
    return error.args[0] if one else str(error) or repr(error)
