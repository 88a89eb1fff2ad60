"""What a builder returns: a model in a folder, its task, and the edges that do the task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.tasks import Task

Edge = tuple[str, str]
Attends = Callable[[list[str]], list[tuple[int, int]]]


@dataclass(frozen=True)
class KnownModel:
    """A model whose mechanism is known.

    folder: the model and its tokenizer in Hugging Face form, as `wb.load` takes it. true_edges:
    (writer, reader) by name; each carries something that differs between clean and corrupt and
    that the answer hangs on, and no other edge does: the truth where what is cut is replaced by
    its corrupt value. attends: for each key head by name ("L0H0")
    where it attends in a prompt that is given token by token, as (dst, src). notes: how the model
    works.
    """

    name: str
    folder: Path
    task: Task
    true_edges: frozenset[Edge]
    attends: dict[str, Attends]
    notes: str

    def hf_model(self) -> Any:
        """The plain Hugging Face model in float32, with eager attention and frozen weights."""
        return load_plain(self.folder)


def load_plain(folder: Path) -> Any:
    """A folder's Hugging Face model in float32, with eager attention and frozen weights."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32
    )
    return model.eval().requires_grad_(False)


def save_words(words: Sequence[str], folder: Path) -> None:
    """Save a tokenizer that splits at spaces: "<end>" is 0, "<pad>" 1, then come the words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    ids = {word: i for i, word in enumerate(vocabulary(words))}
    inner = Tokenizer(models.WordLevel(ids, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<end>",
        eos_token="<end>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    ).save_pretrained(folder)


def vocabulary(words: Sequence[str]) -> list[str]:
    """Every token of `save_words` in the order of its id."""
    return ["<end>", "<pad>", *words]


def to_the_place_before(tokens: list[str]) -> list[tuple[int, int]]:
    """What a previous-token head attends to, from the second position on."""
    return [(dst, dst - 1) for dst in range(1, len(tokens))]
