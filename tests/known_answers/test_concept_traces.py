"""tinyworld's languages: value vectors carry them, and an unlearning leaves these in place."""

from __future__ import annotations

from typing import Any

import pytest

import workbench as wb
from data.tinyworld import world
from data.tinyworld.facts import FACT_TEMPLATES

WORDS = sorted({" " + facts["language"] for facts in world.COUNTRIES.values()})
TEXTS = wb.texts("tinyworld")[-20:]


def ask(relation: str, templates: list[int]) -> list[tuple[str, str]]:
    """A relation's question about every country in some templates, and its answers."""
    return [
        (FACT_TEMPLATES[relation][k].format(x=country), " " + facts[relation])
        for country, facts in world.COUNTRIES.items()
        for k in templates
    ]


OTHERS = {relation: ask(relation, [0, 1]) for relation in ("capital", "continent", "currency")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "effect"),
    [("tinyworld", "promote"), ("tinyworld-seed1", "promote"), ("tinyworld-llama", "either")],
)
def test_languages_lie_in_a_few_value_vectors(name: str, effect: Any) -> None:
    model = wb.load(name, device="cpu")
    vectors = wb.concept_vectors(
        model, WORDS, n=40, prompts=ask("language", [0]), n_shortlist=200, effect=effect
    )
    ablated = wb.ablate_concept(
        model, vectors, ask("language", [1, 2]), others=OTHERS, elsewhere=TEXTS, n_controls=8
    )
    table: Any = ablated.to_frame().set_index("measure")
    lost = -table["change"]
    assert lost["probability"] > 0.2 and -table["excess_high"]["probability"] > 0.15
    assert lost["probability"] > 4 * max(lost[name] for name in OTHERS)
    assert -table["random"]["probability"] < 0.02
    assert abs(table["change"]["loss elsewhere"]) < 0.05


@pytest.mark.slow
def test_an_unlearning_takes_the_answers_and_leaves_the_traces() -> None:
    model = wb.load("tinyworld", device="cpu")
    vectors = wb.concept_vectors(model, WORDS, n=40)
    asked = ask("language", [0])
    retain = [pair for pairs in OTHERS.values() for pair in pairs]
    after = wb.unlearn(model, asked, retain, steps=30, retain_weight=3.0, ceiling=7.2)
    audit = wb.audit_unlearning(
        model,
        after,
        vectors,
        asked[13:],
        paraphrases={"other templates": ask("language", [1, 2, 3])},
        others=OTHERS,
        elsewhere=TEXTS,
        relearn=asked[:13],
    )
    behaviour: Any = audit.behaviour().set_index("measure")
    assert behaviour["after"]["prompts"] < 0.1 < 0.9 < behaviour["before"]["prompts"]
    # Asked otherwise, much of what was unlearned is still said.
    assert behaviour["after"]["other templates"] > 0.25
    assert all(behaviour["after"][name] > 0.9 for name in OTHERS)
    assert abs(behaviour["change"]["loss elsewhere"]) < 0.05
    assert audit.cosine.min() > 0.99 and audit.kept.mean() > 0.9
    assert audit.change.mean() < 1.5 * audit.other_change.mean()
    # A third of the countries bring back the others.
    assert audit.relearned is not None
    assert audit.relearned[0, 0].mean() < 0.1 < 0.7 < audit.relearned[0, -1].mean()
