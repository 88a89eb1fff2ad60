"""What the libraries underneath say while a model loads: quiet, and what matters in one line."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from transformers.utils import logging as hf_logging

#: Missing and left over weights are said with their names; what is only slower is no news, and
#: a list of the classes that transformers has for text generation is none.
_NOT_SAID = ("LOAD REPORT", "falling back to its reference", "not supported for text-generation")


def line(error: object) -> str:
    """A library's message in one line of at most 160 characters."""
    text = " ".join(str(error).split()).rstrip(" .:") or type(error).__name__
    return text if len(text) <= 160 else f"{text[:159]}…"


@contextmanager
def quiet(label: str) -> Iterator[None]:
    """No library's dumps or progress bars while a model loads; what matters is said at the end."""
    own, root = hf_logging.get_logger("transformers"), logging.getLogger()
    levels, handlers = (own.level, root.level), own.handlers
    bars = hf_logging.is_progress_bar_enabled()
    heard = _Heard()
    own.handlers = [heard]
    own.setLevel(logging.WARNING)
    root.setLevel(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        own.handlers = handlers
        own.setLevel(levels[0])
        root.setLevel(levels[1])
        if bars:
            hf_logging.enable_progress_bar()
    for text in heard.texts:
        warnings.warn(f"transformers, of {label!r}: {text}", stacklevel=4)


class _Heard(logging.Handler):
    """The first lines of what is logged, each once."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = line(record.getMessage())
        if text not in self.texts and not any(words in text for words in _NOT_SAID):
            self.texts.append(text)
