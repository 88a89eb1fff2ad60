"""Every kind of edit at every site does what the same change of a plain Hugging Face pass does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch

from workbench.edits import Add, Affine, Edit, ProjectOut, Scale, Set, UnchangedEdit
from workbench.site import GLOBAL_STREAMS, HEAD_STREAMS, NEURON_STREAMS, STREAMS, Site

from .conftest import BACKENDS
from .test_sites import site_of
from .zoo import CONFIGS, LAYERS

ROW, POSITIONS = 1, (2, 5)


def vector(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, generator=torch.Generator().manual_seed(seed))


def project_out(x: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    unit = d / d.norm()
    return x - (x * unit).sum(-1, keepdim=True) * unit


#: Kind → (the edit with a parameter, the same change written out).
KINDS: dict[
    str, tuple[Callable[..., Edit], Callable[[torch.Tensor, torch.Tensor], torch.Tensor]]
] = {
    "set": (lambda s, d, **at: Set(s, d, **at), lambda x, d: d.expand_as(x)),
    "add": (lambda s, d, **at: Add(s, d, scale=2.0, **at), lambda x, d: x + 2 * d),
    "scale": (lambda s, d, **at: Scale(s, 0.25, **at), lambda x, d: 0.25 * x),
    "project": (lambda s, d, **at: ProjectOut(s, d, **at), project_out),
    "affine": (
        lambda s, d, **at: Affine(s, torch.outer(d, d), d, **at),
        lambda x, d: torch.einsum("...i,j,i->...j", x, d, d) + d,
    ),
}


def change_at(
    stream: str, head: int | None, unit: int | None, change: Callable[[torch.Tensor], torch.Tensor]
) -> Callable:
    """The change at ROW and POSITIONS of a whole stream's tensor, by explicit indices."""

    def apply(value: torch.Tensor) -> torch.Tensor:
        out = value.clone()
        for p in POSITIONS:
            if stream in ("pattern", "attn_scores"):
                for h in range(value.shape[1]) if head is None else [head]:
                    now = value[ROW, h, p]
                    hidden = now < -1e4 if stream == "attn_scores" else torch.arange(len(now)) > p
                    new = change(now.masked_fill(hidden, 0))
                    out[ROW, h, p] = torch.where(hidden, now, new)
            elif stream in HEAD_STREAMS:
                for h in range(value.shape[2]) if head is None else [head]:
                    out[ROW, p, h] = change(value[ROW, p, h])
            elif unit is not None:
                out[ROW, p, unit] = change(value[ROW, p, unit])
            else:
                out[ROW, p] = change(value[ROW, p])
        return out

    return apply


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::workbench.edits.UnchangedEdit")
def test_every_edit_gives_the_logits_of_the_same_change_by_hand(
    name, backend, zoo_model, plain_model, prompts
):
    model, plain = zoo_model(name, backend), plain_model(name)
    ids = torch.tensor(prompts)
    _, values, _ = plain.run(ids)
    unedited = model.run(prompts).logits
    tried = moved = 0
    editable = [s for s in model.spec.streams if s not in model.spec.read_only]
    for n, stream in enumerate(editable):
        layer = 0 if stream in GLOBAL_STREAMS else n % LAYERS
        for kind, (edit, change) in KINDS.items():
            whole = site_of(stream, layer)
            head = 1 if stream in HEAD_STREAMS and n % 2 else None
            width = values[stream, layer].shape[-1]
            parameter = vector(width, n)
            if stream == "pattern":
                parameter = parameter.abs()
            site = whole if head is None else Site(stream, layer, head=head)
            change_here = change_at(stream, head, None, lambda x, c=change, d=parameter: c(x, d))
            expected, _, _ = plain.run(ids, at=(stream, layer), change=change_here)
            got = model.run(
                prompts, edits=edit(site, parameter, rows=ROW, positions=POSITIONS)
            ).logits
            torch.testing.assert_close(
                got, expected, atol=2e-5, rtol=1e-5, msg=lambda t, s=site, k=kind: f"{k} {s}: {t}"
            )
            torch.testing.assert_close(got[0], unedited[0], atol=2e-5, rtol=1e-5)
            tried += 1
            moved += int((got - unedited).abs().max() > 1e-3)
    # A change along the ones vector can vanish in a LayerNorm, or a query's in a softmax; most do
    # not.
    assert moved > 0.8 * tried


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "llama", "opt", "bloom"])
@pytest.mark.parametrize("stream", NEURON_STREAMS)
def test_a_neuron_is_edited_by_itself(name, backend, stream, zoo_model, plain_model, prompts):
    model, plain = zoo_model(name, backend), plain_model(name)
    expected, _, _ = plain.run(
        torch.tensor(prompts),
        at=(stream, 1),
        change=change_at(stream, None, 7, lambda x: torch.full_like(x, 5.0)),
    )
    run = model.run(
        prompts,
        read=f"L1.{stream}",
        edits=Set(f"L1.{stream}/7", 5.0, rows=ROW, positions=POSITIONS),
    )
    torch.testing.assert_close(run.logits, expected, atol=2e-5, rtol=1e-5)
    assert torch.equal(run[f"L1.{stream}/7"][ROW, list(POSITIONS)], torch.full((2,), 5.0))


@dataclass(frozen=True, eq=False, repr=False)
class Reuse(Edit):
    """What a user may write: takes the activation from an earlier site of the same pass."""

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation + needed[0] - 0.5 * needed[1]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gemma2", "gptj", "bloom"])
def test_an_edit_receives_the_sites_it_needs_as_they_are_now(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    first = Add("L0.attn_out", torch.ones(model.spec.d_model), positions=[1, 3])
    second = Reuse("L1.mlp_out", needs=("L0.attn_out", "L1.resid_pre"), positions=[1, 3])
    run = model.run(prompts, read=["L0.attn_out", "L1.resid_pre"], edits=[first])
    plain_mlp = model.run(prompts, read="L1.mlp_out", edits=[first])["L1.mlp_out"]
    expected = plain_mlp.clone()
    expected[:, [1, 3]] += (run["L0.attn_out"] - 0.5 * run["L1.resid_pre"])[:, [1, 3]]
    got = model.run(prompts, read="L1.mlp_out", edits=[first, second])
    torch.testing.assert_close(got["L1.mlp_out"], expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(got.logits, run.logits, atol=1e-3)


@dataclass(frozen=True)
class Laid(Edit):
    """Twice the value, laid out in memory as the last two axes turned, or as one row repeated."""

    repeated: bool = False

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        if self.repeated:
            return (2 * activation[:1]).expand_as(activation)
        return (2 * activation).mT.contiguous().mT


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_what_an_edit_gives_may_lie_in_memory_in_any_way(name, backend, zoo_model, prompts):
    model = zoo_model(name, backend)
    rows = [prompts[0], prompts[0]]
    for site in [site_of(s, 1) for s in model.spec.streams if s not in model.spec.read_only]:
        wanted = model.run(rows, edits=Scale(site, 2.0)).logits
        for repeated in (False, True):
            got = model.run(rows, edits=Laid(site, repeated=repeated)).logits
            torch.testing.assert_close(got, wanted, atol=2e-5, rtol=2e-5, msg=f"{site} {repeated}")


@pytest.mark.parametrize("backend", BACKENDS)
def test_edits_of_one_site_apply_in_the_order_given(backend, zoo_model, prompts):
    model = zoo_model("llama", backend)
    ones = torch.ones(model.spec.d_model)
    run = model.run(
        prompts,
        read="L0.resid_post",
        edits=[Set("L0.resid_post", ones), Scale("L0.resid_post", 3.0)],
    )
    assert torch.equal(run["L0.resid_post"], 3 * torch.ones_like(run["L0.resid_post"]))


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_edit_that_changes_nothing_is_recorded_and_warns_when_it_is_the_only_one(
    backend, zoo_model, prompts
):
    model = zoo_model("llama", backend)
    value = model.run(prompts, read="L0.z")["L0H1.z"]
    same = Set("L0H1.z", value)
    with pytest.warns(
        UnchangedEdit, match=r"Set\('L0H1.z'\) changed nothing: .* Check its value, or the site"
    ):
        run = model.run(prompts, edits=same)
    assert run.unchanged == (same,)
    other = Scale("L1H0.z", 0.0)
    assert model.run(prompts, edits=[same, other]).unchanged == (same,)


@pytest.mark.filterwarnings("error::workbench.edits.UnchangedEdit")
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("moved", [(0, 0, 0), (1, -1, 3), (2, 1, -1)])
def test_an_edit_that_moves_one_number_of_many_is_a_change(backend, moved, zoo_model):
    model, rows = zoo_model("llama", backend), [[5, 9, 4, 30, 7]] * 3
    plain = model.run(rows, read="L0.resid_post")
    factor = torch.ones_like(plain["L0.resid_post"])
    factor[moved] = 1.5
    run = model.run(rows, read="L0.resid_post", edits=Scale("L0.resid_post", factor))
    assert run.unchanged == ()
    assert torch.equal(run["L0.resid_post"], plain["L0.resid_post"] * factor)
    row, pos, _ = moved
    changed = (run.logits - plain.logits).abs().amax(-1) > 1e-6
    assert changed[row, pos:].any() and not changed[[r for r in range(3) if r != row]].any()
    # Among others, and where the rest of its rows stays as it was.
    same, some = Scale("L0.z", 1.0), Scale("L0.resid_post", 2.0, rows=[0], positions=[1])
    assert model.run(rows, edits=[same, some]).unchanged == (same,)


@pytest.mark.parametrize("stream", [s for s in STREAMS if "expert" not in STREAMS[s]])
def test_every_edit_reaches_every_row_it_names(stream, zoo_model, prompts):
    """Block outputs are tensors in transformers 5: taken for tuples, only row 0 is edited."""
    for backend in BACKENDS:
        model = zoo_model("llama", backend)
        run = model.run(
            prompts,
            read=site_of(stream, 1),
            edits=Set(site_of(stream, 1), 0.125, positions=[0, -1]),
        )
        value = run[site_of(stream, 1)]
        if stream in ("pattern", "attn_scores"):
            # The first place is the one that every position may look at.
            value = value.transpose(1, 2)[..., :1]
        assert torch.equal(value[:, [0, -1]], torch.full_like(value[:, [0, -1]], 0.125))
        assert not torch.equal(value[:, 1], torch.full_like(value[:, 1], 0.125))
