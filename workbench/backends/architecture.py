"""Which module of a Hugging Face model is which component, as TransformerLens's adapters say.

An adapter names the modules of a family. Which of them one model has, and on which of its layers,
is looked up in the model itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from transformer_lens.factories.architecture_adapter_factory import (
    SUPPORTED_ARCHITECTURES,
    ArchitectureAdapterFactory,
)
from transformer_lens.model_bridge.sources._bridge_builder import build_bridge_config_from_hf

from ..site import GLOBAL_STREAMS, STREAMS

#: Where the softmax may be below the attention module, in nnsight's source addressing. Releases of
#: transformers move an architecture from one to another, so a loaded model takes what works.
SOFTMAXES = (
    ("attention_interface_1", "nn_functional_softmax_0"),
    ("attention_interface_1", "F_softmax_0"),
    ("self__attn_0", "nn_functional_softmax_0"),
    ("F_softmax_0",),
    ("F_softmax_1",),
    ("nn_functional_softmax_0",),
    ("nn_functional_softmax_1",),
)
#: What a model has whose modules are named as Llama's are.
LLAMA_PATHS = (
    "model.embed_tokens",
    *(f"model.layers.0.self_attn.{x}_proj" for x in "qkvo"),
    "model.layers.0.input_layernorm",
    "model.layers.0.post_attention_layernorm",
    "model.layers.0.mlp",
    "model.norm",
    "lm_head",
)
#: What adapters call a module that is in the place of attention.
MIXERS = ("mixer", "linear_attn", "conv", "mamba")


@dataclass(frozen=True)
class Tap:
    """A place where one module is read or edited.

    path: dotted module path. end: "input", "output" (first of a tuple), "softmax", inside the
    attention at `path`, or "experts", around a mixture's experts, which take rows, the numbers of
    the experts chosen and their weights. streams: what lies there. form: how they share it, see
    projections.py. scale: what the value is multiplied by before it is added to the residual
    stream.
    """

    path: str
    end: str
    streams: tuple[str, ...]
    layer: int | None = None
    form: str | None = None
    scale: float = 1.0


#: Adapters name modules. How q, k and v share one projection is inside functions, so it is kept
#: here, by Hugging Face model type; see projections.py.
JOINT_QKV = {
    "bloom": "grouped",
    "codegen": "quarters",
    "falcon": "grouped",
    "gpt2": "concatenated",
    "gpt_bigcode": "concatenated",
    "gpt_neox": "grouped",
    "mpt": "concatenated",
    "openai-gpt": "concatenated",
    "phi3": "concatenated",
}
Layers = tuple[Mapping[str, str], ...]


def _modules(hf_model: Any, parts: Mapping[str, str], layers: Layers, name: str) -> Iterator[Any]:
    """The component of that name in every block that has it."""
    for layer, inside in enumerate(layers):
        if name in inside:
            yield hf_model.get_submodule(f"{parts['blocks']}.{layer}.{inside[name]}")


def sizes_of(
    hf_model: Any, config: Any, parts: Mapping[str, str], layers: Layers
) -> dict[str, int]:
    d_model, n_heads = int(config.d_model), int(config.n_heads)

    def width(name: str, side: str) -> int:
        """The features of the first component of that name, on its own side; 0 without one."""
        module: Any = next(_modules(hf_model, parts, layers, name), None)
        if module is None:
            return 0
        # A quantised linear map keeps its weight packed, or under another name.
        return int(getattr(module, side, 0)) or module.weight.numel() // d_model

    d_head = width("o", "in_features") // n_heads or int(config.d_head)
    keys = width("k", "out_features")
    if joint := width("qkv", "out_features"):
        keys = (joint - n_heads * d_head) // 2
    experts: Any = next(_modules(hf_model, parts, layers, "experts"), None)
    return {
        "n_layers": len(layers),
        "n_heads": n_heads,
        "n_kv_heads": keys // d_head or n_heads,
        "d_model": d_model,
        "d_head": d_head,
        "d_mlp": width("out", "in_features"),
        # One matrix an expert, side by side.
        "n_experts": next((len(p) for p in experts.parameters() if p.ndim == 3), 0)
        if experts is not None
        else 0,
        "d_vocab": int(hf_model.get_submodule(parts["unembed"]).weight.shape[0]),
    }


def routed_apart(hf_model: Any, parts: Mapping[str, str], layers: Layers) -> bool:
    """Whether experts are given rows that were weighted before, one copy for each expert."""
    modules = _modules(hf_model, parts, layers, "experts")
    return any(len(inspect.signature(type(m).forward).parameters) == 2 for m in modules)


def joint_qkv_of(config: Any) -> str | None:
    form = JOINT_QKV.get(config.model_type)
    # Several heads of keys make BigCode interleave them with the queries.
    if config.model_type == "gpt_bigcode" and not config.multi_query:
        return "grouped"
    return form


def gated_queries(
    hf_model: Any,
    parts: Mapping[str, str],
    layers: Layers,
    sizes: Mapping[str, int],
) -> bool:
    """Whether the query projection gives twice the queries: each with a gate of its own."""
    wide = 2 * sizes["n_heads"] * sizes["d_head"]
    queries = _modules(hf_model, parts, layers, "q")
    return any(getattr(module, "out_features", 0) == wide for module in queries)


def joint_qk_norm(
    hf_model: Any,
    parts: Mapping[str, str],
    layers: Layers,
    d_head: int,
) -> bool:
    """Whether queries are normed over all heads together and not head by head."""
    if not any("q" in inside or "qkv" in inside for inside in layers):
        return False  # a norm of what queries are made of, in latent attention
    # Not by the adapter, which names a family's norm for members without, or not at all.
    norms = (
        getattr(child, "weight", None)
        for attention in _modules(hf_model, parts, layers, "attn")
        for name, child in attention.named_children()
        if name.startswith("q") and "norm" in name
    )
    return any(w is not None and w.ndim == 1 and w.numel() > d_head for w in norms)


@dataclass(frozen=True)
class Architecture:
    """The modules of one model: `parts` by component name, `layers` by name inside each block.

    `adapter` is the class whose adapter names them. Component names are TransformerLens's: embed,
    blocks, ln_final, unembed; in a block ln1, ln2, ln1_post, ln2_post, attn, q, k, v, qkv, o, mlp,
    in, gate, out, and here mixer (what stands in the place of attention), gate_in (gate and in as
    one), router and experts.
    """

    name: str
    adapter: str
    parallel: bool
    parts: Mapping[str, str]
    layers: tuple[Mapping[str, str], ...]
    sizes: Mapping[str, int]
    output_transform: Any = field(repr=False)
    called_once: frozenset[str] = field(repr=False)
    joint_qk_norm: bool = False
    joint_qkv: str | None = None
    gated_queries: bool = False
    #: Whether experts are given weighted rows, one copy for each expert (Llama 4).
    routed_apart: bool = False
    #: Whether the softmax has one column more than there are positions, an attention sink.
    sinks: bool = False
    #: What each block's output is multiplied by before it is added to the residual stream.
    residual_multiplier: float = 1.0
    softmax: tuple[str, ...] = SOFTMAXES[0]

    @classmethod
    def of(cls, hf_model: Any, name: str, called_once: frozenset[str]) -> Architecture:
        """The architecture of a Hugging Face causal language model, see probe.py.

        Raises `ValueError` for one that TransformerLens has no adapter for, or that is no decoder
        of residual blocks.
        """
        config = hf_model.config
        kind = type(hf_model).__name__
        said = kind if name == kind else f"{name} ({kind})"
        known = _adapter(hf_model, kind)
        try:
            bridge_config = build_bridge_config_from_hf(config, known, name, torch.float32)
            adapter = ArchitectureAdapterFactory.select_architecture_adapter(bridge_config)
        except Exception:  # whatever an adapter raises for a configuration it was not made for
            raise ValueError(
                f"A model is of an architecture that TransformerLens has an adapter for; {said} is "
                "none that it knows. Load another model, or open an issue there."
            ) from None
        mapping = dict(adapter.component_mapping or {})
        blocks = mapping.get("blocks")
        layers = () if blocks is None else tuple(_layers(hf_model, blocks))
        if not any("attn" in layer for layer in layers):
            raise ValueError(
                f"A model is a stack of blocks with attention and an MLP; {said} has none "
                "with attention that TransformerLens names. Trace it with nnsight directly, or "
                "load a transformer or a hybrid."
            )
        unembed = mapping["unembed"].name
        if not _has(hf_model, str(unembed)) and _has(hf_model, "embed_out"):
            mapping["unembed"].name = "embed_out"
        parts = {
            part: component.name
            for part, component in mapping.items()
            if component.name and _has(hf_model, component.name)
        }
        if missing := sorted({"embed", "unembed"} - parts.keys()):
            raise ValueError(
                f"A model has an embedding and an unembedding; {said} has no "
                f"{', '.join(missing)} that TransformerLens names. Trace it with nnsight directly."
            )
        if "project_out" in parts:
            raise ValueError(
                f"A model embeds its tokens at the width of its layers; {said} embeds "
                "them in narrower vectors, with a projection before the first layer and behind the "
                "last. Load another of its family, or trace it with nnsight directly."
            )
        sizes = sizes_of(hf_model, adapter.cfg, parts, layers)
        return cls(
            name=kind,
            adapter=known,
            parallel=bool(getattr(adapter.cfg, "parallel_attn_mlp", False)),
            parts=parts,
            layers=layers,
            sizes=sizes,
            output_transform=adapter.apply_output_logits_transform,
            called_once=called_once,
            joint_qk_norm=joint_qk_norm(hf_model, parts, layers, sizes["d_head"]),
            joint_qkv=joint_qkv_of(config),
            gated_queries=gated_queries(hf_model, parts, layers, sizes),
            routed_apart=routed_apart(hf_model, parts, layers),
            sinks=any(
                n.endswith(".sinks") or n.endswith(".sink") for n, _ in hf_model.named_parameters()
            ),
            residual_multiplier=float(getattr(config, "residual_multiplier", None) or 1.0),
        )

    @property
    def soft_cap(self) -> float | None:
        """What logits are capped at, if they are: where very large ones end up."""
        most = self._transformed(1e12)
        return most if most < 1e9 else None

    @property
    def logit_scale(self) -> float:
        """What the unembedding's output is multiplied by."""
        return 1.0 if self.soft_cap else self._transformed(1.0)

    def _transformed(self, logit: float) -> float:
        return float(self.output_transform(torch.tensor(logit, dtype=torch.float64)))

    def has(self, part: str, layer: int | None = None) -> bool:
        """Whether the model, or with `layer` that block, has the component."""
        return part in (self.parts if layer is None else self.layers[layer])

    def path(self, part: str, layer: int | None = None) -> str:
        """The dotted path of a component; of a block's component with `layer`."""
        if layer is None:
            return self.parts[part]
        inner = self.layers[layer][part] if part != "block" else ""
        return ".".join(p for p in (self.parts["blocks"], str(layer), inner) if p)

    def form(self, part: str) -> str | None:
        """How a projection holds what it gives, None for one that gives a single thing."""
        return {
            "qkv": self.joint_qkv,
            "q": "query and gate" if self.gated_queries else None,
            "gate_in": "gate and up",
        }.get(part)

    def taps(self, n_layers: int) -> Iterator[Tap]:
        """Every place where a stream is found, in the order in which a forward pass reaches it."""
        # Of several calls of one module it would not be said which is meant.
        return (tap for tap in self._all_taps(n_layers) if tap.path in self.called_once)

    def _all_taps(self, n_layers: int) -> Iterator[Tap]:
        yield Tap(self.parts.get("embed_ln", self.parts["embed"]), "output", ("embed",))
        for layer in range(n_layers):
            yield from self._block_taps(layer)
        if "ln_final" in self.parts:
            yield Tap(self.parts["ln_final"], "output", ("ln_final",))

    def _block_taps(self, layer: int) -> Iterator[Tap]:
        def tap(part: str, end: str, *streams: str, scale: float = 1.0) -> Tap:
            form = self.form(part) if end == "output" else None
            return Tap(self.path(part, layer), end, streams, layer, form, scale)

        has, multiplier = self.layers[layer].__contains__, self.residual_multiplier
        yield tap("block", "input", "resid_pre")
        if has("qkv") and self.joint_qkv:
            yield tap("qkv", "output", "q", "k", "v")
        for name in "qkv":
            if has(name) and not has("qkv"):
                yield tap(name, "output", name)
        if has("attn"):
            yield tap("attn", "softmax", "attn_scores", "pattern")
        if has("o"):
            yield tap("o", "input", "z")
        # The output projection and not the attention module: in BLOOM the module's output already
        # has the residual stream added. After a post-norm it is the norm's output that is added.
        # Where attention and a mixer run side by side no module gives their sum.
        added = [part for part in ("o", "mixer") if has(part)]
        if len(added) == 1:
            middle = () if self.parallel else ("resid_mid",)
            part = "ln1_post" if has("ln1_post") else added[0]
            yield tap(part, "output", "attn_out", *middle, scale=multiplier)
        # What experts hide stays hidden: their block has an input and an output.
        neurons = has("out") and (has("in") or has("gate_in"))
        if has("mlp") or neurons:
            yield tap("mlp" if has("mlp") else "in", "input", "mlp_in")
        if has("experts") and self.routed_apart:
            yield tap("router", "output", "router")
            yield replace(
                tap("experts", "output", "expert_out", scale=multiplier), form="an expert a row"
            )
        elif has("experts"):
            yield tap("experts", "experts", "router", "expert_out", scale=multiplier)
        if neurons:
            part = next(p for p in ("gate_in", "gate", "in") if has(p))
            yield tap(part, "output", "mlp_pre")
            yield tap("out", "input", "mlp_post")
        if has("mlp") or neurons:
            part = next(p for p in ("ln2_post", "out", "mlp") if has(p))
            yield tap(part, "output", "mlp_out", scale=multiplier)
        yield tap("block", "output", "resid_post")

    @property
    def layers_of(self) -> dict[str, tuple[int, ...]]:
        """The layers of each stream that a tap exists for, in the order of a pass."""
        found: dict[str, list[int]] = {}
        for tap in self.taps(len(self.layers)):
            for stream in tap.streams:
                found.setdefault(stream, []).extend([] if tap.layer is None else [tap.layer])
        return {s: tuple(found[s]) for s in STREAMS if s in found}

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that a tap exists for, in the order of a pass."""
        return tuple(self.layers_of)


def partly(layers_of: Mapping[str, tuple[int, ...]], n_layers: int) -> dict[str, tuple[int, ...]]:
    """The streams among these that are not on every layer."""
    return {
        stream: layers
        for stream, layers in layers_of.items()
        if stream not in GLOBAL_STREAMS and len(layers) < n_layers
    }


def _layers(hf_model: Any, blocks: Any) -> Iterator[dict[str, str]]:
    """The components that each block has, by name, with their paths inside it."""
    for block in hf_model.get_submodule(blocks.name):
        found: dict[str, str] = {}
        for name, path in _block_paths(blocks):
            if _has(block, path):
                found.setdefault(name, path)
        yield found


def _block_paths(blocks: Any) -> Iterator[tuple[str, str]]:
    for name, component in blocks.submodules.items():
        prefix = component.name or ""
        if prefix:
            yield "mixer" if name in MIXERS else name, prefix
        if name not in ("attn", "mlp"):
            continue
        fused = getattr(component, "fused_attr", None)
        if fused:
            yield "gate_in", f"{prefix}.{fused}"
        # A mixture of experts has a gate too, which chooses experts; its dense layers have another.
        chooses = "MoE" in type(component).__name__
        for inner, part in component.submodules.items():
            if part.name:
                own = "router" if chooses and inner == "gate" else inner.removeprefix("dense_")
                yield own, ".".join(p for p in (prefix, part.name) if p)
        if chooses:
            yield "experts", f"{prefix}.experts"


def _adapter(hf_model: Any, kind: str) -> str:
    """The class whose adapter names the modules of a model."""
    if kind in SUPPORTED_ARCHITECTURES or not all(_has(hf_model, path) for path in LLAMA_PATHS):
        return kind
    # Most new architectures have Llama's names; whether they are also in its places is tried.
    sparse = any(path.endswith("mlp.experts") for path, _ in hf_model.named_modules())
    return "Qwen2MoeForCausalLM" if sparse else "LlamaForCausalLM"


def _has(module: Any, path: str) -> bool:
    """Whether there is a module at a path; a family's optional ones may be None."""
    try:
        module.get_submodule(path)
    except AttributeError:
        return False
    return True
