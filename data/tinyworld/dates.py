"""Weekday and month arithmetic, counting, and spans of years."""

import random

from . import held_out
from .question import Question
from .world import CALENDARS, CENTURIES, EVENTS, LONGEST_OFFSET, YEARS

OFFSET_TEMPLATES = (
    "The {unit} {n} {units} {direction} {start} is",
    "Start at {start} and go {n} {units} {direction}: it is",
    "We asked which {unit} is {n} {units} {direction} {start}. It is",
    "From {start}, {n} {units} {direction} is",
)
DIRECTIONS = {"after": 1, "before": -1}

# Every word about the event comes before the years: a word after the answer would leak it.
SPAN_TEMPLATES = (
    "The {event} lasted from {century} {start} to {century}",
    "The long {event} ran from the year {century} {start} to the year {century}",
    "The {event} that started in {century} {start} ended in {century}",
    "In this tale the {event} of the king went on from {century} {start} to {century}",
)


def shifted(unit: str, start: str, n: int, direction: str) -> str:
    """The day or month that lies `n` units after or before `start`."""
    calendar = CALENDARS[unit]
    return calendar[(calendar.index(start) + DIRECTIONS[direction] * n) % len(calendar)]


def _offset_prompt(k: int, unit: str, start: str, n: int, direction: str) -> str:
    units = unit if n == 1 else f"{unit}s"
    return OFFSET_TEMPLATES[k].format(unit=unit, units=units, n=n, direction=direction, start=start)


def offset_document(rng: random.Random, unit: str, progress: float) -> str:
    """One calendar sum; small offsets come first and large ones more often as training goes on."""
    if rng.random() < 0.06:
        return _counting_document(rng, unit)
    exponent = 2.0 - 0.75 * min(1.0, progress / 0.5)
    while True:
        start, direction = rng.choice(CALENDARS[unit]), rng.choice(tuple(DIRECTIONS))
        n = 1 + int(LONGEST_OFFSET[unit] * rng.random() ** exponent)
        if not held_out.offset(unit, start, n, direction):
            break
    prompt = _offset_prompt(rng.randrange(len(OFFSET_TEMPLATES)), unit, start, n, direction)
    return f"{prompt}[ {shifted(unit, start, n, direction)}]."


def _counting_document(rng: random.Random, unit: str) -> str:
    """A run of consecutive days, months or numbers, in either direction."""
    step = rng.choice((1, -1))
    way = "up" if step == 1 else "down"
    if rng.random() < 0.4:
        numbers = [str(n) for n in range(1, LONGEST_OFFSET["day"] + 1)][::step]
        first = rng.randrange(len(numbers) - 5)
        items = numbers[first : first + 6]
        what = "numbers"
    else:
        calendar = CALENDARS[unit]
        first = rng.randrange(len(calendar))
        items = [calendar[(first + step * i) % len(calendar)] for i in range(6)]
        what = f"{unit}s"
    rest = ",".join(f"[ {item}]" for item in items[1:])
    return f"Count {what} {way}: {items[0]},{rest}."


def offset_questions(rng: random.Random, n: int, unit: str) -> list[Question]:
    """Held-out (start, n, direction); the corrupt prompt is another that differs in one of them."""
    triples = [
        (start, count, direction)
        for start in CALENDARS[unit]
        for count in range(1, LONGEST_OFFSET[unit] + 1)
        for direction in DIRECTIONS
        if held_out.offset(unit, start, count, direction)
    ]
    rng.shuffle(triples)
    questions = []
    for i in range(n):
        triple = triples[i % len(triples)]
        answer = shifted(unit, *triple)
        near = [
            other
            for other in triples
            if sum(x != y for x, y in zip(triple, other, strict=True)) == 1
            and shifted(unit, *other) != answer
        ]
        other = rng.choice(near)
        k = rng.randrange(len(OFFSET_TEMPLATES))
        questions.append(
            Question(
                _offset_prompt(k, unit, *triple),
                _offset_prompt(k, unit, *other),
                (f" {answer}",),
                (f" {shifted(unit, *other)}",),
                f"{unit}{k}",
                {"start": triple[0], "n": triple[1], "direction": triple[2], "unit": unit},
            )
        )
    return questions


def span_document(rng: random.Random) -> str:
    """One event with its first and last year, which lies later in the same century."""
    while True:
        century, first = rng.choice(CENTURIES), rng.randrange(1, 99)
        start = f"{first:02d}"
        later = [y for y in YEARS[first:] if not held_out.year(century, y)]
        if later and not held_out.year(century, start):
            break
    prompt = rng.choice(SPAN_TEMPLATES).format(
        event=rng.choice(EVENTS), century=century, start=start
    )
    return f"{prompt}[ {rng.choice(later)}]."


def span_questions(rng: random.Random, n: int) -> list[Question]:
    """Held-out start years; the corrupt prompt starts in the year 01 of the same century."""
    cases = [(c, y) for c in CENTURIES for y in YEARS[1:98] if held_out.year(c, y)]
    rng.shuffle(cases)
    questions = []
    for i in range(n):
        century, start = cases[i % len(cases)]
        k, event = rng.randrange(len(SPAN_TEMPLATES)), rng.choice(EVENTS)
        cut = int(start)
        questions.append(
            Question(
                SPAN_TEMPLATES[k].format(event=event, century=century, start=start),
                SPAN_TEMPLATES[k].format(event=event, century=century, start="01"),
                tuple(f" {y}" for y in YEARS[cut:]),
                tuple(f" {y}" for y in YEARS[:cut]),
                f"span{k}",
                {"century": century, "start": start},
            )
        )
    return questions
