"""A generation ends at every end token that the model's configurations name, on both backends."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from workbench.backends.base import end_ids

from . import zoo
from .conftest import BACKENDS

ROWS = [[5, 9, 13, 20], [7, 3, 50, 11], [12, 28, 6, 41]]
N_NEW = 8


def loaded(hf_model: Any, backend: str) -> Any:
    return wb.load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)


def by_hugging_face(hf_model: Any) -> tuple[tuple[int, ...], ...]:
    """What plain Hugging Face generates, each row to its end token."""
    out = []
    for row in ROWS:
        made = hf_model.generate(
            torch.tensor([row]),
            attention_mask=torch.ones(1, len(row), dtype=torch.long),
            max_new_tokens=N_NEW,
            do_sample=False,
        )
        out.append(tuple(made[0, len(row) :].tolist()))
    return tuple(out)


@pytest.fixture(scope="module")
def free() -> tuple[tuple[int, ...], ...]:
    """What the model writes where nothing ends it, so that ends can be put into it."""
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = hf_model.config.eos_token_id = None
    return by_hugging_face(hf_model)


def ended(free: tuple[tuple[int, ...], ...], *ends: int) -> tuple[tuple[int, ...], ...]:
    at = [next((i for i, t in enumerate(row) if t in ends), N_NEW - 1) for row in free]
    return tuple(row[: i + 1] for row, i in zip(free, at, strict=True))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", [list, tuple, np.array, torch.tensor])
def test_each_of_several_end_tokens_ends_a_row(kind, backend, free):
    ends = [free[0][2], free[1][4]]
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = ends
    expected = ended(free, *ends, 0)
    assert len(expected[0]) <= 3 and len(expected[1]) <= 5
    assert by_hugging_face(hf_model) == expected
    hf_model.generation_config.eos_token_id = kind(ends)
    made = loaded(hf_model, backend).generate(ROWS, N_NEW)
    assert made.new == expected
    assert made.tokens.lengths == tuple(
        len(row) + len(new) for row, new in zip(ROWS, expected, strict=True)
    )


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("ends", ["one", "several"])
@pytest.mark.parametrize("saved", [False, True])
def test_the_configuration_of_the_model_serves_where_none_of_generation_is(
    saved, ends, backend, free, tmp_path
):
    chosen = [free[0][2], free[1][4]]
    hf_model = zoo.hf_model("llama")
    hf_model.config.eos_token_id = chosen if ends == "several" else chosen[0]
    hf_model.generation_config.eos_token_id = None
    if saved:
        hf_model.save_pretrained(tmp_path)
        zoo.tokenizer().save_pretrained(tmp_path)
        (tmp_path / "generation_config.json").unlink()
        model: Any = wb.load(tmp_path, backend=backend, device="cpu")
    else:
        model = loaded(hf_model, backend)
    assert model.generate(ROWS, N_NEW).new == ended(free, *chosen[: 1 + (ends == "several")], 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_saved_generation_configuration_ends_texts(backend, free, tmp_path):
    ends = [free[0][2], free[2][3]]
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = ends
    hf_model.save_pretrained(tmp_path)
    zoo.tokenizer().save_pretrained(tmp_path)
    model: Any = wb.load(tmp_path, backend=backend, device="cpu")
    assert model.generate(ROWS, N_NEW).new == ended(free, *ends, 0)


def test_a_model_whose_weights_are_elsewhere_has_its_generation_configuration(tmp_path):
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = [7, 9]
    hf_model.save_pretrained(tmp_path)
    zoo.tokenizer().save_pretrained(tmp_path)
    model: Any = wb.load(tmp_path, remote=True)
    assert end_ids(model.module(""), model.tokenizer) == {0, 7, 9}
    (tmp_path / "generation_config.json").unlink()
    model = wb.load(tmp_path, remote=True)
    assert end_ids(model.module(""), model.tokenizer) == {0}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_model_without_end_tokens_writes_as_many_as_are_asked_for(backend, free):
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = hf_model.config.eos_token_id = None
    tokenizer = zoo.tokenizer()
    tokenizer.eos_token = tokenizer.pad_token = tokenizer.bos_token = None
    model: Any = wb.load(hf_model, tokenizer=tokenizer, backend=backend)
    assert model.generate(ROWS, N_NEW).new == free


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_end_token_that_the_model_has_no_row_for_ends_nothing(backend, free):
    hf_model = zoo.hf_model("llama")
    hf_model.generation_config.eos_token_id = [50256, free[0][2]]
    assert loaded(hf_model, backend).generate(ROWS, N_NEW).new == ended(free, free[0][2], 0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_text_may_end_exactly_where_the_context_does(backend):
    hf_model = zoo.hf_model("gpt2")
    hf_model.generation_config.eos_token_id = hf_model.config.eos_token_id = None
    tokenizer = zoo.tokenizer()
    tokenizer.eos_token = None
    model: Any = wb.load(hf_model, tokenizer=tokenizer, backend=backend)
    prompts = [[5] * 61, [6] * 7]
    for n in (3, 4):  # the last of four is written and not read
        assert model.generate(prompts, n).tokens.lengths == (61 + n, 7 + n)
    with pytest.raises(ValueError, match="reads at most 64 tokens; the prompt has 61 and 5 more"):
        model.generate(prompts, 5)


@pytest.mark.parametrize(("options", "said"), [
    ({"n_new": 2.5}, r"n_new is a whole number from 1; got 2.5"),
    ({"n_new": True}, r"n_new is a whole number from 1; got True"),
    ({"temperature": float("nan")}, r"temperature is a finite number from 0; got nan"),
    ({"temperature": "hot"}, r"temperature is a finite number from 0; got 'hot'"),
    ({"temperature": 1.0, "top_k": 0}, r"top_k is a whole number from 1 or None; got 0"),
    ({"temperature": 1.0, "top_k": 2.5}, r"top_k is a whole number from 1 or None; got 2.5"),
    ({"temperature": 1.0, "top_p": 1.5}, r"top_p is a finite number above 0 to 1 or None; got 1.5"),
    ({"temperature": 1.0, "seed": 0.5}, r"seed is a whole number from 0 or None; got 0.5"),
])  # fmt: skip
def test_an_option_of_sampling_is_a_number_in_its_range(options, said, zoo_model):
    with pytest.raises(ValueError, match=said):
        zoo_model("llama", "nnsight").generate(ROWS, **{"n_new": 2, **options})


def test_numbers_of_numpy_are_numbers(zoo_model):
    model = zoo_model("llama", "nnsight")
    plain = model.generate(ROWS, 3, temperature=1.5, top_k=5, seed=3).new
    options = {"temperature": np.float32(1.5), "top_k": np.int64(5), "seed": np.int32(3)}
    assert model.generate(ROWS, np.int64(3), **options).new == plain


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_chat_is_continued_as_hugging_face_continues_it(backend):
    hf_model = zoo.hf_model("llama")
    tokenizer = zoo.tokenizer()
    tokenizer.chat_template = (
        "{{ bos_token }}{% for m in messages %} w{{ 2 if m.role == 'user' else 3 }} {{ m.content }}"
        "{% endfor %}{% if add_generation_prompt %} w3{% endif %}"
    )
    model: Any = wb.load(hf_model, tokenizer=tokenizer, backend=backend)
    chat = [{"role": "user", "content": "w9 w13"}]
    tokens = model.tokens(messages=chat)
    assert tokens.ids.tolist() == [[0, 2, 9, 13, 3]]
    made = hf_model.generate(
        torch.tensor([[0, 2, 9, 13, 3]]), max_new_tokens=5, do_sample=False,
        attention_mask=torch.ones(1, 5, dtype=torch.long),
    )  # fmt: skip
    assert model.generate(tokens, 5).new == (tuple(made[0, 5:].tolist()),)
