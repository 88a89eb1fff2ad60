"""The tuned lens: it starts as the logit lens, training brings every layer closer to the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.kernels import tuned_lens as module
from tests.unit.lens_models import PROMPT, TEXTS, logit_lens, words_model, zoo_model
from workbench.lens import TunedLens, tuned
from workbench.loading import load


@pytest.fixture(scope="module")
def trained() -> TunedLens:
    return tuned(words_model(), TEXTS, steps=25, progress=False)


def test_untrained_translators_give_the_logit_lens_exactly() -> None:
    model = words_model()
    lens = logit_lens(model, PROMPT, lens=[None, TunedLens.identity(model)])
    plain, tuned = lens.panels
    assert (plain.lens, tuned.lens) == ("logit lens", "tuned lens")
    assert plain.rows == tuned.rows
    for name in ("top_ids", "top_logprobs", "entropy", "kl", "track_ranks"):
        np.testing.assert_array_equal(getattr(plain, name), getattr(tuned, name))


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_training_lowers_the_kl_of_every_layer_but_the_last(backend: str) -> None:
    model = words_model(backend)
    lens = tuned(model, TEXTS, steps=25, learning_rate=3e-3, progress=False)
    held_out = ["When John and Anna went to the park, Anna gave a drink to John."]
    frame = lens.evaluate(model, held_out)
    assert frame["row"].tolist() == ["embed", "L0", "L1", "L2"]
    gain = frame["kl_logit_lens"] - frame["kl_tuned_lens"]
    assert (gain.to_numpy()[:-1] > 0).all()
    assert frame["kl_tuned_lens"].iloc[-1] == frame["kl_logit_lens"].iloc[-1] == 0
    assert frame["n_positions"].iloc[0] == len(model.tokens(held_out).strings[0])


def test_it_lowers_the_kl_of_a_model_that_others_trained(asset: Callable[..., Path]) -> None:
    folder = asset("models", "slm4096")
    text = (folder / "corpus.txt").read_text()
    texts = [text[i : i + 90] for i in range(0, 3600, 90)]
    model = load(folder, device="cpu")
    lens = tuned(model, texts[:30], steps=30, learning_rate=3e-3, progress=False)
    frame = lens.evaluate(model, texts[30:])
    before, after = frame["kl_logit_lens"].to_numpy(), frame["kl_tuned_lens"].to_numpy()
    assert (after[:-1] < before[:-1]).all()


def test_the_evaluation_is_the_mean_kl_of_the_two_lenses(trained: TunedLens) -> None:
    model = words_model()
    frame = trained.evaluate(model, TEXTS)
    slow = []
    for lens in (None, trained):
        panels = [logit_lens(model, text, lens=lens).panel() for text in TEXTS]
        slow.append(np.concatenate([panel.kl[0] for panel in panels], axis=1).mean(1))
    np.testing.assert_allclose(frame["kl_logit_lens"], slow[0], atol=1e-5)
    np.testing.assert_allclose(frame["kl_tuned_lens"], slow[1], atol=1e-5)


def test_a_translator_is_matrix_times_vector_plus_bias(trained: TunedLens) -> None:
    model = words_model()
    panel = logit_lens(model, PROMPT, lens=trained, k=3).panel()
    resid = model.run(PROMPT, read="L1.resid_post")["L1.resid_post"][0]
    row = trained.rows.index("L1")
    matrix, bias = (torch.from_numpy(a[row].copy()) for a in (trained.matrix, trained.bias))
    logprobs = model.unembed(resid @ matrix.T + bias).log_softmax(-1)
    expected = logprobs.topk(3).values
    np.testing.assert_allclose(panel.top_logprobs[0, panel.rows.index("L1")], expected, atol=1e-5)


def test_the_loss_it_trains_on_is_the_kl_to_the_final_distribution() -> None:
    model = words_model()
    run = model.run(PROMPT, read=["L0.resid_post", "L2.resid_post"])
    x, final = run["L0.resid_post"][0], run["L2.resid_post"][0]
    delta = torch.zeros(1, 32, 32, requires_grad=True)
    bias = torch.zeros(1, 32, requires_grad=True)
    (loss,) = module._backward(model, x[None], final, delta, bias)
    p, q = (model.unembed(v).double().log_softmax(-1) for v in (final, x))
    assert loss == pytest.approx(float((p.exp() * (p - q)).sum(-1).mean()), abs=1e-5)
    step, grad = 1e-2, delta.grad
    assert grad is not None
    moved = torch.zeros_like(delta)
    moved[0, 3, 5] = step
    with torch.no_grad():
        q = model.unembed(x + x @ moved[0].T).double().log_softmax(-1)
    slope = (float((p.exp() * (p - q)).sum(-1).mean()) - loss) / step
    assert slope == pytest.approx(float(grad[0, 3, 5]), rel=0.05, abs=1e-3)


def by_adam(lr: float, steps: int, texts: list[str], row: str) -> tuple[np.ndarray, np.ndarray]:
    """The matrix and bias of one translator after so many steps of Adam on all texts, by hand."""
    model = words_model()
    x, final = (
        torch.cat([model.run(text, read=site)[site][0] for text in texts])
        for site in (f"{row}.resid_post", "L2.resid_post")
    )
    p = model.unembed(final).log_softmax(-1)
    values = [torch.zeros(32, 32), torch.zeros(32)]
    first, second = ([torch.zeros_like(v) for v in values] for _ in range(2))
    for step in range(steps):
        delta, bias = (value.requires_grad_() for value in values)
        with torch.enable_grad():
            q = model.unembed(x + x @ delta.T + bias).log_softmax(-1)
            grads = torch.autograd.grad((p.exp() * (p - q)).sum(-1).mean(), (delta, bias))
        rate = lr * (steps - step) / steps
        for i, grad in enumerate(grads):
            first[i] = 0.9 * first[i] + 0.1 * grad
            second[i] = 0.999 * second[i] + 0.001 * grad**2
            size = (second[i] / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
            values[i] = values[i].detach() - rate * first[i] / (1 - 0.9 ** (step + 1)) / size
    return (torch.eye(32) + values[0]).numpy(), values[1].numpy()


@pytest.mark.parametrize("lr", [None, 4e-3])
def test_every_step_is_one_of_adam_at_a_rate_that_falls_to_nothing(lr: float | None) -> None:
    options: dict[str, Any] = {} if lr is None else {"learning_rate": lr}
    lens = tuned(words_model(), TEXTS, steps=4, progress=False, **options)
    row = lens.rows.index("L1")
    matrix, bias = by_adam(lr or 1e-3, 4, TEXTS, "L1")
    np.testing.assert_allclose(lens.matrix[row], matrix, atol=2e-5)
    np.testing.assert_allclose(lens.bias[row], bias, atol=2e-5)
    assert np.abs(matrix - np.eye(32)).max() > 2e-3


def test_a_step_reads_as_many_texts_as_asked_and_256_positions_at_most(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []
    real = module._backward

    def counted(model: Any, resid: torch.Tensor, *rest: Any) -> list[float]:
        seen.append(resid.shape[1])
        return real(model, resid, *rest)

    monkeypatch.setattr(module, "_backward", counted)
    model = words_model()
    lengths = [len(model.tokens(text).strings[0]) for text in TEXTS]
    for size in (1, 2, 3, 9):
        tuned(model, TEXTS, steps=1, batch_size=size, progress=False)
    assert seen[0] in lengths and seen[1] in [sum(lengths) - n for n in lengths]
    assert seen[2:] == [sum(lengths)] * 2
    rows = [[5 + i] * 40 for i in range(7)]
    texts = [model.tokenizer.decode(row) for row in rows]
    total = sum(len(model.tokens(text).strings[0]) for text in texts)
    assert total > 256
    tuned(model, texts, steps=1, batch_size=7, progress=False)
    assert seen[-1] == 256


def test_the_seed_decides_the_training() -> None:
    model = words_model()
    one, same, other = (
        tuned(model, TEXTS, steps=3, batch_size=1, seed=seed, progress=False) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one.matrix, same.matrix)
    assert one.seed == 1 and not np.array_equal(one.matrix, other.matrix)


def test_an_interrupt_keeps_what_was_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, real = [], module._sample

    def interrupted(*arguments: Any) -> Any:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(module, "_sample", interrupted)
    with pytest.warns(UserWarning, match="interrupted after 3 of 20 steps"):
        lens = tuned(words_model(), TEXTS, steps=20, progress=False)
    assert lens.loss.shape == (3, 3)
    assert not np.array_equal(lens.matrix[0], np.eye(32))


def test_training_leaves_the_model_as_it_was(trained: TunedLens) -> None:
    model = words_model()
    before = model.run(PROMPT).logits
    tuned(model, TEXTS, steps=2, progress=False)
    assert torch.equal(model.run(PROMPT).logits, before)
    assert not any(p.requires_grad or p.grad is not None for p in model.raw._module.parameters())


def test_it_is_saved_and_read_again(trained: TunedLens, tmp_path: Path) -> None:
    trained.save(tmp_path / "tuned")
    assert (tmp_path / "tuned.safetensors").is_file()
    again = TunedLens.load(tmp_path / "tuned")
    assert repr(again) == repr(trained) == "TunedLens(words: 3 translators, 25 training steps)"
    one, other = (logit_lens(words_model(), PROMPT, lens=lens) for lens in (trained, again))
    np.testing.assert_array_equal(one.panel().top_logprobs, other.panel().top_logprobs)
    assert len(trained.to_frame()) == 25 * 3


def test_a_lens_of_another_model_is_refused(trained: TunedLens) -> None:
    text = r"was made for words \(3 layers, width 32\); gpt2 has 2 layers and width 32. Make one"
    with pytest.raises(ValueError, match=text):
        logit_lens(zoo_model("gpt2"), [[5, 6]], lens=trained)


def test_it_reads_nothing_but_the_residual_stream_after_layers(trained: TunedLens) -> None:
    with pytest.raises(ValueError, match="tuned lens translates .* cannot read 'attn_out'"):
        logit_lens(words_model(), PROMPT, lens=trained, sites="attn_out")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"texts": []}, r"needs at least one; got none"),
        ({"texts": TEXTS, "steps": 0}, "steps is a whole number from 1; got 0"),
        ({"texts": TEXTS, "batch_size": 0}, "batch_size is a whole number from 1; got 0"),
    ],
)
def test_bad_input_is_a_named_error(arguments: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tuned(words_model(), **arguments)
