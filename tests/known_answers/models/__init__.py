"""Three models whose edges are known: two written by hand, one trained on a rule.

`builders[name](folder)` saves a model to a folder and says what is true of it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from . import induction, previous_equals, rule
from .known import KnownModel

__all__ = ["KnownModel", "builders"]

#: Name → a function that saves the model to a folder and returns what is known of it.
builders: dict[str, Callable[[Path], KnownModel]] = {
    "induction": induction.build,
    "previous_equals": previous_equals.build,
    "rule": rule.build,
}
