"""FeatureGrid: the features that are active on a prompt, a row each, its tokens to the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode, encode
from workbench.widgets.guarded import GuardedWidget, is_index, one_of, strings
from workbench.widgets.panel import floats

ORDERS = ("max", "sum", "position", "chosen")
#: More rows than this at once nobody can compare.
MOST_SHOWN = 32


class FeatureGrid(GuardedWidget):
    """A grid of activations, features by tokens, of which at most 32 features are shown at once.

        grid = wb.widgets.FeatureGrid(["The", " cat"], ["a/7", "a/8"], [[0, 2.5], [1.2, 0]])
        grid.observe(lambda change: print(change.new), names="feature")  # "a/7"

    tokens: the prompt's token strings. features: names, "L3.resid_post/123", in any order.
    values: numbers (feature, pos), activations, as an array, tensor or lists, NaN where not known.
    labels: what each feature is called, "" for nothing.
    explained: float (pos,), share of variance that the whole dictionary explains there, NaN where
        not known. title: a heading.
    order: which features are shown: "max", those most active anywhere; "sum", over the prompt;
        "position", at the selected position; "chosen", those of `chosen`. n_shown: 1 to 32.

    Raises ValueError or TypeError where the data do not fit together, TraitError for a choice that
    is not there.
    """

    NAME = "feature_grid"
    DATA = frozenset({"_tokens", "_features", "_values", "_explained", "title", "status"})

    _tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _features = traitlets.List(traitlets.Dict()).tag(sync=True)
    _values = traitlets.Dict().tag(sync=True)
    _explained = traitlets.Dict().tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the grid."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed grid while not empty: "running…", "error: …"."""
    order = traitlets.Unicode("max").tag(sync=True)
    """Which features are shown: "max", "sum", "position" or "chosen"."""
    n_shown = traitlets.Int(12).tag(sync=True)
    """How many features are shown at most; all chosen ones are."""
    chosen = traitlets.List(traitlets.Unicode()).tag(sync=True)
    """Names of the features chosen by hand, at most 32."""
    feature = traitlets.Unicode("").tag(sync=True)
    """Name of the feature clicked last, or ""."""
    position = traitlets.Int(-1).tag(sync=True)
    """The position clicked last, −1 for none."""

    def __init__(
        self,
        tokens: Sequence[str],
        features: Sequence[str],
        values: Any,
        *,
        labels: Sequence[str] | None = None,
        explained: np.ndarray | None = None,
        title: str = "",
        order: str = "max",
        n_shown: int = 12,
        chosen: Sequence[str] = (),
    ) -> None:
        super().__init__(
            **_data(tokens, features, values, labels, explained),
            title=title,
            order=order,
            n_shown=n_shown,
            chosen=list(chosen),
        )

    def update(
        self,
        tokens: Sequence[str],
        features: Sequence[str],
        values: Any,
        *,
        labels: Sequence[str] | None = None,
        explained: np.ndarray | None = None,
        title: str | None = None,
        order: str | None = None,
        n_shown: int | None = None,
        chosen: Sequence[str] | None = None,
        status: str = "",
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        Kept unless given: title, order, number of features, and the chosen features that are still
        there; kept always: the selected feature and position where they still are. The status is
        cleared, since the new data are not stale. Raises as the class does; then nothing changes.
        """
        data = _data(tokens, features, values, labels, explained)
        kept = [name for name in self.chosen if name in set(features)]
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in data.items():
                setattr(self, name, value)
            self.title = self.title if title is None else title
            self.order = self.order if order is None else order
            self.n_shown = self.n_shown if n_shown is None else n_shown
            self.chosen = kept if chosen is None else list(chosen)
            self.status = status
            self.feature = self.feature if self.feature in set(features) else ""
            self.position = self.position if self.position < len(tokens) else -1

    @property
    def features(self) -> tuple[str, ...]:
        """The names of the features, shown or not."""
        return tuple(feature["name"] for feature in self._features)

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        n_features, n_positions = decode(self._values["values"]).shape
        return f"FeatureGrid({n_features} features × {n_positions} positions)"

    _check_order = one_of("order", ORDERS)

    @traitlets.validate("n_shown")
    def _check_n_shown(self, proposal: Any) -> int:
        if not 1 <= proposal["value"] <= MOST_SHOWN:
            raise TraitError(
                f"n_shown is a number from 1 to {MOST_SHOWN}, since nobody compares more rows at "
                f"once; given {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("chosen")
    def _check_chosen(self, proposal: Any) -> list[str]:
        names = proposal["value"]
        if wrong := [name for name in names if name not in self.features]:
            raise TraitError(f"chosen holds names of the grid's features; not among them: {wrong}")
        if len(set(names)) < len(names) or len(names) > MOST_SHOWN:
            raise TraitError(
                f"chosen holds each feature once and at most {MOST_SHOWN}; given {len(names)}"
            )
        return names

    @traitlets.validate("feature")
    def _check_feature(self, proposal: Any) -> str:
        if proposal["value"] and proposal["value"] not in self.features:
            raise TraitError(
                f'feature is the name of one of the features, or ""; given {proposal["value"]!r}'
            )
        return proposal["value"]

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> int:
        if proposal["value"] != -1 and not is_index(proposal["value"], len(self._tokens)):
            raise TraitError(
                f"position is a number from 0 to {len(self._tokens) - 1}, or -1 for none; "
                f"given {proposal['value']}"
            )
        return proposal["value"]


def _data(
    tokens: Sequence[str],
    features: Sequence[str],
    values: Any,
    labels: Sequence[str] | None,
    explained: np.ndarray | None,
) -> dict[str, Any]:
    """The transport traits, checked."""
    known = [""] * len(features) if labels is None else list(labels)
    for name, given in {"tokens": tokens, "features": features, "labels": known}.items():
        strings(name, given)
    if not len(tokens) or not len(features):
        raise ValueError(
            "a grid has at least one token and one feature; "
            f"given {len(tokens)} and {len(features)}"
        )
    if len(set(features)) < len(features) or "" in features:
        raise ValueError("each feature has a name of its own that is not empty")
    if len(known) != len(features):
        raise ValueError(f"labels has one entry a feature, {len(features)}; given {len(known)}")
    numbers = floats("values", values, (len(features), len(tokens))).astype(np.float32)
    if np.isinf(numbers).any():
        raise ValueError("values are finite, or NaN where not known; given infinity")
    unknown = np.full(len(tokens), np.nan, np.float32)
    shares = unknown if explained is None else floats("explained", explained, (len(tokens),))
    return {
        "_tokens": list(tokens),
        "_features": [
            {"name": name, "label": label} for name, label in zip(features, known, strict=True)
        ],
        "_values": {"values": encode(numbers)},
        "_explained": {"values": encode(shares.astype(np.float32))},
    }
