"""Edges between features, recomputed by plain autograd with every site between them held."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.feature_circuit_models import (
    BACKENDS,
    CLOSE,
    NAMES,
    N,
    batch,
    carried,
    dicts,
    ids_of,
    made,
    metric,
    model,
    plain_pass,
    reference,
)
from tests.unit.kernels import examples, feature_edges, node_bases
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries

#: Of every site some features and the error.
CHOSEN = np.array([0, 3, 5, 8, N])


def edges_of(name: str, each: Dictionaries, kind: str, backend: str = "nnsight") -> Any:
    traced = model(name, backend)
    bases: Any = node_bases.feature_bases(each)
    chosen = {basis.site: CHOSEN for basis in bases}
    return feature_edges.feature_edges(
        traced, examples.Examples.of(traced, batch(name)), bases, chosen, kind
    )


@cache
def found(name: str, kind: str = "counterfactual", backend: str = "nnsight") -> Any:
    return edges_of(name, dicts(), kind, backend)


def table(edges: Any) -> np.ndarray:
    n = len(edges.to_logits)
    out = np.zeros((n, n))
    out[edges.sources, edges.targets] = edges.weights
    return out


def node(own: Dictionary, parts: tuple[torch.Tensor, torch.Tensor], i: int) -> torch.Tensor:
    """(pos, …) what a node carries."""
    return parts[1] if i == N else parts[0][:, i]


def slow(name: str, each: Dictionaries, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """(source, target) weights and (node,) direct effects: one backward pass a target node."""
    task, sites = batch(name), [str(site) for site in each]
    n = len(sites) * len(CHOSEN)
    weights, direct = np.zeros((n, n)), np.zeros(n)
    for row in range(len(task)):
        ids = ids_of(task, row)
        changes, down = {}, {}
        logits, seen = plain_pass(name, ids)
        grads = torch.autograd.grad(metric(task, row, logits), [seen[s] for s in sites])
        for site, grad in zip(sites, grads, strict=True):
            own = each[site]
            now, away = carried(own, seen), reference(name, own, row, kind)
            changes[site] = tuple((a - b).detach() for a, b in zip(now, away, strict=True))
            # The gradient at the codes, by writing them out of leaves of their own.
            codes = own.encode(seen[str(own.site)].detach()).detach().requires_grad_()
            out = own.decode(codes, seen[str(own.site)].detach())
            down[site] = (torch.autograd.grad(out, codes, grad)[0][0], grad[0])
        held = frozenset(sites)
        logits, seen = plain_pass(name, ids, held=held)
        leaves = [seen[s] for s in sites]
        found = torch.autograd.grad(metric(task, row, logits), leaves, allow_unused=True)
        direct += scores(each, sites, seen, changes, found) / len(task)
        for t, target in enumerate(sites):
            # What lies before the target is held; the target itself is not.
            _, seen = plain_pass(name, ids, held=frozenset(sites[:t]))
            leaves = [seen[s] for s in sites[:t]]
            if not leaves:
                continue
            now = carried(each[target], seen)
            for j, i in enumerate(CHOSEN):
                value = (node(each[target], down[target], i) * node(each[target], now, i)).sum()
                found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
                column = scores(each, sites[:t], seen, changes, found)
                weights[: len(column), t * len(CHOSEN) + j] += column / len(task)
    return weights, direct


def scores(each, sites, seen, changes, grads) -> np.ndarray:
    """(node of the sites,) the change of every chosen node times its gradient."""
    out = []
    for site, grad in zip(sites, grads, strict=True):
        own = each[site]
        x = seen[str(own.site)].detach()
        codes = own.encode(x).detach().requires_grad_()
        at_site = torch.zeros_like(seen[site]) if grad is None else grad
        at_codes = torch.autograd.grad(own.decode(codes, x), codes, at_site)[0][0]
        for i in CHOSEN:
            product = node(own, changes[site], i) * node(own, (at_codes, at_site[0]), i)
            out.append(product.sum().item())
    return np.array(out)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["counterfactual", "mean"])
def test_edges_are_vector_jacobian_products_with_everything_between_held(
    name: str, kind: str
) -> None:
    weights, direct = slow(name, dicts(), kind)
    edges = found(name, kind)
    np.testing.assert_allclose(table(edges), weights, **CLOSE)
    np.testing.assert_allclose(edges.to_logits, direct, **CLOSE)
    assert (edges.sources < edges.targets).all() and len(edges.weights) > 100


def test_in_a_parallel_block_attention_does_nothing_to_the_mlp() -> None:
    n, sites = len(CHOSEN), [str(site) for site in dicts()]
    from_, to = (sites.index(s) * n for s in ("L0.attn_out", "L0.mlp_out"))
    between = np.s_[from_ : from_ + n, to : to + n]
    assert not table(found("gpt_neox"))[between].any()
    assert table(found("gpt2"))[between].any()


def test_the_last_site_reaches_the_logits_by_its_whole_effect() -> None:
    effects = wb.features.effects(model(), batch(), dicts(), method="attribution")
    direct = found("gpt2").to_logits[-len(CHOSEN) :]
    np.testing.assert_allclose(direct, effects.at("L1.resid_post")[CHOSEN], **CLOSE)


@pytest.mark.parametrize("name", NAMES)
def test_both_backends_give_the_same_edges(name: str) -> None:
    one, other = (found(name, backend=backend) for backend in BACKENDS)
    np.testing.assert_allclose(table(one), table(other), **CLOSE)
    np.testing.assert_allclose(one.to_logits, other.to_logits, **CLOSE)


def test_edges_do_not_depend_on_how_many_targets_run_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = found("gpt2")
    monkeypatch.setattr(feature_edges, "TOKENS_PER_PASS", 1)
    again = edges_of("gpt2", dicts(), "counterfactual")
    np.testing.assert_allclose(table(again), table(wanted), **CLOSE)


def neurons() -> Dictionary:
    """A dictionary between what the transcoder reads and what it gives."""
    width = model().spec.d_mlp
    return made("relu", "L0.mlp_post", 21, width)


def test_sources_inside_a_transcoder_reach_its_error_alone() -> None:
    transcoder = made("relu", "L0.mlp_in", 20)
    transcoder = Dictionary(
        "L0.mlp_in", transcoder.encoder, transcoder.W_dec, transcoder.b_dec, "L0.mlp_out"
    )
    for each in ([neurons(), transcoder], [neurons(), transcoder, dicts()["L0.attn_out"]]):
        several = Dictionaries(each)
        weights, direct = slow("gpt2", several, "counterfactual")
        edges = edges_of("gpt2", several, "counterfactual")
        np.testing.assert_allclose(table(edges), weights, **CLOSE)
        np.testing.assert_allclose(edges.to_logits, direct, **CLOSE)
        first = len(several) * len(CHOSEN) - len(CHOSEN)
        inside = table(edges)[first - len(CHOSEN) : first, first:]
        assert inside[:, -1].any() and not inside[:, :-1].any()
