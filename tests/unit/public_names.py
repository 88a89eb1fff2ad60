"""The public names: those of the package, of its explorers and of each family."""

from __future__ import annotations

import inspect
from typing import Any

import workbench as wb
from workbench.model import Generation, ModelSpec, Norm, Run

#: Classes that public calls return and nobody makes: no name at the top, and public all the same.
RETURNED: dict[str, Any] = {each.__name__: each for each in (Generation, ModelSpec, Norm, Run)}


def families() -> dict[str, Any]:
    """The packages that stand among the public names, by name; widgets are drawn from results."""
    each = {name: getattr(wb, name) for name in wb.__all__ if name != "widgets"}
    return {name: found for name, found in each.items() if hasattr(found, "__path__")}


def public() -> dict[str, Any]:
    """Every public object once, by what a user writes after `wb.`: the name at the top first."""
    out = {name: getattr(wb, name) for name in wb.__all__} | RETURNED
    known = {id(found) for found in out.values()}
    for family, space in families().items():
        own = {f"{family}.{name}": getattr(space, name) for name in space.__all__}
        out |= {name: found for name, found in own.items() if id(found) not in known}
        known |= {id(found) for found in own.values()}
    return out


def public_class(name: str) -> type | None:
    """The public class of this name, in whichever space it stands."""
    if name in RETURNED:
        return RETURNED[name]
    spaces = (wb, *families().values())
    found = (getattr(space, name) for space in spaces if name in space.__all__)
    return next((each for each in found if inspect.isclass(each)), None)
