"""A research workbench for interpreting transformer language models.

Load a model with `load`, give it and a prompt or a `task` to a method, and look at the result: it
draws itself in the cell and turns into a table, a picture or one HTML file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .data import data_path as data_path
from .edits import Add as Add
from .edits import Affine as Affine
from .edits import Edit as Edit
from .edits import ProjectOut as ProjectOut
from .edits import Scale as Scale
from .edits import Set as Set
from .edits import UnchangedEdit as UnchangedEdit
from .loading import load as load
from .model import Generation as Generation
from .model import Model as Model
from .model import ModelSpec as ModelSpec
from .model import Norm as Norm
from .model import Resume as Resume
from .model import Run as Run
from .site import Site as Site

# Not lazy: a submodule that was loaded later would take the place of the function of its name.
from .tasks import Task as Task
from .tasks import task as task
from .tasks import tasks as tasks
from .tokens import Tokens as Tokens

if TYPE_CHECKING:
    from . import live as live
    from . import metrics as metrics
    from . import widgets as widgets
    from .methods.direct_logit_attribution import DirectLogitAttribution as DirectLogitAttribution
    from .methods.direct_logit_attribution import (
        direct_logit_attribution as direct_logit_attribution,
    )
    from .methods.jacobian_lens import JacobianLens as JacobianLens
    from .methods.jacobian_lens import jacobian_lens as jacobian_lens
    from .methods.logit_lens import LogitLens as LogitLens
    from .methods.logit_lens import logit_lens as logit_lens
    from .methods.tuned_lens import TunedLens as TunedLens
    from .methods.tuned_lens import tuned_lens as tuned_lens
    from .result import Result as Result

__version__ = "0.1.0"

# What brings numpy, torch, pandas or the widgets loads when its name is first used.
_HOMES = {
    "DirectLogitAttribution": "methods.direct_logit_attribution",
    "direct_logit_attribution": "methods.direct_logit_attribution",
    "JacobianLens": "methods.jacobian_lens",
    "jacobian_lens": "methods.jacobian_lens",
    "LogitLens": "methods.logit_lens",
    "logit_lens": "methods.logit_lens",
    "TunedLens": "methods.tuned_lens",
    "tuned_lens": "methods.tuned_lens",
    "Result": "result",
}
_MODULES = ("live", "metrics", "widgets")

# fmt: off
__all__ = [
    "Add", "Affine", "DirectLogitAttribution", "Edit", "Generation", "JacobianLens", "LogitLens",
    "Model", "ModelSpec", "Norm", "ProjectOut", "Resume", "Result", "Run", "Scale", "Set", "Site",
    "Task", "Tokens", "TunedLens", "UnchangedEdit", "data_path", "direct_logit_attribution",
    "jacobian_lens", "live", "load", "logit_lens", "metrics", "task", "tasks", "tuned_lens",
    "widgets",
]
# fmt: on


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
