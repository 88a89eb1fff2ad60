"""Concepts in the weights: found, ablated, unlearned, audited."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, call, named, thing
from .core import PAIRS, PROMPTS

OTHERS = {"italy": [("The capital of Spain is", " Madrid")],
          "colour": [("The capital of Japan is", " Tokyo")]}  # fmt: skip
RETAIN = ["The dog is a mammal and the owl is a bird.", "Paris is a city of France."]


@thing
def vectors(c: Context) -> Any:
    return c.wb.concept_vectors(c.model, [" Paris"], n=4, n_draws=10, seed=c.seed)


@thing
def unlearned(c: Context) -> Any:
    return c.wb.unlearn(c.model, PAIRS, RETAIN, steps=3, learning_rate=1e-3, seed=c.seed)


@call("concept_vectors", "ConceptVectors")
def concept_vectors(c: Context) -> Tables:
    find = c.wb.concept_vectors
    out: dict[str, Any] = {"found": c.vectors}
    for effect in ("promote", "suppress", "either"):
        out[effect] = find(c.model, [" Paris", " Rome"], n=4, effect=effect, n_draws=10,
                           layer=[1, 2], seed=c.seed)  # fmt: skip
    out["by prompts"] = find(c.model, " Paris", n=3, prompts=PAIRS, n_shortlist=8, n_draws=5,
                             seed=c.seed)  # fmt: skip
    out["in"] = find(c.model, " Paris", n=3, side="in", norm="none", n_draws=5, seed=c.seed)
    return out


@call("ablate_concept", "ConceptAblation")
def ablate_concept(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for how in ("zero", "mean", "noise"):
        got = c.wb.ablate_concept(
            c.model, c.vectors, PAIRS, others=OTHERS, elsewhere=c.texts[:6], how=how, noise=2.0,
            n_controls=3, n_new=3, seed=c.seed,
        )  # fmt: skip
        # A change is after less before, which stand beside it: near 1, a float32's last bit is more
        # than the tolerance of so small a difference.
        out |= named(how, {"frame": got.to_frame().drop(columns="change"),
                           "alone": got.alone()[["vector"]]})  # fmt: skip
        out[f"{how} alone"] = np.asarray(got.alone_probability)
        out[f"{how} texts"] = list(got.ablated_texts)
        out[f"{how} plain"] = np.asarray(got.plain_probability)
        out[f"{how} ablated"] = np.asarray(got.ablated_probability)
        out[f"{how} controls"] = np.asarray(got.control_probability)
        out[f"{how} ranks"] = np.asarray(got.ablated_rank)
    return out


@call("unlearn")
def unlearn(c: Context) -> Tables:
    ways: dict[str, dict[str, Any]] = {
        "all": {}, "mlp": {"weights": "mlp"},
        "attention": {"weights": "attention", "ceiling": 4.0, "retain_weight": 2.0},
    }  # fmt: skip
    out: dict[str, Any] = {}
    for name, options in ways.items():
        made = c.wb.unlearn(c.model, PAIRS, RETAIN, steps=3, learning_rate=1e-3, batch_size=2,
                            seed=c.seed, **options)  # fmt: skip
        logits = made.run(PROMPTS, logits_at="last").logits
        out[f"{name} logits"] = logits
        ids = [int(c.model.tokens(w, prepend_bos=False).ids[0, 0]) for w in (" Paris", " Rome")]
        log_p = logits.log_softmax(-1)[:, 0]
        out[f"{name} training"] = {"loss": -float(log_p[[0, 1], ids].mean())}
    return out


@call("audit_unlearning", "UnlearningAudit")
def audit_unlearning(c: Context) -> Tables:
    full = c.wb.audit_unlearning(
        c.model, c.unlearned, c.vectors, PAIRS,
        paraphrases={"asked": [("What is the capital of France ?", " Paris")]}, others=OTHERS,
        elsewhere=c.texts[:6], relearn=[("The capital of Spain is", " Madrid")],
        relearn_at=(0, 1, 2), n_others=12, k=4, never=c.unlearned, seed=c.seed,
    )  # fmt: skip
    small = c.wb.audit_unlearning(c.model, c.unlearned, c.vectors, PAIRS, elsewhere=c.texts[:4],
                                  n_others=8, seed=c.seed)  # fmt: skip
    out: dict[str, Any] = {"small": small, "small behaviour": small.behaviour()}
    return out | {
        "frame": full, "behaviour": full.behaviour(), "traces": full.traces(),
        "relearning": full.relearning(),
    }  # fmt: skip
