"""Tokenizers of the kinds that models have, built here so that no test needs the Hub."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizer, PreTrainedTokenizerFast

WORD = r" ?\w+| ?[^\w\s]"


def words_of(*texts: str) -> list[str]:
    """The words and marks of texts, each with the space before it."""
    return [word for text in texts for word in re.findall(WORD, text)]


def byte_level(
    texts: Iterable[str], *, size: int = 4000, single_digits: bool = False
) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer as GPT-2's, whose merges are learnt from the texts."""
    tokenizer = Tokenizer(models.BPE())
    byte = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte]) if single_digits else byte
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    end = "<|endoftext|>"
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=end, eos_token=end)


def whole_words(words: Iterable[str], *, n_other: int = 0) -> PreTrainedTokenizerFast:
    """A vocabulary of whole words, each with its leading space; anything else is unknown.

    n_other: how many further words the vocabulary holds.
    """
    names = ["<unk>", *dict.fromkeys(words), *(f" other{i}" for i in range(n_other))]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>")


#: The special tokens of `adding`, and two marks that a chat template writes.
SPECIAL = ("<s>", "</s>", "<pad>", "<unk>", "<a>", "<b>", "<user>", "<assistant>")

#: A chat template that writes the start token itself, as those of Llama and Gemma do.
CHAT = (
    "<s>{% for message in messages %}"
    "{{ '<' + message.role + '> ' + message.content + ' </s>' }}"
    "{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
)


def adding(
    before: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    *,
    n_words: int = 60,
    **special: str | None,
) -> PreTrainedTokenizerFast:
    """Whole words, "w8" to "w59", by a tokenizer that puts tokens around every text by itself.

    special: bos_token, eos_token, pad_token, unk_token, where they are not <s>, </s>, <pad>, <unk>.
    """
    names = [*SPECIAL, *(f"w{i}" for i in range(len(SPECIAL), n_words))]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.add_special_tokens(list(SPECIAL))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[*before, "$A", *after],
        pair=[*before, "$A", *after, "$B:1"],
        special_tokens=[(name, vocabulary[name]) for name in {*before, *after}],
    )
    usual = {f"{kind}_token": f"<{kind}>" for kind in ("pad", "unk")}
    given = {"bos_token": "<s>", "eos_token": "</s>", **usual, **special}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **{name: token for name, token in given.items() if token}
    )


class Letters(PreTrainedTokenizer):
    """A tokenizer written in Python: one letter, one token, with a start and an end."""

    def __init__(self) -> None:
        self.ids = {letter: i for i, letter in enumerate(["<s>", "</s>", "<unk>", *"abc 0."])}
        super().__init__(bos_token="<s>", eos_token="</s>", unk_token="<unk>")

    @property
    def vocab_size(self) -> int:
        return len(self.ids)

    def get_vocab(self) -> dict[str, int]:
        return dict(self.ids)

    def _tokenize(self, text: str, **_: Any) -> list[str]:
        return list(text)

    def _convert_token_to_id(self, token: str) -> int:
        return self.ids.get(token, 2)

    def _convert_id_to_token(self, index: int) -> str:
        return list(self.ids)[index]

    def build_inputs_with_special_tokens(
        self, token_ids_0: list[int], token_ids_1: list[int] | None = None
    ) -> list[int]:
        return [0, *token_ids_0, 1]
