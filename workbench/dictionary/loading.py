"""Loading: a dictionary's fields from a folder, a file or the Hub, in any form read here."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..files import locked
from ..reading import check_file
from . import hub
from .formats import circuit_tracer, dictionary_learning, gemma_scope, sae_lens
from .formats.parts import Given, Parts, assemble

Format = Literal["sae_lens", "gemma_scope", "dictionary_learning", "circuit_tracer"]
FORMATS: tuple[Format, ...] = get_args(Format)


def read(
    source: str | Path,
    sae_id: str | None,
    format: Format | None,
    revision: str | None,
    given: Given,
) -> tuple[Path, dict[str, Any]]:
    """The file of the weights, and a dictionary's fields, as `Dictionary.load` asks for them."""
    if format is not None and format not in FORMATS:
        raise ValueError(f"format is one of {', '.join(FORMATS)}; got {format!r}.")
    path = Path(source).expanduser()
    if os.path.lexists(path):
        if not path.is_dir():
            check_file(path)
        place, where = _local(path, sae_id), str((path / (sae_id or "")).absolute())
        name, repository = place.name, where
    else:
        if isinstance(source, Path) or source.startswith((".", "/", "~")):
            raise FileNotFoundError(f"There is no {path}. Give a folder or a file that exists.")
        place, where, repository = hub.fetch(source, sae_id, revision)
        name = where
    try:
        with locked(place if place.is_dir() else place.parent, to_read=True):
            parts = _read(place, where, format)
    except (TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError) as error:
        # Settings or weights of another kind than their form has: a list for a number, a matrix
        # for a vector, a name that is missing.
        raise ValueError(
            f"{place} is not as its form is: {type(error).__name__}, {str(error)[:200]}. It is "
            "damaged or of another form: get it again, or name its form, format=."
        ) from None
    if parts.center is None:
        parts = replace(parts, center=_centred(repository))
    return parts.where, assemble(parts if parts.name else replace(parts, name=name), given)


def _centred(repository: str) -> bool:
    """Whether the source is, or is a copy of, a release known to expect the centred stream."""
    known = {name.rpartition("/")[2] for name in hub.CENTRED}
    known |= {name for name, release in hub.RELEASES.items() if release.centred}
    return not known.isdisjoint(Path(repository).parts)


def _local(path: Path, sae_id: str | None) -> Path:
    """The folder or the file of one dictionary below a path that exists."""
    if sae_id is None:
        return path
    for below in (path / sae_id, path / f"{sae_id}.safetensors"):
        if os.path.lexists(below):
            return below
    raise FileNotFoundError(f"{path} has no {sae_id!r}; it has {_content(path)}.")


def _read(place: Path, where: str, format: Format | None) -> Parts:
    path, found = _weights(place, format)
    readers: dict[Format, Callable[[], Parts]] = {
        "sae_lens": lambda: sae_lens.read_sae_lens(path.parent),
        "gemma_scope": lambda: gemma_scope.read_gemma_scope(path, where),
        "dictionary_learning": lambda: dictionary_learning.read_dictionary_learning(path),
        "circuit_tracer": lambda: circuit_tracer.read_circuit_tracer(path),
    }
    return readers[found]()


def _weights(place: Path, format: Format | None) -> tuple[Path, Format]:
    """The file of the weights, and the form that it and its neighbours have."""
    if place.is_file():
        found = format or _form_of(place)
        if found is None:
            raise ValueError(
                f"{place} has none of the names of a dictionary's weights: {_names()}. Name its "
                "form: format=."
            )
        return place, found
    known: dict[Path, Format] = {
        place / sae_lens.WEIGHTS: "sae_lens",
        place / sae_lens.CONFIG: "sae_lens",
        place / "ae.pt": "dictionary_learning",
    }
    known |= {place / name: "gemma_scope" for name in gemma_scope.WEIGHTS}
    for path, form in known.items():
        if os.path.lexists(path) and format in (None, form):
            return path, form
    layers = [path for path in place.iterdir() if circuit_tracer.LAYER.fullmatch(path.name)]
    if len(layers) == 1 and format in (None, "circuit_tracer"):
        return layers[0], "circuit_tracer"
    if layers:
        raise ValueError(
            f"{place} holds {len(layers)} layers of transcoders. Give one: sae_id='layer_0'."
        )
    raise FileNotFoundError(
        f"{place} holds no dictionary in the form {format or 'of any kind'}: it has none of "
        f"{_names()}. It has {_content(place)}; give sae_id= where a folder in it is meant."
    )


def _form_of(path: Path) -> Format | None:
    if path.name in (sae_lens.WEIGHTS, sae_lens.CONFIG):
        return "sae_lens"
    if path.name in gemma_scope.WEIGHTS or path.suffix == ".npz":
        return "gemma_scope"
    if path.suffix in (".pt", ".pth", ".bin"):
        return "dictionary_learning"
    return "circuit_tracer" if circuit_tracer.LAYER.fullmatch(path.name) else None


def _names() -> str:
    return f"{sae_lens.WEIGHTS}, {', '.join(gemma_scope.WEIGHTS)}, ae.pt, layer_0.safetensors"


def _content(place: Path) -> str:
    names = sorted(path.name for path in place.iterdir())
    return (", ".join(names[:8]) + (", …" if len(names) > 8 else "")) or "nothing"
