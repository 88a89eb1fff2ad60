"""Small random models that the tests of lenses share, each loaded once."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch

from tests.parity import zoo
from tests.unit.tokenizers import byte_level
from workbench import logit_lens as _logit_lens
from workbench.loading import load

TEXTS = [
    "When Mary and John went to the store, John gave a drink to Mary.",
    "When Paul and Anna went to the park, Anna gave a book to Paul.",
    "The capital of France is Paris, and the capital of Italy is Rome.",
]
PROMPT = "When Mary and John went to the store, John gave a drink to"

#: Its arrays that are not always there would else have to be narrowed wherever one is tested.
logit_lens: Any = _logit_lens

_folder = tempfile.TemporaryDirectory()
atexit.register(_folder.cleanup)


def tokenizer() -> Any:
    """A byte-level BPE tokenizer in which every word of `TEXTS` is one token."""
    return byte_level(TEXTS * 4, size=600)


@cache
def words_model(backend: str = "nnsight", dtype: str = "float32") -> Any:
    """A GPT-2 of 3 layers and 4 heads over words, with random weights that all matter."""
    from transformers import GPT2Config, GPT2LMHeadModel

    path = Path(_folder.name) / "words"
    if not path.exists():
        words = tokenizer()
        torch.manual_seed(0)
        ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
        sizes: dict[str, Any] = {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 48}
        hf_model = GPT2LMHeadModel(GPT2Config(vocab_size=len(words), **sizes, **ids))
        for parameter in hf_model.parameters():
            parameter.data += 0.15 * torch.randn(parameter.shape)
        hf_model.save_pretrained(path)
        words.save_pretrained(path)
    return load(path, backend=backend, device="cpu", dtype=dtype)


@cache
def zoo_model(name: str, backend: str = "nnsight", dtype: str = "float32") -> Any:
    """An architecture of the parity tests' zoo; its tokens are w2 to w59."""
    folder = Path(_folder.name)
    path = folder / name
    if not path.exists():
        zoo.save(name, folder)
    return load(path, backend=backend, device="cpu", dtype=dtype)
