"""Features: pages, matches, flow and its test, circuits, classifiers, steering."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, by_name, call, named, thing
from .core import PROMPT, PROMPTS

FEATURE = "L2.resid_post/3"


@call("feature_activations", "FeatureActivations", "feature_page", "FeaturePage")
def feature_activations(c: Context) -> Tables:
    labels = c.wb.Labels.from_index(c.index)
    page = c.wb.feature_page(c.model, c.dictionary, 3, c.corpus, n_contexts=4, n_sampled=4,
                             n_effect=4, seed=c.seed, progress=False)  # fmt: skip
    other = c.wb.feature_page(c.model, c.dicts, FEATURE, c.texts, labels=labels, others=c.dicts,
                              n_contexts=3, n_sampled=2, before=4, after=2, k=3, n_effect=0,
                              seed=c.seed, progress=False)  # fmt: skip
    return {
        "top": c.wb.feature_activations(c.model, c.dictionary, PROMPTS, k=4),
        "some": c.wb.feature_activations(c.model, c.dictionary, PROMPT, features=[3, 7]),
        "labelled": c.wb.feature_activations(c.model, c.dictionary, PROMPT, labels=labels, k=3),
        "page": page, "page effect": page.effect(), "page of others": other,
    }  # fmt: skip


@thing
def matches(c: Context) -> Any:
    return c.wb.match_features(c.dicts, k=2, progress=False)


@thing
def labels(c: Context) -> Any:
    return {FEATURE: "a label of its own"}


@thing
def flow(c: Context) -> Any:
    return c.wb.feature_flow(c.dicts, FEATURE, k=1, min_similarity=0.0)


@call("match_features", "FeatureMatches", "compare_matches")
def match_features(c: Context) -> Tables:
    m = c.wb.match_features
    made = {
        "cosine": c.matches,
        "correlation": m(c.dicts, by="correlation", model=c.model, texts=c.texts, progress=False),
        "permutation": m(c.dicts, by="permutation", seed=c.seed, progress=False),
        "thresholds": m(c.dicts, thresholds=0.3, progress=False),
    }
    out: dict[str, Any] = dict(made)
    for name, each in made.items():
        out[f"{name} counts"] = each.counts()
    lanes = ("resid", "mlp", "attn", "next")
    return out | {
        "lanes": {lane: str([name for name, _ in c.matches.of(FEATURE, lane)]) for lane in lanes},
        "agreement": made["cosine"].agreement(made["correlation"]),
        "with thresholds": c.matches.with_thresholds(0.2),
        "compared": c.wb.compare_matches([made["thresholds"], made["correlation"]]),
    }


@call("feature_flow", "FeatureFlow")
def feature_flow(c: Context) -> Tables:
    make = c.wb.feature_flow
    made = {
        **{d: make(c.dicts, FEATURE, direction=d, k=2) for d in ("both", "back", "forward")},
        "whole": make(c.dicts, min_similarity=0.5),
        "deep": make(c.dicts, FEATURE, depth=1, thresholds=0.1, labels=c.labels),
        "matched": make(c.dicts, FEATURE, matches=c.matches),
        "correlation": make(c.dicts, FEATURE, by="correlation", model=c.model, texts=c.texts),
        "permutation": make(c.dicts, FEATURE, by="permutation", seed=c.seed),
    }
    out: dict[str, Any] = dict(made)
    for name, each in made.items():
        out[f"{name} limits"] = each.limits()
    return out | {
        "path": list(c.flow.path(FEATURE)),
        "agreement": {"share": float(made["both"].agreement(made["correlation"]))},
    }


@call("validate_flow", "FlowValidation")
def validate_flow(c: Context) -> Tables:
    of_flow = c.wb.validate_flow(c.model, c.flow, c.texts, dicts=c.dicts, n_samples=3,
                                 seed=c.seed, progress=False)  # fmt: skip
    of_matches = c.wb.validate_flow(
        c.model, c.matches, c.texts, dicts=c.dicts, factor=0.5, n_edges=8, n_samples=2,
        compare=("correlation", "permutation", c.matches), loss=True, seed=c.seed, progress=False,
    )  # fmt: skip
    quick = c.wb.validate_flow(c.model, c.flow, c.texts, dicts=c.dicts, n_samples=2, compare=(),
                               loss=False, seed=c.seed, progress=False)  # fmt: skip
    out: dict[str, Any] = {"flow": of_flow, "matches": of_matches, "quick": quick}
    for name, got in (("flow", of_flow), ("matches", of_matches)):
        out[f"{name} summary"] = got.summary()
        for of in ("drop", "fallen", "loss"):
            out[f"{name} {of}"] = by_name("arm", {arm: got.score(arm, of=of) for arm in got.arms})
            out[f"{name} {of} advantage"] = got.advantage(of=of)
    return out


@call("feature_effects", "FeatureEffects")
def feature_effects(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for method in ("attribution", "ig"):
        for reference in ("counterfactual", "zero", "mean", "mean-position"):
            got = c.wb.feature_effects(c.model, c.ioi, c.dicts, method=method, reference=reference,
                                       steps=3, n=3)  # fmt: skip
            out[f"{method} {reference}"] = got
            out[f"{method} {reference} top"] = [
                f"{site} {number}" for site, number, _ in got.top(10)
            ]
    return out


@thing
def feature_graph(c: Context) -> Any:
    return c.wb.feature_circuit(c.model, c.ioi, c.dicts, n_nodes=30, n_edges=60, steps=3)


@call("feature_circuit", "FeatureCircuit")
def feature_circuit(c: Context) -> Tables:
    make = c.wb.feature_circuit
    effects = c.wb.feature_effects(c.model, c.ioi, c.dicts, method="attribution")
    found = c.feature_graph
    graph = found.graph()
    return {
        "ig": found, "nodes": [f"{node}" for node in found.nodes],
        "attribution": make(c.model, c.ioi, c.dicts, effects=effects, n_nodes=20, n_edges=30),
        "threshold": make(c.model, c.ioi, c.dicts, method="attribution", threshold=0.05,
                          n_edges=20, reference="mean", n=3),
        "no errors": make(c.model, c.ioi, c.dicts, method="attribution", n_nodes=15, n_edges=20,
                          errors=False, layers=[1, 2], reference="zero"),
        "mean-position": make(c.model, c.ioi, c.dicts, steps=2, n_nodes=15, n_edges=20,
                              reference="mean-position"),
        "random": found.random(c.seed), "without": found.without(found.nodes[0]),
        "chosen": {str(site): np.asarray(rows) for site, rows in found.chosen(c.dicts).items()},
        "graph": graph.weights, "graph scores": graph.scores, "graph ids": list(graph.ids),
    }  # fmt: skip


@call("evaluate_feature_circuit", "FeatureCircuitEvaluation")
def evaluate_feature_circuit(c: Context) -> Tables:
    references = ("mean-position", "counterfactual", "mean", "zero")
    got = c.wb.evaluate_feature_circuit(
        c.model, c.ioi, c.feature_graph, c.dicts, references=references, sizes=(5, 20), n_random=3,
        n=3, seed=c.seed,
    )  # fmt: skip
    out: dict[str, Any] = {"frame": got}
    for r in references:
        out[f"{r} scores"] = {name: got.score(name, r) for name in ("faithfulness", "completeness")}
        out[f"{r} random"] = np.asarray(got.random_scores(r))
        for nodes in ("features", "coordinates", "parts"):
            out[f"{r} curve {nodes}"] = np.asarray(got.curve(r, nodes))
    return out


@thing
def labelled(c: Context) -> tuple[list[str], list[int], list[str]]:
    """Texts, whether each says "he" or "she" first, and a group of two."""
    texts = [f"{text}" for text in c.texts]
    labels = [int(sum(map(ord, text)) % 2) for text in texts]
    return texts, labels, [f"group {i % 2}" for i in range(len(texts))]


@thing
def classifier(c: Context) -> Any:
    texts, labels, _ = c.labelled
    return c.wb.train_classifier(c.model, "L2.resid_post", texts, labels, pool="mean")


@call("train_classifier", "Classifier")
def train_classifier(c: Context) -> Tables:
    texts, labels, _ = c.labelled
    out: dict[str, Any] = {}
    ways: dict[str, dict[str, Any]] = {
        "mean": {"pool": "mean"}, "last": {"pool": "last", "classes": ("a", "b"), "l2": 0.1},
        "edited": {"edits": [c.edits["scale"]]},
    }  # fmt: skip
    for name, options in ways.items():
        got = c.wb.train_classifier(c.model, "L2.resid_post", texts, labels, **options)
        logits = np.asarray(got.logits(c.model, texts, edits=options.get("edits", ())))
        y = np.asarray(labels)
        two = logits if logits.ndim > 1 else np.stack([np.zeros_like(logits), logits], -1)
        log_p = two - np.logaddexp.reduce(two, axis=-1, keepdims=True)
        edits, pool = options.get("edits", ()), options.get("pool", "last")
        each = [
            c.model.run(t, read="L2.resid_post", edits=edits, logits_at=())["L2.resid_post"][0]
            for t in texts
        ]
        rows = np.stack([(x.mean(0) if pool == "mean" else x[-1]).cpu().numpy() for x in each])
        size = np.asarray(got.weight, float) * rows.std(0, ddof=1)
        penalty = float(options.get("l2", 0.01) * (size**2).sum())
        out[f"{name} frame"], out[f"{name} logits"] = got, logits
        out[f"{name} fit"] = {
            "penalty": float(options.get("l2", 0.01)),
            # What is made small: with the penalty, in units of the rows' standard deviations.
            "loss": float(-log_p[np.arange(len(y)), y].mean()) + penalty,
            "accuracy": float((two.argmax(-1) == y).mean()),
        }
    return out


@call("classifier_effects", "ClassifierEffects", "shift", "Shift")
def shift(c: Context) -> Tables:
    texts, labels, groups = c.labelled
    effects = c.wb.classifier_effects(c.model, c.classifier, c.dicts, texts, labels)
    nodes = [str(name) for name in effects.nodes[:3]]
    plain = c.wb.shift(c.model, c.classifier, c.dicts, nodes, texts, labels, seed=c.seed)
    full = c.wb.shift(c.model, c.classifier, c.dicts, nodes, texts[:12], labels[:12],
                      groups=groups[:12], training=(texts[12:], labels[12:]),
                      candidates=list(effects.nodes[:20]), seed=c.seed)  # fmt: skip
    # By name, since effects that are nearly equal change places with another fit.
    by_feature = effects.to_frame().sort_values("feature", ignore_index=True)
    out: dict[str, Any] = {"effects": by_feature, "shift": plain, "full": full}
    for name, got in (("shift", plain), ("full", full)):
        out[f"{name} gain"] = got.gain()
        out[f"{name} accuracy"] = by_name("way", {way: got.accuracy(way) for way in got.ways})
    return out


@call("steer", "Steering")
def steer(c: Context) -> Tables:
    ways: dict[str, Any] = {
        "feature": {"what": FEATURE}, "number": {"what": [FEATURE, "L1.resid_post/5"]},
        "weighted": {"what": {FEATURE: 1.0, "L1.resid_post/5": -0.5}, "strength": 2.0},
        "removed": {"what": FEATURE, "mode": "remove"}, "unit": {"what": FEATURE, "unit": 3.0},
        "flow": {"what": c.flow, "layers": "flow"}, "at layer": {"what": c.flow, "layers": 2},
        "layers": {"what": c.flow, "layers": [1, 2], "prepend_bos": False},
        "on prompt": {"what": FEATURE, "on": "prompt"}, "on new": {"what": FEATURE, "on": "new"},
        "sampled": {"what": FEATURE, "temperature": 0.9, "top_k": 20, "top_p": 0.9,
                    "seed": c.seed},
    }  # fmt: skip
    out: dict[str, Any] = {}
    for name, options in ways.items():
        options = {"dicts": c.dicts, "n": 5, "k": 4, **options}
        more = {} if "unit" in options else {"texts": c.texts}
        got = c.wb.steer(c.model, PROMPTS, options.pop("what"), **more, **options)
        out[name] = got
    return out


@call("compare_steering", "SteeringComparison")
def compare_steering(c: Context) -> Tables:
    # Numbers, which the flow promotes: of a gain near 0 single precision leaves little.
    got = c.wb.compare_steering(
        c.model, c.flow, c.texts[:12], concept=[" 14", " 32"], prompts=PROMPTS, dicts=c.dicts,
        strengths=(0.5, 2.0, 6.0), n_random=2, seed=c.seed, progress=False,
    )  # fmt: skip
    out: dict[str, Any] = {
        "frame": got,
        "gain": dict(zip(got.ways, np.asarray(got.gain()), strict=True)),
    }
    out["by unit"] = c.wb.compare_steering(
        c.model, c.flow, c.texts[:6], concept=" 14", prompts=PROMPTS, dicts=c.dicts, unit=3.0,
        strengths=(1.0,), n_random=1, seed=c.seed, progress=False,
    )  # fmt: skip
    for damage in ("kl", "loss"):
        out[f"harm {damage}"] = dict(zip(got.ways, np.asarray(got.harm(damage)), strict=True))
        out[f"matched {damage}"] = {"at": float(got.matched_damage(damage))}
        for measure in ("log_probability", "probability"):
            of: dict[str, Any] = {"damage": damage, "measure": measure}
            minus = {"random": got.difference("flow", "random", **of)}
            out |= named(
                f"{damage} {measure}",
                {
                    "area": by_name("way", {way: got.area(way, **of) for way in got.ways}),
                    "at": by_name("way", {way: got.effect_at(way, **of) for way in got.ways}),
                    "best": got.best(**of), "winner": {"winner": got.winner(**of)},
                    "difference": by_name("way", minus),
                },
            )  # fmt: skip
    return out
