"""FeaturePage: what a feature of a dictionary is active on and what it does."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Unpack

import traitlets
from traitlets import TraitError

from workbench.widgets.guarded import GuardedWidget
from workbench.widgets.page_data import Context, PageData, encode_contexts, encode_page

#: A label longer than this is no label.
MOST_LABEL = 200


class FeaturePage(GuardedWidget):
    """The page of one feature, arguments by keyword but the first two; each may be left out.

        page = wb.widgets.FeaturePage("a/7", [(["The", " cat"], [0, 2.5])], nearest=[("a/8", 0.7)])
        page.observe(lambda change: print(change.new), names="chosen")  # the feature clicked

    feature: its name. contexts: pairs (tokens, activations), or `Context`s, the most active first;
        those of one group stand under one heading.
    label, score: what it is called, and how well that detects it, in words ("F1 0.93").
    frequency: share of positions where it is active, n_active: how many that are; mean, maximum:
        of its activations where it is active. dead: whether it never fires; then no contexts.
    histogram: of its activations, from `np.histogram` or a `Histogram`. fires_on: (token, share of
        its activity) pairs. promoted, suppressed: (token, change of its logit) pairs.
    nearest, coactive: (name, value) pairs or `FeatureLink`s; nearest_by, coactive_by: of what.
    ablation: `AblationEffect`s of removing it; ablation_note: how they were measured. lowered,
        raised: (token, change of its probability without the feature) pairs.
    editable: whether the label can be changed in the view.

    Raises ValueError or TypeError for data that do not fit, TraitError for such a choice.
    """

    NAME = "feature_page"
    DATA = frozenset({"_page", "_contexts", "editable", "status"})

    _page = traitlets.Dict().tag(sync=True)
    _contexts = traitlets.Dict().tag(sync=True)

    label = traitlets.Unicode("").tag(sync=True)
    """What the feature is called; a person's where it differs from the one that was scored."""
    chosen = traitlets.Unicode("").tag(sync=True)
    """Name of the other feature that was clicked last, or ""."""
    editable = traitlets.Bool(False).tag(sync=True)
    """Whether the label can be changed in the view."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed page while not empty: "running…", "error: …"."""

    def __init__(
        self,
        feature: str,
        contexts: Iterable[Context | tuple[Any, Any]] = (),
        *,
        editable: bool = False,
        **data: Unpack[PageData],
    ) -> None:
        super().__init__(**_data(feature, contexts, data), editable=editable)

    def update(
        self,
        feature: str,
        contexts: Iterable[Context | tuple[Any, Any]] = (),
        *,
        editable: bool | None = None,
        status: str = "",
        **data: Unpack[PageData],
    ) -> None:
        """Shows a feature's page in one message, arguments as of the class.

        `editable` is kept unless given; nothing is chosen any more; the status is cleared, since
        the new data are not stale. Raises as the class does; then nothing changes.
        """
        new = _data(feature, contexts, data)
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in new.items():
                setattr(self, name, value)
            self.editable = self.editable if editable is None else editable
            self.status, self.chosen = status, ""

    @property
    def feature(self) -> str:
        """The name of the feature."""
        return self._page["feature"]

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        n = len(self._contexts["texts"])
        state = "dead" if self._page["dead"] else f"{n} context{'s' * (n != 1)}"
        return f"FeaturePage({self.feature}, {state})"

    @traitlets.validate("label")
    def _check_label(self, proposal: Any) -> str:
        if len(proposal["value"]) > MOST_LABEL:
            raise TraitError(
                f"a label has at most {MOST_LABEL} characters; given {len(proposal['value'])}"
            )
        return proposal["value"]

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> str:
        known = {link["name"] for name in ("nearest", "coactive") for link in self._page[name]}
        if proposal["value"] and proposal["value"] not in known:
            raise TraitError(
                'chosen is the name of a feature that the page names, or ""; '
                f"given {proposal['value']!r}"
            )
        return proposal["value"]

    def set_state(self, sync_data: dict[str, Any]) -> None:
        """As `GuardedWidget.set_state`; a label only where the page is editable."""
        if "label" in sync_data and not self.editable:
            self.send_state("label")
            raise TraitError("the label of this page may not be changed: it is not editable")
        super().set_state(sync_data)


def _data(feature: str, contexts: Iterable[Any], data: PageData) -> dict[str, Any]:
    """The traits, checked."""
    page, contexts = encode_page(feature, data), list(contexts)
    if page["dead"] and contexts:
        raise ValueError(f"a dead feature never fires; given {len(contexts)} contexts of it")
    return {"_page": page, "_contexts": encode_contexts(contexts), "label": page["label"]}
