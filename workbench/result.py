"""Result: the frozen base of what every method returns."""

from __future__ import annotations

import base64
import dataclasses
import warnings
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from . import result_files
from .check import checked, refuse
from .files import put_text


def axes(names: str, dtype: Any = np.float32, *, optional: bool = False) -> Any:
    """A dataclass field that holds a numpy array: its axes, separated by spaces, and its type."""
    info = {"axes": tuple(names.split()), "dtype": np.dtype(dtype)}
    return field(default=None, metadata=info, kw_only=True) if optional else field(metadata=info)


@dataclass(frozen=True, eq=False, repr=False)
class Arrays:
    """Frozen data whose array fields are declared with `axes`.

    Arrays are cast to the declared type and made read-only. Raises `ValueError` where an array has
    another number of axes than declared, or where two arrays disagree about the length of an axis.
    """

    def __post_init__(self) -> None:
        lengths: dict[str, tuple[int, str]] = {}
        for f in dataclasses.fields(self):
            if "axes" not in f.metadata or getattr(self, f.name) is None:
                continue
            given = np.asarray(getattr(self, f.name))
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
            for name, n in zip(names, array.shape, strict=True):
                first, where = lengths.setdefault(name, (n, f.name))
                if first != n:
                    raise ValueError(
                        f"{type(self).__name__}.{where} has {first} along {name!r}, {f.name} has "
                        f"{n}; "
                        "arrays of one result agree about their axes."
                    )
            array.setflags(write=False)
            object.__setattr__(self, f.name, array)


@checked
@dataclass(frozen=True, eq=False, repr=False)
class Result(Arrays):
    """What a method found, as plain numbers that no longer need the model.

    model, revision: the model's name and revision. versions: of workbench, torch, transformers and
    the backend's library. seed: of anything random, None where nothing was. tokens: for each prompt
    its token strings. Arrays are numpy on the CPU; their axes stand at each field.

    The last line of a cell draws the result: as a widget, else as a picture. If drawing fails, a
    warning says why and the plain text is shown.
    """

    model: str
    revision: str
    versions: dict[str, str]
    seed: int | None
    tokens: tuple[tuple[str, ...], ...]

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        checked(cls)

    def to_frame(self) -> pd.DataFrame:
        """The result as a table in long form. Each method documents its columns."""
        raise TypeError(f"{type(self).__name__} defines no to_frame(); define it in the subclass.")

    def plot(self, **options: Any) -> Any:
        """The matplotlib Axes of a static picture; options as in `workbench.plots`."""
        from . import plots

        return plots.plot(self, **options)

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

    def to_html(self, path: str | Path | None = None, *, title: str | None = None) -> str:
        """One self-contained HTML page that needs no network; written to `path` if given."""
        from . import views

        page = views.page(self, title or repr(self))
        if path is not None:
            put_text(path, page)
        return page

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
        a newer format.
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

        text = {"text/plain": repr(self)}
        try:
            if not views.has_widget(self):
                return {"image/png": base64.b64encode(self.png()).decode("ascii")} | text
            return views.widget_bundle(self) | text
        except Exception as error:  # a cell must show something, whatever went wrong in the view
            warnings.warn(f"{type(self).__name__} could not be drawn: {error!r}", stacklevel=2)
            return text


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
