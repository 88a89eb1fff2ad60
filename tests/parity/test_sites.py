"""Every site reads the same through Hugging Face, nnsight and TransformerLens."""

from __future__ import annotations

import pytest
import torch

from workbench.site import GLOBAL_STREAMS, STREAMS, Site

from .conftest import BACKENDS
from .zoo import CONFIGS, LAYERS

TOLERANCE = 1e-5
PARALLEL = {"gpt_neox", "gptj", "phi"}


#: TransformerLens hands attention to Hugging Face here and shows the pattern afterwards.
DELEGATED = {("gptj", "transformer_lens"), ("opt", "transformer_lens")}


def expected_streams(name: str, backend: str) -> set[str]:
    lacking = {"resid_mid"} if name in PARALLEL else set()
    lacking |= {"router", "expert_out"}
    return set(STREAMS) - lacking - ({"attn_scores"} if (name, backend) in DELEGATED else set())


def site_of(stream: str, layer: int) -> Site:
    return Site(stream) if stream in GLOBAL_STREAMS else Site(stream, layer)


def unmasked(stream: str, value: torch.Tensor) -> torch.Tensor:
    """Scores of masked entries differ by how a library writes minus infinity."""
    return value[value > -1e4] if stream == "attn_scores" else value


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_every_site_reads_what_plain_hugging_face_computes(
    name, backend, zoo_model, plain_model, prompts
):
    model = zoo_model(name, backend)
    assert set(model.spec.streams) == expected_streams(name, backend)
    logits, values, _ = plain_model(name).run(torch.tensor(prompts))
    run = model.run(prompts, read=model.spec.sites)
    torch.testing.assert_close(run.logits, logits, atol=TOLERANCE, rtol=TOLERANCE)
    for stream in model.spec.streams:
        for layer in range(1 if stream in GLOBAL_STREAMS else LAYERS):
            mine, plain = run[site_of(stream, layer)], values[stream, layer]
            torch.testing.assert_close(
                unmasked(stream, mine),
                unmasked(stream, plain),
                atol=TOLERANCE,
                rtol=TOLERANCE,
                msg=lambda text, stream=stream, layer=layer: f"{stream} {layer}: {text}",
            )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CONFIGS)
def test_gradients_at_every_site_are_those_of_plain_autograd(
    name, backend, zoo_model, plain_model, prompts
):
    model = zoo_model(name, backend)

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, -1, 5] - logits[:, -1, 7] + 0.1 * logits[:, 3, 9] ** 2

    _, _, expected = plain_model(name).run(torch.tensor(prompts), metric=metric)
    sites = [s for s in model.spec.sites if s.stream not in model.spec.read_only]
    run = model.run(prompts, read=sites, grad_of=metric)
    assert run.value.shape == (2,)
    for site in sites:
        plain = expected[site.stream, site.layer or 0]
        scale = float(plain.abs().max().clamp(min=1.0))
        torch.testing.assert_close(
            run.grad(site),
            plain,
            atol=TOLERANCE * scale,
            rtol=1e-4,
            msg=lambda t, s=site: f"{s}: {t}",
        )


@pytest.mark.parametrize("name", ["gptj", "opt"])
def test_a_site_that_cannot_move_the_logits_refuses_edits_and_gradients(name, zoo_model, prompts):
    from workbench.edits import Scale

    model = zoo_model(name, "transformer_lens")
    assert model.spec.read_only == ("pattern",)
    with pytest.raises(
        ValueError,
        match=r"L0.pattern is read-only: on the transformer_lens backend an edit of pattern "
        r"does not reach the logits .* Use the other backend",
    ):
        model.run(prompts, edits=Scale("L0.pattern", 0))
    with pytest.raises(ValueError, match=r"L0.pattern has no gradient: .* Use the other backend"):
        model.run(prompts, read="L0.pattern", grad_of=lambda logits: logits[:, -1, 0])
    with pytest.raises(
        ValueError,
        match=r"has no attn_scores on the transformer_lens backend.* It has embed, .*pattern",
    ):
        model.run(prompts, read="L0.attn_scores")
    assert zoo_model(name, "nnsight").spec.read_only == ()


@pytest.mark.parametrize("name", sorted(PARALLEL))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_parallel_block_says_that_it_has_no_middle(name, backend, zoo_model, prompts):
    with pytest.raises(
        ValueError, match=r"has no resid_mid .* Its attention and MLP run in parallel"
    ):
        zoo_model(name, backend).run(prompts, read="L0.resid_mid")
