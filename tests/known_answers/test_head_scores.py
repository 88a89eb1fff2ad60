"""Heads written by hand are found by their scores: copying, suppressing, the token before.

The residual stream has named features (see `models.by_hand`). Four heads of one layer: the first
attends to the place before and writes each word as it is; the others look nowhere in particular and
write a word as it is, its negative, and the next word of the list.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.known_answers.models import builders
from tests.known_answers.models.by_hand import ByHand
from workbench import attention
from workbench.loading import load

WORDS = [f"{c}{v}" for c in "bdfg" for v in "aeio"]
N, N_CTX = len(WORDS), 12
SHARPNESS = 9.0
#: "<end>" and "<pad>" are tokens too; no head reads them.
SHARE = N / (N + 2)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sizes = {"word": N, "place": N_CTX, "next": N}
    hand = ByHand(WORDS, sizes, n_layers=1, n_heads=4, d_mlp=4, n_ctx=N_CTX)
    same = torch.eye(N)
    hand.embed_tokens("word", torch.cat([torch.zeros(2, N), same]))
    hand.embed_positions("place", torch.eye(N_CTX))
    hand.unembed("next", torch.cat([torch.zeros(N, 2), same], 1))
    before = SHARPNESS * hand.d_head**0.5 * torch.eye(N_CTX).roll(-1, 1)
    hand.head_reads(0, 0, "q", "place", before)
    hand.head_reads(0, 0, "k", "place", torch.eye(N_CTX))
    for head, written in enumerate((same, same, -same, same.roll(1, 1))):
        hand.head_reads(0, head, "v", "word", same)
        hand.head_writes(0, head, "next", 3 * written)
    return hand.save(tmp_path_factory.mktemp("heads"))


@pytest.fixture(scope="module", params=["nnsight", "transformer_lens"])
def result(folder: Path, request: pytest.FixtureRequest) -> wb.vocabulary.HeadVocabulary:
    model = load(folder, backend=request.param, device="cpu")
    return wb.vocabulary.heads(model, n_pairs=N, top=1, progress=False)


def test_copying_and_suppressing_heads_have_the_right_sign_and_size(
    result: wb.vocabulary.HeadVocabulary,
) -> None:
    copies = result.copying_scores
    assert copies[:2] == pytest.approx(1, abs=1e-4)
    assert copies[2] == pytest.approx(-1, abs=1e-4)
    # Each word to another: the eigenvalues go round the circle and cancel.
    assert copies[3] == pytest.approx(0, abs=0.05)
    assert result.copying_shares == pytest.approx([SHARE, SHARE, 0, 0])
    assert result.suppression_shares == pytest.approx([0, 0, SHARE, 0])


def test_random_heads_of_the_same_size_do_neither(result: wb.vocabulary.HeadVocabulary) -> None:
    # The large constant that all words share is one eigenvalue above the others, of either sign.
    random = result.random_copying_scores
    assert (random.min(1) < -0.5).all() and (random.max(1) > 0.5).all()
    assert np.abs(random.mean(1)).max() < 0.3
    assert result.copying_share_control.max() < 0.2
    assert result.suppression_share_control.max() < 0.2


def test_the_head_that_looks_at_the_token_before_is_told_from_the_others(
    result: wb.vocabulary.HeadVocabulary,
) -> None:
    assert result.previous_token_source == "weights"
    scores = result.previous_token
    assert scores[0] > 0.99
    # The others look at everything alike: 1/2 of the second place, 1/12 of the last.
    chance = np.mean([1 / n for n in range(2, N_CTX + 1)])
    assert scores[1:] == pytest.approx(chance, abs=1e-5)
    assert result.previous_token_chance == pytest.approx(chance)


def test_the_pairs_are_the_planted_ones(result: wb.vocabulary.HeadVocabulary) -> None:
    pairs = result.to_frame("pairs").to_dict("records")

    def of(head: str, kind: str) -> set[tuple[str, str]]:
        return {
            (line["source"].strip(), line["target"].strip())
            for line in pairs
            if (line["head"], line["kind"]) == (head, kind)
        }

    assert of("L0H1", "promoted") == {(word, word) for word in WORDS}
    assert of("L0H2", "suppressed") == {(word, word) for word in WORDS}
    after = {(word, WORDS[(i + 1) % N]) for i, word in enumerate(WORDS)}
    assert of("L0H3", "promoted") == after


@pytest.mark.parametrize(("name", "head"), [("induction", 0), ("previous_equals", 0)])
def test_the_known_models_previous_token_heads_score_highest(
    name: str, head: int, tmp_path: Path
) -> None:
    known = builders[name](tmp_path)
    model: Any = load(known.folder, device="cpu")
    result = wb.vocabulary.heads(model, n_pairs=0, progress=False)
    scores = result.previous_token
    assert int(scores.argmax()) == head and scores[head] > 0.85
    assert np.delete(scores, head).max() < 0.3
    if name == "induction":
        at = result.heads.index("L1H0")
        assert result.copying_scores[at] == pytest.approx(1, abs=1e-4)
        # Distractors write where nothing is unembedded: no circuit, and so no score.
        assert np.isnan(np.delete(result.copying_scores, at)).all()
        assert int(result.copying_shares.argmax()) == at


def test_in_tinyworld_the_heads_that_copy_are_the_induction_heads() -> None:
    """Two measures that share nothing: weights read as words, and attention on repeated words."""
    model: Any = load("tinyworld-seed1", device="cpu")
    result = wb.vocabulary.heads(model, n_pairs=0, embedding="first_block", progress=False)
    half = np.random.default_rng(0).integers(10, len(model.tokenizer), (4, 20))
    looked = attention(model, np.concatenate([half, half], 1).tolist(), value_weighted=False)
    induction = looked.head_scores()["induction"].to_numpy()
    assert {result.heads[i] for i in np.argsort(-result.copying_shares)[:2]} == {
        result.heads[i] for i in np.argsort(-induction)[:2]
    }
    assert np.sort(induction)[-2] > 0.9 > 0.1 > np.sort(induction)[-3]
    assert np.sort(result.copying_shares)[-2] > 0.4 > 20 * result.copying_share_control.max()
