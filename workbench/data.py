"""Where the data files that ship with the package are."""

from __future__ import annotations

import os
from pathlib import Path

from .check import checked

_PACKAGE = Path(__file__).resolve().parent


class DataNotFound(FileNotFoundError):
    """A shipped data file is in neither of the places where it may lie."""


@checked
def path(*parts: str) -> Path:
    """The path of a shipped data file or folder, for example `wb.data.path("tasks", "ioi.json")`.

    Looks in the installed package's `_data` folder, which a wheel carries, then in the `data`
    folder of a checkout, which an editable install reads. Raises `DataNotFound` with both places
    where neither has it, and `ValueError` for a part that leads out of the data folder.
    """
    if not parts or any(Path(part).is_absolute() or ".." in Path(part).parts for part in parts):
        raise ValueError(
            "data.path takes the folders and the name below data/, "
            f"for example data.path('tasks', 'ioi.json'); got {parts!r}."
        )
    places = [_PACKAGE / "_data"]
    # Beside an installed package lies site-packages, where a folder named data is someone else's.
    if (_PACKAGE.parent / "pyproject.toml").is_file():
        places.append(_PACKAGE.parent / "data")
    for place in places:
        found = place.joinpath(*parts)
        # A name that the system does not take is of no file, and no error here.
        if os.path.exists(found):
            return found
    raise DataNotFound(
        "A data file ships with the package or lies in a checkout's data folder; "
        f"{'/'.join(parts)[:200]} is not in {' nor in '.join(map(str, places))}. "
        "The wheel carries tinyworld with its tasks, texts, concepts and dictionaries: clone the "
        "repository and install it with pip install -e . for the rest."
    )
