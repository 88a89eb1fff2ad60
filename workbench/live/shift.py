"""The live SHIFT: tick features that should not matter, and see what a classifier answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from traitlets import Unicode

from ..check import Count, Seed, checked
from ..dictionary.collection import Dictionaries
from ..methods.features.classifier import Classifier
from ..methods.features.labels import Labels
from ..methods.features.shift import ClassifierEffects, Shift, check_rows
from ..methods.features.shift import shift as measure
from ..model import Model
from .explorer import Explorer

#: So many features can be ticked at most: more are not read one by one.
MOST_LISTED = 32


class AccuracyTable(ipywidgets.HTML):
    """A table with what it says of itself below; it is pale while that is not empty."""

    status = Unicode("")

    def __init__(self) -> None:
        self._table = ""
        super().__init__()
        self.observe(self._draw, names="status")

    def show(self, frame: pd.DataFrame) -> None:
        """Show a table of numbers, with two decimals."""
        self._table = frame.rename_axis(None).to_html(float_format=lambda x: f"{x:.2f}", border=0)
        self._draw()

    def _draw(self, change: Any = None) -> None:
        pale = "0.45" if self.status else "1"
        self.value = (
            f'<div style="opacity: {pale}; overflow-x: auto">{self._table}</div>'
            f"<small>{self.status or '&nbsp;'}</small>"
        )


@checked
class LiveShift(Explorer):
    """Features with a box to tick, and a classifier's accuracy before and after they are gone.

    names: of the features that are listed, the largest absolute separation first. ticked: those
    that are taken away, which can be set. result: the `Shift` of the last run, None while nothing
    is ticked. frame: the table that is shown. code: Python that gives the same table, in the names
    of the arguments of `wb.live.shift`. message: what went wrong, or "".
    """

    def __init__(
        self,
        model: Model,
        classifier: Classifier,
        dicts: Dictionaries,
        effects: ClassifierEffects,
        texts: Any,
        labels: Sequence[int | bool],
        *,
        groups: Sequence[str] | None,
        training: tuple[Any, Sequence[int | bool]] | None,
        seed: int,
        batch_size: int,
    ) -> None:
        if effects.classifier != repr(classifier):
            raise ValueError(
                f"The effects are those on another classifier, {effects.classifier}; got "
                f"{classifier!r}. Find them with wb.classifier_effects for this one."
            )
        self.model, self.classifier, self.dicts = model, classifier, dicts
        self.effects, self._data = effects, (texts, labels)
        self._options: dict[str, Any] = {
            "groups": groups,
            "training": training,
            "candidates": effects.nodes,
            "seed": seed,
            "batch_size": batch_size,
        }
        order = np.argsort(-np.abs(effects.separation), kind="stable")[:MOST_LISTED]
        self.names = tuple(effects.nodes[i] for i in order)
        words = {site: Labels.of(dictionary) for site, dictionary in dicts.items()}
        self._boxes = [
            ipywidgets.Checkbox(
                False,
                description=f"{name}  {effects.separation[i]:+.2f}  {_word(dicts, words, name)}",
                indent=False,
                layout=ipywidgets.Layout(width="auto"),
            )
            for name, i in zip(self.names, order, strict=True)
        ]
        self._quiet = False
        for box in self._boxes:
            box.observe(self._ticked, names="value")
        narrow = ipywidgets.Layout(width="8em")
        self._clear_button = ipywidgets.Button(description="untick all", layout=narrow)
        self._clear_button.on_click(lambda _: self.clear())
        self._code_button = ipywidgets.ToggleButton(
            False, description="code", tooltip="Python that does the same", layout=narrow
        )
        self._code_button.observe(self._show_code, names="value")
        self._code = ipywidgets.Textarea(
            layout=ipywidgets.Layout(width="auto", height="11em", display="none")
        )
        grid = ipywidgets.GridBox(
            self._boxes,
            layout=ipywidgets.Layout(
                grid_template_columns="repeat(auto-fill, minmax(34em, 1fr))",
                max_height="24em",
                overflow="auto",
            ),
        )
        head = ipywidgets.HTML()
        head.value = "Features, with the logits that each puts between the classes, and labels:"
        self.title = f"{classifier.classes[0]} / {classifier.classes[1]}"
        buttons = ipywidgets.HBox([self._clear_button, self._code_button])
        super().__init__(AccuracyTable(), [head, grid, buttons], [self._code])
        self.result: Shift | None = None
        self.frame: pd.DataFrame
        self._before = self._measure_before()
        self._compute()

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def ticked(self) -> tuple[str, ...]:
        """The features that are taken away."""
        return tuple(name for name, box in zip(self.names, self._boxes, strict=True) if box.value)

    @ticked.setter
    def ticked(self, names: Iterable[str]) -> None:
        wanted = {str(name) for name in names}
        if missing := sorted(wanted - set(self.names)):
            raise ValueError(
                f"{missing[0]} is not among the {len(self.names)} listed features; they are those "
                "of the largest separation, in `names`."
            )
        self._quiet = True
        for name, box in zip(self.names, self._boxes, strict=True):
            box.value = name in wanted
        self._quiet = False
        self._changed()

    def clear(self) -> None:
        """Tick nothing."""
        self.ticked = ()

    @property
    def code(self) -> str:
        """Python that gives the table, in the names of the arguments of `wb.live.shift`."""
        ticked = "".join(f'    "{name}",\n' for name in self.ticked)
        given = [name for name in ("groups", "training") if self._options[name] is not None]
        rest = "".join(f"    {name}={name},\n" for name in given)
        return (
            f"ticked = [\n{ticked}]\nresult = wb.shift(\n"
            "    model,\n    classifier,\n    dicts,\n    ticked,\n    texts,\n    labels,\n"
            f"{rest}    candidates=effects.nodes,\n    seed={self._options['seed']},\n"
            f"    batch_size={self._options['batch_size']},\n)\nresult.to_frame()"
        )

    # -- what a change does ----------------------------------------------------------------------

    def _ticked(self, change: Any) -> None:
        if not self._quiet:
            self._changed()

    def _measure_before(self) -> pd.DataFrame:
        """The accuracy of the model as it is, in the form of `Shift.to_frame`."""
        texts, labels = self._data
        size = self._options["batch_size"]
        target, names, groups = check_rows(texts, labels, self._options["groups"])
        right = (self.classifier.logits(self.model, texts, batch_size=size) > 0) == (target > 0)
        line = {"accuracy": float(right.mean())}
        line |= {name: float(right[groups == i].mean()) for i, name in enumerate(names)}
        return pd.DataFrame([line], index=pd.Index(["before"], name="way"))

    def _compute(self) -> None:
        ticked = self.ticked
        result = None
        if ticked:
            result = measure(
                self.model, self.classifier, self.dicts, ticked, *self._data, **self._options
            )
        # All at once, so that trouble leaves what was there.
        self.result = result
        self.frame = self._before if result is None else result.to_frame()
        self._view.show(self.frame)
        self._code.value = self.code if ticked else ""

    def _show_code(self, change: Any) -> None:
        self._code.layout.display = "" if self._code_button.value else "none"

    def __repr__(self) -> str:
        return f"LiveShift({self.title}: {len(self.ticked)} of {len(self.names)} ticked)"


@checked
def shift(
    model: Model,
    classifier: Classifier,
    dicts: Dictionaries,
    effects: ClassifierEffects,
    texts: Any,
    labels: Sequence[int | bool],
    *,
    groups: Sequence[str] | None = None,
    training: tuple[Any, Sequence[int | bool]] | None = None,
    seed: Seed = 0,
    batch_size: Count = 100,
) -> LiveShift:
    """Features to tick away from a model that a classifier reads, as a `LiveShift`.

    effects: of `wb.classifier_effects`; the 32 features of the largest absolute separation are
    listed. texts, labels, groups, training, seed: as in `wb.shift`, which runs at each tick: a few
    hundred short texts are a matter of seconds, and of half of them without `training`.

    Raises `ValueError` for effects on another classifier, and for labels and groups that are not
    one a text; later trouble is shown in place.
    """
    return LiveShift(
        model,
        classifier,
        dicts,
        effects,
        texts,
        labels,
        groups=groups,
        training=training,
        seed=seed,
        batch_size=batch_size,
    )


def _word(dicts: Dictionaries, words: dict[Any, Labels], name: str) -> str:
    dictionary, number = dicts.feature(name)
    return str(words[dictionary.out_site][number])
