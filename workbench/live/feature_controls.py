"""The controls of the feature browser: what is typed and chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ipywidgets
import pandas as pd

#: What a search can be by, and what is typed for each.
WAYS = {
    "label": "a part of a label, or a number",
    "token": "dog",
    "concept": "dog, cat, horse",
}
_STYLE = {"description_width": "initial"}


class FeatureControls:
    """The ipywidgets over a feature's page and over a prompt, without what they do."""

    def __init__(self, sites: Sequence[str], prompt: str, concepts: Sequence[str]) -> None:
        hints = [f"{way}: {example}" for way, example in WAYS.items()]
        if concepts:
            hints.append(f"or names: {', '.join(concepts[:2])}; or *, all")
        self.site: Any = ipywidgets.Dropdown(
            options=list(sites),
            description="dictionary",
            style=_STYLE,
            layout=ipywidgets.Layout(width="18em", display="" if len(sites) > 1 else "none"),
        )
        self.way: Any = ipywidgets.Dropdown(
            options=list(WAYS),
            description="search by",
            style=_STYLE,
            layout=ipywidgets.Layout(width="13em"),
        )
        self.query: Any = ipywidgets.Text(
            description="",
            # Fixed: where a view of the box is updated, what is being typed in it is lost.
            placeholder="; ".join(hints),
            continuous_update=False,
            layout=ipywidgets.Layout(width="auto", flex="1 1 16em"),
        )
        self.found: Any = ipywidgets.Select(
            description="", rows=8, layout=ipywidgets.Layout(width="auto")
        )
        self.prompt: Any = ipywidgets.Textarea(
            prompt,
            rows=2,
            placeholder="Text for the model to read",
            layout=ipywidgets.Layout(width="auto"),
        )

    @property
    def rows(self) -> list[Any]:
        """The search, and what it found."""
        layout = ipywidgets.Layout(flex_flow="row wrap", align_items="center")
        return [ipywidgets.HBox([self.site, self.way, self.query], layout=layout), self.found]

    def show_found(self, frame: pd.DataFrame, chosen: str) -> None:
        """Offer the features of a search; none is chosen where `chosen` is not among them."""
        self.found.options = [(_line(row), row["feature"]) for row in frame.to_dict("records")]
        self.show_chosen(chosen)

    def show_chosen(self, feature: str) -> None:
        """Mark a feature in the list, if it is there."""
        names = [name for _, name in self.found.options]
        self.found.value = feature if feature in names else None


def _line(row: dict[Any, Any]) -> str:
    """A feature as a line of the list: number, label, its score, how often, and how well it fits"""
    score = "not scored" if pd.isna(row["label_f1"]) else f"F1 {row['label_f1']:.2f}"
    parts = [
        str(row["feature"]).rsplit("/", 1)[1],
        f"{row['label'] or 'no label'} ({score})",
        f"fires at {100 * row['frequency']:.2g} %",
    ]
    if "share" in row:
        parts.append(f"{100 * row['share']:.0f} % of it here")
    if "concept" in row:
        parts.append(f"{row['concept']}: F1 {row['f1']:.2f}")
    return "  ·  ".join(parts)
