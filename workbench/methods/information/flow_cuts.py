"""Flow cuts: the edits that take single edges of a flow out of a pass."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from ...edits import Edit, Scale
from ...model import Model
from ...site import Site
from .information_flow import InformationFlow


class NothingLeft(ValueError):
    """All keys of a head are cut; row: in which row of the run."""

    def __init__(self, text: str, row: int) -> None:
        super().__init__(text)
        self.row = row


@dataclass(frozen=True, eq=False, repr=False)
class CutSources(Edit):
    """What one head moves to one position, with some of its sources cut; the site is its z.

    at: the position. values: sources whose value is not moved. keys: sources that are not attended
    to, the others take their weight in proportion. evenly: everything that is seen is attended to
    alike. fraction: how much of all this happens.
    """

    head: int
    at: int
    group: int
    values: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    evenly: bool = False
    fraction: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        pattern, v = needed
        now = pattern[:, self.head, self.at]
        weights = now.clone()
        if self.evenly:
            seen = (now > 0).to(now.dtype)
            weights = now + self.fraction * (seen / seen.sum(-1, keepdim=True) - now)
        if self.keys:
            left = weights.clone()
            left[:, list(self.keys)] *= 1 - self.fraction
            total = left.sum(-1, keepdim=True)
            if float(total.min()) < 1e-6:
                name = f"L{self.site.layer}H{self.head}.z@{self.at}"
                raise NothingLeft(
                    f"A head attends to something; with the keys of positions {list(self.keys)} "
                    f"cut, {name} has nothing left. Cut the values ('v') or the head's own edge "
                    "instead.",
                    self.rows[0],
                )
            weights = left * (weights.sum(-1, keepdim=True) / total)
        if self.values:
            weights[:, list(self.values)] *= 1 - self.fraction
        # Some models compute their softmax in another precision than the rest.
        moved = (weights - now)[:, None].to(v.dtype) @ v[:, :, self.head // self.group]
        out = activation.clone()
        out[:, self.at, self.head] += moved[:, 0]
        return out


@dataclass(frozen=True, eq=False, repr=False)
class CutCarry(Edit):
    """A state without what it carries over from the one before it, the site needed."""

    fraction: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation - self.fraction * needed[0]


@dataclass(frozen=True, eq=False, repr=False)
class CutOthers(Edit):
    """An MLP's output with only some neurons left; needs mlp_post. model: whose weights count."""

    model: Model
    kept: tuple[int, ...]
    fraction: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        kept, layer = list(self.kept), self.site.layer
        w_out = self.model.weight("W_out", layer, copy=False)
        theirs = needed[0][..., kept] @ w_out[kept]
        if (norm := self.model.norm("ln2_post", layer)) is not None:
            summed = needed[0] @ w_out + self.model.weight("b_out", layer)
            theirs = theirs * (norm.weight / norm.scale(summed))
        theirs = theirs * self.model.spec.residual_multiplier
        return activation + self.fraction * (theirs - activation)


def cut_name(flow: InformationFlow, edge: int) -> str:
    """What is cut with an edge: itself, or the neuron or the MLP that it enters or leaves."""
    graph = flow.graph
    for node in (graph.targets[edge], graph.sources[edge]):
        if graph.kinds[node] in ("neuron", "mlp"):
            return graph.ids[node]
    return flow.edge_names[edge]


def cut_edits(
    model: Model, flow: InformationFlow, edges: Iterable[int], *, rows: int, fraction: float
) -> list[Edit]:
    """The edits that cut these edges of a flow, given by number, in one row of a run."""
    graph = flow.graph
    sources: dict[tuple[int, int, int], dict[str, list[int]]] = {}
    edits: dict[tuple[str, int], Edit] = {}
    for edge in edges:
        s, t = int(graph.sources[edge]), int(graph.targets[edge])
        channel = graph.channels[edge]
        # Of a neuron, and of an MLP's others, what goes in and what comes out is one thing.
        node = t if graph.kinds[t] in ("head", "neuron", "mlp") else s
        site, at = _place(graph.ids[node])
        if graph.kinds[node] == "head":
            assert site.layer is not None and site.head is not None
            if channel:
                key = (site.layer, site.head, at)
                sources.setdefault(key, {}).setdefault(channel, []).append(int(graph.positions[s]))
            else:
                edits[str(site), at] = Scale(site, 1 - fraction, rows=rows, positions=at)
        elif graph.kinds[node] == "neuron":
            edits[str(site), at] = Scale(site, 1 - fraction, rows=rows, positions=at)
        elif graph.kinds[node] == "mlp":
            kept = tuple(flow.apart[site.layer, at].tolist())
            needs = (Site("mlp_post", site.layer),)
            edits[str(site), at] = CutOthers(
                site, model, kept, fraction, rows=rows, positions=at, needs=needs
            )
        else:
            target, _ = _place(graph.ids[t])
            edits[str(target), at] = CutCarry(
                target, fraction, rows=rows, positions=at, needs=(_before(model, target),)
            )
    group = model.spec.n_heads // model.spec.n_kv_heads
    of_heads = [
        CutSources(
            Site("z", layer),
            head,
            at,
            group,
            values=tuple(cut.get("v", ())),
            keys=tuple(cut.get("k", ())),
            evenly="q" in cut,
            fraction=fraction,
            rows=rows,
            needs=(Site("pattern", layer), Site("v", layer)),
        )
        for (layer, head, at), cut in sources.items()
    ]
    # What a head reads is cut before what it writes.
    return [*of_heads, *edits.values()]


def _place(node: str) -> tuple[Site, int]:
    """The site and the position of a node; the embedding is the stream that enters layer 0."""
    name, _, position = node.rpartition("@")
    site = Site("resid_pre", 0) if name == "embed" else Site.parse(name)
    return site, int(position)


def _before(model: Model, site: Site) -> Site:
    """The state that another one carries on."""
    if site.stream == "resid_mid" or model.spec.parallel:
        return Site("resid_pre", site.layer)
    return Site("resid_mid", site.layer)
