"""TokenGrid: rows (layers) × positions with the top token in each cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import traitlets
from traitlets import TraitError

from workbench.widgets.arrays import decode
from workbench.widgets.guarded import GuardedWidget, is_index, one_of, strings
from workbench.widgets.panel import encode_panel, plain_panel

COLOR_SCHEMES = ("viridis", "cividis", "magma", "inferno", "plasma")


class TokenGrid(GuardedWidget):
    """A grid of numbers or of top tokens, rows (layers) upwards, positions to the right.

        grid = wb.widgets.TokenGrid(["The", " cat"], [[0.1, 0.5], [0.3, 0.9]], rows=["L0", "L1"])
        grid.observe(lambda change: print(change.new), names="selected")  # {"row": 1, "pos": 0}

    tokens: the prompt's token strings, one a position.
    values: numbers (row, pos), or (pos,), as an array, tensor, lists or table; NaN is drawn grey.
        {name: numbers} for several, each alone or a `Quantity`. Or `Panel`s, each a lens on a
        component, whose integer ids index the strings of `vocabulary`.
    rows: labels from first (bottom) to last (top); None: a table's own, or numbers.
    top: strings for the cells, (row, pos) or (row, pos, k), best first; `values`, or "probability"
        among them, are then the tokens' probabilities, in the same shape.
    title, next_token: a heading, and the true next token at each position, "" where not known.
    quantity, panel, color_scheme: what is chosen at first.

    Raises ValueError or TypeError where the data do not fit together, TraitError for a choice that
    is not there.
    """

    NAME = "token_grid"
    DATA = frozenset({"_tokens", "_next_token", "_vocabulary", "_panels", "title", "status"})

    _tokens = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _next_token = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _vocabulary = traitlets.List(traitlets.Unicode()).tag(sync=True)
    _panels = traitlets.List(traitlets.Dict()).tag(sync=True)

    title = traitlets.Unicode("").tag(sync=True)
    """Heading above the grid."""
    status = traitlets.Unicode("").tag(sync=True)
    """Shown over the dimmed grid while not empty: "running…", "error: …"."""
    panel = traitlets.Int(0).tag(sync=True)
    """Number of the panel shown."""
    quantity = traitlets.Unicode("probability").tag(sync=True)
    """Name of the quantity that colours the cells."""
    color_scheme = traitlets.Unicode("viridis").tag(sync=True)
    """Colours of quantities without a sign; signed ones always have zero in the middle."""
    selected = traitlets.Dict(allow_none=True, default_value=None).tag(sync=True)
    """The cell clicked last, {"row": int, "pos": int}, or None."""
    pinned = traitlets.List(traitlets.Dict()).tag(sync=True)
    """Tokens whose ranks are drawn, each {"pos": int, "token": str, "id": int}."""

    def __init__(
        self,
        tokens: Sequence[str],
        values: Any,
        vocabulary: Sequence[str] = (),
        *,
        rows: Sequence[Any] | None = None,
        top: Any = None,
        title: str = "",
        quantity: str | None = None,
        panel: int = 0,
        color_scheme: str = "viridis",
        next_token: Sequence[str] | None = None,
    ) -> None:
        data = _data(tokens, values, vocabulary, next_token, rows, top)
        shown = data["_panels"][panel if is_index(panel, len(data["_panels"])) else 0]
        super().__init__(
            **data,
            title=title,
            quantity=next(iter(shown["quantities"])) if quantity is None else quantity,
            panel=panel,
            color_scheme=color_scheme,
        )

    def update(
        self,
        tokens: Sequence[str],
        values: Any,
        vocabulary: Sequence[str] = (),
        *,
        rows: Sequence[Any] | None = None,
        top: Any = None,
        title: str | None = None,
        quantity: str | None = None,
        panel: int | None = None,
        color_scheme: str | None = None,
        next_token: Sequence[str] | None = None,
        status: str = "",
    ) -> None:
        """Replaces the data in one message and keeps the user's choices that still make sense.

        Kept unless given: title, colours, the panel with the same lens and component, the quantity
        of that name, the selected cell if it is inside, and pins that some row still shows or that
        are tracked. The status is cleared, since the new data are not stale. Raises as the class
        does; then nothing changes.
        """
        data = _data(tokens, values, vocabulary, next_token, rows, top)
        shown = self._panels[self.panel]
        kept = [(p["lens"], p["component"]) for p in data["_panels"]]
        place = (shown["lens"], shown["component"])
        if panel is None:
            panel = kept.index(place) if place in kept else 0
        quantities = data["_panels"][panel]["quantities"] if 0 <= panel < len(kept) else {}
        if quantity is None:
            quantity = self.quantity if self.quantity in quantities else next(iter(quantities), "")
        with self.hold_sync(), self.hold_trait_notifications():
            pins = [_moved_pin(pin, data, panel) for pin in self.pinned]
            for name, value in data.items():
                setattr(self, name, value)
            self.title = self.title if title is None else title
            self.color_scheme = self.color_scheme if color_scheme is None else color_scheme
            self.status = status
            self.panel = panel
            self.quantity = quantity
            self.pinned = [pin for pin in pins if pin is not None]
            if self.selected is not None and not self._inside(self.selected):
                self.selected = None

    def __repr__(self) -> str:
        """Short and the same on every run, since notebooks store it beside the view."""
        shown = self._panels[self.panel]
        size = f"{len(shown['rows'])} rows × {len(self._tokens)} positions"
        names = f"{shown['lens']} of {shown['component']}"
        return f"TokenGrid({size}, {names if shown['lens'] else ', '.join(shown['quantities'])})"

    def _inside(self, cell: Mapping[str, Any]) -> bool:
        rows, positions = len(self._panels[self.panel]["rows"]), len(self._tokens)
        row, pos = cell.get("row"), cell.get("pos")
        return is_index(row, rows) and is_index(pos, positions) and len(cell) == 2

    @traitlets.validate("panel")
    def _check_panel(self, proposal: Any) -> int:
        if not is_index(proposal["value"], len(self._panels)):
            raise TraitError(
                f"panel is a number from 0 to {len(self._panels) - 1}; given {proposal['value']}"
            )
        return proposal["value"]

    @traitlets.validate("quantity")
    def _check_quantity(self, proposal: Any) -> str:
        # A wrong panel in the same message is reported by its own check.
        shown = self._panels[self.panel] if is_index(self.panel, len(self._panels)) else {}
        names = list(shown.get("quantities", {}))
        if names and proposal["value"] not in names:
            raise TraitError(
                f"quantity is one of {', '.join(map(repr, names))} in this panel; "
                f"given {proposal['value']!r}"
            )
        return proposal["value"]

    _check_color_scheme = one_of("color_scheme", COLOR_SCHEMES)

    @traitlets.validate("selected")
    def _check_selected(self, proposal: Any) -> dict[str, int] | None:
        cell = proposal["value"]
        if cell is not None and not self._inside(cell):
            rows, positions = len(self._panels[self.panel]["rows"]), len(self._tokens)
            raise TraitError(
                'selected is None or {"row": ..., "pos": ...} with a row from 0 to '
                f"{rows - 1} and a position from 0 to {positions - 1}; given {cell!r}"
            )
        return cell

    @traitlets.validate("pinned")
    def _check_pinned(self, proposal: Any) -> list[dict[str, Any]]:
        for pin in proposal["value"]:
            fits = (
                set(pin) == {"pos", "token", "id"}
                and is_index(pin["pos"], len(self._tokens))
                and is_index(pin["id"], len(self._vocabulary))
                and self._vocabulary[pin["id"]] == pin["token"]
            )
            if not fits:
                raise TraitError(
                    'a pin is {"pos": ..., "token": ..., "id": ...} with a position from 0 to '
                    f"{len(self._tokens) - 1} and the id and string of one token of the "
                    f"vocabulary; given {pin!r}"
                )
        return proposal["value"]

    @traitlets.observe("panel")
    def _follow_panel(self, change: Any) -> None:
        quantities = self._panels[self.panel]["quantities"]
        if self.quantity not in quantities:
            self.quantity = next(iter(quantities))
        if self.selected is not None and not self._inside(self.selected):
            self.selected = None


def _data(
    tokens: Sequence[str],
    values: Any,
    vocabulary: Sequence[str],
    next_token: Sequence[str] | None,
    rows: Sequence[Any] | None,
    top: Any,
) -> dict[str, Any]:
    """The transport traits, checked."""
    shown, known = strings("tokens", tokens), strings("vocabulary", vocabulary)
    following = strings("next_token", [] if next_token is None else next_token)
    if not shown:
        raise ValueError("tokens is empty: a grid has at least one position")
    if following and len(following) != len(shown):
        raise ValueError(
            f"next_token has one string a position, {len(shown)}; given {len(following)}"
        )
    panels = values
    if not isinstance(values, list | tuple) or not all(isinstance(p, Mapping) for p in values):
        if known:
            raise ValueError(
                "vocabulary goes with Panels, whose ids index it; plain strings are top="
            )
        panel, known = plain_panel(values, len(shown), rows, top)
        panels = [panel]
    elif rows is not None or top is not None:
        raise ValueError("rows= and top= go with plain numbers; a Panel holds its own")
    if not panels:
        raise ValueError("panels is empty: a grid shows at least one lens on one component")
    encoded = [encode_panel(panel, len(shown), len(known)) for panel in panels]
    names = [(panel["lens"], panel["component"]) for panel in encoded]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each lens and component has one panel; given twice: {twice}")
    return {"_tokens": shown, "_next_token": following, "_vocabulary": known, "_panels": encoded}


def _moved_pin(pin: dict[str, Any], data: dict[str, Any], number: int) -> dict[str, Any] | None:
    """The pin with its id in new data, or None where the new data say nothing of it."""
    vocabulary, token = data["_vocabulary"], pin["token"]
    # Unfinished bytes may share one string: then only the same id is surely the same token.
    same = pin["id"] if pin["id"] < len(vocabulary) and vocabulary[pin["id"]] == token else -1
    places = vocabulary.count(token)
    if pin["pos"] >= len(data["_tokens"]) or places == 0 or (places > 1 and same < 0):
        return None
    here = vocabulary.index(token) if places == 1 else same
    panel = data["_panels"][number] if 0 <= number < len(data["_panels"]) else data["_panels"][0]
    known = decode(panel["top"])[:, pin["pos"]]
    if panel["tracks"] is not None:
        start, end = decode(panel["tracks"]["offsets"])[pin["pos"] : pin["pos"] + 2]
        known = np.append(known, decode(panel["tracks"]["ids"])[start:end])
    return {"pos": pin["pos"], "token": token, "id": here} if here in known else None
