"""Reading: plain data and arrays from files that may be damaged, foreign or made to do harm.

Nothing that a file holds is run, and nothing is allocated that its size does not account for.
"""

from __future__ import annotations

import json
import math
import stat
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.lib import format as npy
from safetensors import SafetensorError, safe_open

from .check import given

MIB = 2**20
#: The most that a file of settings has, and one of plain data.
SETTINGS, PLAIN = 32 * MIB, 256 * MIB
#: YAML is read slowly: this much takes half a second. And how deep it goes.
YAML, DEEP = 32 * 2**10, 50
#: How much more than the file itself what is packed in it may have.
PACKED, PACKED_LEAST = 4, 64 * MIB
#: Bytes of a number in each type of a safetensors file that is read here.
WIDTHS = {
    "BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "U32": 4, "I32": 4, "U64": 8, "I64": 8,
    "F16": 2, "BF16": 2, "F32": 4, "F64": 8,
}  # fmt: skip
#: The most that the head of one has, and the list of what is in a zip file.
HEAD, LISTED = 8 * MIB, MIB


def check_file(path: Path, most: int | None = None) -> int:
    """The size of a file in bytes.

    Raises `FileNotFoundError` where there is none, `ValueError` for what is no plain file and for
    one of more than `most` bytes.
    """
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(
            f"{path} is missing. Give the folder or the name that holds all that was saved."
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", error)
        raise ValueError(f"{given(str(path))} cannot be read ({why}). Give another file.") from None
    if not stat.S_ISREG(found.st_mode):
        what = "a folder" if stat.S_ISDIR(found.st_mode) else "no plain file"
        raise ValueError(f"{path} is {what}, where a file is read. Give a file.")
    if most is not None and found.st_size > most:
        raise ValueError(
            f"{path} has {found.st_size / MIB:,.0f} MB; such a file has at most {most / MIB:g}. It "
            "is damaged, or another kind of file: get it again."
        )
    return found.st_size


def parse_json(path: Path, most: int = PLAIN) -> Any:
    """What a JSON file holds.

    Raises `ValueError` for what is no JSON, is nested too deeply or names an entry twice.
    """
    check_file(path, most)
    try:
        return _json(path.read_bytes())
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from None


def _json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested more deeply than such files are") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in out if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!r} stands twice in one group")
    return out


def read_json(path: Path) -> dict[str, Any]:
    """A settings file. Raises `ValueError` for one that is not a JSON object of finite numbers."""
    check_file(path, SETTINGS)
    try:
        out = parse_json(path, SETTINGS)
        _finite(out)
    except ValueError as error:
        raise ValueError(
            f"{path} is not JSON ({error}). It may have been cut short: get it again."
        ) from None
    return _mapping(path, out)


def read_yaml(path: Path) -> dict[str, Any]:
    """A settings file. Raises `ValueError` for one that is not a plain YAML mapping."""
    check_file(path, YAML)
    try:
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                # A few lines of them can stand for more than a machine holds.
                raise ValueError("it refers to parts of itself")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEP:
                raise ValueError("it is nested more deeply than settings are")
        out = yaml.safe_load(text)
        _finite(out)
    # A date that is none and a number of too many digits raise what they like.
    except (yaml.YAMLError, ValueError, TypeError, OSError, AttributeError, KeyError) as error:
        raise ValueError(f"{path} is not plain YAML ({error}). Get it again.") from None
    return _mapping(path, out)


def _finite(value: Any) -> None:
    """Raise `ValueError` for a number that is not finite, however deep it lies."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is no number that a setting has")
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple, set)):
        for item in value:
            _finite(item)


def _mapping(path: Path, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds settings by name; got {type(value).__name__}.")
    return value


@dataclass(frozen=True)
class Header:
    """The head of a safetensors file: notes, type and shape of each tensor, bytes of them all."""

    notes: dict[str, str]
    tensors: dict[str, tuple[str, tuple[int, ...]]]
    n_bytes: int


def safetensors_header(path: Path) -> Header:
    """The head of a safetensors file, checked against the size of the file.

    Raises `ValueError` for a file that is cut short or is another kind.
    """
    size = check_file(path)
    try:
        with open(path, "rb") as file:
            n = int.from_bytes(file.read(8), "little")
            if size < 8 or n > min(size - 8, HEAD):
                raise ValueError("its head is cut short")
            return _header(_json(file.read(n)), size - 8 - n)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _not_whole(path, error) from None


def _header(entries: dict[str, Any], size: int) -> Header:
    notes = entries.pop("__metadata__", {})
    if not all(isinstance(text, str) for text in notes.values()):
        raise ValueError("its notes are no text")
    tensors, spans = {}, []
    for name, entry in entries.items():
        if set(entry) != {"dtype", "shape", "data_offsets"} or entry["dtype"] not in WIDTHS:
            raise ValueError(f"{name!r} is of no type that is read: {str(entry)[:80]}")
        dtype, shape, (start, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
        if any(type(n) is not int or not 0 <= n < 2**62 for n in (*shape, start, end)):
            raise ValueError(f"{name!r} has sizes that are no counts: {str(entry)[:80]}")
        # As torch, in which the strides of an empty tensor have to be numbers too.
        if math.prod(max(n, 1) for n in shape) >= 2**62:
            raise ValueError(f"{name!r} is larger than any memory: {shape}")
        if end - start != math.prod(shape) * WIDTHS[dtype]:
            raise ValueError(f"{name!r} of shape {shape} has {end - start} bytes")
        tensors[name] = (dtype, shape)
        spans.append((start, end))
    at = 0
    for start, end in sorted(spans):
        if start != at:
            raise ValueError(f"its tensors leave out or share bytes from {min(start, at)} on")
        at = end
    if at != size:
        raise ValueError(f"its tensors have {at} bytes, where the file has {size}")
    return Header(notes, tensors, size)


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by name. Raises `ValueError` for a file that is cut short or is another kind."""
    return _safetensors(path, "pt")


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of a safetensors file by name. Raises as `read_safetensors`."""
    return _safetensors(path, "numpy")


def _safetensors(path: Path, framework: str) -> dict[str, Any]:
    header = safetensors_header(path)
    try:
        with safe_open(path, framework=framework) as file:
            return {name: file.get_tensor(name) for name in header.tensors}
    except (SafetensorError, OSError, TypeError, RuntimeError, MemoryError) as error:
        raise _not_whole(path, error) from None


def _not_whole(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{path} is not a whole safetensors file ({error}). Its download or copy may have been "
        "cut short: get it again."
    )


def read_npz(path: Path) -> dict[str, torch.Tensor]:
    """Every array by name. Raises `ValueError` for a file that is cut short or holds a pickle."""
    check_file(path)
    try:
        _check_zip(path)
        with zipfile.ZipFile(path) as packed:
            for member in packed.infolist():
                with packed.open(member) as file:
                    _check_npy(file, member)
        with np.load(path, allow_pickle=False) as file:
            return {name: torch.from_numpy(file[name]) for name in file.files}
    # Whatever a bent file makes of the libraries that read it, it is no whole one.
    except Exception as error:
        raise ValueError(
            f"{path} is not a whole npz file of plain arrays ({_short(error)}). A pickle in it is "
            "never run; where the file was cut short, get it again."
        ) from None


def _check_npy(file: Any, member: zipfile.ZipInfo) -> None:
    """Raise `ValueError` where a member is no array of numbers of just its size."""
    version = npy.read_magic(file)
    read = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}.get(version)
    if read is None:
        raise ValueError(f"{member.filename!r} is of a version that is not read")
    shape, _, dtype = read(file)
    if dtype.kind not in "biuf":
        raise ValueError(f"{member.filename!r} holds {dtype} and no numbers")
    n = math.prod(shape) * dtype.itemsize
    if min(shape, default=1) < 0 or n != member.file_size - file.tell():
        raise ValueError(f"{member.filename!r} is {shape}, of another size than its bytes")


def _check_zip(path: Path, *, stored: bool = False) -> None:
    """Raise `ValueError` for a zip file that is damaged, or unpacks to much more than it is.

    stored: nothing in it is packed at all. Every byte in it is held against its CRC-32.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        if file.read(4) != b"PK\x03\x04":
            raise ValueError("it is no zip file, or is cut short")
        file.seek(max(0, size - 22 - 2**16))
        end = file.read()
    # How long the list of what is in it is: a list of millions takes long to read.
    at = end.rfind(b"PK\x05\x06")
    if at < 0 or int.from_bytes(end[at + 12 : at + 16], "little") > LISTED:
        raise ValueError("it is cut short, or lists more than such a file holds")
    with zipfile.ZipFile(path) as packed:
        members = packed.infolist()
        names = {member.filename for member in members}
        total = sum(member.file_size for member in members)
        kinds = {zipfile.ZIP_STORED} if stored else {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if len(names) < len(members) or any(m.compress_type not in kinds for m in members):
            raise ValueError("what is in it has no names of its own, or is packed otherwise")
        if total > (size if stored else max(PACKED_LEAST, PACKED * size)):
            raise ValueError(f"its {size} bytes say that they unpack to {total}")
        if (bad := packed.testzip()) is not None:
            raise ValueError(f"{bad!r} in it is not as it was written")


def read_torch(path: Path) -> dict[str, torch.Tensor]:
    """Every tensor by name, read with weights_only=True.

    Raises `ValueError` for a file that is cut short, and for one that holds anything but tensors by
    name: a pickled object would run code of whoever wrote it.
    """
    size = check_file(path)
    try:
        _check_zip(path, stored=True)
        state = torch.load(path, map_location="cpu", weights_only=True)
    # Whatever a bent file makes of the libraries that read it, it is no whole one.
    except Exception as error:
        raise ValueError(
            f"{path} is not a file of plain tensors ({_short(error)}). Pickled objects are never "
            "run: save its state_dict() with torch.save of torch 1.6 or later, or as safetensors."
        ) from None
    tensors = state if isinstance(state, dict) else {}
    if not tensors or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in tensors.items()
    ):
        raise ValueError(
            f"{path} holds no state dict, tensors by name. A training checkpoint has one inside: "
            "save that by itself."
        )
    for name, value in tensors.items():
        plain = value.layout == torch.strided and value.device.type == "cpu"
        if not plain or value.is_quantized or value.nbytes > size:
            raise ValueError(
                f"{path}: {name!r} is no plain tensor of the numbers in the file "
                f"({tuple(value.shape)}, {value.dtype}, {value.layout}). Save it dense and whole."
            )
    return {name: value.detach() for name, value in tensors.items()}


def _short(error: Exception) -> str:
    return str(error).split("\n")[0][:200] or type(error).__name__
