"""A lookup in two steps, written by hand: "France Anna Italy Mary Anna?" is followed by "Paris".

A prompt says where people are from, the country before the person, and asks for one of them; the
answer is the country's capital. Features: `word` and `place` (from the embedding), `before` (the
word before this one), `country` and `capital` (of the question), `junk`. Head 0 of layer 0 attends
from each position to the one before and writes its word into `before`. Head 0 of layer 1 attends
from a question to the person whom it asks for and writes the country before that person into
`country`: the first step. Neuron k of layer 1 fires for country k and writes its `capital`, which
alone is unembedded: the second.

What each step writes is larger than what was there, so that it is much of the vector that receives
it. Three more heads in each layer and the other neurons read all of the stream and write into
`junk`. Attention is far from saturated.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch

from .by_hand import CONSTANT, ByHand

COUNTRIES = ["France", "Italy", "Spain", "Japan", "Peru", "Egypt"]
CAPITALS = ["Paris", "Rome", "Madrid", "Tokyo", "Lima", "Cairo"]
PEOPLE = ["Anna", "Mary", "Emma", "John", "Tom", "Paul"]
QUESTIONS = [f"{person}?" for person in PEOPLE]
WORDS = ["start", *COUNTRIES, *PEOPLE, *QUESTIONS, *CAPITALS]
N, N_CTX, N_HEADS, D_MLP = len(COUNTRIES), 12, 4, 24
SHARPNESS, MATCH = 3.5, 3.5
#: How large each step's vector is beside the constant.
STEP = 3 * CONSTANT


def build(folder: Path) -> Path:
    """The model and its tokenizer, saved to `folder`."""
    n = len(WORDS)
    sizes = {"word": n, "place": N_CTX, "before": n, "country": N, "capital": N, "junk": 8}
    hand = ByHand(WORDS, sizes, n_layers=2, n_heads=N_HEADS, d_mlp=D_MLP, n_ctx=N_CTX)
    root = hand.d_head**0.5  # the scores are divided by it
    same, each = torch.eye(n), torch.eye(N)

    hand.embed_tokens("word", torch.cat([torch.zeros(2, n), same]))
    hand.embed_positions("place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "q", "place", SHARPNESS * root * torch.eye(N_CTX).roll(-1, 1))
    hand.head_reads(0, 0, "k", "place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "v", "word", same)
    hand.head_writes(0, 0, "before", STEP * same)

    asks, asked, from_where = torch.zeros(3, n, N).unbind()
    asks[_rows(QUESTIONS)] = asked[_rows(PEOPLE)] = from_where[_rows(COUNTRIES)] = each
    hand.head_reads(1, 0, "q", "word", MATCH * root * shrunk(1) * asks)
    hand.head_reads(1, 0, "k", "word", shrunk(1) * asked)
    hand.head_reads(1, 0, "v", "before", shrunk(1) / STEP * from_where)
    hand.head_writes(1, 0, "country", 1.5 * STEP * each)

    reads = {"country": 10 * shrunk(2) / STEP * each}
    hand.neurons(1, 0, reads, torch.full((N,), -4.0), {"capital": STEP / 2 * each})
    answers = torch.zeros(N, n + 2)
    answers[:, 2 + _rows(CAPITALS)] = 20 / STEP * each
    hand.unembed("capital", answers)

    generator = torch.Generator().manual_seed(0)
    others = [(layer, head) for layer in range(2) for head in range(1, N_HEADS)]
    hand.distract(generator, heads=others, neurons={0: (0, D_MLP), 1: (N, D_MLP)})
    return hand.save(folder)


def shrunk(n: int) -> float:
    """How much less a norm leaves of a feature where n steps stand beside the constant."""
    return (1 + n * (STEP / CONSTANT) ** 2) ** 0.5


def _rows(words: list[str]) -> torch.Tensor:
    return torch.tensor([WORDS.index(word) for word in words])


def make_prompt(seed: int, n_facts: int = 4) -> tuple[str, int]:
    """A prompt of some facts and a question, and which fact it asks for, from 0."""
    rng = random.Random(seed)
    facts = list(zip(rng.sample(COUNTRIES, n_facts), rng.sample(PEOPLE, n_facts), strict=True))
    asked = rng.randrange(n_facts)
    said = [word for fact in facts for word in fact]
    return " ".join(["start", *said, f"{facts[asked][1]}?"]), asked
