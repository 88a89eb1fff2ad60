"""Result files: a result as JSON and arrays, put in place together and checked as they are read."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from .files import SUM, aside, check_seal, locked, sealed, sum_of, whole
from .reading import check_file, parse_json, read_arrays, safetensors_header

#: Written into every file; a file with a larger number was made by a newer workbench.
FORMAT = 2
#: The entries of every file; two are checksums, of the arrays' file and of the rest.
ENTRIES = {"workbench", "class", "result", "arrays", SUM}
_AGAIN = "Save the result again, or get the file again."


def save(result: Any, path: str | Path) -> Path:
    """See `Result.save`."""
    stem = _stem(path)
    arrays: dict[str, np.ndarray] = {}
    body = _pack(result, "", arrays)
    out = Path(f"{stem}.json")
    with aside(out, Path(f"{stem}.safetensors")) as (text_file, arrays_file):
        save_file(arrays, arrays_file)
        text = sealed(
            {
                "workbench": FORMAT,
                "arrays": sum_of(arrays_file),
                "class": type(result).__name__,
                "result": body,
            }
        )
        text_file.write_text(json.dumps(text, ensure_ascii=False, indent=1), encoding="utf-8")
    return out


def load(kind: type, path: str | Path) -> Any:
    """See `Result.load`."""
    stem = _stem(path)
    with locked(stem.parent, to_read=True):
        return _load(kind, stem)


def _load(kind: type, stem: Path) -> Any:
    json_file, arrays_file = Path(f"{stem}.json"), Path(f"{stem}.safetensors")
    try:
        check_file(json_file)
        text = _read(json_file)
        found = _arrays_file(text, arrays_file)
    except FileNotFoundError as error:
        missing = json_file if not json_file.exists() else arrays_file
        raise FileNotFoundError(
            f"A saved {kind.__name__} is two files, {stem.name}.json and {stem.name}.safetensors; "
            f"{missing} is missing. Give load() the path that was given to save()."
        ) from error
    name = text["class"]
    if name != kind.__name__:
        raise ValueError(
            f"{json_file} holds a {name}, not a {kind.__name__}; read it with {name}.load()."
        )
    arrays = read_arrays(found)
    used: set[str] = set()
    try:
        result = _unpack(kind, text["result"], arrays, used, "result")
        if unread := sorted(set(arrays) - used):
            raise ValueError(f"nothing in it names the array {unread[0][:40]!r}")
    # A class holds more rules than its types say, and finds them broken in its own ways.
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise ValueError(
            f"{json_file} does not hold a whole {kind.__name__} ({str(error)[:300]}). It is "
            f"damaged. {_AGAIN}"
        ) from None
    return result


def _stem(path: str | Path) -> Path:
    path = Path(path)
    return path.with_suffix("") if path.suffix in (".json", ".safetensors") else path


def _read(path: Path) -> dict[str, Any]:
    """The entries of a JSON file that `save` wrote."""
    try:
        text = parse_json(path)
        version, name, _ = text["workbench"], text["class"], text["result"]
        if not isinstance(name, str):
            raise TypeError("its class is no name")
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a result that save() wrote ({type(error).__name__}: "
            f"{str(error)[:200]}). {_AGAIN}"
        ) from None
    if type(version) is int and version == 1:
        raise ValueError(
            f"{path} was saved by workbench 0.1 in format 1; this workbench reads format {FORMAT}. "
            "Run the method again and save its result."
        )
    if type(version) is not int or version != FORMAT:
        raise ValueError(
            f"{path} has format {str(version)[:40]}; this workbench reads format {FORMAT}. "
            "Update workbench."
        )
    if set(text) != ENTRIES:
        strange = sorted(set(text) ^ ENTRIES)[0][:40]
        raise ValueError(
            f"{path} is not a result that save() wrote: its entries are {len(ENTRIES)}, and "
            f"{strange!r} is one too many or is missing. {_AGAIN}"
        )
    return text


def _arrays_file(text: Mapping[str, Any], place: Path) -> Path:
    """The file of the arrays that go with the text, which a save may have left aside."""
    check_seal(text, str(place.with_suffix(".json")), _AGAIN)
    found = whole(place, text["arrays"])
    if found is None:
        safetensors_header(place)
        raise ValueError(
            f"{place} is not the file of arrays that was saved with {place.stem}.json: its "
            f"checksum is another. {_AGAIN}"
        )
    return found


def _pack(value: Any, key: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value as JSON; arrays move to `arrays` and leave their key behind."""
    if isinstance(value, np.ndarray):
        arrays[key] = np.ascontiguousarray(value)
        return {"array": key}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kinds = typing.get_type_hints(type(value))
        return {
            f.name: _pack_field(kinds[f.name], getattr(value, f.name), key, f.name, arrays)
            for f in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(name): _pack(item, f"{key}/{name}", arrays) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{key}/{i}", arrays) for i, item in enumerate(value)]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise TypeError(
        f"A result holds numpy arrays, text, numbers and groups of them; {key} is {value!r}."
    )


def _pack_field(kind: Any, value: Any, key: str, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """The value of a field; one of a subclass of its annotated type says which."""
    out = _pack(value, f"{key}/{name}".lstrip("/"), arrays)
    known = [each for each in (kind, *typing.get_args(kind)) if isinstance(each, type)]
    kinds = [each for each in known if dataclasses.is_dataclass(each)]
    if type(value) not in kinds and any(isinstance(value, each) for each in kinds):
        return {"class": type(value).__name__} | out
    return out


def _subclasses(kind: type) -> dict[str, type]:
    return {each.__name__: each for each in kind.__subclasses__()} | {
        name: each for one in kind.__subclasses__() for name, each in _subclasses(one).items()
    }


def _unpack(
    kind: Any,
    value: Any,
    arrays: Mapping[str, np.ndarray],
    used: set[str],
    key: str,
    dtype: Any = None,
) -> Any:
    """The value of the annotated type `kind` from what `_pack` made of it.

    used: takes the names of the arrays that were read. dtype: that an array is declared with.
    Raises `ValueError` that names the entry for a value of another type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None:
            return None
        *others, last = [a for a in arguments if a is not type(None)]
        for one in others:
            with suppress(ValueError):
                return _unpack(one, value, arrays, used, key, dtype)
        return _unpack(last, value, arrays, used, key, dtype)
    if kind is np.ndarray or origin is np.ndarray:
        name = value.get("array") if isinstance(value, dict) and len(value) == 1 else None
        array = arrays.get(name) if isinstance(name, str) else None
        if array is None or (dtype is not None and array.dtype.kind != dtype.kind):
            raise ValueError(f"{key} names an array of {dtype or 'numbers'}; got {value!r}")
        used.add(str(name))
        return array
    if dataclasses.is_dataclass(kind) and isinstance(value, dict):
        if "class" in value and (known := _subclasses(kind)):  # type: ignore[arg-type]
            kind = known.get(value["class"], kind)
            value = {name: item for name, item in value.items() if name != "class"}
        hints = typing.get_type_hints(kind)
        fields = {f.name: f.metadata.get("dtype") for f in dataclasses.fields(kind)}
        if strange := [name for name in value if name not in fields]:
            raise ValueError(f"{key} has no entry {strange[0][:40]!r}")
        return kind(
            **{
                name: _unpack(hints[name], item, arrays, used, f"{key}.{name}", fields[name])
                for name, item in value.items()
            }  # type: ignore[operator]
        )
    if origin is dict and isinstance(value, dict):
        each = arguments[1]
        return {n: _unpack(each, v, arrays, used, f"{key}.{n}"[:80]) for n, v in value.items()}
    if origin is tuple and isinstance(value, list):
        inner = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        pairs = zip(inner, value, strict=True)
        return tuple(_unpack(a, v, arrays, used, f"{key}[{i}]") for i, (a, v) in enumerate(pairs))
    plain = (int, float) if kind is float else kind
    fits = value in arguments if origin is typing.Literal else _is(value, plain)
    if not fits:
        shown = getattr(kind, "__name__", str(kind))
        raise ValueError(f"{key} is of type {shown}; got {str(value)[:40]!r}")
    return value


def _is(value: Any, plain: Any) -> bool:
    if plain not in (str, bool, int, (int, float)):
        return False
    return isinstance(value, plain) and (plain is not (int, float) or not isinstance(value, bool))
