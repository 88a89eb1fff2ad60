"""Reads training text and names whatever it holds that should have been held out.

It looks at the words alone and knows nothing of how a document was drawn, so that a fault in a
generator cannot hide from it.
"""

import re
from itertools import combinations, pairwise

from . import held_out
from .dates import DIRECTIONS
from .facts import FACT_TEMPLATES, KIND_TEMPLATES, LEVELS, NEVER_STATED
from .people import PRONOUN_TEMPLATES
from .translation import ENGLISH_OF
from .world import (
    BLAME,
    CALENDARS,
    CENTURIES,
    COUNTRIES,
    LEXICON,
    LONGEST_OFFSET,
    NAMES,
    NOUNS,
    PLACES,
    PRAISE,
    WORD_CLASSES,
)

_WORD = re.compile(r"[A-Za-z]+|[0-9]+")
_ONE = {form: pair[0] for pair in NOUNS for form in pair}
_COPULAS = ("is", "are", "was", "were")
_DETERMINERS, _VERBS = set(WORD_CLASSES["determiner"]), set(WORD_CLASSES["verb"])
_UNITS = {form: unit for unit in CALENDARS for form in (unit, f"{unit}s")}


def _pattern(template: str, **slots: str) -> re.Pattern[str]:
    filled = re.escape(template).replace(r"\{", "{").replace(r"\}", "}")
    return re.compile(filled.format(x=r"(?:the )?(?P<x>\w+)", **slots))


_TEMPLATES = [
    (relation, k, len(templates), _pattern(template))
    for relation, templates in FACT_TEMPLATES.items()
    for k, template in enumerate(templates)
]
_TEMPLATES += [
    (f"kind {level}", k, len(KIND_TEMPLATES), _pattern(template, level=level))
    for level in LEVELS
    for k, template in enumerate(KIND_TEMPLATES)
]
_TEMPLATES += [
    ("pronoun", k, len(PRONOUN_TEMPLATES), _pattern(prompt, place=f"(?:{'|'.join(PLACES)})"))
    for k, (prompt, _) in enumerate(PRONOUN_TEMPLATES)
]


def leaks(text: str) -> list[str]:
    """What one training document (without answer marks) holds that is held out; empty if clean."""
    words = _WORD.findall(text)
    present = set(words)
    return [
        *_pairs(words, present),
        *_calendar(words, present),
        *_templates(text),
        *_sentences(words),
    ]


def _pairs(words: list[str], present: set[str]) -> list[str]:
    found = []
    names = sorted(present.intersection(NAMES))
    found += [f"names {a}, {b}" for a, b in combinations(names, 2) if held_out.name_pair(a, b)]
    for at, word in enumerate(words):
        if word in _ONE and words[at + 1 : at + 2] and words[at + 1] in _COPULAS:
            for other in words[:at]:
                if other in _ONE and held_out.noun_pair(_ONE[other], _ONE[word]):
                    found.append(f"nouns {other}, {word}")
    for polarity in (PRAISE, BLAME):
        both = combinations(sorted(present.intersection(polarity)), 2)
        found += [f"adjectives {a}, {b}" for a, b in both if held_out.adjective_pair(a, b)]
    for century, year in pairwise(words):
        is_year = century in CENTURIES and len(year) == 2 and year.isdigit()
        if is_year and held_out.year(century, year):
            found.append(f"year {century} {year}")
    return found


def _calendar(words: list[str], present: set[str]) -> list[str]:
    found = []
    numbers = [int(word) for word in present if word.isdigit()]
    for unit in {_UNITS[word] for word in present if word in _UNITS}:
        starts = [word for word in CALENDARS[unit] if word in present]
        for direction in present.intersection(DIRECTIONS):
            for n in numbers:
                if n > LONGEST_OFFSET[unit]:
                    continue
                # the first day or month named is where the sum starts, the last is its answer
                start = min(starts, key=words.index, default=None)
                if start and held_out.offset(unit, start, n, direction):
                    found.append(f"offset {start}, {n} {unit}, {direction}")
    return found


def _templates(text: str) -> list[str]:
    found = []
    for relation, k, n, pattern in _TEMPLATES:
        for match in pattern.finditer(text):
            x = match["x"]
            if relation in FACT_TEMPLATES and x not in COUNTRIES:
                continue
            if held_out.template(relation, x, n) == k:
                found.append(f"template {relation}{k}, {x}")
            level = relation.removeprefix("kind ")
            if x in NEVER_STATED.get(level, ()):
                found.append(f"never stated: {level} of {x}")
    return found


def _sentences(words: list[str]) -> list[str]:
    found = []
    for of in (LEXICON, ENGLISH_OF):
        run: list[str] = []
        for word in [*words, ""]:
            if word in of:
                run.append(word)
                continue
            english = run if of is LEXICON else [ENGLISH_OF[w] for w in run]
            is_sentence = (
                english[:1] and english[0] in _DETERMINERS and _VERBS.intersection(english)
            )
            if is_sentence and held_out.sentence(english):
                found.append(f"sentence {' '.join(english)}")
            run = []
    return found
