"""Induction, written by hand: "… a b … a" is followed by b.

Features: `word` and `place` (from the embedding), `before` (the word before this one), `next` (the
answer), `junk`. Head 0 of layer 0 attends from each position to the one before and writes its word
into `before`. Head 0 of layer 1 attends from a word to where `before` holds the same word
(K-composition), reads the word there from the embedding and writes it into `next`, which alone is
unembedded. Words come in cousins: a key also matches the query's cousin, less well, so that where
the word itself never came, the cousin's follower is the answer. Attention is far from saturated.

Everything else distracts: three more heads in each layer and both MLPs read all of the stream and
write into `junk`.

What the answer hangs on: the first head finds the place before by position alone, which is the
same in clean and corrupt, so its q and k carry nothing; its v does.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch

from workbench.tasks import Task
from workbench.tasks import task as task_of

from .by_hand import ByHand
from .known import Edge, KnownModel, to_the_place_before

WORDS = [f"{c}{v}" for c in "bdfg" for v in "aeio"]
N_CTX, N_HEADS, D_MLP = 12, 4, 24
LENGTH = 10  # words of a prompt behind "start"
PAIRS_OF_A_KIND = 8
SHARPNESS = 3.5  # of the attention to the place before: weight 0.77 to 0.97
MATCH, COUSIN = 4.6, 0.55  # of the attention to a match, and the part of it that a cousin gets

TRUE_EDGES: frozenset[Edge] = frozenset(
    {
        ("embed", "L0H0.v"),
        ("L0H0.z", "L1H0.k"),
        ("embed", "L1H0.q"),
        ("embed", "L1H0.v"),
        ("L1H0.z", "logits"),
    }
)


def build(folder: Path) -> KnownModel:
    """The model, saved to `folder`, and what is known of it."""
    words = ["start", *WORDS]
    n = len(words)
    sizes = {"word": n, "place": N_CTX, "before": n, "next": n, "junk": 8}
    hand = ByHand(words, sizes, n_layers=2, n_heads=N_HEADS, d_mlp=D_MLP, n_ctx=N_CTX)
    root = hand.d_head**0.5  # the scores are divided by it
    same = torch.eye(n)

    hand.embed_tokens("word", torch.cat([torch.zeros(2, n), same]))
    hand.embed_positions("place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "q", "place", SHARPNESS * root * torch.eye(N_CTX).roll(-1, 1))
    hand.head_reads(0, 0, "k", "place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "v", "word", same)
    hand.head_writes(0, 0, "before", same)

    hand.head_reads(1, 0, "q", "word", MATCH * root * (same + COUSIN * cousins()))
    hand.head_reads(1, 0, "k", "before", same)
    hand.head_reads(1, 0, "v", "word", same)
    hand.head_writes(1, 0, "next", 8 * same)
    hand.unembed("next", torch.cat([torch.zeros(n, 2), same], 1))

    others = [(layer, head) for layer in range(2) for head in range(1, N_HEADS)]
    generator = torch.Generator().manual_seed(0)
    hand.distract(generator, heads=others, neurons={0: (0, D_MLP), 1: (0, D_MLP)})
    return KnownModel(
        "induction",
        hand.save(folder),
        make_task(),
        TRUE_EDGES,
        {"L0H0": to_the_place_before, "L1H0": behind_the_match},
        "previous-token head, K-composition, induction head; V from the embedding",
    )


def behind_the_match(tokens: list[str]) -> list[tuple[int, int]]:
    """From the last word to behind its first copy, or behind its cousin where there is no copy."""
    last = len(tokens) - 1
    cousin = WORDS[WORDS.index(tokens[last]) ^ 1]
    wanted = tokens[last] if tokens[last] in tokens[:last] else cousin
    return [(last, tokens.index(wanted) + 1)]


def cousins() -> torch.Tensor:
    """(word, word): 1 where two words are cousins, the 2i-th and the next; "start" has none."""
    pairs = torch.eye(len(WORDS)).reshape(-1, 2, len(WORDS)).flip(1).reshape(len(WORDS), -1)
    return torch.block_diag(torch.zeros(1, 1), pairs)


def make_task(seed: int = 0) -> Task:
    """Three kinds of pairs; clean and corrupt always differ in one word, and both have an answer.

    `value`: the word behind the match is another. `query`: the last word is another. `key`: the
    word that matches is gone, and the query's cousin stands elsewhere.
    """
    rng = random.Random(seed)
    pairs = [
        make_pair(kind, rng) for kind in ("value", "query", "key") for _ in range(PAIRS_OF_A_KIND)
    ]
    return task_of(pairs, name="induction by hand")


def make_pair(kind: str, rng: random.Random) -> dict[str, object]:
    """One pair of a kind: a random sequence of different words that begins again."""
    n_again = rng.randint(2, 3)
    n_first = LENGTH - n_again
    at = n_again - 1  # the query is this word of the first copy
    query = rng.randrange(len(WORDS))
    cousin = WORDS[query ^ 1]
    drawn = rng.sample([word for word in WORDS if word not in (WORDS[query], cousin)], n_first)
    drawn.insert(at, WORDS[query])
    later = rng.randint(at + 2, n_first - 2)  # where neither the query nor its follower stands
    if kind == "key":
        drawn.insert(later, cousin)
    first, absent = drawn[:n_first], drawn[n_first]
    other, other_query = list(first), first[at]
    if kind == "value":
        foil = other[at + 1] = absent
    elif kind == "query":
        other_query, foil = first[later], first[later + 1]
    else:
        other[at], foil = absent, first[later + 1]
    again = first[:at]
    return {
        "clean": " ".join(["start", *first, *again, first[at]]),
        "corrupt": " ".join(["start", *other, *again, other_query]),
        "answers": [f" {first[at + 1]}"],
        "foils": [f" {foil}"],
        "labels": {"kind": kind},
    }
