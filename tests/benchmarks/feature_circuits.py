"""Node effects of every feature of tinyworld's shipped dictionaries, beside the passes they need.

    python -m tests.benchmarks.feature_circuits [rounds]

All pairs of the agreement task, on the CPU, one thread, seconds of the processor. Attribution needs
a clean pass with gradients at the dictionaries' sites and a corrupt pass; integrated gradients need
both passes, without gradients, and for each site its rows of a pass from there on, with gradients.
The passes are run alone, with nothing encoded (target: effects within 1.5 × of them).
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from workbench.dictionary.collection import dictionaries
from workbench.edits import Set
from workbench.features.effects import node_effects
from workbench.features.nodes import Basis, feature_bases, parts_of, sites_of
from workbench.loading import load
from workbench.model import Model, Resume
from workbench.site import Site
from workbench.tasks import Examples, Group, task

STEPS = 10


def seconds(call: Callable[[], Any]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def attribution(model: Model, examples: Examples, bases: list[Basis]) -> None:
    """A clean pass with gradients and a corrupt one."""
    for part in parts_of(examples, bases):
        sites = sites_of(bases)
        model.run(part.batch.corrupt, read=sites, logits_at=())
        model.run(part.batch.clean, read=sites, grad_of=part.metric, logits_at="last")


def integrated(model: Model, examples: Examples, bases: list[Basis]) -> None:
    """Both passes, and for each site the rows of its path, here all with the clean activation."""
    for part in parts_of(examples, bases, STEPS):
        sites = sites_of(bases)
        entries = [Site("resid_pre", layer) for layer in range(model.spec.n_layers)]
        model.run(part.batch.corrupt, read=sites, logits_at=())
        clean = model.run(part.batch.clean, read=[*sites, *entries], logits_at=())
        for site in sites:
            path(model, part, site, clean)


def path(model: Model, part: Group, site: Site, clean: Any) -> None:
    rows = list(range(len(part))) * STEPS
    layer, at, edits = site.layer or 0, site, []
    if site.stream == "resid_post" and layer + 1 < model.spec.n_layers:
        layer, at, resid = layer + 1, Site("resid_pre", layer + 1), clean[site][rows]
    else:
        resid, edits = clean[Site("resid_pre", layer)][rows], [Set(site, clean[site][rows] * 0.9)]
    model.run(
        part.batch.clean,
        read=at,
        edits=edits,
        grad_of=lambda logits: part.metric(logits, rows),
        logits_at="last",
        resume=Resume(layer, resid, rows=rows),
    )


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    torch.set_num_threads(1)
    model, dicts = load("tinyworld", device="cpu"), dictionaries("tinyworld")
    batch = task("agreement").on(model)
    examples, bases = Examples.of(model, batch), feature_bases(dicts)
    options: dict[str, Any] = {"reference": "counterfactual", "steps": STEPS}
    calls: dict[str, Callable[[], Any]] = {
        "attribution": lambda: node_effects(
            model, examples, bases, method="attribution", **options
        ),
        "its passes": lambda: attribution(model, examples, bases),
        f"ig, {STEPS} steps": lambda: node_effects(model, examples, bases, method="ig", **options),
        "ig's passes": lambda: integrated(model, examples, bases),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            taken = seconds(call)
            if turn:
                times[name].append(taken)
    median = {name: statistics.median(each) for name, each in times.items()}
    n = sum(d.n_features for d in dicts.values())
    print(f"effects of {n:,} features of {len(dicts)} dictionaries, {len(batch)} pairs, one thread")
    names = list(calls)
    for own, passes in (names[:2], names[2:]):
        print(
            f"  {own:12}{median[own]:7.2f} s, its passes {median[passes]:6.2f} s: "
            f"{median[own] / median[passes]:.2f} × (target 1.5)"
        )


if __name__ == "__main__":
    main()
