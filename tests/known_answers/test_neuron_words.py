"""A neuron planted to write one word, among random ones: found by it, and causal for it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.parity import zoo
from workbench.loading import load

WRITES, READS, LAYER, UNIT = 17, 40, 1, 5
NEURON = f"L{LAYER}.mlp_post/{UNIT}"


@pytest.fixture(scope="module", params=["gpt2", "llama", "gemma2"])
def planted(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A random model, one neuron of which reads the embedding of one word and writes another."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    hf_model = zoo.hf_model(request.param)
    embedding = hf_model.get_input_embeddings().weight
    unembedding = hf_model.get_output_embeddings().weight
    if request.param == "gpt2":
        mlp = hf_model.transformer.h[LAYER].mlp
        reads, writes = mlp.c_fc.weight[:, UNIT], mlp.c_proj.weight[UNIT]
    else:
        mlp = hf_model.model.layers[LAYER].mlp
        reads, writes = mlp.up_proj.weight[UNIT], mlp.down_proj.weight[:, UNIT]
    reads.copy_(embedding[READS])
    writes.copy_(unembedding[WRITES])
    hf_model.save_pretrained(folder)
    zoo.tokenizer().save_pretrained(folder)
    return load(folder, device="cpu")


def test_its_word_is_on_top_of_its_line_in_the_table(planted: Any) -> None:
    table = wb.vocabulary.neurons(planted)
    row = table.row(NEURON)
    frame: Any = table.to_frame(n=1)
    assert frame["out"][row] == f"w{WRITES}" and frame["in"][row] == f"w{READS}"
    assert table.share is not None
    # It writes one word, the others mixtures: its share of probability is near the largest.
    assert (table.share.ravel() > table.share.ravel()[row]).mean() < 0.05
    assert NEURON in table.search(f"w{WRITES}", side="out")["neuron"].tolist()


def test_it_comes_out_first_for_its_word(planted: Any) -> None:
    found = wb.vocabulary.find_neurons(planted, f"w{WRITES}", n=5)
    assert found.sites[0] == NEURON and found.ranks[0, 0] == 1
    assert found.scores[0] > found.scores[1] + 0.5
    read = wb.vocabulary.find_neurons(planted, f"w{READS}", side="in", n=5)
    assert read.sites[0] == NEURON and read.ranks[0, 0] == 1


def test_another_word_does_not_find_it(planted: Any) -> None:
    assert NEURON not in wb.vocabulary.find_neurons(planted, f"w{WRITES + 1}", n=3).sites


def test_clamping_it_makes_its_word_likely_and_random_neurons_do_not(planted: Any) -> None:
    rng = np.random.default_rng(0)
    prompts = [[0, *rng.integers(2, 60, 6).tolist()] for _ in range(8)]
    texts = [[0, *rng.integers(2, 60, 9).tolist()] for _ in range(6)]
    found = wb.vocabulary.find_neurons(planted, f"w{WRITES}", n=1)
    clamp = wb.vocabulary.clamp(
        planted, prompts, found, value=60.0, elsewhere=texts, n_controls=10, n_new=4
    )
    line = clamp.to_frame().set_index("measure").loc["probability"]
    assert line["plain"] < 0.1 and line["control"] < 0.1
    assert line["beyond"] == 1 and line["excess_low"] > 0
    if planted.norm("ln2_post", LAYER) is None:
        assert line["changed"] > 0.5 and line["excess_low"] > 0.2
        assert clamp.texts is not None and clamp.texts["held"][0].split()[-1] == f"w{WRITES}"
    else:
        # A norm behind the MLP bounds what any neuron can add, here to a larger stream.
        assert line["changed"] > 5 * line["plain"]


def test_ablating_it_undoes_what_it_adds(planted: Any) -> None:
    # On words that it reads the planted neuron is active; without it its word is less likely.
    word = planted.weight("W_E")[READS]
    assert float(word @ word) > 0
    prompts = [[0, READS]]
    run = planted.run(prompts, read=NEURON)
    active = float(run[NEURON][0, -1])
    assert run.logits is not None
    clamp = wb.vocabulary.clamp(
        planted,
        prompts,
        NEURON,
        words=f"w{WRITES}",
        value=0,
        elsewhere=[[0, 5, 6]],
        n_controls=2,
        n_new=1,
    )
    plain = torch.softmax(run.logits[0, -1].float(), -1)[WRITES]
    assert clamp["probability"].plain[0] == pytest.approx(float(plain), rel=1e-4)
    change = clamp["probability"].changed[0, 0] - clamp["probability"].plain[0]
    assert np.sign(change) == -np.sign(active)
