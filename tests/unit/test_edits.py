"""Edits as plain data: what they hold, how they print, what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from workbench.edits import Add, Affine, Edit, ProjectOut, Scale, Set
from workbench.site import Site


def test_an_edit_reads_its_site_rows_positions_and_needs():
    edit = Scale("L1H2.z", 0, rows=3, positions=[1, -1], needs="L0.attn_out")
    assert edit.site == Site("z", 1, head=2)
    assert (edit.rows, edit.positions, edit.needs) == ((3,), (1, -1), (Site("attn_out", 0),))
    assert repr(edit) == "Scale('L1H2.z', rows=(3,), positions=(1, -1))"


@pytest.mark.parametrize("n", [1, 3])
def test_project_out_leaves_nothing_along_directions_that_are_not_orthogonal(n: int):
    generator = torch.Generator().manual_seed(0)
    directions = 5 * torch.randn(n, 16, generator=generator)
    x = torch.randn(2, 4, 16, generator=generator)
    out = ProjectOut("L0.resid_post", directions).apply(x)
    assert float((out @ directions.T).abs().max()) < 1e-4
    kept = x - out
    coordinates = torch.linalg.lstsq(directions.T, kept.flatten(0, 1).T).solution
    torch.testing.assert_close(
        (directions.T @ coordinates).T, kept.flatten(0, 1), atol=1e-4, rtol=0
    )


V, W = torch.randn(2, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
DEPENDENT = {
    "the same twice": [V, V],
    "a multiple": [V, 3 * V],
    "a small negative multiple": [V, -1e-6 * V],
    "a sum of the others": [V, W, V + W],
    "a difference of the others": [V, W, 0.1 * V - 0.7 * W],
    "one of zeros": [V, 0 * V],
    "more than the width": [torch.cos(V * i) for i in range(17)],
}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kind", DEPENDENT)
def test_directions_of_which_one_follows_from_the_others_are_refused(kind: str, dtype: torch.dtype):
    given: Any = torch.stack(DEPENDENT[kind]).to(dtype)
    several = [given, given.tolist(), given.numpy()] if dtype == torch.float64 else [given]
    for directions in several:
        with pytest.raises(ValueError, match=f"and not zero; the {len(given)} given are not"):
            ProjectOut("L0.resid_post", directions).apply(torch.ones(1, 2, 16))


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-9])
def test_directions_that_differ_by_little_or_in_length_are_two(apart: float):
    v, w = V, W - (W @ V) / (V @ V) * V
    x = torch.randn(2, 3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    given = torch.stack([1e-15 * v, v + apart * w])
    out = ProjectOut("L0.resid_post", given).apply(x)
    assert torch.equal(ProjectOut("L0.resid_post", given.tolist()).apply(x), out)
    for direction in (v, w):
        assert float((out @ direction).abs().max()) < 1e-5
    kept = x - out
    plane = torch.linalg.qr(torch.stack([v, w]).T).Q
    torch.testing.assert_close(kept, kept @ plane @ plane.T, atol=1e-5, rtol=0)


def test_the_kinds_do_what_they_say():
    x = torch.arange(12.0).reshape(1, 3, 4)
    v = torch.tensor([1.0, 0, 2, 0])
    assert torch.equal(Set("L0.z", 2.0).apply(x), torch.full_like(x, 2))
    assert torch.equal(Add("L0.z", v, scale=-1).apply(x), x - v)
    assert torch.equal(Scale("L0.z", v).apply(x), x * v)
    m = torch.arange(16.0).reshape(4, 4)
    expected = torch.stack([m @ row + v for row in x[0]])[None]
    torch.testing.assert_close(Affine("L0.z", m, v).apply(x), expected)
    # What is not said: added once, and without an offset.
    assert torch.equal(Add("L0.z", v).apply(x), x + v)
    torch.testing.assert_close(Affine("L0.z", m).apply(x), x @ m.T)
    assert Scale("L0.z", 0).rows is Scale("L0.z", 0).positions is None


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: Scale("L1.z", 0, rows=()), ValueError, r"rows of an edit are different row numb"),
        (lambda: Scale("L1.z", 0, rows=(1, 1)), ValueError, r"different row numbers; got \(1, 1\)"),
        (
            lambda: Scale("L0.z", 0, needs="L1.z"),
            ValueError,
            r"can need only what is computed before it; L1.z comes after L0.z",
        ),
        (
            lambda: Scale("L1.z", 0, needs="L1.z"),
            ValueError,
            r"can need only what is computed before it; L1.z comes after L1.z",
        ),
        (
            lambda: Edit("L0.z").apply(torch.zeros(1)),
            TypeError,
            r"Edit has no apply\(activation, \*needed\); define it",
        ),
        (
            lambda: ProjectOut("L0.z", torch.zeros(4)).apply(torch.ones(1, 1, 4)),
            ValueError,
            r"linearly independent and not zero; the 1 given are not",
        ),
        (
            lambda: ProjectOut("L0.z", torch.ones(3)).apply(torch.ones(1, 1, 4)),
            ValueError,
            r"Directions have the activation's width 4; got 3",
        ),
        (
            lambda: Add("L0.z", torch.ones(3)).apply(torch.ones(1, 1, 4)),
            ValueError,
            r"selected activation, shape \(1, 1, 4\); got shape \(3,\). Give one value",
        ),
    ],
)
def test_what_an_edit_refuses(call, error, text: str):
    with pytest.raises(error, match=text):
        call()
