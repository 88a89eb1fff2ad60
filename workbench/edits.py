"""Edits: what a run changes at a site. Plain frozen data, applied by either backend."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch

from .check import checked, given, held, number, refuse, tensor
from .site import Site

#: Whether edits that change nothing are no surprise here, and nothing to warn of.
_FINE: ContextVar[bool] = ContextVar("unchanged edits are fine", default=False)

Positions = int | slice | Sequence[int] | Literal["last"] | None


class UnchangedEdit(UserWarning):
    """An edit reached its rows and positions and left every number as it was."""


@contextmanager
def unchanged_is_fine() -> Iterator[None]:
    """For the block, an edit that leaves every number as it was is nothing to warn of."""
    before = _FINE.set(True)
    try:
        yield
    finally:
        _FINE.reset(before)


def warns_of_unchanged() -> bool:
    """Whether an edit that leaves every number as it was is told of here."""
    return not _FINE.get()


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one activation: where, in which rows, at which positions, and how.

    site: a `Site` or its name. rows: row numbers of the batch, None for all. positions: positions
    of each row's own tokens (see `Tokens`), a number, slice, list or "last"; None for all of them.
    needs: sites computed earlier in the same pass, whose activations, at the same rows and
    positions, `apply` receives as they are now.

    A subclass says what happens in `apply(activation, *needed)`: a pure function from the selected
    part of the activation to its replacement of the same shape. The shape is (row, pos, …) with the
    site's further axes; (row, head, pos, src) for pattern and attn_scores, where positions are
    those of the destination. A row with fewer positions than the longest arrives filled up with its
    last one; what is given back for these is dropped.

    What attention may not look at, no edit shows it: masked entries of attn_scores stay masked, and
    the weights of later and of padding positions in pattern stay 0.
    """

    #: Whether every number given back depends on all of the last axis.
    mixes: ClassVar[bool] = False

    # Given as names or sites, rows as one or several; held as a Site, tuples of ints and of Sites.
    site: Any
    rows: Any = field(default=None, kw_only=True)
    positions: Positions = field(default=None, kw_only=True)
    needs: Any = field(default=(), kw_only=True)

    def __post_init__(self) -> None:
        object.__setattr__(self, "site", Site.parse(self.site))
        call = type(self).__name__
        rows = held("rows", int | Sequence[int] | None, self.rows, call)
        if rows is not None:
            rows = (rows,) if isinstance(rows, int) else tuple(rows)
            if not rows or len(set(rows)) != len(rows):
                raise ValueError(
                    f"The rows of an edit are different row numbers; got {given(rows)}."
                )
        object.__setattr__(self, "rows", rows)
        positions = held("positions", Positions, self.positions, call)
        if isinstance(positions, Sequence) and not isinstance(positions, str):
            positions = tuple(positions)
        object.__setattr__(self, "positions", positions)
        needs = held("needs", str | Site | Sequence[str | Site], self.needs, call)
        names = [needs] if isinstance(needs, (str, Site)) else needs
        object.__setattr__(self, "needs", tuple(Site.parse(name) for name in names))
        for needed in self.needs:
            if not needed < self.site:
                raise ValueError(
                    f"An edit can need only what is computed before it; {needed} comes after "
                    f"{self.site}. "
                    "Edit a later site, or need an earlier one."
                )

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        """The replacement of the selected activation. Subclasses define it."""
        raise TypeError(
            f"{type(self).__name__} has no apply(activation, *needed); define it in the subclass."
        )

    @checked
    def for_pass(self, shared: dict[Any, Any]) -> Edit:
        """The edit as one pass applies it; `shared` is what the edits of that pass have in common.

        An edit that keeps something while the pass goes by gives a copy that holds it, and is
        itself as good as new for the next pass.
        """
        return self

    def __repr__(self) -> str:
        where = "" if self.rows is None else f", rows={self.rows}"
        where += "" if self.positions is None else f", positions={self.positions!r}"
        return f"{type(self).__name__}({str(self.site)!r}{where})"


def _like(value: Any, activation: torch.Tensor) -> torch.Tensor:
    out = torch.as_tensor(value, dtype=activation.dtype, device=activation.device)
    # What was made in inference mode is no part of a graph, but its copy can be.
    return out.clone() if out.is_inference() else out


@dataclass(frozen=True, eq=False, repr=False)
class Set(Edit):
    """Put `value` in place of the activation; it broadcasts to (row, pos, …)."""

    value: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        # Scores may be masked; nothing else of a model is infinite.
        tensor("value", self.value, infinite=self.site.stream == "attn_scores")

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return broadcast(_like(self.value, activation), activation)


@dataclass(frozen=True, eq=False, repr=False)
class Add(Edit):
    """Add `scale` times `value`; it broadcasts to (row, pos, …)."""

    value: Any
    scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("value", self.value)
        number("scale", self.scale)

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation + self.scale * broadcast(_like(self.value, activation), activation)


@dataclass(frozen=True, eq=False, repr=False)
class Scale(Edit):
    """Multiply by `factor`, a number or what broadcasts to (row, pos, …); 0 is zero ablation."""

    factor: Any

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("factor", self.factor)

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation * broadcast(_like(self.factor, activation), activation)


@dataclass(frozen=True, eq=False, repr=False)
class ProjectOut(Edit):
    """Take away the part of the activation that lies along `directions`.

    directions: (d,) or (n, d), over the activation's last axis; they need not be orthogonal or of
    unit length. Raises `ValueError` where they are zero or linearly dependent.
    """

    directions: Any
    mixes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if tensor("directions", self.directions).ndim not in (1, 2):
            raise refuse("directions", "numbers of shape (d,) or (n, d)", self.directions)

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        given = torch.as_tensor(
            self.directions, dtype=None if hasattr(self.directions, "dtype") else torch.float64
        )
        basis = torch.atleast_2d(given).to(activation.device, torch.float64)
        if not activation.ndim or basis.shape[-1] != activation.shape[-1]:
            raise ValueError(
                f"Directions have the activation's width {activation.shape[-1:].numel()}; got "
                f"{basis.shape[-1]}."
            )
        basis = torch.nn.functional.normalize(basis, dim=-1, eps=0.0).nan_to_num()
        # Multiples of one direction differ by the rounding of the type that they were given in.
        rounding = torch.finfo(given.dtype if given.is_floating_point() else torch.float64).eps
        independent = torch.linalg.matrix_rank(basis, atol=4 * len(basis) * rounding)
        if int(independent) < len(basis):
            raise ValueError(
                f"Directions are linearly independent and not zero; the {basis.shape[0]} given are "
                "not."
            )
        q = torch.linalg.qr(basis.T).Q.to(activation.dtype)
        return activation - (activation @ q) @ q.T


@dataclass(frozen=True, eq=False, repr=False)
class Affine(Edit):
    """Map the last axis by `matrix` (d, d), then add `offset` (d,)."""

    matrix: Any
    offset: Any = 0.0
    mixes = True

    def __post_init__(self) -> None:
        super().__post_init__()
        tensor("matrix", self.matrix, (None, None))
        tensor("offset", self.offset)

    @checked
    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        width = activation.shape[-1] if activation.ndim else 0
        then = "The matrix maps the activation's last axis to itself."
        matrix = _like(tensor("matrix", self.matrix, (width, width), then), activation)
        return activation @ matrix.T + broadcast(_like(self.offset, activation), activation)


def broadcast(value: torch.Tensor, activation: torch.Tensor) -> torch.Tensor:
    """The value at the activation's shape; an error that names both where it does not fit."""
    try:
        return value.expand(activation.shape)
    except RuntimeError:
        raise ValueError(
            "The value of an edit broadcasts to the selected activation, shape "
            f"{tuple(activation.shape)}; "
            f"got shape {tuple(value.shape)}. Give one value, one a position, or one a row and "
            "position."
        ) from None
