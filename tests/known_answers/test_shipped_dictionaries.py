"""The shipped dictionaries: where they are, how much they keep, and the command that makes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from data.tinyworld import dictionaries as command

STREAMS = ("resid_post", "mlp_out", "attn_out")
SITES = {f"L{layer}.{stream}" for layer in range(4) for stream in STREAMS}


@pytest.fixture(scope="module")
def dicts() -> wb.Dictionaries:
    return wb.dictionaries("tinyworld")


@pytest.fixture(scope="module")
def model() -> Any:
    return wb.load("tinyworld", device="cpu")


def test_there_is_one_for_each_stream_of_each_layer_and_they_are_small(
    dicts: wb.Dictionaries,
) -> None:
    assert {str(site) for site in dicts} == SITES
    for site, dictionary in dicts.items():
        assert (dictionary.n_features, dictionary.d_in, dictionary.model) == (
            1024,
            128,
            "tinyworld",
        )
        assert torch.allclose(dictionary.W_dec.norm(dim=-1), torch.ones(1024), atol=2e-3), site
        assert dictionary.info["training"]["seed"] == 0
    folder = wb.data.path("dictionaries", "tinyworld")
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) <= 12 * 10**6


def check_loss(dicts: wb.Dictionaries, model: Any, n: int) -> None:
    """Loss recovered against zeroing the site, on texts of another seed than any that was read."""
    tokens = model.tokens(list(wb.texts("tinyworld")[-n:]))
    clean = model.run(tokens, read=list(dicts))

    def loss(edits: Any = ()) -> float:
        logits = model.run(tokens, edits=edits).logits.double().log_softmax(-1)
        return -float(logits[:, :-1].gather(-1, tokens.ids[:, 1:, None]).mean())

    whole = loss()
    for site, dictionary in dicts.items():
        x = clean[site]
        codes = dictionary.encode(x)
        assert float((codes > 0).sum(-1).double().mean()) <= 32
        zeroed = loss(wb.Set(site, torch.zeros_like(x)))
        spliced = loss(wb.Set(site, dictionary.decode(codes, x)))
        assert (zeroed - spliced) / (zeroed - whole) >= 0.95, site


def test_few_codes_of_the_residual_stream_keep_nearly_all_of_the_loss(
    dicts: wb.Dictionaries, model: Any
) -> None:
    check_loss(dicts.only("resid_post"), model, 24)


@pytest.mark.slow
def test_few_codes_keep_nearly_all_of_the_loss(dicts: wb.Dictionaries, model: Any) -> None:
    """Several sites hardly matter when zeroed, so that it takes many texts to tell."""
    check_loss(dicts, model, 200)


def test_the_command_trains_and_writes_one_folder_a_site(
    tmp_path: Path, monkeypatch: Any, model: Any
) -> None:
    monkeypatch.setattr(command.wb, "load", lambda *_, **__: model)
    out = tmp_path / "out"
    arguments = ["--out", str(out), "--steps", "1", "--features", "16", "--k", "2"]
    arguments += ["--model", str(wb.data.path("models", "tinyworld")), "--batch-size", "64"]
    monkeypatch.setattr(sys, "argv", ["dictionaries", *arguments])
    threads = torch.get_num_threads()
    try:
        command.main()
    finally:
        torch.set_num_threads(threads)
    found = wb.dictionaries(out)
    assert {str(site) for site in found} == SITES
    assert {d.n_features for d in found.values()} == {16}


def test_the_texts_read_are_of_another_seed_than_the_shipped_ones() -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(wb.data.path("models", "tinyworld", "tokenizer.json")))
    rows = command.rows(tokenizer)
    read = {tuple(next(rows)) for _ in range(300)}
    assert all(len(row) == 64 for row in read)
    shipped = {tuple(tokenizer.encode(text).ids) for text in wb.texts("tinyworld")}
    assert not read & shipped
