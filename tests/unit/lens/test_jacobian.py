"""The Jacobian lens: TransformerLens's numbers through the workbench's result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.kernels import writers
from tests.unit.lens_models import PROMPT, TEXTS, logit_lens, words_model, zoo_model
from workbench.lens import JacobianLens, jacobian


@pytest.fixture(scope="module")
def fitted() -> JacobianLens:
    model = words_model("transformer_lens")
    return jacobian(model, TEXTS, skip_first_positions=2, progress=False)


def test_each_matrix_is_the_mean_jacobian_of_the_final_residual_stream(
    fitted: JacobianLens,
) -> None:
    model, skip = words_model(), 2
    total = torch.zeros(32, 32, dtype=torch.float64)
    for text in TEXTS:
        tokens = model.tokens(text)
        valid = range(skip, tokens.n_columns - 1)
        rows = []
        for unit in range(32):
            # Row `unit` of the Jacobian: the gradient of that unit of the final stream, summed over
            # the target positions, at each source position.
            grads = _gradient(model, tokens, unit, list(valid))
            rows.append(grads[0, list(valid)].double().mean(0))
        total += torch.stack(rows)
    np.testing.assert_allclose(fitted.matrix[1], total / len(TEXTS), atol=1e-4, rtol=1e-3)


def _gradient(model: Any, tokens: Any, unit: int, valid: list[int]) -> torch.Tensor:
    """∂ Σ_t final[t, unit] / ∂ L1.resid_post by autograd through the last block of the HF model."""
    block = model.raw._module.transformer.h[2]
    resid = model.run(tokens, read="L1.resid_post")["L1.resid_post"]
    resid = resid.clone().requires_grad_()
    n = resid.shape[1]
    mask = torch.full((n, n), torch.finfo(torch.float32).min).triu(1)[None, None]
    with torch.enable_grad():
        out = block(resid, attention_mask=mask)
        out = out[0] if isinstance(out, tuple) else out
        return torch.autograd.grad(out[0, valid, unit].sum(), resid)[0]


def test_it_reads_what_transformer_lens_reads(fitted: JacobianLens) -> None:
    from transformer_lens.tools.analysis import JacobianLens as Theirs

    model = words_model("transformer_lens")
    jacobians = {i: torch.from_numpy(m.copy()) for i, m in enumerate(fitted.matrix)}
    theirs: Any = Theirs(jacobians, n_prompts=3, d_model=32).readout(
        model.raw, model.tokens(PROMPT).ids, top_k=5, return_full_logits=True
    )
    panel = logit_lens(model, PROMPT, lens=fitted, k=5).panel()
    assert panel.lens == "Jacobian lens" and panel.rows == ("L0", "L1", "L2")
    for r in range(3):
        logprobs = theirs.lens_logits[r].log_softmax(-1).topk(5).values
        np.testing.assert_allclose(panel.top_logprobs[0, r], logprobs, atol=1e-5)


def test_it_reads_through_either_backend(fitted: JacobianLens) -> None:
    one, other = (
        logit_lens(words_model(backend), PROMPT, lens=[None, fitted]).panels[1]
        for backend in ("nnsight", "transformer_lens")
    )
    np.testing.assert_allclose(one.top_logprobs, other.top_logprobs, atol=1e-5)


def test_a_model_of_another_backend_is_told_which_to_load() -> None:
    with pytest.raises(
        ValueError, match="loaded with backend='nnsight'. Load it with backend='tran"
    ):
        jacobian(words_model(), TEXTS)


def test_no_texts_are_a_named_error() -> None:
    with pytest.raises(ValueError, match="at least one; got none"):
        jacobian(words_model("transformer_lens"), [])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_seq_len": 1}, "does not fit on these texts: 'every prompt was too short"),
    ],
)
def test_what_it_is_not_fitted_on_is_a_named_error(options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        jacobian(words_model("transformer_lens"), TEXTS, progress=False, **options)


def test_only_residual_vectors_are_translated(fitted: JacobianLens) -> None:
    writer = fitted.chosen(writers.writers_of(words_model(), "resid_post"))[0]
    for shape in ((0,), (2, 5)):
        with pytest.raises(ValueError, match="resid is vectors of width"):
            fitted.translate(torch.zeros(shape), writer)


def test_it_is_saved_and_checked_against_the_model(fitted: JacobianLens, tmp_path: Path) -> None:
    fitted.save(tmp_path / "jacobian")
    again = JacobianLens.load(tmp_path / "jacobian")
    assert repr(again) == "JacobianLens(words: 2 layers, 3 texts)"
    np.testing.assert_array_equal(again.matrix, fitted.matrix)
    with pytest.raises(ValueError, match="This Jacobian lens was made for words"):
        logit_lens(zoo_model("gpt2"), [[5, 6]], lens=again)


def test_the_model_tokenises_as_before_once_it_is_fitted(fitted: JacobianLens) -> None:
    raw = words_model("transformer_lens").raw
    assert "to_tokens" not in vars(raw)
