"""The folder of an index: written whole or not at all, and refused where it is another's."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open
from safetensors.numpy import save_file

from ..files import SUM, aside, check_seal, is_sum_of, sealed, sum_of
from ..reading import Header, check_counts, check_file, parse_json, safetensors_header

#: A folder with a larger number was made by a newer workbench.
FORMAT = 1
ARRAYS, FACTS = "index.safetensors", "index.json"
#: The entries of every index, and the checksums of its arrays' file and of the rest.
ENTRIES = {
    "format", "model", "revision", "dtype", "dictionary", "texts", "options", "site", "n_features",
    "first_held_out", "n_paired", "exact_tokens", "strings",
}  # fmt: skip
SUMS = {"arrays", SUM}
#: Of each array its type and its axes.
AXES = {
    "ids": ("I32", "position"),
    "offsets": ("I64", "text + 1"),
    "token_counts": ("I64", "part", "vocab"),
    "count": ("I64", "feature"),
    "count_held_out": ("I64", "feature"),
    "total": ("F64", "feature"),
    "largest": ("F32", "feature"),
    "histogram": ("I32", "feature", "bin"),
    **{
        f"{name}_{key}": (dtype, "feature", name)
        for name in ("top", "sampled")
        for key, dtype in (("text", "I32"), ("position", "I32"), ("value", "F32"))
    },
    "token_starts": ("I64", "feature + 1"),
    "token": ("I32", "pair"),
    "token_total": ("F32", "pair"),
    "token_fitted": ("I32", "pair"),
    "token_held_out": ("I32", "pair"),
    "together": ("I32", "feature", "together"),
    "together_jaccard": ("F32", "feature", "together"),
    "together_both": ("I32", "feature", "together"),
}
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
    kept = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        with aside(folder) as (part,):
            part.mkdir()
            save_file(kept, part / ARRAYS)
            text = sealed({"format": FORMAT, "arrays": sum_of(part / ARRAYS), **facts})
            body = json.dumps(text, ensure_ascii=False)
            part.joinpath(FACTS).write_text(body, encoding="utf-8")
    except OSError as error:
        if folder.joinpath(FACTS).is_file() and error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return  # another process has finished the same index meanwhile
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            size = sum(array.nbytes for array in kept.values()) / 2**20
            raise OSError(
                error.errno,
                f"The disk is full: this index takes {size:.1f} MB in {folder.parent}, and nothing "
                "of it was kept; indexes that were finished are as they were. Free some space, or "
                "name another place with path= or the environment variable WORKBENCH_CACHE.",
            ) from error
        raise


def read_facts(folder: Path) -> dict[str, Any]:
    """What an index says of itself, once its arrays are found to be those that it says.

    Raises `FileNotFoundError` where there is none, `ValueError` for one that is damaged or newer.
    """
    for name in (FACTS, ARRAYS):
        try:
            check_file(folder / name)
        except FileNotFoundError:
            raise FileNotFoundError(
                f"An index of features is a folder with {FACTS} and {ARRAYS}; {folder} has no "
                f"{name}. Make it with features.index."
            ) from None
    try:
        facts = parse_json(folder / FACTS)
        version = facts["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(damaged(folder, error)) from None
    if version != FORMAT or type(version) is not int:
        raise ValueError(
            f"The index in {folder} has format {str(version)[:40]}; this workbench reads format "
            f"{FORMAT}. Make it again in another folder, or delete this one."
        )
    try:
        _check_facts(facts)
        _check_arrays(facts, safetensors_header(folder / ARRAYS))
        if SUM in facts:
            check_seal(facts, FACTS, "")
            if not is_sum_of(facts["arrays"], folder / ARRAYS):
                raise ValueError(f"{ARRAYS} was changed after it was written")
        _check_starts(folder / ARRAYS)
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise ValueError(damaged(folder, error)) from None
    return {key: value for key, value in facts.items() if key not in SUMS}


def _check_facts(facts: Mapping[str, Any]) -> None:
    """Raise `ValueError` for facts of another kind than `write` is given."""
    if set(facts) not in (ENTRIES, ENTRIES | SUMS):
        strange = sorted(set(facts) ^ (ENTRIES | SUMS))[0]
        raise ValueError(f"{strange[:40]!r} is no entry of {FACTS}, or is missing")
    check_counts([facts[name] for name in ("n_features", "first_held_out", "n_paired")], "a count")
    if not isinstance(facts["exact_tokens"], bool):
        raise ValueError(f"exact_tokens is true or false; got {str(facts['exact_tokens'])[:40]!r}")
    texts = [facts["site"], facts["model"], facts["dictionary"], *facts["strings"].values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("its names and token strings are text")
    check_counts([int(number) for number in facts["strings"]], "a token id")


def _check_arrays(facts: Mapping[str, Any], header: Header) -> None:
    """Raise `ValueError` where the arrays are not those of an index of so many features."""
    if set(header.tensors) != set(AXES):
        strange = sorted(set(header.tensors) ^ set(AXES))[0]
        raise ValueError(f"the array {strange[:40]!r} is too many or is missing")
    sizes = {"feature": facts["n_features"], "feature + 1": facts["n_features"] + 1, "part": 2}
    for name, (wanted, *axes) in AXES.items():
        dtype, shape = header.tensors[name]
        fits = dtype == wanted and len(shape) == len(axes)
        for axis, n in zip(axes, shape, strict=False):
            fits &= sizes.setdefault(axis, n) == n
        if not fits:
            raise ValueError(f"{name} is ({', '.join(axes)}) of {wanted}; got {shape} of {dtype}")
    if not facts["first_held_out"] < sizes["text + 1"]:
        raise ValueError(f"it has no text {facts['first_held_out']}, the first that was held out")


def _check_starts(path: Path) -> None:
    """Raise `ValueError` where texts or features do not begin one behind the other."""
    with safe_open(path, framework="numpy") as file:
        for starts, name in (("offsets", "ids"), ("token_starts", "token")):
            places, n = file.get_tensor(starts), file.get_slice(name).get_shape()[0]
            if len(places) < 1 or places[0] != 0 or places[-1] != n or (np.diff(places) < 0).any():
                raise ValueError(f"{starts} are no places in {name}")


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
