"""Result: the frozen base of what every method returns."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pandas as pd

from . import result_files
from .check import checked, one_of, refuse
from .files import put_text

#: What the axes of arrays are called, and what one place along them is. No other words are used.
AXES = {
    "batch": "number of the prompt",
    "pos": "position in the prompt",
    "src": "position that is read",
    "dst": "position that reads",
    "layer": "layer",
    "head": "head of its layer",
    "d_model": "place in the residual stream",
    "d_head": "place in a head",
    "d_mlp": "neuron of its layer",
    "d_vocab": "token of the vocabulary",
    "feature": "number of the feature",
    "k": "place in a ranking, 1 = first",
    "example": "number of the example",
    "change": "number of the change",
    "draw": "number of the draw",
    "measure": "number of the measure",
    "site": "number of the site",
    "row": "number of the row",
    "label": "number of the label",
    "node": "number of the node",
    "edge": "number of the edge",
    "model": "number of the model",
    "fold": "number of the fold",
}
#: Along these an array is as long as its longest line; places that a line lacks are all NaN.
RAGGED = {"pos", "src", "dst", "k"}

#: Several labels of one axis: the name of a column, and its value at each place.
Labels = dict[str, tuple[Any, ...]]


def axes(
    names: str,
    dtype: Any = np.float32,
    note: str = "",
    *,
    name: str | None = None,
    optional: bool = False,
) -> Any:
    """A dataclass field that holds a numpy array: its axes, separated by spaces, and its type.

    note: what it is, in which unit. name: of its column, where that is not the field's. A column
    named as its one axis stands in place of the numbers of that axis.
    """
    info = {"axes": tuple(names.split()), "dtype": np.dtype(dtype), "note": note, "column": name}
    return field(default=None, metadata=info, kw_only=True) if optional else field(metadata=info)


def labels(axis: str, note: str = "", *, name: str | None = None, optional: bool = False) -> Any:
    """A dataclass field that says what each place along an axis is: a tuple, or `Labels`.

    note: what it is. name: of its column, where that is not the axis's; `Labels` name their own.
    """
    info = {"labels": axis, "note": note, "column": name}
    return field(default=None, metadata=info, kw_only=True) if optional else field(metadata=info)


@dataclass(frozen=True, eq=False, repr=False)
class Arrays:
    """Frozen data whose array fields are declared with `axes`, and their names with `labels`.

    Arrays are cast to the declared type and made read-only. Raises `ValueError` where an array has
    another number of axes than declared, or where two fields disagree about the length of an axis.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        lines = [
            f"    {name}{_along(each)}: {each.metadata['note']}"
            for name, each in vars(cls).items()
            if isinstance(each, dataclasses.Field) and each.metadata.get("note")
        ]
        if lines:
            cls.__doc__ = "\n".join([f"{(cls.__doc__ or '').rstrip()}\n", *lines])

    def __post_init__(self) -> None:
        lengths: dict[str, tuple[int, str]] = {}
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value is None:
                continue
            if "axes" in f.metadata:
                names, sizes = f.metadata["axes"], self._array(f, value).shape
            elif "labels" in f.metadata:
                sizes = self._labels(f, value)
                names = (f.metadata["labels"],) * len(sizes)
            else:
                continue
            for name, n in zip(names, sizes, strict=True):
                first, where = lengths.setdefault(name, (n, f.name))
                if first != n:
                    raise ValueError(
                        f"{type(self).__name__}.{where} has {first} along {name!r}, {f.name} has "
                        f"{n}; arrays of one result agree about their axes."
                    )

    def _array(self, f: dataclasses.Field[Any], value: Any) -> np.ndarray:
        """The field's value, made an array of the declared type that cannot be written to."""
        given = np.asarray(value)
        try:
            array = given.astype(f.metadata["dtype"], copy=given.flags.writeable)
        except (TypeError, ValueError):
            raise refuse(f"{type(self).__name__}.{f.name}", "numbers", given) from None
        names = f.metadata["axes"]
        if array.ndim != len(names):
            raise ValueError(
                f"{type(self).__name__}.{f.name} has the axes ({', '.join(names)}); "
                f"got an array of shape {array.shape}."
            )
        array.setflags(write=False)
        object.__setattr__(self, f.name, array)
        return array

    def _labels(self, f: dataclasses.Field[Any], value: Any) -> list[int]:
        """How many labels there are, of each column; numpy's numbers and texts become Python's."""
        table = value if isinstance(value, Mapping) else {"": value}
        plain = {
            str(name): tuple(v.item() if isinstance(v, np.generic) else v for v in each)
            for name, each in table.items()
        }
        object.__setattr__(self, f.name, plain if isinstance(value, Mapping) else plain[""])
        return [len(each) for each in plain.values()]


def _nan(values: np.ndarray) -> np.ndarray:
    """Where there is no number; a type without NaN has one everywhere."""
    return np.isnan(values) if values.dtype.kind in "fc" else np.zeros(values.shape, bool)


def _along(each: dataclasses.Field[Any]) -> str:
    """The axes of a field as they stand behind its name."""
    words = each.metadata.get("axes") or [each.metadata.get("labels") or ""]
    return f" ({' '.join(words)})" if any(words) else ""


class _WithOptions:
    """A method whose signature and help have the options of the picture that is drawn.

    They are looked up when they are asked for, as pictures bring seaborn (1.5 s).
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = checked(method)

    def __get__(self, result: Any, kind: Any = None) -> Callable[..., Any]:
        from . import plots

        method = plots.with_options(self.method, (kind if result is None else result).picture)
        return method if result is None else method.__get__(result)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Result(Arrays):
    """What a method found, as plain numbers that no longer need the model.

    model, revision: the model's name and revision. versions: of workbench, torch, transformers and
    the backend's library. seed: of anything random, None where nothing was. tokens: for each prompt
    its token strings. Arrays are numpy on the CPU; their axes stand at each field.

    The last line of a cell draws the result: as a view that lives in the output, kernel or not,
    with its picture where no script may run; else as a picture. If drawing fails, a warning says
    why and the plain text is shown.
    """

    model: str
    revision: str
    versions: dict[str, str]
    seed: int | None
    tokens: tuple[tuple[str, ...], ...]

    # What a class sets; with an annotation they would be fields.
    #: The axes of each table of `to_frame`, by the table's name, the main one first.
    tables = cast("Mapping[str, str]", {})
    #: A mark of `workbench.pictures.marks`, or the name of a function within `workbench.pictures`.
    picture = cast(Any, None)
    #: The name of the widget's maker within `workbench.views`.
    view = cast("str | None", None)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        checked(cls)

    def to_frame(self, table: str | None = None) -> pd.DataFrame:
        """The result as a table in long form, one line a place along the axes of its main arrays.

        Each axis gives a column of its labels, or of numbers where it has none; each array that
        lies along these axes, or along some of them, gives a column of values. `attrs["notes"]`
        says what each column is. Places that a shorter prompt or ranking lacks are left out.

        table: one of the class's `tables`, by name; None takes the first, or where a class names
        none, the axes of its first array. Raises `ValueError` for another name.
        """
        main = self._table_axes(table)
        arrays = [
            (f, value)
            for f in dataclasses.fields(self)
            if (value := getattr(self, f.name)) is not None
            and f.metadata.get("axes")
            and set(f.metadata["axes"]) <= set(main)
        ]
        lengths = {
            axis: n
            for f, value in arrays
            for axis, n in zip(f.metadata["axes"], value.shape, strict=True)
        }
        if not any(value.ndim == len(main) for _, value in arrays):
            raise refuse(
                "table", f"one that was measured; along {' '.join(main)} nothing was", table
            )
        grid = np.indices([lengths[axis] for axis in main]).reshape(len(main), -1)
        places = dict(zip(main, grid, strict=True))
        columns = [
            column
            for axis in main
            for column in self._axis_columns(axis, places[axis], [f for f, _ in arrays])
        ]
        there = np.ones(grid.shape[1], bool)
        if RAGGED & set(main):
            whole = [value for _, value in arrays if value.ndim == len(main)]
            there = ~np.all([_nan(value).ravel() for value in whole], axis=0)
        for f, value in arrays:
            at = tuple(places[axis] for axis in f.metadata["axes"])
            columns.append((f.metadata["column"] or f.name, value[at], f.metadata["note"]))
        names = [name for name, *_ in columns]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(
                f"Each column of a table has a name of its own; {type(self).__name__} has two "
                f"called {twice[0]!r}. Give one of the labels or arrays another name."
            )
        frame = pd.DataFrame({name: values[there] for name, values, _ in columns}).infer_objects()
        frame.attrs["notes"] = {name: note for name, _, note in columns}
        return frame

    def _table_axes(self, table: str | None) -> tuple[str, ...]:
        if table is None and not self.tables:
            fields = dataclasses.fields(self)
            main = next((f.metadata["axes"] for f in fields if "axes" in f.metadata), None)
            if main is None:
                raise TypeError(
                    f"{type(self).__name__} has no arrays to make a table of; define to_frame()."
                )
            return main
        if table is not None and not self.tables:
            raise refuse("table", f"None, since {type(self).__name__} has one table", table)
        name = next(iter(self.tables)) if table is None else one_of("table", table, self.tables)
        return tuple(self.tables[name].split())

    def _axis_columns(
        self, axis: str, places: np.ndarray, arrays: list[dataclasses.Field[Any]]
    ) -> Iterator[tuple[str, np.ndarray, str]]:
        """The name, values and note of each column of labels, or of the numbers of an axis."""
        labelled = any(f.metadata["axes"] == (axis,) == (f.metadata["column"],) for f in arrays)
        for f in dataclasses.fields(self):
            given = getattr(self, f.name)
            if f.metadata.get("labels") != axis or given is None:
                continue
            labelled = True
            table = given if isinstance(given, Mapping) else {f.metadata["column"] or axis: given}
            for name, values in table.items():
                each = pd.Series(values, dtype=object).to_numpy()
                yield name, each[places], f.metadata["note"]
        if not labelled:
            # Ranks start at 1.
            yield axis, places + (axis == "k"), AXES.get(axis, "")

    @_WithOptions
    def plot(self, *, title: str | None = None, **options: Any) -> Any:
        """The matplotlib Axes of a static picture.

            ax = result.plot(title="")  # a picture of its own size, without a title
            figure, axes = plt.subplots(1, 2, figsize=(6.75, 2.5), layout="constrained")
            result.plot(ax=axes[0])
            figure.savefig("figure.pdf")  # its fonts are embedded as TrueType

        title: in place of its own; "" for none. ax: where to draw, as wide as the figure says.
        Options: those of the result's `picture`, which stand below. Raises `TypeError` for a result
        that has none.
        """
        from . import plots

        return plots.plot(self, title, **options)

    def png(self, **options: Any) -> bytes:
        """The picture of `plot` as the bytes of a PNG file."""
        from . import plots

        return plots.png(self, **options)

    def widget(self, **options: Any) -> Any:
        """The interactive view. Raises `TypeError` for a result that has none."""
        from . import views

        try:
            return views.widget(self, **options)
        except TypeError as error:
            if "unexpected keyword argument" not in str(error):
                raise
            raise refuse("A view's option", "one that it takes", options, f"{error}.") from None

    def html(self, *, title: str | None = None) -> str:
        """One self-contained HTML page that needs no network, as text."""
        from . import views

        return views.page(self, title or repr(self))

    def to_html(self, path: str | Path, *, title: str | None = None) -> Path:
        """Write the page of `html` to `path`, and return that path."""
        return put_text(path, self.html(title=title))

    def save(self, path: str | Path) -> Path:
        """Write `path`.json (everything but the arrays) and `path`.safetensors (the arrays).

        Returns the path of the JSON file. A suffix .json or .safetensors of `path` is dropped. A
        save that breaks off leaves the result that was there, or this one, whole.
        """
        return result_files.save(self, path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The result that `save(path)` wrote.

        Raises `FileNotFoundError` where either file is missing, `ValueError` for a file that is not
        a result, was changed after it was written, is a result of another class, or was written in
        another format.
        """
        return result_files.load(cls, path)

    def _facts(self) -> str:
        """What `repr` says after the model's name."""
        n = sum(map(len, self.tokens))
        return f"{len(self.tokens)} prompt{'s' * (len(self.tokens) != 1)}, {n} tokens"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model}: {self._facts()})"

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        from . import views

        try:
            return views.output(self)
        except Exception as error:  # a cell must show something, whatever went wrong in the view
            warnings.warn(f"{type(self).__name__} could not be drawn: {error!r}", stacklevel=2)
            return {"text/plain": repr(self)}


def provenance(model: Any, tokens: Any = None, seed: int | None = None) -> dict[str, Any]:
    """The fields of `Result` that say where a result comes from, for a `Model` and `Tokens`."""
    spec = model.spec
    backend = {"nnsight": "nnsight", "transformer_lens": "transformer-lens"}.get(spec.backend)
    names = ["torch", "transformers", *([backend] if backend else [])]
    return {
        "model": spec.name,
        "revision": spec.revision,
        "versions": {"workbench": _version()} | {name: metadata.version(name) for name in names},
        "seed": seed,
        "tokens": () if tokens is None else tokens.strings,
    }


def _version() -> str:
    try:
        return metadata.version("interp-workbench")
    except metadata.PackageNotFoundError:
        return "not installed"
