"""Scores of nodes and neurons against a slow recomputation: gradients, and AtP*."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.attributions import (
    NODES,
    attributed,
    fractions,
    gap_of,
    sources,
)
from tests.unit.circuit_models import (
    CLOSE,
    TINY,
    Plain,
    by_length,
    ioi,
    plain,
    tinyworld,
)
from tests.unit.plain_nodes import NodePass, node_pass, with_keys, with_queries
from workbench.tasks import TaskBatch


def grads(batch: TaskBatch, seen: NodePass, names: list[str]) -> dict[str, torch.Tensor]:
    found = torch.autograd.grad(
        batch.metric(seen.logits[:, -1:]).sum(),
        [seen.kept[name] for name in names],
        materialize_grads=True,
        allow_unused=True,
    )
    return dict(zip(names, found, strict=True))


def mean_grads(model: Plain, batch: TaskBatch, method: str) -> dict[str, torch.Tensor]:
    """By writer the gradient at what it adds, where the method takes it."""
    weights, ids = model.weights, batch.corrupt.ids
    clean, corrupt = (node_pass(weights, t.ids).kept for t in (batch.clean, batch.corrupt))
    total: dict[str, torch.Tensor] = {}
    for source in sources(model) if method == "eap-ig-activations" else [model.writers]:
        for fraction in fractions(method):
            put = {w: torch.lerp(corrupt[w], clean[w], fraction).detach() for w in source}
            if method != "eap-ig-activations":
                put = {"embed": put["embed"]}
            found = grads(batch, node_pass(weights, ids, put=put), source)
            for w, grad in found.items():
                total[w] = total.get(w, 0) + grad / len(fractions(method))
    return total


@pytest.mark.parametrize("method", NODES)
@pytest.mark.parametrize("name", TINY)
def test_nodes_by_gradients_equal_the_difference_times_the_gradient(name: str, method: str) -> None:
    model = plain(name)
    result = attributed(name, "nnsight", method, "nodes", positions=True)
    assert result.examples is not None
    n = max(ioi().clean.lengths)
    scores = result.examples.reshape(len(ioi()), -1, n)
    for rows, batch in by_length(ioi()):
        clean, corrupt = (
            node_pass(model.weights, t.ids).kept for t in (batch.clean, batch.corrupt)
        )
        grad = mean_grads(model, batch, method)
        expected = [((clean[w] - corrupt[w]) * grad[w]).sum(-1).detach() for w in model.writers]
        each = torch.stack(expected, 1).numpy() / gap_of(name)
        np.testing.assert_allclose(scores[rows, :, : each.shape[-1]], each, **CLOSE)
        assert (scores[rows, :, each.shape[-1] :] == 0).all()
    whole = attributed(name, "nnsight", method, "nodes")
    assert list(whole.names) == model.writers
    assert whole.examples is not None
    np.testing.assert_allclose(whole.examples, scores.sum(-1), **CLOSE)
    np.testing.assert_allclose(whole.scores, scores.sum(-1).mean(0), **CLOSE)


@pytest.mark.parametrize("method", NODES)
@pytest.mark.parametrize("name", TINY)
def test_neurons_equal_their_difference_times_the_gradient_through_w_out(
    name: str, method: str
) -> None:
    model = tinyworld(name)
    result = attributed(name, "nnsight", method, "neurons")
    assert result.examples is not None
    layers = range(model.spec.n_layers)
    read = [f"L{layer}.mlp_post" for layer in layers]
    for rows, batch in by_length(ioi()):
        grad = mean_grads(plain(name), batch, method)
        clean, corrupt = (model.run(t, read=read) for t in (batch.clean, batch.corrupt))
        expected = [
            (
                (clean[site] - corrupt[site]).double()
                * (grad[f"L{layer}.mlp_out"] @ model.weight("W_out", layer).double().T)
            ).sum(1)
            for layer, site in enumerate(read)
        ]
        each = torch.cat(expected, -1).numpy() / gap_of(name)
        np.testing.assert_allclose(result.examples[rows], each, **CLOSE)
    d_mlp = model.spec.d_mlp
    assert result.names[d_mlp + 7] == "L1.mlp_post/7"
    assert np.abs(result.scores).max() > 1e-3


def slow_atp_star(model: Plain, batch: TaskBatch, positions: bool) -> np.ndarray:
    """(example, node, pos or 1): a loop over dropped layers, a softmax for each query or key."""
    clean, corrupt = (node_pass(model.weights, t.ids).kept for t in (batch.clean, batch.corrupt))
    n_layers = len(model.weights.blocks)
    total: Any = 0
    for dropped in range(n_layers):
        seen = node_pass(model.weights, batch.corrupt.ids, dropped=dropped)
        grad = grads(batch, seen, list(seen.kept))
        scores = [((clean[w] - corrupt[w]) * grad[w]).sum(-1) for w in model.writers]
        for layer, block in enumerate(model.weights.blocks):
            for h in range(len(block.heads)):
                name = f"L{layer}H{h}"
                new = with_queries(model.weights, layer, h, corrupt, clean[f"{name}.q"])
                change = new - corrupt[f"{name}.pattern"]
                scores.append((change * grad[f"{name}.pattern"]).sum(-1))
            for stream in "kv":
                for h in range(len(block.kv)):
                    name = f"L{layer}H{h}.{stream}"
                    if stream == "v":
                        scores.append(((clean[name] - corrupt[name]) * grad[name]).sum(-1))
                    else:
                        scores.append(
                            key_scores(model, layer, h, corrupt, clean[name], grad, positions)
                        )
        each = torch.stack([s.detach() for s in scores], 1)
        total = total + (each if positions else each.sum(-1, keepdim=True)).abs()
    return (total / (n_layers - 1)).numpy()


def key_scores(
    model: Plain,
    layer: int,
    kv: int,
    corrupt: Mapping[str, torch.Tensor],
    keys: torch.Tensor,
    grad: Mapping[str, torch.Tensor],
    positions: bool,
) -> torch.Tensor:
    """(example, pos): one key changed at a time, or with all of them the sum at the first."""
    out = torch.zeros(keys.shape[:2], dtype=torch.float64)
    own = corrupt[f"L{layer}H{kv}.k"]
    for h, head in enumerate(model.weights.blocks[layer].heads):
        if head.kv != kv:
            continue
        name = f"L{layer}H{h}.pattern"
        for at in range(keys.shape[1]) if positions else [slice(None)]:
            changed = own.clone()
            changed[:, at] = keys[:, at]
            new = with_keys(model.weights, layer, h, corrupt, changed)
            score = ((new - corrupt[name]) * grad[name]).sum((1, 2))
            out[:, at if positions else 0] += score.detach()
    return out


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("name", TINY)
def test_atp_star_equals_a_softmax_for_each_key_and_a_loop_over_dropped_layers(
    name: str, positions: bool
) -> None:
    result = attributed(name, "nnsight", "atp*", "nodes", positions=positions)
    assert result.examples is not None
    scores = result.examples.reshape(len(ioi()), -1, max(ioi().clean.lengths) if positions else 1)
    for rows, batch in by_length(ioi()):
        expected = slow_atp_star(plain(name), batch, positions) / gap_of(name)
        np.testing.assert_allclose(scores[rows, :, : expected.shape[-1]], expected, **CLOSE)
    heads = [f"L{i}H{h}.{s}" for i in range(4) for s in "qkv" for h in range(4)]
    names = list(dict.fromkeys(result.names))
    assert names == [*plain(name).writers, *(x for x in heads if x in plain(name).readers)]
    assert (result.scores >= 0).all() and result.scores.max() > 0.05
