"""The controls over a live flow: what is typed, chosen and slid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets

from ..check import whole

#: The slider amplifies a feature up to so many times.
MOST_SCALE = 4.0
WHOLE_PROMPT = "largest over the prompt"
#: In place of a position. A dropdown shows an option whose value is None as empty.
_NO_POSITION = -1
_STYLE = {"description_width": "initial"}


class FlowControls:
    """The ipywidgets of a live flow, without what they do; `rows` is how they stand."""

    def __init__(self, prompt: str) -> None:
        narrow = ipywidgets.Layout(width="6em")
        self.prompt: Any = ipywidgets.Textarea(
            prompt,
            rows=2,
            placeholder="Text for the model to read",
            layout=ipywidgets.Layout(width="auto"),
        )
        self.feature: Any = ipywidgets.Text(
            description="feature",
            placeholder="L3.resid_post/123, or a word of its label",
            continuous_update=False,
            style=_STYLE,
            layout=ipywidgets.Layout(width="19em"),
        )
        self.found: Any = ipywidgets.Dropdown(
            description="found",
            style=_STYLE,
            layout=ipywidgets.Layout(width="auto", flex="1 1 14em"),
        )
        self.position: Any = ipywidgets.Dropdown(
            description="activations",
            style=_STYLE,
            layout=ipywidgets.Layout(width="19em"),
        )
        self.scale: Any = ipywidgets.FloatSlider(
            1.0,
            min=0.0,
            max=MOST_SCALE,
            step=0.25,
            disabled=True,
            continuous_update=False,
            readout_format=".2f",
            style=_STYLE,
            layout=ipywidgets.Layout(width="28em"),
        )
        self.undo = ipywidgets.Button(description="undo", disabled=True, layout=narrow)
        self.reset = ipywidgets.Button(
            description="reset", tooltip="All features as they were", layout=narrow
        )
        self.page: Any = ipywidgets.ToggleButton(
            True, description="page", tooltip="The page of the feature clicked", layout=narrow
        )
        self.code: Any = ipywidgets.ToggleButton(
            False, description="code", tooltip="Python that does the same", layout=narrow
        )
        self.show_scale("", 1.0)

    @property
    def rows(self) -> list[Any]:
        """The prompt, what is followed, and what is done to it."""
        layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        buttons = [self.scale, self.undo, self.reset, self.page, self.code]
        return [
            self.prompt,
            ipywidgets.HBox([self.feature, self.found, self.position], layout=layout),
            ipywidgets.HBox(buttons, layout=layout),
        ]

    @property
    def at(self) -> int | None:
        """The position chosen, None for the whole prompt."""
        return None if self.position.value in (None, _NO_POSITION) else self.position.value

    @at.setter
    def at(self, position: int | None) -> None:
        if position is not None:
            position = whole("position", position, 0, len(self.position.options) - 2)
        self.position.value = _NO_POSITION if position is None else position

    def show_found(self, found: Sequence[tuple[str, str]]) -> None:
        """Offer the features found, as (name, text) pairs; nothing where there is only one."""
        self.found.options = [(text, name) for name, text in found]
        self.found.value = found[0][0]
        self.found.layout.display = "" if len(found) > 1 else "none"

    def show_positions(self, strings: Sequence[str]) -> None:
        """Offer the prompt's tokens as positions; the choice stays where it is still there."""
        options = [(WHOLE_PROMPT, _NO_POSITION)]
        options += [(f"at {i}: {string!r}", i) for i, string in enumerate(strings)]
        if list(self.position.options) != options:
            before = self.at
            self.position.options = options
            kept = before is not None and before < len(strings)
            self.at = before if kept else None

    def show_scale(self, feature: str, factor: float) -> None:
        """The slider is of this feature, "" for none."""
        self.scale.disabled = not feature
        self.scale.description = f"scale of {feature}" if feature else "scale: click a feature"
        self.scale.value = min(factor, MOST_SCALE)
