"""The embedded models answer what their training held out, at the rates data/README.md gives."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch

from data.tinyworld.measure import CONDITIONS, TARGETS, Reader, measure

MODELS = ("tinyworld", "tinyworld-seed1", "tinyworld-llama")
ROOT = Path(__file__).resolve().parents[2]
QUESTIONS = 128


def stem(path: Path) -> str:
    return path.stem


@cache
def reader_of(model: str) -> Reader:
    """A shipped model, loaded once."""
    return Reader.load(ROOT / "data" / "models" / model)


@cache
def measures(model: str, condition: str) -> dict[str, float]:
    """Every measure of one model in one condition, on one thread so that runs agree."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return measure(reader_of(model), QUESTIONS, condition)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(("name", "target"), TARGETS.items())
@pytest.mark.parametrize("model", MODELS)
def test_held_out_questions_are_answered(
    model: str, name: str, target: float, condition: str
) -> None:
    assert measures(model, condition)[name] >= target


def test_the_targets_are_those_that_were_set() -> None:
    assert TARGETS == {
        "ioi": 0.97, "repeat_6": 0.97, "repeat_15": 0.97, "repeat_30": 0.97, "agreement": 0.98,
        "facts": 0.98, "weekdays": 0.95, "months": 0.95, "translation_token": 0.97,
        "translation_sentence": 0.95, "later_years": 0.90, "pronoun": 0.95, "skew_r": 0.95,
        "hierarchy": 0.95, "hierarchy_transitive": 0.90, "sentiment": 0.95,
    }  # fmt: skip


def test_an_untrained_model_misses_every_target() -> None:
    reader = Reader.load(ROOT / "data" / "models" / "tinyworld")
    torch.manual_seed(0)
    reader.model.init_weights()
    for module in reader.model.modules():
        if hasattr(module, "weight") and isinstance(module.weight, torch.Tensor):
            torch.nn.init.normal_(module.weight, std=0.02)
    found = measure(reader, 48)
    assert [name for name, target in TARGETS.items() if found[name] >= target] == []


def prefers(reader: Reader, pairs: list[dict], side: str, wanted: str, other: str) -> float:
    """Share of pairs whose best `wanted` logit is above the best `other` logit on one side."""
    rows = [reader.ids(pair[side]) for pair in pairs]
    right = 0
    for pair, logits in zip(pairs, reader.logits(rows, [1] * len(rows)), strict=True):
        tokens = [[reader.ids(word)[0] for word in pair[key]] for key in (wanted, other)]
        right += bool(logits[0, tokens[0]].max() > logits[0, tokens[1]].max())
    return right / len(pairs)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("path", sorted((ROOT / "data" / "tasks").glob("*.json")), ids=stem)
def test_the_corrupt_prompt_of_a_task_turns_the_answer_around(path: Path, model: str) -> None:
    pairs = json.loads(path.read_text())["sets"][0]["pairs"]
    if path.stem == "gender_profession":  # a share near one half has no sure answer
        shares = ("he_share", "other_he_share")
        pairs = [p for p in pairs if all(abs(p["labels"][k] - 0.5) > 0.15 for k in shares)]
        assert len(pairs) >= 24
    reader = reader_of(model)
    assert prefers(reader, pairs, "clean", "answers", "foils") >= 0.95
    if path.stem != "greater_than":  # there the corrupt prompt makes every later year right
        assert prefers(reader, pairs, "corrupt", "foils", "answers") >= 0.95


def test_methods_can_be_seen_to_emerge_along_the_checkpoints() -> None:
    folders = sorted((ROOT / "data" / "models" / "tinyworld-checkpoints").iterdir())
    assert len(folders) == 5
    first, middle, last = (measure(Reader.load(folders[i]), 48, "start") for i in (0, 2, 4))
    for name in ("ioi", "repeat_15", "weekdays", "months", "facts"):
        assert first[name] < 0.4
        assert last[name] > first[name] + 0.3
    # facts are known before sequences are copied and months are counted
    assert middle["facts"] > 0.9
    assert max(middle["repeat_15"], middle["months"]) < 0.3


def test_story_models_find_the_pronoun_of_a_child(asset: Callable[..., Path]) -> None:
    reader = Reader.load(asset("models", "stories260K"))
    sets = json.loads((ROOT / "data" / "tasks" / "pronoun.json").read_text())["sets"]
    pairs = next(s["pairs"] for s in sets if s["pairs"][0]["template"].startswith("story"))
    rows = [reader.ids(pair["clean"]) for pair in pairs]
    right = 0
    for pair, row, logits in zip(pairs, rows, reader.logits(rows, [1] * len(rows)), strict=True):
        assert len(reader.ids(pair["corrupt"])) == len(row)
        answer, foil = (reader.ids(pair["clean"] + pair[k][0]) for k in ("answers", "foils"))
        assert answer[:-1] == foil[:-1] == row
        right += bool(logits[0, answer[-1]] > logits[0, foil[-1]])
    assert right / len(pairs) >= 0.95
