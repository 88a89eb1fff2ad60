"""The weights of a GPT-2 or a Llama as plain tensors, head by head.

`plain_graph` runs a model from these alone: no module of transformers takes part in its pass.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Map = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Head:
    """One head: W (d_model, d_head) and b (d_head) of q, k or v; `kv` is whose keys it uses."""

    kv: int
    W_Q: torch.Tensor
    b_Q: torch.Tensor
    W_O: torch.Tensor


@dataclass(frozen=True)
class KeyValue:
    """One key/value head, which several heads share under grouped queries."""

    W_K: torch.Tensor
    b_K: torch.Tensor
    W_V: torch.Tensor
    b_V: torch.Tensor


@dataclass(frozen=True)
class Block:
    """One layer: its heads, the attention's output bias, its two norms and its MLP."""

    heads: tuple[Head, ...]
    kv: tuple[KeyValue, ...]
    b_O: torch.Tensor
    norm_1: Map
    norm_2: Map
    mlp: Map


@dataclass(frozen=True)
class Weights:
    """A whole model. embed: ids → (batch, pos, d_model); turn: rotary turn of q and k, or nothing.

    W_U: (d_model, d_vocab), without a bias.
    """

    embed: Map
    blocks: tuple[Block, ...]
    norm_final: Map
    W_U: torch.Tensor
    turn: Map


def weights_of(hf_model: Any, dtype: torch.dtype) -> Weights:
    """The weights in `dtype`. Raises `ValueError` for an architecture other than the two."""
    state = {name: value.detach().to(dtype) for name, value in hf_model.state_dict().items()}
    kind = hf_model.config.model_type
    if kind not in _READERS:
        raise ValueError(f"The plain graph reads {' and '.join(_READERS)}; got {kind!r}.")
    return _READERS[kind](hf_model.config, state)


def _gpt2(config: Any, state: dict[str, torch.Tensor]) -> Weights:
    n_heads, d_model = config.n_head, config.n_embd
    assert config.scale_attn_weights and not config.scale_attn_by_inverse_layer_idx
    act = _ACTIVATIONS[config.activation_function]

    def norm(name: str) -> Map:
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]

        def layer_norm(x: torch.Tensor) -> torch.Tensor:
            x = x - x.mean(-1, keepdim=True)
            return x / (x.pow(2).mean(-1, keepdim=True) + config.layer_norm_epsilon).sqrt() * (
                weight
            ) + (bias)

        return layer_norm

    def block(base: str) -> Block:
        joint, joint_bias = state[f"{base}.attn.c_attn.weight"], state[f"{base}.attn.c_attn.bias"]
        W_Q, W_K, W_V = (each.chunk(n_heads, 1) for each in joint.split(d_model, 1))
        b_Q, b_K, b_V = (each.chunk(n_heads) for each in joint_bias.split(d_model))
        W_O = state[f"{base}.attn.c_proj.weight"].chunk(n_heads)
        W_in, b_in = state[f"{base}.mlp.c_fc.weight"], state[f"{base}.mlp.c_fc.bias"]
        W_out, b_out = state[f"{base}.mlp.c_proj.weight"], state[f"{base}.mlp.c_proj.bias"]
        return Block(
            tuple(Head(h, W_Q[h], b_Q[h], W_O[h]) for h in range(n_heads)),
            tuple(KeyValue(W_K[h], b_K[h], W_V[h], b_V[h]) for h in range(n_heads)),
            state[f"{base}.attn.c_proj.bias"],
            norm(f"{base}.ln_1"),
            norm(f"{base}.ln_2"),
            lambda x: act(x @ W_in + b_in) @ W_out + b_out,
        )

    words, places = state["transformer.wte.weight"], state["transformer.wpe.weight"]
    return Weights(
        lambda ids: words[ids] + places[: ids.shape[1]],
        tuple(block(f"transformer.h.{layer}") for layer in range(config.n_layer)),
        norm("transformer.ln_f"),
        state["lm_head.weight"].T,
        lambda x: x,
    )


def _llama(config: Any, state: dict[str, torch.Tensor]) -> Weights:
    n_heads, n_kv = config.num_attention_heads, config.num_key_value_heads
    d_head = config.head_dim
    act = _ACTIVATIONS[config.hidden_act]

    def norm(name: str) -> Map:
        weight = state[f"{name}.weight"]
        epsilon = config.rms_norm_eps
        return lambda x: x / (x.pow(2).mean(-1, keepdim=True) + epsilon).sqrt() * weight

    def turn(x: torch.Tensor) -> torch.Tensor:
        half = torch.arange(d_head // 2, dtype=x.dtype) * (2 / d_head)
        angle = torch.arange(x.shape[1], dtype=x.dtype)[:, None] / (
            config.rope_parameters["rope_theta"] ** half
        )
        first, second = x.chunk(2, -1)
        cos, sin = angle.cos(), angle.sin()
        return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)

    def block(base: str) -> Block:
        W_Q = state[f"{base}.self_attn.q_proj.weight"].T.chunk(n_heads, 1)
        W_K = state[f"{base}.self_attn.k_proj.weight"].T.chunk(n_kv, 1)
        W_V = state[f"{base}.self_attn.v_proj.weight"].T.chunk(n_kv, 1)
        W_O = state[f"{base}.self_attn.o_proj.weight"].T.chunk(n_heads)
        gate, up, down = (state[f"{base}.mlp.{n}_proj.weight"].T for n in ("gate", "up", "down"))
        zero = torch.zeros((), dtype=down.dtype)
        return Block(
            tuple(Head(h // (n_heads // n_kv), W_Q[h], zero, W_O[h]) for h in range(n_heads)),
            tuple(KeyValue(W_K[h], zero, W_V[h], zero) for h in range(n_kv)),
            zero,
            norm(f"{base}.input_layernorm"),
            norm(f"{base}.post_attention_layernorm"),
            lambda x: (act(x @ gate) * (x @ up)) @ down,
        )

    words = state["model.embed_tokens.weight"]
    return Weights(
        lambda ids: words[ids],
        tuple(block(f"model.layers.{layer}") for layer in range(config.num_hidden_layers)),
        norm("model.norm"),
        state["lm_head.weight"].T,
        turn,
    )


def _gelu_new(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


_ACTIVATIONS: dict[str, Map] = {
    "gelu_new": _gelu_new,
    "relu": lambda x: x.clamp(min=0),
    "silu": lambda x: x / (1 + torch.exp(-x)),
}
_READERS: dict[str, Callable[[Any, dict[str, torch.Tensor]], Weights]] = {
    "gpt2": _gpt2,
    "llama": _llama,
}
