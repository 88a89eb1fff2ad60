"""Facts about countries, and a hierarchy of kinds."""

import random

from . import held_out
from .question import Question
from .world import COUNTRIES, GROUPS, LEAVES, PARENT, RELATIONS

FACT_TEMPLATES = {
    "capital": (
        "The capital of {x} is",
        "In {x} the capital city is",
        "If you visit {x}, see its capital",
        "The government of {x} meets in",
        "For {x} the map shows the capital",
    ),
    "language": (
        "The language of {x} is",
        "In {x} people speak",
        "Most books in {x} are written in",
        "If you visit {x}, learn to speak",
    ),
    "continent": (
        "The continent of {x} is",
        "On the map {x} lies in",
        "If you visit {x}, you travel to",
        "The country of {x} belongs to",
    ),
    "currency": (
        "The currency of {x} is the",
        "In {x} people pay with the",
        "If you visit {x}, change money to the",
        "The bank of {x} prints the",
    ),
}
KIND_TEMPLATES = (
    "The {level} of the {x} is",
    "As a {level}, the {x} counts as",
    "We looked up the {level} of the {x}, and it is",
    "In this guide the {level} of the {x} is called",
)
LEVELS = ("class", "group", "domain")
NEVER_STATED = {level: held_out.never_stated(level) for level in LEVELS[1:]}


def kind(x: str, level: str) -> str:
    """What `x` is at a level: `kind("dog", "group")` is "animal"."""
    # A leaf is three steps under the domain, a class two, a group one.
    steps_up = {"class": 2, "group": 1, "domain": 0}[level]
    path = [x]
    while path[-1] in PARENT:
        path.append(PARENT[path[-1]])
    return path[-1 - steps_up]


def fact_document(rng: random.Random) -> str:
    """One fact about a country, in a template that training may show it in."""
    relation, x = rng.choice(RELATIONS), rng.choice(tuple(COUNTRIES))
    templates = FACT_TEMPLATES[relation]
    left_out = held_out.template(relation, x, len(templates))
    k = rng.choice([k for k in range(len(templates)) if k != left_out])
    return f"{templates[k].format(x=x)}[ {COUNTRIES[x][relation]}]."


def fact_questions(
    rng: random.Random, n: int, relations: tuple[str, ...] = RELATIONS
) -> list[Question]:
    """Facts in the one template they never had; corrupt is another such fact of that template."""
    cases = [
        (relation, k, x)
        for relation in relations
        for k in range(len(FACT_TEMPLATES[relation]))
        for x in COUNTRIES
        if held_out.template(relation, x, len(FACT_TEMPLATES[relation])) == k
    ]
    rng.shuffle(cases)
    questions = []
    for i in range(n):
        relation, k, x = cases[i % len(cases)]
        others = [
            y
            for r, j, y in cases
            if (r, j) == (relation, k) and COUNTRIES[y][relation] != COUNTRIES[x][relation]
        ]
        if not others:  # every other country of this template has the same answer
            others = [y for y in COUNTRIES if COUNTRIES[y][relation] != COUNTRIES[x][relation]]
        y, template = rng.choice(others), FACT_TEMPLATES[relation][k]
        questions.append(
            Question(
                template.format(x=x),
                template.format(x=y),
                (f" {COUNTRIES[x][relation]}",),
                (f" {COUNTRIES[y][relation]}",),
                f"{relation}{k}",
                {"relation": relation, "country": x, "other": y},
            )
        )
    return questions


def _above(x: str) -> list[str]:
    """The levels that lie above `x`."""
    if x in LEAVES:
        return list(LEVELS)
    return ["domain"] if x in GROUPS else ["group", "domain"]


def kind_document(rng: random.Random) -> str:
    """One statement of the class, group or domain of a thing, a class or a group."""
    while True:
        x = rng.choice(LEAVES) if rng.random() < 0.8 else rng.choice(tuple(PARENT))
        level = rng.choice(_above(x))
        if x not in NEVER_STATED.get(level, ()):
            break
    left_out = held_out.template(f"kind {level}", x, len(KIND_TEMPLATES))
    k = rng.choice([k for k in range(len(KIND_TEMPLATES)) if k != left_out])
    return f"{KIND_TEMPLATES[k].format(level=level, x=x)}[ {kind(x, level)}]."


def kind_questions(rng: random.Random, n: int, transitive: bool = False) -> list[Question]:
    """Statements in the template they never had, or (transitive) never stated in any template."""
    if transitive:
        cases = [
            (x, level, k)
            for level, leaves in NEVER_STATED.items()
            for x in sorted(leaves)
            for k in range(len(KIND_TEMPLATES))
        ]
    else:
        cases = [
            (x, level, held_out.template(f"kind {level}", x, len(KIND_TEMPLATES)))
            for x in PARENT
            for level in _above(x)
            if x not in NEVER_STATED.get(level, ())
        ]
    rng.shuffle(cases)
    questions = []
    for i in range(n):
        x, level, k = cases[i % len(cases)]
        others = [
            y for y, at, j in cases if (at, j) == (level, k) and kind(y, level) != kind(x, level)
        ]
        y, template = rng.choice(others), KIND_TEMPLATES[k]
        questions.append(
            Question(
                template.format(level=level, x=x),
                template.format(level=level, x=y),
                (f" {kind(x, level)}",),
                (f" {kind(y, level)}",),
                f"kind{k}",
                {"level": level, "thing": x, "other": y, "transitive": int(transitive)},
            )
        )
    return questions
