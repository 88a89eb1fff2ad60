"""What attention may not look at, no edit of its scores or its pattern shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from workbench.edits import Add, Affine, Edit, ProjectOut, Scale, Set, UnchangedEdit

from .conftest import BACKENDS

#: Masks that are added and masks that are put in, positions that are turned and positions that are
#: added to the scores, windows, caps, grouped queries.
NAMES = ("gpt2", "gpt_neox", "gptj", "bloom", "opt", "llama", "mistral", "gemma2", "gemma3", "phi")
ROWS = [[5, 9, 13, 20, 31, 44, 2, 17, 8], [7, 3, 50, 12], [12, 28, 6, 41, 11, 9]]


class Mine(Edit):
    """What a user may write: everything is attended to alike."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return torch.full_like(activation, 0.2)


class Shown(Edit):
    """An edit that changes what is masked, and nothing else."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        hidden = activation < -1e4 if self.site.stream == "attn_scores" else activation == 0
        return activation.masked_fill(hidden, 0.5)


def edits(stream: str, width: int) -> dict[str, Edit]:
    site, ones = f"L1.{stream}", torch.ones(width)
    return {
        "zero": Scale(site, 0),
        "less": Scale(site, 1e-30),
        "turned": Scale(site, -1.0),
        "set": Set(site, 0.3),
        "add": Add(site, 0.5 * torch.arange(width)),
        "more than the mask": Add(site, torch.finfo(torch.float32).max),
        "project": ProjectOut(site, ones),
        "affine": Affine(site, 0.1 * torch.ones(width, width), 0.2),
        "mine": Mine(site),
        "one head": Set(f"L1H2.{stream}", 0.3),
        "some rows and positions": Set(site, 0.3, rows=[0, 2], positions=[1, -2]),
        "one row": Mine(site, rows=1),
    }


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_edited_scores_stay_masked(
    name: str, backend: str, side: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model(name, backend)
    if "attn_scores" in model.spec.read_only or "attn_scores" not in model.spec.streams:
        with pytest.raises(ValueError, match="is read-only|has no attn_scores"):
            model.run(ROWS, edits=Scale("L1.attn_scores", 0))
        return
    tokens = model.tokens(ROWS, padding_side=side)
    plain = model.run(tokens, read=["L1.attn_scores", "L1.pattern"])
    columns = torch.arange(tokens.n_columns)
    unseen = (columns[None] > columns[:, None]) | ~tokens.mask[:, None]
    masked = plain["L1.attn_scores"] < -1e4
    own = tokens.mask[:, None, :, None].expand_as(masked)
    assert torch.all(masked[(unseen[:, None] & own).expand_as(masked)])
    for kind, edit in edits("attn_scores", tokens.n_columns).items():
        run = model.run(tokens, read=["L1.attn_scores", "L1.pattern"], edits=edit)
        got = run["L1.attn_scores"]
        assert torch.equal(got[masked], plain["L1.attn_scores"][masked]), kind
        assert bool(got[~masked].isfinite().all()), kind
        if kind != "more than the mask":
            assert not run["L1.pattern"][masked & own].any(), kind
            assert not torch.equal(run["L1.pattern"], plain["L1.pattern"]), kind
    # An edit is applied to what another left; what is put out of reach by hand can be brought back.
    out = Set("L1.attn_scores", -3e38)
    back = model.run(tokens, read="L1.attn_scores", edits=[out, Set("L1.attn_scores", 0.3)])
    assert torch.all(back["L1.attn_scores"][~masked & own] == 0.3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stream", ["attn_scores", "pattern"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "mistral"])
def test_no_edit_lets_a_position_look_at_later_ones_or_at_padding(
    name: str, stream: str, backend: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model(name, backend)
    changed = [*ROWS[0][:5], 33, 34, 35, 36]
    for kind, edit in edits(stream, 9).items():
        if kind == "more than the mask":
            continue
        logits = model.run([ROWS[0], changed, ROWS[2]], edits=edit).logits
        if edit.rows is None:
            assert torch.equal(logits[0, :5], logits[1, :5]), kind
        padded = model.tokens(ROWS, padding_side="left")
        together = model.run(padded, edits=edit).logits
        if edit.rows is None and kind not in ("add", "project", "affine"):
            for r, row in enumerate(ROWS):
                alone = model.run([row], edits=edit).logits[0]
                columns = padded.columns(r)
                torch.testing.assert_close(together[r, columns], alone, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stream", ["attn_scores", "pattern"])
def test_an_edit_of_nothing_but_masked_entries_has_changed_nothing(
    stream: str, backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("llama", backend)
    plain = model.run(prompts).logits
    for edit in (Shown(f"L0.{stream}"), Shown(f"L0H1.{stream}", positions=[0, 3])):
        with pytest.warns(UnchangedEdit, match="changed nothing"):
            run = model.run(prompts, edits=edit)
        assert run.unchanged == (edit,) and torch.equal(run.logits, plain)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gpt_neox"])
def test_masks_are_seen_in_half_precision(
    name: str, dtype: str, backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend, dtype=dtype)
    if "attn_scores" not in model.spec.streams:
        with pytest.raises(ValueError, match="has no attn_scores"):
            model.run(prompts, edits=Scale("L1.attn_scores", 0))
        return
    later = torch.ones(9, 9, dtype=torch.bool).triu(1)
    for edit in (Scale("L1.attn_scores", 0), Add("L1.attn_scores", torch.arange(9.0))):
        run = model.run(prompts, read="L1.pattern", edits=edit)
        assert not run["L1.pattern"][..., later].any()
        # What is added may leave less than the smallest number that is not zero.
        assert run["L1.pattern"][..., ~later].all() or isinstance(edit, Add)


@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_are_edited_in_continued_passes_too(
    backend: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model("llama", backend)
    edit = Scale("L1.attn_scores", 0)
    made = model.generate(ROWS, 4, edits=edit)
    for row, new in zip(ROWS, made.new, strict=True):
        text = list(row)
        for token in new:
            logits = model.run([text], edits=edit, logits_at="last").logits
            assert int(logits[0, 0].argmax()) == token
            text.append(token)
