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
    vectors = wb.weights.concept_vectors(
        model, WORDS, n_neurons=40, questions=ask("language", [0]), n_shortlist=200, effect=effect
    )
    asked = {"language": ask("language", [1, 2]), **OTHERS}
    ablated = wb.weights.ablate(model, asked, vectors, elsewhere=TEXTS, n_controls=8)
    table: Any = ablated.to_frame().set_index("measure")
    lost = -table["effect"]
    assert lost["language"] > 0.2 and -table["excess_high"]["language"] > 0.15
    assert lost["language"] > 4 * max(lost[name] for name in OTHERS)
    assert -table["control"]["language"] < 0.02
    assert abs(table["effect"]["loss elsewhere"]) < 0.05


@pytest.mark.slow
def test_an_unlearning_takes_the_answers_and_leaves_the_traces() -> None:
    model = wb.load("tinyworld", device="cpu")
    vectors = wb.weights.concept_vectors(model, WORDS, n_neurons=40)
    asked = ask("language", [0])
    retain = [pair for pairs in OTHERS.values() for pair in pairs]
    after = wb.weights.unlearn(model, asked, retain, steps=30, retain_weight=3.0, ceiling=7.2)
    audit = wb.weights.audit(
        model,
        after,
        {"prompts": asked[13:], "other templates": ask("language", [1, 2, 3])},
        vectors,
        others=OTHERS,
        elsewhere=TEXTS,
    )
    behaviour: Any = audit.to_frame().query("change == 'after'").set_index("measure")
    assert behaviour["changed"]["prompts"] < 0.1 < 0.9 < behaviour["plain"]["prompts"]
    # Asked otherwise, much of what was unlearned is still said.
    assert behaviour["changed"]["other templates"] > 0.25
    assert all(behaviour["changed"][name] > 0.9 for name in OTHERS)
    assert abs(behaviour["effect"]["loss elsewhere"]) < 0.05
    traces = wb.weights.traces(model, after, vectors)
    assert traces.of_kind("cosine").min() > 0.99 and traces.of_kind("kept").mean() > 0.9
    moved, others = (traces.of_kind("change", kind).mean() for kind in ("concept", "control"))
    assert moved < 1.5 * others
    # A third of the countries bring back the others.
    relearned = wb.weights.relearn(model, {"after": after}, asked[:13], asked[13:])
    curve = relearned.measures[0].changed.mean(-1)
    assert curve[0] < 0.1 < 0.7 < curve[-1]
