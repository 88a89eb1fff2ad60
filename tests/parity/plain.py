"""Reads and edits of plain Hugging Face models by torch hooks, written out by hand.

The reference that both backends are compared with: it shares no code and no module table with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Names:
    embed: str
    block: str
    o: str
    ln_final: str
    up: str
    down: str
    q: str = "self_attn.q_proj"
    k: str = "self_attn.k_proj"
    v: str = "self_attn.v_proj"
    attn_out: str = ""
    mlp_out: str = ""
    ln2: str | None = "post_attention_layernorm"
    qkv: str | None = None
    #: How one joint projection holds q, k and v: "qkv" blocks, or "head" by head.
    joint: str = ""
    mlp: str = "mlp"


_LLAMA = Names(
    "model.embed_tokens",
    "model.layers",
    "self_attn.o_proj",
    "model.norm",
    "mlp.gate_proj",
    "mlp.down_proj",
)
_GEMMA = Names(
    "model.embed_tokens",
    "model.layers",
    "self_attn.o_proj",
    "model.norm",
    "mlp.gate_proj",
    "mlp.down_proj",
    attn_out="post_attention_layernorm",
    mlp_out="post_feedforward_layernorm",
    ln2="pre_feedforward_layernorm",
)
_NEOX = Names(
    "gpt_neox.embed_in",
    "gpt_neox.layers",
    "attention.dense",
    "gpt_neox.final_layer_norm",
    "mlp.dense_h_to_4h",
    "mlp.dense_4h_to_h",
    ln2=None,
    qkv="attention.query_key_value",
    joint="head",
)
NAMES = {
    "gpt2": Names(
        "transformer.wte",
        "transformer.h",
        "attn.c_proj",
        "transformer.ln_f",
        "mlp.c_fc",
        "mlp.c_proj",
        ln2="ln_2",
        qkv="attn.c_attn",
        joint="qkv",
    ),
    "gpt_neox": _NEOX,
    "gpt_neox_sequential": Names(**{**_NEOX.__dict__, "ln2": "post_attention_layernorm"}),
    "gptj": Names(
        "transformer.wte",
        "transformer.h",
        "attn.out_proj",
        "transformer.ln_f",
        "mlp.fc_in",
        "mlp.fc_out",
        "attn.q_proj",
        "attn.k_proj",
        "attn.v_proj",
        ln2=None,
    ),
    "opt": Names(
        "model.decoder.embed_tokens",
        "model.decoder.layers",
        "self_attn.out_proj",
        "model.decoder.final_layer_norm",
        "fc1",
        "fc2",
        mlp="fc1",
        ln2="final_layer_norm",
    ),
    "bloom": Names(
        "transformer.word_embeddings_layernorm",
        "transformer.h",
        "self_attention.dense",
        "transformer.ln_f",
        "mlp.dense_h_to_4h",
        "mlp.dense_4h_to_h",
        qkv="self_attention.query_key_value",
        joint="head",
    ),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "phi": Names(
        "model.embed_tokens",
        "model.layers",
        "self_attn.dense",
        "model.final_layernorm",
        "mlp.fc1",
        "mlp.fc2",
        ln2=None,
    ),
    "olmo2": Names(
        "model.embed_tokens",
        "model.layers",
        "self_attn.o_proj",
        "model.norm",
        "mlp.gate_proj",
        "mlp.down_proj",
        attn_out="post_attention_layernorm",
        mlp_out="post_feedforward_layernorm",
        ln2="mlp",
    ),
}


class Plain:
    """One Hugging Face model; `run` reads every stream and makes one change on the way."""

    def __init__(self, name: str, model: Any, d_head: int) -> None:
        self.names, self.model, self.d_head = NAMES[name], model, d_head
        self.n_layers = len(self._module(self.names.block))

    def _module(self, path: str) -> Any:
        return self.model.get_submodule(path)

    def run(
        self,
        ids: torch.Tensor,
        *,
        at: tuple[str, int] | None = None,
        change: Change | None = None,
        metric: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> tuple[
        torch.Tensor, dict[tuple[str, int], torch.Tensor], dict[tuple[str, int], torch.Tensor]
    ]:
        """logits; every stream's value by (stream, layer); the metric's gradient at each.

        `change` alters the stream `at`; a value read is the one after the change.
        """
        seen: dict[tuple[str, int], torch.Tensor] = {}

        def meet(stream: str, layer: int, value: torch.Tensor) -> torch.Tensor:
            if change is not None and at == (stream, layer):
                value = change(value)
            if metric is not None:
                value = value.requires_grad_() if value.is_leaf else value
            seen[stream, layer] = value
            return value

        with torch.set_grad_enabled(metric is not None), ExitStack() as stack:
            for hook in self._hooks(meet, ids.shape):
                stack.enter_context(hook)
            logits = self.model(input_ids=ids, use_cache=False).logits
            grads: dict[tuple[str, int], torch.Tensor] = {}
            if metric is not None:
                keys = list(seen)
                found = torch.autograd.grad(
                    metric(logits).sum(), [seen[k] for k in keys], allow_unused=True
                )
                grads = {k: g for k, g in zip(keys, found, strict=True) if g is not None}
        return logits.detach(), {k: v.detach() for k, v in seen.items()}, grads

    def _hooks(self, meet: Callable[..., torch.Tensor], shape: torch.Size) -> Iterator[Any]:
        n = self.names
        yield self._output(n.embed, lambda x: meet("embed", 0, x))
        yield self._output(n.ln_final, lambda x: meet("ln_final", 0, x))
        for layer in range(self.n_layers):
            yield from self._block_hooks(layer, meet, shape)
        yield self._softmax(meet)

    def _block_hooks(
        self, layer: int, meet: Callable[..., torch.Tensor], shape: torch.Size
    ) -> Iterator[Any]:
        n, base = self.names, f"{self.names.block}.{layer}"
        pre: list[torch.Tensor] = []

        def stream(name: str) -> Change:
            return lambda x: meet(name, layer, x)

        def heads(name: str) -> Change:
            return lambda x: meet(name, layer, x.unflatten(-1, (-1, self.d_head))).flatten(-2)

        def enter(x: torch.Tensor) -> torch.Tensor:
            pre[:] = [meet("resid_pre", layer, x)]
            return pre[0]

        def joint(x: torch.Tensor) -> torch.Tensor:
            axes = (3, -1, self.d_head) if n.joint == "qkv" else (-1, 3, self.d_head)
            parts = x.unflatten(-1, axes).unbind(-3 if n.joint == "qkv" else -2)
            new = [meet(s, layer, p) for s, p in zip("qkv", parts, strict=True)]
            return torch.stack(new, -3 if n.joint == "qkv" else -2).flatten(-3)

        def after_attention(x: torch.Tensor) -> torch.Tensor:
            x = meet("attn_out", layer, x)
            if n.ln2 is None:
                return x
            return meet("resid_mid", layer, pre[0] + x) - pre[0]

        def branch(x: torch.Tensor) -> torch.Tensor:
            # The norm's output, or the residual stream itself, may be read elsewhere too.
            return meet("mlp_in", layer, x.view_as(x))

        def unflat(change: Change) -> Change:
            return lambda x: change(x.view(*shape, -1)).view(x.shape) if x.ndim == 2 else change(x)

        yield self._input(base, enter)
        if n.qkv:
            yield self._output(f"{base}.{n.qkv}", joint)
        else:
            for name, path in (("q", n.q), ("k", n.k), ("v", n.v)):
                yield self._output(f"{base}.{path}", heads(name))
        yield self._input(f"{base}.{n.o}", heads("z"))
        yield self._output(f"{base}.{n.attn_out or n.o}", after_attention)
        yield self._input(f"{base}.{n.mlp}", unflat(branch))
        yield self._output(f"{base}.{n.up}", unflat(stream("mlp_pre")))
        yield self._input(f"{base}.{n.down}", unflat(stream("mlp_post")))
        yield self._output(f"{base}.{n.mlp_out or n.down}", unflat(stream("mlp_out")))
        yield self._output(base, stream("resid_post"))

    @contextmanager
    def _output(self, path: str, change: Change) -> Iterator[None]:
        def hook(module: Any, args: Any, output: Any) -> Any:
            if isinstance(output, tuple):
                return (change(output[0]), *output[1:])
            return change(output)

        handle = self._module(path).register_forward_hook(hook)
        yield
        handle.remove()

    @contextmanager
    def _input(self, path: str, change: Change) -> Iterator[None]:
        def hook(module: Any, args: Any, kwargs: Any) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        handle = self._module(path).register_forward_pre_hook(hook, with_kwargs=True)
        yield
        handle.remove()

    @contextmanager
    def _softmax(self, meet: Callable[..., torch.Tensor]) -> Iterator[None]:
        """The n-th softmax over four axes of a pass is the n-th layer's attention."""
        real = torch.nn.functional.softmax
        count = iter(range(self.n_layers))

        def softmax(x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
            layer = next(count)
            return meet("pattern", layer, real(meet("attn_scores", layer, x), *args, **kwargs))

        with mock.patch("torch.nn.functional.softmax", softmax):
            yield
