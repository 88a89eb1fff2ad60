"""The byte-level BPE tokenizer of the world, and a quick encoder for training text."""

import json
import re
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from .repeats import is_paired
from .world import content_words

END, PAD = "<|endoftext|>", "<|pad|>"
_PIECE = re.compile(r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+")


def pieces(text: str) -> list[str]:
    """The words of a text, each with its leading space, as the pre-tokenizer cuts them."""
    return _PIECE.findall(text)


def train_tokenizer(documents: Iterable[str]) -> Tokenizer:
    """A tokenizer in which each word of the documents and of the world is one token.

    Every byte is a token too, so that any text can be encoded. No token is added by itself, as in
    GPT-2: whoever runs the model decides about a start token.
    """
    words = {f" {word}" for word in content_words()}
    for document in documents:
        words.update(pieces(document))
        words.update(pieces(f" {document}"))
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=100_000,  # merging ends earlier: when each word is one token
        special_tokens=[END, PAD],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(words), trainer)
    return tokenizer


def save_tokenizer(tokenizer: Tokenizer, folder: Path, context: int) -> None:
    """Write tokenizer.json and tokenizer_config.json in Hugging Face form."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": context,
        "bos_token": END,
        "eos_token": END,
        "unk_token": END,
        "pad_token": PAD,
        "add_bos_token": False,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n")


class Encoder:
    """Encodes marked-up documents quickly: looks each word up, asks the tokenizer when unknown."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer = tokenizer
        self._known: dict[str, tuple[int, ...]] = {}
        self.end: int = tokenizer.get_vocab()[END]
        self._special = {self.end, tokenizer.get_vocab()[PAD]}
        self.n_tokens = tokenizer.get_vocab_size()
        words = {self._ids(f" {word}")[0]: is_paired(word) for word in content_words()}
        self.free_words = tuple(i for i, paired in words.items() if not paired)
        self.paired_words = tuple(i for i, paired in words.items() if paired)
        self.free_tokens = tuple(
            i for i in range(self.n_tokens) if i not in self._special and not self._is_paired(i)
        )

    def _ids(self, piece: str) -> tuple[int, ...]:
        if piece not in self._known:
            self._known[piece] = tuple(self.tokenizer.encode(piece).ids)
        return self._known[piece]

    def _is_paired(self, token: int) -> bool:
        return is_paired(self.tokenizer.decode([token]).strip())

    def encode(self, document: str) -> tuple[list[int], list[bool]]:
        """Token ids, and which of them are answers (written in square brackets)."""
        ids: list[int] = []
        is_answer: list[bool] = []
        for i, part in enumerate(re.split(r"[\[\]]", document)):
            for piece in pieces(part):
                found = self._ids(piece)
                ids += found
                is_answer += [i % 2 == 1] * len(found)
        return ids, is_answer
