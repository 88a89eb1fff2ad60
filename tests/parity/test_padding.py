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
