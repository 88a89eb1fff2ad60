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
    from .graph import Graph as Graph
    from .methods.ablation import Ablation as Ablation
    from .methods.ablation import Cut as Cut
    from .methods.ablation import ablate as ablate
    from .methods.attention import Attention as Attention
    from .methods.attention import attention as attention
    from .methods.attribution import Attribution as Attribution
    from .methods.attribution import attribute as attribute
    from .methods.attribution_check import AttributionCheck as AttributionCheck
    from .methods.attribution_check import check_attribution as check_attribution
    from .methods.circuit import Circuit as Circuit
    from .methods.circuit import circuit_of as circuit_of
    from .methods.circuit import find_circuit as find_circuit
    from .methods.circuit import find_circuits as find_circuits
    from .methods.circuit_evaluation import CircuitEvaluation as CircuitEvaluation
    from .methods.circuit_evaluation import evaluate_circuit as evaluate_circuit
    from .methods.direct_logit_attribution import DirectLogitAttribution as DirectLogitAttribution
    from .methods.direct_logit_attribution import (
        direct_logit_attribution as direct_logit_attribution,
    )
    from .methods.jacobian_lens import JacobianLens as JacobianLens
    from .methods.jacobian_lens import jacobian_lens as jacobian_lens
    from .methods.logit_lens import LogitLens as LogitLens
    from .methods.logit_lens import logit_lens as logit_lens
    from .methods.patching import Patching as Patching
    from .methods.patching import patch as patch
    from .methods.path_patching import PathPatching as PathPatching
    from .methods.path_patching import path_patch as path_patch
    from .methods.tuned_lens import TunedLens as TunedLens
    from .methods.tuned_lens import tuned_lens as tuned_lens
    from .result import Result as Result

__version__ = "0.1.0"

# What brings numpy, torch, pandas or the widgets loads when its name is first used.
_HOMES = {
    "Ablation": "methods.ablation",
    "Cut": "methods.ablation",
    "ablate": "methods.ablation",
    "Attribution": "methods.attribution",
    "attribute": "methods.attribution",
    "AttributionCheck": "methods.attribution_check",
    "check_attribution": "methods.attribution_check",
    "Circuit": "methods.circuit",
    "circuit_of": "methods.circuit",
    "find_circuit": "methods.circuit",
    "find_circuits": "methods.circuit",
    "CircuitEvaluation": "methods.circuit_evaluation",
    "evaluate_circuit": "methods.circuit_evaluation",
    "PathPatching": "methods.path_patching",
    "path_patch": "methods.path_patching",
    "Graph": "graph",
    "Attention": "methods.attention",
    "attention": "methods.attention",
    "DirectLogitAttribution": "methods.direct_logit_attribution",
    "direct_logit_attribution": "methods.direct_logit_attribution",
    "JacobianLens": "methods.jacobian_lens",
    "jacobian_lens": "methods.jacobian_lens",
    "LogitLens": "methods.logit_lens",
    "logit_lens": "methods.logit_lens",
    "Patching": "methods.patching",
    "patch": "methods.patching",
    "TunedLens": "methods.tuned_lens",
    "tuned_lens": "methods.tuned_lens",
    "Result": "result",
}
_MODULES = ("live", "metrics", "widgets")

# fmt: off
__all__ = [
    "Ablation", "Add", "Affine", "Attention", "Attribution", "AttributionCheck", "Circuit",
    "CircuitEvaluation", "Cut", "DirectLogitAttribution", "Edit", "Generation", "Graph",
    "JacobianLens", "LogitLens", "Model", "ModelSpec", "Norm", "Patching", "PathPatching",
    "ProjectOut", "Result", "Resume", "Run", "Scale", "Set", "Site", "Task", "Tokens", "TunedLens",
    "UnchangedEdit", "ablate", "attention", "attribute", "check_attribution", "circuit_of",
    "data_path", "direct_logit_attribution", "evaluate_circuit", "find_circuit", "find_circuits",
    "jacobian_lens", "live", "load", "logit_lens", "metrics", "patch", "path_patch", "task",
    "tasks", "tuned_lens", "widgets",
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
