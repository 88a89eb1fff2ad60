"""Patching, path patching, attribution, ablation, circuits and their evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, call, named, thing

ARROW = "\u2192"
PLACES = {
    "resid_pre": ("pos", "layer"), "resid_mid": ("pos",), "resid_post": ("pos",),
    "attn_out": ("pos",), "mlp_out": ("pos", "layer"), "z": ("head", "pos", "head pos", "layer"),
    "q": ("head",), "k": ("head",), "v": ("head", "head pos"), "pattern": ("head", "dst"),
    "mlp_post": ("pos",),
}  # fmt: skip


@call("patch", "Patching")
def patch(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for over, ways in PLACES.items():
        for by in ways:
            layers = None if over in ("resid_pre", "z") else [1, 2]
            got = c.wb.patch(c.model, c.task, over=over, by=by, layers=layers, progress=False)
            out[f"{over} by {by}"] = got
    neurons = c.wb.patch(c.model, c.task, over="mlp_post", by="neuron", layers=2, n=2,
                         positions="last", max_rows=64, progress=False)  # fmt: skip
    noise = c.wb.patch(c.model, c.ioi, over="z", direction="noise", progress=False)
    low, high = noise.interval(0.8, n_resamples=200)
    return out | {
        "neurons": neurons, "noise": noise, "noise runs": noise.patched,
        "noise mean": noise.mean, "interval low": low, "interval high": high,
        "places": list(out["resid_pre by pos"].place_names()),
        "token": {"at 1": str(out["resid_pre by pos"].token_at(1))},
    }  # fmt: skip


@call("path_patch", "PathPatching")
def path_patch(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for sender, receivers in (("L0H2", "logits"), ("L1.mlp_out", ["L2H0.q", "L3H1.v"])):
        for through in ("residual", "mlps"):
            for direction in ("denoise", "noise"):
                got = c.wb.path_patch(c.model, c.ioi, sender=sender, receivers=receivers,
                                      through=through, direction=direction, n=3)  # fmt: skip
                name = f"{sender} {through} {direction}"
                out[name], out[f"{name} interval"] = got, got.interval(0.9)
                out[f"{name} effect"] = {"effect": float(got.effect)}
    return out


METHODS = {
    "attribution": ("nodes", "neurons"), "eap": ("edges",),
    "eap-ig": ("edges", "nodes", "neurons"), "eap-ig-activations": ("edges", "nodes", "neurons"),
    "atp*": ("nodes",), "exact": ("nodes",),
}  # fmt: skip


@call("attribute", "Attribution")
def attribute(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for method, overs in METHODS.items():
        for over in overs:
            got = c.wb.attribute(c.model, c.task, method=method, over=over, steps=2, n=3)
            out[f"{method} {over}"] = got
    edges = out["eap edges"]
    places = c.wb.attribute(c.model, c.task, method="attribution", positions=True, n=3)
    exact = c.wb.attribute(c.model, c.task, method="exact", over="edges", n=1)
    return out | {
        "positions": places, "exact edges": exact, "matrix": edges.edge_matrix(),
        "ranked": [edges.name(int(i)) for i in edges.ranking()[:50]],
    }  # fmt: skip


@call("check_attribution", "AttributionCheck")
def check_attribution(c: Context) -> Tables:
    nodes = c.wb.check_attribution(c.model, c.task, method="eap-ig", over="nodes", steps=2, n=2)
    edges = c.wb.check_attribution(c.model, c.task, method="eap", n=1)
    return {
        "nodes": nodes,
        "edges": edges,
        "overlap": {str(k): float(nodes.overlap(k)) for k in (3, 10)},
    }


@thing
def circuit(c: Context) -> Any:
    return c.wb.find_circuit(c.model, c.ioi, n_edges=40, steps=2)


@call("find_circuit", "find_circuits", "circuit_of", "Circuit", "Graph")
def find_circuit(c: Context) -> Tables:
    out: dict[str, Any] = {
        method: c.wb.find_circuit(c.model, c.task, method=method, n_edges=20, steps=2, n=3)
        for method in ("eap", "eap-ig", "eap-ig-activations")
    }
    out["threshold"] = c.wb.find_circuit(c.model, c.task, method="eap", threshold=0.01)
    out["acdc"] = c.wb.find_circuit(c.model, c.task, method="acdc", threshold=0.05, n=1)
    scores = c.wb.attribute(c.model, c.ioi, method="eap", over="edges")
    out["from scores"] = c.wb.find_circuit(c.model, c.ioi, attribution=scores, n_edges=10)
    for i, each in enumerate(
        c.wb.find_circuits(c.model, c.ioi, method="eap-ig", n_edges=[5, 25], steps=2, n=3)
    ):
        out[f"several {i}"] = each
    for i, each in enumerate(
        c.wb.find_circuits(c.model, c.ioi, method="eap", thresholds=[0.03, 0.01])
    ):
        out[f"thresholds {i}"] = each
    found = c.circuit
    graph = found.graph()
    first = [str(name) for name in found.edges[:2]]
    hand = c.wb.circuit_of(c.model, [f"L0.mlp_out {ARROW} L1H0.q", f"L1H0.z {ARROW} logits"])
    return out | {
        "found": found, "by hand": hand, "complement": found.complement(),
        "random": found.random(c.seed), "without": found.without(first),
        "graph nodes": {"ids": str(graph.ids), "labels": str(graph.labels)},
        "graph weights": graph.weights, "graph scores": graph.scores,
        "neuronpedia": [str(sorted(n.items()))[:200] for n in graph.to_neuronpedia()["nodes"]],
        "networkx": [" ".join(map(str, edge)) for edge in graph.to_networkx().edges(keys=True)],
    }  # fmt: skip


ABLATIONS = ("zero", "mean", "mean-position", "resample", "counterfactual", "noise", "optimal")


@call("evaluate_circuit", "CircuitEvaluation")
def evaluate_circuit(c: Context) -> Tables:
    out: dict[str, Any] = {}
    got = c.wb.evaluate_circuit(
        c.model, c.ioi, c.circuit, ablations=ABLATIONS[:5], fractions=(0.02, 0.2, 1.0),
        n_random=3, seed=c.seed,
    )  # fmt: skip
    hard = c.wb.evaluate_circuit(
        c.model, c.ioi, c.circuit, ablations=ABLATIONS[5:], fractions=(0.05,), n_random=2, n=3,
        seed=c.seed,
    )  # fmt: skip
    for each, kinds in ((got, ABLATIONS[:5]), (hard, ABLATIONS[5:])):
        for kind in kinds:
            out[f"{kind} scores"] = {
                name: tuple(map(float, each.score(name, kind)))
                for name in ("faithfulness", "completeness")
            }
            out[f"{kind} curve"] = np.asarray(each.curve(kind))
            out[f"{kind} random"] = np.asarray(each.random_scores(kind))
            out[f"{kind} areas"] = {"cpr": float(each.cpr(kind)), "cmd": float(each.cmd(kind))}
            out[f"{kind} chance"] = {"better": float(each.better_than_chance(kind))}
            out[f"{kind} minimality"] = each.minimality(kind)
    return {"frame": got, "hard": hard} | out


@call("ablate", "Ablation", "Cut")
def ablate(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for kind in ABLATIONS:
        got = c.wb.ablate(c.model, c.ioi, ["L1H0.z", "L2.mlp_out"], kind=kind, seed=c.seed)
        out[kind], out[f"{kind} interval"] = got, got.interval()
        out[f"{kind} effect"] = {"effect": float(got.effect)}
    several = {
        "edge": f"L0.mlp_out {ARROW} L1H0.q", "neuron": "L2.mlp_post/7", "circuit": c.circuit,
        "cut": c.wb.Cut("L1H1.z", "zero"),
        "mixed": [c.wb.Cut("L1H1.z", "zero"), c.wb.Cut("L2.mlp_out", "mean")],
    }  # fmt: skip
    return out | named(
        "of", {name: c.wb.ablate(c.model, c.task, what, n=3, seed=c.seed)
               for name, what in several.items()}
    )  # fmt: skip
