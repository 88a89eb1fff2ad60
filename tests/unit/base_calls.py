"""Valid calls of everything public, from the signatures of `wb`: what bad calls are bent from.

A required argument gets its value by its name (`base_values`), or by its annotation: an object of
a class of `wb` is what the public call gives whose signature says that it returns one.
"""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import workbench as wb
from tests.unit import kernels
from tests.unit.base_values import OBJECTS, OF_CALLS, argument_values
from tests.unit.public_names import public, public_class

#: Given wherever a call takes them, so that one is quick.
SMALL: dict[str, Any] = {
    "n": 2, "steps": 1, "n_new": 1, "n_draws": 2, "n_random": 2, "n_controls": 2, "epochs": 1,
    "batch_size": 4, "n_samples": 2, "n_examples": 2, "n_prompts": 8,
    "buffer_size": 64, "dim_batch": 64, "max_seq_len": 20, "relearn_at": (0, 1), "n_others": 8,
    "n_tokens": 60, "n_pairs": 3, "n_edges": 8, "n_nodes": 8, "sizes": (5, 10), "fractions": (0.5,),
    "references": ("mean",), "ablations": ("counterfactual",), "strengths": (1.0,), "k": 2,
    "n_resamples": 10, "progress": False,
}  # fmt: skip
#: Classes that a run or a file makes, never a person: their constructors are not called.
MADE = {"Run", "Generation", "ModelSpec", "FeatureIndex", "Model", "Norm", "Resume"}
#: Takes an object that only another library makes.
NOT_CALLED = {"JacobianLens.from_transformer_lens"}


@dataclass(frozen=True)
class Target:
    """One public call: its name, how it is called, and arguments with which it is right."""

    name: str
    call: Callable[..., Any]
    arguments: dict[str, Any]
    annotations: dict[str, str]
    defaults: dict[str, Any]

    def __call__(self, arguments: dict[str, Any]) -> Any:
        """The call with other arguments; those without a name go by their place."""
        named, by_place = dict(arguments), []
        for p in inspect.signature(self.call).parameters.values():
            if p.kind is p.POSITIONAL_ONLY and p.name in named:
                by_place.append(named.pop(p.name))
            elif p.kind is p.VAR_POSITIONAL and p.name in named:
                several = named.pop(p.name)
                by_place += several if isinstance(several, (list, tuple)) else [several]
        return self.call(*by_place, **named)


class BaseCalls:
    """Every public call with arguments that it takes; files are written below `folder`."""

    def __init__(self, folder: Path, backend: str = "nnsight") -> None:
        self.folder = folder
        self.backend = backend
        self._made: dict[str, Any] = {}

    @cached_property
    def model(self) -> Any:
        return wb.load("tinyworld", device="cpu", backend=self.backend)

    @cached_property
    def bridge(self) -> Any:
        """The same model on the other backend."""
        return wb.load("tinyworld", device="cpu", backend="transformer_lens")

    @cached_property
    def texts(self) -> list[str]:
        return [" ".join(text.split()[1:14]) for text in wb.texts("tinyworld", n=8)]

    @cached_property
    def named(self) -> dict[str, Any]:
        """Values by the name of an argument, whichever call it belongs to."""
        return argument_values(self)

    @cached_property
    def corpus(self) -> list[str]:
        return list(wb.texts("tinyworld", n=60))

    @cached_property
    def dicts(self) -> Any:
        # A copy, since labels are kept beside their dictionary.
        shipped = wb.data.path("dictionaries", "tinyworld")
        copied = self.folder / "dictionaries"
        for part in shipped.glob("*resid_post"):
            shutil.copytree(part, copied / part.name)
        return wb.dictionaries(copied)

    @cached_property
    def writers(self) -> Any:
        """The writers of the residual stream, as a lens names them."""
        return kernels.writers.writers_of(self.model, "resid_post")

    @cached_property
    def saved(self) -> Path:
        """A result's file."""
        return self.made("LogitLens").save(self.folder / "saved")

    # -- what there is to call -------------------------------------------------------------------

    def names(self) -> list[str]:
        """Every public call, in order: functions, constructors, methods, setters."""
        return [name for name in self._calls if name not in NOT_CALLED]

    def target(self, name: str) -> Target:
        """The call with its base arguments; `LookupError` where an argument has none."""
        call = self._calls[name]
        owner, _, member = name.rpartition(".")
        if owner and public_class(owner):
            instance = self.made(owner)
            if member.endswith("="):
                bound: Any = lambda value: setattr(instance, member[:-1], value)  # noqa: E731
                return Target(name, bound, {"value": getattr(instance, member[:-1])}, {}, {})
            call = getattr(instance, member)
        parameters = list(inspect.signature(call).parameters.values())
        own, arguments = OF_CALLS.get(name, {}), {}
        for p in parameters:
            if p.kind is p.VAR_KEYWORD:
                arguments |= {key: value(self) for key, value in own.items()}
            if p.kind is p.VAR_KEYWORD or (p.kind is p.VAR_POSITIONAL and p.name not in own):
                continue
            if p.default is p.empty:
                arguments[p.name] = self._value(name, p.name, str(p.annotation))
            elif p.name in own:
                arguments[p.name] = own[p.name](self)
            elif p.name in SMALL and p.default is not None:
                arguments[p.name] = SMALL[p.name]
        return Target(
            name, call, arguments,
            {p.name: str(p.annotation) for p in parameters if p.kind is not p.VAR_KEYWORD},
            {p.name: p.default for p in parameters if p.default is not p.empty},
        )  # fmt: skip

    @cached_property
    def _calls(self) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for path, thing in public().items():
            name = path.rpartition(".")[2]
            if inspect.isfunction(thing):
                out[path] = thing
            elif inspect.isclass(thing):
                own = is_dataclass(thing) and not issubclass(thing, wb.Result)
                if (own or name in ("Labels", "Dictionaries", "Change")) and name not in MADE:
                    out[f"{name}()"] = thing
                out.update((f"{name}.{member}", None) for member in _members(thing))
        for space in ("controls", "data", "metrics"):
            module = getattr(wb, space)
            for name in getattr(module, "__all__", vars(module)):
                thing = getattr(module, name)
                own = inspect.isfunction(thing) and thing.__module__ == module.__name__
                if own and not name.startswith("_"):
                    out[f"{space}.{name}"] = thing
        return out

    # -- values ----------------------------------------------------------------------------------

    def _value(self, call: str, argument: str, annotation: str) -> Any:
        if (own := OF_CALLS.get(call, {}).get(argument)) is not None:
            return own(self)
        for part in re.findall(r"\w+", annotation):
            if part in self._makers and part not in ("Model", "Dictionaries", "Task", "Tokens"):
                return self.made(part)
        if argument in self.named:
            return self.named[argument]
        for part in re.findall(r"\w+", annotation):
            if public_class(part):
                return self.made(part)
        raise LookupError(f"{call} has no base value for {argument}: {annotation}")

    @cached_property
    def _makers(self) -> dict[str, str]:
        """For each class of `wb` a public call that returns one, as its signature says."""
        out: dict[str, str] = {}
        for name, call in self._calls.items():
            if call is not None and not name.endswith(")"):
                gives = re.sub(r"^tuple\[(\w+), \.\.\.\]$", "", str(_returns(call)))
                if public_class(gives):
                    out.setdefault(gives, name)
        return out

    def made(self, kind: str) -> Any:
        """An object of a public class, made once by a public call."""
        if kind not in self._made:
            if kind in OBJECTS:
                self._made[kind] = OBJECTS[kind](self)
            else:
                maker = self._makers.get(kind) or f"{kind}()"
                target = self.target(maker)
                self._made[kind] = target(target.arguments)
        return self._made[kind]


def _returns(call: Any) -> Any:
    return inspect.signature(call).return_annotation


def _members(thing: type) -> Iterator[str]:
    """The public methods of a class that take something, each with the class that defines it."""
    for name in dir(thing):
        if name.startswith("_") and name not in ("__getitem__", "__call__"):
            continue
        homes = [c for c in thing.__mro__ if name in vars(c)]
        # What every result inherits is called once, on `Result`.
        if (
            not homes
            or not homes[0].__module__.startswith("workbench")
            or (homes[0] is wb.Result and thing is not wb.Result)
        ):
            continue
        own = inspect.getattr_static(thing, name)
        if isinstance(own, property):
            if own.fset is not None:
                yield f"{name}="
        elif callable(own) or isinstance(own, (classmethod, staticmethod)):
            yield name
