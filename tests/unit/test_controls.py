"""Controls: what stays of a change when it is drawn at random, and what no control is."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.change import Change, Rule
from workbench.controls import NEAREST, like, others
from workbench.dictionary.base import ScaleFeatures


@cache
def tinyworld() -> Any:
    return wb.load("tinyworld", device="cpu")


@cache
def vectors(n: int = 3, seed: int = 0) -> torch.Tensor:
    d = tinyworld().spec.d_model
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)) * torch.tensor([[3.0]])


def spread() -> Change:
    """A push over two layers and a subspace taken out of a third."""
    return Change(
        [
            wb.Add("L1.resid_post", vectors()[0]),
            wb.Add("L2.resid_post", vectors()[1]),
            wb.ProjectOut("L0.attn_out", vectors()[1:]),
        ]
    ).at(2)


@pytest.mark.parametrize("kind", ["random", "orthogonal"])
def test_lengths_angles_places_and_strengths_stay(kind):
    own = torch.cat([torch.stack([vectors()[0], vectors()[1]]), vectors()[1:]])
    for drawn in like(tinyworld(), spread(), 3, kind=kind):
        parts = drawn.parts
        assert [str(p.what.site) for p in parts] == [
            "L1.resid_post",
            "L2.resid_post",
            "L0.attn_out",
        ]
        assert [p.strength for p in parts] == [2.0, 2.0, 2.0]
        new = torch.cat(
            [parts[0].what.value[None], parts[1].what.value[None], parts[2].what.directions]
        )
        torch.testing.assert_close(new @ new.T, own @ own.T, atol=1e-3, rtol=1e-4)
        across = (new @ own.T).abs().max()
        assert float(across) < 1e-3 if kind == "orthogonal" else float(across) > 1


def test_draws_are_even_over_the_sphere_and_told_by_the_seed():
    model, one = tinyworld(), Change(wb.Add("L1.resid_post", vectors()[0]))
    drawn = torch.stack([c.parts[0].what.value for c in like(model, one, 600)])
    unit = torch.nn.functional.normalize(drawn, dim=-1).double().numpy()
    d = unit.shape[1]
    assert np.abs(unit.mean(0)).max() < 5 / np.sqrt(600 * d)
    assert np.abs(unit.T @ unit / 600 - np.eye(d) / d).max() < 6 / (d * np.sqrt(600)) * 1.5
    again, other = like(model, one, 2), like(model, one, 2, seed=1)
    assert again[0] == like(model, one, 1)[0] and again[0] != other[0] and again[0] != again[1]


def test_a_map_keeps_its_spectrum():
    model = tinyworld()
    matrix = torch.diag(torch.linspace(0, 2, model.spec.d_model))
    (drawn,) = like(model, Change(wb.Affine("L1.resid_post", matrix, vectors()[0])), 1)
    new = drawn.parts[0].what
    found = torch.linalg.eigvals(new.matrix.double()).real.sort().values
    torch.testing.assert_close(found, matrix.diag().double(), atol=1e-4, rtol=1e-4)
    assert float(new.offset.norm()) == pytest.approx(float(vectors()[0].norm()), rel=1e-4)
    assert not torch.allclose(new.matrix, matrix, atol=0.1)


def test_neurons_become_others_near_in_size_that_write_as_much():
    model = tinyworld()
    change = Change(
        [
            wb.Set("L2.mlp_post/7", 3.0),
            wb.Add("L2.mlp_post/40", 1.0),
            wb.Scale("L1.mlp_post/7", 0.0),
        ]
    )
    lengths = {layer: model.weight("W_out", layer).norm(dim=-1) for layer in (1, 2)}
    for drawn in like(model, change, 20):
        units = [(p.what.site.layer, p.what.site.unit) for p in drawn.parts]
        assert len(set(units)) == 3 and not {(2, 7), (2, 40), (1, 7)} & set(units)
        for (layer, unit), own in zip(units, (7, 40, 7), strict=True):
            away = (lengths[layer] - lengths[layer][own]).abs()
            assert int((away < away[unit]).sum()) <= NEAREST + 2
        value = drawn.parts[0].what.value * lengths[2][units[0][1]]
        assert float(value) == pytest.approx(float(3.0 * lengths[2][7]), rel=1e-5)
        assert float(drawn.parts[2].what.factor) == 0


def test_rows_of_weights_become_rows_of_the_same_weight():
    model, change = tinyworld(), Change(wb.WeightEdit("W_out", 1, [3, 5], value=0.0)).at(0.5)
    for drawn in like(model, change, 5):
        (part,) = drawn.parts
        assert part.strength == 0.5 and len(set(part.what.index)) == 2
        assert not {3, 5} & set(part.what.index)


def test_features_are_drawn_by_the_sizes_given():
    model, dicts = tinyworld(), wb.dictionaries("tinyworld")
    dictionary = dicts["L2.resid_post"]
    sizes = np.zeros(dictionary.n_features)
    sizes[[4, 9, 30]] = 1.0, 1.1, 0.9
    change = Change(ScaleFeatures(dictionary, [4], 0.0))
    drawn = like(model, change, 10, sizes={"L2.resid_post": sizes})
    assert {c.parts[0].what.features for c in drawn} == {(9,), (30,)}


def test_what_draws_for_itself_is_asked():
    class Own(Rule):
        def like(self, n: int, *, kind: str, seed: int) -> list[Any]:
            return [Own() for _ in range(n)]

    found = like(tinyworld(), Change(Own()).at(0.5), 3)
    assert len(found) == 3 and all(c.parts[0].strength == 0.5 for c in found)


def test_no_unit_is_drawn_twice_and_the_silent_never():
    rng = np.random.default_rng(0)
    sizes = np.array([1.0, 0.0, 2.0, 3.0, 0.0])
    more = np.append(sizes, [1.5, 2.5])
    found = {tuple(sorted(others([0, 2], more, rng))) for _ in range(50)}
    assert found == {(3, 5), (3, 6), (5, 6)}
    assert others([0], np.array([1.0, 5.0, 1.2, 9.0]), rng, nearest=1) == [2]
    with pytest.raises(ValueError, match=r"from the others of a layer, 1 for 2. Take fewer"):
        others([0, 2], sizes, rng)


@pytest.mark.parametrize(
    "change",
    [
        wb.Set("L1.resid_post", 0.0),
        wb.Scale("L1H1.z", 0.0),
        lambda model, tokens: [],
        wb.WeightEdit("W_out", 1, value=0.0),
    ],
)
def test_what_has_no_random_counterpart_is_said(change):
    with pytest.raises(TypeError, match=r"Nothing is drawn like .*give the changes as controls="):
        like(tinyworld(), Change(change), 2)


def test_what_does_not_fit_is_said():
    model = tinyworld()
    wide = Change(wb.ProjectOut("L1.resid_post", torch.eye(model.spec.d_model)[:-1]))
    with pytest.raises(ValueError, match=r"fit only twice into the space; the change spans"):
        like(model, wide, 1, kind="orthogonal")
    with pytest.raises(ValueError, match=r"A control is drawn like a vector"):
        like(model, Change(wb.Add("L1.resid_post", 1.0)), 1)
    with pytest.raises(ValueError, match=r"kind is one of 'random', 'orthogonal'"):
        like(model, spread(), 1, kind="shuffled")  # pyright: ignore[reportArgumentType]
