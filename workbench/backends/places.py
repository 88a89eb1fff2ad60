"""Places: what a pass does where a module takes or gives a value, on either backend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import torch

from ..model import ModelSpec
from ..site import STREAMS, Site
from .architecture import Tap
from .projections import join, split
from .recorder import Recorder


@dataclass
class Places:
    """The taps of one pass of `n_rows` rows, visited in the order of the pass."""

    recorder: Recorder
    spec: ModelSpec
    n_rows: int
    _entered: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def visit(self, tap: Tap, given: Any) -> Any:
        """What the rest of the pass gets in place of `given`, which it is if nothing changes."""
        if isinstance(given, (tuple, list)):
            value = self.visit(tap, given[0])
            return given if value is given[0] else type(given)([value, *given[1:]])
        if tap.form == "an expert a row":
            each = given.view(self.spec.n_experts, self.n_rows, -1, given.shape[-1])
            new = self._added(tap, each.permute(1, 2, 0, 3))
            return new.permute(2, 0, 1, 3).reshape(given.shape)
        # OPT runs its MLP on (batch · pos, d_model), and some experts give that back.
        flat = given.ndim == 2
        value = given.view(self.n_rows, -1, given.shape[-1]) if flat else given
        new = self._visit(tap, value)
        if new is value:
            return given
        return new.reshape(given.shape) if flat else new

    def route(self, tap: Tap, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """What experts are given in place of (rows, chosen experts, their weights, …)."""
        if not self.recorder.wants("router", tap.layer):
            return given
        rows, chosen, weights, *rest = given
        n = self.spec.n_experts
        dense = weights.new_zeros(len(weights), n).scatter_add(1, chosen, weights)
        seen = dense.view(self.n_rows, -1, n)
        new = self.recorder.visit("router", tap.layer, seen)
        if new is seen:
            return given
        flat = new.reshape(dense.shape)
        if not self.recorder.gradients and not flat.scatter(1, chosen, 0).any():
            return (rows, chosen, flat.gather(1, chosen), *rest)
        # Every expert is chosen, those of weight 0 for nothing.
        every = torch.arange(n, device=chosen.device).expand(len(weights), n)
        return (rows, every, flat, *rest)

    def experts(self, tap: Tap, module: Any, given: tuple[Any, ...], output: Any) -> Any:
        """What experts give in place of `output`, made of `given`, which is their weighted sum.

        No module shows one expert: each is had by a call with one of the chosen at a time.
        """
        if not self.recorder.wants("expert_out", tap.layer):
            return output
        rows, chosen, weights, *rest = given
        width = output.shape[-1]
        each = output.new_zeros(len(chosen), self.spec.n_experts, width)
        for slot in range(chosen.shape[1]):
            at = slice(slot, slot + 1)
            one = type(module).forward(module, rows, chosen[:, at], weights[:, at], *rest)
            index = chosen[:, at, None].expand(-1, 1, width)
            each = each.scatter_add(1, index, one.view(-1, 1, width))
        each = each.view(self.n_rows, -1, *each.shape[1:])
        new = self.recorder.visit("expert_out", tap.layer, each * tap.scale)
        change = (new / tap.scale - each).sum(-2)
        return output + change.reshape(output.shape)

    def _visit(self, tap: Tap, value: torch.Tensor) -> torch.Tensor:
        recorder, layer, first = self.recorder, tap.layer, tap.streams[0]
        if first == "resid_pre":
            self._entered[layer] = new = recorder.visit(first, layer, value)
            return new
        if tap.form is not None:
            parts = split(value, tap.form, self.spec)
            new_parts = {
                name: recorder.visit(name, layer, part) if name in tap.streams else part
                for name, part in parts.items()
            }
            if all(new_parts[name] is parts[name] for name in parts):
                return value
            return join(new_parts, tap.form, self.spec)
        if "head" in STREAMS[first]:
            heads = value.unflatten(-1, (-1, self.spec.d_head))
            new = recorder.visit(first, layer, heads)
            return value if new is heads else new.flatten(-2)
        return self._added(tap, value)

    def _added(self, tap: Tap, value: torch.Tensor) -> torch.Tensor:
        recorder, layer = self.recorder, tap.layer
        added = value if tap.scale == 1 else value * tap.scale
        new = recorder.visit(tap.streams[0], layer, added)
        if "resid_mid" in tap.streams and recorder.wants("resid_mid", layer):
            new = recorder.middle(layer, self._entered[layer], new)
        if new is added:
            return value
        return new if tap.scale == 1 else new / tap.scale

    def taps(
        self, taps: Iterable[Tap], first: int, last: Site | None, entering: int | None = None
    ) -> list[Tap]:
        """Those of a model's taps that a pass from layer `first` to the site `last` visits.

        entering: the layer whose input is visited in any case.
        """

        def visited(tap: Tap) -> bool:
            sites = [Site(s, tap.layer) for s in tap.streams]
            if (tap.layer or first) < first or (last is not None and min(sites) > last):
                return False
            if "resid_pre" in tap.streams:
                # resid_mid is worked out from what enters the block.
                sites.append(Site("resid_mid", tap.layer))
            wanted = self.recorder.sites
            return any(s in wanted or s == last for s in sites) or (
                "resid_pre" in tap.streams and tap.layer == entering
            )

        return [tap for tap in taps if visited(tap)]
