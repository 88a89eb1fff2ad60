"""Any plain Hugging Face decoder, with no names of its parts: what its modules take and give.

A site of a traced model is right where it is what some module of the plain one takes or gives (or a
slice of that, or a multiple), and an edit of it where the same change of that module's argument or
output gives the same logits. It shares no table of modules with the backends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import torch

from .zoo import LAYERS

CLOSE: dict[str, Any] = {"atol": 1e-5, "rtol": 1e-4}
#: Read where a module takes it; the other streams are read where one gives it.
TAKEN = ("z", "mlp_in", "mlp_post", "resid_pre", "resid_mid")
SOFTMAX = "softmax"


@dataclass(frozen=True)
class Place:
    """An argument ("in") or an output ("out") of a module, or of a layer's attention softmax.

    offsets: where in the last axis the parts of a site begin, each `width` long. factor: the site
    is so many times what is there.
    """

    path: str
    side: str
    key: int | str
    offsets: tuple[int, ...] = (0,)
    width: int = 0
    factor: float = 1.0


class Blocks:
    """A plain model whose blocks are found by their number."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.paths = next(
            [f"{name}.{i}" for i in range(LAYERS)]
            for name, module in model.named_modules()
            if isinstance(module, torch.nn.ModuleList) and len(module) == LAYERS
        )

    def run(
        self, ids: torch.Tensor, at: Place | None = None, change: Any = None
    ) -> tuple[torch.Tensor, dict[tuple[str, str, int | str], torch.Tensor]]:
        """Logits, and every tensor met by (path, side, key); `change` alters the one at a place."""
        seen: dict[tuple[str, str, int | str], torch.Tensor] = {}

        def meet(path: str, side: str, key: int | str, value: Any) -> Any:
            if not isinstance(value, torch.Tensor) or not value.is_floating_point():
                return value
            if at is not None and (path, side, key) == (at.path, at.side, at.key):
                value = change(value)
            # As it is now: some models write into it later.
            seen.setdefault((path, side, key), value.detach().clone())
            return value

        with torch.no_grad(), ExitStack() as stack:
            for path, module in self.model.named_modules():
                stack.enter_context(_watched(path, module, meet))
            stack.enter_context(self._softmaxes(meet))
            logits = self.model(input_ids=ids, use_cache=False).logits
        return logits, seen

    @contextmanager
    def _softmaxes(self, meet: Callable[..., Any]) -> Iterator[None]:
        """One of three or four axes is attention's, of the block that is being computed."""
        real, now = torch.nn.functional.softmax, []
        handles = [
            self.model.get_submodule(path).register_forward_pre_hook(
                lambda module, args, path=path: now.append(path)
            )
            for path in self.paths
        ]

        def softmax(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            if x.ndim < 3 or not now:
                return real(x, *args, **kwargs)
            path = f"{now[-1]}.{SOFTMAX}"
            return meet(path, "out", 0, real(meet(path, "in", 0, x), *args, **kwargs))

        with mock.patch("torch.nn.functional.softmax", softmax):
            yield
        for handle in handles:
            handle.remove()

    def place(
        self, stream: str, layer: int | None, value: torch.Tensor, seen: dict[Any, torch.Tensor]
    ) -> Place | None:
        """Where a plain pass holds a site's value; None where no module takes or gives it."""
        inside = "" if layer is None else self.paths[layer]
        side = "in" if stream in TAKEN or stream == "attn_scores" else "out"
        for (path, where, key), there in seen.items():
            if where != side or not path.startswith(inside):
                continue
            if stream in ("resid_pre", "resid_post") and path != inside:
                continue
            # A parallel block gives the same normed stream to its attention and its MLP.
            if stream == "mlp_in" and "att" in path.removeprefix(inside):
                continue
            if (stream in ("pattern", "attn_scores")) != path.endswith(SOFTMAX):
                continue
            found = _part(stream, value, there)
            if found is not None:
                return replace(found, path=path, side=side, key=key)
        return None


def added(place: Place, what: torch.Tensor, positions: Any = slice(None)) -> Any:
    """The change that adds a vector to every part of a site at its place."""

    def change(value: torch.Tensor) -> torch.Tensor:
        value = value.clone()
        # Some modules take (row and position, …).
        rows = value if value.ndim > 2 else value.view(2, -1, value.shape[-1])
        for at in place.offsets:
            rows[:, positions, at : at + place.width] += what / place.factor
        return value

    return change


def _part(stream: str, value: torch.Tensor, there: torch.Tensor) -> Place | None:
    """The offsets and the factor by which a tensor holds a site's value."""
    if stream in ("pattern", "attn_scores"):
        if there.ndim == 3 and there.shape[0] == value.shape[0] * value.shape[1]:
            there = there.unflatten(0, value.shape[:2])
        if there.shape[:3] != value.shape[:3] or there.shape[3] < value.shape[3]:
            return None
        # A model with attention sinks has one column more.
        there = there[..., : value.shape[3]]
        visible = value > -1e4
        same = torch.allclose(there[visible], value[visible], **CLOSE)
        return Place("", "", 0, (0,), value.shape[3]) if same else None
    n = value.shape[0] * value.shape[1]
    if there.numel() % n or there.numel() // n < value[0, 0].numel() // max(1, value.ndim - 2):
        return None
    if there.shape[:2] != value.shape[:2] and there.shape[0] not in (n, 1):
        return None
    there = there.reshape(*value.shape[:2], -1)
    heads = value.unbind(2) if value.ndim == 4 else (value,)
    width = value.shape[-1]
    factor = 1.0
    if stream in ("attn_out", "mlp_out", "embed", "ln_final") and there.shape[-1] == width:
        factor = float((value * there).sum() / there.square().sum().clamp(min=1e-9))
    offsets = []
    for head in heads:
        step = 4 if value.ndim == 4 else width
        fits = (
            at
            for at in range(0, there.shape[-1] - width + 1, step)
            if torch.allclose(factor * there[..., at : at + width], head, **CLOSE)
        )
        if (at := next(fits, None)) is None:
            return None
        offsets.append(at)
    return Place("", "", 0, tuple(offsets), width, factor)


@contextmanager
def _watched(path: str, module: torch.nn.Module, meet: Callable[..., Any]) -> Iterator[None]:
    def before(module: Any, args: Any, kwargs: Any) -> Any:
        args = tuple(meet(path, "in", i, a) for i, a in enumerate(args))
        return args, {name: meet(path, "in", name, a) for name, a in kwargs.items()}

    def after(module: Any, args: Any, output: Any) -> Any:
        if isinstance(output, tuple):
            return tuple(meet(path, "out", i, a) for i, a in enumerate(output))
        return meet(path, "out", 0, output)

    handles = [
        module.register_forward_pre_hook(before, with_kwargs=True),
        module.register_forward_hook(after),
    ]
    yield
    for handle in handles:
        handle.remove()
