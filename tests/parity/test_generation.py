"""Generated text is what plain Hugging Face decodes greedily, computing everything anew each step.

On both backends and every architecture: with and without edits, rows of unequal length, ends.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.change import Change
from workbench.model import Resume

from . import zoo
from .conftest import BACKENDS
from .plain import Plain
from .zoo import CONFIGS, LAYERS, WIDTH

ROWS = [[5, 9, 13, 20, 31, 44, 2], [7, 3, 50], [12, 28, 6, 41, 11]]
N_NEW = 5
END = 0
CLOSE: dict[str, Any] = {"atol": 2e-5, "rtol": 2e-5}
#: What an edit acts on → its stream in layer 0 or 1, and what is added there.
EDITS = {"prompt": ("resid_pre", 1, 4.0), "new": ("mlp_out", 0, 6.0), "both": ("z", 1, 6.0)}


def push(strength: float, like: torch.Tensor) -> torch.Tensor:
    """An uneven vector that no norm takes away, as long as the last axis."""
    return strength * torch.linspace(-1, 1, like.shape[-1])


def greedy(plain: Plain, row: list[int], on: str | None, ends: tuple[int, ...] = (END,)):
    """By hand: one row alone, the whole text again for every token."""
    out = list(row)
    stream, layer, strength = EDITS[on] if on else ("", 0, 0.0)
    for _ in range(N_NEW):
        where = {
            None: slice(0, 0),
            "prompt": slice(0, len(row)),
            "new": slice(len(row), len(out)),
            "both": slice(0, len(out)),
        }[on]

        def change(value: torch.Tensor, where: slice = where) -> torch.Tensor:
            value = value.clone()
            value[:, where] += push(strength, value)
            return value

        logits, _, _ = plain.run(torch.tensor([out]), at=(stream, layer), change=change)
        out.append(int(logits[0, -1].argmax()))
        if out[-1] in ends:
            break
    return tuple(out[len(row) :])


@pytest.fixture(scope="module")
def by_hand(plain_model: Callable[[str], Plain]) -> Callable[..., tuple[tuple[int, ...], ...]]:
    """by_hand(name, on) → each row's new tokens."""
    return cache(lambda name, on: tuple(greedy(plain_model(name), row, on) for row in ROWS))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_greedy_text_is_plain_decoding_with_and_without_edits(name, backend, zoo_model, by_hand):
    model = zoo_model(name, backend)
    assert model.generate(ROWS, N_NEW).new == by_hand(name, None)
    changed = 0
    on: Any
    for on, (stream, layer, strength) in EDITS.items():
        size = model.spec.d_head if stream == "z" else WIDTH
        edit = wb.Add(f"L{layer}.{stream}", push(strength, torch.empty(size)))
        made = model.generate(ROWS, N_NEW, edits=Change(edit, on=on))
        assert made.new == by_hand(name, on), on
        changed += made.new != by_hand(name, None)
    assert changed, "the edits are strong enough that the text tells whether they act"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_step_over_a_cached_prompt_is_a_step_of_the_whole(name, backend, zoo_model, plain_model):
    model = zoo_model(name, backend)
    pair = [ROWS[0], ROWS[2]]
    whole = model.run(pair, read="L0.resid_pre", cache=True)
    assert len(whole.past.layers) == LAYERS and whole.past.n_columns == len(pair[0])
    for start in (1, 4):
        resid = whole["L0.resid_pre"][:, start:]
        step = model.run(pair, resume=Resume(0, resid, start=start, past=whole.past)).logits
        step = step[:, -resid.shape[1] :]
        for r, row in enumerate(pair):
            logits, _, _ = plain_model(name).run(torch.tensor([row]))
            torch.testing.assert_close(step[r, : len(row) - start], logits[0, start:], **CLOSE)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_row_ends_at_the_end_token_and_the_others_go_on(backend, plain_model):
    name = "llama"
    free = [greedy(plain_model(name), row, None, ends=()) for row in ROWS]
    end = free[0][1]
    tokenizer = zoo.tokenizer()
    tokenizer.eos_token = f"w{end}"
    model: Any = wb.load(zoo.hf_model(name), tokenizer=tokenizer, backend=backend)
    made = model.generate(ROWS, N_NEW)
    expected = tuple(greedy(plain_model(name), row, None, ends=(end, END)) for row in ROWS)
    assert made.new == expected
    assert len(expected[0]) < N_NEW == max(map(len, expected))


@pytest.mark.parametrize(
    "options", [{"temperature": 0.7}, {"top_k": 3}, {"top_p": 0.6}, {"top_k": 8, "top_p": 0.5}]
)
def test_the_next_token_is_drawn_from_what_the_options_leave(options, zoo_model):
    model = zoo_model("llama", "nnsight")
    logits = model.run(ROWS, logits_at="last").logits[:, 0].float()
    scores = logits / options.get("temperature", 1.5)
    for row in scores:
        order = row.argsort(descending=True).tolist()[: options.get("top_k")]
        kept, total = [], 0.0
        within = row[order].softmax(-1).tolist()
        for token, share in zip(order, within, strict=True):
            kept.append(token)
            total += share
            if total >= options.get("top_p", 2.0):
                break
        row[[i for i in range(len(row)) if i not in kept]] = float("-inf")
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0].tolist()
        found = model.generate(ROWS, 1, **({"temperature": 1.5, "seed": seed} | options)).new
        assert [new[0] for new in found] == drawn


def test_sampling_repeats_with_its_seed_and_stays_in_the_top_k(zoo_model):
    model = zoo_model("llama", "nnsight")
    one = model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=3)
    assert one.new == model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=3).new
    assert one.new != model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=4).new
    for row, new in zip(ROWS, one.new, strict=True):
        text = list(row)
        for token in new:
            logits = model.run([text], logits_at="last").logits[0, 0]
            assert token in logits.topk(5).indices.tolist()
            text.append(token)
