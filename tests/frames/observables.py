"""Observables: vectors, paths, couplings, attribution and their evaluation."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, call, named, thing
from .core import PROMPT, PROMPTS


@thing
def observable(c: Context) -> Any:
    return c.wb.observable(c.model, " Paris", " Rome")


PATHS: dict[str, Any] = {"head": "L2H1", "mlp": "L2.mlp", "two": ["L1H0", "L2H1"]}


@call("observable", "Observable", "ObservableVector", "couplings", "Couplings")
def observables(c: Context) -> Tables:
    o = c.observable
    second = c.wb.observable(c.model, [" France", " Italy"])
    own = c.wb.observable(c.model, np.linspace(-1, 1, c.model.spec.d_vocab))
    vectors = {
        "direct": o.propagate(), "second": second.propagate(), "own": own.propagate(),
        "one head": o.propagate("L2H1"), "two heads": o.propagate(["L1H0", "L2H1"]),
        "mlp": o.propagate("L2.mlp", at=PROMPT), "here": o.propagate("L1H0", at=PROMPT, position=3),
        "token": o.propagate("L0H1", embedding="token"),
        "block 0": o.propagate("L1H1", embedding="block 0"),
    }  # fmt: skip
    out: dict[str, Any] = {}
    for name, vector in vectors.items():
        out[name] = vector
        out[f"{name} numbers"] = np.asarray(vector.vector)
        out[f"{name} words"] = {"words": str(vector.words(4))}
    direct = vectors["direct"]
    out["couplings"] = c.wb.couplings([direct, vectors["second"], vectors["own"]])
    return out | {
        "measured": o.measure(PROMPTS), "measured at 2": o.measure(PROMPTS, position=2),
        "coupling": {"whole": float(o.coupling(second)), "head": float(o.coupling(second, "L2H1")),
                     "vectors": float(direct.coupling(vectors["second"]))},
        "scores": np.asarray(direct.scores([" Paris", " Rome"])),
    }  # fmt: skip


@call("ObservablePaths", "ObservableAttribution")
def paths_and_attribution(c: Context) -> Tables:
    o = c.observable
    out = {
        "paths": o.paths(),
        "paths at": o.paths(at=PROMPT, words=[" Paris", " Rome"]),
        "paths embedded": o.paths(embedding="block 0"),
        "attributed": o.attribute(PROMPTS),
    }
    return out | named("path", {name: o.attribute(PROMPT, path=p) for name, p in PATHS.items()})


@call("evaluate_observable", "ObservableEvaluation")
def evaluate_observable(c: Context) -> Tables:
    vectors = [c.observable.propagate("L2H3"), c.observable.propagate("L2H1")]
    pronouns = c.wb.observable(c.model, " he", " she")
    got = c.wb.evaluate_observable(
        c.model, [pronouns.propagate("L2H3"), pronouns.propagate("L2H1")],
        c.wb.task("pronoun", n=8), n=6, n_examples=2, n_draws=3, texts=c.texts[:6], seed=c.seed,
        progress=False,
    )  # fmt: skip
    truth = dict.fromkeys([" Paris", " Rome", " Berlin"], 1.0) | {" Italy": -1.0, " France": -1.0}
    prompts = c.wb.evaluate_observable(
        c.model, vectors[0], PROMPTS, observable=c.observable, n_examples=2, n_draws=2, push=0.5,
        positions="last", truth=truth, seed=c.seed, progress=False,
    )  # fmt: skip
    out: dict[str, Any] = {"task": got, "prompts": prompts}
    for measure in ("removed", "gain", "damage", "truth", "slope", "correlation"):
        for name, each in (("task", got), ("prompts", prompts)):
            if measure not in ("damage", "truth") or (measure == "damage") == (name == "task"):
                out[f"{name} {measure}"] = each.score(measure)
    return out
