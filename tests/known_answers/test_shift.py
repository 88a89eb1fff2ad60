"""SHIFT where the shortcut is known: words that go with a label in training, and not in truth.

A dictionary of known directions reads the embedding: one feature says which of two label words
stands in a text, another which of two shortcut words, the others are filler words. In training both
pairs go together, and the model tells the shortcut words more clearly apart; on the balanced texts
the two are independent.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from workbench.activations import activations
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import Linear
from workbench.effects import Effects
from workbench.features.effects import effects
from workbench.features.shift import shift
from workbench.loading import load
from workbench.probing.probe import Probe, probe

BACKENDS = ("nnsight", "transformer_lens")
WORDS = (" doctor", " farmer", " park", " river")
LABEL, SHORTCUT, N_FILLERS = 0, 1, 20
SITE = "L1.resid_post"
N_BIASED = 320


@cache
def model(backend: str = "nnsight") -> Any:
    return load("tinyworld", backend=backend, device="cpu")


@cache
def words() -> tuple[list[int], list[int]]:
    """The tokens of the label and shortcut words, and those of the fillers."""
    four = [model().tokenizer.encode(word, add_special_tokens=False) for word in WORDS]
    assert all(len(ids) == 1 for ids in four)
    own = [ids[0] for ids in four]
    rest = [i for i in range(1400, 1700) if i not in own]
    return own, np.random.default_rng(1).choice(rest, N_FILLERS, replace=False).tolist()


@cache
def dicts() -> Dictionaries:
    """Feature 0: + for the first label word, − for the second; 1: the same of the shortcut."""
    own, fillers = words()
    W = model().weight("W_E").float()
    rows = [(W[own[0]] - W[own[1]]) / 2, (W[own[2]] - W[own[3]]) / 2]
    rows += [(W[own[0]] + W[own[1]]) / 2, (W[own[2]] + W[own[3]]) / 2, *W[fillers]]
    W_dec = torch.stack(rows)
    encoder = Linear(torch.linalg.pinv(W_dec), torch.zeros(len(rows)))
    made = Dictionary("L0.resid_pre", encoder, W_dec, torch.zeros(W_dec.shape[1]))
    return Dictionaries([made])


def texts(n: int, seed: int, *, balanced: bool) -> tuple[list[list[int]], list[int], list[str]]:
    """Texts as tokens, their labels, and what stands in each; the order of words is random."""
    (first, second, one, other), fillers = words()
    draw = np.random.default_rng(seed)
    out, labels, groups = [], [], []
    for i in range(n):
        label = i % 2
        cue = (i // 2) % 2 if balanced else label
        ids = [second if label == 0 else first, other if cue == 0 else one]
        ids += draw.choice(fillers, 3).tolist()
        out.append(draw.permutation(ids).tolist())
        labels.append(label)
        groups.append(f"label {label}, shortcut {cue}")
    return out, labels, groups


@cache
def classifier() -> Probe:
    biased, labels, _ = texts(N_BIASED, 0, balanced=False)
    acts = activations(model(), biased, SITE, pool="mean", labels={"label": labels})
    return probe(acts, "label", method="logistic", l2=0.003, controls=())


@cache
def without(*features: int, backend: str = "nnsight") -> Effects:
    given, labels, groups = texts(120, 1, balanced=True)
    biased, biased_labels, _ = texts(N_BIASED, 0, balanced=False)
    names = [f"L0.resid_pre/{i}" for i in features]
    found: Any = effects(model(), biased, dicts(), metric=classifier(), labels=biased_labels)
    units = [name.rpartition("/")[2] for name in found.nodes["node"]]
    return shift(
        model(backend),
        given,
        classifier(),
        dicts(),
        names,
        labels=labels,
        groups=groups,
        training=(biased, biased_labels),
        # Neither the label's feature nor the shortcut's is a random one.
        like=replace(found, active=[0.0 if unit in ("0", "1") else 1.0 for unit in units]),
    )


def test_the_dictionary_reads_the_words_it_is_made_of() -> None:
    own, fillers = words()
    x = model().weight("W_E").float()[[*own, *fillers]]
    codes = dicts()["L0.resid_pre"].encode(x)
    np.testing.assert_allclose(codes[:4, LABEL], [1, -1, 0, 0], atol=1e-3)
    np.testing.assert_allclose(codes[:4, SHORTCUT], [0, 0, 1, -1], atol=1e-3)
    np.testing.assert_allclose(codes[4:, :2], 0, atol=1e-3)


def test_the_classifier_is_right_on_biased_texts_and_often_wrong_on_balanced_ones() -> None:
    assert classifier().accuracy[0] == 1.0
    accuracy, *groups = (np.nanmean(one.plain) for one in without(SHORTCUT).measures)
    assert 0.45 <= accuracy <= 0.75
    assert min(groups) <= 0.35 and max(groups) == 1.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_the_shortcut_the_classifier_is_right_and_without_others_it_is_not(
    backend: str,
) -> None:
    result = without(SHORTCUT, backend=backend)
    frame = result.to_frame()
    accuracy = frame[frame.measure == "accuracy"].set_index("change")
    assert (accuracy.changed >= 0.95).all() and len(accuracy) == 3
    assert result.score(change="after")[1] >= 0.2
    assert (accuracy.control[["after", "recentred"]].abs() <= 0.05).all()
    assert frame.changed[frame.change == "after"].min() >= 0.9


def test_without_the_label_itself_nothing_is_left_but_the_shortcut() -> None:
    result = without(LABEL)
    accuracy = result["accuracy"].changed.mean(1)
    assert accuracy[0] <= 0.6 and accuracy[2] <= 0.6


def test_the_shortcut_is_the_feature_that_separates_the_classes_most() -> None:
    biased, labels, _ = texts(N_BIASED, 0, balanced=False)
    found = effects(model(), biased, dicts(), metric=classifier(), labels=labels)
    order = found.to_frame()["node"].tolist()
    assert order[:2] == [f"L0.resid_pre/{i}" for i in (SHORTCUT, LABEL)]
    given, _, groups = texts(120, 1, balanced=True)
    cue = [int(group[-1]) for group in groups]
    found = effects(model(), given, dicts(), metric=classifier(), labels=cue)
    assert found.separation is not None
    best, second = np.sort(np.abs(found.separation))[:-3:-1]
    assert found.to_frame()["node"].tolist()[0] == f"L0.resid_pre/{SHORTCUT}"
    assert best > 2 * second
