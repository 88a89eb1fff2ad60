"""Writes weights by hand: named features in the residual stream of a GPT-2.

A feature is a pair of units that hold (+a, −a), read back as half their difference. All that is
written so has mean zero, and a layer norm's centring takes nothing away. One feature, `constant`,
is far larger than all others together. A norm therefore divides by nearly the same number at every
position, its weight multiplies by that number, and a reader receives each feature as it was
written, up to one part in a thousand. Norms stay real norms, with gradients through them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from .known import save_words, vocabulary

CONSTANT = 100.0


class ByHand:
    """A GPT-2 whose weights are all 0 until they are written, feature by feature.

    features: name → how many features of that name there are. words: the vocabulary behind "<end>"
    and "<pad>".
    """

    def __init__(
        self,
        words: list[str],
        features: dict[str, int],
        *,
        n_layers: int,
        n_heads: int,
        d_mlp: int,
        n_ctx: int,
    ) -> None:
        from transformers import GPT2Config, GPT2LMHeadModel

        self.words, self.tokens = words, vocabulary(words)
        names = [name for name, n in features.items() for _ in range(n)] + ["constant"]
        names += ["unused"] * (-len(names) % n_heads)
        self._names = names
        d_model = 2 * len(names)
        ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
        config = GPT2Config(
            vocab_size=len(self.tokens),
            n_embd=d_model,
            n_layer=n_layers,
            n_head=n_heads,
            n_inner=d_mlp,
            n_positions=n_ctx,
            tie_word_embeddings=False,
            **ids,
        )
        self.d_model, self.d_head, self.d_mlp = d_model, d_model // n_heads, d_mlp
        self.model: Any = GPT2LMHeadModel(config).requires_grad_(False)
        for name, parameter in self.model.named_parameters():
            norm = ".ln_" in name and name.endswith("weight")
            parameter.fill_((2 * CONSTANT**2 / d_model) ** 0.5 if norm else 0.0)
        self._write(self.model.transformer.wte.weight, "constant", CONSTANT)

    def rows(self, *features: str) -> list[int]:
        """The numbers of the features of these names."""
        return [i for name in features for i, each in enumerate(self._names) if each == name]

    def embed_tokens(self, feature: str, values: torch.Tensor) -> None:
        """values: (d_vocab, feature)."""
        self._write(self.model.transformer.wte.weight, feature, values)

    def embed_positions(self, feature: str, values: torch.Tensor) -> None:
        """values: (n_ctx, feature)."""
        self._write(self.model.transformer.wpe.weight, feature, values)

    def unembed(self, feature: str, values: torch.Tensor) -> None:
        """values: (feature, d_vocab)."""
        self._read(self.model.lm_head.weight.T, feature, values)

    def head_reads(self, layer: int, head: int, which: str, name: str, W: torch.Tensor) -> None:
        """What one head's q, k or v reads of the features `name`. W: (feature, up to d_head)."""
        start = "qkv".index(which) * self.d_model + head * self.d_head
        joint = self.model.transformer.h[layer].attn.c_attn.weight
        self._read(joint[:, start : start + W.shape[1]], name, W)

    def head_writes(self, layer: int, head: int, name: str, W: torch.Tensor) -> None:
        """What one head writes into the features `name`. W: (up to d_head, feature)."""
        start = head * self.d_head
        out = self.model.transformer.h[layer].attn.c_proj.weight
        self._write(out[start : start + W.shape[0]], name, W)

    def neurons(
        self,
        layer: int,
        start: int,
        reads: dict[str, torch.Tensor],
        bias: torch.Tensor,
        writes: dict[str, torch.Tensor],
    ) -> None:
        """Some neurons of a layer, from `start` on.

        reads: each (feature, neuron); bias: (neuron); writes: each (neuron, feature).
        """
        mlp = self.model.transformer.h[layer].mlp
        some = slice(start, start + len(bias))
        for name, W in reads.items():
            self._read(mlp.c_fc.weight[:, some], name, W)
        mlp.c_fc.bias[some] = bias
        for name, W in writes.items():
            self._write(mlp.c_proj.weight[some], name, W)

    def mlp_constant(self, layer: int, name: str, values: torch.Tensor) -> None:
        """What a layer's MLP always adds. values: (feature)."""
        mlp = self.model.transformer.h[layer].mlp
        self._write(mlp.c_proj.bias[None], name, values[None])

    def distract(
        self,
        generator: torch.Generator,
        *,
        heads: list[tuple[int, int]],
        neurons: dict[int, tuple[int, int]],
        into: str = "junk",
    ) -> None:
        """Give heads (layer, head) and neurons (layer → first, one past the last) random weights.

        They read every feature but `constant` and write into features that nothing else reads: they
        are as active as the others, and the answer does not hang on them.
        """
        read = [name for name in dict.fromkeys(self._names) if name not in ("constant", "unused")]
        n_junk = len(self.rows(into))

        def random(*shape: int, scale: float = 0.5) -> torch.Tensor:
            return scale * torch.randn(*shape, generator=generator)

        def out(n: int) -> torch.Tensor:
            return random(n, n_junk, scale=0.5 * n**-0.5)

        for layer, head in heads:
            for which in "qkv":
                for name in read:
                    W = random(len(self.rows(name)), self.d_head)
                    self.head_reads(layer, head, which, name, W)
            self.head_writes(layer, head, into, out(self.d_head))
        for layer, (start, end) in neurons.items():
            n = end - start
            reads = {name: random(len(self.rows(name)), n) for name in read}
            self.neurons(layer, start, reads, random(n), {into: out(n)})

    def save(self, folder: Path) -> Path:
        """The model and its tokenizer in Hugging Face form."""
        self.model.save_pretrained(folder)
        save_words(self.words, folder)
        return folder

    def _write(self, into: torch.Tensor, name: str, values: torch.Tensor | float) -> None:
        """into: (…, d_model), a slice of a weight, changed in place."""
        rows = torch.tensor(self.rows(name))
        into[..., 2 * rows] = torch.as_tensor(values).expand(*into.shape[:-1], len(rows)).clone()
        into[..., 2 * rows + 1] = -into[..., 2 * rows]

    def _read(self, into: torch.Tensor, name: str, values: torch.Tensor) -> None:
        """into: (d_model, …), a slice of a weight, changed in place."""
        rows = torch.tensor(self.rows(name))
        into[2 * rows] = values / 2
        into[2 * rows + 1] = -values / 2
