"""Number agreement across an attractor, and reviews with a verdict."""

import random

from . import held_out
from .question import Question
from .world import BLAME, NOUNS, PRAISE, WORKS

# The first word settles the tense, so that one verb form is right.
AGREEMENT_TEMPLATES = (
    ("The {s} {link} the {a}", "present"),
    ("Today the {s} {link} the {a}", "present"),
    ("Yesterday the {s} {link} the {a}", "past"),
    ("I know that the {s} {link} the {a}", "present"),
)
LINKS = ("near", "behind", "beside", "under", "above", "close to", "that stood near")
VERBS = {"present": (" is", " are"), "past": (" was", " were")}
ENDINGS = ("old", "new", "here", "lost", "red", "green", "small", "big")

REVIEW_TEMPLATES = (
    ("The {w} was {p} and the end was {q}. All in all it was", (" good", " bad")),
    ("I thought the {w} was {p} and {q}. My verdict is", (" positive", " negative")),
    ("The {w} was {p}, and the music was {q}, so people", (" loved", " hated")),
    ("Review: a {p} and {q} {w}. Overall:", (" positive", " negative")),
)


def agreement_document(rng: random.Random) -> str:
    """One sentence whose verb agrees with a noun that another noun separates from it."""
    while True:
        subject, attractor = rng.sample(NOUNS, 2)
        if not held_out.noun_pair(subject[0], attractor[0]):
            break
    template, tense = rng.choice(AGREEMENT_TEMPLATES)
    number = rng.randrange(2)
    prompt = template.format(
        s=subject[number], link=rng.choice(LINKS), a=attractor[rng.randrange(2)]
    )
    return f"{prompt}[{VERBS[tense][number]}] {rng.choice(ENDINGS)}."


def agreement_questions(rng: random.Random, n: int) -> list[Question]:
    """Held-out noun pairs, attractor of the other number; corrupt changes the subject's number."""
    pairs = [(s, a) for s in NOUNS for a in NOUNS if s != a and held_out.noun_pair(s[0], a[0])]
    questions = []
    for i in range(n):
        subject, attractor = rng.choice(pairs)
        k = i % len(AGREEMENT_TEMPLATES)
        template, tense = AGREEMENT_TEMPLATES[k]
        number, link = rng.randrange(2), rng.choice(LINKS)
        noun = attractor[1 - number]
        questions.append(
            Question(
                template.format(s=subject[number], link=link, a=noun),
                template.format(s=subject[1 - number], link=link, a=noun),
                (VERBS[tense][number],),
                (VERBS[tense][1 - number],),
                f"agreement{k}",
                {"subject": subject[0], "attractor": attractor[0], "tense": tense},
            )
        )
    return questions


def review_document(rng: random.Random) -> str:
    """One review with two adjectives of the same polarity and its verdict."""
    polarity = rng.randrange(2)
    while True:
        p, q = rng.sample((PRAISE, BLAME)[polarity], 2)
        if not held_out.adjective_pair(p, q):
            break
    template, verdicts = rng.choice(REVIEW_TEMPLATES)
    tail = " it." if verdicts[0] == " loved" else "."
    return f"{template.format(w=rng.choice(WORKS), p=p, q=q)}[{verdicts[polarity]}]{tail}"


def review_questions(rng: random.Random, n: int) -> list[Question]:
    """Held-out adjective pairs; the corrupt review has a held-out pair of the other polarity."""
    pairs = [
        [(p, q) for p in words for q in words if p != q and held_out.adjective_pair(p, q)]
        for words in (PRAISE, BLAME)
    ]
    questions = []
    for i in range(n):
        k, polarity = i % len(REVIEW_TEMPLATES), rng.randrange(2)
        template, verdicts = REVIEW_TEMPLATES[k]
        w = rng.choice(WORKS)
        (p, q), (r, s) = rng.choice(pairs[polarity]), rng.choice(pairs[1 - polarity])
        questions.append(
            Question(
                template.format(w=w, p=p, q=q),
                template.format(w=w, p=r, q=s),
                (verdicts[polarity],),
                (verdicts[1 - polarity],),
                f"review{k}",
                {"polarity": ("positive", "negative")[polarity], "first": p, "second": q},
            )
        )
    return questions
