"""Weight edits: rows, heads or whole weights of a model changed for a while, and put back."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from .check import as_real, checked, refuse, tensor

#: What `index` counts, and along which axis of the weight as `Model.weight` gives it.
_UNITS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("W_in", "W_gate"), ("neurons", 1)),
    **dict.fromkeys(("W_out", "b_in", "b_gate"), ("neurons", 0)),
    **dict.fromkeys(("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V"), ("heads", 0)),
    **dict.fromkeys(("W_E", "b_U"), ("tokens", 0)),
    "W_U": ("tokens", 1),
    "W_pos": ("positions", 0),
    **dict.fromkeys(("b_O", "b_out"), ("dimensions", 0)),
}


@checked
@dataclass(frozen=True, eq=False)
class WeightEdit:
    """One change of one weight: set to `value`, multiplied by `factor`, or `add`ed to.

    name, layer: as in `Model.weight`. index: which of the weight's units, None for all: neurons of
    the MLP's weights, heads of W_Q to W_O and their biases (of W_K and W_V key/value heads), tokens
    of W_E, W_U and b_U, positions of W_pos, dimensions of b_O and b_out. value, factor or add: a
    number, or an array that spreads to (unit, …): a row a neuron, (d_model); a matrix a head,
    (d_model, d_head), of W_O (d_head, d_model).

    Raises `ValueError` for another name, a repeated unit, and unless one change is given.
    """

    name: str
    layer: int | None = None
    index: int | Sequence[int] | None = None
    value: Any = None
    factor: Any = None
    add: Any = None

    def __post_init__(self) -> None:
        if self.name not in _UNITS:
            raise ValueError(f"A weight is one of {', '.join(_UNITS)}; got {self.name!r}.")
        given = [kind for kind in ("value", "factor", "add") if getattr(self, kind) is not None]
        if len(given) != 1:
            raise ValueError(
                "A weight edit has one of value, factor and add; got "
                f"{' and '.join(given) or 'none'}. Make an edit of each: they apply in order."
            )
        if as_real(getattr(self, given[0])) is None:
            tensor(given[0], getattr(self, given[0]))
        units = self.units
        if units is not None and (not units or len(set(units)) < len(units)):
            raise ValueError(
                f"A weight edit names each of its {_UNITS[self.name][0]} once, and at least one; "
                f"got index={self.index!r}. Leave index out for all of them."
            )

    @property
    def units(self) -> list[int] | None:
        """The units as a list, None for all. Raises `TypeError` for what is not a number."""
        if self.index is None:
            return None
        given: Any = self.index
        try:
            many = [operator.index(i) for i in (given if hasattr(given, "__iter__") else [given])]
        except TypeError:
            raise TypeError(f"index is a whole number or a list of them; got {given!r}.") from None
        return many

    def by_unit(self, weight: torch.Tensor) -> torch.Tensor:
        """The weight, as `Model.weight` gives it, with its units along the first axis."""
        axis = _UNITS[self.name][1]
        if not -weight.ndim <= axis < weight.ndim:
            raise refuse(self.name, f"a weight with an axis {axis} of units", weight)
        return weight.movedim(axis, 0)

    def changed(self, before: torch.Tensor) -> torch.Tensor:
        """before (unit, …) → after, of the same shape and dtype.

        Raises `ValueError` for an array that does not spread to that shape, and for a result that
        is not finite.
        """
        kind = next(k for k in ("value", "factor", "add") if getattr(self, k) is not None)
        given = torch.as_tensor(getattr(self, kind), dtype=before.dtype, device=before.device)
        given = given.detach()
        try:
            given = given.expand(before.shape)
        except RuntimeError:
            raise ValueError(
                f"{kind} of {self} spreads to (unit, …), {tuple(before.shape)}; got an array of "
                f"shape {tuple(given.shape)}."
            ) from None
        after = {"value": given, "factor": before * given, "add": before + given}[kind]
        if not bool(torch.isfinite(after).all()):
            raise ValueError(
                f"A weight is finite; {self} makes numbers in {before.dtype} that are not. Give "
                f"a smaller {kind}."
            )
        return after

    def __str__(self) -> str:
        units, layer = self.units, "" if self.layer is None else f"L{self.layer}."
        if units is None:
            return f"{layer}{self.name}"
        some = ", ".join(map(str, units[:4])) + (", …" if len(units) > 4 else "")
        return f"{layer}{self.name}[{some}]"


@contextmanager
def written(model: Any, edits: Sequence[WeightEdit], *, tied: bool = False) -> Iterator[None]:
    """The edits in the model's weights, for the block. Raises as `Change.applied` does."""
    if not edits:
        yield
        return
    with model.turn.taken(edits=True):
        done: list[tuple[torch.Tensor, Any, torch.Tensor]] = []
        try:
            for edit in edits:
                kind = _UNITS[edit.name][0]
                live = edit.by_unit(model.live_weight(edit.name, edit.layer, tied=tied))
                units = edit.units
                if bad := [i for i in units or () if not 0 <= i < len(live)]:
                    raise ValueError(
                        f"{edit.name} of {model.spec.name} has {kind} 0 to {len(live) - 1}; got "
                        f"{bad[0]}."
                    )
                at: Any = slice(None) if units is None else units
                before = live[at].clone()
                after = edit.changed(before)
                # Kept first, so that no interrupt finds a weight changed and forgotten.
                done.append((live, at, before))
                live[at] = after
            yield
        finally:
            _put_back(done)


def _put_back(written: list[tuple[torch.Tensor, Any, torch.Tensor]]) -> None:
    """Undo the edits, the last one first; an interrupt that comes meanwhile is passed on after."""
    interrupt = None
    while written:
        live, at, before = written[-1]
        try:
            live[at] = before
            written.pop()
        except KeyboardInterrupt as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
