"""Measures a model on what training held out.

    python -m data.tinyworld.measure data/models/tinyworld data/models/tinyworld-seed1

prints one row a measure: alone, after unrelated sentences, and each with the start token.

    python -m data.tinyworld.measure --condition start --questions 120 \\
        data/models/tinyworld-checkpoints/*

prints one table with a column a model, in one condition.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from . import dates, documents, facts, grammar, people, translation
from .question import Question
from .world import HE_SHARE, content_words

# Least value of each measure; `repeat_n` is the second half of a repeated sequence of n words.
TARGETS = {
    "ioi": 0.97,
    "repeat_6": 0.97,
    "repeat_15": 0.97,
    "repeat_30": 0.97,
    "agreement": 0.98,
    "facts": 0.98,
    "weekdays": 0.95,
    "months": 0.95,
    "translation_token": 0.97,
    "translation_sentence": 0.95,
    "later_years": 0.90,
    "pronoun": 0.95,
    "skew_r": 0.95,
    "hierarchy": 0.95,
    "hierarchy_transitive": 0.90,
    "sentiment": 0.95,
}
# (after unrelated sentences, with the start token)
CONDITIONS = {
    "alone": (False, False),
    "start": (False, True),
    "after": (True, False),
    "start+after": (True, True),
}
_QUESTIONS = {
    "ioi": people.ioi_questions,
    "agreement": grammar.agreement_questions,
    "facts": facts.fact_questions,
    "weekdays": lambda rng, n: dates.offset_questions(rng, n, "day"),
    "months": lambda rng, n: dates.offset_questions(rng, n, "month"),
    "pronoun": people.pronoun_questions,
    "hierarchy": facts.kind_questions,
    "hierarchy_transitive": lambda rng, n: facts.kind_questions(rng, n, transitive=True),
    "sentiment": grammar.review_questions,
}
_FAMILY = {
    "ioi": "ioi", "agreement": "agreement", "facts": "fact", "weekdays": "day", "months": "month",
    "pronoun": "pronoun", "hierarchy": "kind", "hierarchy_transitive": "kind",
    "sentiment": "review", "later_years": "span", "skew_r": "pronoun",
    "translation": "translation",
}  # fmt: skip


class Reader:
    """A model with its tokenizer, asked for logits at chosen positions of many prompts."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, context: int):
        self.model, self.tokenizer, self.context = model, tokenizer, context
        self._known: dict[str, list[int]] = {}
        self.start = tokenizer.get_vocab()[str(tokenizer.bos_token)]

    @classmethod
    def load(cls, folder: str | Path) -> "Reader":
        """The model and tokenizer of a folder, in float32."""
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        context = model.config.max_position_embeddings
        return cls(model, AutoTokenizer.from_pretrained(folder), context)

    @torch.no_grad()
    def logits(self, rows: Sequence[list[int]], last: Sequence[int]) -> list[torch.Tensor]:
        """For each row of ids, the logits of its last positions: (last[i], d_vocab) each."""
        found: list[torch.Tensor] = [torch.empty(0)] * len(rows)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        for first in range(0, len(order), 64):
            batch = order[first : first + 64]
            width = max(len(rows[i]) for i in batch)
            # Padding stands on the right of a causal model, so it cannot be seen.
            ids = torch.tensor([rows[i] + [0] * (width - len(rows[i])) for i in batch])
            hidden = self.model.base_model(ids, use_cache=False).last_hidden_state
            for row, i in enumerate(batch):
                end = len(rows[i])
                found[i] = self.model.lm_head(hidden[row, end - last[i] : end])
        return found

    def ids(self, text: str) -> list[int]:
        """Token ids of a text, without a start token."""
        if text not in self._known:
            self._known[text] = self.tokenizer(text)["input_ids"]
        return list(self._known[text])


def _plain(document: str) -> str:
    return document.replace("[", "").replace("]", "")


def _prefix(rng: random.Random, family: str, reader: Reader, room: int, start: bool) -> list[int]:
    """Ids of one to three documents of other families that fit into `room` tokens."""
    others = [name for name in documents.FAMILIES if name != family]
    ids: list[int] = [reader.start] if start else []
    for _ in range(rng.randint(1, 3)):
        text = _plain(documents.FAMILIES[rng.choice(others)](rng, 1.0))
        more = reader.ids(text if len(ids) <= start else f" {text}")
        if len(ids) + len(more) <= room:
            ids += more
    return ids


def _row(
    reader: Reader, rng: random.Random, family: str, text: str, after: bool, start: bool, room: int
) -> list[int]:
    """Ids of a prompt in one condition, leaving `room` tokens of the context free."""
    before = [reader.start] if start else []
    if after:
        # a word that opens a later sentence has a leading space
        ids = reader.ids(f" {text}")
        before = _prefix(rng, family, reader, reader.context - room - len(ids), start)
        if len(before) > start:
            return before + ids
    return before + reader.ids(text)


def accuracy(
    reader: Reader, questions: list[Question], family: str, after: bool, start: bool, seed: int
) -> float:
    """Share of questions whose most probable next token, of all tokens, is an answer."""
    rng = random.Random(seed)
    rows = [_row(reader, rng, family, q.clean, after, start, 0) for q in questions]
    right = 0
    for q, logits in zip(questions, reader.logits(rows, [1] * len(rows)), strict=True):
        answers = {reader.ids(answer)[0] for answer in q.answers}
        right += int(logits[0].argmax()) in answers
    return right / len(questions)


def skew_correlation(reader: Reader, n: int, after: bool, start: bool, seed: int) -> float:
    """Pearson r of the planted share of "he" and the model's P(he) / (P(he) + P(she))."""
    rng = random.Random(seed)
    questions = people.profession_questions(rng, n)
    rows = [_row(reader, rng, "pronoun", q.clean, after, start, 0) for q in questions]
    he, she = reader.ids(" he")[0], reader.ids(" she")[0]
    shares: dict[str, list[float]] = {profession: [] for profession in HE_SHARE}
    for q, logits in zip(questions, reader.logits(rows, [1] * len(rows)), strict=True):
        p = logits[0].softmax(-1)
        shares[str(q.labels["profession"])].append(float(p[he] / (p[he] + p[she])))
    measured = [float(np.mean(values)) for values in shares.values()]
    return float(np.corrcoef(measured, list(HE_SHARE.values()))[0, 1])


def later_mass(reader: Reader, n: int, after: bool, start: bool, seed: int) -> float:
    """Mean probability, of all tokens, of the years after the start year."""
    rng = random.Random(seed)
    questions = dates.span_questions(rng, n)
    rows = [_row(reader, rng, "span", q.clean, after, start, 0) for q in questions]
    masses = []
    for q, logits in zip(questions, reader.logits(rows, [1] * len(rows)), strict=True):
        later = [reader.ids(answer)[0] for answer in q.answers]
        masses.append(float(logits[0].softmax(-1)[later].sum()))
    return float(np.mean(masses))


def repeat_accuracy(
    reader: Reader, length: int, n: int, after: bool, start: bool, seed: int
) -> float:
    """Share of right predictions of words 2 to `length` of the second copy of a sequence."""
    rng = random.Random(seed)
    rows = []
    for _ in range(n):
        cycle = [reader.ids(f" {word}")[0] for word in rng.sample(content_words(), length)]
        room = reader.context - 2 * length
        before = [reader.start] if start else []
        if after:
            before = _prefix(rng, "", reader, room, start)
        rows.append(before + cycle + cycle)
    right = [
        (logits[:-1].argmax(-1) == torch.tensor(row[-length + 1 :])).float().mean()
        for row, logits in zip(rows, reader.logits(rows, [length] * n), strict=True)
    ]
    return float(np.mean(right))


def translation_accuracy(
    reader: Reader, n: int, after: bool, start: bool, seed: int
) -> tuple[float, float]:
    """Shares of words, and of whole sentences, translated right, in both directions."""
    rng = random.Random(seed)
    rows, lengths = [], []
    for i in range(n):
        words = translation.held_out_sentence(rng)
        target = tuple(translation.DIRECTIONS)[i % 2]
        given, wanted = translation.sides(words, target)
        prompt = rng.choice(translation.DIRECTIONS[target]).format(x=" ".join(given))
        answer = [reader.ids(f" {word}")[0] for word in wanted]
        row = _row(reader, rng, "translation", prompt, after, start, len(answer))
        rows.append(row + answer)
        lengths.append(len(answer))
    tokens, sentences = [], []
    for row, length, logits in zip(
        rows, lengths, reader.logits(rows, [k + 1 for k in lengths]), strict=True
    ):
        right = logits[:-1].argmax(-1) == torch.tensor(row[-length:])
        tokens += right.tolist()
        sentences.append(bool(right.all()))
    return float(np.mean(tokens)), float(np.mean(sentences))


def measure(
    reader: Reader, n: int = 256, condition: str = "alone", seed: int = 0
) -> dict[str, float]:
    """Every measure of TARGETS, on `n` held-out questions each, in one of CONDITIONS."""
    after, start = CONDITIONS[condition]
    found = {
        name: accuracy(reader, ask(random.Random(seed), n), _FAMILY[name], after, start, seed)
        for name, ask in _QUESTIONS.items()
    }
    for length in (6, 15, 30):
        found[f"repeat_{length}"] = repeat_accuracy(
            reader, length, max(16, n // 8), after, start, seed
        )
    token, sentence = translation_accuracy(reader, n, after, start, seed)
    found |= {"translation_token": token, "translation_sentence": sentence}
    found["later_years"] = later_mass(reader, n, after, start, seed)
    found["skew_r"] = skew_correlation(reader, n, after, start, seed)
    return {name: found[name] for name in TARGETS}


def print_conditions(folders: list[Path], n: int) -> None:
    """The table of every measure in every condition, for each folder."""
    for folder in folders:
        reader = Reader.load(folder)
        table = {name: measure(reader, n, condition=name) for name in CONDITIONS}
        print(f"\n{folder.name:24}target  " + "  ".join(f"{c:>11}" for c in CONDITIONS))
        for name, target in TARGETS.items():
            values = "  ".join(f"{table[c][name]:11.3f}" for c in CONDITIONS)
            print(f"{name:24}{target:6.2f}  {values}")


def print_models(folders: list[Path], n: int, condition: str) -> None:
    """One table of every measure of every folder, in one condition."""
    found = [measure(Reader.load(folder), n, condition) for folder in folders]
    print("| measure | " + " | ".join(folder.name for folder in folders) + " |")
    print("|---" * (1 + len(folders)) + "|")
    for name in TARGETS:
        print(f"| {name} | " + " | ".join(f"{each[name]:.2f}" for each in found) + " |")


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--questions", type=int, default=256, help="of each measure")
    parser.add_argument("--condition", choices=tuple(CONDITIONS), help="one table of all models")
    arguments = parser.parse_args()
    if arguments.condition:
        print_models(arguments.folders, arguments.questions, arguments.condition)
    else:
        print_conditions(arguments.folders, arguments.questions)


if __name__ == "__main__":
    main()
