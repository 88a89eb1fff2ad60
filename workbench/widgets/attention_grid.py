"""AttentionGrid: every head's attention as a thumbnail, one of them enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import EncodedArray, as_array, encode
from workbench.widgets.guarded import GuardedWidget, is_index, strings

#: More numbers than this make a page that browsers open slowly or not at all.
MOST_WEIGHTS = 40_000_000


class AttentionGrid(GuardedWidget):
    """All heads' attention for one prompt: layers upwards, heads sideways, one head enlarged.

        grid = wb.widgets.AttentionGrid(["The", " cat"], [[1.0, 0.0], [0.3, 0.7]])  # of one head
        grid.observe(lambda change: print(change.new), names="position")  # also "layer", "head"

    tokens: the prompt's token strings, one a position.
    pattern: numbers (layer, head, dst, src), or (head, dst, src) or (dst, src), as an array, tensor
        or lists; at least 0, and 0 where the source is later than the destination. float16 travels
        as it is, all else as float32.
    value_weighted: the same shape, each weight times the norm of what it moves; None hides the
        choice between the two.
    layers: the layers' numbers, rising, `layers=[5]` for heads of layer 5; None counts from 0.
    title, layer, head, position, weighted: a heading, and what is chosen at first.

    Raises ValueError or TypeError where the data do not fit together, TraitError for a choice that
    is not there.
    """

    NAME = "attention_grid"
    DATA = frozenset({"_tokens", "_layers", "_pattern", "_value_weighted", "title"})

    _tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _layers = traitlets.List(traitlets.Int()).tag(sync=True)
    # (layer, head, pair): the half of each square that can be above 0, one destination at a time.
    _pattern = traitlets.Dict().tag(sync=True)
    _value_weighted = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the heads."""
    layer = traitlets.Int(0).tag(sync=True)
    """Number of the layer whose head is enlarged."""
    head = traitlets.Int(0).tag(sync=True)
    """Number of the enlarged head."""
    position = traitlets.Int(allow_none=True, default_value=None).tag(sync=True)
    """The pinned position, or None."""
    weighted = traitlets.Bool(False).tag(sync=True)
    """Whether the value-weighted attention is shown."""

    def __init__(
        self,
        tokens: Sequence[str],
        pattern: Any,
        value_weighted: Any = None,
        *,
        layers: Sequence[int] | None = None,
        title: str = "",
        layer: int | None = None,
        head: int = 0,
        position: int | None = None,
        weighted: bool = False,
    ) -> None:
        data = _data(tokens, pattern, value_weighted, layers)
        super().__init__(
            **data,
            title=title,
            layer=data["_layers"][0] if layer is None else layer,
            head=head,
            position=position,
            weighted=weighted,
        )

    def update(
        self,
        tokens: Sequence[str],
        pattern: Any,
        value_weighted: Any = None,
        *,
        layers: Sequence[int] | None = None,
        title: str | None = None,
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        Kept: the head if the new data have it, the pinned position if it is inside, the kind of
        attention if there are both; the title unless one is given. Raises as the class does; then
        nothing changes.
        """
        data = _data(tokens, pattern, value_weighted, layers)
        with self.hold_sync(), self.hold_trait_notifications():
            for name, value in data.items():
                setattr(self, name, value)
            self.title = self.title if title is None else title
            if self.layer not in self._layers:
                self.layer = self._layers[0]
            if self.head >= self._n_heads:
                self.head = 0
            if self.position is not None and self.position >= len(self._tokens):
                self.position = None
            self.weighted = self.weighted and self._value_weighted is not None

    @property
    def _n_heads(self) -> int:
        return self._pattern["shape"][1]

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        size = f"{len(self._layers)} layers × {self._n_heads} heads × {len(self._tokens)} positions"
        return f"AttentionGrid({size})"

    @traitlets.validate("layer")
    def _check_layer(self, proposal: Any) -> int:
        value = proposal["value"]
        if isinstance(value, bool) or value not in self._layers:
            have = ", ".join(map(str, self._layers))
            raise TraitError(f"layer is one of {have}; given {value}")
        return value

    @traitlets.validate("head")
    def _check_head(self, proposal: Any) -> int:
        if not is_index(proposal["value"], self._n_heads):
            raise TraitError(
                f"head is a number from 0 to {self._n_heads - 1}; given {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("position")
    def _check_position(self, proposal: Any) -> int | None:
        value = proposal["value"]
        if value is not None and not is_index(value, len(self._tokens)):
            raise TraitError(
                f"position is None or a number from 0 to {len(self._tokens) - 1}; given {value}"
            )
        return value

    @traitlets.validate("weighted")
    def _check_weighted(self, proposal: Any) -> bool:
        if proposal["value"] and self._value_weighted is None:
            raise TraitError(
                "weighted needs value_weighted, and this grid was given plain patterns alone"
            )
        return proposal["value"]


def _data(
    tokens: Sequence[str],
    pattern: Any,
    value_weighted: Any,
    layers: Sequence[int] | None,
) -> dict[str, Any]:
    """The transport traits, checked."""
    n = len(strings("tokens", tokens))
    if not n:
        raise ValueError("tokens is empty: attention is shown for at least one position")
    pattern = as_array(pattern)
    given = pattern.shape
    if not 2 <= len(given) <= 4 or given[-2:] != (n, n) or 0 in given:
        step = ": take one prompt of a batch with [0] or [:, 0]" if len(given) > 4 else ""
        raise ValueError(
            "pattern has shape (dst, src), (head, dst, src) or (layer, head, dst, src) with "
            f"{n} destinations and sources, one a token; given {given}{step}"
        )
    shape = (1,) * (4 - len(given)) + given
    numbers = list(range(shape[0])) if layers is None else [int(layer) for layer in layers]
    rising = all(a < b for a, b in pairwise(numbers))
    if len(numbers) != shape[0] or not rising or numbers[0] < 0:
        raise ValueError(
            f"layers are {shape[0]} rising numbers from 0, one for each layer of the pattern; "
            f"given {numbers}"
        )
    n_weights = (1 if value_weighted is None else 2) * shape[0] * shape[1] * n * (n + 1) // 2
    if n_weights > MOST_WEIGHTS:
        raise ValueError(
            f"an AttentionGrid carries at most {MOST_WEIGHTS:,} weights; these are {n_weights:,}: "
            "show fewer layers, or a shorter prompt"
        )
    weighted = None
    if value_weighted is not None:
        weighted = _encode("value_weighted", value_weighted, given)
    return {
        "_tokens": list(tokens),
        "_layers": numbers,
        "_pattern": _encode("pattern", pattern, given),
        "_value_weighted": weighted,
    }


def _encode(name: str, values: Any, shape: tuple[int, ...]) -> EncodedArray:
    """The lower triangle of every square, (layer, head, pair)."""
    array = as_array(values)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} holds numbers; given {array.dtype.name}")
    if array.shape != shape:
        raise ValueError(f"{name} has shape {shape}, as the pattern; given {array.shape}")
    array = array.reshape((1,) * (4 - len(shape)) + shape)
    if not np.isfinite(array).all() or array.min() < 0:
        raise ValueError(f"{name} holds finite weights of at least 0; cut off a prompt's padding")
    dst, src = np.tril_indices(shape[-1])
    later = np.triu_indices(shape[-1], 1)
    if array[:, :, later[0], later[1]].any():
        raise ValueError(
            f"{name} is 0 where the source is later than the destination; given weights there. "
            "An AttentionGrid shows causal attention"
        )
    packed = array[:, :, dst, src]
    return encode(packed if packed.dtype == np.float16 else packed.astype(np.float32))
