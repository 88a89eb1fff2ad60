"""Left and right padding and unequal prompts give the numbers of each prompt by itself."""

from __future__ import annotations

import pytest
import torch

from workbench.edits import Add

from .conftest import BACKENDS
from .zoo import CONFIGS

ROWS = [[5, 9, 13, 20, 31, 44, 2], [7, 3, 50], [12, 28, 6, 41, 11]]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_padded_batch_gives_the_numbers_of_each_prompt_alone(name, backend, side, zoo_model):
    model = zoo_model(name, backend)
    tokens = model.tokens(ROWS, padding_side=side)
    edit = Add("L0.mlp_out", torch.linspace(0, 1, model.spec.d_model), positions=[1, -1])

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, -1, 9]

    run = model.run(
        tokens, read=["L0.resid_post", "L1.q"], edits=edit, grad_of=metric, logits_at="last"
    )
    everywhere = model.run(tokens, edits=edit).logits
    for r, row in enumerate(ROWS):
        alone = model.run([row], read=["L0.resid_post", "L1.q"], edits=edit, grad_of=metric)
        columns = tokens.columns(r)
        for site in ("L0.resid_post", "L1.q"):
            torch.testing.assert_close(run[site][r, columns], alone[site][0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                run.grad(site)[r, columns], alone.grad(site)[0], atol=1e-5, rtol=1e-4
            )
        torch.testing.assert_close(run.logits[r, 0], alone.logits[0, -1], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(everywhere[r, columns], alone.logits[0], atol=1e-5, rtol=1e-5)


def greedy(model, row: list[int], n: int) -> list[int]:
    """By hand: the whole text again for every token."""
    out = list(row)
    for _ in range(n):
        out.append(int(model.run([out], logits_at="last").logits[0, 0].argmax()))
        if out[-1] == 0:
            break
    return out[len(row) :]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_generation_continues_unequal_prompts_as_greedy_decoding_by_hand(name, backend, zoo_model):
    model = zoo_model(name, backend)
    made = model.generate(ROWS, 6)
    assert [list(new) for new in made.new] == [greedy(model, row, 6) for row in ROWS]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gemma3", "bloom", "mistral"])
@pytest.mark.parametrize("on", ["prompt", "new", "both"])
def test_edits_of_a_generation_act_on_the_prompt_on_new_tokens_or_on_both(
    name, backend, on, zoo_model
):
    model = zoo_model(name, backend)
    push = 3 * torch.linspace(-1, 1, model.spec.d_model)
    made = model.generate(ROWS, 5, edits=Add("L0.resid_post", push), on=on)
    for r, row in enumerate(ROWS):
        out = list(row)
        for _ in range(5):
            positions = {
                "prompt": range(len(row)),
                "new": range(len(row), len(out)),
                "both": range(len(out)),
            }[on]
            edits = (
                [Add("L0.resid_post", push, positions=tuple(positions))] if len(positions) else []
            )
            out.append(int(model.run([out], edits=edits, logits_at="last").logits[0, 0].argmax()))
            if out[-1] == 0:
                break
        assert list(made.new[r]) == out[len(row) :]


def test_sampling_repeats_with_its_seed_and_stays_in_the_top_k(zoo_model):
    model = zoo_model("llama", "nnsight")
    one = model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=3)
    assert one.new == model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=3).new
    assert one.new != model.generate(ROWS, 8, temperature=1.5, top_k=5, seed=4).new
    for row, new in zip(ROWS, one.new, strict=True):
        text = list(row)
        for token in new:
            assert (
                token in model.run([text], logits_at="last").logits[0, 0].topk(5).indices.tolist()
            )
            text.append(token)
