"""Feature circuits: what is chosen, pruned, drawn at random, and refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import workbench as wb
from tests.unit.feature_circuit_models import (
    BACKENDS,
    CLOSE,
    N,
    batch,
    dicts,
    ids_of,
    made,
    metric,
    model,
    plain_pass,
)
from tests.unit.kernels import examples, feature_edges, node_bases
from workbench.dictionary.collection import Dictionaries

LAYERS = (0, 1)


@cache
def effects() -> wb.features.FeatureEffects:
    return wb.features.effects(model(), batch(), dicts(), method="ig", steps=3)


@cache
def found(
    n_nodes: int = 20, n_edges: int = 10**6, backend: str = "nnsight"
) -> wb.features.FeatureCircuit:
    return wb.features.circuit(
        model("gpt2", backend),
        batch(),
        dicts(),
        n_nodes=n_nodes,
        n_edges=n_edges,
        steps=3,
        layers=LAYERS,
    )


def inner(circuit: wb.features.FeatureCircuit) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sources, targets and weights of the edges that do not end at the logits."""
    own = circuit.targets < len(circuit.nodes)
    return circuit.sources[own], circuit.targets[own], circuit.weights[own]


def ranked() -> list[tuple[str, float]]:
    """Every node and its effect, the largest absolute one first."""
    each = [
        (f"{site}/{'error' if i == N else i}", float(value))
        for site in effects().sites
        for i, value in enumerate(effects().at(site))
    ]
    return sorted(each, key=lambda pair: -abs(pair[1]))


def plain_metric(row: int, kind: str) -> float:
    logits, _ = plain_pass("gpt2", ids_of(batch(), row, kind))
    return metric(batch(), row, logits).item()


def test_the_nodes_are_those_of_the_largest_effect_in_the_order_of_the_pass() -> None:
    circuit, best = found(), dict(ranked()[:20])
    assert set(circuit.nodes) == set(best)
    for name, effect in zip(circuit.nodes, circuit.effects, strict=True):
        assert effect == pytest.approx(best[name], rel=1e-4)
    order = [
        name for site in effects().sites
        for name in (*(f"{site}/{i}" for i in range(N)), f"{site}/error") if name in best
    ]  # fmt: skip
    assert list(circuit.nodes) == order
    assert circuit.features == tuple(n for n in order if not n.endswith("error"))
    assert circuit.errors == tuple(n for n in order if n.endswith("error"))
    gap = np.mean([plain_metric(row, "clean") - plain_metric(row, "corrupt") for row in range(3)])
    assert circuit.gap == pytest.approx(gap, rel=1e-4)
    assert (circuit.sources < circuit.targets).all()


def test_a_threshold_keeps_all_above_it_and_errors_may_be_left_out() -> None:
    limit = abs(ranked()[14][1])
    options: dict[str, Any] = {"layers": LAYERS, "effects": effects(), "n_edges": 10**6}
    circuit = wb.features.circuit(model(), batch(), dicts(), threshold=limit, **options)
    assert set(circuit.nodes) == {name for name, value in ranked() if abs(value) > limit}
    plain = wb.features.circuit(model(), batch(), dicts(), n_nodes=8, errors=False, **options)
    features = [name for name, _ in ranked() if not name.endswith("error")]
    last = {name for name in features[:8] if name.startswith("L1.resid_post")}
    # Others may lead to the logits only through nodes that were not chosen.
    assert last <= set(plain.nodes) <= set(features[:8]) and last and not plain.errors


def test_the_strongest_edges_stay_and_nodes_that_lead_nowhere_go() -> None:
    whole, few = found(), found(n_edges=3)
    sources, targets, weights = inner(whole)
    strongest = np.argsort(-np.abs(weights), kind="stable")[:3]
    wanted = {(whole.nodes[sources[e]], whole.nodes[targets[e]]): weights[e] for e in strongest}
    direct = {n for n, d in zip(whole.nodes, whole.to_logits, strict=True) if d}
    kept, before = set(direct), -1
    while len(kept) != before:
        before = len(kept)
        kept |= {source for source, target in wanted if target in kept}
    assert set(few.nodes) == kept < set(whole.nodes)
    edges = {(few.nodes[s], few.nodes[t]): w for s, t, w in zip(*inner(few), strict=True)}
    assert edges == {pair: w for pair, w in wanted.items() if set(pair) <= kept}


def test_edges_are_those_of_the_chosen_nodes() -> None:
    circuit, each = found(), dicts()
    chosen = {
        site: np.flatnonzero(mask) for site, mask in circuit.chosen(each).items() if mask.any()
    }
    pairs = examples.Examples.of(model(), batch())
    bases: Any = node_bases.feature_bases(each)
    edges = feature_edges.feature_edges(model(), pairs, bases, chosen, "counterfactual")
    np.testing.assert_array_equal(edges.sources, inner(circuit)[0])
    np.testing.assert_allclose(edges.weights, inner(circuit)[2], rtol=1e-6)
    np.testing.assert_allclose(edges.to_logits, circuit.to_logits, rtol=1e-6)


def test_both_backends_find_the_same_circuit() -> None:
    one, other = (found(backend=backend) for backend in BACKENDS)
    assert one.nodes == other.nodes
    np.testing.assert_allclose(one.effects, other.effects, **CLOSE)
    np.testing.assert_allclose(one.to_logits, other.to_logits, **CLOSE)
    weights = []
    for each in (one, other):
        dense = np.zeros((len(one.ids), len(one.ids)))
        dense[each.sources, each.targets] = each.weights
        weights.append(dense)
    np.testing.assert_allclose(*weights, **CLOSE)


def test_a_random_circuit_has_as_many_features_at_each_site_and_the_same_errors() -> None:
    circuit, drawn = found(), found().random(1)
    for site in circuit.sites:
        own = [n for n in drawn.features if n.startswith(f"{site}/")]
        assert len(own) == sum(n.startswith(f"{site}/") for n in circuit.features)
        numbers = {int(n.split("/")[1]) for n in own}
        assert numbers <= set(np.flatnonzero(effects().at(site)[:N]).tolist())
    assert set(drawn.errors) == set(circuit.errors)
    assert drawn.nodes == circuit.random(1).nodes != circuit.random(2).nodes
    assert not len(drawn.weights) and drawn.method == "random, seed 1"
    sites = [str(s) for s in dicts()]
    places = [sites.index(n.split("/")[0]) for n in drawn.nodes]
    assert places == sorted(places)


def test_less_some_nodes_a_circuit_keeps_the_edges_between_the_others() -> None:
    circuit = found()
    gone = {circuit.nodes[2], circuit.nodes[-1]}
    less = circuit.without(gone)
    assert less.nodes == tuple(n for n in circuit.nodes if n not in gone)
    wanted = {
        (circuit.ids[s], circuit.ids[t], w)
        for s, t, w in zip(circuit.sources, circuit.targets, circuit.weights, strict=True)
        if not {circuit.ids[s], circuit.ids[t]} & gone
    }
    pairs = zip(less.sources, less.targets, less.weights, strict=True)
    assert {(less.ids[s], less.ids[t], w) for s, t, w in pairs} == wanted
    with pytest.raises(ValueError, match="'L0.attn_out/99' is not in the circuit"):
        circuit.without(["L0.attn_out/99"])


def test_the_graph_has_its_nodes_its_edges_and_the_logits_last() -> None:
    circuit = found()
    assert circuit.ids == (*circuit.nodes, "logits")
    assert circuit.labels == (*circuit.nodes, circuit.metric_name)
    direct, own = np.flatnonzero(circuit.to_logits), len(inner(circuit)[2])
    assert len(circuit.weights) == own + len(direct)
    assert (circuit.targets[own:] == len(circuit.nodes)).all()
    for name, kind, layer in zip(circuit.nodes, circuit.kinds, circuit.layers, strict=False):
        assert kind == ("error" if name.endswith("error") else "feature")
        assert layer == int(name[1])


def test_a_circuit_is_listed_and_the_same_from_disk(tmp_path: Path) -> None:
    circuit = found()
    frame = circuit.to_frame()
    assert list(frame.columns) == ["node", "site", "effect", "to_logits"]
    assert frame["node"].tolist()[0] == ranked()[0][0] and len(frame) == len(circuit.nodes)
    counts = f"{len(circuit.features)} features and {len(circuit.errors)} errors at 6 sites"
    assert counts in repr(circuit)
    circuit.save(tmp_path / "circuit")
    again = wb.features.FeatureCircuit.load(tmp_path / "circuit")
    assert again.nodes == circuit.nodes and again.sites == circuit.sites
    np.testing.assert_array_equal(again.weights, circuit.weights)
    for site in circuit.sites:
        np.testing.assert_array_equal(again.active[site], circuit.active[site])


def test_the_first_third_of_the_layers_is_left_as_it_is() -> None:
    def searched(layers: list[int] | None) -> set[str]:
        circuit = wb.features.circuit(model(), batch(), dicts(), layers=layers, steps=1)
        return set(circuit.sites)

    assert searched(None) == {str(site) for site in dicts() if site.layer == 1}
    assert searched([0]) == {str(site) for site in dicts() if site.layer == 0}
    with pytest.raises(ValueError, match=r"layers that have a dictionary, of 0, 1; got \[1, 2\]"):
        searched([1, 2])
    only = Dictionaries([dicts()["L0.attn_out"]])
    with pytest.raises(ValueError, match=r"of 0; got \[1\]"):
        wb.features.circuit(model(), batch(), only)


def test_chosen_nodes_are_masks_and_names_that_are_not_there_are_refused() -> None:
    def chosen(site: str, *nodes: str) -> dict[wb.Site, np.ndarray]:
        none, zeros = np.zeros(0, int), np.zeros(len(nodes))
        edges = feature_edges.Edges(none, none, np.zeros(0), zeros)
        own = feature_edges.graph_of(nodes, zeros, edges, "")
        return replace(found(), sites=(site,), **own).chosen(dicts())

    masks = chosen("L1.mlp_out", "L1.mlp_out/3", "L1.mlp_out/error")
    (site,) = masks
    assert np.flatnonzero(masks[site]).tolist() == [3, N]
    with pytest.raises(ValueError, match="has nodes at L1.mlp_in, and .* has no such site"):
        chosen("L1.mlp_in")
    with pytest.raises(ValueError, match="A node is at one of L1.mlp_out; got 'L0.mlp_out/3'"):
        chosen("L1.mlp_out", "L0.mlp_out/3")
    with pytest.raises(ValueError, match="features 0 to 11; got 12"):
        chosen("L1.mlp_out", "L1.mlp_out/12")


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"n_nodes": 0}, "n_nodes is a whole number from 1; got 0"),
        ({"n_edges": True}, "n_edges is a whole number from 1; got True"),
        ({"n_edges": 2.5}, "n_edges is a whole number from 1; got 2.5"),
        ({"threshold": 1e9}, "No node has an absolute effect above 1e.09; the largest is"),
        ({"method": "no"}, "Effects are found by attribution or ig; got 'no'"),
        ({"reference": "no"}, "A reference is one of"),
    ],
)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        call: dict[str, Any] = {"steps": 1} | options
        wb.features.circuit(model(), batch(), dicts(), **call)


def test_effects_of_something_else_are_refused() -> None:
    def circuit(
        each: Dictionaries, given: wb.features.FeatureEffects
    ) -> wb.features.FeatureCircuit:
        return wb.features.circuit(model(), batch(), each, effects=given, layers=LAYERS)

    other = replace(effects(), task="another")
    with pytest.raises(ValueError, match="effects are those of the same task and of every"):
        circuit(dicts(), other)
    sizes = {site: n for site, n in effects().sizes.items() if site != "L1.mlp_out"}
    with pytest.raises(ValueError, match="without L1.mlp_out"):
        circuit(dicts(), replace(effects(), sizes=sizes))
    sizes = {**effects().sizes, "L1.mlp_out": 5}
    with pytest.raises(ValueError, match="another dictionary at L1.mlp_out: 5 nodes, not 13"):
        circuit(dicts(), replace(effects(), sizes=sizes))
    with pytest.raises(ValueError, match="width"):
        circuit(Dictionaries([made("relu", "L1.resid_post", 0, 16)]), effects())


@pytest.mark.parametrize("threshold", [-1.0, float("nan"), float("inf")])
def test_a_threshold_is_an_effect(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold is a finite number from 0 or None; got"):
        wb.features.circuit(model(), batch(), dicts(), threshold=threshold)
