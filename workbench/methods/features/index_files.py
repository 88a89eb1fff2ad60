"""The folder of an index: written whole or not at all, and refused where it is another's."""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

#: A folder with a larger number was made by a newer workbench.
FORMAT = 1
ARRAYS, FACTS = "index.safetensors", "index.json"
#: What has to be the same for an index to be used again, and how an error calls it.
SAME = {
    "model": "another model",
    "revision": "another revision of the model",
    "dtype": "another precision of the model",
    "dictionary": "another dictionary",
    "texts": "other texts",
    "options": "other options",
}


def cache_folder() -> Path:
    """Where indexes lie: $WORKBENCH_CACHE, else ~/.cache/workbench; in it features/<key>."""
    given = os.environ.get("WORKBENCH_CACHE", "")
    base = Path(given).expanduser() if given else Path.home() / ".cache" / "workbench"
    return base / "features"


def write(folder: Path, arrays: Mapping[str, np.ndarray], facts: Mapping[str, Any]) -> None:
    """Write an index beside its place and move it there; nothing is left of what failed.

    Raises `OSError` that says so where the disk is full; other indexes stay as they are.
    """
    from safetensors.numpy import save

    body = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    text = json.dumps({"format": FORMAT, **facts}, ensure_ascii=False).encode()
    part: Path | None = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        for name, data in ((ARRAYS, body), (FACTS, text)):
            with open(part / name, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, folder)
    except OSError as error:
        if folder.joinpath(FACTS).is_file() and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return  # another process has finished the same index meanwhile
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            size = (len(body) + len(text)) / 2**20
            raise OSError(
                error.errno,
                f"The disk is full: this index takes {size:.1f} MB in {folder.parent}, and nothing "
                "of it was kept; indexes that were finished are as they were. Free some space, or "
                "name another place with path= or the environment variable WORKBENCH_CACHE.",
            ) from error
        raise
    finally:
        if part is not None:
            shutil.rmtree(part, ignore_errors=True)


def read_facts(folder: Path) -> dict[str, Any]:
    """What an index says of itself.

    Raises `FileNotFoundError` where there is none, `ValueError` for one that is damaged or newer.
    """
    for name in (FACTS, ARRAYS):
        if not folder.joinpath(name).is_file():
            raise FileNotFoundError(
                f"An index of features is a folder with {FACTS} and {ARRAYS}; {folder} has no "
                f"{name}. Make it with index_features."
            )
    try:
        facts = json.loads(folder.joinpath(FACTS).read_text(encoding="utf-8"))
        version = facts["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(damaged(folder, error)) from None
    if version != FORMAT:
        raise ValueError(
            f"The index in {folder} has format {version}; this workbench reads format {FORMAT}. "
            "Make it again in another folder, or delete this one."
        )
    return facts


def damaged(folder: Path, error: Exception) -> str:
    """What an error says of an index that cannot be read."""
    return (
        f"The index in {folder} is damaged ({type(error).__name__}: {error}). Delete the folder "
        "and make the index again."
    )


def check_same(folder: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Raise `ValueError` where an index is of something else than what is asked for."""
    for name, shown in SAME.items():
        if found.get(name) != wanted[name]:
            raise ValueError(
                f"The index in {folder} is of {shown}: it has {found.get(name)!r}, and "
                f"{wanted[name]!r} is asked for. Give another path, or delete the folder."
            )
