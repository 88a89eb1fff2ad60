"""Weight edits: they reach every run of both backends, and leave no trace when the block ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import torch

import workbench as wb
from tests.parity import zoo
from tests.unit.lens_models import words_model, zoo_model
from workbench.backends.weights import stored
from workbench.change import Change
from workbench.weight_edits import WeightEdit

IDS = [[5, 9, 7, 30, 41], [6, 8, 11]]
BACKENDS = ["nnsight", "transformer_lens"]
#: Weights in the wide sense: what each architecture may have, by its name here.
NAMES = [
    *("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V", "b_O"),
    *("W_in", "W_gate", "W_out", "b_in", "b_gate", "b_out", "W_E", "W_pos", "W_U", "b_U"),
]
GLOBAL = ("W_E", "W_pos", "W_U", "b_U")


def logits(model: Any) -> torch.Tensor:
    return model.run(IDS).logits


def parameters(model: Any) -> list[torch.Tensor]:
    """A copy of every parameter, those that a bridge made for itself included."""
    inner = getattr(model.raw, "_module", model.raw)
    return [parameter.detach().clone() for parameter in inner.parameters()]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def plain(name: str, change: Callable[[Any], None]) -> torch.Tensor:
    """The logits of a Hugging Face model with something changed by hand, prompt by prompt."""
    hf_model = zoo.hf_model(name)
    change(hf_model)
    rows = [hf_model(torch.tensor([ids])).logits[0] for ids in IDS]
    return torch.cat(rows)


def real(values: torch.Tensor) -> torch.Tensor:
    return torch.cat([row[: len(ids)] for row, ids in zip(values, IDS, strict=True)])


def gpt2_query(hf: Any) -> None:
    hf.transformer.h[1].attn.c_attn.weight[:, 16:24] *= 3.0


def gpt2_value_bias(hf: Any) -> None:
    hf.transformer.h[0].attn.c_attn.bias[64 + 8 : 64 + 16] += 0.5


def gpt2_neurons(hf: Any) -> None:
    hf.transformer.h[1].mlp.c_proj.weight[[3, 100]] = 0.0


def llama_gate(hf: Any) -> None:
    hf.model.layers[0].mlp.gate_proj.weight[[4, 40]] *= -2.0


def llama_key(hf: Any) -> None:
    hf.model.layers[1].self_attn.k_proj.weight[8:16] += 0.25


def llama_output(hf: Any) -> None:
    hf.model.layers[1].self_attn.o_proj.weight[:, 24:32] = 0.0


def neox_key(hf: Any) -> None:
    hf.gpt_neox.layers[1].attention.query_key_value.weight[24 + 8 : 24 + 16] *= 2.0


def neox_token(hf: Any) -> None:
    hf.lm_head.weight[30] = 0.5


def bloom_value(hf: Any) -> None:
    hf.transformer.h[0].self_attention.query_key_value.weight[48 + 16 : 48 + 24] = 0.0


BY_HAND = [
    ("gpt2", WeightEdit("W_Q", 1, 2, factor=3.0), gpt2_query),
    ("gpt2", WeightEdit("b_V", 0, 1, add=0.5), gpt2_value_bias),
    ("gpt2", WeightEdit("W_out", 1, [3, 100], value=0.0), gpt2_neurons),
    ("llama", WeightEdit("W_gate", 0, [4, 40], factor=-2.0), llama_gate),
    ("llama", WeightEdit("W_K", 1, 1, add=0.25), llama_key),
    ("llama", WeightEdit("W_O", 1, 3, value=0.0), llama_output),
    ("gpt_neox", WeightEdit("W_K", 1, 1, factor=2.0), neox_key),
    ("gpt_neox", WeightEdit("W_U", None, 30, value=0.5), neox_token),
    ("bloom", WeightEdit("W_V", 0, 2, value=0.0), bloom_value),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("name", "edit", "by_hand"), BY_HAND, ids=lambda x: str(x)[:16])
def test_a_run_under_an_edit_is_that_of_a_plain_model_edited_by_hand(
    name: str, edit: WeightEdit, by_hand: Any, backend: str
) -> None:
    model = zoo_model(name, backend)
    before, weights = logits(model), parameters(model)
    with Change(edit).applied(model):
        edited = logits(model)
    assert not torch.allclose(edited, before, atol=1e-3)
    torch.testing.assert_close(real(edited), plain(name, by_hand), atol=1e-5, rtol=1e-5)
    assert torch.equal(logits(model), before)
    assert same(parameters(model), weights)


@pytest.mark.parametrize("name", zoo.CONFIGS)
def test_every_weight_of_every_architecture_reaches_the_logits_alike(name: str) -> None:
    models = [zoo_model(name, backend) for backend in BACKENDS]
    before = [logits(model) for model in models]
    weights = [parameters(model) for model in models]
    reached = 0
    for weight in NAMES:
        # Uneven, since norms take away what is added to all alike and, of queries and keys, a
        # common factor. 9 is a token of the prompts, and 3 a position.
        unit = {"W_E": 9, "W_U": 9, "b_U": 9, "W_pos": 3}.get(weight, 1)
        edit = WeightEdit(weight, None if weight in GLOBAL else 1, unit, factor=2.0)
        if weight.startswith("W"):
            width = 8 if weight in ("W_Q", "W_K", "W_V") else 32
            edit = replace(edit, factor=torch.linspace(-1, 2, width))
        found = []
        for model in models:
            try:
                with Change(edit).applied(model, tied=True):
                    found.append(logits(model))
            except ValueError as error:
                assert "has no " in str(error)
        assert len(found) in (0, 2)
        if found:
            torch.testing.assert_close(*found, atol=2e-5, rtol=1e-5)
            # A key's bias adds the same to every score of a query where positions are not rotated.
            if weight != "b_K":
                assert (found[0] - before[0]).abs().max() > 1e-4
            reached += 1
    assert reached >= 8
    for i in range(2):
        assert torch.equal(logits(models[i]), before[i])
        assert same(parameters(models[i]), weights[i])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_whatever_ends_the_block_every_number_is_as_before(
    error: type[BaseException], backend: str
) -> None:
    model = zoo_model("gpt_neox", backend)
    before, weights = logits(model), parameters(model)
    with pytest.raises(error), Change(WeightEdit("W_Q", 0, value=0.0)).applied(model):
        assert not torch.equal(logits(model), before)
        raise error
    assert torch.equal(logits(model), before)
    assert same(parameters(model), weights)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nested_blocks_and_one_weight_twice_are_undone_in_order(backend: str) -> None:
    model = zoo_model("gpt2", backend)
    weights = parameters(model)
    row = model.weight("W_out", 0)[7].clone()
    with Change([WeightEdit("W_out", 0, 7, factor=3), WeightEdit("W_out", 0, add=1)]).applied(
        model
    ):
        assert torch.equal(model.weight("W_out", 0)[7], row * 3 + 1)
        outer = parameters(model)
        with Change(WeightEdit("W_out", 0, [9, 7], value=0.0)).applied(model):
            assert not model.weight("W_out", 0)[[7, 9]].any()
        assert same(parameters(model), outer)
    assert same(parameters(model), weights)


def test_an_edit_that_fails_half_way_undoes_those_before_it() -> None:
    model = zoo_model("gpt2")
    weights = parameters(model)
    good = WeightEdit("W_out", 0, 7, value=0.0)
    for bad in (WeightEdit("W_out", 0, 128, value=0.0), WeightEdit("W_out", 0, 1, value=[1.0, 2])):
        with pytest.raises(ValueError), Change([good, bad]).applied(model):
            raise AssertionError("the block is not entered")
        assert same(parameters(model), weights)


def test_an_interrupt_while_edits_are_undone_does_not_stop_the_undoing(monkeypatch: Any) -> None:
    model = zoo_model("gpt2")
    weights = parameters(model)
    write, n_writes = torch.Tensor.__setitem__, 0

    def interrupted(self: torch.Tensor, at: Any, value: Any) -> None:
        nonlocal n_writes
        n_writes += 1
        if n_writes == 3:  # the first of the two that put back
            raise KeyboardInterrupt
        write(self, at, value)

    edits = [WeightEdit("W_out", 0, 7, value=0.0), WeightEdit("W_in", 0, 7, value=0.0)]
    monkeypatch.setattr(torch.Tensor, "__setitem__", interrupted)
    with pytest.raises(KeyboardInterrupt), Change(edits).applied(model):
        pass
    monkeypatch.undo()
    assert n_writes == 5
    assert same(parameters(model), weights)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bfloat16_model_is_edited_and_restored_in_its_own_precision(backend: str) -> None:
    model = words_model(backend, "bfloat16")
    weights = parameters(model)
    row, before = model.weight("W_out", 1)[5].clone(), logits(model)
    with Change(WeightEdit("W_out", 1, 5, factor=1.7)).applied(model):
        assert torch.equal(model.weight("W_out", 1)[5], row * torch.tensor(1.7).bfloat16())
        assert not torch.equal(logits(model), before)
    assert same(parameters(model), weights)
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_tied_embeddings_are_edited_together_or_not_at_all(backend: str) -> None:
    model = zoo_model("gpt2", backend)
    text = (
        r"W_E of gpt2 is one parameter under several names \(transformer.wte.weight, "
        r"lm_head.weight\): an edit of one is an edit of all. Give tied=True"
    )
    edit = WeightEdit("W_E", None, 9, value=0.0)
    with pytest.raises(ValueError, match=text), Change(edit).applied(model):
        pass
    with Change(edit).applied(model, tied=True):
        assert not model.weight("W_U")[:, 9].any()
    assert model.weight("W_U")[:, 9].all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: WeightEdit("W_X", 0, value=0), r"A weight is one of W_in, .*; got 'W_X'"),
        (lambda: WeightEdit("W_out", 0), r"has one of value, factor and add; got none"),
        (lambda: WeightEdit("W_out", 0, value=0, add=1), r"got value and add. Make an edit of"),
        (lambda: WeightEdit("W_out", 0, [], value=0), r"its neurons once, and at least one; got"),
        (lambda: WeightEdit("W_Q", 0, [1, 1], value=0), r"its heads once, .* got index=\[1, 1\]"),
    ],
)
def test_an_edit_that_makes_no_sense_is_refused(make: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        make()
    with pytest.raises(TypeError, match="index is a whole number, a list of whole numbers or"):
        WeightEdit("W_out", 0, 1.5, value=0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (WeightEdit("W_out", 9, value=0.0), r"gpt2 has layers 0 to 1; got layer 9"),
        (WeightEdit("W_out", value=0.0), r"written one layer at a time; got W_out of all layers"),
        (WeightEdit("W_out", 0, -1, value=0.0), r"W_out of gpt2 has neurons 0 to 127; got -1"),
        (WeightEdit("W_Q", 0, 4, value=0.0), r"W_Q of gpt2 has heads 0 to 3; got 4"),
        (WeightEdit("W_gate", 0, value=0.0), r"has no W_gate: its MLP has no gate"),
        (WeightEdit("b_U", None, 3, value=1.0), r"gpt2 has no b_U, which reads as zeros"),
        (
            WeightEdit("W_out", 0, 3, value=torch.zeros(5)),
            r"value of L0.W_out\[3\] spreads to \(unit, …\), \(1, 32\); got .* shape \(5,\)",
        ),
        (WeightEdit("W_out", 0, 3, value=-1e39), r"A weight is finite; L0.W_out\[3\]"),
        (WeightEdit("W_out", 0, 3, add=1e39), r"makes numbers in torch.float32 that are not"),
    ],
)
def test_an_edit_that_does_not_fit_the_model_is_refused(edit: WeightEdit, text: str) -> None:
    with pytest.raises(ValueError, match=text), Change(edit).applied(zoo_model("gpt2")):
        pass


@pytest.mark.parametrize("change", ["value", "factor", "add"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 1j, "1", [None]])
def test_what_is_no_finite_number_is_no_change_of_a_weight(change: str, wrong: Any) -> None:
    with pytest.raises(ValueError, match=f"^{change} is numbers, all finite; got"):
        WeightEdit("W_out", 0, 3, **{change: wrong})


def test_only_weight_edits_are_edits() -> None:
    wrong: Any = "L0.W_out"
    text = r"A change is made of edits, weight edits, .*; got .L"
    with pytest.raises(TypeError, match=text), Change(wrong).applied(zoo_model("gpt2")):
        pass


def test_weights_on_a_server_are_not_edited(monkeypatch: Any) -> None:
    model = zoo_model("gpt2")
    monkeypatch.setattr(type(model), "on_server", True)
    edit, text = WeightEdit("W_out", 0, value=0.0), r"The weights of gpt2 are on the server"
    with pytest.raises(ValueError, match=text), Change(edit).applied(model):
        pass


def _module(weight: torch.Tensor | None) -> Any:
    module = torch.nn.Module()
    if weight is None:
        module.register_buffer("qweight", torch.zeros(4, 8, dtype=torch.int32))
    else:
        module.weight = torch.nn.Parameter(weight, requires_grad=False)
    return module


@pytest.mark.parametrize(
    ("weight", "text"),
    [
        (torch.zeros(8, 4, dtype=torch.int8), r"mlp.c_proj of gpt2 holds int8 of shape \(8, 4\)"),
        (torch.zeros(16, 1, dtype=torch.uint8), r"holds uint8 of shape \(16, 1\), as in a quanti"),
        (torch.zeros(8, 4).to(torch.float8_e4m3fn), r"holds float8_e4m3fn of shape \(8, 4\)"),
        (torch.zeros(8), r"holds float32 of shape \(8,\)"),
        (None, r"is a Module without one \(it keeps qweight\), .* Load the model without quanti"),
        (torch.zeros(8, 4, device="meta"), r"is offloaded. Load it on one device, without offl"),
    ],
)
def test_a_weight_that_is_no_matrix_of_numbers_is_refused(
    weight: torch.Tensor | None, text: str, monkeypatch: Any
) -> None:
    with pytest.raises(ValueError, match=text):
        stored(_module(weight), "mlp.c_proj of gpt2")
    model = zoo_model("gpt2")
    monkeypatch.setitem(model._modules, "transformer.h.1.mlp.c_proj", _module(weight))
    with pytest.raises(ValueError, match=r"transformer.h.1.mlp.c_proj of gpt2"):
        model.weight("W_out", 1)
    edit = WeightEdit("W_out", 1, 0, value=0.0)
    with pytest.raises(ValueError, match=r"c_proj of gpt2"), wb.Change(edit).applied(model):
        pass


def test_a_quantised_mlp_is_as_wide_as_it_says() -> None:
    from workbench.backends.architecture import sizes_of

    packed = SimpleNamespace(in_features=48, weight=torch.zeros(768, 1, dtype=torch.uint8))
    modules = {"h.0.out": packed, "head": SimpleNamespace(weight=torch.zeros(60, 32))}
    hf_model = SimpleNamespace(get_submodule=modules.__getitem__)
    config = SimpleNamespace(d_model=32, n_layers=2, n_heads=4, d_head=8)
    sizes = sizes_of(hf_model, config, {"blocks": "h", "unembed": "head"}, ({"out": "out"},))
    assert sizes["d_mlp"] == 48
