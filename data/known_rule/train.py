"""Trains the model of the rule, in under three minutes on one core.

    python -m data.known_rule.train --out data/known_rule/model

from the root of the checkout. A group lasso on the blocks of `slots` sets whole edges to 0 while
the model learns. Then edges are dropped one by one, and what is left is trained on without the
lasso. The weights are stored in float16.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from .rule import ID, LABELS, N_CTX, VOCABULARY, draw
from .slots import (
    CONSTANT,
    D_MLP,
    D_MODEL,
    N_HEADS,
    N_LAYERS,
    SLOTS,
    SPARE_READERS,
    SPARE_WRITERS,
    blocks,
    constrain,
    written,
)

ROWS = 128
STEPS, STEPS_BETWEEN, STEPS_AFTER = 2400, 60, 600
RATE, DECAY = 3e-3, 1e-3
LASSO = 0.15  # a block's norm loses this times the rate in a step
SATURATED = 0.85  # attention above this costs
SOFTER, LABELS_BELOW = 0.25, -15.0
LOSS_KEPT = 0.3  # an edge is dropped if the loss without it, before more training, stays below


def make_model() -> Any:
    """An untrained GPT-2 whose norms divide by a constant."""
    from transformers import GPT2Config, GPT2LMHeadModel

    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
    others: dict[str, Any] = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    others["attn_implementation"] = "eager"
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(VOCABULARY),
            n_embd=D_MODEL,
            n_layer=N_LAYERS,
            n_head=N_HEADS,
            n_inner=D_MLP,
            n_positions=N_CTX,
            initializer_range=0.25,
            tie_word_embeddings=False,
            **ids,
            **others,
        )
    )
    for name, parameter in model.named_parameters():
        if ".ln_" in name:
            scale = (2 * CONSTANT**2 / D_MODEL) ** 0.5
            parameter.data.fill_(scale if name.endswith("weight") else 0.0)
            parameter.requires_grad_(False)
        elif name.endswith("c_proj.bias"):
            parameter.requires_grad_(False)
        elif parameter.ndim == 2 and ".h." in name:
            torch.nn.init.normal_(parameter, std=0.25)
    return model


def batch(rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ids (row, pos), answers (row) and labels (row) as token ids."""
    examples = [draw(rng) for _ in range(ROWS)]
    ids = [[ID[token] for token in example.tokens] for example in examples]
    answers = [ID[example.answer] for example in examples]
    labels = [ID[example.label] for example in examples]
    return torch.tensor(ids), torch.tensor(answers), torch.tensor(labels)


def losses(model: Any, rng: random.Random) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Cross-entropy of the answer, of the label among labels, and how saturated attention is."""
    ids, answers, labels = batch(rng)
    out = model(ids, use_cache=False, logits_to_keep=1, output_attentions=True)
    logits, first = out.logits[:, 0], ID[LABELS[0]]
    # The first two positions have hardly anything to choose from.
    over = [(pattern[:, :, 2:] - SATURATED).clamp(min=0) for pattern in out.attentions]
    saturation = sum((each.pow(2).sum((1, 2, 3)).mean() for each in over), torch.zeros(()))
    label = cross_entropy(logits[:, first:], labels - first)
    return cross_entropy(logits, answers), label, saturation


@torch.no_grad()
def shrink(model: Any, by: float) -> None:
    """One proximal step of the group lasso: blocks lose that much norm, small ones become 0.

    Norms are root mean squares. What is written shrinks too, or it would grow as blocks shrink.
    """
    wrote = [W[..., SLOTS[writer]] for writer, W in written(model)]
    for block in [*(b for (_, r), b in blocks(model).items() if r not in SPARE_READERS), *wrote]:
        norm = block.norm() / block.numel() ** 0.5
        block *= (1 - by / norm.clamp(min=1e-12)).clamp(min=0)


def optimise(
    model: Any, rng: random.Random, steps: int, dropped: set[tuple[str, str]], lasso: float
) -> None:
    """Train, with a rate that falls linearly over the last half."""
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=RATE, betas=(0.9, 0.98), eps=1e-5, weight_decay=DECAY)
    for step in range(steps):
        rate = RATE * min(1.0, (step + 1) / 50, 2 * (steps - step) / steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        answer, label, saturation = losses(model, rng)
        optimizer.zero_grad()
        (answer + label + saturation).backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        shrink(model, rate * lasso * min(1.0, step / (0.3 * steps)))
        constrain(model, dropped)
        if step % 300 == 0:
            n = sum(bool(block.any()) for block in blocks(model).values())
            print(f"step {step}: {answer:.4f}, {label:.4f}, {saturation:.4f}, {n} edges")


def prune(model: Any, rng: random.Random, dropped: set[tuple[str, str]], seed: int) -> None:
    """Drop edges one by one, each time the one that the loss needs least, with training between."""
    while True:
        left = [
            (writer, reader)
            for (writer, reader), block in blocks(model).items()
            if reader not in SPARE_READERS and bool(block.any())
        ]
        without = {edge: loss_without(model, edge, seed) for edge in left}
        least = min(left, key=lambda edge: without[edge])
        if without[least] > LOSS_KEPT:
            return
        dropped.add(least)
        constrain(model, dropped)
        optimise(model, rng, STEPS_BETWEEN, dropped, 0.0)


@torch.no_grad()
def loss_without(model: Any, edge: tuple[str, str], seed: int) -> float:
    """The loss on answers where an edge's block is 0, on the same prompts for every edge."""
    block = blocks(model)[edge]
    before = block.clone()
    block.zero_()
    answer, _, _ = losses(model, random.Random(seed))
    block.copy_(before)
    return float(answer)


def train(seed: int) -> Any:
    """The trained model, its weights rounded to float16."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model = make_model()
    dropped = {(w, r) for w, r in blocks(model) if w in SPARE_WRITERS and r not in SPARE_READERS}
    constrain(model, dropped)
    optimise(model, rng, STEPS, dropped, LASSO)
    dropped |= {edge for edge, block in blocks(model).items() if not block.any()}
    prune(model, rng, dropped, seed + 1)
    optimise(model, rng, STEPS_AFTER, dropped, 0.0)
    print("left:", *sorted(set(blocks(model)) - dropped))
    finish(model)
    return model.half()


@torch.no_grad()
def finish(model: Any) -> None:
    """Set how large logits are: what is learnt stays, and metrics of probabilities can be read.

    All logits are multiplied by one number, so that probabilities are not all but 0 and 1, and the
    labels, which read the constant for it, are put so low that they have no share in them.
    """
    model.lm_head.weight *= SOFTER
    constant = torch.tensor([CONSTANT, -CONSTANT])
    model.lm_head.weight[ID[LABELS[0]] :, :2] = LABELS_BELOW * constant / constant.pow(2).sum()


@torch.no_grad()
def measure(model: Any, seed: int, n_batches: int = 80) -> tuple[float, float]:
    """Share of fresh prompts whose top token is the answer, and whose better label is right."""
    rng, first = random.Random(seed), ID[LABELS[0]]
    right = torch.zeros(2)
    for _ in range(n_batches):
        ids, answers, labels = batch(rng)
        logits = model(ids, use_cache=False, logits_to_keep=1).logits[:, 0]
        said = torch.stack([logits.argmax(-1), logits[:, first:].argmax(-1) + first])
        right += (said == torch.stack([answers, labels])).float().mean(1)
    return float(right[0]) / n_batches, float(right[1]) / n_batches


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    model = train(options.seed)
    model.save_pretrained(options.out)
    (options.out / "generation_config.json").unlink()  # says no more than config.json
    (options.out / "model.safetensors").chmod(0o644)
    print(f"{time.monotonic() - start:.0f} s")
    print("answers {:.4f}, labels {:.4f} right".format(*measure(model.float(), options.seed + 2)))


if __name__ == "__main__":
    main()
