"""What the tests of steering share: dictionaries with a planted flow, and a pass by hand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch

import workbench as wb
from workbench import data
from workbench.dictionary.base import Dictionary
from workbench.dictionary.collection import Dictionaries
from workbench.dictionary.encoders import ReLU
from workbench.loading import load
from workbench.texts import texts

LAYERS, WIDTH, FEATURES = 4, 128, 12
#: The planted feature of each layer.
PATH = tuple(f"L{layer}.resid_post/{3 + layer}" for layer in range(LAYERS))
PROMPTS = ["When Mary and John went to the store, John gave a drink to", "The dog is"]
#: Two prompts of different lengths: the shorter one is padded.
CONCEPT = [" Mary", " John"]


@cache
def tinyworld(backend: str = "nnsight") -> Any:
    return load("tinyworld", backend=backend, device="cpu")


@cache
def planted() -> Dictionaries:
    """A dictionary a layer; one feature of each is nearly that of the layer before."""
    made = torch.Generator().manual_seed(7)
    shared = torch.randn(WIDTH, generator=made)
    each = []
    for layer in range(LAYERS):
        rows = torch.randn(FEATURES, WIDTH, generator=made)
        rows[3 + layer] = shared + 0.3 * torch.randn(WIDTH, generator=made)
        encoder = ReLU(0.1 * rows.T.contiguous(), 0.5 * torch.ones(FEATURES))
        # Decoder rows of a length of their own, so that no test passes by rows of length 1.
        rows = rows * (0.05 + 0.01 * layer)
        site = f"L{layer}.resid_post"
        each.append(Dictionary(site, encoder, rows, torch.zeros(WIDTH), model="tinyworld"))
    return Dictionaries(each)


@cache
def flow() -> wb.features.FeatureFlow:
    found = wb.feature_flow(planted(), PATH[1])
    assert found.path() == PATH
    return found


def others(n: int = 6) -> tuple[str, ...]:
    """Texts that a push should leave alone."""
    return texts("tinyworld")[1500 : 1500 + n]


@cache
def hugging_face() -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        data.path("models", "tinyworld"), attn_implementation="eager"
    ).eval()


def pushed(ids: Any, added: Mapping[str, float]) -> torch.Tensor:
    """(pos, d_vocab) logits of one prompt, with so much of each feature's unit direction added
    after its block at every position, in the Hugging Face model itself.
    """
    model, hooks = hugging_face(), []

    def hook(vector: torch.Tensor) -> Any:
        def change(module: Any, inputs: Any, output: Any) -> Any:
            return (output[0] + vector, *output[1:]) if type(output) is tuple else output + vector

        return change

    for name, length in added.items():
        dictionary, number = planted().feature(name)
        row = dictionary.W_dec[number]
        block = model.transformer.h[dictionary.site.layer]
        hooks.append(block.register_forward_hook(hook(length * row / row.norm())))
    try:
        with torch.no_grad():
            return model(torch.as_tensor([list(ids)])).logits[0]
    finally:
        for each in hooks:
            each.remove()


def rows_of(prompts: Any) -> list[list[int]]:
    return [tinyworld().tokenizer(prompt).input_ids for prompt in prompts]


def residual(ids: Any, layer: int) -> torch.Tensor:
    """(pos, d_model) the stream after a block, in the Hugging Face model itself."""
    seen: list[torch.Tensor] = []
    block = hugging_face().transformer.h[layer]

    def keep(module: Any, inputs: Any, output: Any) -> None:
        seen.append(output[0][0] if type(output) is tuple else output[0])

    held = block.register_forward_hook(keep)
    try:
        with torch.no_grad():
            hugging_face()(torch.as_tensor([list(ids)]))
    finally:
        held.remove()
    return seen[0]
