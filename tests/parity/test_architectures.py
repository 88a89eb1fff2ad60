"""More than sixty architectures and settings, each on both backends: right, or refused in words."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

import pytest
import torch

from workbench.edits import Add, Set
from workbench.loading import load
from workbench.site import GLOBAL_STREAMS, STREAMS, Site

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
ATTENTION = ("q", "k", "v", "attn_scores", "pattern", "z")
NEURONS = ("mlp_pre", "mlp_post")

#: What TransformerLens computes otherwise or not at all, by what is said of it.
REFUSED = {
    "codegen": "transformer_lens backend cannot run CodeGenForCausalLM.* other backend",
    "falcon_40b": "cannot put a bridge around falcon_40b.*backend='nnsight'",
    "gpt2_unscaled": "logits of gpt2_unscaled .* are off by .* Load it with the other backend",
    "gpt_bigcode_multi_head": "cannot put a bridge around .*backend='nnsight'",
    "gpt_neox_no_bias": "cannot put a bridge around .*backend='nnsight'",
    "helium": "logits of helium .* are off by .* Load it with the other backend",
    "opt_post_norm": "transformer_lens backend cannot run OPTForCausalLM.* other backend",
    "phi_qk_norm": "cannot put a bridge around .*backend='nnsight'",
}
#: transformers 5.24 wrote CodeGen anew: since then its attention is where nnsight finds it, and a
#: bridge no longer fits.
OLD_CODEGEN = tuple(map(int, version("transformers").split(".")[:2])) < (5, 24)
if OLD_CODEGEN:
    del REFUSED["codegen"]
#: Attention that TransformerLens hands to Hugging Face, and shows the pattern of afterwards.
DELEGATED = {"gptj_tied", "gpt_neo", "jamba", "llama4", "nanochat", "xglm"}
PARALLEL = {
    *("codegen", "cohere", "cohere2", "falcon_7b", "falcon_40b", "gpt_neox_no_bias"),
    *("gptj_tied", "phi_qk_norm", "stablelm_parallel_qk_norm"),
}
#: Mixtures of experts whose first layer is dense, and has neurons; the others have none.
DENSE_FIRST = {"deepseek_v2", "deepseek_v3", "glm4_moe", "jamba", "llama4", "qwen3_moe"}
WITH_EXPERTS = {*zoo.EXPERTS, "jamba", "qwen3_5_moe", "qwen3_next"}
#: Norms after the sum: the residual stream is not what was there and what was added.
NO_SUM = {"bloom_post_norm", "opt_post_norm"}


def lacking(name: str, backend: str) -> set[str]:
    """The streams that the model has on none of its layers."""
    out: set[str] = set()
    if name in PARALLEL:
        out |= {"resid_mid"}
    if name not in WITH_EXPERTS:
        out |= {"router", "expert_out"}
    if name in NO_SUM:
        out |= {"attn_out", "resid_mid", "mlp_out"}
    if name in WITH_EXPERTS and name not in DENSE_FIRST:
        out |= set(NEURONS)
    if name.startswith("deepseek"):
        out |= {"q", "k", "v"}  # made from a latent vector
    if name == "codegen" and OLD_CODEGEN and backend == "nnsight":
        out |= {"attn_scores", "pattern"}
    if name == "opt_post_norm":
        out |= {"ln_final"}  # it has none
    if name == "nanochat":
        out |= {"ln_final"}  # the module that also norms the embedding
    if name == "gpt_oss":
        out |= {"attn_scores"}  # with a column for the sink
    if name in DELEGATED and backend == "transformer_lens":
        out |= {"attn_scores"}
    if name == "xglm" and backend == "nnsight":
        out |= {"attn_scores", "pattern"}  # heads and rows are one axis
    return out


def layers_of(name: str, stream: str) -> tuple[int, ...]:
    if name in zoo.HYBRIDS and stream in ATTENTION:
        return (1,)
    if name in DENSE_FIRST and stream in NEURONS:
        return (0,)
    if name in DENSE_FIRST and stream in ("router", "expert_out"):
        return (1,)
    return (0, 1)


#: Every model and backend that go together.
PAIRS = [(n, b) for n in zoo.MORE for b in BACKENDS if b == "nnsight" or n not in REFUSED]
pytestmark = pytest.mark.filterwarnings("ignore:.* scales or adds to the residual stream")


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_bridge_computes_otherwise_is_refused_in_words(name: str, zoo_folder: Any) -> None:
    with pytest.raises(ValueError, match=REFUSED[name]) as error:
        load(zoo_folder(name), backend="transformer_lens", device="cpu")
    assert len(str(error.value)) < 700 and "\n" not in str(error.value)
    assert error.value.__cause__ is None or "cannot run" in str(error.value)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_logits_and_sites_are_the_models_own(
    name: str, backend: str, zoo_folder: Any, zoo_model: Any, prompts: list[list[int]]
) -> None:
    from transformers import AutoModelForCausalLM

    model = zoo_model(name, backend)
    spec = model.spec
    assert set(spec.streams) == set(STREAMS) - lacking(name, backend)
    for stream in set(spec.streams) - set(GLOBAL_STREAMS):
        assert spec.layers(stream) == layers_of(name, stream), stream
    plain = AutoModelForCausalLM.from_pretrained(zoo_folder(name), attn_implementation="eager")
    seen: dict[str, torch.Tensor] = {}

    def keep(key: str) -> Any:
        def hook(module: Any, args: Any, output: Any) -> None:
            first = output[0] if isinstance(output, (tuple, list)) else output
            seen[key] = first.detach().clone()

        return hook

    # The streams of whole modules, by hooks of plain torch on plain Hugging Face modules.
    paths = {f"L{i}.resid_post": model.architecture.path("block", i) for i in range(2)}
    for i in range(2):
        if model.architecture.has("experts", i):
            paths[f"L{i}.mlp_out"] = model.architecture.path("mlp", i)
    for key, path in paths.items():
        plain.get_submodule(path).register_forward_hook(keep(key))
    with torch.no_grad():
        logits = plain.eval()(torch.tensor(prompts), use_cache=False).logits
    run = model.run(prompts, read=spec.sites)
    torch.testing.assert_close(run.logits, logits, atol=2e-5, rtol=2e-5)
    for key, value in seen.items():
        if Site.parse(key).stream in spec.streams:
            scale = spec.residual_multiplier if "mlp_out" in key else 1.0
            value = value.view(2, -1, zoo.WIDTH) * scale
            torch.testing.assert_close(run[key], value, atol=2e-5, rtol=2e-5, msg=key)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_what_a_layer_adds_adds_up_or_the_model_is_not_taken_apart(
    name: str, backend: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)
    sums = set(model.spec.undecomposed)
    neurons = {"neurons"} if "mlp_post" not in model.spec.streams else set()
    readers = {"readers"} if "q" not in model.spec.streams else set()
    if name in NO_SUM:
        assert "stream" in sums
        return
    assert sums - {"readers"} == neurons and readers <= sums
    # Clipped queries are no projection of the stream; everything else reads it through a norm.
    assert sums & {"readers"} == readers
    read = [s for s in model.spec.sites if s.stream in ("resid_pre", "attn_out", "mlp_out")]
    run = model.run(prompts, read=[*read, "L0.resid_post", "L1.resid_post"])
    for layer in range(2):
        total = sum(run[Site(s, layer)] for s in ("resid_pre", "attn_out", "mlp_out"))
        after = run[Site("resid_post", layer)]
        torch.testing.assert_close(total, after, atol=2e-5 * float(after.abs().max()), rtol=1e-5)


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_an_edit_moves_what_follows_by_what_it_adds(
    name: str, backend: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)
    spec, after = model.spec, "L1.resid_post"
    plain = model.run(prompts, read=after)
    added = torch.linspace(-1, 1, zoo.WIDTH)
    # Where attention and MLP stand side by side, neither sees what the other adds.
    streams = ["mlp_out", *(["attn_out"] if spec.parallel else [])]
    for stream in streams if name not in NO_SUM else []:
        run = model.run(prompts, read=after, edits=Add(Site(stream, 1), added))
        torch.testing.assert_close(
            run[after] - plain[after], added.expand(2, 9, -1), atol=1e-4, rtol=0
        )
    if "attn_out" in spec.streams and not model.norm("ln1_post", 1):
        heads = torch.linspace(-1, 1, spec.d_head)
        run = model.run(prompts, read="L1.attn_out", edits=Add("L1H2.z", heads))
        moved = run["L1.attn_out"] - model.run(prompts, read="L1.attn_out")["L1.attn_out"]
        expected = heads @ model.weight("W_O", 1, 2) * spec.residual_multiplier
        torch.testing.assert_close(moved, expected.expand(2, 9, -1), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["phi3", "glm", "glm4"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fused_gate_and_up_is_two_weights_and_one_stream(
    name: str, backend: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)
    run = model.run(prompts, read=["L1.mlp_in", "L1.mlp_pre", "L1.mlp_post"])
    gate = run["L1.mlp_in"] @ model.weight("W_gate", 1)
    up = run["L1.mlp_in"] @ model.weight("W_in", 1)
    torch.testing.assert_close(run["L1.mlp_pre"], gate, atol=1e-5, rtol=1e-5)
    post = torch.nn.functional.silu(gate) * up
    torch.testing.assert_close(run["L1.mlp_post"], post, atol=1e-5, rtol=1e-5)
    assert model.weight("W_in", 1).shape == (zoo.WIDTH, model.spec.d_mlp)
    # What is written into a half of the joint matrix, the next run computes with.
    edited = model.run(prompts, read="L1.mlp_post", edits=Add("L1.mlp_pre", 1.0))
    expected = torch.nn.functional.silu(gate + 1) * up
    torch.testing.assert_close(edited["L1.mlp_post"], expected, atol=1e-5, rtol=1e-5)
    with torch.no_grad():
        live = model.live_weight("W_gate", 1)
        live *= 2
        try:
            doubled = model.run(prompts, read="L1.mlp_pre")["L1.mlp_pre"]
        finally:
            live /= 2
    torch.testing.assert_close(doubled, 2 * gate, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "weight", "text"),
    [
        ("mixtral", "W_in", r"Layer 0 of mixtral .* has no W_in: its MLP is a mixture of experts"),
        ("qwen3_moe", "W_out", r"Layer 1 of qwen3_moe .* its MLP is a mixture of experts"),
        ("deepseek_v3", "W_Q", r"Layer 0 of deepseek_v3 .* has no W_Q: .* latent vector"),
        ("lfm2", "W_V", r"Layer 0 of lfm2 .* has no W_V: it has no attention but another mixer"),
        ("lfm2", "W_O", r"Layer 0 of lfm2 .* has no W_O: it has no attention but another mixer"),
    ],
)
def test_a_weight_that_a_layer_lacks_says_why(
    name: str, weight: str, text: str, zoo_model: Any
) -> None:
    model = zoo_model(name, "nnsight")
    layer = int(text.removeprefix("Layer ")[0])
    with pytest.raises(ValueError, match=text):
        model.weight(weight, layer)
    with pytest.raises(ValueError, match=text):
        model.weight(weight)


def test_the_heads_of_latent_attention_have_the_width_of_its_values(zoo_model: Any) -> None:
    spec = zoo_model("deepseek_v3", "nnsight").spec
    assert (spec.d_head, spec.n_heads) == (12, 4)
    assert zoo_model("deepseek_v3", "nnsight").weight("W_O", 0).shape == (4, 12, zoo.WIDTH)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["granite", "granite_moe"])
def test_a_multiplier_on_what_a_block_adds_is_in_what_its_parts_add(
    name: str, backend: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    """Each writer by itself, and all edges cut at once, against plain runs."""
    import numpy as np

    from workbench.circuits.components import Components
    from workbench.circuits.cuts import contribution_sites, contributions, cut_edits

    model = zoo_model(name, backend)
    parts = Components.of(model.spec)
    clean, corrupt = prompts, [list(reversed(row)) for row in prompts]
    sites = [*contribution_sites(parts), "L1.resid_post"]
    run, other = (model.run(rows, read=sites) for rows in (clean, corrupt))
    written = contributions(model, parts, run)
    torch.testing.assert_close(written.sum(2), run["L1.resid_post"], atol=1e-4, rtol=1e-4)
    everything = np.repeat(parts.edges[None], 2, 0)
    cut = model.run(
        clean, edits=cut_edits(model, parts, everything, contributions(model, parts, other))
    )
    torch.testing.assert_close(cut.logits, other.logits, atol=1e-4, rtol=1e-4)
    assert torch.equal(
        model.run(prompts, read="embed")["embed"],
        zoo_model(name, "nnsight").run(prompts, read="embed")["embed"],
    )


@pytest.mark.parametrize("name", ["olmo", "nanochat"])
def test_a_norm_without_a_weight_multiplies_by_one(
    name: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    model = zoo_model(name, "nnsight")
    norm = model.norm("ln2", 1)
    assert bool((norm.weight == 1).all()) and norm.weight.shape == (zoo.WIDTH,)
    run = model.run(prompts, read=["L1.resid_mid", "L1.mlp_in"])
    torch.testing.assert_close(norm(run["L1.resid_mid"]), run["L1.mlp_in"], atol=1e-5, rtol=1e-5)


EXPERT_PAIRS = [(name, backend) for name in sorted(WITH_EXPERTS) for backend in BACKENDS]


def plain_experts(
    folder: Any, model: Any, prompts: list[list[int]], weights_of: Any = None
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Layer 1 of plain Hugging Face: what its experts give, their dense weights, the logits.

    weights_of changes (row, expert) weights, by a hook on the router.
    """
    from transformers import AutoModelForCausalLM

    hf = AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    seen: dict[str, torch.Tensor] = {}

    def route(module: Any, args: Any, output: Any) -> Any:
        if len(output) == 2:  # Llama 4: dense weights, logits
            dense = output[0].clone()
        else:
            dense = torch.zeros_like(output[0]).scatter(1, output[2], output[1].to(output[0].dtype))
        seen["weights"] = new = dense if weights_of is None else weights_of(dense)
        if len(output) == 2:
            return (new, output[1])
        return (output[0], new.gather(1, output[2]).to(output[1].dtype), output[2])

    def keep(module: Any, args: Any, output: Any) -> None:
        seen["out"] = output.detach().clone()

    layer = hf.get_submodule(model.architecture.path("block", 1))
    inside = model.architecture.layers[1]
    layer.get_submodule(inside["router"]).register_forward_hook(route)
    layer.get_submodule(inside["experts"]).register_forward_hook(keep)
    with torch.no_grad():
        logits = hf(torch.tensor(prompts), use_cache=False).logits
    out = seen["out"]
    if model.architecture.routed_apart:
        out = out.view(4, -1, zoo.WIDTH).sum(0)
    return out.view(2, -1, zoo.WIDTH), seen["weights"].view(2, -1, 4), logits


@pytest.mark.parametrize(("name", "backend"), EXPERT_PAIRS)
def test_router_and_experts_are_read_and_edited(
    name: str, backend: str, zoo_model: Any, zoo_folder: Any, prompts: list[list[int]]
) -> None:
    from workbench.edits import Scale

    model, folder = zoo_model(name, backend), zoo_folder(name)
    multiplier = model.spec.residual_multiplier
    out, weights, logits = plain_experts(folder, model, prompts)
    run = model.run(prompts, read=["L1.router", "L1.expert_out"])
    assert model.spec.n_experts == 4 and run["L1.expert_out"].shape == (2, 9, 4, zoo.WIDTH)
    torch.testing.assert_close(run.logits, logits, atol=2e-5, rtol=2e-5)
    torch.testing.assert_close(run["L1.router"], weights, atol=1e-6, rtol=1e-5)
    total = run["L1.expert_out"].sum(2)
    torch.testing.assert_close(total, out * multiplier, atol=2e-5, rtol=2e-5)
    # An expert that is not chosen gives nothing; one that is, something.
    chosen = weights != 0
    assert 0 < int(chosen.sum()) < chosen.numel()
    assert torch.equal(run["L1.expert_out"].abs().sum(-1) != 0, chosen)
    # One by itself: what is left when the others' weights are 0.
    busy = int(chosen.sum((0, 1)).argmax())

    def only(dense: torch.Tensor) -> torch.Tensor:
        return dense * (torch.arange(4) == busy)

    def without(dense: torch.Tensor) -> torch.Tensor:
        return dense * (torch.arange(4) != busy)

    alone, _, _ = plain_experts(folder, model, prompts, only)
    mine = run["L1.expert_out"][:, :, busy]
    torch.testing.assert_close(mine, alone * multiplier, atol=2e-5, rtol=2e-5)
    # Knocked out in the router, and its output taken away, are one thing.
    _, _, knocked = plain_experts(folder, model, prompts, without)
    assert not torch.allclose(knocked, logits, atol=1e-3)
    by_router = model.run(prompts, edits=Scale(f"L1.router/{busy}", 0.0)).logits
    torch.testing.assert_close(by_router, knocked, atol=1e-4, rtol=1e-4)
    silent = run["L1.expert_out"].clone()
    silent[:, :, busy] = 0
    by_output = model.run(prompts, edits=Set("L1.expert_out", silent)).logits
    torch.testing.assert_close(by_output, knocked, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("name", "backend"), EXPERT_PAIRS)
def test_gradients_at_router_and_experts_are_those_of_finite_changes(
    name: str, backend: str, zoo_model: Any, prompts: list[list[int]]
) -> None:
    model = zoo_model(name, backend)

    def metric(logits: torch.Tensor) -> torch.Tensor:
        return logits[:, -1, 5] - logits[:, -1, 7]

    sites = ["L1.router", "L1.expert_out"]
    run = model.run(prompts, read=sites, grad_of=metric)
    generator = torch.Generator().manual_seed(0)
    for site in sites:
        change = 1e-2 * torch.randn(run[site].shape, generator=generator)
        if site == "L1.router" and model.architecture.routed_apart:
            change = change * (run[site] != 0)  # the weight is inside the expert's nonlinearity
        up, down = (
            metric(model.run(prompts, edits=Set(site, run[site] + s * change)).logits)
            for s in (1, -1)
        )
        slope = (up - down) / 2
        linear = (run.grad(site) * change).flatten(1).sum(1)
        torch.testing.assert_close(linear, slope, atol=2e-4, rtol=2e-2, msg=site)


def test_an_expert_that_is_not_there_is_said(zoo_model: Any, prompts: list[list[int]]) -> None:
    model = zoo_model("mixtral", "nnsight")
    with pytest.raises(ValueError, match="mixtral has experts 0 to 3 a layer; got expert 4"):
        model.run(prompts, read="L0.router/4")
    with pytest.raises(ValueError, match="LlamaForCausalLM has no router on the nnsight backend"):
        zoo_model("llama", "nnsight").run(prompts, read="L0.router")
