"""The edits of a cut: each is the ablation that it says, and weights are slopes of the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.circuit_models import TINY
from tests.unit.cut_edges import SHORT, check, ends, model_of, run_with, strongest, whole
from tests.unit.kernels import cut_edits
from tests.unit.plain_pass import EVERY, edges_of, graph_of, place
from workbench.edits import Scale, Set
from workbench.loading import load

ZOO = ["gpt2", "gpt_neox", "gptj", "bloom", "gemma2", "olmo2"]


def slopes(
    model: Any, info: wb.information.InformationGraph, fraction: float, chosen: np.ndarray
) -> np.ndarray:
    """(edge,) how far the answer falls for each part that is cut, by cutting so much of it."""
    rows = model.tokens([info.token_ids.tolist()]).take([0] * (1 + len(chosen)))
    edits = [
        edit
        for row, edge in enumerate(chosen, 1)
        for edit in cut_edits(model, info, [int(edge)], rows=row, strength=fraction)
    ]
    with torch.no_grad():
        logits = model.run(rows, edits=edits, logits_at="last").logits[:, 0].double()
    answer = logits[:, info.target_id] - logits.mean(-1)
    return ((answer[0] - answer[1:]) / fraction).numpy()


def test_every_weight_is_the_slope_of_its_cut() -> None:
    model = load("tinyworld", device="cpu", dtype="float64")
    info = graph_of(model, SHORT, measure="answer", final_norm="real", n_edges=EVERY, n_neurons=3)
    chosen = np.arange(0, len(info.edge_names), 3)
    found, weights = slopes(model, info, 1e-6, chosen), info.weights[chosen]
    assert {info.channels[e] for e in chosen} == {"", "v", "k", "q"}
    assert {info.kinds[info.sources[e]] for e in chosen} == {
        "embed", "state", "head", "neuron", "mlp"
    }  # fmt: skip
    np.testing.assert_allclose(found, weights, atol=1e-5, rtol=1e-4)
    assert np.abs(weights).max() > 0.5


@pytest.mark.parametrize("name", ["tinyworld-llama", "gptj", "bloom"])
def test_weights_are_slopes_whatever_the_block(name: str) -> None:
    model, prompt = model_of(name)
    info = graph_of(model, prompt, measure="answer", final_norm="real", n_edges=EVERY, n_neurons=2)
    chosen = np.argsort(-np.abs(info.weights))[:150]
    # Norms and softmax are in float32: larger cuts, and the curvature taken out.
    found = 2 * slopes(model, info, 0.01, chosen) - slopes(model, info, 0.02, chosen)
    weights = info.weights[chosen]
    assert np.abs(found - weights).max() < 0.02 * np.abs(weights).max()
    assert np.corrcoef(found, weights)[0, 1] > 0.9999


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *((name, "nnsight") for name in (*TINY, *ZOO)),
        *((name, "transformer_lens") for name in (*TINY, "gptj", "gemma2")),
    ],
)
def test_heads_neurons_and_carries_are_cut_as_by_hand(name: str, backend: str) -> None:
    info = whole(name)
    model, _ = model_of(name, backend)
    logits = run_with(model, info, [])
    head = strongest(info, "head", "state")
    cut = wb.information.cut(model, info, head, n_controls=0)
    check(info, cut, logits, 0)
    site, position = place(ends(head)[0])
    check(info, cut, run_with(model, info, Scale(site, 0, positions=position)))

    neuron = strongest(info, "neuron", "state")
    site, position = place(ends(neuron)[0])
    by_hand = run_with(model, info, Scale(site, 0, positions=position))
    check(info, wb.information.cut(model, info, neuron, n_controls=0), by_hand)
    into = next(e for e in info.edge_names if ends(e)[1] == ends(neuron)[0])
    check(info, wb.information.cut(model, info, into, n_controls=0), by_hand)

    carry = max(
        (e for e, (s, t, *_) in zip(info.edge_names, edges_of(info), strict=True)
         if "resid" in t and ("resid" in s or "embed" in s)),
        key=lambda e: info.shares[info.edge_names.index(e)],
    )  # fmt: skip
    (before, _), (site, position) = map(place, ends(carry))
    run = model.run([info.token_ids.tolist()], read=[before, site], logits_at=())
    left = (run[site] - run[before])[0, position]
    by_hand = run_with(model, info, Set(site, left, positions=position))
    check(info, wb.information.cut(model, info, carry, n_controls=0), by_hand)


@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama", "gemma2", "gptj"])
def test_the_others_of_an_mlp_leave_the_neurons_that_stand_apart(name: str) -> None:
    info = whole(name)
    model, _ = model_of(name)
    edge = strongest(info, "mlp", "state")
    site, position = place(ends(edge)[0])
    layer = int(site[1])
    names = [f"L{layer}.mlp_post", f"L{layer}.mlp_out"]
    run = model.run([info.token_ids.tolist()], read=names, logits_at=())
    post = run[names[0]][0, position].double()
    W_out, b_out = model.weight("W_out", layer).double(), model.weight("b_out", layer).double()
    gain, norm = 1.0, model.norm("ln2_post", layer)
    if norm is not None:
        summed = post @ W_out + b_out
        gain = norm.weight.double() / (summed.pow(2).mean() + norm.epsilon).sqrt()
    written = sum(post[k] * W_out[k] * gain for k in info.apart[layer, position].tolist())
    whole_one, half = (
        wb.information.cut(model, info, edge, n_controls=0, strength=fraction)
        for fraction in (1.0, 0.5)
    )
    check(info, whole_one, run_with(model, info, Set(site, written, positions=position)))
    mixed = 0.5 * written + 0.5 * run[names[1]][0, position].double()
    check(info, half, run_with(model, info, Set(site, mixed, positions=position)))


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *((name, "nnsight") for name in (*TINY, "qwen3", "phi")),
        *((name, "transformer_lens") for name in TINY),
    ],
)
def test_values_keys_and_queries_are_cut_as_by_hand(name: str, backend: str) -> None:
    info = whole(name)
    model, _ = model_of(name, backend)
    edge = strongest(info, "state", "head", "k")
    site, position = place(ends(edge)[1])
    layer, head = int(site[1]), int(site[3:-2])
    group = head // (model.spec.n_heads // model.spec.n_kv_heads)
    streams = [f"L{layer}.{s}" for s in ("pattern", "v", "z")]
    run = model.run([info.token_ids.tolist()], read=streams, logits_at=())
    pattern = run[streams[0]][0, head, position].double()
    v = run[streams[1]][0, :, group].double()

    def by_hand(weights: torch.Tensor) -> np.ndarray:
        z = sum(weight * value for weight, value in zip(weights, v, strict=True))
        return run_with(model, info, Set(site, z, positions=position))

    node = ends(edge)[1]
    into = {
        (channel, place(source)[1]): edge
        for edge, (source, target, channel, _) in zip(info.edge_names, edges_of(info), strict=True)
        if target == node
    }
    sources = sorted(at for channel, at in into if channel == "k")[:2]
    assert len(sources) == 2 < position + 1

    without = pattern.clone()
    without[sources] = 0
    cut = wb.information.cut(model, info, [into["v", at] for at in sources], n_controls=0)
    check(info, cut, by_hand(without))
    keys = wb.information.cut(model, info, [into["k", at] for at in sources], n_controls=0)
    check(info, keys, by_hand(without / without.sum()))
    half = pattern.clone()
    half[sources[0]] *= 0.5
    keys = wb.information.cut(model, info, into["k", sources[0]], strength=0.5, n_controls=0)
    check(info, keys, by_hand(half / half.sum()))
    seen = (pattern > 0).double()
    query = wb.information.cut(model, info, into["q", position], n_controls=0)
    check(info, query, by_hand(seen / seen.sum()))
    # Attention is made even first, then a key is cut, then a value.
    three = [into["q", position], into["k", sources[0]], into["v", sources[1]]]
    even = seen / seen.sum()
    even[sources[0]] = 0
    even = even / even.sum()
    even[sources[1]] = 0
    check(info, wb.information.cut(model, info, three, n_controls=0), by_hand(even))


def test_what_is_cut_together_is_cut_in_one_pass() -> None:
    info = whole()
    model, _ = model_of("tinyworld")
    head, neuron = (
        strongest(info, "head", "state"),
        strongest(info, "neuron", "state"),
    )
    edits = [
        Scale(site, 0, positions=at) for site, at in (place(ends(e)[0]) for e in (head, neuron))
    ]
    check(
        info,
        wb.information.cut(model, info, [neuron, head], n_controls=0),
        run_with(model, info, edits),
    )
