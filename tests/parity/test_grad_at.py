"""Gradients of functions of an activation, beside plain autograd and small steps of the model."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
import torch

from workbench.edits import Add, Set
from workbench.model import Resume
from workbench.site import Site

from .conftest import BACKENDS
from .zoo import WIDTH

#: Sequential, parallel with a shared input, with norms after the parts, and with rotary positions.
NAMES = ("gpt2", "gpt_neox", "gptj", "olmo2", "llama")
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


def metric(x: torch.Tensor) -> torch.Tensor:
    """One number an example, with every position and coordinate in it to its own degree."""
    weights = torch.linspace(-1, 1, x[0].numel()).view(x.shape[1:])
    return (weights * x.tanh() * x).flatten(1).sum(-1)


def plain_gradients(
    plain: Any, prompts: list[list[int]], at: str
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The metric of a plain pass, and its gradient at every stream before that it depends on."""
    seen: dict[str, torch.Tensor] = {}

    def meet(stream: str, layer: int, value: torch.Tensor) -> torch.Tensor:
        value = value if value.requires_grad else value.requires_grad_()
        seen[f"L{layer}.{stream}"] = value
        return value

    ids = torch.tensor(prompts)
    with torch.enable_grad(), ExitStack() as stack:
        for hook in plain._hooks(meet, ids.shape):
            stack.enter_context(hook)
        plain.model(input_ids=ids, use_cache=False)
        value = metric(seen[at])
        found = torch.autograd.grad(value.sum(), list(seen.values()), allow_unused=True)
    grads = {k: g for k, g in zip(seen, found, strict=True) if g is not None}
    return value.detach(), grads


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("at", ["L1.mlp_out", "L1.resid_post", "L1.mlp_in", "L1.attn_out"])
def test_the_gradient_is_that_of_a_plain_pass(
    name: str,
    backend: str,
    at: str,
    zoo_model: Callable[..., Any],
    plain_model: Callable[..., Any],
    prompts: list[list[int]],
) -> None:
    model = zoo_model(name, backend)
    value, grads = plain_gradients(plain_model(name), prompts, at)
    streams = ("resid_pre", "attn_out", "resid_mid", "mlp_in", "mlp_post", "mlp_out", "resid_post")
    read = [
        site
        for layer in (0, 1)
        for stream in streams
        if stream in model.spec.streams and (site := Site(stream, layer)) <= Site.parse(at)
    ]
    run = model.run(prompts, read=read, grad_of=metric, grad_at=at)
    assert run.logits is None
    torch.testing.assert_close(run.value, value, **CLOSE)
    compared = 0
    for site in read:
        if str(site) in grads:
            wanted = grads[str(site)]
            size = 1e-5 * float(wanted.abs().max())
            torch.testing.assert_close(run.grad(site), wanted, rtol=1e-4, atol=size)
            compared += 1
    assert compared >= 5


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["gpt2", "gptj"])
def test_with_edits_and_resumed_it_is_what_small_steps_of_the_model_give(
    name: str, backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)
    start = model.run(prompts, read="L1.resid_pre", logits_at=())["L1.resid_pre"]
    rows = [1, 0, 1]
    push = torch.linspace(-0.5, 0.5, WIDTH)
    edits = [Add("L1.attn_out", push), Add("L1.resid_post", push, rows=[0, 2])]

    def value(more: list[Any], **options: Any) -> Any:
        return model.run(
            prompts,
            edits=[*more, *edits],
            resume=Resume(1, start[rows], rows),
            grad_of=metric,
            grad_at="L1.resid_post",
            **options,
        )

    run = value([], read=["L1.resid_pre", "L1.attn_out", "L1.resid_post"])
    # The metric sees what the edits made of its own site.
    torch.testing.assert_close(run.value, metric(run["L1.resid_post"]), **CLOSE)
    plain = model.run(prompts, read="L1.resid_post", edits=Add("L1.attn_out", push), logits_at=())
    torch.testing.assert_close(run["L1.resid_post"][1], plain["L1.resid_post"][0], **CLOSE)
    step = torch.randn(WIDTH, generator=torch.Generator().manual_seed(0))
    size = 1e-2
    for site in ("L1.resid_pre", "L1.attn_out"):
        high, low = (
            value([Add(site, sign * size * step, positions=2)], read=site).value
            for sign in (1.0, -1.0)
        )
        along = (run.grad(site)[:, 2] * step).sum(-1)
        torch.testing.assert_close((high - low) / (2 * size), along, rtol=0.02, atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_site_that_is_put_in_place_passes_no_gradient_on(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("gpt2", backend)
    run = model.run(
        prompts,
        read=["L0.attn_out", "L0.resid_post", "L1.mlp_in"],
        edits=Set("L0.resid_post", torch.linspace(-1, 1, WIDTH)),
        grad_of=metric,
        grad_at="L1.mlp_in",
    )
    assert not run.grad("L0.attn_out").any() and run.grad("L0.resid_post").any()
    wanted = run["L1.mlp_in"].clone().requires_grad_()
    torch.testing.assert_close(
        run.grad("L1.mlp_in"), torch.autograd.grad(metric(wanted).sum(), wanted)[0], **CLOSE
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_it_is_reached_with_nothing_after_it_computed(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("gpt2", backend)
    run = model.run(prompts, read="embed", grad_of=metric, grad_at="L0.mlp_out")
    assert run.grad("embed").any() and run["embed"].shape[-1] == WIDTH
    after = model.run(prompts, read="L0.mlp_out")
    torch.testing.assert_close(run.value, metric(after["L0.mlp_out"]), **CLOSE)
    assert not after["L0.mlp_out"].requires_grad


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_nothing_read_there_is_the_value_and_no_gradient(
    backend: str, zoo_model: Callable[..., Any], prompts: list[list[int]]
) -> None:
    model = zoo_model("gpt2", backend)
    alone = model.run(prompts, grad_of=metric)
    read = model.run(prompts, read="L0.mlp_out", grad_of=metric)
    assert torch.equal(alone.value, read.value) and torch.equal(alone.logits, read.logits)
    assert not alone.grads and not alone.value.requires_grad
    at = model.run(prompts, grad_of=metric, grad_at="L1.attn_out", edits=Add("L0.mlp_out", 1.0))
    wanted = model.run(prompts, read="L1.attn_out", edits=Add("L0.mlp_out", 1.0))["L1.attn_out"]
    torch.testing.assert_close(at.value, metric(wanted), **CLOSE)
    # What has no gradient has a value all the same.
    rank = model.run(prompts, grad_of=lambda x: x[:, -1].argmax(-1).float()).value
    assert torch.equal(rank, alone.logits[:, -1].argmax(-1).float())
    with pytest.raises(
        ValueError, match=r"one number an example from logits \(2, 9, 60\); it gave"
    ):
        model.run(prompts, grad_of=lambda x: x[:, -1])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"grad_of": None}, "grad_at='L1.attn_out' says what grad_of is a function of; give"),
        ({"grad_at": "L1H0.z"}, "grad_at is a whole stream, like L1.z; got L1H0.z"),
        ({"stop_after": 1}, "the pass ends after L1.attn_out, with no logits; drop stop_after"),
        ({"logits_at": "last"}, "with no logits; drop stop_after and logits_at"),
        ({"logits_at": ()}, "with no logits; drop stop_after and logits_at"),
        ({"read": "L1.mlp_in"}, "A metric of L1.attn_out has no gradient at L1.mlp_in, which is"),
        ({"grad_at": "L5.mlp_in"}, "layers 0 to 1; got layer 5"),
        ({"grad_of": lambda x: x.sum(-1)}, r"one number an example from L1.attn_out \(2, 9, 32\)"),
        ({"grad_of": lambda x: 3.0}, "it gave float"),
        ({"grad_of": lambda x: x.detach().sum((1, 2))}, "depends on the L1.attn_out by diff"),
        ({"edits": [Add("L1.mlp_out", torch.ones(WIDTH))]}, "stops after L1.attn_out does not"),
    ],
)
def test_wrong_calls_say_what_is_wrong(
    backend: str,
    options: dict[str, Any],
    rule: str,
    zoo_model: Callable[..., Any],
    prompts: list[list[int]],
) -> None:
    model = zoo_model("gpt2", backend)
    call: dict[str, Any] = {"read": "L0.mlp_out", "grad_of": metric, "grad_at": "L1.attn_out"}
    with pytest.raises(ValueError, match=rule):
        model.run(prompts, **(call | options))
    assert model.run(prompts).logits is not None
