"""Audit: what a model still says after an unlearning, asked in several ways and elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..check import Seed, checked
from ..effects import Effects
from ..elsewhere import texts_elsewhere
from ..experiment import experiment
from ..model import Model, Prompts
from ..pictures.marks import Dots
from ..questions import Asked, Questions
from .ablation import LABEL
from .concepts import ConceptVectors, ablations, check_found_in

#: Tokens of a text elsewhere that stand before a prompt in "after other text".
N_CONTEXT = 12


@checked
def audit(
    before: Model,
    after: Model,
    questions: Any,
    vectors: ConceptVectors,
    *,
    others: Mapping[str, Asked] | None = None,
    elsewhere: Prompts | None = None,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """What became of the answers in the model after an unlearning, as `Effects` by change: "after",
    and "ablated", the model before without the vectors: what a removal of the traces would give.

        after = wb.weights.unlearn(model, forget, retain)
        wb.weights.audit(model, after, forget, found, others={"capitals": wb.task("capitals")})

    questions: about the concept, asked in one way or, by name, in several; the first are also asked
    behind the beginning of a text elsewhere. others: about other things, by name. elsewhere: texts
    for loss and KL(before ‖ after), in nats a position; None for the last 40 that ship.

    See `traces` for what became of the vectors, and `relearn` for how soon the answers come back.

    Raises `ValueError` for two models of unequal shape or vocabulary, for vectors of another model
    than `before`, for answers of several tokens, and for questions of one name.

    Source: Hong et al. 2024, "Intrinsic Evaluation of Unlearning Using Parametric Knowledge
    Traces", sections 4 and 5.
    """
    check_same(before, after, "after")
    check_found_in(vectors, before)
    texts = texts_elsewhere(before, elsewhere)
    asked = Questions.by_name(before, questions)
    contexts = [
        [int(texts.ids[r, c]) for c in texts.columns(r)[:N_CONTEXT]] for r in range(texts.n_rows)
    ]
    asked["after other text"] = next(iter(asked.values())).after(before, contexts)
    rest = {name: Questions.of(before, q, of=name) for name, q in (others or {}).items()}
    if twice := sorted(set(asked) & set(rest)):
        raise ValueError(f"Questions are named once each; {twice[0]!r} stands twice.")
    effects = experiment(
        before,
        asked | rest,
        {"after": after, "ablated": ablations(before, vectors.places)},
        measures="probability",
        controls=(),
        elsewhere=texts,
        seed=seed,
        progress=progress,
    )
    picture = Dots("effect", "measure", "low", "high", color="change", label=LABEL)
    return replace(effects, what=after.spec.name, picture=picture)


def check_same(before: Model, after: Model, name: str, *, shape: bool = True) -> None:
    """Raises `ValueError` unless the models read the same tokens and, shape, are as large."""
    sizes = ("n_layers", "d_model", "d_mlp", "d_vocab") if shape else ()
    for size in sizes:
        mine, theirs = getattr(before.spec, size), getattr(after.spec, size)
        if mine != theirs:
            raise ValueError(
                f"An audit compares a model with a trained copy of it; {before.spec.name} has "
                f"{size} {mine}, {after.spec.name} has {theirs}. Give the copy as {name}=."
            )
    if before.tokenizer.get_vocab() != after.tokenizer.get_vocab():
        raise ValueError(
            f"The models of an audit read the same tokens; those of {after.spec.name} ({name}) are "
            f"others than those of {before.spec.name}. Give a model with the same tokenizer."
        )
