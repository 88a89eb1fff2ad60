"""Edits of features: what they change, on both backends, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

import workbench as wb
from tests.unit.random_dictionaries import dictionary
from workbench.dictionary.base import (
    Dictionary,
    DictionaryEdit,
    KeepFeatures,
    ScaleFeatures,
    SetFeatures,
    Splice,
    feature_numbers,
)
from workbench.dictionary.normalization import Normalization
from workbench.model import Model

BACKENDS = ("nnsight", "transformer_lens")
TEXTS = ["The baker near the old mill", "Every sailor"]


@cache
def model(backend: str) -> Model:
    return wb.load("tinyworld", backend=backend, device="cpu")


@cache
def fitted(site: str = "L1.resid_post", out_site: str | None = None) -> Dictionary:
    """A dictionary whose codes on tinyworld are neither all 0 nor all on."""
    made = dictionary("topk", d_in=128, n=256, site=site, out_site=out_site, model="tinyworld")
    return replace(made, normalization=Normalization(scale="factor", factor=0.3))


@pytest.mark.parametrize("backend", BACKENDS)
def test_edits_of_features_change_the_activation_by_what_they_say(backend: str) -> None:
    traced, made = model(backend), fitted()
    tokens = traced.tokens(TEXTS)
    plain = traced.run(tokens, read=["L1.resid_post"])
    x = plain["L1.resid_post"]
    codes = made.encode(x)
    features = [int(i) for i in codes[0, 2].topk(2).indices]
    names = [str(made.feature(i)) for i in features]
    step = made.W_dec[features] / 0.3

    def after(edit: Any) -> torch.Tensor:
        return traced.run(tokens, read=["L1.resid_post"], edits=edit)["L1.resid_post"]

    real = tokens.mask
    was = codes[..., features]
    for edit, change in (
        (SetFeatures(made, names), 0 - was),
        (SetFeatures(made, features, [1.0, 2.0]), torch.tensor([1.0, 2.0]) - was),
        (ScaleFeatures(made, names, 3.0), 2 * was),
        (ScaleFeatures(made, features[0]), torch.stack([-was[..., 0], 0 * was[..., 1]], -1)),
    ):
        wanted = x + change @ step
        torch.testing.assert_close(after(edit)[real], wanted[real], atol=1e-4, rtol=1e-4)
    spliced = after(Splice(made))
    torch.testing.assert_close(spliced[real], made.reconstruct(x)[real], atol=1e-4, rtol=1e-4)
    at = SetFeatures(made, features, rows=0, positions="last")
    changed = (after(at) - x).abs().amax(-1) > 1e-6
    assert changed.nonzero().tolist() == [[0, tokens.columns(0, "last")[0]]]
    kept = torch.zeros(256, dtype=torch.bool)
    kept[features] = True
    whole = (0 - codes * ~kept) @ made.W_dec / 0.3
    wanted = x + whole
    torch.testing.assert_close(
        after(KeepFeatures(made, kept))[real], wanted[real], atol=1e-4, rtol=1e-4
    )
    everything = KeepFeatures(made, torch.ones(256, dtype=torch.bool))
    with pytest.warns(wb.UnchangedEdit):
        assert torch.equal(after(everything), x)
    replaced = after(KeepFeatures(made, kept, error=0.0))
    out = (codes * kept @ made.W_dec + made.b_dec) / 0.3
    torch.testing.assert_close(replaced[real], out[real], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_transcoders_edit_reads_one_site_and_changes_another(backend: str) -> None:
    traced, made = model(backend), fitted("L1.mlp_in", "L1.mlp_out")
    tokens = traced.tokens(TEXTS[:1])
    sites = ["L1.mlp_in", "L1.mlp_out"]
    plain = traced.run(tokens, read=sites)
    codes = made.encode(plain["L1.mlp_in"])
    feature = int(codes[0, 2].argmax())
    edit = SetFeatures(made, feature)
    assert str(edit.site) == "L1.mlp_out" and [str(s) for s in edit.needs] == ["L1.mlp_in"]
    after = traced.run(tokens, read=sites, edits=edit)
    assert torch.equal(after["L1.mlp_in"], plain["L1.mlp_in"])
    wanted = plain["L1.mlp_out"] - codes[..., [feature]] @ made.W_dec[[feature]]
    torch.testing.assert_close(after["L1.mlp_out"], wanted, atol=1e-4, rtol=1e-4)
    spliced = traced.run(tokens, read=sites, edits=Splice(made))["L1.mlp_out"]
    torch.testing.assert_close(spliced, made.reconstruct(plain["L1.mlp_in"]), atol=1e-4, rtol=1e-4)


def test_edits_of_features_refuse_what_is_not_there() -> None:
    made = fitted()
    with pytest.raises(
        TypeError, match=r"dictionary is a Dictionary; got 'L1\.resid_post'\. Read a"
    ):
        Splice("L1.resid_post")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has features 0 to 255; got 256"):
        SetFeatures(made, [3, 256])
    for given in ([], [3, 3]):
        with pytest.raises(ValueError, match="at least one number, each once; got"):
            ScaleFeatures(made, given)
    with pytest.raises(ValueError, match=r"one value for each of 256 features; got shape \(3,\)"):
        KeepFeatures(made, torch.ones(3, dtype=torch.bool))
    with pytest.raises(TypeError, match=r"DictionaryEdit has no change\(x, now\)"):
        DictionaryEdit(made).apply(torch.zeros(1, 128))
    assert feature_numbers(made, torch.tensor([4, 2])) == (4, 2)
    assert feature_numbers(made, "L1.resid_post/9") == (9,)
    assert feature_numbers(made, torch.tensor(5)) == (5,)
