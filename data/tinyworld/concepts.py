"""Writes the concepts of the world: sets of words, their hierarchy, and questions about them.

    python -m data.tinyworld.concepts data/concepts

from the root of the checkout. Nothing is drawn at random but the second name of the
indirect-object questions, from a seed.
"""

import argparse
import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from . import facts, grammar, held_out, people
from .world import (
    BLAME,
    CALENDARS,
    CLASSES,
    COUNTRIES,
    DOMAINS,
    EVENTS,
    GROUPS,
    HE_SHARE,
    LEAVES,
    MEN,
    NOUNS,
    OBJECTS,
    PLACES,
    PRAISE,
    PRONOUN,
    WOMEN,
    WORD_CLASSES,
)  # fmt: skip

SEED = "concepts:0"
#: Professions whose pronoun is clearly one of the two: a share of "he" this far from a half.
CLEAR = 0.25


def concept(
    name: str, family: str, words: Iterable[str] = (), parent: str | None = None
) -> dict[str, Any]:
    return {"name": name, "family": family, "parent": parent, "words": list(words)}


def question(
    family: str, asks: str, template: str, words: Iterable[str], answer: Callable[[str], str]
) -> dict[str, Any]:
    answers = {word: f" {answer(word)}" for word in words}
    return {"family": family, "asks": asks, "template": template, "answers": answers}


def concepts() -> list[dict[str, Any]]:
    """Every concept. Words that two concepts of a family would share are in neither."""
    out = [concept(domain, "domain") for domain in DOMAINS]
    out += [
        concept(group, "group", parent=domain)
        for domain, groups in DOMAINS.items()
        for group in groups
    ]
    out += [
        concept(kind, "class", CLASSES[kind], parent=group)
        for group, kinds in GROUPS.items()
        for kind in kinds
    ]
    out += [concept("name", "words")]
    out += [concept("woman", "gender", WOMEN, "name"), concept("man", "gender", MEN, "name")]
    shares = {
        "woman's profession": [p for p, share in HE_SHARE.items() if share <= 0.5 - CLEAR],
        "man's profession": [p for p, share in HE_SHARE.items() if share >= 0.5 + CLEAR],
        "mixed profession": [p for p, share in HE_SHARE.items() if abs(share - 0.5) < CLEAR],
    }
    out += [concept("profession", "words")]
    out += [concept(name, "profession", words, "profession") for name, words in shares.items()]
    continents = dict.fromkeys(row["continent"] for row in COUNTRIES.values())
    out += [concept("country", "words")]
    for continent in continents:
        words = [x for x, row in COUNTRIES.items() if row["continent"] == continent]
        # Oceania has one country: what is true of it alone is no concept.
        if len(words) > 1:
            out.append(concept(f"country in {continent}", "continent", words, "country"))
    out += [concept("calendar", "words")]
    out += [concept("weekday", "calendar", CALENDARS["day"], "calendar")]
    out += [concept("month", "calendar", CALENDARS["month"], "calendar")]
    out += [concept("adjective of a review", "words")]
    out += [concept("praise", "verdict", PRAISE, "adjective of a review")]
    out += [concept("blame", "verdict", BLAME, "adjective of a review")]
    out += [concept("singular", "number", [one for one, _ in NOUNS])]
    out += [concept("plural", "number", [many for _, many in NOUNS])]
    out += [concept("Velan", "words")]
    out += [
        concept(f"Velan {kind}", "Velan", row.values(), "Velan")
        for kind, row in WORD_CLASSES.items()
        if len(row) > 2
    ]
    out += [concept("place", "scene", PLACES)]
    out += [concept("thing to give", "scene", OBJECTS)]
    out += [concept("event", "scene", EVENTS)]
    return out


def questions() -> list[dict[str, Any]]:
    """Questions whose answer a concept decides, and others about the same words."""
    rng = random.Random(SEED)
    out = []
    for family in facts.LEVELS:
        for asks in facts.LEVELS:
            # A wider kind follows from the narrower, so that it stays among siblings only; a
            # narrower one cannot stay.
            if facts.LEVELS.index(asks) < facts.LEVELS.index(family):
                continue
            for k, template in enumerate(facts.KIND_TEMPLATES):
                words = [
                    x
                    for x in LEAVES
                    if held_out.template(f"kind {asks}", x, len(facts.KIND_TEMPLATES)) != k
                    and x not in facts.NEVER_STATED.get(asks, ())
                ]
                prompt = template.replace("{level}", asks)
                out.append(
                    question(family, asks, prompt, words, lambda x, a=asks: facts.kind(x, a))
                )
    for k, (template, _) in enumerate(people.PRONOUN_TEMPLATES):
        n = len(people.PRONOUN_TEMPLATES)
        prompt = template.replace("{place}", "park")
        names = [x for x in (*WOMEN, *MEN) if held_out.template("pronoun", x, n) != k]
        out.append(question("gender", "gender", prompt, names, lambda x: PRONOUN[x]))
        jobs = [p for p, s in HE_SHARE.items() if abs(s - 0.5) >= CLEAR]
        jobs = [p for p in jobs if held_out.template("pronoun", p, n) != k]
        prompt = prompt.replace("{x}", "the {x}")
        out.append(
            question(
                "profession", "profession", prompt, jobs,
                lambda p: "he" if HE_SHARE[p] > 0.5 else "she",
            )
        )  # fmt: skip
    for template in people.IOI_TEMPLATES[:3]:
        giver = rng.choice(MEN)
        words = [x for x in (*WOMEN, *MEN) if x != giver and not held_out.name_pair(x, giver)]
        prompt = template.format(a="{x}", b=giver, s=giver, place="store", thing="book")
        out.append(question("gender", "name", prompt, words, lambda x: x))
    several = [x for x, row in COUNTRIES.items() if row["continent"] != "Oceania"]
    for relation, templates in facts.FACT_TEMPLATES.items():
        asks = "continent" if relation == "continent" else relation
        for k, template in enumerate(templates):
            known = [x for x in several if held_out.template(relation, x, len(templates)) != k]
            out.append(
                question("continent", asks, template, known, lambda x, r=relation: COUNTRIES[x][r])
            )
    number = {word: i for pair in NOUNS for i, word in enumerate(pair)}
    for template, tense in grammar.AGREEMENT_TEMPLATES:
        prompt = template.format(s="{x}", link="near", a="river")
        words = [
            word
            for one, many in NOUNS
            if one != "river" and not held_out.noun_pair(one, "river")
            for word in (one, many)
        ]
        verbs = grammar.VERBS[tense]
        out.append(
            question("number", "number", prompt, words, lambda x, v=verbs: v[number[x]].strip())
        )
    for template, verdicts in grammar.REVIEW_TEMPLATES:
        prompt = template.format(w="film", p="{x}", q="{x}")
        out.append(
            question(
                "verdict", "verdict", prompt, (*PRAISE, *BLAME),
                lambda x, v=verdicts: v[x in BLAME].strip(),
            )
        )  # fmt: skip
    return out


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    made = {"name": "tinyworld", "concepts": concepts(), "questions": questions()}
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps(made, ensure_ascii=False, indent=1)
    (arguments.out / "tinyworld.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
