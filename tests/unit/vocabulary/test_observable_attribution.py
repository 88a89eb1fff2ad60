"""Attribution of observables: the parts add up, and are those of direct logit attribution."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit.lens_models import TEXTS, words_model, zoo_model

IDS = [[5, 9, 7, 30, 41], [6, 8, 11]]
ARCHITECTURES = ["gpt2", "llama", "gpt_neox", "gemma2", "olmo2", "bloom", "opt", "gptj", "granite"]
#: Whose norms, projections and attention have no biases: there nothing is constant.
WITHOUT_BIASES = ("llama", "gemma2", "olmo2")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_direct_parts_are_those_of_direct_logit_attribution(name: str) -> None:
    model = zoo_model(name)
    split = wb.vocabulary.observable(model, 5, 7).attribute(IDS)
    peer = wb.direct_logit_attribution(model, IDS, [5], foils=[7])
    assert split.components == peer.components[:-2]
    np.testing.assert_allclose(split.contributions, peer.contributions[:, :-2, 0, 0], atol=1e-5)
    np.testing.assert_allclose(split.total, peer.logits[:, 0, 0], atol=1e-5)
    np.testing.assert_allclose(split.constant, peer.contributions[:, -2:, 0, 0].sum(1), atol=2e-5)
    # A prompt by itself gives what it gives beside a longer one.
    alone = wb.vocabulary.observable(model, 5, 7).attribute(IDS[1:])
    np.testing.assert_allclose(alone.by_position[0], split.by_position[1, :, :3], atol=1e-5)
    assert np.isnan(split.by_position[1, :, 3:]).all()


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("path", ["L1H2", ["L0H1", "L1H2"], ["L0H1", "L1.mlp_out"]])
def test_what_a_head_reads_adds_up_to_what_it_writes(name: str, path: Any) -> None:
    model = zoo_model(name)
    obs = wb.vocabulary.observable(model, 5, 7)
    split = obs.attribute(IDS, path=path)
    if name in WITHOUT_BIASES:
        scale = float(np.abs(split.contributions).sum(1).max())
        np.testing.assert_allclose(split.constant, 0, atol=1e-5 * max(scale, 1))
    names = [path] if isinstance(path, str) else path
    if len(names) == 1:
        direct = obs.attribute(IDS)
        np.testing.assert_allclose(
            split.total, direct.contributions[:, direct.components.index("L1H2")], atol=1e-5
        )
    else:
        # The head that begins the path is a part of what the rest of the path reads.
        rest = obs.attribute(IDS, path=names[1:])
        np.testing.assert_allclose(
            split.total, rest.contributions[:, rest.components.index(names[0])], atol=1e-5
        )


def test_a_heads_part_by_position_is_its_pattern_times_what_its_value_gives() -> None:
    model = words_model()
    prompt = TEXTS[0][:-6]
    split = wb.vocabulary.observable(model, " Mary", " John").attribute(prompt)
    run = model.run(prompt, read=["L2.pattern", "L2.v", "L2.resid_post"])
    norm = model.norm("ln_final")
    mary, john = (model.tokenizer(t).input_ids[0] for t in (" Mary", " John"))
    w_u = model.weight("W_U").double()
    inner = norm.weight.double() * (w_u[:, mary] - w_u[:, john])
    direction = (inner - inner.mean()) / norm.scale(run["L2.resid_post"][0, -1].double())
    row = split.components.index("L2H1")
    for source in range(len(split.tokens[0])):
        written = run["L2.v"][0, source, 1].double() @ model.weight("W_O", 2, 1).double()
        expected = float(run["L2.pattern"][0, 1, -1, source] * (written @ direction))
        assert split.by_position[0, row, source] == pytest.approx(expected, abs=1e-5)
    # An MLP stands where the observable is read.
    mlp = split.by_position[0, split.components.index("L1.mlp_out")]
    assert np.flatnonzero(mlp).tolist() == [len(mlp) - 1]


def test_shares_are_of_the_totals_variance() -> None:
    model = zoo_model("gpt2")
    prompts = torch.randint(2, 60, (12, 4), generator=torch.Generator().manual_seed(0)).tolist()
    split = wb.vocabulary.observable(model, 5, 7).attribute(prompts)
    for i in (0, 3, 7):
        pair = np.stack([split.contributions[:, i], split.total]).astype(float)
        covariance = np.cov(pair, ddof=0)
        assert split.shares[i] == pytest.approx(covariance[0, 1] / covariance[1, 1], rel=1e-4)
    rest = np.cov(np.stack([split.constant, split.total]).astype(float), ddof=0)
    assert split.shares.sum() + rest[0, 1] / rest[1, 1] == pytest.approx(1, abs=1e-5)
    frame = split.to_frame()
    assert list(frame.columns) == ["component", "layer", "mean", "spread", "share"]
    assert frame["share"].abs().is_monotonic_decreasing
    assert np.isnan(wb.vocabulary.observable(model, 5).attribute([prompts[0]]).shares).all()


def test_the_backends_give_the_same_parts_and_the_result_is_saved(tmp_path: Path) -> None:
    one, other = (
        wb.vocabulary.observable(zoo_model("gemma2", backend), 5).attribute(
            IDS, path=["L0H1", "L1H2"]
        )
        for backend in ("nnsight", "transformer_lens")
    )
    np.testing.assert_allclose(one.by_position, other.by_position, atol=1e-5)
    one.save(tmp_path / "split")
    again = wb.vocabulary.ObservableAttribution.load(tmp_path / "split")
    assert again.to_frame().equals(one.to_frame())
    assert repr(again).startswith(
        f"ObservableAttribution({one.model}: w5 by L0H1 → L1H2, 2 prompts"
    )


def test_a_path_that_ends_outside_a_prompt_is_a_named_error() -> None:
    with pytest.raises(IndexError, match="got position 4"):
        wb.vocabulary.observable(zoo_model("gpt2"), 5).attribute(IDS, position=4)
