"""The parts of one pass the slow, obvious way: every vector by itself, in double precision."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

import workbench as wb

#: All of a small info.
EVERY = 100_000
STREAMS = ("pattern", "v", "z", "mlp_post", "mlp_out", "resid_pre", "resid_post")


def graph_of(model: Any, prompt: Any, **options: Any) -> wb.information.InformationGraph:
    """A graph without what is not tested everywhere."""
    return wb.information.graph(model, prompt, **{"details": False, "k": 1, **options})


def place(node: str) -> tuple[str, int]:
    """The site of a node and its position."""
    name, _, position = node.rpartition("@")
    return ("L0.resid_pre" if name == "embed" else name), int(position)


class Parts:
    """What each part of a pass over one prompt writes."""

    def __init__(self, model: Any, prompt: Any) -> None:
        self.model = model
        streams = [*STREAMS, *([] if model.spec.parallel else ["resid_mid"])]
        sites = [f"L{layer}.{s}" for layer in range(model.spec.n_layers) for s in streams]
        run = model.run(prompt, read=sites, logits_at=())
        self.read = {site: run[site][0].double() for site in sites}
        self.weight: Any = cache(lambda *name: model.weight(*name).double())

    def state(self, node: str) -> torch.Tensor:
        """(d_model,)"""
        site, position = place(node)
        return self.read[site][position]

    def behind(self, norm: str, layer: int, summed: torch.Tensor) -> torch.Tensor:
        """(d_model,) what multiplies each part of a sum that a norm of the block follows."""
        post = self.model.norm(norm, layer)
        if post is None:
            return torch.ones_like(summed)
        return post.weight.double() / (summed.pow(2).mean() + post.epsilon).sqrt()

    def head_gain(self, layer: int, position: int) -> torch.Tensor:
        z = self.read[f"L{layer}.z"][position]
        summed = self.weight("b_O", layer).clone()
        for head in range(len(z)):
            summed += z[head] @ self.weight("W_O", layer, head)
        return self.behind("ln1_post", layer, summed)

    def attention_bias(self, layer: int, position: int) -> torch.Tensor:
        return self.weight("b_O", layer) * self.head_gain(layer, position)

    def head(self, layer: int, head: int, position: int) -> torch.Tensor:
        z = self.read[f"L{layer}.z"][position, head]
        return (z @ self.weight("W_O", layer, head)) * self.head_gain(layer, position)

    def memory(self, layer: int, head: int, source: int) -> torch.Tensor:
        """What the value at a source writes for an attention of 1, before a post-norm."""
        group = self.model.spec.n_heads // self.model.spec.n_kv_heads
        return self.read[f"L{layer}.v"][source, head // group] @ self.weight("W_O", layer, head)

    def value(self, layer: int, head: int, position: int, source: int) -> torch.Tensor:
        attention = self.read[f"L{layer}.pattern"][head, position, source]
        return attention * self.memory(layer, head, source) * self.head_gain(layer, position)

    def neuron(self, layer: int, unit: int, position: int) -> torch.Tensor:
        post = self.read[f"L{layer}.mlp_post"][position]
        summed = post @ self.weight("W_out", layer) + self.weight("b_out", layer)
        written = post[unit] * self.weight("W_out", layer)[unit]
        return written * self.behind("ln2_post", layer, summed)

    def others(self, layer: int, position: int, apart: Any) -> torch.Tensor:
        written = self.read[f"L{layer}.mlp_out"][position].clone()
        for unit in apart:
            written -= self.neuron(layer, int(unit), position)
        return written

    def written(self, info: wb.information.InformationGraph, node: str) -> torch.Tensor:
        """(d_model,) what a node writes, or is."""
        site, position = place(node)
        layer = int(site[1 : site.index(".")].split("H")[0])
        if site.endswith(".z"):
            return self.head(layer, int(site[site.index("H") + 1 : -2]), position)
        if "/" in site:
            return self.neuron(layer, int(site.partition("/")[2]), position)
        if site.endswith("mlp_out"):
            return self.others(layer, position, info.apart[layer, position])
        return self.state(node)


def edges_of(info: wb.information.InformationGraph) -> list[tuple[str, str, str, float]]:
    """(source, target, channel, weight) of every edge."""
    graph = info
    return [
        (graph.ids[s], graph.ids[t], channel, float(weight))
        for s, t, channel, weight in zip(
            graph.sources, graph.targets, graph.channels, graph.weights, strict=True
        )
    ]
