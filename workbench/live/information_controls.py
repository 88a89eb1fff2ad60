"""The controls over a live information flow: what is typed, chosen and pressed."""

from __future__ import annotations

from typing import Any

import ipywidgets

#: The edges that the slider can ask for.
LEAST_EDGES, MOST_EDGES = 20, 400
_STYLE = {"description_width": "initial"}


class InformationControls:
    """The ipywidgets of a live information flow, without what they do; `rows` is how they stand."""

    def __init__(self, prompt: str, *, by: str, target: str, foil: str, n_edges: int) -> None:
        narrow = ipywidgets.Layout(width="6em")
        self.prompt: Any = ipywidgets.Textarea(
            prompt,
            rows=2,
            placeholder="Text for the model to read",
            layout=ipywidgets.Layout(width="auto"),
        )
        self.by: Any = ipywidgets.Dropdown(
            options=[("share of the receiving state", "state"), ("effect on the answer", "answer")],
            value=by,
            description="edges weighed by",
            style=_STYLE,
            layout=ipywidgets.Layout(width="24em"),
        )
        self.target: Any = _word("answer", "the likeliest", target)
        self.foil: Any = _word("instead of", "the mean word", foil)
        self.n_edges: Any = ipywidgets.IntSlider(
            n_edges,
            min=min(n_edges, LEAST_EDGES),
            max=max(n_edges, MOST_EDGES),
            step=10,
            description="edges",
            continuous_update=False,
            style=_STYLE,
            layout=ipywidgets.Layout(width="20em"),
        )
        self.word: Any = _word("only around", "a word", "")
        self.cut_path: Any = ipywidgets.Button(
            description="cut this path",
            tooltip="Cut the strongest path between the two nodes clicked last",
            disabled=True,
            layout=ipywidgets.Layout(width="9em"),
        )
        self.undo = ipywidgets.Button(description="undo", disabled=True, layout=narrow)
        self.reset = ipywidgets.Button(
            description="reset", tooltip="All edges as they were", layout=narrow
        )
        self.code: Any = ipywidgets.ToggleButton(
            False, description="code", tooltip="Python that does the same", layout=narrow
        )

    @property
    def rows(self) -> list[Any]:
        """The prompt, how its flow is read, and what is done to it."""
        layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        return [
            self.prompt,
            ipywidgets.HBox([self.by, self.target, self.foil], layout=layout),
            ipywidgets.HBox(
                [self.n_edges, self.word, self.cut_path, self.undo, self.reset, self.code],
                layout=layout,
            ),
        ]


def _word(description: str, placeholder: str, value: str) -> Any:
    return ipywidgets.Text(
        value,
        description=description,
        placeholder=placeholder,
        continuous_update=False,
        style=_STYLE,
        layout=ipywidgets.Layout(width="14em"),
    )
