"""Classifiers of texts: pooling, the fit, and what is refused."""

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


@cache
def trained(pool: str, backend: str = "nnsight") -> wb.Classifier:
    return wb.train_classifier(
        model("gpt2", backend), SITE, TEXTS, LABELS, classes=("six", "seven"), pool=pool, l2=0.05
    )


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
    each = [replace(trained(pool), weight=row.copy(), bias=0.0) for row in DIRECTIONS.T]
    return torch.tensor(np.stack([one.logits(of, TEXTS, **options) for one in each], 1))


@pytest.mark.parametrize("pool", ["last", "mean"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_texts_are_pooled_over_their_own_tokens(pool: str, backend: str) -> None:
    found = read_out(model("gpt2", backend), pool, batch_size=5)
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
    scale = x.std(0, ddof=1) + 1e-6
    z = (x - x.mean(0)) / scale
    n = len(x)
    theirs = LogisticRegression(C=1 / (2 * 0.05 * n), tol=1e-10, max_iter=5000).fit(z, LABELS)
    wanted = theirs.decision_function(z)
    logits = own.logits(model(), TEXTS)
    np.testing.assert_allclose(logits, wanted, rtol=1e-2, atol=5e-3)
    np.testing.assert_allclose(logits, x @ own.weight.astype(np.float64) + own.bias, atol=1e-3)
    assert own.accuracy == np.mean((wanted > 0) == np.array(LABELS))
    assert own.n_texts == n and own.l2 == 0.05


def test_the_penalty_is_a_hundredth_where_none_is_said_and_may_be_nothing() -> None:
    plain = wb.train_classifier(model(), SITE, TEXTS, LABELS)
    said, free = (wb.train_classifier(model(), SITE, TEXTS, LABELS, l2=l2) for l2 in (0.01, 0.0))
    assert (plain.l2, free.l2) == (0.01, 0.0)
    np.testing.assert_array_equal(plain.weight, said.weight)
    # Without a penalty classes that can be told apart push the weights ever further.
    assert np.linalg.norm(free.weight) > 2 * np.linalg.norm(plain.weight)
    small, large = (wb.train_classifier(model(), SITE, TEXTS, LABELS, l2=l2) for l2 in (0.02, 1.0))
    assert np.linalg.norm(large.weight) < np.linalg.norm(small.weight)
    # The penalty is on the weights alone: the bias still says how rare a class is.
    rare = [0] * 20 + [1] * 4
    strong = wb.train_classifier(model(), SITE, TEXTS, rare, l2=1e4)
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
    shift = float(3 * torch.linspace(-1, 1, WIDTH) @ torch.as_tensor(own.weight.copy()))
    np.testing.assert_allclose(moved - plain, shift, atol=1e-3)
    again = wb.train_classifier(model(), SITE, TEXTS, LABELS, l2=0.05, edits=edits)
    np.testing.assert_allclose(again.logits(model(), TEXTS, edits=edits), plain, atol=1e-2)


def test_half_precision_and_token_lists_are_read_too() -> None:
    half = model("gpt2", dtype="bfloat16")
    ids = [model().tokens(text).ids[0].tolist() for text in TEXTS]
    own = wb.train_classifier(half, SITE, ids, LABELS)
    assert own.accuracy == 1.0 and own.logits(half, ids).dtype == np.float32


def test_a_classifier_is_listed_and_the_same_from_disk(tmp_path: Path) -> None:
    own = trained("last")
    assert own.to_frame().to_dict("records") == [
        {
            "site": SITE,
            "pool": "last",
            "classes": "six / seven",
            "n_texts": 24,
            "accuracy": own.accuracy,
            "l2": 0.05,
        }
    ]
    assert "six / seven at the last token of L1.resid_post" in repr(own)
    own.save(tmp_path / "classifier")
    again = wb.Classifier.load(tmp_path / "classifier")
    np.testing.assert_array_equal(again.logits(model(), TEXTS), own.logits(model(), TEXTS))


@pytest.mark.parametrize(
    ("labels", "options", "rule"),
    [
        (LABELS[:-1], {}, r"a 0 or 1 for each of 24 texts; got shape \(23,\)"),
        ([2, *LABELS[1:]], {}, r"with the values \[0, 1, 2\]"),
        ([1] * 24, {}, "needs texts of both classes; all are of 1"),
        (LABELS, {"pool": "max"}, "pool is last or mean; got 'max'"),
        (LABELS, {"l2": -1}, "l2 is a finite number from 0; got -1"),
        (LABELS, {"batch_size": 0}, "batch_size is a whole number from 1; got 0"),
        (LABELS, {"site": "L9.resid_post"}, "layers 0 to 1; got layer 9"),
    ],
)
def test_wrong_texts_labels_and_options_are_refused(
    labels: list[int], options: dict[str, Any], rule: str
) -> None:
    call: dict[str, Any] = {"site": SITE, "texts": TEXTS, "labels": labels} | options
    with pytest.raises(ValueError, match=rule):
        wb.train_classifier(model(), **call)


def test_one_text_or_none_is_refused() -> None:
    with pytest.raises(TypeError, match="Put a single text into a list"):
        wb.train_classifier(model(), SITE, "w2 w3", [0])
    with pytest.raises(ValueError, match="needs at least one; got none"):
        wb.train_classifier(model(), SITE, [], [])
