"""The feature browser: search features, read their pages, label them, and see them on a prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..check import checked
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..methods.features.concepts import Concepts
from ..methods.features.feature_activations import FeatureActivations, feature_activations
from ..methods.features.feature_index import FeatureIndex, index_features
from ..methods.features.feature_page import FeaturePage, feature_page
from ..methods.features.labels import Labels
from ..model import Model
from ..views.features import activations_data, page_data
from ..widgets import FeatureGrid
from ..widgets import FeaturePage as PageWidget
from .explorer import Explorer
from .feature_controls import FeatureControls
from .logit_lens import PROMPT

#: So many features are listed at most.
MOST_LISTED = 200
#: A label with the tokens that it is scored by: kinds of birds [owl, robin].
_WITH_TOKENS = re.compile(r"(?P<text>[^\[\]]+)\[(?P<tokens>[^\[\]]+)\]\s*")


@checked
class LiveFeatures(Explorer):
    """A search, a list of features, a feature's page, and the features of a prompt.

    page: the `FeaturePage` result shown; view: its widget, whose label can be edited. grid: the
    `FeatureGrid` of `active`, the prompt's `FeatureActivations`. found: the table that the search
    gave. feature, query, way ("label", "token" or "concept") and prompt can be set; a click on a
    feature of the list, the page or the grid sets the first. index, labels: of the dictionary
    shown. message: what went wrong, or "".

    A label that is written like `kinds of birds [owl, robin]` is scored by these tokens, any other
    is not scored. Labels are saved with the dictionary at once.
    """

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
        site = str(next(iter(dicts)) if feature is None else dicts.feature(feature)[0].out_site)
        names = () if concepts is None else concepts.names
        self._controls = FeatureControls([str(each) for each in dicts], prompt, names)
        self._controls.site.value = site
        self._site = site
        self.found = self.index.find(text="", labels=self.labels, n=MOST_LISTED)
        self._feature = feature or self._first()
        self.page: FeaturePage = self._make_page(self._feature)
        self.active: FeatureActivations = self._make_active(prompt)
        self.view = PageWidget(**page_data(self.page), editable=True)
        self.grid = FeatureGrid(**activations_data(self.active))
        self._shown_feature: str | None = self._feature
        self._shown_prompt: str | None = prompt
        self._page_fails = False
        super().__init__(self.view, self._controls.rows, [self._controls.prompt, self.grid])
        self._controls.show_found(self.found, self._feature)
        self._connect()

    def _connect(self) -> None:
        controls = self._controls
        controls.site.observe(self._other_site, names="value")
        controls.way.observe(self._searched, names="value")
        controls.query.observe(self._searched, names="value")
        controls.found.observe(self._listed, names="value")
        controls.prompt.observe(self._changed, names="value")
        self.view.observe(self._linked, names="chosen")
        self.view.observe(self._labelled, names="label")
        self.grid.observe(self._linked, names="feature")

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
        return self._feature

    @feature.setter
    def feature(self, name: str) -> None:
        dictionary, number = self.dicts.feature(name)
        if str(dictionary.out_site) != self._site:
            self._look_at(str(dictionary.out_site))
        self._feature = str(dictionary.feature(number))
        with self._quietly():
            self._controls.show_chosen(self._feature)
        self._changed()

    @property
    def query(self) -> str:
        """What is searched for."""
        return self._controls.query.value

    @query.setter
    def query(self, text: str) -> None:
        self._controls.query.value = text

    @property
    def way(self) -> str:
        """What the search is by: "label", "token" or "concept"."""
        return self._controls.way.value

    @way.setter
    def way(self, name: str) -> None:
        self._choose(self._controls.way, "way", name)

    @property
    def prompt(self) -> str:
        """The text that is typed now."""
        return self._controls.prompt.value

    @prompt.setter
    def prompt(self, text: str) -> None:
        self._controls.prompt.value = text

    def label(self, text: str, tokens: Sequence[str] = ()) -> None:
        """Call the feature shown by another name, scored by `tokens` if any are given; saved."""
        self.labels.set(self._feature, text, tokens=tokens, index=self.index)
        self.labels.save()
        self._shown_feature = None
        self._list()
        self._changed()

    # -- what a change does ----------------------------------------------------------------------

    def _both(self) -> tuple[FeatureIndex, Labels]:
        if self._site not in self._known:
            dictionary = self.dictionary
            index = self._texts
            if not isinstance(index, FeatureIndex):
                index = index_features(self.model, dictionary, self._texts, progress=self._progress)
            index.check(dictionary)
            labels = Labels.of(dictionary)
            made = Labels.from_index(index, dictionary.path)
            for number in labels:
                made.keep(number, labels[number])
            self._known[self._site] = index, made
        return self._known[self._site]

    def _first(self) -> str:
        return str(self.found["feature"][0]) if len(self.found) else self.index.name(0)

    def _make_page(self, feature: str) -> FeaturePage:
        return feature_page(
            self.model, self.dicts, feature, self.index, labels=self.labels, progress=False
        )

    def _make_active(self, prompt: str) -> FeatureActivations:
        return feature_activations(self.model, self.dictionary, prompt, labels=self.labels)

    def _look_at(self, site: str) -> None:
        """List another dictionary's features; its grid follows with the next run."""
        before, self._site = self._site, site
        self.view.status = "reading the texts…"
        try:
            self._both()
        except BaseException:
            self._site, self.view.status = before, ""
            raise
        finally:
            with self._quietly():
                self._controls.site.value = self._site
        self._shown_prompt = None
        try:
            self._list()
        except ValueError:  # what was searched for before is not there to be found
            with self._quietly():
                self._controls.query.value = ""
            self._list()

    def _other_site(self, change: Any) -> None:
        if self._quiet:
            return
        try:
            self._look_at(self._controls.site.value)
        except Exception as error:  # said in place; a callback has no cell
            self._tell(str(error) or repr(error))
            return
        self._feature = self._first()
        with self._quietly():
            self._controls.show_chosen(self._feature)
        self._changed()

    def _searched(self, change: Any) -> None:
        if self._quiet:
            return
        name = self.query.strip()
        name = f"{self._site}/{name}" if name.isdigit() else name
        try:
            if self.way == "label" and "/" in name:
                self.feature = name
                return
            self._list()
        except Exception as error:  # said in place
            self._tell(str(error.args[0]) if error.args else repr(error))
        else:
            self._tell("" if len(self.found) else f"No label has {self.query!r} in it.")

    def _tell(self, message: str) -> None:
        """Trouble with a search: the page that is shown is as good as before."""
        self._page_fails = False
        self._say(message)

    def _list(self) -> None:
        """Search again, and list what is found."""
        query = self._controls.query.value
        options: dict[str, Any] = {"labels": self.labels, "n": MOST_LISTED}
        if self.way == "label" or not query.strip():
            options["text"] = query
        elif self.way == "token":
            options["token"] = query
        else:
            concept = self._concepts(query)
            several = isinstance(concept, Mapping) and len(concept) > 1
            options |= {"concept": concept, "n": 5 if several else MOST_LISTED}
        self.found = self.index.find(**options)
        with self._quietly():
            self._controls.show_found(self.found, self._feature)

    def _concepts(self, query: str) -> dict[str, Sequence[str]] | list[str]:
        """The concepts that a search names, else its words as one."""
        words = [word.strip() for word in query.split(",") if word.strip()]
        known = self.concepts
        if known is not None and words == ["*"]:
            words = list(known.names)
        if known is not None and all(word in known.names for word in words):
            return {name: known.words(name) for name in words}
        return words

    def _listed(self, change: Any) -> None:
        if not self._quiet and self._controls.found.value is not None:
            self.feature = self._controls.found.value

    def _linked(self, change: Any) -> None:
        """A feature was clicked on the page or in the grid."""
        if self._quiet or not change["new"]:
            return
        try:
            self.feature = change["new"]
        except Exception as error:  # said in place
            self._tell(str(error.args[0]) if error.args else repr(error))

    def _labelled(self, change: Any) -> None:
        """The label on the page was edited."""
        text = change["new"].strip()
        if self._quiet or text == self.page.label:
            return
        try:
            match = _WITH_TOKENS.fullmatch(text)
            if match is None:
                self.label(text)
            else:
                self.label(match["text"].strip(), self._tokens(match["tokens"]))
        except Exception as error:  # said in place
            with self._quietly():
                self.view.label = self.page.label
            self._tell(str(error) or repr(error))

    def _tokens(self, text: str) -> list[str]:
        """Each word as the token it is after a space, or where there is none, by itself."""
        strings = set(self.index.strings.values())
        words = [word.strip() for word in text.split(",") if word.strip()]
        return [f" {word}" if f" {word}" in strings else word for word in words]

    def _compute(self) -> None:
        """Show what has changed: the page of another feature, the features of another prompt."""
        self._page_fails = False
        if self._shown_prompt != (prompt := self._controls.prompt.value):
            try:
                active = self._make_active(prompt)
                with self._quietly():
                    self.grid.update(**activations_data(active))
            except Exception:
                self.grid.status = self.STALE
                raise
            self.active, self._shown_prompt = active, prompt
        if self._shown_feature != self._feature:
            self._page_fails = True
            page = self._make_page(self._feature)
            with self._quietly():
                self.view.update(**page_data(page))
            self.page, self._shown_feature = page, self._feature

    def _say(self, message: str) -> None:
        super()._say(message)
        if message and not self._page_fails:
            self._view.status = ""

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """The page as it is now, as one self-contained HTML page; written to `path` if given."""
        return self._page(path, title or repr(self.page))

    def __repr__(self) -> str:
        return f"LiveFeatures({self.feature}, {len(self.found)} listed)"


@checked
def features(
    model: Model,
    dictionary: Dictionary | Dictionaries,
    texts: Any,
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

    Raises what `index_features` raises, and what a run raises for the first prompt; later trouble
    is shown in place.
    """
    collection = Dictionaries([dictionary]) if isinstance(dictionary, Dictionary) else dictionary
    return LiveFeatures(
        model,
        collection,
        texts,
        feature=feature,
        prompt=prompt,
        concepts=concepts,
        progress=progress,
    )
