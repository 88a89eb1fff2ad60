"""Files: how they are put in place whole, and how a changed one is told by its checksum."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:
    fcntl = None  # Windows: there, two that save the same at once are not kept apart.

import torch

from .check import refuse

#: The entry that holds the checksum of everything beside it.
SUM = "sha256"
_ASIDE = ".saving-"


@contextmanager
def aside(*places: Path) -> Iterator[tuple[Path, ...]]:
    """Paths to write to, in the same folder; at the end of the block they are put in place whole.

    places: of one thing, in one folder: files that may be there already, or a folder that is not.
    Whatever breaks off (an error, an interrupt, a full disk, the end of the process), either what
    was there before or what was written is there, whole: the first place is taken first, and says
    by `sum_of` what the others hold; what it names and is not in place yet is found by `whole`.
    Nothing is left of what failed.
    """
    places = _followed(tuple(placed(place) for place in places))
    folder, names = places[0].parent, [place.name for place in places]
    key = _ASIDE + hashlib.sha256(names[0].encode(errors="surrogatepass")).hexdigest()[:8] + "-"
    with _writing_in(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(folder) as alone:
        with _writing_in(folder):
            part = Path(tempfile.mkdtemp(prefix=key, dir=folder))
        parts = tuple(part / name for name in names)
        complete = False
        try:
            mode = _new_mode(part)
            yield parts
            for own, place in zip(parts, places, strict=True):
                _finish(own, place, mode)
            complete = True
            for own, place in zip(parts, places, strict=True):
                os.replace(own, place)
            _sync(folder)
        finally:
            if not complete or parts[0].exists() or _followers_placed(parts, places):
                shutil.rmtree(part, ignore_errors=True)
        for left in folder.glob(f"{key}*") if alone else ():
            # Of a process that ended while it was writing: no other one is in here now.
            shutil.rmtree(left, ignore_errors=True)


def placed(path: Path) -> Path:
    """The path, if the system takes what is written there first, beside it, and then it."""
    if "\0" in str(path):
        raise refuse("A path", "without a zero byte", str(path))
    try:
        os.lstat(path.absolute().parent / f"{_ASIDE}{'x' * 17}" / path.name)
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            rule = "of names and of a length that the system takes"
            raise refuse("A path", rule, str(path), "Give a shorter one.") from None
    return path


@contextmanager
def _writing_in(folder: Path) -> Iterator[None]:
    """Says where nothing can be written, and why."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        told = type(error)(
            f"Nothing can be written in {folder}: {error.strerror}. Give another path."
        )
        told.errno = error.errno
        raise told from error


def put_text(path: str | Path, text: str) -> Path:
    """Write a text file, whole or not at all; what is no plain file (a pipe) is written to.

    Returns its path.
    """
    path = placed(Path(path))
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_text(text, encoding="utf-8")
        return path
    with aside(path) as (part,):
        part.write_text(text, encoding="utf-8")
    return path


def sum_of(path: Path) -> str:
    """The bytes of a file and its checksum, for which it is read from one end to the other."""
    with open(path, "rb") as file:
        return f"{path.stat().st_size}:{hashlib.file_digest(file, 'sha256').hexdigest()}"


def is_sum_of(wanted: str, path: Path) -> bool:
    """Whether `sum_of` a file is this; one of another size is not read for that."""
    return wanted.startswith(f"{path.stat().st_size}:") and sum_of(path) == wanted


def whole(place: Path, wanted: str) -> Path | None:
    """The file with a checksum: in place, or left aside by a save that broke off.

    None where there is none.
    """
    aside = (left / place.name for left in place.parent.glob(f"{_ASIDE}*"))
    found = (path for path in (place, *aside) if path.is_file() and is_sum_of(wanted, path))
    return next(found, None)


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data with the checksum of all of it, as its second entry."""
    (first, value), *rest = content.items()
    return {first: value, SUM: seal(content), **dict(rest)}


def seal(content: Mapping[str, Any], tensors: Mapping[str, Any] | None = None) -> str:
    """The checksum of plain data, and of tensors by name; `SUM` itself is not counted.

    It is of the content and not of the text: another spacing or order of keys is the same content.
    """
    kept = {key: value for key, value in content.items() if key != SUM}
    text = json.dumps(kept, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode("ascii"))
    for name, tensor in sorted((tensors or {}).items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor))
    return digest.hexdigest()


def check_seal(content: Mapping[str, Any], place: str, again: str) -> None:
    """Raise `ValueError` where content is not what its checksum says; `again` is what to do."""
    if content.get(SUM) != seal(content):
        raise ValueError(
            f"{place} was changed after it was written: its checksum is "
            f"{str(content.get(SUM))[:12]!r}…, and its content has {seal(content)[:12]!r}…. {again}"
        )


def _bytes(tensor: Any) -> memoryview:
    """The bytes of a torch tensor on the CPU, of any type."""
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data


def _followed(places: tuple[Path, ...]) -> tuple[Path, ...]:
    """Where links lead, so that a link stays one, if all lead to one folder."""
    real = tuple(Path(os.path.realpath(place)) for place in places)
    if len({place.parent for place in real}) > 1 or len({p.name for p in real}) < len(real):
        return tuple(Path(place).absolute() for place in places)
    return real


def _new_mode(part: Path) -> int:
    """The permissions that a new file has here, which only making one tells."""
    new = part / "new"
    new.touch()
    mode = stat.S_IMODE(new.stat().st_mode)
    new.unlink()
    return mode


def _finish(part: Path, place: Path, mode: int) -> None:
    """See to it that what was written aside is on the disk, and as readable as what it replaces."""
    if part.is_file() and place.is_dir():
        raise IsADirectoryError(f"{place} is a folder. Give the name of a file in it.")
    for file in [part] if part.is_file() else sorted(part.iterdir()):
        # Some libraries leave their files to their owner alone.
        file.chmod(stat.S_IMODE(place.stat().st_mode) if place.is_file() else mode)
        with open(file, "rb") as opened:
            os.fsync(opened.fileno())
    if part.is_dir():
        part.chmod(mode | (mode & 0o444) >> 2)


def _followers_placed(parts: tuple[Path, ...], places: tuple[Path, ...]) -> bool:
    """Whether all behind the first are in place, tried once more where they are not yet."""
    for own, place in zip(parts[1:], places[1:], strict=True):
        if own.exists():
            try:
                os.replace(own, place)
            except OSError:
                return False  # it stays aside, where `whole` finds it
    return True


def _sync(folder: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY)
        try:
            # Some file systems cannot; what was put in place is there in any case.
            with suppress(OSError):
                os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def locked(folder: Path, *, to_read: bool = False) -> Iterator[bool]:
    """Hold a folder against writers, and a writer also against readers, who may be several.

    False where that cannot be had. Two files that are read are then of one save.
    """
    handle, alone = None, False
    try:
        if fcntl is not None:
            with suppress(OSError):
                handle = os.open(folder, os.O_RDONLY)
                fcntl.flock(handle, fcntl.LOCK_SH if to_read else fcntl.LOCK_EX)
                alone = True
        yield alone
    finally:
        if handle is not None:
            os.close(handle)
