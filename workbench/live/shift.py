"""The live SHIFT: tick features that should not matter, and see what a probe answers."""

from __future__ import annotations

import html
import operator
from collections.abc import Sequence
from typing import Any

import ipywidgets
import pandas as pd
import traitlets

from ..check import Seed, checked
from ..dictionary.collection import Dictionaries
from ..effects import Effects
from ..features.effects import FeatureEffects
from ..features.label import Labels
from ..features.shift import check_rows
from ..features.shift import shift as measure
from ..model import Model
from ..probing.probe import Probe
from ..texts import Texts
from .calls import Calls
from .controls import Control
from .explorer import Explorer
from .feature_names import read_from

#: So many features can be ticked at most: more are not read one by one.
MOST_LISTED = 32
#: Of the table of effects, what is shown.
COLUMNS = ["measure", "change", "plain", "changed", "effect", "low", "high", "control"]


PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body style="font-family: sans-serif"><h1>{title}</h1>{body}</body>
</html>
"""


class AccuracyTable(ipywidgets.HTML):
    """A table with what it says of itself below; it is pale while that is not empty."""

    status = traitlets.Unicode("")

    def __init__(self, frame: pd.DataFrame) -> None:
        self._table = ""
        super().__init__()
        self.observe(self._draw, names="status")
        self.update(frame)

    def update(self, frame: pd.DataFrame) -> None:
        """Show a table of numbers, with two decimals."""
        self._table = frame.to_html(float_format=lambda x: f"{x:.2f}", border=0, index=False)
        self._draw()

    def _draw(self, change: Any = None) -> None:
        pale = "0.45" if self.status else "1"
        self.value = (
            f'<div style="opacity: {pale}; overflow-x: auto">{self._table}</div>'
            f"<small>{self.status or '&nbsp;'}</small>"
        )


class Ticks(ipywidgets.GridBox):
    """A box to tick for each name; value: those that are ticked."""

    value = traitlets.Tuple()

    def __init__(self, names: Sequence[str], captions: Sequence[str], **options: Any) -> None:
        self.names = tuple(names)
        self.boxes = [
            ipywidgets.Checkbox(
                False, description=text, indent=False, layout=ipywidgets.Layout(width="auto")
            )
            for text in captions
        ]
        options["layout"] = ipywidgets.Layout(
            grid_template_columns="repeat(auto-fill, minmax(34em, 1fr))",
            max_height="24em",
            overflow="auto",
        )
        super().__init__(self.boxes, **options)
        for box in self.boxes:
            box.observe(self._ticked, names="value")

    def _ticked(self, change: Any) -> None:
        """One box was ticked or unticked; all at once where `value` was set."""
        if not self._is_set:
            ticked = zip(self.names, self.boxes, strict=True)
            self.value = tuple(name for name, box in ticked if box.value)

    _is_set = False

    @traitlets.observe("value")
    def _tick(self, change: Any) -> None:
        self._is_set = True
        for name, box in zip(self.names, self.boxes, strict=True):
            box.value = name in self.value
        self._is_set = False

    @traitlets.validate("value")
    def _in_order(self, proposal: Any) -> tuple[str, ...]:
        wanted = {str(name) for name in proposal["value"]}
        if missing := sorted(wanted - set(self.names)):
            raise traitlets.TraitError(
                f"{missing[0]} is not among the {len(self.names)} listed features; they are those "
                "of the largest separation, in `names`."
            )
        return tuple(name for name in self.names if name in wanted)


@checked
class LiveShift(Explorer):
    """Features with a box to tick, and a probe's accuracy before and after they are gone.

    names: of the features that are listed, the largest absolute separation first. ticked: those
    that are taken away, which can be set. result: the `Effects` of the last run, None while nothing
    is ticked. frame: the table that is shown. The code has the names of the arguments of
    `wb.live.shift`.
    """

    ROWS = (("_head",), ("ticked",), ("buttons",))
    PICTURE = "effects"
    BEGINNING = "Untick all"
    ticked = Control(Ticks, undo=True)

    def __init__(
        self,
        model: Model,
        texts: Any,
        probe: Probe,
        dicts: Dictionaries,
        effects: FeatureEffects,
        *,
        labels: Sequence[Any],
        groups: Sequence[str] | None,
        training: tuple[Any, Sequence[Any]] | None,
        seed: int,
    ) -> None:
        if effects.metric != repr(probe) or effects.separation is None:
            raise ValueError(
                f"The effects are those on another probe, {effects.metric}; got "
                f"{probe!r}. Find them with wb.features.effects(…, metric=probe)."
            )
        self.probe, self.dicts = probe, dicts
        self.effects, self._texts = effects, texts
        self._options: dict[str, Any] = {
            "labels": labels,
            "groups": groups,
            "training": training,
            "like": effects,
            "seed": seed,
        }
        calls = Calls()
        calls.given("dicts", dicts, *read_from(dicts, model.spec.name))
        given = {"probe": probe, "effects": effects, "texts": texts, "labels": labels}
        for name, value in (given | {"groups": groups, "training": training}).items():
            calls.given(name, value)
        self.names = effects.nodes["node"][:MOST_LISTED]
        words = {site: Labels.of(dictionary) for site, dictionary in dicts.items()}
        captions = [
            f"{name}  {separation:+.2f}  {_word(dicts, words, name)}"
            for name, separation in zip(self.names, effects.separation, strict=False)
        ]
        self._head = ipywidgets.HTML()
        self._head.value = (
            "Features, with the logits that each puts between the classes, and labels:"
        )
        self.result: Effects | None = None
        self.frame: pd.DataFrame
        start = {"ticked": {"names": self.names, "captions": captions}}
        super().__init__(model, AccuracyTable, start, calls)

    def _compute(self) -> dict[str, Any]:
        calls, given = self.calls, (self.model, self._texts, self.probe, self.dicts)
        result = None
        if self.ticked:
            result = calls("result", measure, *given, list(self.ticked), **self._options)
            frame = calls("frame", operator.getitem, calls("", result.to_frame), COLUMNS)
        else:
            frame = self._before()
        # All at once, so that trouble leaves what was there.
        self.result, self.frame = result, frame
        return calls("", dict, frame=frame)

    def _before(self) -> pd.DataFrame:
        """The accuracy of the model as it is, in the form of `COLUMNS`."""
        probe, texts = self.probe, self._texts
        labels, groups = self._options["labels"], self._options["groups"]
        second, rows = check_rows(probe, texts, labels, groups)
        right = (self.calls("logits", probe.logits, self.model, texts) > 0) == second
        plain = [right[own].mean() for own in rows.values()]
        return pd.DataFrame({"measure": list(rows), "plain": plain})

    def _page(self, title: str) -> str:
        return PAGE.format(title=html.escape(title), body=self.view.value)

    def __repr__(self) -> str:
        title = " / ".join(self.probe.classes)
        return f"LiveShift({title}: {len(self.ticked)} of {len(self.names)} ticked)"


@checked
def shift(
    model: Model,
    texts: Texts,
    probe: Probe,
    dicts: Dictionaries,
    effects: FeatureEffects,
    *,
    labels: Sequence[Any],
    groups: Sequence[str] | None = None,
    training: tuple[Any, Sequence[Any]] | None = None,
    seed: Seed = 0,
) -> LiveShift:
    """Features to tick away from a model that a probe reads, as a `LiveShift`.

    effects: of `wb.features.effects` on the probe; the 32 features of the largest absolute
    separation are listed. texts, labels, groups, training, seed: as in `wb.features.shift`, which
    runs at each tick: a few hundred short texts are a matter of seconds, and of half of them
    without `training`.

    Raises `ValueError` for effects on another probe, and for labels and groups that are not one a
    text; later trouble is shown in place.
    """
    return LiveShift(
        model,
        texts,
        probe,
        dicts,
        effects,
        labels=labels,
        groups=groups,
        training=training,
        seed=seed,
    )


def _word(dicts: Dictionaries, words: dict[Any, Labels], name: str) -> str:
    dictionary, number = dicts.feature(name)
    return str(words[dictionary.out_site][number])
