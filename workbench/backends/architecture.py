"""Which module of a Hugging Face model is which component, as TransformerLens's adapters say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..site import STREAMS

#: Adapters name modules. How q, k and v share one projection is inside functions, so it is kept
#: here, by Hugging Face model type.
#: "concatenated": all queries, then all keys, then all values; "by head": q, k, v head by head.
FUSED_QKV = {"gpt2": "concatenated", "gpt_neox": "by head", "bloom": "by head"}
#: Where the softmax may be below the attention module, in nnsight's source addressing. Releases of
#: transformers move an architecture from one to another, so a loaded model takes what works.
SOFTMAXES = (
    ("attention_interface_1", "nn_functional_softmax_0"),
    ("attention_interface_1", "F_softmax_0"),
    ("self__attn_0", "nn_functional_softmax_0"),
    ("F_softmax_0",),
)


@dataclass(frozen=True)
class Tap:
    """A place where one module is read or edited.

    path: dotted module path. end: "input", "output" (first of a tuple), or "softmax", inside the
    attention at `path`. streams: what lies there, more than one where a projection is shared.
    """

    path: str
    end: str
    streams: tuple[str, ...]
    layer: int | None = None


@dataclass(frozen=True)
class Architecture:
    """The modules of one model: `parts` by component name, `block` by name inside a block.

    Component names are TransformerLens's: embed, blocks, ln_final, unembed; in a block ln1, ln2,
    ln1_post, ln2_post, attn, q, k, v, qkv, o, mlp, in, gate, out.
    """

    name: str
    model_type: str
    parallel: bool
    parts: Mapping[str, str]
    block: Mapping[str, str]
    sizes: Mapping[str, int]
    output_transform: Any = field(repr=False)
    joint_qk_norm: bool = False
    fused: str | None = None
    softmax: tuple[str, ...] = SOFTMAXES[0]

    @classmethod
    def of(cls, hf_model: Any, name: str) -> Architecture:
        """The architecture of a Hugging Face causal language model.

        Raises `ValueError` for one that TransformerLens has no adapter for, or that is no decoder
        of residual blocks.
        """
        import torch
        from transformer_lens.factories.architecture_adapter_factory import (
            ArchitectureAdapterFactory,
        )
        from transformer_lens.model_bridge.sources._bridge_builder import (
            build_bridge_config_from_hf,
        )

        config = hf_model.config
        kind = type(hf_model).__name__
        try:
            bridge_config = build_bridge_config_from_hf(config, kind, name, torch.float32)
            adapter = ArchitectureAdapterFactory.select_architecture_adapter(bridge_config)
        except (ValueError, KeyError) as error:
            raise ValueError(
                "A model is a causal language model that TransformerLens has an adapter for; "
                f"{name} is "
                f"a {kind}, which it does not know. Load another model, or open an issue there."
            ) from error
        mapping = dict(adapter.component_mapping or {})
        blocks = mapping.get("blocks")
        if blocks is None or not {"attn", "mlp"} <= set(blocks.submodules):
            raise ValueError(
                f"A model is a stack of blocks with attention and an MLP; {name} ({kind}) is built "
                "otherwise. "
                "Trace it with nnsight or TransformerLens directly."
            )
        unembed = mapping["unembed"].name
        if not _has(hf_model, str(unembed)) and _has(hf_model, "embed_out"):
            mapping["unembed"].name = "embed_out"
        parts = {part: component.name for part, component in mapping.items() if component.name}
        if missing := sorted({"embed", "ln_final", "unembed"} - parts.keys()):
            raise ValueError(
                f"A model has an embedding, a final norm and an unembedding; {name} ({kind}) has "
                f"no {', '.join(missing)} that TransformerLens names (OPT models whose embeddings "
                "are narrower than their layers are such). Trace it with nnsight directly."
            )
        block = dict(_block_paths(blocks))
        return cls(
            name=kind,
            model_type=config.model_type,
            parallel=bool(getattr(adapter.cfg, "parallel_attn_mlp", False)),
            parts=parts,
            block=block,
            sizes=_sizes(hf_model, adapter.cfg, parts, block),
            output_transform=adapter.apply_output_logits_transform,
            joint_qk_norm=_joint_qk_norm(hf_model, adapter.cfg, parts, block),
            fused=FUSED_QKV.get(config.model_type) if "qkv" in block else None,
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
        import torch

        return float(self.output_transform(torch.tensor(logit, dtype=torch.float64)))

    def path(self, part: str, layer: int | None = None) -> str:
        """The dotted path of a component; of a block's component with `layer`."""
        if layer is None:
            return self.parts[part]
        inner = self.block[part] if part != "block" else ""
        return ".".join(p for p in (self.parts["blocks"], str(layer), inner) if p)

    def taps(self, n_layers: int) -> Iterator[Tap]:
        """Every place where a stream is found, in the order in which a forward pass reaches it."""
        yield Tap(self.parts.get("embed_ln", self.parts["embed"]), "output", ("embed",))
        for layer in range(n_layers):
            yield from self._block_taps(layer)
        yield Tap(self.parts["ln_final"], "output", ("ln_final",))

    def _block_taps(self, layer: int) -> Iterator[Tap]:
        def tap(part: str, end: str, *streams: str) -> Tap:
            return Tap(self.path(part, layer), end, streams, layer)

        yield tap("block", "input", "resid_pre")
        if "qkv" in self.block:
            if self.fused:
                yield tap("qkv", "output", "q", "k", "v")
        else:
            for name in ("q", "k", "v"):
                yield tap(name, "output", name)
        yield tap("attn", "softmax", "attn_scores", "pattern")
        yield tap("o", "input", "z")
        # The output projection and not the attention module: in BLOOM the module's output already
        # has the residual stream added. After a post-norm it is the norm's output that is added.
        middle = () if self.parallel else ("resid_mid",)
        yield tap("ln1_post" if "ln1_post" in self.block else "o", "output", "attn_out", *middle)
        yield tap("mlp" if "mlp" in self.block else "in", "input", "mlp_in")
        yield tap("gate" if "gate" in self.block else "in", "output", "mlp_pre")
        yield tap("out", "input", "mlp_post")
        yield tap("ln2_post" if "ln2_post" in self.block else "out", "output", "mlp_out")
        yield tap("block", "output", "resid_post")

    @property
    def streams(self) -> tuple[str, ...]:
        """The streams that a tap exists for, in the order of a pass."""
        found = {stream for tap in self.taps(1) for stream in tap.streams}
        return tuple(stream for stream in STREAMS if stream in found)


def _sizes(
    hf_model: Any, config: Any, parts: Mapping[str, str], block: Mapping[str, str]
) -> dict[str, int]:
    out = hf_model.get_submodule(".".join((parts["blocks"], "0", block["out"])))
    d_model = int(config.d_model)
    # A quantised linear map keeps its weight packed, or under another name.
    d_mlp = int(getattr(out, "in_features", 0)) or out.weight.numel() // d_model
    return {
        "n_layers": int(config.n_layers),
        "n_heads": int(config.n_heads),
        "n_kv_heads": int(getattr(config, "n_key_value_heads", None) or config.n_heads),
        "d_model": d_model,
        "d_head": int(config.d_head),
        "d_mlp": d_mlp,
        "d_vocab": int(hf_model.get_submodule(parts["unembed"]).weight.shape[0]),
    }


def _joint_qk_norm(
    hf_model: Any, config: Any, parts: Mapping[str, str], block: Mapping[str, str]
) -> bool:
    """Whether queries are normed over all heads together and not head by head."""
    # An adapter names the norm for every member of a family, also for those without one.
    path = ".".join((parts["blocks"], "0", block.get("q_norm", "")))
    if "q_norm" not in block or not _has(hf_model, path):
        return False
    norm = hf_model.get_submodule(path)
    return norm.weight.numel() > int(config.d_head)


def _block_paths(blocks: Any) -> Iterator[tuple[str, str]]:
    for name, component in blocks.submodules.items():
        prefix = component.name or ""
        if prefix:
            yield name, prefix
        if name in ("attn", "mlp"):
            for inner, part in component.submodules.items():
                if part.name:
                    yield inner, ".".join(p for p in (prefix, part.name) if p)


def _has(module: Any, path: str) -> bool:
    for name in path.split("."):
        if not hasattr(module, name):
            return False
        module = getattr(module, name)
    return True
