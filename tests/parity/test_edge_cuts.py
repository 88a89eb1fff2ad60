"""Cut edges: on every architecture and both backends, cutting all of them is the corrupt run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from workbench.circuits.components import Components
from workbench.circuits.cuts import contribution_sites, contributions, cut_edits

from .zoo import CONFIGS

BACKENDS = ("nnsight", "transformer_lens")
NAMES = [name for name in CONFIGS if name != "olmo2"]
CLEAN, CORRUPT = [[5, 9, 12, 7, 30, 8]] * 2, [[5, 40, 12, 9, 31, 8], [6, 9, 13, 7, 30, 20]]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_writers_add_up_and_cutting_every_edge_gives_the_corrupt_run(
    name: str, backend: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model(name, backend)
    parts = Components.of(model.spec)
    last = f"L{parts.n_layers - 1}.resid_post"
    corrupt = model.run(CORRUPT, read=[*contribution_sites(parts), last])
    clean = model.run(CLEAN, read=[*contribution_sites(parts), last])
    before, after = (contributions(model, parts, run) for run in (clean, corrupt))
    scale = float(clean[last].abs().max())
    # What attention adds besides its heads is the same in both runs.
    torch.testing.assert_close(
        (before - after).sum(2), clean[last] - corrupt[last], atol=2e-5 * scale, rtol=0
    )

    everything = np.repeat(parts.edges[None], 2, 0)
    cut = model.run(CLEAN, edits=cut_edits(model, parts, everything, after))
    torch.testing.assert_close(cut.logits, corrupt.logits, atol=5e-5, rtol=1e-4)
    assert not cut.unchanged

    # One row of no cut is the clean run to the bit; what the other row has cut does not reach it.
    everything[0] = False
    half = model.run(CLEAN, edits=cut_edits(model, parts, everything, after)).logits
    torch.testing.assert_close(half[0], clean.logits[0], atol=1e-5, rtol=0)
    torch.testing.assert_close(half[1], corrupt.logits[1], atol=5e-5, rtol=1e-4)
    assert cut_edits(model, parts, np.zeros_like(everything), after) == []


def test_a_norm_over_all_heads_is_a_named_error(zoo_model: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="norms the queries of all heads together"):
        Components.of(zoo_model("olmo2", "nnsight").spec)
