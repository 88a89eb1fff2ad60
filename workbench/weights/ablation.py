"""Ablation of a concept: take value vectors out of the weights; see what is lost and what kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..change import Change
from ..check import Count, Natural, Positive, Seed, checked, one_of
from ..controls import others
from ..effects import Effects
from ..experiment import experiment
from ..model import Model, Prompts
from ..pictures.marks import Dots
from ..questions import Questions
from ..site import Site
from .concepts import (
    REFERENCES,
    ConceptVectors,
    Place,
    Reference,
    ablations,
    by_layer,
    check_found_in,
)

#: What pictures call the effects on answers and elsewhere.
LABEL = "change (elsewhere in nats)"
#: Prompts whose continuations are kept.
N_CONTINUED = 4


@checked
def ablate(
    model: Model,
    questions: Any,
    vectors: ConceptVectors,
    *,
    reference: Reference = "zero",
    noise: Positive = 1.0,
    alone: bool = False,
    measures: str | Sequence[str] = "probability",
    n_controls: Count = 20,
    elsewhere: Prompts | None = None,
    n_new: Natural = 0,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """What is lost and kept without a concept's value vectors, as `Effects`: "all" of them.

        found = wb.weights.concept_vectors(model, words)
        wb.weights.ablate(model, {"concept": asked, "capitals": wb.task("capitals")}, found)

    questions: about the concept, or several by name, the concept's first. The vectors are changed
    in the weights, and put back. reference: "zero", "mean" (the mean value vector of the layer), or
    "noise", Gaussian, `noise` times as large as the vector itself. alone: each vector by itself
    too. measures, elsewhere: as in `experiment`. n_controls: draws of as many random vectors of the
    same layers and nearly the same sizes. n_new: tokens by which the prompts that lose most are
    continued, as `texts`.

    Raises `ValueError` for vectors of another model, where none ship for `elsewhere`, and where a
    layer has too few other vectors to draw from.

    Source: Hong et al. 2024, section 3.3, who score generated answers under noise of a fixed size.
    """
    check_found_in(vectors, model)
    one_of("reference", reference, REFERENCES)

    def without(places: Sequence[Place]) -> Change:
        return Change(ablations(model, places, reference, noise=noise, seed=seed))

    asked = Questions.by_name(model, questions)
    changes = {"all": without(vectors.places)}
    if alone:
        each = zip(vectors.neurons, vectors.places, strict=True)
        changes |= {name: without([place]) for name, place in each}
    drawn = _drawn(model, vectors.places, n_controls, seed)
    effects = experiment(
        model,
        asked,
        changes,
        measures=measures,
        controls={
            ("all", "random", f"{i}: {_said(places)}"): without(places)
            for i, places in enumerate(drawn)
        },
        elsewhere=elsewhere,
        seed=seed,
        progress=progress,
    )
    if n_new:
        one, first = effects.measures[0], next(iter(asked.values()))
        hit = np.argsort(one.changed[0] - one.plain, kind="stable")[:N_CONTINUED].tolist()
        texts = {}
        for name, change in (("plain", Change()), ("all", changes["all"])):
            with change.applied(model) as now:
                texts[name] = now.generate(first.take(hit).tokens, n_new).texts
        effects = replace(effects, texts=texts)
    of = ", ".join(map(repr, vectors.words[:3])) + ", …" * (len(vectors.words) > 3)
    return replace(
        effects,
        what=f"{len(vectors.neurons)} value vectors for {of} ({reference})",
        picture=Dots(
            "effect", "measure", "low", "high", "control", label=LABEL, where={"change": "all"}
        ),
    )


def _drawn(model: Model, places: Sequence[Place], n: int, seed: int) -> list[list[Place]]:
    """`n` sets of other value vectors of the same layers, each near in size to its own."""
    layers, rng = by_layer(places), np.random.default_rng(seed)
    sizes = {
        layer: model.weight("W_out", layer, copy=False).float().norm(dim=-1).cpu().numpy()
        for layer in layers
    }
    return [
        [(at, unit) for at, units in layers.items() for unit in others(units, sizes[at], rng)]
        for _ in range(n)
    ]


def _said(places: Sequence[Place]) -> str:
    return " ".join(str(Site("mlp_post", layer, unit=unit)) for layer, unit in places)
