"""The ways in which a file comes to be bent, drawn by a seed.

Files of our own are bent anywhere. In those of others, where there is no checksum, only what can be
seen is bent: heads, sizes, types and what a CRC covers; not a number that stays a number.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from tests.unit.bent_files import Kind

SPARSE = 3 * 2**30


@dataclasses.dataclass(frozen=True)
class Bent:
    """What was done to which file. absent: it is gone. harmless: it still says the same."""

    file: str
    what: str
    absent: bool = False
    harmless: bool = False


def bend(kind: Kind, folder: Path, draw: random.Random, others: list[Path]) -> Bent:
    """Bend one file of a folder in a way that is drawn. others: whole files of other kinds."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = draw.choice(files)
    ways = list(_ways(kind, path, others))
    name, way = draw.choice(ways)
    way(draw, path)
    return Bent(path.name, name, absent=name == "nothing", harmless=name == "other spacing")


def _ways(kind: Kind, path: Path, others: list[Path]) -> Iterator[tuple[str, Callable]]:
    optional = path.suffix == ".yaml" or path.name == "labels.json"
    yield from ((name, way) for name, way in REPLACED.items() if name != "nothing" or not optional)
    yield "another file", lambda draw, p: _copy(draw.choice(_unlike(p, others)), p)
    if path.suffix == ".yaml":
        yield from YAML.items()
        return
    if kind.ours or path.suffix != ".json":
        for name, way in BYTES.items():
            yield from [(name, _within(way, kind, path))] * 2
    else:
        yield from [("cut off", BYTES["cut off"]), ("put on", BYTES["put on"])]
    if path.suffix == ".json":
        for name, way in JSON.items():
            yield name, lambda draw, p, w=way: w(draw, p, kind.ours)
    if path.suffix == ".safetensors":
        yield from HEADS.items()
    if path.suffix == ".npz":
        yield from ARCHIVES.items()
    if path.suffix == ".pt":
        yield from STATES.items()


def _within(way: Callable, kind: Kind, path: Path) -> Callable:
    """A way on the part of a file in which a change can be seen."""
    if kind.ours or path.suffix != ".safetensors" or way in (_cut, _append):
        return way

    def bent(draw: random.Random, p: Path) -> None:
        data = p.read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        p.write_bytes(data[:end])
        way(draw, p)
        p.write_bytes(p.read_bytes() + data[end:])

    return bent


def _unlike(path: Path, others: list[Path]) -> list[Path]:
    """Files of another type; JSON is YAML, so for settings of others it is none."""
    alike = {path.suffix, ".json"} if path.suffix == ".yaml" else {path.suffix}
    return [other for other in others if other.suffix not in alike]


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)


def _flip(draw: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _other_bytes(draw: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    data[at : at + 8] = draw.randbytes(len(data[at : at + 8]))
    path.write_bytes(data)


def _digit(draw: random.Random, path: Path) -> None:
    data = bytearray(path.read_bytes())
    places = [i for i, byte in enumerate(data[:4096]) if 48 <= byte < 58] or [0]
    data[draw.choice(places)] = draw.choice(b"0123456789")
    path.write_bytes(data)


def _cut(draw: random.Random, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: draw.choice([draw.randrange(len(data)), len(data) - 1, 7, 8])])


def _append(draw: random.Random, path: Path) -> None:
    path.write_bytes(path.read_bytes() + draw.choice([b"x", b"}", draw.randbytes(50), b"\0" * 9]))


def _chunks(draw: random.Random, path: Path) -> None:
    data = path.read_bytes()
    a, b, c = sorted(draw.randrange(len(data) + 1) for _ in range(3))
    start, first, second, end = data[:a], data[a:b], data[b:c], data[c:]
    parts = [first, first + second * 2, bytes(len(first)) + second, second + first]
    path.write_bytes(start + draw.choice(parts) + end)


BYTES: dict[str, Callable] = {
    "flipped": _flip,
    "other bytes": _other_bytes,
    "another digit": _digit,
    "cut off": _cut,
    "put on": _append,
    "parts moved": _chunks,
}


def _sparse(draw: random.Random, path: Path) -> None:
    if draw.random() < 0.5:
        path.write_bytes(draw.choice([b"", b"{", struct.pack("<Q", SPARSE - 8), b"PK\x03\x04"]))
    os.truncate(path, SPARSE)


def _folder(draw: random.Random, path: Path) -> None:
    path.unlink()
    path.mkdir()


def _loop(draw: random.Random, path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


def _gone(draw: random.Random, path: Path) -> None:
    path.unlink()
    if draw.random() < 0.5:
        path.symlink_to(path.with_name("nowhere"))


def _nested(draw: random.Random, path: Path) -> None:
    n = draw.choice([2_000, 100_000, 2_000_000])
    path.write_text(draw.choice(["[" * n, '{"a":' * n, "[" * n + "]" * n]))


def _pickle(draw: random.Random, path: Path) -> None:
    path.write_bytes(pickle.dumps({"W_enc": [draw.random()] * 9}, protocol=draw.choice([2, 5])))


REPLACED: dict[str, Callable] = {
    "empty": lambda draw, path: path.write_bytes(b""),
    "3 GiB": _sparse,
    "a folder": _folder,
    "a loop of links": _loop,
    "nothing": _gone,
    "nested": _nested,
    "a pickle": _pickle,
    "noise": lambda draw, path: path.write_bytes(draw.randbytes(draw.randrange(1, 5000))),
}


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    for key in list(value) if isinstance(value, dict) else range(len(value)):
        yield value, key
        if isinstance(value[key], (dict, list)) and value[key]:
            yield from _places(value[key])


def _type(draw: random.Random, path: Path, ours: bool) -> None:
    content = json.loads(path.read_text())
    where, key = draw.choice(list(_places(content)))
    old = where[key]
    new = [[], {}, [[1]], {"a": 1}, [None], 1.5, "x", True, 7, 2**70, -1, float("nan"), 1e308, None]
    if not ours:  # an entry of theirs may be left out, or be another number or text of its type
        scalars = (str, int, float, type(None))
        new = [v for v in new[:9] if v and type(v) is not type(old)]
        new = [v for v in new if not (isinstance(v, (int, float)) and isinstance(old, scalars[1:]))]
        new = [v for v in new if not (old is None and not isinstance(v, (list, dict)))]
    where[key] = draw.choice([v for v in new if v != old or type(v) is not type(old)])
    path.write_text(json.dumps(content))


def _twice(draw: random.Random, path: Path, ours: bool) -> None:
    content = json.loads(path.read_text())
    key = draw.choice(list(content))
    path.write_text(json.dumps(content)[:-1] + f", {json.dumps(key)}: 5}}")


def _deep(draw: random.Random, path: Path, ours: bool) -> None:
    content = json.loads(path.read_text())
    where, key = draw.choice(list(_places(content)))
    where[key] = "DEEP"
    n = draw.choice([500, 5_000, 200_000])
    path.write_text(json.dumps(content).replace('"DEEP"', "[" * n + "]" * n))


def _dropped(draw: random.Random, path: Path, ours: bool) -> None:
    content = json.loads(path.read_text())
    groups = [(w, k) for w, k in _places(content) if isinstance(w, dict)]
    where, key = draw.choice(groups)
    if ours and draw.random() < 0.7:
        where[key + "x"] = where.pop(key)
    else:
        where["unknown"] = draw.choice([1, [], "x"])
    path.write_text(json.dumps(content, allow_nan=True))


def _spaced(draw: random.Random, path: Path, ours: bool) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content, indent=draw.choice([None, 3]), sort_keys=True) + "\n")


JSON: dict[str, Callable] = {
    "other spacing": _spaced,
    "another type": _type,
    "an entry twice": _twice,
    "nested within": _deep,
    "another entry": _dropped,
}


def _yaml_bomb(draw: random.Random, path: Path) -> None:
    lines = ["a0: &a0 [1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    path.write_text("\n".join(lines))


def _yaml_type(draw: random.Random, path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    content[draw.choice(sorted(content))] = draw.choice([[1], {"a": 1}, 5, 2.5, True])
    path.write_text(yaml.safe_dump(content))


YAML: dict[str, Callable] = {
    "a bomb": _yaml_bomb,
    "another type": _yaml_type,
    "code": lambda d, p: p.write_text("a: !!python/object/apply:os.getcwd []"),
    "large": lambda d, p: p.write_text("- [" + "1, " * 5_000_000 + "]"),
}


def _head(draw: random.Random, path: Path) -> None:
    data = path.read_bytes()
    n = struct.unpack("<Q", data[:8])[0]
    head, body = json.loads(data[8 : 8 + n]), data[8 + n :]
    names = sorted(set(head) - {"__metadata__"})
    name = draw.choice(names)
    entry = head[name]
    how = draw.choice(["name", "type", "shape", "size", "huge", "extra", "gone", "twice", "notes"])
    if how == "name":
        head[name + "x"] = head.pop(name)
    elif how == "type":
        entry["dtype"] = {"F32": "I32", "F64": "I64", "I64": "F64", "I32": "F32"}.get(
            entry["dtype"], "F8_E4M3"
        )
    elif how == "shape":
        entry["shape"] = [*entry["shape"], 1]
    elif how == "size":
        entry["shape"] = [max(n - 1, 0) for n in entry["shape"]] or [2]
    elif how == "huge":
        entry["shape"] = draw.choice([[2**40, 2**40], [0, 2**62, 4], [10**12]])
    elif how == "extra":
        m = len(body)
        head["more"] = {"dtype": "F32", "shape": [1], "data_offsets": [m, m + 4]}
        body += b"\0\0\0\0"
    elif how == "gone":
        head.pop(name)
    elif how == "notes":
        head["__metadata__"] = draw.choice([{"fingerprint": "x"}, {"format": 5}, [], {"a": {}}])
    text = json.dumps(head)
    if how == "twice":
        text = text[:-1] + f", {json.dumps(name)}: {json.dumps(entry)}}}"
    path.write_bytes(struct.pack("<Q", len(text)) + text.encode() + body)


def _head_size(draw: random.Random, path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(struct.pack("<Q", draw.choice([2**63, 2**40, 10**8, len(data), 0])) + data[8:])


def _many_numbers(draw: random.Random, path: Path) -> None:
    """Three gigabytes of zeros that its head accounts for."""
    data = path.read_bytes()
    head = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    last = max((v for k, v in head.items() if k[:2] != "__"), key=lambda v: v["data_offsets"])
    start = last["data_offsets"][0]
    last |= {"dtype": "F32", "shape": [SPARSE // 4], "data_offsets": [start, start + SPARSE]}
    text = json.dumps(head).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + len(text) :][:start])
    os.truncate(path, 8 + len(text) + start + SPARSE)


HEADS: dict[str, Callable] = {
    "another head": _head,
    "a head of no size": _head_size,
    "3 GiB of numbers": _many_numbers,
}


def _rewrite(draw: random.Random, path: Path) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    name = draw.choice(sorted(arrays))
    how = draw.choice(["name", "type", "nan", "object", "shape", "complex"])
    if how == "name":
        arrays[name + "x"] = arrays.pop(name)
    else:
        arrays[name] = {
            "type": arrays[name].astype(np.int64),
            "nan": np.full_like(arrays[name], draw.choice([np.nan, np.inf, 1e300])),
            "object": np.array([{"a": 1}], dtype=object),
            "shape": arrays[name][..., None],
            "complex": arrays[name].astype(complex),
        }[how]
    np.savez(path, **arrays)


def _npy_head(n: int) -> bytes:
    head = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({n},), }}"
    return b"\x93NUMPY\x01\x00\x76\x00" + head.encode().ljust(117) + b"\n"


@cache
def _packed() -> bytes:
    """A megabyte that unpacks to 256."""
    out, n = io.BytesIO(), 2**26
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("W_enc.npy", _npy_head(n) + bytes(4 * n))
    return out.getvalue()


def _zip_bomb(draw: random.Random, path: Path) -> None:
    path.write_bytes(_packed())


def _claim(draw: random.Random, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("W_enc.npy", _npy_head(2**50) + bytes(64))


ARCHIVES: dict[str, Callable] = {
    "another member": _rewrite,
    "a bomb": _zip_bomb,
    "a claim": _claim,
    "one array": lambda d, p: np.save(p.open("wb"), np.arange(9.0)),
    "many members": lambda d, p: np.savez(p, *[np.zeros(1)] * 3000),
}


def _state(draw: random.Random, path: Path) -> None:
    state = torch.load(path, weights_only=True)
    name = draw.choice(sorted(set(state) - {"k"}))
    how = draw.choice(["name", "type", "nan", "huge", "sparse", "inner", "list", "old", "number"])
    old = how == "old"
    if how == "name":
        state[name + "x"] = state.pop(name)
    elif how == "number":
        state["k"] = torch.tensor(draw.choice([0, -3, 99, 4.5, float("nan")]))
    elif not old:
        state[name] = {
            "type": state[name].long(),
            "nan": state[name] * float("nan"),
            "huge": torch.zeros(1).expand(10**7, 10**5),
            "sparse": state[name].to_sparse(),
            "inner": {"x": state[name]},
            "list": [1, 2, 3],
        }[how]
    torch.save(state, path, _use_new_zipfile_serialization=not old)


STATES: dict[str, Callable] = {"another state": _state}
