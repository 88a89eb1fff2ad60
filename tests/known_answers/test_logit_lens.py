"""A GPT-2 written by hand, whose layer and head of decision are known: the lens must find them.

Twelve tokens w0 to w11; unit t of the residual stream says "the token here is t", unit 12 + t "the
next token is t". Every token predicts itself a little, through the unembedding. Besides, the model
knows two things. Layer 1's MLP: after w1 comes w2 (a fact about one token). Head 0 of layer 2: a
name (w6, w7 or w8) read anywhere before is the next token; its attention is uniform, nothing
saturates. All other weights are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.unit.lens_models import logit_lens
from workbench import direct_logit_attribution
from workbench.loading import load
from workbench.model import Model

N, WIDTH, LAYERS, HEADS = 12, 24, 4, 2
NAMES = (6, 7, 8)
BACKENDS = ["nnsight", "transformer_lens"]


def save(folder: Path) -> Path:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    sizes: dict[str, Any] = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS, "n_positions": 16}
    ids: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=N, tie_word_embeddings=False, **sizes, **ids))
    for name, parameter in model.named_parameters():
        norm = "ln_" in name and name.endswith("weight")
        parameter.data = torch.ones_like(parameter) if norm else torch.zeros_like(parameter)
    blocks: Any = model.transformer.h
    for t in range(N):
        model.transformer.wte.weight.data[t, t] = 1
        model.lm_head.weight.data[t, N + t] = 1
        model.lm_head.weight.data[t, t] = 0.5
    fact = blocks[1].mlp
    fact.c_fc.weight.data[1, 0], fact.c_fc.bias.data[0] = 1, -2
    fact.c_proj.weight.data[0, N + 2] = 4
    d_head = WIDTH // HEADS
    for slot, name in enumerate(NAMES):
        blocks[2].attn.c_attn.weight.data[name, 2 * WIDTH + slot] = 1
        blocks[2].attn.c_proj.weight.data[slot, N + name] = 6
    assert len(NAMES) <= d_head
    model.save_pretrained(folder)
    inner = Tokenizer(models.WordLevel({f"w{i}": i for i in range(N)}, unk_token="w0"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="w0").save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Model]:
    folder = save(tmp_path_factory.mktemp("by_hand"))
    return cache(lambda backend: load(folder, backend=backend, device="cpu"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_fact_is_decided_in_the_layer_that_holds_it(
    by_hand: Callable[[str], Model], backend: str
) -> None:
    lens = logit_lens(
        by_hand(backend), "w3 w5 w1", targets="w2", sites=["resid_post", "mlp_out", "attn_out"],
        token_sets={"fact": ["w2", "w1"]}, k=3,
    )  # fmt: skip
    panel = lens.panel("resid_post")
    ranks = dict(zip(panel.rows, panel.target_ranks[0, :, -1, 0], strict=True))
    assert ranks["embed"] > 0 and ranks["L0"] > 0
    assert ranks["L1"] == ranks["L2"] == ranks["L3"] == 0
    assert lens.text(panel.top_ids[0, 0, -1, 0]) == "w1"
    assert panel.kl[0, 1, -1] > 0.5 and panel.kl[0, 2, -1] < 0.01
    assert panel.masses[0, -1, -1, 0] > 0.9
    # Nowhere but in that layer's MLP: every other module's output is 0 and points to no token.
    mlp, attention = lens.panel("mlp_out"), lens.panel("attn_out")
    assert lens.text(mlp.top_ids[0, 1, -1, 0]) == "w2"
    for module, layer in [
        (mlp, 0),
        (mlp, 2),
        (mlp, 3),
        (attention, 0),
        (attention, 1),
        (attention, 3),
    ]:
        np.testing.assert_allclose(module.entropy[0, layer, -1], np.log(N), atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_moved_by_the_head_that_copies(
    by_hand: Callable[[str], Model], backend: str, name: int
) -> None:
    prompt = f"w3 w{name} w4"
    lens = logit_lens(by_hand(backend), prompt, targets=f"w{name}", sites=["resid_post", "z"])
    panel, heads = lens.panel("resid_post"), lens.panel("z")
    assert (panel.target_ranks[0, :3, -1, 0] > 0).all()
    assert (panel.target_ranks[0, 3:, -1, 0] == 0).all()
    copying = heads.rows.index("L2H0")
    assert lens.text(heads.top_ids[0, copying, -1, 0]) == f"w{name}"
    others = [r for r in range(len(heads.rows)) if r != copying]
    np.testing.assert_allclose(heads.entropy[0, others, -1], np.log(N), atol=0.05)


@pytest.mark.parametrize("backend", BACKENDS)
def test_attribution_gives_the_whole_difference_to_that_head(
    by_hand: Callable[[str], Model], backend: str
) -> None:
    split = direct_logit_attribution(by_hand(backend), "w3 w7 w4", "w7", foils="w6")
    parts = dict(zip(split.components, split.contributions[0, :, 0, 0], strict=True))
    # From w4 neither name is nearer, so nothing else tells them apart.
    assert parts.pop("L2H0") == pytest.approx(float(split.logits[0, 0, 0]), abs=1e-5)
    assert max(map(abs, parts.values())) < 0.02 * float(split.logits[0, 0, 0])
