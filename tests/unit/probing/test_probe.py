"""A probe: against fits written out, and failing where nothing is to be read."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.model_selection import StratifiedGroupKFold
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

import workbench as wb

BACKENDS = ("nnsight", "transformer_lens")
SHE = ["Mary", "Anna", "Alice", "Lucy", "Emma", "Sarah", "Jane", "Kate", "Laura", "Helen", "Lisa"]
HE = ["John", "Tom", "Peter", "Paul", "Jack", "James", "David", "Mark", "Henry", "Thomas", "Eric"]
BEGINNINGS = ["In the morning {} said that", "Yesterday {} was tired because", "When {} came home,"]
TEXTS = [text.format(name) for name in SHE + HE for text in BEGINNINGS]
LABELS = ["she" if name in SHE else "he" for name in SHE + HE for _ in BEGINNINGS]
NAMES = [name for name in SHE + HE for _ in BEGINNINGS]
#: Also called in ways that its signature forbids.
probe: Any = wb.probe


def read(model: Any) -> Any:
    """What stands in texts about names, a group a name."""
    return wb.activations(model, TEXTS, "resid_post", labels={"who": LABELS}, groups=NAMES)


@cache
def named(backend: str = "nnsight") -> Any:
    return read(wb.load("tinyworld", backend=backend, device="cpu"))


@cache
def untrained() -> Any:
    folder = str(wb.data.path("models", "tinyworld"))
    torch.manual_seed(0)
    hf_model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return read(wb.load(hf_model, tokenizer=tokenizer, name="untrained"))


def noise(labels: list[Any], groups: Any = None, d: int = 6, shift: float = 0.0) -> Any:
    """Rows of noise, with the first label of the column moved by `shift`."""
    rows = np.random.default_rng(5).standard_normal((len(labels), d))
    rows[np.array(labels) == labels[0]] += shift
    return wb.Activations.of_rows(rows, labels={"y": labels}, groups=groups)


def by_hand(x: Any, y: np.ndarray, groups: np.ndarray, method: str, l2: float) -> np.ndarray:
    """Whether each row is read right, two classes, by a solved ridge or a descended logistic."""
    x, sign = (
        torch.as_tensor(x.copy(), dtype=torch.float64),
        torch.as_tensor(np.where(y == np.unique(y)[1], 1, -1)),
    )
    out = np.zeros(len(y), bool)
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(x, y, groups):
        assert not set(groups[train]) & set(groups[test])
        size = x[train].std(0, correction=0)
        z, t = (x - x[train].mean(0)) / size, sign[train].double()
        if method == "ridge":
            gram = z[train].T @ z[train] / len(train) + l2 * torch.eye(x.shape[1])
            w = torch.linalg.solve(gram, z[train].T @ (t - t.mean()) / len(train))
            b = t.mean()
        else:
            full = torch.zeros(x.shape[1] + 1, dtype=torch.float64, requires_grad=True)
            step = torch.optim.LBFGS([full], max_iter=300, line_search_fn="strong_wolfe")

            def loss(z=z, t=t, train=train, full=full, step=step):
                step.zero_grad()
                margin = t * (z[train] @ full[1:] + full[0])
                value = torch.log1p((-margin).exp()).mean() + l2 * full[1:].square().sum()
                value.backward()
                return value

            step.step(loss)
            w, b = full.detach()[1:], full.detach()[0]
        out[test] = ((z[test] @ w + b > 0) == (sign[test] > 0)).numpy()
    return out


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["ridge", "logistic"])
def test_every_site_is_read_as_by_a_fit_written_out(backend, method):
    acts = named(backend)
    found = probe(acts, "who", method=method, l2=0.1, n_controls=2)
    assert found.sites == acts.sites
    for site, right in zip(found.sites, found.right, strict=True):
        wanted = by_hand(acts[site], acts.label("who"), acts.group, method, 0.1)
        assert np.array_equal(right, wanted)
    assert np.array_equal(found.accuracy, found.right.mean(1))
    assert np.all((found.low < found.accuracy) & (found.accuracy < found.high + 1e-12))


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_reads_of_new_names_what_the_model_learnt(backend):
    found = probe(named(backend), "who", n_controls=10)
    best = found.accuracy.argmax()
    assert found.accuracy[best] > 0.85 and found.beyond[best] == 1
    assert found.control_high[best] < found.low[best]


def test_it_fails_on_a_model_that_has_learnt_nothing():
    found = probe(untrained(), "who", n_controls=1)
    assert found.accuracy.max() < 0.75


def test_it_fails_on_shuffled_labels_and_says_how_far():
    found = probe(named(), "who", n_controls=10)
    draws = found.to_frame("draws")
    assert len(draws) == 40 and abs(draws.shuffled.mean() - 0.5) < 0.08
    line = found.to_frame().iloc[2]
    drawn = found.shuffled[2]
    assert np.isclose(line.control, drawn.mean())
    assert np.isclose(line.control_low, np.quantile(drawn, 0.025))
    assert np.isclose(line.control_high, np.quantile(drawn, 0.975))
    assert line.beyond == (drawn < line.accuracy).mean()
    assert list(probe(named(), "who", controls=()).to_frame()) == [
        "site", "accuracy", "low", "high",
    ]  # fmt: skip
    # A draw that reads as many right is not worse.
    nothing = wb.Activations.of_rows(np.zeros((40, 3)), labels={"y": [0] * 12 + [1] * 28})
    assert probe(nothing, "y", n_controls=4).beyond.tolist() == [0.0]


def test_the_interval_is_wilsons():
    found = probe(noise([0, 1] * 20, shift=2.0), "y", n_controls=1)
    n, p, z = 40, found.accuracy[0], 1.959963985
    middle, half = p + z * z / 2 / n, z * np.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    ends = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    assert np.allclose((found.low[0], found.high[0]), ends)


def test_groups_are_never_split_and_rows_are_where_asked():
    # Each row stands twice, with a label by chance: only a probe that has seen its twin reads it.
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.standard_normal((30, 60)), 2, axis=0)
    twins, y = np.repeat(np.arange(30), 2), np.repeat(rng.permutation([0, 1] * 15), 2)
    acts = wb.Activations.of_rows(rows, labels={"y": y.tolist()}, groups=twins)
    assert probe(acts, "y", controls=()).accuracy[0] < 0.7
    assert probe(acts, "y", controls=(), split="row").accuracy[0] > 0.85


def test_labels_are_shuffled_between_groups_where_each_has_one_and_else_between_rows():
    # Two equal rows a group, read alike: an even number is right where their labels are equal, and
    # an odd one where they are drawn apart from 29 zeros.
    rows = np.repeat(np.random.default_rng(0).standard_normal((30, 60)), 2, axis=0)
    for y, one_a_group in (([0, 0, 1, 1] * 15, True), ([0, 1] * 29 + [1, 1], False)):
        acts = wb.Activations.of_rows(rows, labels={"y": y}, groups=np.repeat(np.arange(30), 2))
        n_right = np.rint(60 * probe(acts, "y", n_controls=10).shuffled).astype(int)
        assert (n_right % 2 == (0 if one_a_group else 1)).all()


def test_several_classes_and_labels_within_groups():
    labels = ["a", "b", "c"] * 20
    found = probe(noise(labels, groups=np.repeat(range(20), 3), shift=4.0), "y", n_controls=3)
    rows = found.to_frame("rows")
    assert rows.right[rows.row % 3 == 0].mean() > 0.9
    assert rows.right[rows.row % 3 != 0].mean() < 0.75
    again = probe(noise(labels, groups=np.repeat(range(20), 3), shift=4.0), "y", n_controls=3)
    assert np.array_equal(found.shuffled, again.shuffled)


def test_it_is_saved_drawn_and_said(tmp_path):
    found = probe(named(), "who", n_controls=2)
    again = type(found).load(found.save(tmp_path / "probe"))
    assert again.to_frame().equals(found.to_frame()) and np.array_equal(again.right, found.right)
    best = found.accuracy.max()
    assert repr(found) == f"Probe(tinyworld: 'who', at best {best:.3f} at 4 sites)"
    assert len(found.plot().get_yticklabels()) == 4
    assert probe is wb.probing.probe


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: probe(noise([1] * 20), "y"), r"The label 'y' is of two classes or more, each"),
        (
            lambda: probe(noise([0, 1] * 10, groups=[0, 1] * 10), "y"),
            r"in at least 5 groups, one a fold; got \{'0': 1, '1': 1\}. Take fewer folds",
        ),
        (lambda: probe(noise([0, 1] * 10), "z"), r"The labels of these activations are 'y'"),
        (lambda: probe(noise([0, 1] * 10), "y", folds=1), r"folds is a whole number from 2"),
        (lambda: probe(noise([0, 1] * 10), "y", l2=0), r"l2 is a finite number above 0; got 0"),
        (
            lambda: probe(noise([0, 1] * 10), "y", method="lda"),
            r"method is one of 'ridge', 'logistic'; got 'lda'",
        ),
        (lambda: probe(noise([0, 1] * 10), "y", controls=("random",)), r"controls is .*'shuff"),
    ],
)
def test_errors_name_the_rule_and_the_next_step(call, words):
    with pytest.raises((ValueError, KeyError), match=words):
        call()
