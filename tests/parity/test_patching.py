"""wb.patch against one run of plain Hugging Face a patch: both backends, all architectures."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.patchings import patch
from workbench.site import STREAMS

from .conftest import BACKENDS
from .plain import Plain
from .zoo import CONFIGS, LAYERS

#: Clean and corrupt prompts; the first pair differs late, so that its runs go on from a cache.
PAIRS = [([2, 3, 4, 8, 9], [2, 3, 7, 8, 10]), ([20, 21, 22], [30, 31, 32])]
ANSWER, FOIL = 5, 6
SWEEPS: list[tuple[str, str, Any]] = [
    ("resid_pre", "pos", "denoise"),
    ("resid_post", "layer", "noise"),
    ("mlp_out", "pos", "noise"),
    ("z", "head pos", "denoise"),
    ("k", "head", "noise"),
    ("pattern", "head", "denoise"),
]


@pytest.fixture(scope="module")
def pairs(zoo_model: Callable[..., Any]) -> Any:
    """The pairs as every model of the zoo reads them: one word, one token."""
    words = [tuple(" ".join(f"w{t}" for t in ids) for ids in pair) for pair in PAIRS]
    task = wb.task(
        [
            {"clean": clean, "corrupt": corrupt, "answers": f" w{ANSWER}", "foils": f" w{FOIL}"}
            for clean, corrupt in words
        ]
    )
    return task.on(zoo_model("llama", "nnsight"))


def place(over: str, axes: list[str], cell: tuple[int, ...]) -> tuple[Any, ...]:
    """The index of a patch into the plain activation of one row, (pos, head, …) or (head, …)."""
    where: dict[str, Any] = dict(zip(axes, cell, strict=True))
    head, pos = where.get("head", slice(None)), where.get("pos", slice(None))
    if over == "pattern":
        return (0, head)
    return (0, pos, head) if "head" in STREAMS[over] else (0, pos)


def one_by_one(plain: Plain, over: str, by: str, direction: str) -> np.ndarray:
    """(batch, layer, …by): the metric of one plain run a patch, NaN where there is no position."""
    axes = [axis for axis in by.split() if axis != "layer"]
    axes.sort(key=["head", "pos"].index)
    runs = [[plain.run(torch.tensor([ids])) for ids in pair] for pair in PAIRS]
    heads = runs[0][0][1][over, 0].shape[1 if over == "pattern" else 2]
    longest = max(len(clean) for clean, _ in PAIRS)
    sizes = [heads if axis == "head" else longest for axis in axes]
    out = np.full((len(PAIRS), LAYERS, *sizes), np.nan)
    into = 1 if direction == "denoise" else 0
    for row, layer in np.ndindex(len(PAIRS), LAYERS):
        ids = torch.tensor([PAIRS[row][into]])
        given = runs[row][1 - into][1][over, layer]
        for cell in np.ndindex(*sizes):
            if "pos" in axes and cell[axes.index("pos")] >= ids.shape[1]:
                continue
            index = place(over, axes, cell)

            def change(value: torch.Tensor, index: Any = index, given: Any = given) -> torch.Tensor:
                value = value.clone()
                value[index] = given[index]
                return value

            logits, _, _ = plain.run(ids, at=(over, layer), change=change)
            out[(row, layer, *cell)] = float(logits[0, -1, ANSWER] - logits[0, -1, FOIL])
    return out


@pytest.fixture(scope="module")
def by_hand(plain_model: Callable[[str], Plain]) -> Callable[..., np.ndarray]:
    return cache(lambda name, *sweep: one_by_one(plain_model(name), *sweep))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_a_patch_is_a_plain_run_with_one_activation_put_in(
    name, backend, zoo_model, pairs, by_hand
):
    model = zoo_model(name, backend)
    for over, by, direction in SWEEPS:
        if over in model.spec.read_only:
            with pytest.raises(ValueError, match="read-only"):
                wb.patch(model, pairs, over=over)
            continue
        made = patch(model, pairs, over=over, by=by, direction=direction)
        np.testing.assert_allclose(
            made.patched, by_hand(name, over, by, direction), atol=5e-5, err_msg=f"{over} by {by}"
        )
