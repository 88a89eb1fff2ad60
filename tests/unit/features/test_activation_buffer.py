"""The activation buffer: what it holds, and in which order it gives it out."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch

from tests.unit.kernels import activation_buffer
from tests.unit.lens_models import TEXTS, words_model
from tests.unit.training_vectors import GivenVectors
from workbench.site import Site

SITE = Site.parse("L1.resid_post")


def numbered(n: int, parts: int = 1) -> list[torch.Tensor]:
    """Vectors that say which one they are, in several tensors."""
    x = torch.arange(1, n + 1.0)[:, None].repeat(1, 3)
    return list(x.tensor_split(parts))


def buffer(
    vectors: Any, size: int = 16, batch: int = 4, seed: int = 0
) -> activation_buffer.ActivationBuffer:
    return activation_buffer.ActivationBuffer(GivenVectors(SITE, vectors), size, batch, seed)


def numbers(batch: dict[Site, torch.Tensor]) -> list[int]:
    return batch[SITE][:, 0].int().tolist()


@pytest.fixture(scope="module")
def model() -> Any:
    return words_model()


def test_a_corpus_that_fits_is_read_once_and_shuffled_anew_each_time() -> None:
    reads = Counter[str]()

    def corpus() -> list[torch.Tensor]:
        reads["begun"] += 1
        return numbered(12, 3)

    held = buffer(corpus)
    first = sum((numbers(held.next_batch()) for _ in range(3)), [])
    second = sum((numbers(held.next_batch()) for _ in range(3)), [])
    assert sorted(first) == sorted(second) == list(range(1, 13))
    assert first != second
    assert reads["begun"] == 1
    assert (held.whole, held.n_corpus, held.epochs) == (True, 12, 2.0)


def test_a_larger_corpus_is_held_a_part_at_a_time_and_read_from_the_beginning_again() -> None:
    held = buffer(lambda: iter(numbered(40, 10)), size=16, batch=4)
    shuffles = [sum((numbers(held.next_batch()) for _ in range(4)), []) for _ in range(5)]
    assert sorted(shuffles[0]) == list(range(1, 17))
    assert sorted(shuffles[1]) == list(range(17, 33))
    # The end of the corpus and its beginning share a shuffle.
    assert sorted(shuffles[2]) == [*range(1, 9), *range(33, 41)]
    assert sorted(shuffles[3]) == list(range(9, 25))
    assert held.n_corpus == 40
    assert held.epochs == 80 / 40


def test_no_more_vectors_are_held_than_the_size_says() -> None:
    held = buffer(numbered(40, 3), size=16)
    held.fill()
    assert held.held[SITE].shape == (16, 3)
    assert numbers(held.held) == [*range(1, 17)]
    assert held.held[SITE].untyped_storage().nbytes() == 16 * 3 * 4


def test_what_is_left_after_the_last_whole_batch_is_not_given_out() -> None:
    held = buffer(numbered(11), batch=4)
    given = [len(numbers(held.next_batch())) for _ in range(4)]
    assert given == [4, 4, 4, 4]
    assert held.shuffle == 1


def test_a_corpus_smaller_than_a_batch_is_one_batch() -> None:
    held = buffer(numbered(3), batch=8)
    assert sorted(numbers(held.next_batch())) == [1, 2, 3]
    assert sorted(numbers(held.next_batch())) == [1, 2, 3]
    assert held.epochs == 2.0


def test_the_seed_decides_the_order_and_nothing_else_does() -> None:
    orders = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(orders))
        orders.append(numbers(buffer(numbered(16), batch=16, seed=seed).next_batch()))
    assert orders[0] == orders[1] != orders[2]
    expected = torch.randperm(16, generator=activation_buffer.seeded(0, "shuffle", 0)) + 1
    assert orders[0] == expected.tolist()


def test_an_empty_corpus_is_an_error() -> None:
    for empty in ([], torch.zeros(0, 3), [torch.zeros(0, 3)], iter([])):
        with pytest.raises(ValueError, match="at least one vector to read; the texts gave none"):
            buffer(empty).next_batch()


def test_an_iterator_gives_all_it_has_and_then_says_that_it_cannot_begin_again() -> None:
    held = buffer(iter(numbered(24, 6)), size=16, batch=4)
    given = sum((numbers(held.next_batch()) for _ in range(6)), [])
    assert sorted(given) == list(range(1, 25))
    with pytest.raises(ValueError, match=r"cannot be begun again\. Give a list .* than 16"):
        held.next_batch()


def test_vectors_that_are_not_finite_or_of_another_width_are_errors() -> None:
    bad = numbered(4)
    bad[0][2, 1] = float("nan")
    with pytest.raises(ValueError, match=r"those of L1\.resid_post have NaN or infinity"):
        buffer(bad).next_batch()
    with pytest.raises(ValueError, match="all of one width; got 3 and 5"):
        buffer([torch.ones(2, 3), torch.ones(2, 5)]).next_batch()


def test_the_vectors_of_a_model_are_the_activations_of_its_real_tokens(model: Any) -> None:
    texts = [*TEXTS, "Mary and John", "Paul"]
    sites = [SITE, Site.parse("L0.mlp_out")]
    held = activation_buffer.ActivationBuffer(
        activation_buffer.ModelVectors(model, sites, texts), 200, 8, 0
    )
    held.fill()
    for site in sites:
        # One text at a time, so that there is no padding at all.
        alone = torch.cat([model.run([text], read=[site])[site][0] for text in texts])
        assert held.held[site].shape == alone.shape
        assert torch.allclose(held.held[site], alone, atol=1e-5)
    rows = {site: x for site, x in held.next_batch().items()}
    at = [int((held.held[SITE] == row).all(-1).nonzero()[0, 0]) for row in rows[SITE]]
    assert torch.equal(rows[sites[1]], held.held[sites[1]][at])


def test_texts_may_be_ids_tokens_streams_or_functions(model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(activation_buffer, "TEXTS_A_PASS", 2)
    tokens = model.tokens(TEXTS, padding_side="left")
    ids = [model.tokens([text]).ids[0].tolist() for text in TEXTS]

    def stream() -> Any:
        yield from TEXTS

    found = []
    for texts in (TEXTS, ids, tokens, stream(), stream):
        held = activation_buffer.ActivationBuffer(
            activation_buffer.ModelVectors(model, [SITE], texts), 100, 8, 0
        )
        held.fill()
        found.append(held.held[SITE])
    for other in found[1:]:
        assert torch.equal(found[0], other)


def test_the_model_runs_only_as_far_as_the_buffer_needs(model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(activation_buffer, "TEXTS_A_PASS", 1)
    given = Counter[str]()

    def stream() -> Any:
        for text in TEXTS * 100:
            given["texts"] += 1
            yield text

    held = activation_buffer.ActivationBuffer(
        activation_buffer.ModelVectors(model, [SITE], stream), 30, 8, 0
    )
    held.next_batch()
    lengths = [model.tokens([text]).n_columns for text in TEXTS]
    assert given["texts"] == next(n for n in range(1, 9) if sum((lengths * 9)[:n]) >= 30)


def test_texts_that_cannot_be_read_are_named(model: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(activation_buffer, "TEXTS_A_PASS", 2)
    long = "Mary " * 60
    with pytest.raises(ValueError, match=r"one of 2 to 3 cannot be read .*; prompt 1 has \d+"):
        list(activation_buffer.ModelVectors(model, [SITE], [*TEXTS, long]).batches())
    with pytest.raises(TypeError, match="Put a single text into a list"):
        activation_buffer.ModelVectors(model, [SITE], "Mary")
    with pytest.raises(TypeError, match="a function that gives one; got 5"):
        activation_buffer.ModelVectors(model, [SITE], 5)
    with pytest.raises(ValueError, match="has layers 0 to 2; got layer 7"):
        activation_buffer.ModelVectors(model, [Site.parse("L7.resid_post")], TEXTS)
