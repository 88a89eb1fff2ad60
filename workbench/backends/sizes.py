"""How large the components of a model are, and how one projection holds several of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

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
