"""The same tasks in ordinary English, for models trained on real text.

Names, months and capitals are ones that most English vocabularies hold as one token; a model's
own tokenizer decides, so whoever uses a set checks it.
"""

import random
from collections.abc import Callable

from .dates import shifted
from .question import Question
from .world import CALENDARS, COUNTRIES, PRONOUN


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


NAMES = _words(
    "Mary Anna Alice Emma Sarah Laura Julia Jane Susan Lisa Karen Rachel Amy Kate John Tom James "
    "David Paul Peter Michael Robert William Richard Thomas George Daniel Kevin Brian Andrew "
    "Simon Adam"
)
PLACES = _words("store school station market library hospital restaurant museum")
OBJECTS = _words("drink book ring ball letter ticket gift map")
IOI = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "While {a} and {b} were waiting at the {place}, {s} handed a {thing} to",
    "Last week {a} and {b} met at the {place}. After a while {s} offered a {thing} to",
    "Then {a} and {b} walked to the {place}, and {s} decided to give a {thing} to",
    "{a} and {b} had a long talk at the {place}. In the end {s} gave the {thing} to",
)

SUBJECTS = tuple(
    pair.split("/")
    for pair in _words(
        "key/keys book/books picture/pictures letter/letters car/cars author/authors "
        "teacher/teachers doctor/doctors farmer/farmers guard/guards"
    )
)
ATTRACTORS = tuple(
    pair.split("/")
    for pair in _words("cabinet/cabinets table/tables door/doors house/houses bridge/bridges")
)
AGREEMENT = (
    "The {s} near the {a}",
    "It seems that the {s} behind the {a}",
    "Everyone knows that the {s} next to the {a}",
)

CAPITALS = (
    "The capital of {x} is",
    "The capital city of {x} is",
    "If you fly to the capital of {x}, you land in",
    "The government of {x} sits in its capital,",
)
KNOWN = _words(
    "France Germany Italy Spain Portugal Greece Austria Ireland Britain Sweden Norway Poland "
    "Russia Turkey Iran Iraq Egypt Kenya Japan China Vietnam India Pakistan Canada Cuba"
)

# The centuries are those in which English vocabularies hold few years as one token.
SPAN_CENTURIES = ("11", "12", "13", "14", "15", "16")
SPANS = (
    "The war lasted from the year {c}{y} to the year {c}",
    "The siege went on from the year {c}{y} to the year {c}",
    "The reign lasted from the year {c}{y} to the year {c}",
    "The voyage took from the year {c}{y} to the year {c}",
)

STEPS = (
    ("If today is {x}, then tomorrow is", 1),
    ("If today is {x}, then yesterday was", -1),
    ("The day after {x} is", 1),
    ("The day before {x} is", -1),
    ("Two days after {x} comes", 2),
)
MONTH_STEPS = (
    ("The month after {x} is", 1),
    ("The month before {x} is", -1),
    ("If this month is {x}, then next month is", 1),
    ("If this month is {x}, then last month was", -1),
)

# Professions whose usual pronoun in English text is "she", and those whose usual one is "he".
USUALLY = {
    "she": _words("nurse maid secretary librarian dancer housekeeper receptionist"),
    "he": _words("engineer mechanic carpenter pilot farmer guard soldier captain"),
}
PROFESSION = (
    "The {x} said that",
    "The {x} was tired because",
    "When the {x} came home,",
    "The {x} smiled, and then",
)
PRONOUN_TEMPLATES = (
    "{x} went home early because",
    "{x} said that",
    "When {x} opened the door,",
    "{x} was late, so",
)
# Girls and boys of one group have names of which small vocabularies make equally many tokens.
STORY_NAMES = (
    {"girl": ("Lily",), "boy": ("Tim",)},
    {"girl": ("Mia", "Sue", "Amy", "Sara", "Mary"), "boy": ("Max", "Bob", "Dan", "Mark")},
    {"girl": ("Jane", "Lucy", "Kate"), "boy": ("Jack", "Fred")},
)
STORIES = (
    "Once upon a time, there was a little {kind} named {x}. One day,",
    "Once upon a time, there was a {kind} named {x}. {x} was very happy because",
    "There was a little {kind} named {x}. {x} was sad because",
    "One day, a little {kind} named {x} went to the park. Then",
)


def ioi(rng: random.Random) -> Question:
    """An indirect-object sentence; corrupt swaps who gives."""
    a, b = rng.sample(NAMES, 2)
    s, answer = (a, b) if rng.random() < 0.5 else (b, a)
    k = rng.randrange(len(IOI))
    slots = {"a": a, "b": b, "place": rng.choice(PLACES), "thing": rng.choice(OBJECTS)}
    return Question(
        IOI[k].format(s=s, **slots),
        IOI[k].format(s=answer, **slots),
        (f" {answer}",),
        (f" {s}",),
        f"english_ioi{k}",
        {"order": "BABA" if s == a else "ABBA", "subject": s, "indirect_object": answer},
    )


def agreement(rng: random.Random) -> Question:
    """A subject and an attractor of the other number; corrupt changes the subject's number."""
    subject, attractor = rng.choice(SUBJECTS), rng.choice(ATTRACTORS)
    k, number = rng.randrange(len(AGREEMENT)), rng.randrange(2)
    noun = attractor[1 - number]
    return Question(
        AGREEMENT[k].format(s=subject[number], a=noun),
        AGREEMENT[k].format(s=subject[1 - number], a=noun),
        ((" is", " are")[number],),
        ((" is", " are")[1 - number],),
        f"english_agreement{k}",
        {"subject": subject[0], "attractor": attractor[0]},
    )


def capitals(rng: random.Random) -> Question:
    """The capital of a country; corrupt names another country."""
    x, y = rng.sample(KNOWN, 2)
    k = rng.randrange(len(CAPITALS))
    return Question(
        CAPITALS[k].format(x=x),
        CAPITALS[k].format(x=y),
        (f" {COUNTRIES[x]['capital']}",),
        (f" {COUNTRIES[y]['capital']}",),
        f"english_capital{k}",
        {"country": x, "other": y},
    )


def greater_than(rng: random.Random) -> Question:
    """The two digits that may end a span; corrupt starts in the year 01."""
    k, century, start = rng.randrange(len(SPANS)), rng.choice(SPAN_CENTURIES), rng.randrange(2, 99)
    return Question(
        SPANS[k].format(c=century, y=f"{start:02d}"),
        SPANS[k].format(c=century, y="01"),
        tuple(f"{year:02d}" for year in range(start + 1, 100)),
        tuple(f"{year:02d}" for year in range(1, start + 1)),
        f"english_span{k}",
        {"century": century, "start": f"{start:02d}"},
    )


def _step(rng: random.Random, unit: str, templates: tuple[tuple[str, int], ...]) -> Question:
    x, y = rng.sample(CALENDARS[unit], 2)
    k = rng.randrange(len(templates))
    template, step = templates[k]
    direction = "after" if step > 0 else "before"
    answer, foil = (shifted(unit, start, abs(step), direction) for start in (x, y))
    return Question(
        template.format(x=x),
        template.format(x=y),
        (f" {answer}",),
        (f" {foil}",),
        f"english_{unit}{k}",
        {"start": x, "n": abs(step), "direction": direction, "unit": unit},
    )


def weekdays(rng: random.Random) -> Question:
    """A day some days from another; corrupt starts on another day."""
    return _step(rng, "day", STEPS)


def months(rng: random.Random) -> Question:
    """The next or the last month; corrupt starts in another month."""
    return _step(rng, "month", MONTH_STEPS)


def gender_profession(rng: random.Random) -> Question:
    """The usual pronoun of a profession; corrupt has one with the other usual pronoun."""
    answer, foil = rng.sample(("he", "she"), 2)
    x, y = rng.choice(USUALLY[answer]), rng.choice(USUALLY[foil])
    k = rng.randrange(len(PROFESSION))
    return Question(
        PROFESSION[k].format(x=x),
        PROFESSION[k].format(x=y),
        (f" {answer}",),
        (f" {foil}",),
        f"english_profession{k}",
        {"profession": x, "other": y},
    )


def pronoun(rng: random.Random) -> Question:
    """The pronoun of a name; corrupt has a name of the other gender."""
    x = rng.choice(NAMES)
    y = rng.choice([name for name in NAMES if PRONOUN[name] != PRONOUN[x]])
    k = rng.randrange(len(PRONOUN_TEMPLATES))
    return Question(
        PRONOUN_TEMPLATES[k].format(x=x),
        PRONOUN_TEMPLATES[k].format(x=y),
        (f" {PRONOUN[x]}",),
        (f" {PRONOUN[y]}",),
        f"english_pronoun{k}",
        {"name": x, "other": y},
    )


def story(rng: random.Random) -> Question:
    """The pronoun of the child in a short story; corrupt has a child of the other gender."""
    names = rng.choice(STORY_NAMES)
    kind, other = rng.sample(tuple(names), 2)
    x, y = rng.choice(names[kind]), rng.choice(names[other])
    k = rng.randrange(len(STORIES))
    pronouns = {"girl": " she", "boy": " he"}
    return Question(
        STORIES[k].format(kind=kind, x=x),
        STORIES[k].format(kind=other, x=y),
        (pronouns[kind],),
        (pronouns[other],),
        f"story{k}",
        {"name": x, "other": y},
    )


def several(ask: Callable[[random.Random], Question], rng: random.Random, n: int) -> list[Question]:
    """`n` questions of one kind."""
    return [ask(rng) for _ in range(n)]
