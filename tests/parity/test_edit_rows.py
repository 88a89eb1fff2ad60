"""Edits of rows of unequal lengths do to each row what they do to it alone, on both backends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from workbench.edits import Add, Affine, Edit, ProjectOut, Scale, Set
from workbench.site import Site

from .conftest import BACKENDS

ROWS = [[5, 9, 13, 20, 31, 44, 2], [7, 3, 50], [12, 28, 6, 41, 11]]
READ = ("L1.resid_post", "L1.z")


@dataclass(frozen=True, eq=False, repr=False)
class Mixed(Edit):
    """What a user may write: a value a row, and the site it needs beside it."""

    value: Any

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        (now,) = needed
        assert now.shape == activation.shape and activation.shape[0] == len(self.value)
        return activation + self.value * now


def values(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


#: Kind → the edit of a site with a value for the given rows.
KINDS: dict[str, Callable[..., Edit]] = {
    "set": lambda site, x, **at: Set(site, x, **at),
    "add": lambda site, x, **at: Add(site, x, scale=2.0, **at),
    "scale": lambda site, x, **at: Scale(site, x, **at),
    "affine": lambda site, x, **at: Affine(site, values(x.shape[-1], x.shape[-1]), x, **at),
    "project": lambda site, x, **at: ProjectOut(site, values(x.shape[-1]), **at),
    "needs": lambda site, x, **at: Mixed(site, x, needs="L0.mlp_out", **at),
}


def metric(logits: torch.Tensor) -> torch.Tensor:
    return logits[:, -1, 9] - logits[:, -1, 4]


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_a_row_works_where_rows_have_unequal_lengths(
    kind: str, backend: str, side: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model("llama", backend)
    tokens = model.tokens(ROWS, padding_side=side)
    each = values(len(ROWS), 1, model.spec.d_model)
    make = KINDS[kind]
    run = model.run(
        tokens,
        read=READ,
        edits=make("L0.resid_post", each),
        grad_of=metric,
        logits_at="last",
    )
    for r, row in enumerate(ROWS):
        alone = model.run([row], read=READ, edits=make("L0.resid_post", each[[r]]), grad_of=metric)
        torch.testing.assert_close(run.logits[r, 0], alone.logits[0, -1], atol=2e-5, rtol=1e-4)
        columns = tokens.columns(r)
        for site in READ:
            torch.testing.assert_close(run[site][r, columns], alone[site][0], atol=2e-5, rtol=1e-4)
            torch.testing.assert_close(
                run.grad(site)[r, columns], alone.grad(site)[0], atol=2e-5, rtol=1e-4
            )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("site", "shape", "positions", "rows"),
    [
        ("L0.z", (3, 1, 4, 8), None, None),
        ("L0H2.z", (3, 1, 8), slice(1, None), None),
        # Row 1 has three tokens, so that none of it is chosen.
        ("L1.resid_pre", (3, 1, 32), slice(3, None), None),
        ("L1.mlp_post/7", (3, 1), None, None),
        ("L1.mlp_out", (2, 1, 32), None, (2, 1)),
        ("L1.attn_scores", (3, 1, 1, 1), None, None),
        ("L1H3.pattern", (3, 1, 1), slice(0, 5), None),
    ],
)
def test_it_does_at_every_kind_of_site_and_selection(
    site: str,
    shape: tuple[int, ...],
    positions: Any,
    rows: Any,
    backend: str,
    zoo_model: Callable[..., Any],
) -> None:
    model = zoo_model("llama", backend)
    tokens = model.tokens(ROWS)
    each = values(*shape)
    logits = model.run(tokens, edits=Scale(site, each, positions=positions, rows=rows)).logits
    plain = model.run(tokens).logits
    for r, row in enumerate(ROWS):
        which = r if rows is None else rows.index(r) if r in rows else None
        own = len(range(len(row))[positions or slice(None)])
        expected = plain[[r], : len(row)]
        if which is not None and own:
            edit = Scale(site, each[[which]], positions=positions)
            expected = model.run([row], edits=edit).logits
            assert not torch.allclose(expected, plain[[r], : len(row)], atol=1e-4)
        torch.testing.assert_close(logits[[r], : len(row)], expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_value_a_position_is_counted_from_each_rows_first_one(
    backend: str, zoo_model: Callable[..., Any]
) -> None:
    model = zoo_model("llama", backend)
    tokens = model.tokens(ROWS, padding_side="left")
    by_position = values(7, model.spec.d_model)
    run = model.run(tokens, read="L0.mlp_out", edits=Set("L0.mlp_out", by_position))
    for r, row in enumerate(ROWS):
        got = run["L0.mlp_out"][r, tokens.columns(r)]
        assert torch.equal(got, by_position[: len(row)])
    text = r"broadcasts to the selected activation, shape \(3, 7, 32\); got shape \(15, 32\)"
    with pytest.raises(ValueError, match=text):
        model.run(tokens, edits=Set("L0.mlp_out", values(15, model.spec.d_model)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_edit_that_writes_into_what_it_is_given_is_refused(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("gpt2", backend)
    plain = model.run(prompts).logits

    class Careless(Edit):
        def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
            (needed[0] if needed else activation).mul_(0)
            return activation

    class Quiet(Careless):
        def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
            return super().apply(activation, *needed).clone()

    for edit in (
        Careless("L0.mlp_out"),
        Quiet("L0.mlp_out", positions=1),
        Careless("L0.mlp_out", needs="L0.attn_out"),
    ):
        with pytest.raises(ValueError, match="gives back a new tensor .* Clone the activation"):
            model.run(prompts, edits=edit)
        assert torch.equal(model.run(prompts).logits, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_a_run_gives_back_is_nobody_elses_memory(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    from workbench.model import Resume

    model = zoo_model("llama", backend)
    sites = [s for s in model.spec.sites if s.stream not in model.spec.read_only]

    def run(**options: Any) -> Any:
        return model.run(
            prompts, read=sites, grad_of=metric, edits=Set("L0.mlp_out", value), **options
        )

    value = values(2, 9, model.spec.d_model)
    kept, first = value.clone(), run()
    plain = model.run(prompts, cache=True)
    second = run()
    for found in (first.activations, first.grads):
        for site in sites:
            found[site].fill_(7.0)
            wrong = [str(s) for s in sites if s > site and torch.all(found[s] == 7.0)]
            assert not wrong
    for keys, cached in plain.past.layers:
        keys.fill_(7.0)
        cached.fill_(7.0)
    assert torch.equal(value, kept)
    again = run()
    assert torch.equal(again.logits, second.logits)
    assert all(torch.equal(again[s], second[s]) for s in sites)
    resid = values(2, 9, model.spec.d_model)
    before = resid.clone()
    resumed = model.run(prompts, read="L1.resid_pre", resume=Resume(1, resid))
    resumed["L1.resid_pre"].fill_(7.0)
    assert torch.equal(resid, before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_same_edit_twice_is_applied_and_reported_twice(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("llama", backend)
    double = Scale("L0.mlp_out", 2.0)
    twice = model.run(prompts, edits=[double, double])
    torch.testing.assert_close(
        twice.logits, model.run(prompts, edits=Scale(Site("mlp_out", 0), 4.0)).logits
    )
    put = Set("L0.mlp_out", 1.0)
    assert model.run(prompts, edits=[put, put]).unchanged == (put,)
