"""A program compiled to weights by hand: does any word equal the word before it?

    before = word[i - 1]                          head 0 of layer 0, by position
    equal  = word and before are the same          MLP of layer 0, one neuron a word: an AND
    found  = mean of equal where equal is large    head 0 of layer 1, from the last position
    answer = yes if found > threshold else no      MLP of layer 1, one neuron: a threshold

The features of the residual stream have these names; `ask` says that the word is the question mark,
`junk` is what distractors write. The AND takes word + before − 1.25 through GELU, so it is smooth,
and attention is not saturated: gradients live everywhere. Three more heads in each layer, 24 more
neurons in each MLP and the whole of layer 2 are distractors: they read all of the stream and
write into `junk`.

What the answer hangs on: heads find positions by place and by `ask`, which are the same in clean
and corrupt, so L0H0.q, L0H0.k and L1H0.q carry nothing.
"""

from __future__ import annotations

import random
from pathlib import Path

import torch

from workbench.tasks import Task
from workbench.tasks import task as task_of

from .by_hand import ByHand
from .known import Edge, KnownModel, to_the_place_before

WORDS = [f"{c}{v}" for c in "klm" for v in "aeio"]
OTHERS = ["start", "?", "yes", "no"]
N_CTX, N_HEADS, N_DISTRACTORS = 10, 4, 24
LENGTH = 8  # words of a prompt between "start" and the question mark
N_PAIRS = 24
SHARPNESS = 4.0  # of the attention to the place before: weight 0.86 to 0.98
AND_SCALE, AND_BIAS = 3.0, 1.25
FOUND_SHARPNESS = 4.0  # of the attention to where `equal` is 1
THRESHOLD_SCALE, THRESHOLD = 6.0, 0.45

TRUE_EDGES: frozenset[Edge] = frozenset(
    {
        ("embed", "L0H0.v"),
        ("embed", "L0.mlp_in"),
        ("L0H0.z", "L0.mlp_in"),
        ("L0.mlp_out", "L1H0.k"),
        ("L0.mlp_out", "L1H0.v"),
        ("L1H0.z", "L1.mlp_in"),
        ("L1.mlp_out", "logits"),
    }
)


def build(folder: Path) -> KnownModel:
    """The model, saved to `folder`, and what is known of it."""
    n = len(WORDS)
    words = [*WORDS, *OTHERS]
    sizes = {"word": n, "ask": 1, "place": N_CTX, "before": n}
    sizes |= {"equal": 1, "found": 1, "answer": 1, "junk": 8}
    d_mlp = n + N_DISTRACTORS
    hand = ByHand(words, sizes, n_layers=3, n_heads=N_HEADS, d_mlp=d_mlp, n_ctx=N_CTX)
    root = hand.d_head**0.5  # the scores are divided by it
    same, one = torch.eye(n), torch.ones(1, 1)

    def only(word: str) -> torch.Tensor:
        return torch.tensor([[float(each == word)] for each in hand.tokens])

    hand.embed_tokens("word", torch.cat([torch.zeros(2, n), same, torch.zeros(len(OTHERS), n)]))
    hand.embed_tokens("ask", only("?"))
    hand.embed_positions("place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "q", "place", SHARPNESS * root * torch.eye(N_CTX).roll(-1, 1))
    hand.head_reads(0, 0, "k", "place", torch.eye(N_CTX))
    hand.head_reads(0, 0, "v", "word", same)
    hand.head_writes(0, 0, "before", same)

    both = AND_SCALE * same
    bias = torch.full((n,), -AND_SCALE * AND_BIAS)
    equal = torch.full((n, 1), 1 / (AND_SCALE * (2 - AND_BIAS)))
    hand.neurons(0, 0, {"word": both, "before": both}, bias, {"equal": equal})

    hand.head_reads(1, 0, "q", "ask", FOUND_SHARPNESS * root * one)
    hand.head_reads(1, 0, "k", "equal", one)
    hand.head_reads(1, 0, "v", "equal", one)
    hand.head_writes(1, 0, "found", one)

    bias = torch.tensor([-THRESHOLD_SCALE * THRESHOLD])
    hand.neurons(1, 0, {"found": THRESHOLD_SCALE * one}, bias, {"answer": 2 * one})
    hand.mlp_constant(1, "answer", torch.tensor([-2.0]))
    hand.unembed("answer", (only("yes") - only("no")).T)

    heads = [(layer, h) for layer in range(3) for h in range(N_HEADS) if layer == 2 or h > 0]
    neurons = {0: (n, d_mlp), 1: (n, d_mlp), 2: (0, d_mlp)}
    hand.distract(torch.Generator().manual_seed(1), heads=heads, neurons=neurons)
    return KnownModel(
        "previous_equals",
        hand.save(folder),
        make_task(),
        TRUE_EDGES,
        {"L0H0": to_the_place_before, "L1H0": to_the_repetition},
        "previous-token head, AND in an MLP, a head that looks for it, a threshold in an MLP",
    )


def to_the_repetition(tokens: list[str]) -> list[tuple[int, int]]:
    """From the question mark to the second of two equal words, if there are any."""
    last = len(tokens) - 1
    return [(last, i) for i in range(1, last) if tokens[i] == tokens[i - 1]]


def make_task(seed: int = 0) -> Task:
    """Pairs that differ in one word, which makes or breaks the only repetition.

    Half of the clean prompts hold one (answer yes), half hold none; half of the changes are to the
    first of the two words, half to the second.
    """
    rng = random.Random(seed)
    pairs = [make_pair(i % 2 == 0, i // 2 % 2, rng) for i in range(N_PAIRS)]
    return task_of(pairs, name="a word equals the one before")


def make_pair(repeats: bool, changed: int, rng: random.Random) -> dict[str, object]:
    """One pair. repeats: whether the clean prompt does; changed: which word of the repetition."""
    drawn = rng.sample(WORDS, LENGTH + 1)
    plain, absent = drawn[:LENGTH], drawn[LENGTH]
    at = rng.randrange(1, LENGTH - 2)
    plain[at + 1 - changed] = plain[at + changed]
    repeated, plain = plain, list(plain)
    plain[at + changed] = absent
    texts = [" ".join(["start", *words, "?"]) for words in (repeated, plain)]
    answers = [" yes", " no"]
    if not repeats:
        texts, answers = texts[::-1], answers[::-1]
    return {
        "clean": texts[0],
        "corrupt": texts[1],
        "answers": answers[:1],
        "foils": answers[1:],
        "labels": {"answer": answers[0].strip(), "changed": ("first", "second")[changed]},
    }
