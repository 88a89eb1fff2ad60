"""The kernel that reads directions as words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.unit import plain_words
from tests.unit.kernels import projection as kernel
from workbench.model import Norm

N, WIDTH, TOKENS = 9, 16, 3000


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def projection(**options: Any) -> Any:
    norm = Norm(True, random(WIDTH, seed=1) + 2, torch.zeros(WIDTH), 1e-5)
    return kernel.Projection(random(WIDTH, TOKENS, seed=2), norm, **options)


def test_top_and_bottom_words_and_measures_are_those_of_each_row_by_itself() -> None:
    through = projection(scale=0.5, column_scale=random(TOKENS, seed=3).abs())
    rows = random(N, WIDTH) * 10
    words = kernel.read_words(through, rows, k=4, bottom=True)
    assert words.bottom_ids is not None and words.share is not None and words.kurtosis is not None
    assert words.bottom_values is not None
    for i, values in enumerate(through(rows).double().numpy()):
        order = np.argsort(-values)
        assert words.top_ids[i].tolist() == order[:4].tolist()
        assert words.bottom_ids[i].tolist() == order[::-1][:4].tolist()
        np.testing.assert_allclose(words.top_values[i], values[order[:4]], rtol=1e-5)
        np.testing.assert_allclose(words.bottom_values[i], values[order[::-1][:4]], rtol=1e-5)
        assert words.share[i] == pytest.approx(plain_words.share(values), rel=1e-4)
        assert words.kurtosis[i] == pytest.approx(plain_words.kurtosis(values), abs=1e-3)
        centred = rows[i].double() - rows[i].double().mean()
        assert words.sizes[i] == pytest.approx(float(centred.pow(2).mean().sqrt()), rel=1e-5)


def test_batches_and_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random(N, WIDTH)
    whole = kernel.read_words(projection(), rows, k=3, bottom=True)
    monkeypatch.setattr(kernel, "BATCH", 4 * 4 * TOKENS)
    monkeypatch.setattr(kernel, "TILE", 4 * 3 * TOKENS)
    parts = kernel.read_words(projection(), rows, k=3, bottom=True)
    for name in ("top_ids", "bottom_ids"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for name in ("top_values", "bottom_values", "share", "kurtosis", "sizes"):
        np.testing.assert_allclose(
            getattr(parts, name), getattr(whole, name), rtol=1e-5, err_msg=name
        )


def test_no_array_of_all_directions_and_tokens_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "BATCH", 4 * 2 * TOKENS)
    through, largest = projection(), 0
    inner = torch.matmul

    def watched(a: torch.Tensor, b: torch.Tensor, *, out: torch.Tensor) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, out.numel())
        return inner(a, b, out=out)

    monkeypatch.setattr(torch, "matmul", watched)
    kernel.read_words(through, random(N, WIDTH), k=3)
    assert largest == 2 * TOKENS


def test_a_direction_of_zeros_has_even_numbers_and_no_kurtosis() -> None:
    words = kernel.read_words(projection(), torch.zeros(1, WIDTH), k=2)
    assert words.share is not None and words.kurtosis is not None
    assert words.share[0] == pytest.approx(1 / TOKENS)
    assert words.kurtosis[0] == 0 and words.sizes[0] == 0
    np.testing.assert_array_equal(words.top_values, 0)


def test_what_is_not_asked_for_is_not_there() -> None:
    words = kernel.read_words(projection(), random(N, WIDTH), k=1, measures=())
    assert (words.bottom_ids, words.bottom_values, words.share, words.kurtosis) == (None,) * 4


def test_half_precision_is_read_as_the_model_multiplies() -> None:
    matrix, rows = random(WIDTH, TOKENS).bfloat16(), random(N, WIDTH, seed=5).bfloat16()
    words = kernel.read_words(kernel.ReadingProjection(matrix, None), rows, k=1)
    assert words.top_values.dtype == np.float32
    best = (rows @ matrix).float().amax(-1)
    np.testing.assert_array_equal(words.top_values[:, 0], best.numpy())


@pytest.mark.parametrize("largest", [True, False])
def test_the_k_extremes_by_blocks_are_those_of_a_sort(largest: bool) -> None:
    values = random(5, 20011)
    found, ids = kernel.top_k(values, 7, largest=largest)
    expected = values.sort(-1, descending=largest)
    torch.testing.assert_close(found, expected.values[:, :7])
    torch.testing.assert_close(ids, expected.indices[:, :7])


@pytest.mark.parametrize(
    ("rows", "options", "text"),
    [
        (random(2, WIDTH), {"k": 0}, r"k is a whole number from 1 to 3000; got 0\. The"),
        (
            random(2, WIDTH),
            {"k": TOKENS + 1},
            r"k is a whole number from 1 to 3000; got 3001\. The",
        ),
        (random(2, WIDTH), {"k": True}, r"k is a whole number from 1 to 3000; got True\. The"),
        (random(2, WIDTH), {"k": 1, "measures": ("rank",)}, r"measures is some of .*\('rank',\)"),
        (random(2, WIDTH), {"k": 1, "measures": "share"}, r"got 'share'"),
        (random(2, 5), {"k": 1}, r"\(n, 16\); got the shape \(2, 5\)"),
    ],
)
def test_bad_input_is_a_named_error(rows: torch.Tensor, options: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        kernel.read_words(projection(), rows, **options)
