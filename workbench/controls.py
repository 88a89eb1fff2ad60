"""Controls: random things of the same kind, place, size or activity as those that are changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch

from .change import Change, Part
from .check import Count, Seed, checked, given, one_of, refuse
from .dictionary.base import ScaleFeatures, SetFeatures
from .edits import Add, Affine, ProjectOut, Scale, Set
from .model import Model
from .site import Site
from .weight_edits import WeightEdit

KINDS = ("random", "orthogonal")
#: What a user calls; `others` draws for methods.
__all__ = ["like"]

#: A random unit is drawn from this many of its layer that are nearest in size.
NEAREST = 50
#: The fields of edits that hold vectors along the last axis of their site.
_VECTORS = {Add: "value", ProjectOut: "directions"}


@checked
def like(
    model: Model,
    change: Any,
    n: Count,
    *,
    kind: Literal["random", "orthogonal"] = "random",
    sizes: Mapping[Site | str, Any] | None = None,
    seed: Seed = 0,
) -> list[Change]:
    """`n` random changes of the same kind, places and sizes as `change`, at its strength.

        wb.controls.like(model, wb.Change(wb.Add("L2.resid_post", direction)), 20)

    Vectors, subspaces and maps are turned, all of one change by one random rotation of the space
    they are in, so that lengths, angles, ranks and spectra stay ("orthogonal": out of the space
    that they span). Neurons, rows of weights and features become others of their layer that are
    near in size, and are held where they write as much. sizes: (unit,) by site, what counts as
    their size (a feature's mean code); None takes the length of what a unit writes. A circuit, or
    whatever else has `like(n, kind=, seed=)`, draws for itself.

    Raises `TypeError` for what has no random counterpart (a whole activation that is set, a model,
    code): draw what it was made of, and give the changes as controls.
    """
    if hasattr(change, "like"):
        return list(change.like(n, kind=kind, seed=seed))
    own = Change.of(change)
    if len(own) == 1 and hasattr(own.parts[0].what, "like"):
        part = own.parts[0]
        return [Change(replace(part, what=w)) for w in part.what.like(n, kind=kind, seed=seed)]
    by_site = {Site.parse(site): np.asarray(values) for site, values in (sizes or {}).items()}
    return [
        _Draw(model, own, kind, by_site, np.random.default_rng([seed, i])).change()
        for i in range(n)
    ]


class _Draw:
    """One random counterpart of a change."""

    def __init__(
        self,
        model: Any,
        change: Change,
        kind: str,
        sizes: Mapping[Site, np.ndarray],
        rng: np.random.Generator,
    ) -> None:
        self.model, self.own, self.sizes, self.rng = model, change, sizes, rng
        self.kind = one_of("kind", kind, KINDS)
        self._rotations = self._spaces()

    def change(self) -> Change:
        units = self._units()
        return Change([self._drawn(part, units) for part in self.own.parts])

    def _drawn(self, part: Part, units: Mapping[int, Any]) -> Part:
        edit = part.what
        if id(part) in units:
            return replace(part, what=units[id(part)])
        if isinstance(edit, (Add, ProjectOut)):
            name = _VECTORS[type(edit)]
            return replace(part, what=replace(edit, **{name: self._turned(edit, name)}))
        if isinstance(edit, Affine):
            turn = self._rotations[_space(edit.site)]
            matrix = turn(turn(_numbers(edit.matrix)).T).T
            offset = _numbers(edit.offset)
            offset = turn(offset) if offset.ndim else offset
            return replace(part, what=replace(edit, matrix=_as(matrix), offset=_as(offset)))
        raise TypeError(
            f"Nothing is drawn like {given(edit)}. Draw what it was made of, and give the changes "
            "as controls=."
        )

    # -- vectors ---------------------------------------------------------------------------------

    def _turned(self, edit: Any, name: str) -> torch.Tensor:
        return _as(self._rotations[_space(edit.site)](_numbers(getattr(edit, name))))

    def _spaces(self) -> dict[Any, Any]:
        """A rotation for each space that the change has vectors in."""
        own: dict[Any, list[np.ndarray]] = {}
        for part in self.own.parts:
            edit = part.what
            if isinstance(edit, (Add, ProjectOut)) and edit.site.unit is None:
                vectors = _numbers(getattr(edit, _VECTORS[type(edit)]))
                width = vectors.shape[-1] if vectors.ndim else 0
                if width < 2:
                    then = "Give the changes to compare with as controls=."
                    raise refuse("A control", "drawn like a vector", edit, then)
                own.setdefault(_space(edit.site), []).append(vectors.reshape(-1, width))
            elif isinstance(edit, Affine):
                space, matrix = _space(edit.site), _numbers(edit.matrix)
                own.setdefault(space, []).append(np.eye(len(matrix)))
        return {
            space: _rotation(np.concatenate(vectors), self.kind, self.rng)
            for space, vectors in own.items()
        }

    # -- units -----------------------------------------------------------------------------------

    def _units(self) -> dict[int, Any]:
        """The edits of units, by their part: each unit replaced, none twice, one draw a place."""
        places: dict[Any, list[tuple[Part, Sequence[int]]]] = {}
        for part in self.own.parts:
            edit = part.what
            if isinstance(edit, WeightEdit) and edit.units is not None:
                places.setdefault((edit.name, edit.layer), []).append((part, edit.units))
            elif isinstance(edit, (SetFeatures, ScaleFeatures)):
                places.setdefault(edit.dictionary.out_site, []).append((part, edit.features))
            elif isinstance(edit, (Set, Add, Scale)) and edit.site.unit is not None:
                places.setdefault(edit.site.whole, []).append((part, [edit.site.unit]))
        out: dict[int, Any] = {}
        for place, found in places.items():
            units = list(dict.fromkeys(unit for _, some in found for unit in some))
            sizes = self._size(place, found[0][0].what)
            # Whoever gives sizes says what is alike; without, what is written is made as long.
            lengths = sizes if isinstance(place, Site) and place not in self.sizes else None
            drawn = dict(zip(units, others(units, sizes, self.rng, NEAREST), strict=True))
            for part, some in found:
                out[id(part)] = _replaced(part.what, [drawn[u] for u in some], lengths)
        return out

    def _size(self, place: Any, edit: Any) -> np.ndarray:
        if isinstance(place, Site) and place in self.sizes:
            return self.sizes[place]
        if isinstance(edit, WeightEdit):
            rows = self.model.weight(edit.name, edit.layer)
            return edit.by_unit(rows).flatten(1).norm(dim=-1).cpu().numpy()
        if isinstance(edit, (SetFeatures, ScaleFeatures)):
            return edit.dictionary.W_dec.float().norm(dim=-1).cpu().numpy()
        if place.stream in ("mlp_post", "mlp_pre"):
            return self.model.weight("W_out", place.layer).float().norm(dim=-1).cpu().numpy()
        raise TypeError(
            f"Nothing says how large the units of {place} are; give sizes={{{str(place)!r}: …}}."
        )


def others(
    units: Sequence[int],
    sizes: np.ndarray,
    rng: np.random.Generator,
    nearest: int | None = NEAREST,
) -> list[int]:
    """One other unit in place of each, none twice; one of size 0 is never drawn.

    nearest: drawn from so many that are closest in size; None from all. Raises `ValueError` where
    too few are left.
    """
    free = (sizes > 0) & ~np.isin(np.arange(len(sizes)), units)
    if free.sum() < len(units):
        raise ValueError(
            f"Random units are drawn from the others of a layer, {int(free.sum())} for "
            f"{len(units)}. Take fewer."
        )
    out = []
    for unit in units:
        left = np.flatnonzero(free)
        if nearest is not None:
            left = left[np.argsort(np.abs(sizes[left] - sizes[unit]), kind="stable")[:nearest]]
        out.append(int(rng.choice(left)))
        free[out[-1]] = False
    return out


def _replaced(edit: Any, units: list[int], lengths: np.ndarray | None) -> Any:
    """The edit on other units; a value that is put in or added writes a vector as long."""
    if isinstance(edit, WeightEdit):
        return replace(edit, index=units)
    if isinstance(edit, (SetFeatures, ScaleFeatures)):
        return replace(edit, features=units)
    (unit,) = units
    new: dict[str, Any] = {"site": replace(edit.site, unit=unit)}
    if lengths is not None and isinstance(edit, (Set, Add)):
        new["value"] = torch.as_tensor(edit.value) * float(lengths[edit.site.unit] / lengths[unit])
    return replace(edit, **new)


def _space(site: Site) -> Any:
    """What tells the vectors of a site apart: the residual stream is one space in every layer."""
    return "d_model" if site.axes[-1] == "d_model" else site


def _rotation(vectors: np.ndarray, kind: str, rng: np.random.Generator) -> Any:
    """A random rotation, as it acts on these vectors' span: a function of vectors (…, d)."""
    d = vectors.shape[1]
    _, sizes, basis = np.linalg.svd(vectors, full_matrices=False)
    basis = basis[sizes > 1e-6 * max(sizes.max(initial=0.0), 1e-30)]
    rank = len(basis)
    if kind == "orthogonal" and 2 * rank > d:
        raise ValueError(
            f"As many directions at right angles fit only twice into the space; the change spans "
            f"{rank} of {d}. Take kind='random'."
        )
    drawn = rng.standard_normal((d, rank))
    if kind == "orthogonal":
        drawn -= basis.T @ (basis @ drawn)
    frame, triangle = np.linalg.qr(drawn)
    # The signs that make it even over all rotations (Mezzadri 2007).
    frame = frame * np.sign(np.diag(triangle))
    return lambda x: (x @ basis.T) @ frame.T


def _numbers(value: Any) -> np.ndarray:
    return torch.as_tensor(value).detach().cpu().double().numpy()


def _as(value: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(value, dtype=torch.float32)
