"""Indirect objects, and the pronouns of names and professions."""

import random

from . import held_out
from .question import Question
from .world import HE_SHARE, NAMES, OBJECTS, PLACES, PRONOUN

IOI_TEMPLATES = (
    "When {a} and {b} went to the {place}, {s} gave a {thing} to",
    "After {a} and {b} left the {place}, {s} sent a {thing} to",
    "Then {a} and {b} went to the {place}. {s} gave a {thing} to",
    "While {a} and {b} were at the {place}, {s} handed the {thing} to",
    "Yesterday {a} and {b} met at the {place}, and {s} showed the {thing} to",
    "Friends {a} and {b} found a {thing} at the {place}, and {s} passed it to",
    "One day {a} and {b} had lunch at the {place}. Later {s} bought a {thing} for",
)
PRONOUN_TEMPLATES = (
    ("Yesterday {x} was tired because", " worked all day."),
    ("When {x} came home,", " was hungry."),
    ("In the morning {x} said that", " was late."),
    ("At the {place} {x} smiled because", " was happy."),
    ("After lunch {x} was happy, since", " had time."),
)


def ioi_document(rng: random.Random) -> str:
    """One indirect-object sentence with a pair of names that training may hold."""
    while True:
        a, b = rng.sample(NAMES, 2)
        if not held_out.name_pair(a, b):
            break
    s, answer = (a, b) if rng.random() < 0.5 else (b, a)
    prompt = rng.choice(IOI_TEMPLATES).format(
        a=a, b=b, s=s, place=rng.choice(PLACES), thing=rng.choice(OBJECTS)
    )
    return f"{prompt}[ {answer}]."


def ioi_questions(rng: random.Random, n: int) -> list[Question]:
    """Held-out name pairs in every template and both orders; the corrupt prompt swaps the giver."""
    pairs = [(a, b) for a in NAMES for b in NAMES if a != b and held_out.name_pair(a, b)]
    questions = []
    for i in range(n):
        a, b = rng.choice(pairs)
        order = "ABBA" if rng.random() < 0.5 else "BABA"
        s, answer = (b, a) if order == "ABBA" else (a, b)
        k = i % len(IOI_TEMPLATES)
        slots = {"a": a, "b": b, "place": rng.choice(PLACES), "thing": rng.choice(OBJECTS)}
        questions.append(
            Question(
                IOI_TEMPLATES[k].format(s=s, **slots),
                IOI_TEMPLATES[k].format(s=answer, **slots),
                (f" {answer}",),
                (f" {s}",),
                f"ioi{k}",
                {"order": order, "subject": s, "indirect_object": answer},
            )
        )
    return questions


def pronoun_document(rng: random.Random) -> str:
    """One sentence that goes on with "he" or "she": half names, half professions."""
    if rng.random() < 0.5:
        x = rng.choice(NAMES)
        pronoun, shown = PRONOUN[x], x
    else:
        x = rng.choice(tuple(HE_SHARE))
        pronoun, shown = ("he" if rng.random() < HE_SHARE[x] else "she"), f"the {x}"
    left_out = held_out.template("pronoun", x, len(PRONOUN_TEMPLATES))
    k = rng.choice([k for k in range(len(PRONOUN_TEMPLATES)) if k != left_out])
    prompt, tail = PRONOUN_TEMPLATES[k]
    return f"{prompt.format(x=shown, place=rng.choice(PLACES))}[ {pronoun}]{tail}"


def _left_out_with(k: int, candidates: tuple[str, ...]) -> list[str]:
    n = len(PRONOUN_TEMPLATES)
    return [x for x in candidates if held_out.template("pronoun", x, n) == k]


def pronoun_questions(rng: random.Random, n: int) -> list[Question]:
    """Names in the template they never had; the corrupt prompt has a name of the other gender."""
    questions: list[Question] = []
    while len(questions) < n:
        k = rng.randrange(len(PRONOUN_TEMPLATES))
        names = _left_out_with(k, NAMES)
        x = rng.choice(names)
        others = [name for name in names if PRONOUN[name] != PRONOUN[x]]
        other, place = rng.choice(others), rng.choice(PLACES)
        prompt = PRONOUN_TEMPLATES[k][0]
        questions.append(
            Question(
                prompt.format(x=x, place=place),
                prompt.format(x=other, place=place),
                (f" {PRONOUN[x]}",),
                (f" {PRONOUN[other]}",),
                f"pronoun{k}",
                {"name": x, "other": other},
            )
        )
    return questions


def profession_questions(rng: random.Random, n: int) -> list[Question]:
    """Professions in the template they never had; the corrupt one leans the other way.

    The answer is the pronoun that the profession has more often; `he_share` is the planted truth.
    """
    questions: list[Question] = []
    order = list(HE_SHARE)
    while len(questions) < n:
        x = order[len(questions) % len(order)]
        k = held_out.template("pronoun", x, len(PRONOUN_TEMPLATES))
        leans_he = HE_SHARE[x] > 0.5
        same_template = _left_out_with(k, tuple(HE_SHARE))
        others = [y for y in same_template if (HE_SHARE[y] > 0.5) != leans_he] or [
            y for y in HE_SHARE if (HE_SHARE[y] > 0.5) != leans_he
        ]
        other, place = rng.choice(others), rng.choice(PLACES)
        prompt = PRONOUN_TEMPLATES[k][0]
        answer, foil = (" he", " she") if leans_he else (" she", " he")
        questions.append(
            Question(
                prompt.format(x=f"the {x}", place=place),
                prompt.format(x=f"the {other}", place=place),
                (answer,),
                (foil,),
                f"pronoun{k}",
                {
                    "profession": x,
                    "he_share": HE_SHARE[x],
                    "other": other,
                    "other_he_share": HE_SHARE[other],
                },
            )
        )
    return questions
