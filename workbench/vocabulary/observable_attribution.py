"""Attribution of an observable: what each component, and each position it reads, adds to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..circuits.components import Components
from ..model import Model
from ..ordinary import ordinary_torch
from ..result import Result, axes, provenance
from ..site import Site
from ..tokens import Tokens
from .observable_gradient import (
    PathGradient,
    Position,
    Step,
    gained,
    in_batches,
    path_gradient,
    path_name,
    stream_of,
)


@dataclass(frozen=True, eq=False, repr=False)
class ObservableAttribution(Result):
    """What each component gives a path to read, in logits of the observable.

    path: () is the observable itself; else its first component's share of it, by the rest of the
    path. components: what is written before that: "embed", heads ("L0H2"), biases of attention
    ("L0.attn_bias", where there are any), MLPs ("L0.mlp_out"). by_position: (batch, component,
    pos), by the position that a head reads, or at which another component is written; NaN past the
    end of a shorter prompt. total: (batch,) what is split: with the patterns and the norms' scales
    held still the contributions sum to it but for `constant`, which is what biases add and, where
    the path begins with an MLP, what its gradient leaves out.
    """

    observable: str
    path: tuple[str, ...]
    components: tuple[str, ...]
    layers: np.ndarray = axes("node", np.int32)
    by_position: np.ndarray = axes("batch node pos")
    total: np.ndarray = axes("batch")
    constant: np.ndarray = axes("batch")

    picture = "observables.observable_attribution"

    @property
    def contributions(self) -> np.ndarray:
        """(batch, component) summed over positions."""
        return np.nansum(self.by_position.astype(np.float64), -1).astype(np.float32)

    @property
    def shares(self) -> np.ndarray:
        """(component,) the share of the total's variance over prompts that goes with a component.

        cov(contribution, total) / var(total); they sum to 1 with that of `constant`. NaN where the
        total does not vary.
        """
        total = self.total.astype(np.float64) - self.total.mean(dtype=np.float64)
        variance = float((total**2).mean())
        if variance == 0:
            return np.full(len(self.components), np.nan)
        each = np.nansum(self.by_position.astype(np.float64), -1)
        return ((each - each.mean(0)) * total[:, None]).mean(0) / variance

    def to_frame(self) -> pd.DataFrame:
        """One line a component, the largest share first: component, layer (-1 for the embedding),
        mean and spread (standard deviation) over prompts (logits), and share.
        """
        each = self.contributions
        frame = pd.DataFrame(
            {
                "component": self.components,
                "layer": self.layers,
                "mean": each.mean(0),
                "spread": each.std(0),
                "share": self.shares,
            }
        )
        order = np.argsort(-np.abs(self.shares), kind="stable")
        return frame.iloc[order].reset_index(drop=True)

    def _facts(self) -> str:
        order = np.argsort(-np.abs(np.nan_to_num(self.shares)), kind="stable")[:3]
        each = ", ".join(f"{self.components[i]} {self.shares[i]:.2f}" for i in order)
        return (
            f"{self.observable} by {path_name(self.path)}, {len(self.total)} prompts, shares of "
            f"its variance: {each}"
        )


@ordinary_torch()
def attribute(
    model: Model,
    name: str,
    direction: torch.Tensor,
    tokens: Tokens,
    path: Sequence[Step],
    position: Position,
    measured: np.ndarray,
) -> ObservableAttribution:
    """Every component that the path reads. See `Observable.attribute`.

    direction: the observable's, whose name it is. measured: (batch,) what it is in these runs.
    """
    parts = Components.nodes_of(model.spec)
    writers = range(_n_before(parts, path))
    labels = _labels(model, parts, writers)
    split = np.full((len(tokens), len(labels), max(tokens.lengths)), np.nan)
    written = np.zeros(len(tokens))
    start = 0
    for part in in_batches(tokens):
        sites = _sites(model, parts, writers, part, path)
        found = path_gradient(model, direction, part, path, position, read=sites)
        each = _contributions(model, parts, writers, found)
        for row in range(len(part)):
            columns = part.columns(row)
            split[start + row, :, : len(columns)] = each[row][:, columns]
        if path:
            written[start : start + len(part)] = _written(model, path[0], found)
        start += len(part)
    total = written if path else measured.astype(np.float64)
    return ObservableAttribution(
        **provenance(model, tokens),
        observable=name,
        path=tuple(map(str, path)),
        components=tuple(label for label, _ in labels),
        layers=np.array([layer for _, layer in labels]),
        by_position=split,
        total=total,
        constant=total - np.nansum(split, -1).sum(-1),
    )


def _n_before(parts: Components, path: Sequence[Step]) -> int:
    if not path:
        return len(parts.writers)
    number = parts.writer(str(path[0]))
    return parts.writers_before(stream_of(parts, number), path[0].layer)


def _labels(model: Model, parts: Components, writers: range) -> list[tuple[str, int]]:
    """The components' names and layers, in the order of a pass."""
    out = []
    for number in writers:
        layer = parts.writer_layer(number)
        out.append((parts.writers[number].removesuffix(".z"), layer))
        if _last_head(parts, number) and bool(model.weight("b_O", layer).any()):
            out.append((f"L{layer}.attn_bias", layer))
    return out


def _last_head(parts: Components, number: int) -> bool:
    return parts.writer_site(number).head == parts.n_heads - 1


def _sites(
    model: Model, parts: Components, writers: range, tokens: Tokens, path: Sequence[Step]
) -> list[Site]:
    """What a run must read so that each writer can be split by what it reads."""
    sites = set()
    for number in writers:
        site = parts.writer_site(number)
        if site.stream == "z":
            assert site.layer is not None
            sites |= {Site("z", site.layer), Site("v", site.layer)}
            if tokens.n_columns > 1:
                sites.add(Site("pattern", site.layer))
        else:
            sites.add(site)
    if path:
        sites.add(Site("z" if path[0].head is not None else "mlp_out", path[0].layer))
    return sorted(sites)


def _contributions(
    model: Model, parts: Components, writers: range, found: PathGradient
) -> np.ndarray:
    """(row, component, column), components as in `_labels`."""
    group = parts.n_heads // parts.n_kv_heads
    out, gains = [], {}
    with torch.no_grad():
        for number in writers:
            site = parts.writer_site(number)
            if site.stream != "z":
                out.append((found.run[site].float() * found.grad).sum(-1))
                continue
            layer, head = site.layer, site.head
            assert layer is not None and head is not None
            if layer not in gains:
                gains[layer] = gained(model, found.run, layer, found.grad)
            in_z = gains[layer] @ model.weight("W_O", layer, head, copy=False).float().T
            value = found.run[Site("v", layer)][:, :, head // group].float()
            if value.shape[1] == 1:
                out.append((value * in_z).sum(-1))
            else:
                pattern = found.run[Site("pattern", layer)][:, head].float()
                out.append((value * torch.einsum("rds,rde->rse", pattern, in_z)).sum(-1))
            bias = model.weight("b_O", layer).float()
            if _last_head(parts, number) and bool(bias.any()):
                out.append(gains[layer] @ bias)
    return torch.stack(out, 1).double().cpu().numpy()


def _written(model: Model, step: Step, found: PathGradient) -> np.ndarray:
    """(row,) the first component's own share of the observable, by the rest of the path."""
    assert found.written is not None
    run, layer = found.run, step.layer
    if step.head is None:
        values = (run[Site("mlp_out", layer)].float() * found.written).sum((1, 2))
    else:
        in_z = gained(model, run, layer, found.written)
        in_z = in_z @ model.weight("W_O", layer, step.head, copy=False).float().T
        values = (run[Site("z", layer)][:, :, step.head].float() * in_z).sum((1, 2))
    return values.detach().double().cpu().numpy()
