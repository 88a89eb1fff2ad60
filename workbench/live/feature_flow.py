"""The live flow: follow a feature through the layers, scale what it is joined to, and see."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import ipywidgets

from ..check import Count, checked
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..methods.features.flow import FeatureFlow
from ..methods.features.matching import FeatureMatches
from ..model import Model
from ..views.features import feature_page, flow_data
from ..widgets import GraphView
from .explorer import Explorer
from .flow_answers import answers_table
from .flow_bench import FlowBench, FlowReading
from .flow_code import reproducing_code
from .flow_controls import FlowControls
from .logit_lens import PROMPT

Scales = dict[str, float]


@checked
class LiveFeatureFlow(Explorer):
    """A prompt, a feature and its flow as a `GraphView`; scaling a feature runs the model.

    graph: the widget; its traits selected, scales, expand and threshold can be set too. flow: the
    `FeatureFlow` shown. reading: the numbers of the last run, a `FlowReading`. page: the
    `FeaturePage` of the feature clicked last, or None. prompt, feature, position: the choices,
    which can be set. code: Python that gives the same numbers. message: what went wrong, or "".
    """

    def __init__(
        self,
        model: Model,
        dicts: Dictionaries,
        texts: Any,
        *,
        feature: str | None,
        prompt: str,
        k: int,
        thresholds: Any,
        matches: FeatureMatches | None,
    ) -> None:
        self.model = model
        self.bench = FlowBench(model, dicts, texts, k=k, thresholds=thresholds, matches=matches)
        chosen = self.bench.first(prompt) if feature is None else feature
        self._found = self.bench.find(chosen)
        self.flow: FeatureFlow = self.bench.flow(self._found[0][0])
        self.result_prompt = prompt
        self.reading: FlowReading = self.bench.read(prompt, self.flow, {}, None)
        self.page: Any = None
        self.graph = GraphView(
            flow_data(self.flow),
            layout="lanes",
            before=self.reading.before,
            after=self.reading.after,
            mode="edit",
        )
        self._undo: list[Scales] = []
        self._last: Scales = {}
        self._controls = FlowControls(prompt)
        self._answers = ipywidgets.HTML()
        self._page_box = ipywidgets.VBox(layout=ipywidgets.Layout(width="auto"))
        self._code = ipywidgets.Textarea(
            layout=ipywidgets.Layout(width="auto", height="16em", display="none")
        )
        super().__init__(
            self.graph, [*self._controls.rows, self._answers], [self._page_box, self._code]
        )
        self._show()
        self._connect()

    def _connect(self) -> None:
        controls = self._controls
        controls.show_found(self._found)
        controls.show_positions(self._strings())
        controls.prompt.observe(self._changed, names="value")
        controls.feature.observe(self._searched, names="value")
        controls.found.observe(self._chosen, names="value")
        controls.position.observe(self._moved, names="value")
        controls.scale.observe(self._slid, names="value")
        controls.undo.on_click(lambda _: self.undo())
        controls.reset.on_click(lambda _: self.reset())
        controls.page.observe(self._show_page, names="value")
        controls.code.observe(self._show_code, names="value")
        self.graph.observe(self._scaled, names="scales")
        self.graph.observe(self._selected, names="selected")
        self.graph.observe(self._expand, names="expand")

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def prompt(self) -> str:
        """The text that is typed now."""
        return self._controls.prompt.value

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._controls.prompt.value = text

    @property
    def feature(self) -> str:
        """The name of the feature whose flow is shown; words of a label can be set too."""
        return self.flow.roots[0]

    @feature.setter
    def feature(self, text: str) -> None:
        self._controls.feature.value = text

    @property
    def position(self) -> int | None:
        """Where activations are read: a position of the prompt, None for their largest."""
        return self._controls.at

    @position.setter
    def position(self, number: int | None) -> None:
        self._controls.at = number

    def scale(self, feature: str, factor: float) -> None:
        """Multiply a feature of the flow by a factor: 0 takes it out, 1 leaves it."""
        self.graph.scales = {**self.graph.scales, feature: factor}

    def expand(self, feature: str, way: str) -> None:
        """Add more predecessors ("down") or successors ("up") of a feature of the flow."""
        count = self.graph.expand[2] + 1 if self.graph.expand else 1
        self.graph.expand = [feature, way, count]

    def undo(self) -> None:
        """Go back to before the last feature was scaled."""
        if self._undo:
            self._restore(self._undo.pop())

    def reset(self) -> None:
        """All features as they were; `undo` brings the scales back."""
        if self._last:
            self._undo.append(self._last)
            self._restore({})

    @property
    def code(self) -> str:
        """Python that gives the same activations and next words."""
        return reproducing_code(self)

    def grown_ids(self) -> list[str]:
        """The names of all features shown, with those that were added by expanding."""
        return list(self.graph.ids)

    # -- what a change does ----------------------------------------------------------------------

    def _searched(self, change: Any) -> None:
        """A name or words were typed: show what is found, and follow the first of it."""
        if self._quiet:
            return
        try:
            found = self.bench.find(self._controls.feature.value)
        except Exception as error:  # said in place; a callback has no cell
            self._say(str(error) or repr(error))
            return
        self._found = found
        with self._quietly():
            self._controls.show_found(found)
        self._follow(found[0][0])

    def _chosen(self, change: Any) -> None:
        if not self._quiet and self._controls.found.value is not None:
            self._follow(self._controls.found.value)

    def _follow(self, feature: str) -> None:
        """The flow of another feature; what is scaled and still there stays so."""
        try:
            self._draw(self.bench.flow(feature))
        except Exception as error:  # said in place
            self._say(str(error) or repr(error))
            return
        self._undo = []
        self._controls.undo.disabled = True
        self._changed()

    def _expand(self, change: Any) -> None:
        if self._quiet or not self.graph.expand:
            return
        feature, way, _ = self.graph.expand
        try:
            grown = self.bench.grown(self.flow, feature, way)
            if len(grown.graph.weights) == len(self.flow.graph.weights):
                where = "before" if way == "down" else "after"
                self._note(f"No further feature of these dictionaries lies {where} {feature}.")
                return
            self._draw(grown)
        except Exception as error:  # said in place
            self._say(str(error) or repr(error))
            return
        self._changed()

    def _draw(self, flow: FeatureFlow) -> None:
        """Show a flow; its activations follow with the next run."""
        data = flow_data(flow)
        with self._quietly():
            self.graph.update(**data)
        self.flow = flow
        self._last = dict(self.graph.scales)
        self._fit_slider()

    def _scaled(self, change: Any) -> None:
        """A feature was deactivated, amplified, or left alone again."""
        if self._quiet:
            return
        state = dict(self.graph.scales)
        if state == self._last:
            return
        self._undo.append(self._last)
        self._last = state
        self._controls.undo.disabled = False
        self._fit_slider()
        self._changed()

    def _slid(self, change: Any) -> None:
        if not self._quiet and self.graph.selected:
            self.scale(self.graph.selected, self._controls.scale.value)

    def _restore(self, state: Scales) -> None:
        with self._quietly():
            self.graph.scales = {n: f for n, f in state.items() if n in self.graph.ids}
        self._last = dict(self.graph.scales)
        self._controls.undo.disabled = not self._undo
        self._fit_slider()
        self._changed()

    def _selected(self, change: Any) -> None:
        self._fit_slider()
        self._show_page()

    def _fit_slider(self) -> None:
        """The slider is of the feature that is selected."""
        selected = self.graph.selected
        with self._quietly():
            self._controls.show_scale(selected, self.graph.scales.get(selected, 1.0))

    def _moved(self, change: Any) -> None:
        if not self._quiet:
            self._changed()

    def _strings(self) -> tuple[str, ...]:
        return self.model.tokens(self.result_prompt).strings[0]

    def _compute(self) -> None:
        controls = self._controls
        prompt, scales = controls.prompt.value, self.graph.scales
        self.reading = self.bench.read(prompt, self.flow, scales, controls.at)
        self.result_prompt = prompt
        with self._quietly():
            controls.show_positions(self._strings())
        self._show()

    def _show(self) -> None:
        reading = self.reading
        self.graph.update(before=reading.before, after=reading.after)
        self._answers.value = answers_table(reading, len(self.graph.scales))
        with self._quietly():
            self._controls.feature.value = self.feature
        self._code.value = self.code

    def _show_code(self, change: Any) -> None:
        self._code.layout.display = "" if self._controls.code.value else "none"

    def _show_page(self, change: Any = None) -> None:
        """The page of the feature that is selected, unless the pages are turned off."""
        selected = self.graph.selected
        if not (selected and self._controls.page.value):
            self._page_box.children, self.page = (), None
            return
        if self.page is not None and self.page.feature == selected:
            return
        waiting = ipywidgets.HTML(f"<i>{html.escape(selected)}: reading the texts…</i>")
        self._page_box.children = (waiting,)
        try:
            page = self.bench.page(selected)
            view = feature_page(page)
        except Exception as error:  # said in place; the graph itself is as good as before
            self.page = None
            text = html.escape(str(error) or repr(error))
            waiting.value = f'<span role="alert">No page of {html.escape(selected)}: {text}</span>'
            return
        self.page = page
        view.observe(self._linked, names="chosen")
        self._page_box.children = (view,)

    def _linked(self, change: Any) -> None:
        """A feature that the page names was clicked: follow it."""
        if change["new"]:
            self.feature = change["new"]

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """The graph as it is now, as one self-contained HTML page; written to `path` if given."""
        return self._page(path, title or repr(self.flow))

    def __repr__(self) -> str:
        return (
            f"LiveFeatureFlow({self.feature}: {len(self.graph.ids)} features, "
            f"{len(self.graph.scales)} scaled)"
        )


@checked
def feature_flow(
    model: Model,
    dicts: Dictionaries | Dictionary,
    texts: Any,
    *,
    feature: str | None = None,
    prompt: str = PROMPT,
    k: Count = 1,
    thresholds: Any = None,
    matches: FeatureMatches | None = None,
) -> LiveFeatureFlow:
    """A feature's flow on a prompt, to be scaled, expanded and followed, as a `LiveFeatureFlow`.

    texts: what the page of a clicked feature shows; its index is made at the first click on a
    dictionary, and kept on the disk. feature: where to begin, a name or words of a label; None
    takes, of the last layer's ten most active features at the prompt's end, one with a predecessor,
    on which the next word depends most. k, thresholds, matches: as in `feature_flow`.

    Raises what `feature_flow` raises, and what a run raises for the first prompt; later trouble is
    shown in place.
    """
    collection = Dictionaries([dicts]) if isinstance(dicts, Dictionary) else dicts
    return LiveFeatureFlow(
        model,
        collection,
        texts,
        feature=feature,
        prompt=prompt,
        k=k,
        thresholds=thresholds,
        matches=matches,
    )
