"""The feature browser: search features, read their pages, label them, and see them on a prompt."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import ipywidgets
import pandas as pd

from ..check import checked
from ..concepts import Concepts
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..features.activations import FeatureActivations
from ..features.activations import activations as feature_activations
from ..features.find import find
from ..features.index import FeatureIndex
from ..features.index import index as index_features
from ..features.label import Labels
from ..features.label import label as label_of
from ..features.page import FeaturePage
from ..features.page import page as feature_page
from ..model import Model
from ..texts import Texts
from ..views.features import activations_data, page_data
from ..widgets import FeatureGrid
from ..widgets import FeaturePage as PageWidget
from .calls import Calls
from .controls import REST, Control, Held
from .explorer import Explorer
from .feature_names import read_from
from .logit_lens import PROMPT, READ

#: So many features are listed at most.
MOST_LISTED = 200
#: What a search can be by, and what is typed for each.
WAYS = {
    "label": "a part of a label, or a number",
    "token": "dog",
    "concept": "dog, cat, horse",
}
#: A label with the tokens that it is scored by: kinds of birds [owl, robin].
_WITH_TOKENS = re.compile(r"(?P<text>[^\[\]]+)\[(?P<tokens>[^\[\]]+)\]\s*")


@checked
class LiveFeatures(Explorer):
    """A search, a list of features, a feature's page, and the features of a prompt.

    page: the `FeaturePage` result shown; view: its widget, whose label can be edited. grid: the
    `FeatureGrid` of `active`, the prompt's `FeatureActivations`. found: the table that the search
    gave. feature, site, query, way ("label", "token" or "concept") and prompt can be set; a click
    on a feature of the list, the page or the grid sets the first. index, labels: of the dictionary
    shown.

    A label that is written like `kinds of birds [owl, robin]` is scored by these tokens, any other
    is not scored. Labels are saved with the dictionary at once.
    """

    PICTURE = "page"
    ROWS = (("site", "way", "query"), ("listed",), ("buttons",))
    BELOW = ("prompt", "grid")
    site = Control(ipywidgets.Dropdown, "dictionary", width="18em")
    way = Control(ipywidgets.Dropdown, "search by", width="13em", options=list(WAYS))
    # The placeholder is fixed: where a view of the box is updated, what is being typed is lost.
    query = Control(ipywidgets.Text, width=REST, continuous_update=False)
    listed = Control(ipywidgets.Select, rows=8)
    prompt = Control(ipywidgets.Textarea, hint=READ, rows=2)
    shown = Control(Held, undo=True)
    linked = Control(Held, trait="chosen")
    picked = Control(Held, trait="grid.feature")
    written = Control(Held, trait="label")

    def __init__(
        self,
        model: Model,
        dicts: Dictionaries,
        texts: Any,
        *,
        feature: str | None,
        prompt: str,
        concepts: Concepts | None,
        progress: bool,
    ) -> None:
        self.model, self.dicts, self.concepts = model, dicts, concepts
        self._texts, self._progress = texts, progress
        self._known: dict[str, tuple[FeatureIndex, Labels]] = {}
        self._site = str(
            next(iter(dicts)) if feature is None else dicts.feature(feature)[0].out_site
        )
        self._search: dict[str, Any] = {"text": ""}
        self._page_fails = False
        self.page: FeaturePage
        self.active: FeatureActivations
        self.found = self._find()
        self.grid: Any = None
        calls = Calls()
        calls.given("dicts", dicts, *read_from(dicts, model.spec.name))
        calls.given("texts", texts)
        hints = [f"{way}: {example}" for way, example in WAYS.items()]
        if concepts is not None:
            hints.append(f"or names: {', '.join(concepts.names[:2])}; or *, all")
        super().__init__(
            model,
            lambda **data: PageWidget(**data, editable=True),
            {
                "site": {"options": [str(each) for each in dicts], "value": self._site},
                "query": {"placeholder": "; ".join(hints)},
                "prompt": {"value": prompt},
                "shown": {"value": self._name(feature) if feature else self._first()},
            },
            calls,
        )
        self.boxes["site"].layout.display = "" if len(dicts) > 1 else "none"

    # -- what is chosen --------------------------------------------------------------------------

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary whose features are listed."""
        return self.dicts[self._site]

    @property
    def index(self) -> FeatureIndex:
        """Its index over the texts, made when the dictionary is first looked at."""
        return self._both()[0]

    @property
    def labels(self) -> Labels:
        """Its labels: those saved with it, else by tokens from the index."""
        return self._both()[1]

    @property
    def feature(self) -> str:
        """The name of the feature whose page is shown."""
        return self.shown

    @feature.setter
    def feature(self, name: str) -> None:
        self.shown = self._name(name)

    def label(self, text: str, tokens: Sequence[str] = ()) -> None:
        """Call the feature shown by another name, scored by `tokens` if any are given; saved."""
        self.labels.set(self.shown, text, tokens=tokens, index=self.index)
        self.labels.save()
        self.calls.forget()
        self._run_soon()

    # -- what a change does ----------------------------------------------------------------------

    def _name(self, feature: str) -> str:
        dictionary, number = self.dicts.feature(feature)
        return str(dictionary.feature(number))

    def _both(self) -> tuple[FeatureIndex, Labels]:
        if self._site not in self._known:
            dictionary = self.dictionary
            index = self._texts
            if not isinstance(index, FeatureIndex):
                index = index_features(self.model, self._texts, dictionary, progress=self._progress)
            index.check(dictionary)
            labels = Labels.of(dictionary)
            made = label_of(index, dictionary.path)
            for number in labels:
                made.keep(number, labels[number])
            self._known[self._site] = index, made
        return self._known[self._site]

    def _first(self) -> str:
        return str(self.found["feature"][0]) if len(self.found) else self.index.name(0)

    def _look_at(self, site: str) -> None:
        """List another dictionary's features."""
        before, self._site = self._site, site
        self.view.status = "reading the texts…"
        try:
            self._both()
        except BaseException:
            self._site = self.site = before
            raise
        try:
            self.found = self._find()
        except ValueError:  # what was searched for before is not there to be found
            self.query, self._search = "", {"text": ""}
            self.found = self._find()

    def _site_changed(self) -> None:
        self._page_fails = False
        self._look_at(self.site)
        self.shown = self._first()

    def _query_changed(self) -> str:
        self._page_fails = False
        query, name = self.query, self.query.strip()
        name = f"{self._site}/{name}" if name.isdigit() else name
        if self.way == "label" and "/" in name:
            self.feature = name
            return ""
        before, self._search = self._search, self._asked(query)
        try:
            self.found = self._find()
        except BaseException:
            self._search = before
            raise
        return "" if len(self.found) else f"No label has {query!r} in it."

    def _way_changed(self) -> str:
        return self._query_changed()

    def _listed_changed(self) -> None:
        if self.listed is not None:
            self.feature = self.listed

    def _linked_changed(self) -> None:
        self._page_fails = False
        if self.linked:
            self.feature = self.linked

    def _picked_changed(self) -> None:
        self._page_fails = False
        if self.picked:
            self.feature = self.picked

    def _written_changed(self) -> None:
        """The label on the page was edited."""
        text, self._page_fails = self.written.strip(), False
        if text == self.page.label:
            return
        try:
            match = _WITH_TOKENS.fullmatch(text)
            if match is None:
                self.label(text)
            else:
                self.label(match["text"].strip(), self._tokens(match["tokens"]))
        except Exception:
            self.written = self.page.label
            raise

    def _asked(self, query: str) -> dict[str, Any]:
        """What a search is for, as `features.find` takes it."""
        if self.way == "label" or not query.strip():
            return {"text": query}
        if self.way == "token":
            return {"token": query}
        concept = self._concepts(query)
        several = isinstance(concept, Mapping) and len(concept) > 1
        return {"concept": concept, "n": 5} if several else {"concept": concept}

    def _find(self) -> pd.DataFrame:
        return find(self.index, **{"labels": self.labels, "n": MOST_LISTED, **self._search})

    def _concepts(self, query: str) -> dict[str, Sequence[str]] | list[str]:
        """The concepts that a search names, else its words as one."""
        words = [word.strip() for word in query.split(",") if word.strip()]
        known = self.concepts
        if known is not None and words == ["*"]:
            words = list(known.names)
        if known is not None and all(word in known.names for word in words):
            return {name: known.words(name) for name in words}
        return words

    def _tokens(self, text: str) -> list[str]:
        """Each word as the token it is after a space, or where there is none, by itself."""
        strings = set(self.index.strings.values())
        words = [word.strip() for word in text.split(",") if word.strip()]
        return [f" {word}" if f" {word}" in strings else word for word in words]

    def _compute(self) -> dict[str, Any]:
        self._page_fails = False
        calls, model = self.calls, self.model
        site = self.shown.rpartition("/")[0]
        if site != self._site:
            self._look_at(site)
        dictionary = calls("dictionary", operator.getitem, self.dicts, site)
        index, labels = self._both()
        if index is self._texts:
            calls.given("index", index)
        else:
            calls.stands_for("index", index, index_features, model, self._texts, dictionary)
        saved = len(Labels.of(dictionary)) > 0
        how = (Labels.of, dictionary) if saved else (label_of, index)
        calls.given("labels", labels, *how)
        search = {"labels": labels, "n": MOST_LISTED, **self._search}
        self.found = calls("found", find, index, **search)
        try:
            active = calls(
                "active", feature_activations, model, self.prompt, dictionary, labels=labels
            )
        except Exception:
            if self.grid is not None:
                self.grid.status = self.STALE
            raise
        self._page_fails = True
        page = calls(
            "page",
            feature_page,
            model,
            index,
            self.dicts,
            self.shown,
            labels=labels,
            progress=False,
        )
        self._page_fails = False
        data = calls("", activations_data, active)
        if self.grid is None:
            self.grid = FeatureGrid(**data)
        elif active is not self.active or self.grid.status:
            with self._quietly():
                self.grid.update(**data)
        self.page, self.active = page, active
        return calls("", page_data, page)

    def _draw(self) -> str:
        self.site = self._site
        options = [(_line(row), row["feature"]) for row in self.found.to_dict("records")]
        if list(self.boxes["listed"].options) != options:
            self.boxes["listed"].options = options
        names = [name for _, name in options]
        self.boxes["listed"].value = self.shown if self.shown in names else None
        return ""

    def _say(self, message: str, *, is_error: bool = True) -> None:
        super()._say(message, is_error=is_error)
        if message and not self._page_fails:
            # The page is as good as before.
            self.view.status = ""

    def _title(self) -> str:
        return repr(self.page)

    def __repr__(self) -> str:
        return f"LiveFeatures({self.feature}, {len(self.found)} listed)"


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


@checked
def features(
    model: Model,
    texts: Texts,
    dicts: Dictionaries,
    *,
    feature: str | None = None,
    prompt: str = PROMPT,
    concepts: Concepts | None = None,
    progress: bool = True,
) -> LiveFeatures:
    """Features to be searched, read, labelled, and seen on a prompt, as a `LiveFeatures`.

    texts: what the pages show; each dictionary's index is made when it is first looked at, and kept
    on the disk; or the index of a single one. feature: whose page comes first, by default the one
    with the best label. concepts: named sets of words that the search knows, of which 32 go into
    one view.

    Raises what `features.index` raises, and what a run raises for the first prompt; later trouble
    is shown in place.
    """
    return LiveFeatures(
        model,
        dicts,
        texts,
        feature=feature,
        prompt=prompt,
        concepts=concepts,
        progress=progress,
    )
