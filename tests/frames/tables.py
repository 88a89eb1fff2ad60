"""Tables: any result of a call as one, and the comparison of two."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

#: Of the largest absolute value of the column.
CLOSE = 1e-5
#: Of the whole column, where it holds several measures and the smallest is held to its own.
FLOOR = 1e-7


def table(value: Any) -> pd.DataFrame:
    """A table of plain columns: float64, int64, bool or text."""
    frame = _frame(value)
    if not isinstance(frame.index, pd.RangeIndex):
        frame = frame.reset_index()
    columns: dict[str, Any] = {}
    for name, column in frame.items():
        key = ".".join(map(str, name)) if isinstance(name, tuple) else str(name)
        columns.update(_columns(key, list(column), column))
    return pd.DataFrame(columns, index=pd.RangeIndex(len(frame)))


def _frame(value: Any) -> pd.DataFrame:
    if isinstance(value, pd.DataFrame):
        return value
    if isinstance(value, pd.Series):
        return value.to_frame("value")
    if hasattr(value, "to_frame"):
        return value.to_frame()
    if hasattr(value, "detach"):
        value = value.detach().float() if value.is_floating_point() else value.detach()
        value = value.cpu().numpy()
    if isinstance(value, np.ndarray) and value.dtype != object:
        # A matrix is a table whose columns share one scale: all its numbers in one column.
        where = np.indices(value.shape).reshape(value.ndim, value.size)
        index = {f"axis {i}": each for i, each in enumerate(where)}
        return pd.DataFrame(index | {"value": value.reshape(-1)})
    if isinstance(value, Mapping):
        plain = all(isinstance(each, (str, int, float, bool, tuple)) for each in value.values())
        if plain:
            return pd.DataFrame([dict(value)])
        parts = [_frame(each).assign(key=str(key)) for key, each in value.items()]
        return pd.concat(parts, ignore_index=True)
    if dataclasses.is_dataclass(value):
        return pd.DataFrame([_fields(value)])
    if isinstance(value, (list, tuple)) and value and dataclasses.is_dataclass(value[0]):
        return pd.DataFrame([_fields(each) for each in value])
    if isinstance(value, (list, tuple)) and any(isinstance(each, np.ndarray) for each in value):
        return _frame({str(i): each for i, each in enumerate(value)})
    if isinstance(value, (list, tuple)):
        return pd.DataFrame({"value": pd.Series(list(value), dtype=object)})
    return pd.DataFrame([{"value": value}])


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _columns(name: str, cells: list[Any], column: pd.Series) -> dict[str, Any]:
    kind = column.dtype.kind if isinstance(column.dtype, np.dtype) else "O"
    if kind in "fc":
        return {name: np.asarray(cells, dtype=float)}
    if kind in "iu":
        return {name: np.asarray(cells, dtype=np.int64)}
    if kind == "b":
        return {name: np.asarray(cells, dtype=bool)}
    cells = [getattr(cell, "tolist", lambda cell=cell: cell)() for cell in cells]
    missing = [cell is None or cell is pd.NA or cell is pd.NaT for cell in cells]
    known = [cell for cell, none in zip(cells, missing, strict=True) if not none]
    if known and all(type(cell) in (float, int) for cell in known) and float in map(type, known):
        given = [np.nan if none else cell for cell, none in zip(cells, missing, strict=True)]
        return {name: np.asarray(given, dtype=float)}
    if known and all(isinstance(cell, (list, tuple)) for cell in known):
        flat = [item for cell in known for item in cell]
        if (
            flat
            and all(isinstance(item, (float, int)) for item in flat)
            and any(isinstance(item, float) for item in flat)
        ):
            longest = max(map(len, known))
            filled = [[] if none else list(cell) for cell, none in zip(cells, missing, strict=True)]
            return {f"{name} length": np.asarray([len(cell) for cell in filled])} | {
                f"{name}[{i}]": np.asarray(
                    [cell[i] if i < len(cell) else np.nan for cell in filled], dtype=float
                )
                for i in range(longest)
            }
    return {name: np.asarray([_text(cell) for cell in cells], dtype=object)}


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else repr(cell)


@dataclasses.dataclass
class Compared:
    """Two tables held against each other.

    rows, columns: of the old one. largest: of float columns that hold, the largest difference over
    the largest value. wrong: what does not hold, by column ("" for the table as a whole). swapped:
    rows whose names differ by a tie.
    """

    rows: int
    columns: int
    largest: float = 0.0
    wrong: dict[str, str] = dataclasses.field(default_factory=dict)
    swapped: int = 0


def compare(old: pd.DataFrame, new: pd.DataFrame) -> Compared:
    """Floats within `CLOSE` of their column's largest, everything else exactly, ties aside.

    Columns that only the new table has are no difference.
    """
    out = Compared(*old.shape)
    for name in old.columns.difference(new.columns, sort=False):
        out.wrong[name] = "the new table has no such column"
    shared = [name for name in old.columns if name in new.columns]
    if len(old) != len(new):
        out.wrong[""] = f"{len(old)} rows became {len(new)}"
        return out
    new = new.loc[:, shared]
    order = _order(old, new)
    if order is not None:
        out.swapped = int((order != np.arange(len(old))).sum())
        new = new.iloc[order].reset_index(drop=True)
    cut = np.zeros(len(old), dtype=bool) if order is None else _cut_off(old, new)
    out.swapped += int(cut.sum())
    for name in shared:
        a, b = old[name].to_numpy(), new[name].to_numpy()
        if a.dtype.kind == "f" and b.dtype.kind in "fiu":
            share = relative(old, name, b.astype(float))[~cut]
            worst = float(share.max()) if share.size else 0.0
            if worst <= CLOSE:
                out.largest = max(out.largest, worst)
            else:
                row = int(np.flatnonzero(~cut)[share.argmax()])
                out.wrong[name] = (
                    f"{(share > CLOSE).sum()} of {len(a)}, the largest in row {row}: "
                    f"{a[row]:.9g} became {b[row]:.9g}"
                )
        else:
            differ = (a.astype(object) != b.astype(object)) & ~cut
            if a.dtype.kind != b.dtype.kind and len(a):
                out.wrong[name] = f"{a.dtype} became {b.dtype}"
            elif differ.any():
                row = int(differ.argmax())
                out.wrong[name] = f"{differ.sum()} of {len(a)}, first in row {row}: " + (
                    f"{str(a[row])[:40]!r} became {str(b[row])[:40]!r}"
                )
    return out


def relative(old: pd.DataFrame, name: str, new: np.ndarray) -> np.ndarray:
    """(row,) by how much a float column moved, over the largest value of the column.

    Where a column named "measure" says of what each number is, over the largest of its measure.
    NaN and infinities are equal to their like only.
    """
    a = old[name].to_numpy(dtype=float)
    size = np.where(np.isfinite(a), np.abs(a), 0.0)
    scale = np.full(len(a), size.max(initial=0.0))
    if "measure" in old.columns:
        own = pd.Series(size).groupby(old["measure"].to_numpy()).transform("max").to_numpy()
        scale = np.maximum(own, scale * FLOOR / CLOSE)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        same = (a == new) | (np.isnan(a) & np.isnan(new))
        share = np.abs(a - new) / scale
    return np.where(same, 0.0, np.where(np.isnan(share), np.inf, share))


# -- ties ------------------------------------------------------------------------------------------


def _exact(frame: pd.DataFrame) -> list[str]:
    return [name for name in frame.columns if frame[name].dtype.kind != "f"]


def _differs(old: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """(row,) where another candidate stands: one of another name, not of another count only."""
    out = np.zeros(len(old), dtype=bool)
    for name in _exact(old):
        if name in new.columns and old[name].dtype.kind == "O":
            out |= old[name].to_numpy(dtype=object) != new[name].to_numpy(dtype=object)
    return out


def _scores(old: pd.DataFrame, new: pd.DataFrame) -> list[str]:
    """Float columns that are in the same order of size in both tables, row by row."""
    return [
        name
        for name in new.columns
        if old[name].dtype.kind == new[name].dtype.kind == "f"
        and (relative(old, name, new[name].to_numpy()) <= CLOSE).all()
        and len(set(old[name])) > 1
    ]


def _order(old: pd.DataFrame, new: pd.DataFrame) -> np.ndarray | None:
    """(row,) which new row stands for each old one, where some only swapped with a tie; else None.

    Rows swap only where a float column, the score that they are ranked by, is the same row by row
    whichever candidate has it: then the new row of the same names is taken, found among the rows
    of one value.
    """
    names = [name for name in _exact(old) if name in new.columns]
    differs = _differs(old, new)
    if not differs.any():
        return None
    moving = [
        name
        for name in names
        if (old[name].to_numpy(dtype=object) != new[name].to_numpy(dtype=object)).any()
    ]
    for score in _scores(old, new):
        values = old[score].to_numpy()
        close = CLOSE * np.nanmax(np.abs(values))
        ranks = [n for n in moving if sorted(old[n], key=str) == sorted(new[n], key=str)]
        order = np.arange(len(old))
        free = set(np.flatnonzero(differs))
        for row in np.flatnonzero(differs):
            key = [old[name].iat[row] for name in ranks]
            for other in sorted(free, key=lambda other: abs(other - row)):
                tied = abs(values[other] - values[row]) <= close
                if ranks and tied and [new[name].iat[other] for name in ranks] == key:
                    order[row] = other
                    free.discard(other)
                    break
        # Whatever found no partner keeps the rows that are left, in order.
        placed = [row for row in np.flatnonzero(differs) if order[row] not in free]
        rest = [row for row in np.flatnonzero(differs) if row not in set(placed)]
        for row, other in zip(rest, sorted(free), strict=True):
            order[row] = other
        if placed or _cut_off(old, new.iloc[order].reset_index(drop=True)).any():
            return order
    return None


def _cut_off(old: pd.DataFrame, new: pd.DataFrame) -> np.ndarray:
    """(row,) where another candidate of the same score is the last that its ranking took in.

    The score is a float column that falls (in size) to this row and ends or starts again after it.
    """
    differs = _differs(old, new)
    out = np.zeros(len(old), dtype=bool)
    if not differs.any():
        return out
    for score in [n for n in new.columns if old[n].dtype.kind == new[n].dtype.kind == "f"]:
        size = np.abs(old[score].to_numpy())
        close = CLOSE * np.nanmax(size, initial=0.0)
        same = np.abs(old[score].to_numpy() - new[score].to_numpy(dtype=float)) <= close
        for row in np.flatnonzero(differs & same):
            end = row
            while end + 1 < len(old) and abs(size[end + 1] - size[row]) <= close:
                end += 1
            start = row
            while start > 0 and abs(size[start - 1] - size[row]) <= close:
                start -= 1
            ends = end + 1 == len(old) or size[end + 1] > size[row] + close
            falls = start > 0 and size[start - 1] > size[row] + close
            out[row] |= bool(ends and falls)
    # A slip in the names themselves would also look so here and there; then most rows differ.
    return out if differs.sum() <= max(1, len(old) // 5) else np.zeros(len(old), dtype=bool)
