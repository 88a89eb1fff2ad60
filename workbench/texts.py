"""Texts: shipped samples of what a model reads, one's own as rows, and what `texts=` takes."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from . import data
from .annotations import Read
from .check import Count, checked, given, refuse
from .encoding import start_ids, text_ids
from .model import Model
from .reading import check_file
from .tokens import Tokens

#: A text that ends like a file name, as "notes.txt".
_FILE_NAME = re.compile(r"\S*\.[A-Za-z]\w{0,7}")
_AGAIN = "Give another file, or the text itself."


@checked
def texts(name: str, *, n: Count | None = None) -> tuple[str, ...]:
    """The shipped texts in an embedded model's language, or the first `n` of them.

    For "tinyworld" 2,000 rows of 64 tokens, each of several documents with <|endoftext|> between
    them, drawn like its training text but from another seed.

    Raises `ValueError` for a name that has none, and for an `n` that they do not have.
    """
    names = sorted(path.stem for path in data.path("texts").glob("*.json"))
    if name not in names:
        raise ValueError(
            f"Texts ship for {', '.join(names)}; got {given(name)}. wb.read_texts(path, model) "
            "reads your own."
        )
    rows = json.loads(data.path("texts", f"{name}.json").read_text(encoding="utf-8"))["texts"]
    if n is not None and not 1 <= n <= len(rows):
        raise ValueError(f"There are {len(rows)} texts for {name}; got n={n!r}.")
    return tuple(rows[:n])


@checked
def read_texts(
    source: Any, model: Model, *, n: Count | None = None, length: Count | None = None
) -> Tokens:
    """Texts of your own as rows of the model's context, with its start token, as `Tokens`.

        wb.read_texts("corpus.txt", model)
        wb.read_texts(dataset["text"], model, n=500)  # a column, read no further than needed

    source: a path, or a str that names a file, of text in UTF-8; any other str is a text; or any
    number of texts and paths, as a list, an iterator or a column of a dataset. Each is cut by
    itself; blank ones, and a single token that is left over at an end, are left out. n: how many
    rows at most; no more is read. length: tokens of a row, the start token included; None is as
    many as the model reads. Every `texts=` takes `Tokens`, a path or one str as well, which it
    reads so.

    Raises `FileNotFoundError` for a file that is not there, also for a str without white space that
    ends like a file name; `ValueError` for a folder, a file that holds no text in UTF-8, where
    there is no text, and for a row longer than the model reads; `TypeError` for what is no text.
    """
    if isinstance(source, Tokens):
        raise refuse("source", "texts or a path", source, "It is tokens already: give it as it is.")
    start = start_ids(model.tokenizer)
    width = model.spec.n_ctx if length is None else length
    if not len(start) + 2 <= width <= model.spec.n_ctx:
        rule = f"a number of tokens from {len(start) + 2} to {model.spec.n_ctx}, what it reads"
        raise refuse("length", rule, length)
    rows: list[list[int]] = []
    for number, text in enumerate(_texts(source)):
        for row in _cut(model, text, number, start, width):
            rows.append(row)
            if len(rows) == n:
                return model.tokens(rows)
    if not rows:
        raise ValueError(
            f"There is at least one text; {given(source)} holds none but blank ones (an iterator "
            f"is read once). {_AGAIN}"
        )
    return model.tokens(rows)


def rows_of(model: Model, source: Any, length: int | None = None) -> Any:
    """What `texts=` takes: a path or a single text as rows, anything else as it is."""
    if isinstance(source, (str, os.PathLike)):
        return read_texts(source, model, length=length)
    return source


def _for_the_models(source: Any, arguments: Mapping[str, Any]) -> Any:
    """Rows that every model among the arguments of a call reads; without one, what was given."""
    models = [each for each in arguments.values() if hasattr(each, "spec") and hasattr(each, "run")]
    if not models:
        return source
    return rows_of(models[0], source, min(each.spec.n_ctx for each in models))


#: Texts as every call takes them: a path or one text, which are cut into rows; a list of texts or
#: of lists of token ids; `Tokens`.
Texts = Annotated[Any, Read(_for_the_models)]


def _texts(source: Any) -> Iterator[str]:
    """Each text of a source that is not blank."""
    if isinstance(source, (str, os.PathLike)):
        several: Iterable[Any] = [_path(source) or source]
    elif isinstance(source, (bytes, bytearray, Mapping)) or not isinstance(source, Iterable):
        raise TypeError(
            f"Texts are a path, a text, or a list or an iterable of them; got {given(source)}."
        )
    else:
        several = source
    for number, each in enumerate(several):
        if isinstance(each, os.PathLike):
            each = _file(Path(each))
        elif not isinstance(each, str):
            hint = " Give a column of it, as dataset['text']." if isinstance(each, Mapping) else ""
            raise TypeError(f"Texts are text; text {number} is {given(each)}.{hint}")
        if each.strip():
            yield each


def _path(source: Any) -> Path | None:
    """The file that is meant, None for a text. Raises where one is meant that is not there."""
    if isinstance(source, os.PathLike):
        return Path(os.fspath(source))
    path = os.path.expanduser(source)
    if os.path.isfile(path) or (os.sep in path and os.path.isdir(path)):
        return Path(path)
    if _FILE_NAME.fullmatch(source):
        raise FileNotFoundError(
            f"{given(source)} ends like the name of a file, and there is none. Check the path; to "
            "read it as a text put it into a list."
        )
    return None


def _file(path: Path) -> str:
    """The text of a file in UTF-8."""
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"A text file is in UTF-8; byte {error.start} of {given(str(path))} is not. Read it by "
            "yourself: path.read_text(encoding='latin-1'), for example, and give that."
        ) from None
    except OSError as error:
        raise ValueError(
            f"{given(str(path))} cannot be read ({error.strerror}). {_AGAIN}"
        ) from None
    if "\0" in text:
        raise ValueError(f"{given(str(path))} holds zero bytes, as no text does. {_AGAIN}")
    if not text.strip():
        raise ValueError(f"{given(str(path))} is empty. {_AGAIN}")
    return text


def _cut(model: Model, text: str, number: int, start: list[int], width: int) -> Iterator[list[int]]:
    """The rows of one text, each behind the start tokens."""
    try:
        own = text_ids(model.tokenizer, [text])[0]
    except ValueError as error:
        raise ValueError(f"Text {number}: {error}") from None
    own = own[len(start) :] if own[: len(start)] == start else own
    room = width - len(start)
    for at in range(0, len(own), room):
        part = own[at : at + room]
        if len(part) > 1 or at == 0:
            yield [*start, *part]
