"""The live flow: follow a feature through the layers, scale what it is joined to, and see."""

from __future__ import annotations

import html
import operator
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import ipywidgets
import numpy as np
import torch

from .. import metrics
from ..check import Count, checked, whole
from ..dictionary.collection import Dictionaries
from ..features.flow import FeatureFlow
from ..features.flow import flow as follow
from ..features.matching import FeatureMatches
from ..features.page import FeaturePage
from ..model import Model
from ..texts import Texts
from ..views.features import feature_page, flow_data
from ..widgets import GraphView
from .calls import Calls
from .controls import NARROW, REST, Control, Held
from .explorer import Explorer, said
from .feature_names import SILENT, FeatureNames, joined, read_from
from .logit_lens import PROMPT, READ
from .panels import FlowReading, flow_answers, likeliest

N_ANSWERS = 6
#: What one wish for more adds: so many more matches of a feature in each lane.
MORE = 2
#: The slider amplifies a feature up to so many times.
MOST_SCALE = 4.0
WHOLE_PROMPT = "largest over the prompt"
#: In place of a position. A dropdown shows an option whose value is None as empty.
_NO_POSITION = -1


@checked
class LiveFeatureFlow(Explorer):
    """A prompt, a feature and its flow as a `GraphView`; scaling a feature runs the model.

    view: the widget; its trait threshold can be set too. flow: the `FeatureFlow` shown. reading:
    the numbers of the last run, a `FlowReading`. page: the `FeaturePage` of the feature clicked
    last, or None. prompt, feature, position, scales, selected: the choices, which can be set.
    """

    ROWS = (("prompt",), ("search", "found", "at"), ("factor", "with_page", "buttons"))
    ABOVE = ("_answers",)
    BELOW = ("_page_box",)
    PICTURE = "flow"
    BEGINNING = "All features as they were"
    prompt = Control(ipywidgets.Textarea, hint=READ, rows=2)
    search = Control(
        ipywidgets.Text,
        "feature",
        hint="L3.resid_post/123, or a word of its label",
        width="19em",
        continuous_update=False,
    )
    found = Control(ipywidgets.Dropdown, "found", width=REST)
    at = Control(ipywidgets.Dropdown, "activations", width="19em")
    factor = Control(
        ipywidgets.FloatSlider,
        "scale: click a feature",
        width="28em",
        value=1.0,
        min=0.0,
        max=MOST_SCALE,
        step=0.25,
        disabled=True,
        continuous_update=False,
        readout_format=".2f",
    )
    with_page = Control(
        ipywidgets.ToggleButton,
        "page",
        hint="The page of the feature clicked",
        width=NARROW,
        value=True,
    )
    scales = Control(Held, undo=True, trait="scales")
    selected = Control(Held, trait="selected")
    expanded = Control(Held, trait="expand")

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
        self.model, self.dicts, self._k = model, dicts, k
        self._names = FeatureNames(model, dicts, texts)
        self._of_flow: dict[str, Any] = {"thresholds": thresholds, "matches": matches}
        self._wishes: list[tuple[str, str]] = []
        self._found = self._names.find(feature or self._names.first(prompt, k=k, **self._of_flow))
        self._root = self._found[0][0]
        self.flow: FeatureFlow
        self.reading: FlowReading
        self.page: FeaturePage | None = None
        self._answers = ipywidgets.HTML()
        self._page_box = ipywidgets.VBox(layout=ipywidgets.Layout(width="auto"))
        calls = Calls()
        calls.given("dicts", dicts, *read_from(dicts, model.spec.name))
        for name, value in self._of_flow.items():
            calls.given(name, value)
        super().__init__(
            model,
            lambda **data: GraphView(data, layout="lanes", mode="edit"),
            {
                "prompt": {"value": prompt},
                "at": {"options": [(WHOLE_PROMPT, _NO_POSITION)], "value": _NO_POSITION},
                "scales": {"value": {}},
            },
            calls,
        )

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def feature(self) -> str:
        """The name of the feature whose flow is shown; words of a label can be set too."""
        return self.flow.roots[0]

    @feature.setter
    def feature(self, text: str) -> None:
        self.search = text

    @property
    def position(self) -> int | None:
        """Where activations are read: a position of the prompt, None for their largest."""
        return None if self.at == _NO_POSITION else self.at

    @position.setter
    def position(self, number: int | None) -> None:
        most = len(self.boxes["at"].options) - 2
        self.at = _NO_POSITION if number is None else whole("position", number, 0, most)

    def scale(self, feature: str, factor: float) -> None:
        """Multiply a feature of the flow by a factor: 0 takes it out, 1 leaves it."""
        self.scales = {**self.scales, feature: factor}

    def expand(self, feature: str, way: str) -> None:
        """Add more predecessors ("down") or successors ("up") of a feature of the flow."""
        count = self.view.expand[2] + 1 if self.view.expand else 1
        self.expanded = [feature, way, count]

    # -- what a change does ----------------------------------------------------------------------

    def _search_changed(self) -> None:
        """A name or words were typed: show what is found, and follow the first of it."""
        self._found = self._names.find(self.search)
        self._show_found()
        self._follow(self._found[0][0])

    def _found_changed(self) -> None:
        if self.found is not None:
            self._follow(self.found)

    def _follow(self, feature: str) -> None:
        """The flow of another feature; what is scaled and still there stays so."""
        before, self._root = self._root, feature
        try:
            self._flow(())
        except BaseException:
            self._root = before
            raise
        self._wishes = []
        self._begin_anew()

    def _expanded_changed(self) -> str:
        if not self.expanded:
            return ""
        feature, way, _ = self.expanded
        grown = self._flow((*self._wishes, (feature, way)))
        if len(grown.weights) == len(self.flow.weights):
            where = "before" if way == "down" else "after"
            return f"No further feature of these dictionaries lies {where} {feature}."
        self._wishes.append((feature, way))
        return ""

    def _factor_changed(self) -> None:
        if self.selected:
            self.scale(self.selected, self.factor)

    def _compute(self) -> dict[str, Any]:
        flow = self._flow(self._wishes)
        scales = {name: by for name, by in self.scales.items() if name in flow.ids}
        reading = self._read(self.prompt, flow, scales, self.position)
        self.flow, self.reading, self._read_prompt = flow, reading, self.prompt
        with self._quietly():
            self.scales = scales
        return self.calls("", flow_data, flow)

    def _draw(self) -> str:
        self.view.update(before=self.reading.before, after=self.reading.after)
        self._answers.value = flow_answers(self.reading, len(self.scales))
        self.search = self.feature
        self._show_found()
        self._show_positions()
        slider, selected = self.boxes["factor"], self.selected
        slider.disabled = not selected
        slider.description = f"scale of {selected}" if selected else "scale: click a feature"
        slider.value = min(self.scales.get(selected, 1.0), MOST_SCALE)
        self._show_page()
        return ""

    def _show_found(self) -> None:
        """Offer the features found; nothing where there is only one."""
        box, options = self.boxes["found"], [(text, name) for name, text in self._found]
        if list(box.options) != options:
            box.options = options
        box.value = self._root if self._root in dict(self._found) else None
        box.layout.display = "" if len(self._found) > 1 else "none"

    def _show_positions(self) -> None:
        """Offer the prompt's tokens as positions; the choice stays where it is still there."""
        strings = self.model.tokens(self._read_prompt).strings[0]
        options = [(WHOLE_PROMPT, _NO_POSITION)]
        options += [(f"at {i}: {string!r}", i) for i, string in enumerate(strings)]
        if list(self.boxes["at"].options) != options:
            before = self.at
            self.boxes["at"].options = options
            self.at = before if before < len(strings) else _NO_POSITION

    def _show_page(self) -> None:
        """The page of the feature that is selected, unless the pages are turned off."""
        selected = self.selected
        if not (selected and self.with_page):
            self._page_box.children, self.page = (), None
            return
        if self.page is not None and self.page.feature == selected:
            return
        waiting = ipywidgets.HTML(f"<i>{html.escape(selected)}: reading the texts…</i>")
        self._page_box.children = (waiting,)
        try:
            page = self._names.page(selected)
            view = feature_page(page)
        except Exception as error:  # said in place; the graph itself is as good as before
            self.page = None
            text = html.escape(said(error))
            waiting.value = f'<span role="alert">No page of {html.escape(selected)}: {text}</span>'
            return
        self.page = page
        view.observe(self._linked, names="chosen")
        self._page_box.children = (view,)

    def _linked(self, change: Any) -> None:
        """A feature that the page names was clicked: follow it."""
        if change["new"]:
            self.feature = change["new"]

    def _title(self) -> str:
        return repr(self.flow)

    def __repr__(self) -> str:
        return (
            f"LiveFeatureFlow({self.feature}: {len(self.view.ids)} features, "
            f"{len(self.scales)} scaled)"
        )

    # -- flows -----------------------------------------------------------------------------------

    def _flow(self, wishes: Sequence[tuple[str, str]]) -> FeatureFlow:
        """The flow of the feature chosen, with more of what was wished for.

        Each wish adds the next two matches in every lane, however similar they are.
        """
        calls, matches = self.calls, self._of_flow["matches"]
        of_flow = {"k": self._k, **self._of_flow}
        flow = calls("flow", follow, self.dicts, self._root, **of_flow)
        most = matches.k if matches else min(d.n_features for d in self.dicts.values())
        for i, (feature, way) in enumerate(wishes):
            dictionary, number = self._names.feature(feature)
            wish = wishes[: i + 1].count((feature, way))
            extra = calls(
                "",
                follow,
                self.dicts,
                str(dictionary.feature(number)),
                k=min(self._k + MORE * wish, most),
                direction="forward" if way == "up" else "back",
                depth=1,
                min_similarity=0.0,
                **self._of_flow,
            )
            flow = calls("", joined, flow, extra, self.dicts)
        return calls("", _labelled, flow, [self._names.label(name) for name in flow.ids])

    def _read(
        self, prompt: str, flow: FeatureFlow, scales: Mapping[str, float], position: int | None
    ) -> FlowReading:
        """The features and the next token, plain and with some features scaled, in one pass.

        position: of the activations; None for the largest (in size) over the prompt.
        """
        calls, ids = self.calls, flow.ids
        edits, row_of = self._names.edits(calls, scales)
        tokens = calls("", self.model.tokens, prompt)
        rows = calls("", tokens.take, [0] * (2 + len(row_of)))
        if position is not None and not 0 <= position < tokens.lengths[0]:
            position = None
        sites = sorted({self._names.feature(name)[0].site for name in ids})
        with warnings.catch_warnings():
            # A feature that is silent on this prompt is said beside the answers.
            warnings.filterwarnings("ignore", message=SILENT)
            run = calls(
                "run",
                self.model.run,
                rows,
                read=[str(site) for site in sites],
                edits=edits,
                logits_at="last",
            )
        codes = np.zeros((2, len(ids)), np.float32)
        silent: list[str] = []
        members: dict[str, list[int]] = {}
        for i, name in enumerate(ids):
            members.setdefault(name.split("/")[0], []).append(i)
        for site, nodes in members.items():
            dictionary, names = self.dicts[site], [ids[i] for i in nodes]
            made = calls("", operator.getitem, self.dicts, site)
            read = calls("", operator.getitem, run, str(dictionary.site))
            numbers = [self._names.feature(name)[1] for name in names]
            found = calls(site.replace(".", "_"), made.encode_some, read, numbers).float()
            after = found[1].clone()
            for n, name in enumerate(names):
                if name in scales:
                    code = found[row_of[site], :, n]
                    after[:, n] = scales[name] * code
                    silent += [] if bool(code.any()) else [name]
            both = torch.stack([found[0], after])
            if position is None:
                both = both.gather(1, both.abs().argmax(1, keepdim=True))
            else:
                both = both[:, [position]]
            codes[:, nodes] = both[:, 0].detach().cpu().numpy()
        logits = calls("", operator.getitem, calls("", getattr, run, "logits"), ([0, 1], 0))
        words = calls("words", calls("", logits.float).softmax, -1)
        return FlowReading(
            codes[0],
            codes[1],
            (
                likeliest(self.model, words[0], N_ANSWERS),
                likeliest(self.model, words[1], N_ANSWERS),
            ),
            float(metrics.kl(logits[1:], logits[:1])),
            tuple(silent),
        )


def _labelled(flow: FeatureFlow, labels: list[str]) -> FeatureFlow:
    return replace(flow, labels=tuple(labels))


@checked
def feature_flow(
    model: Model,
    dicts: Dictionaries,
    texts: Texts,
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
    return LiveFeatureFlow(
        model,
        dicts,
        texts,
        feature=feature,
        prompt=prompt,
        k=k,
        thresholds=thresholds,
        matches=matches,
    )
