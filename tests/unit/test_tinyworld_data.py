"""The written world: what is held out stays out, and the tokenizer, sizes and tasks keep rules."""

from __future__ import annotations

import json
import random
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from data.tinyworld import (
    dates,
    documents,
    facts,
    grammar,
    held_out,
    people,
    repeats,
    tasks,
    train,
    translation,
    world,
)
from data.tinyworld import tokenizer as tokenizers
from data.tinyworld.leaks import leaks

MODELS = Path(__file__).resolve().parents[2] / "data" / "models"
TASKS = MODELS.parent / "tasks"
FOLDERS = ("tinyworld", "tinyworld-seed1", "tinyworld-llama")
CHECKPOINTS = tuple(sorted((MODELS / "tinyworld-checkpoints").glob("step-*")))
ALL_FOLDERS = (*FOLDERS, *(f"{path.parent.name}/{path.name}" for path in CHECKPOINTS))
STREAM = 16_000  # documents, about 200,000 tokens
ASK = {
    "name pair": people.ioi_questions,
    "noun pair": grammar.agreement_questions,
    "adjective pair": grammar.review_questions,
    "fact in a template": facts.fact_questions,
    "kind in a template": facts.kind_questions,
    "kind never stated": lambda rng, n: facts.kind_questions(rng, n, transitive=True),
    "name in a template": people.pronoun_questions,
    "profession in a template": people.profession_questions,
    "day offset": lambda rng, n: dates.offset_questions(rng, n, "day"),
    "month offset": lambda rng, n: dates.offset_questions(rng, n, "month"),
    "year": dates.span_questions,
}


@cache
def stream() -> tuple[str, ...]:
    """Training documents from every part of the schedule, without their answer marks."""
    rng = random.Random("stream")
    marked = [documents.document(rng, i / STREAM) for i in range(STREAM)]
    return tuple(text.replace("[", "").replace("]", "") for text in marked)


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(MODELS / "tinyworld")


@cache
def encoder() -> tokenizers.Encoder:
    file = MODELS / "tinyworld" / "tokenizer.json"
    return tokenizers.Encoder(tokenizers.Tokenizer.from_file(str(file)))


@cache
def task(name: str) -> dict:
    return json.loads((TASKS / f"{name}.json").read_text())


def ids(text: str) -> list[int]:
    return tokenizer()(text)["input_ids"]


# --- held out -----------------------------------------------------------------------------------


def test_no_training_document_holds_what_is_held_out() -> None:
    assert sum(len(tokenizers.pieces(text)) for text in stream()) >= 200_000
    assert [leak for text in stream() for leak in leaks(text)] == []


def test_no_repeated_sequence_holds_a_pair_that_is_held_out() -> None:
    rng, found = random.Random(0), encoder()
    for _ in range(300):
        cycle = repeats.sequence(rng, found.free_words, found.paired_words, 32)
        assert leaks(str(tokenizer().decode(cycle))) == []


@pytest.mark.parametrize("kind", ASK)
def test_the_leak_check_catches_a_held_out_answer_that_is_planted(kind: str) -> None:
    for question in ASK[kind](random.Random(1), 200):
        assert leaks(question.clean + question.answers[0] + "."), question.clean


@pytest.mark.parametrize("target", translation.DIRECTIONS)
def test_the_leak_check_catches_a_held_out_sentence(target: str) -> None:
    rng = random.Random(2)
    for template in translation.DIRECTIONS[target] * 20:
        given_side, wanted = translation.sides(translation.held_out_sentence(rng), target)
        text = template.format(x=" ".join(given_side)) + " " + " ".join(wanted) + "."
        assert any(leak.startswith("sentence") for leak in leaks(text)), text


def test_every_calendar_template_leaves_out_the_same_offsets() -> None:
    left_out = [
        (unit, start, n, direction)
        for unit, calendar in world.CALENDARS.items()
        for start in calendar
        for n in range(1, world.LONGEST_OFFSET[unit] + 1)
        for direction in dates.DIRECTIONS
        if held_out.offset(unit, start, n, direction)
    ]
    total = 7 * 28 * 2 + 12 * 24 * 2
    assert 0.13 <= len(left_out) / total <= 0.17
    for template in dates.OFFSET_TEMPLATES:
        for unit, start, n, direction in left_out:
            units = unit if n == 1 else f"{unit}s"
            text = template.format(unit=unit, units=units, n=n, direction=direction, start=start)
            assert any(leak.startswith("offset") for leak in leaks(text)), text


def test_about_fifteen_of_a_hundred_pairs_and_years_are_held_out() -> None:
    names = [held_out.name_pair(a, b) for a in world.NAMES for b in world.NAMES if a < b]
    nouns = [held_out.noun_pair(a, b) for a, _ in world.NOUNS for b, _ in world.NOUNS if a < b]
    years = [held_out.year(c, y) for c in world.CENTURIES for y in world.YEARS]
    for chosen in (names, nouns, years):
        assert 0.11 <= sum(chosen) / len(chosen) <= 0.19


def test_a_pair_is_held_out_in_both_orders() -> None:
    for a in world.NAMES:
        for b in world.NAMES:
            assert held_out.name_pair(a, b) == held_out.name_pair(b, a)


def test_the_capital_template_is_trained_for_some_countries_and_held_out_for_others() -> None:
    assert facts.FACT_TEMPLATES["capital"][0] == "The capital of {x} is"
    held = [x for x in world.COUNTRIES if held_out.template("capital", x, 5) == 0]
    assert 3 <= len(held) <= len(world.COUNTRIES) / 2


def test_the_classic_indirect_object_prompt_is_one_of_the_templates() -> None:
    slots = {"a": "Mary", "b": "John", "s": "John", "place": "store", "thing": "drink"}
    filled = people.IOI_TEMPLATES[0].format(**slots)
    assert filled == "When Mary and John went to the store, John gave a drink to"
    assert {"store", "drink"} <= {*world.PLACES, *world.OBJECTS}


def test_training_draws_professions_with_their_planted_share() -> None:
    rng, counts = random.Random(3), {x: [0, 0] for x in world.HE_SHARE}
    for _ in range(40_000):
        text = people.pronoun_document(rng)
        for x in set(tokenizers.pieces(text)) & {f" {x}" for x in world.HE_SHARE}:
            counts[x.strip()]["[ he]" in text] += 1
    for x, (she, he) in counts.items():
        assert he / (he + she) == pytest.approx(world.HE_SHARE[x], abs=0.07)


# --- the world ----------------------------------------------------------------------------------


def test_the_world_is_as_large_as_it_should_be() -> None:
    assert len(world.WOMEN) == len(world.MEN) >= 20
    assert len(set(world.NAMES)) == len(world.NAMES)
    assert len(world.COUNTRIES) >= 24
    assert len(world.HE_SHARE) >= 20
    assert (min(world.HE_SHARE.values()), max(world.HE_SHARE.values())) == (0.05, 0.95)
    assert facts.kind("dog", "class") == "mammal"
    assert facts.kind("dog", "group") == facts.kind("mammal", "group") == "animal"
    assert facts.kind("dog", "domain") == facts.kind("animal", "domain") == "organism"


def test_the_lexicon_is_one_to_one_and_shares_no_word_with_english() -> None:
    assert len(set(world.LEXICON.values())) == len(world.LEXICON) >= 50
    english = set(world.content_words()) - set(world.LEXICON.values())
    assert english & set(world.LEXICON.values()) == set()
    assert set(world.LEXICON) <= english


@pytest.mark.parametrize(
    ("sum_", "answer"),
    [
        (("day", "Monday", 3, "after"), "Thursday"),
        (("day", "Monday", 8, "before"), "Sunday"),
        (("month", "November", 14, "after"), "January"),
        (("month", "January", 1, "before"), "December"),
    ],
)
def test_calendar_sums_wrap_around(sum_: tuple[str, str, int, str], answer: str) -> None:
    assert dates.shifted(*sum_) == answer


# --- the generator ------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_batch_and_another_seed_another() -> None:
    first, again, other = (train.batch(encoder(), seed, 7) for seed in (0, 0, 1))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == first[1].shape == (train.ROWS, train.CONTEXT)


def test_plain_tokens_carry_a_tenth_of_the_weight_of_answers_on_average() -> None:
    rows = [row for row in documents.rows(encoder(), "x", 400, 64, 0.5)]
    plain = sum(weight == documents.OTHER for row in rows for weight in row.weights)
    drawn = torch.cat([train.batch(encoder(), 0, step)[1].flatten() for step in range(12)])
    kept = (drawn - documents.OTHER / train.OTHERS_SAMPLED).abs() < 1e-6
    share = plain / (400 * 64)
    assert kept.float().mean().item() == pytest.approx(share * train.OTHERS_SAMPLED, rel=0.1)


def test_only_the_predictable_part_of_a_repeat_carries_loss() -> None:
    rng, row = random.Random(0), documents.Row([], [])
    documents.append_repeats(rng, encoder(), row, 64)
    period = next(p for p in range(4, 33) if row.ids[:p] == row.ids[p : 2 * p])
    assert row.weights[: period + 1] == [0.0] * (period + 1)
    assert set(row.weights[period + 1 :]) == {documents.REPEAT}


def test_the_loss_equals_the_weighted_mean_over_all_positions() -> None:
    torch.manual_seed(0)
    model = train.make_model("gpt2", encoder().tokenizer)
    token_ids, weights = train.batch(encoder(), 0, 0)
    logits = model(token_ids[:4]).logits[:, :-1]
    nll = -logits.log_softmax(-1).gather(-1, token_ids[:4, 1:, None]).squeeze(-1)
    slow = (nll * weights[:4, 1:]).sum() / weights[:4, 1:].sum()
    assert train.loss_of(model, token_ids[:4], weights[:4]).item() == pytest.approx(
        slow.item(), abs=1e-5
    )


# --- the tokenizer ------------------------------------------------------------------------------


def test_every_content_word_is_one_token_with_its_leading_space() -> None:
    assert [word for word in world.content_words() if len(ids(f" {word}")) != 1] == []


def test_every_word_of_a_training_document_is_one_token() -> None:
    for text in stream()[:4000]:
        assert len(ids(text)) == len(tokenizers.pieces(text)), text
        assert encoder().encode(text)[0] == ids(text)


@given(st.text(max_size=60))
def test_any_text_comes_back_from_its_tokens(text: str) -> None:
    special = (tokenizers.END, tokenizers.PAD)
    if not any(token in text for token in special):
        assert tokenizer().decode(ids(text), clean_up_tokenization_spaces=False) == text


def test_no_token_is_added_by_itself_and_start_end_and_pad_are_named() -> None:
    found = tokenizer()
    assert len(ids("When")) == 1
    assert (found.bos_token, found.eos_token, found.pad_token) == (
        tokenizers.END,
        tokenizers.END,
        tokenizers.PAD,
    )
    assert found.pad_token_id != found.eos_token_id


def test_the_tokenizer_is_the_one_that_the_script_makes() -> None:
    made = json.loads(train.make_tokenizer().to_str())
    assert made == json.loads((MODELS / "tinyworld" / "tokenizer.json").read_text())


# --- the files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ALL_FOLDERS)
def test_every_model_folder_has_the_same_tokenizer_and_its_own_small_weights(folder: str) -> None:
    path = MODELS / folder
    for name in ("tokenizer.json", "tokenizer_config.json"):
        assert (path / name).read_bytes() == (MODELS / "tinyworld" / name).read_bytes()
    config = json.loads((path / "config.json").read_text())
    assert config["vocab_size"] == len(tokenizer())
    assert config["pad_token_id"] == tokenizer().pad_token_id
    weights = load_file(path / "model.safetensors")
    dtype = torch.float32 if folder in FOLDERS else torch.float16
    assert {tensor.dtype for tensor in weights.values()} == {dtype}
    assert sum(file.stat().st_size for file in path.iterdir()) <= 5_000_000


def test_there_are_five_checkpoints() -> None:
    assert len(CHECKPOINTS) == 5


def test_the_llama_sibling_has_grouped_queries() -> None:
    config = json.loads((MODELS / "tinyworld-llama" / "config.json").read_text())
    assert (config["num_attention_heads"], config["num_key_value_heads"]) == (4, 2)


# --- the tasks ----------------------------------------------------------------------------------


def test_the_task_files_are_those_that_the_script_writes() -> None:
    assert {path.stem for path in TASKS.glob("*.json")} == set(tasks.TASKS)
    for name in tasks.TASKS:
        assert (TASKS / f"{name}.json").read_text() == tasks.as_json(tasks.task(name))


@pytest.mark.parametrize("name", tasks.TASKS)
def test_task_pairs_keep_the_rules_of_the_format(name: str) -> None:
    assert task(name)["metric"] in ("logit_difference", "probability_difference")
    for part in task(name)["sets"]:
        pairs = part["pairs"]
        assert 64 <= len(pairs) <= 128
        assert len({(pair["clean"], pair["corrupt"]) for pair in pairs}) == len(pairs)
        for pair in pairs:
            assert pair["clean"] == pair["clean"].rstrip() != pair["corrupt"]
            assert pair["answers"] and pair["foils"]
            assert set(pair["answers"]).isdisjoint(pair["foils"])


@pytest.mark.parametrize("name", tasks.TASKS)
def test_task_pairs_fit_the_tokenizer_of_the_world(name: str) -> None:
    (part,) = [part for part in task(name)["sets"] if part["vocabulary"] == "tinyworld"]
    assert part["whole_words"] is True
    for pair in part["pairs"]:
        clean = ids(pair["clean"])
        assert len(ids(pair["corrupt"])) == len(clean) < train.CONTEXT
        for word in pair["answers"] + pair["foils"]:
            assert ids(pair["clean"] + word)[:-1] == clean


@pytest.mark.parametrize("name", tasks.TASKS)
def test_no_task_prompt_is_in_the_training_stream(name: str) -> None:
    text = "\n".join(stream())
    (part,) = [part for part in task(name)["sets"] if part["vocabulary"] == "tinyworld"]
    assert [pair["clean"] for pair in part["pairs"] if pair["clean"].strip() in text] == []


@pytest.mark.parametrize("name", [name for name in tasks.TASKS if name != "induction"])
def test_every_task_answer_is_held_out_material(name: str) -> None:
    (part,) = [part for part in task(name)["sets"] if part["vocabulary"] == "tinyworld"]
    for pair in part["pairs"]:
        assert leaks(pair["clean"] + pair["answers"][0] + "."), pair["clean"]


def test_the_planted_shares_travel_with_the_task() -> None:
    assert task("gender_profession")["planted"] == world.HE_SHARE
    for pair in task("gender_profession")["sets"][0]["pairs"]:
        share = world.HE_SHARE[pair["labels"]["profession"]]
        assert pair["labels"]["he_share"] == share
        assert pair["answers"] == [" he" if share > 0.5 else " she"]


@pytest.mark.parametrize(
    "name",
    ["ioi", "agreement", "capitals", "greater_than", "weekdays", "gender_profession", "pronoun"],
)
def test_tasks_for_real_models_have_a_set_in_ordinary_english(name: str) -> None:
    assert "english" in [part["vocabulary"] for part in task(name)["sets"]]
