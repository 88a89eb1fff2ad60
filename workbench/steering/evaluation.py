"""Evaluation of steering: what changes gain at each strength, beside what they damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

from ..change import Change
from ..check import Count, Seed, checked, refuse
from ..effects import Effects
from ..experiment import experiment
from ..model import Model
from ..questions import Questions

STRENGTHS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)


@checked
def evaluate(
    model: Model,
    questions: Any,
    changes: Mapping[str, Any],
    *,
    strengths: Sequence[float] = STRENGTHS,
    layers: int | Sequence[int] | None = None,
    measures: str | Sequence[str] | None = "log_probability",
    others: Mapping[str, Any] | None = None,
    controls: Sequence[Literal["random", "orthogonal"]] | Mapping[Any, Any] = ("random",),
    n_controls: Count = 3,
    elsewhere: Any = None,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """What each change gains for the answers at each strength, and what it damages, as `Effects`.

        push = wb.steering.directions(acts, "gender").add("woman", 1)
        wb.steering.evaluate(model, wb.task("pronoun"), {"push": push}).at_damage(0.1)

    Any push does more if it is stronger, and more harm too: `at_damage` compares changes at equal
    damage. questions: whose answers are to be promoted. strengths: above 0, ascending, close enough
    that straight lines between them are fair. layers: each change in each of these layers alone
    beside it, told apart by the label "layer". others: by name, what else is asked. measures,
    controls, elsewhere: as in `experiment`.

    Raises `ValueError` for strengths that are not ascending and above 0, for a layer that a change
    does not act in, and as `experiment`. Source: after the multi-layer steering of Laptev et al.
    (2025); effect over damage, equal damage and controls are ours.
    """
    given = [float(s) for s in strengths]
    if not given or given[0] <= 0 or any(a >= b for a, b in pairwise(given)):
        raise ValueError(f"Strengths are numbers above 0, ascending; got {tuple(strengths)!r}.")
    tried: dict[Any, Change] = {}
    for name, each in changes.items():
        change = Change.of(each)
        tried[(name,)] = change
        for layer in [layers] if isinstance(layers, int) else layers or ():
            there = sorted({part.layer for part in change.parts if part.layer is not None})
            if layer not in there:
                raise refuse(f"A layer of the change {name!r}", f"one of {there}", layer)
            tried[name, layer] = Change([part for part in change.parts if part.layer == layer])
    first = Questions.by_name(model, questions)
    more = {name: Questions.of(model, q, of=name) for name, q in (others or {}).items()}
    effects = experiment(
        model,
        first | more,
        tried,
        by="change" if layers is None else "change layer",
        measures=measures,
        strengths=given,
        controls=controls,
        n_controls=n_controls,
        elsewhere=elsewhere,
        seed=seed,
        progress=progress,
    )
    return replace(effects, picture="steering.evaluation")
