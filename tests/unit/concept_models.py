"""What the tests of concepts share: a model whose concepts are planted, and a few of its texts."""

from __future__ import annotations

import atexit
import random
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

import workbench as wb
from tests.parity import zoo
from workbench.concepts import Concepts, Question
from workbench.dictionary.base import Dictionary
from workbench.dictionary.encoders import JumpReLU
from workbench.loading import load

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)

#: Four words each; every word also has a direction of its own, by which it is told from the others.
WORDS = {
    "a": ("w2", "w3", "w4", "w5"),
    "b": ("w6", "w7", "w8", "w9"),
    "c": ("w10", "w11", "w12", "w13"),
}
ALL = tuple(word for words in WORDS.values() for word in words)
KINDS = {"a": " w20", "b": " w21", "c": " w22"}
LARGE = 4.0


def planted() -> Concepts:
    """Three kinds of words, a question that the kind decides, and one that it does not."""
    kind_of = {word: kind for kind, words in WORDS.items() for word in words}
    made = wb.concepts(
        WORDS,
        parents=dict.fromkeys(WORDS, "any"),
        families=dict.fromkeys(WORDS, "kind"),
        questions=(
            Question("kind", "kind", "w50 {x}", {w: KINDS[kind_of[w]] for w in ALL}),
            Question("kind", "word", "w51 {x}", {w: f" w{30 + i}" for i, w in enumerate(ALL)}),
        ),
    )
    return replace(made, name="planted")


def directions() -> tuple[torch.Tensor, torch.Tensor]:
    """(3, 32) of the kinds and (12, 32) of the words: orthogonal, of length 1 and mean 0."""
    basis = torch.eye(32) - 1 / 32
    basis = torch.linalg.qr(basis[:, :16]).Q.T
    return basis[:3], basis[3:15]


@cache
def planted_model(backend: str = "nnsight") -> Any:
    """A GPT-2 that only embeds and unembeds: a word is its kind's direction and its own."""
    path = Path(_folder.name) / "planted"
    if not path.exists():
        from transformers import GPT2Config, GPT2LMHeadModel

        ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
        sizes: dict[str, Any] = {"n_embd": 32, "n_layer": 1, "n_head": 4, "n_positions": 16}
        config = GPT2Config(vocab_size=zoo.N_WORDS, tie_word_embeddings=False, **sizes, **ids)
        torch.manual_seed(0)
        model = GPT2LMHeadModel(config)
        kinds, own = directions()
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "c_proj" in name or "wpe" in name:
                    parameter.zero_()
            embed, unembed = model.transformer.wte.weight, model.lm_head.weight
            embed.normal_(std=0.3)
            unembed.zero_()
            for i, word in enumerate(ALL):
                embed[int(word[1:])] = LARGE * (kinds[i // 4] + own[i])
                unembed[30 + i] = LARGE * own[i]
            for i in range(3):
                unembed[20 + i] = LARGE * kinds[i]
        model.save_pretrained(path)
        zoo.tokenizer().save_pretrained(path)
    return load(path, backend=backend, device="cpu")


def perfect() -> Dictionary:
    """One feature a kind and one a word, each active at its words alone."""
    rows = torch.cat(directions())
    n = len(rows)
    encoder = JumpReLU(rows.T.contiguous(), torch.zeros(n), torch.full((n,), LARGE / 2))
    return Dictionary("L0.resid_post", encoder, rows, torch.zeros(32))


@cache
def planted_texts(n: int = 40, length: int = 12) -> tuple[str, ...]:
    """Words at random, about a third of them of a kind."""
    rng = random.Random(0)
    others = [f"w{i}" for i in range(20, zoo.N_WORDS)]
    return tuple(
        " ".join(rng.choice(ALL if rng.random() < 0.35 else others) for _ in range(length))
        for _ in range(n)
    )
