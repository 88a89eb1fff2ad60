"""An edit used again is right again: no edit remembers the pass that it was in."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.unit import random_dictionaries
from tests.unit.kernels import Components, cuts, node_edits
from tests.unit.lens_models import zoo_model
from workbench.dictionary.base import ScaleFeatures, SetFeatures, Splice

BACKENDS = ("nnsight", "transformer_lens")
FIRST, SECOND = [[5, 9, 12, 7, 30, 8]] * 2, [[6, 40, 11, 9, 31, 28], [3, 9, 55, 7, 30, 20]]
CORRUPT = [[5, 40, 12, 9, 31, 8], [6, 9, 13, 7, 30, 20]]


@cache
def kinds() -> dict[str, Any]:
    """Every kind of edit by its name, wherever its class is."""
    for module in pkgutil.walk_packages(wb.__path__, "workbench."):
        importlib.import_module(module.name)
    found, todo = set(), [wb.Edit]
    while todo:
        todo += (below := todo.pop().__subclasses__())
        found |= {kind for kind in below if kind.__module__.startswith("workbench.")}
    by_name = {kind.__name__: kind for kind in found}
    assert len(by_name) == len(found)
    return by_name


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def reference(model: Any) -> tuple[Components, torch.Tensor]:
    parts = Components.of(model.spec)
    run = model.run(CORRUPT, read=cuts.contribution_sites(parts))
    return parts, cuts.contributions(model, parts, run)


def every_edge(model: Any) -> list[wb.Edit]:
    parts, given = reference(model)
    return list(cuts.cut_edits(model, parts, np.repeat(parts.edges[None], 2, 0), given))


def some_edges(model: Any) -> list[wb.Edit]:
    parts, given = reference(model)
    rng = np.random.default_rng(0)
    cut = np.repeat(parts.edges[None], 2, 0)
    return list(cuts.cut_edits(model, parts, cut & (rng.random(cut.shape) < 0.3), given))


def nodes(model: Any) -> list[wb.Edit]:
    parts, given = reference(model)
    cut = np.zeros((2, given.shape[2]), bool)
    cut[0, 1:3], cut[1, 4:6] = True, True
    cut[0, 0] = cut[1, -1] = True
    return list(node_edits(model, parts, cut, given))


def of_sources(model: Any) -> list[wb.Edit]:
    needs = ("L1.pattern", "L1.v")
    group = model.spec.n_heads // model.spec.n_kv_heads
    cut: dict[str, Any] = {"values": (1,), "keys": (2,), "evenly": True, "strength": 0.5}
    return [kinds()["CutSources"]("L1.z", 1, 4, group, rows=0, needs=needs, **cut)]


def shifted(model: Any) -> list[wb.Edit]:
    change = values(2, 6, model.spec.n_heads, model.spec.d_model)
    compute = cuts.ReaderInput.of(model, "q", 1)
    return [cuts.ShiftReaders("L1.q", change, compute, needs="L1.resid_pre")]


def dictionary(model: Any) -> Any:
    return random_dictionaries.dictionary("relu", d_in=model.spec.d_model, n=12)


KEPT = torch.arange(12) % 2 == 0
MASK = torch.arange(32) % 3 == 0
#: Every kind of edit of the package, and how one is made.
KINDS: dict[str, Callable[[Any], Sequence[wb.Edit]]] = {
    "Set": lambda model: [wb.Set("L0.mlp_out", values(2, 1, 32))],
    "Add": lambda model: [wb.Add("L1.attn_scores", values(2, 1, 6, 1), scale=3.0)],
    "Scale": lambda model: [wb.Scale("L0H1.z", values(2, 6, 1), rows=[0, 1])],
    "ProjectOut": lambda model: [wb.ProjectOut("L1.resid_pre", values(3, 32))],
    "Blend": lambda model: [
        kinds()["Blend"].of(wb.Set("L0.mlp_out", values(2, 1, 32)), (0.5, 2.0)),
    ],
    "Affine": lambda model: [wb.Affine("L0.attn_out", values(32, 32), values(32))],
    "Splice": lambda model: [Splice(dictionary(model))],
    "SetFeatures": lambda model: [SetFeatures(dictionary(model), [1, 2], 3.0)],
    "ScaleFeatures": lambda model: [ScaleFeatures(dictionary(model), [1, 2], 4.0)],
    "KeepFeatures": lambda model: [
        kinds()["KeepFeatures"](dictionary(model), KEPT, 0.0, values(32))
    ],
    "CutEdges": every_edge,
    "ShiftReaders": shifted,
    "CutHeads": nodes,
    "CutStream": nodes,
    "CutSources": of_sources,
    "CutCarry": lambda model: [kinds()["CutCarry"]("L1.resid_post", 0.5, needs="L1.resid_pre")],
    "CutOthers": lambda model: [
        kinds()["CutOthers"]("L1.mlp_out", model, (1, 3), 0.7, needs="L1.mlp_post")
    ],
    "Put": lambda model: [kinds()["Put"]("L0.mlp_out", values(2, 6, 32), MASK)],
    "_Keep": lambda model: [kinds()["_Keep"]("L0.mlp_out", MASK, values(2, 6, 32))],
    "Detach": lambda model: [kinds()["Detach"]("L0.mlp_out"), wb.Add("L0.attn_out", 1.0)],
    "_Detach": lambda model: [kinds()["_Detach"]("L0.mlp_out"), wb.Add("L0.attn_out", 1.0)],
    "_Touch": lambda model: [
        kinds()["_Touch"]("L0.mlp_out", torch.zeros(())),
        wb.Add("L0.attn_out", 1.0),
    ],
}


def test_every_kind_of_edit_is_tried() -> None:
    assert set(kinds()) - {"DictionaryEdit", "SomeFeatures"} == set(KINDS)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("kind", [*KINDS, "some edges"])
def test_an_edit_used_again_is_right_again(kind: str, name: str, backend: str) -> None:
    model = zoo_model(name, backend)
    make = some_edges if kind == "some edges" else KINDS[kind]

    def run(edits: Sequence[wb.Edit], prompts: list[list[int]]) -> list[torch.Tensor]:
        sites = ["L0.resid_post", "L1.z", "L1.mlp_out"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wb.UnchangedEdit)
            plain = model.run(prompts, read=sites, edits=edits)
            graph = model.run(
                prompts, read=sites, edits=edits, grad_of=lambda x: x[:, -1, 5] - x[:, 2, 9]
            )
        assert plain.logits is not None
        grads = [graph.grad(site) for site in sites]
        return [plain.logits, *(plain[site] for site in sites), graph.value, *grads]

    edits = make(model)
    once = run(edits, FIRST)
    plain = model.run(FIRST).logits
    assert not torch.equal(once[0], plain)
    again = run(edits, SECOND)
    for a, b in zip(again, run(make(model), SECOND), strict=True):
        assert torch.equal(a, b)
    assert not torch.allclose(again[0], once[0], atol=1e-3) or kind == "CutEdges"
    for a, b in zip(once, run(edits, FIRST), strict=True):
        assert torch.equal(a, b)
    # A part of them, as another pass may use it.
    for a, b in zip(run(edits[-1:], SECOND), run(make(model)[-1:], SECOND), strict=True):
        assert torch.equal(a, b)
