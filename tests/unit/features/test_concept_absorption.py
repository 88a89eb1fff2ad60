"""Absorption and hedging position by position, at their thresholds, and with codes of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.kernels import concept_detection, concept_evaluation
from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import ReLU
from workbench.dictionary.normalization import Normalization
from workbench.site import Site

SITE = Site.parse("L0.resid_post")
WIDTH, N_FEATURES, N_TEXTS = 8, 10, 6
#: Words 0 and 1 are of one concept, 2 and 3 of its rival, 4 of none.
MEMBER = torch.tensor([[1, 0], [1, 0], [0, 1], [0, 1], [0, 0]]).bool()


def placed(rows: torch.Tensor, words: list[int], texts: list[int]) -> concept_detection.Vectors:
    return concept_detection.Vectors.of(
        concept_detection.VectorBatch({SITE: rows}, torch.tensor(words), torch.tensor(texts))
    )


def candidates(mains: list[list[int]]) -> concept_detection.Candidates:
    """The features that each concept takes, as if they had been found."""
    width = max(map(len, mains))
    rows = np.array([row + [0] * (width - len(row)) for row in mains])
    ones = np.ones(rows.shape)
    order = np.tile(np.arange(width), (len(mains), 1))
    counts = np.array([len(row) for row in mains])
    return concept_detection.Candidates(rows, ones, ones, ones, counts, order, ones)


def random_case(
    seed: int, **options: Any
) -> tuple[Dictionary, concept_detection.Vectors, Any, list[list[int]]]:
    made = torch.Generator().manual_seed(seed)
    n = 60
    x = torch.randn(n, WIDTH, generator=made)
    words = torch.randint(-1, 5, (n,), generator=made).tolist()
    x[[w in (0, 1) for w in words]] += torch.tensor([2.0] + [0.0] * 7)
    texts = torch.randint(0, N_TEXTS, (n,), generator=made).sort().values.tolist()
    W_dec = torch.randn(N_FEATURES, WIDTH, generator=made)
    W_enc = torch.randn(WIDTH, N_FEATURES, generator=made)
    own = Dictionary(
        SITE, ReLU(W_enc, torch.full((N_FEATURES,), -1.0)), W_dec, torch.zeros(WIDTH), **options
    )
    found = placed(x, words, texts)
    return (
        own,
        found,
        concept_detection.WordMeans.of(found, SITE, MEMBER, ["f", "f"]),
        [[0, 3], [5]],
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("scale", ["none", "layer_norm"])
def test_absorption_is_counted_position_by_position(seed: int, scale: Any) -> None:
    own, found, means, mains = random_case(seed, normalization=Normalization(scale=scale))
    result = concept_evaluation.absorption(own, candidates(mains), found, means)
    (batch,) = list(found)
    present, absorbed = np.zeros((2, N_TEXTS)), np.zeros((2, N_TEXTS))
    shares: list[list[float]] = [[], []]
    for c in range(2):
        mine = [w for w in range(5) if MEMBER[w, c]]
        theirs = [w for w in range(5) if MEMBER[w, 1 - c]]
        x = batch.at[SITE].double()
        rows = {
            w: [i for i, word in enumerate(batch.words.tolist()) if word == w] for w in range(5)
        }
        centre = x[[i for w in mine for i in rows[w]]].mean(0)
        rival = x[[i for w in theirs for i in rows[w]]].mean(0)
        p = (centre - rival) / (centre - rival).norm()
        for i in [i for w in mine for i in rows[w]]:
            wanted = float((x[i] - rival) @ p)
            if wanted <= 0.5 * float((centre - rival) @ p):
                continue
            text = int(batch.texts[i])
            present[c, text] += 1
            codes = own.encode(batch.at[SITE][i][None])[0].double()
            size = float(x[i].std() + 1e-5) if scale == "layer_norm" else 1.0
            writes = [
                float(code * size * (row.double() @ p))
                for code, row in zip(codes, own.W_dec, strict=True)
            ]
            cosines = [float(row.double() @ p / row.double().norm()) for row in own.W_dec]
            others = [f for f in range(N_FEATURES) if f not in mains[c] and cosines[f] >= 0.1]
            silent = all(float(codes[f]) <= 0 for f in mains[c])
            most = max((writes[f] for f in others), default=0.0)
            absorbed[c, text] += silent and most >= 0.4 * wanted
            of_main = max(0.0, sum(writes[f] for f in mains[c]))
            of_other = sum(max(0.0, writes[f]) for f in others)
            shares[c].append(of_other / (of_main + of_other) if of_main + of_other else 0.0)
    np.testing.assert_array_equal(result.present, present)
    np.testing.assert_array_equal(result.absorbed, absorbed)
    np.testing.assert_allclose(result.fraction, [np.mean(each) for each in shares], rtol=1e-5)
    assert 0 < absorbed.sum() < present.sum()


def coded(codes: list[float], W_dec: torch.Tensor, mains: list[int]) -> Any:
    """Absorption of the first concept, whose two words lie at 2.5 along the first axis from its
    rival, and where the features have these codes.
    """
    x = torch.zeros(5, WIDTH)
    x[:2, 0] = 2.5
    found = placed(x, [0, 1, 2, 3, 4], [0, 1, 2, 3, 4])
    W_enc = torch.zeros(WIDTH, len(codes))
    W_enc[0] = torch.tensor(codes) / 2.5
    given = Dictionary(SITE, ReLU(W_enc, torch.zeros(len(codes))), W_dec, torch.zeros(WIDTH))
    means = concept_detection.WordMeans.of(found, SITE, MEMBER, ["f", "f"])
    return concept_evaluation.absorption(given, candidates([mains, [0]]), found, means)


def row(along: float, aside: float) -> list[float]:
    return [along, 0.0, 0.0, aside, *[0.0] * (WIDTH - 4)]


@pytest.mark.parametrize(
    ("codes", "rows", "absorbed"),
    [
        ([0.0, 1.0], [row(1, 0), row(1, 0)], 2),  # 0.4 of 2.5, by one feature
        ([0.0, 0.99], [row(1, 0), row(1, 0)], 0),
        ([0.0, 0.6, 0.6], [row(1, 0), row(1, 0), row(1, 0)], 0),  # by two together it is not
        ([0.1, 2.0], [row(1, 0), row(1, 0)], 0),  # a main feature fires
        ([0.0, 11.0], [row(1, 0), row(0.1, (1 - 0.01) ** 0.5)], 2),  # a cosine of 0.1
        ([0.0, 12.0], [row(1, 0), row(0.09, (1 - 0.09**2) ** 0.5)], 0),
        ([0.0, 0.5], [row(1, 0), row(2, 0)], 2),  # what is written counts, not the code
    ],
)
def test_one_other_feature_carries_four_tenths_or_it_is_no_absorption(
    codes: list[float], rows: list[list[float]], absorbed: int
) -> None:
    found = coded(codes, torch.tensor(rows), [0])
    assert found.present[0].sum() == 2 and found.absorbed[0].sum() == absorbed


def test_what_pulls_back_carries_nothing_and_gives_nothing_away() -> None:
    rows = torch.tensor([row(-1, 0), row(1, 0), row(-1, 0)])
    # The main feature writes −1: it carries none of the concept, the other all that is carried.
    assert coded([1.0, 2.0, 0.0], rows, [0]).fraction[0] == 1.0
    # Another that writes −1 takes nothing from what others carry.
    rows = torch.tensor([row(1, 0), row(1, 0), row(-1, 0)])
    assert coded([1.0, 1.0, 1.0], rows, [0]).fraction[0] == pytest.approx(0.5)
    assert coded([0.0, 0.0, 0.0], rows, [0]).fraction[0] == 0.0


def test_the_chance_of_hedging_is_over_directions_that_are_independent() -> None:
    concepts = wb.concepts({"x": ["w0"], "y": ["w1"]}, parents=dict.fromkeys("xy", "p"))
    eye = torch.eye(WIDTH)
    found = placed(torch.stack([eye[0] + eye[1], eye[0] + eye[2]] * 5), [0, 1] * 5, [0] * 10)
    member = torch.tensor([[1, 0, 1], [0, 1, 1]]).bool()
    means = concept_detection.WordMeans.of(found, SITE, member, ["f", "f", "g"])
    # Both children lie on one line through their common mean: one direction of eight.
    rows = torch.stack([eye[0], (eye[1] - eye[2]) / 2**0.5, eye[3]])
    for f, wanted in enumerate([0.0, 1.0, 0.0]):
        encoder = ReLU(torch.zeros(WIDTH, 3), torch.zeros(3))
        own = Dictionary(SITE, encoder, rows, torch.zeros(WIDTH))
        share, chance = concept_evaluation.hedging(own, np.array([0, 0, f]), concepts, means)
        assert share[2] == pytest.approx(wanted, abs=1e-6) and chance[2] == 1 / WIDTH
