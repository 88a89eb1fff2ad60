"""Named dictionaries: what is evaluated, under the names that its lines carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...dictionary.base import Dictionary
from ...model import Model
from .dictionary_check import check_fits


def named_dictionaries(model: Model, given: Any, *, edit: bool = False) -> dict[str, Dictionary]:
    """Dictionaries by name: their site where no other is given, numbered where two share it.

    Raises `TypeError` for what is no dictionary, `ValueError` for none, for a site that the model
    does not have (with `edit`: cannot change), and for another width.
    """
    pairs: list[tuple[str, Any]]
    if isinstance(given, Mapping):
        pairs = [(str(name), dictionary) for name, dictionary in given.items()]
    else:
        several = list(given) if isinstance(given, Sequence) else [given]
        names = [str(getattr(dictionary, "out_site", "")) for dictionary in several]
        pairs = [
            (name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}", dictionary)
            for i, (name, dictionary) in enumerate(zip(names, several, strict=True))
        ]
    if not pairs:
        raise ValueError("There is at least one dictionary to evaluate; got none.")
    for _, dictionary in pairs:
        if not isinstance(dictionary, Dictionary):
            raise TypeError(
                "What is evaluated is a Dictionary, a list of them, or a mapping from names to "
                f"them; got {given!r:.120}."
            )
        check_fits(model, dictionary)
        model.spec.check(dictionary.out_site, edit=edit)
    return dict(pairs)
