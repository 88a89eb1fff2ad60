"""Directions as a dictionary, and features as changes: against edits put together by hand."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.dictionary.base import ScaleFeatures, SetFeatures, Splice

SITE, PROMPT = "L2.resid_post", "The capital of France is"


@cache
def tinyworld() -> Any:
    return wb.load("tinyworld", device="cpu")


@cache
def vectors() -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randn(3, tinyworld().spec.d_model, generator=made) * torch.tensor(
        [[2.0], [1.0], [5.0]]
    )


@cache
def own(encoder: Any = "project") -> wb.Dictionary:
    return wb.Dictionary.of(vectors(), site=SITE, names=["a", "b", "c"], encoder=encoder)


def resid(edits: Any = ()) -> torch.Tensor:
    return tinyworld().run(PROMPT, read=SITE, edits=edits)[SITE][0]


def test_a_code_is_how_far_along_its_direction():
    codes = own().encode(vectors())
    assert torch.allclose(codes.diagonal(), torch.ones(3))
    x = torch.randn(4, vectors().shape[1], generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(own().encode(x), x @ vectors().T / vectors().square().sum(-1))
    assert own().names == ("a", "b", "c") and own().check_feature("c") == 2
    assert own().kind == "linear" and own("pursuit").kind == "matching_pursuit"


def test_pursued_directions_give_the_activation_back():
    basis = torch.linalg.qr(vectors().T).Q.T
    pursued = wb.Dictionary.of(basis, site=SITE, encoder="pursuit")
    x = torch.tensor([[1.0, 2.0, 3.0], [0.5, 4.0, 0.25]]) @ basis
    torch.testing.assert_close(pursued.reconstruct(x), x, atol=1e-5, rtol=1e-5)


def test_features_become_changes():
    before, shipped = resid(), wb.dictionaries("tinyworld")[SITE]
    torch.testing.assert_close(resid(own().add("b", 2.0)), before + 2 * vectors()[1])
    torch.testing.assert_close(resid(own().add(1).at(-1)), before - vectors()[1])
    erased = resid(own().project_out(["a", "c"]))
    assert float((erased @ vectors()[[0, 2]].T).abs().max()) < 1e-3
    assert float((erased @ vectors()[1]).abs().max()) > 0.1
    top = int(shipped.encode(before)[-1].argmax())
    edit = SetFeatures(shipped, [top, 5], [0.0, 3.0])
    torch.testing.assert_close(resid(shipped.set({top: 0.0, f"{SITE}/5": 3.0})), resid(edit))
    doubled = ScaleFeatures(shipped, top, 2.0)
    torch.testing.assert_close(resid(shipped.scale({top: 2.0})), resid(doubled))
    torch.testing.assert_close(resid(shipped.splice()), resid(Splice(shipped)))
    codes = shipped.encode(resid(shipped.add(5, 3.0)))
    assert float((codes - shipped.encode(before))[:, 5].max()) > 0.5


def test_several_dictionaries_change_the_model_by_feature_names():
    dicts = wb.dictionaries("tinyworld")
    change = dicts.set({"L1.resid_post/3": 1.0, "L2.resid_post/5": 0.0})
    assert change == dicts["L1.resid_post"].set({3: 1.0}) + dicts[SITE].set({5: 0.0})
    assert dicts.add("L2.resid_post/5", 2.0) == dicts[SITE].add(5, 2.0)
    erased = dicts.project_out(["L2.resid_post/5", "L1.resid_post/3", "L2.resid_post/6"])
    assert erased == dicts["L1.resid_post"].project_out([3]) + dicts[SITE].project_out([5, 6])
    assert dicts.scale({"L1.resid_post/3": 0.0}) == dicts["L1.resid_post"].scale({3: 0.0})
    assert len(dicts.splice()) == len(dicts)


def test_what_are_no_directions_is_said():
    with pytest.raises(ValueError, match=r"vectors is one direction or more, none of length 0"):
        wb.Dictionary.of(torch.zeros(1, 64), site=SITE)
    with pytest.raises(ValueError, match=r"vectors is numbers of shape \(n, n\)"):
        wb.Dictionary.of(torch.zeros(64), site=SITE)
    with pytest.raises(ValueError, match=r"names is different names, one for each of 3 features"):
        wb.Dictionary.of(vectors(), site=SITE, names=["a", "a", "b"])
    with pytest.raises(ValueError, match=r"values is a mapping"):
        own().set([1, 2])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match=r"has features 0 to 2; got 7"):
        own().add(7)
    with pytest.raises(ValueError, match=r"A site is written like"):
        own().add("d")
