"""What a probe says of other texts: pooling, the fit, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.feature_circuit_models import BACKENDS, WIDTH, model
from workbench.edits import Add

#: Of different lengths, so that batches are padded; class 1 where w7 stands.
WORDS = np.random.default_rng(0).integers(8, 60, (24, 5))
LABELS = [i % 2 for i in range(len(WORDS))]
TEXTS = [
    " ".join([*(f"w{w}" for w in row[: 1 + i % 4]), "w7" if i % 2 else "w6"])
    for i, row in enumerate(WORDS)
]
SITE = "L1.resid_post"


def fit(
    of: Any, labels: Any = LABELS, *, texts: Any = TEXTS, pool: Any = "last", edits: Any = (),
    **options: Any,
) -> wb.probing.Probe:  # fmt: skip
    acts = wb.activations(of, texts, SITE, pool=pool, labels={"word": labels}, edits=edits)
    return wb.probe(acts, "word", method="logistic", controls=(), **options)


@cache
def trained(pool: str, backend: str = "nnsight") -> wb.probing.Probe:
    return fit(model("gpt2", backend), pool=pool, l2=0.05)


def weight(of: wb.probing.Probe) -> np.ndarray:
    """(d_model,) what the second class has above the first."""
    return of.weights[SITE][1] - of.weights[SITE][0]


def slow(pool: str, edits: Any = ()) -> torch.Tensor:
    """(text, d_model) one text at a time, so that nothing is padded."""
    out = []
    for text in TEXTS:
        x = model().run(text, read=SITE, edits=edits, logits_at=())[SITE][0]
        out.append(x[-1] if pool == "last" else x.mean(0))
    return torch.stack(out)


#: (d_model, n) some directions that classifiers read along.
DIRECTIONS = np.random.default_rng(1).standard_normal((WIDTH, 3)).astype(np.float32)


def read_out(of: Any, pool: str, **options: Any) -> torch.Tensor:
    """(text, n) the pooled activations along the directions, as classifiers give them."""
    one, zero = trained(pool), np.zeros((1, 2))
    each = [
        replace(one, weights={SITE: np.stack([0 * row, row])}, bias=zero) for row in DIRECTIONS.T
    ]
    return torch.tensor(np.stack([one.logits(of, TEXTS, **options) for one in each], 1))


@pytest.mark.parametrize("pool", ["last", "mean"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_texts_are_pooled_over_their_own_tokens(pool: str, backend: str) -> None:
    found = read_out(model("gpt2", backend), pool)
    torch.testing.assert_close(found, slow(pool) @ torch.tensor(DIRECTIONS), rtol=1e-4, atol=1e-4)
    push = [Add("L0.resid_post", torch.linspace(-1, 1, WIDTH))]
    moved = read_out(model("gpt2", backend), pool, edits=push)
    torch.testing.assert_close(
        moved, slow(pool, push) @ torch.tensor(DIRECTIONS), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("pool", ["last", "mean"])
def test_the_fit_is_the_best_one_of_the_penalised_logistic_loss(pool: str) -> None:
    from sklearn.linear_model import LogisticRegression

    own = trained(pool)
    x = slow(pool).double().numpy()
    scale = x.std(0)
    z = (x - x.mean(0)) / scale
    n = len(x)
    theirs = LogisticRegression(C=1 / (2 * 0.05 * n), tol=1e-10, max_iter=5000).fit(z, LABELS)
    wanted = theirs.decision_function(z)
    logits = own.logits(model(), TEXTS)
    np.testing.assert_allclose(logits, wanted, rtol=1e-2, atol=5e-3)
    bias = own.bias[0, 1] - own.bias[0, 0]
    np.testing.assert_allclose(logits, x @ weight(own) + bias, atol=1e-3)
    assert own.right.shape == (1, n) and own.l2 == 0.05


def test_the_penalty_is_a_hundredth_where_none_is_said() -> None:
    plain, said = fit(model()), fit(model(), l2=0.01)
    assert plain.l2 == 0.01
    np.testing.assert_array_equal(weight(plain), weight(said))
    small, large = (fit(model(), l2=l2) for l2 in (0.02, 1.0))
    assert np.linalg.norm(weight(large)) < np.linalg.norm(weight(small))
    # The penalty is on the weights alone: the bias still says how rare a class is.
    rare = [0] * 20 + [1] * 4
    strong = fit(model(), rare, l2=1e4, folds=4)
    assert strong.logits(model(), TEXTS) == pytest.approx(np.log(4 / 20), abs=1e-2)


def test_both_backends_train_the_same_classifier() -> None:
    one, other = (trained("mean", backend) for backend in BACKENDS)
    logits = [each.logits(model(), TEXTS) for each in (one, other)]
    np.testing.assert_allclose(*logits, rtol=1e-2, atol=1e-2)


def test_a_changed_model_trains_and_reads_another_classifier() -> None:
    edits = [Add("L1.resid_post", 3 * torch.linspace(-1, 1, WIDTH))]
    own = trained("last")
    plain = own.logits(model(), TEXTS)
    moved = own.logits(model(), TEXTS, edits=edits)
    shift = float(3 * torch.linspace(-1, 1, WIDTH) @ torch.as_tensor(weight(own)).float())
    np.testing.assert_allclose(moved - plain, shift, atol=1e-3)
    again = own.again(wb.activations(model(), TEXTS, SITE, labels={"word": LABELS}, edits=edits))
    np.testing.assert_allclose(again.logits(model(), TEXTS, edits=edits), plain, atol=1e-2)


def test_half_precision_and_token_lists_are_read_too() -> None:
    half = model("gpt2", dtype="bfloat16")
    ids = [model().tokens(text).ids[0].tolist() for text in TEXTS]
    own = fit(half, texts=ids)
    logits = own.logits(half, ids)
    assert ((logits > 0) == np.array(LABELS)).all() and logits.dtype == np.float32


def test_a_probe_of_one_site_says_which_and_reads_the_same_from_disk(tmp_path: Path) -> None:
    own = trained("last")
    assert f"'word', at best {own.accuracy[0]:.3f} at L1.resid_post" in repr(own)
    again = wb.probing.Probe.load(own.save(tmp_path / "probe"))
    np.testing.assert_array_equal(again.logits(model(), TEXTS), own.logits(model(), TEXTS))


def test_of_more_than_two_classes_there_is_a_logit_each_and_of_more_sites_one_is_said() -> None:
    labels = [i % 3 for i in range(len(TEXTS))]
    acts = wb.activations(model(), TEXTS, "resid_post", labels={"y": labels})
    own = wb.probe(acts, "y", method="logistic", controls=(), l2=0.5)
    logits = own.logits(model(), TEXTS, site=SITE)
    assert logits.shape == (24, 3) and own.classes == ("0", "1", "2")
    wanted = acts[SITE] @ own.weights[SITE].T + own.bias[1]
    np.testing.assert_allclose(logits, wanted, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="This probe is read at one site, not at 2"):
        own.logits(model(), TEXTS)
    with pytest.raises(ValueError, match="site is one of .*; got 'L7.mlp_out'"):
        own.logits(model(), TEXTS, site="L7.mlp_out")


def test_a_fit_to_other_rows_has_the_same_classes() -> None:
    acts = wb.activations(model(), TEXTS, SITE, labels={"word": [1] * 24})
    with pytest.raises(ValueError, match=r"The label 'word' is of the classes \('0', '1'\)"):
        trained("last").again(acts)
