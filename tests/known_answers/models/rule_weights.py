"""Reads the mechanism of the trained rule model off its weights alone: no prompt is run.

Every writer has a slot of its own in the residual stream (data/known_rule/slots.py), so what a
reader takes from a writer is one block of the reader's weight, and an edge whose block is 0 carries
nothing. The rule is done by the edges whose blocks are not 0, whose writer can differ between two
prompts, and which lead on to the logits of words.

Norms divide by a constant, so products of weights are what the model computes; they are
multiplied out here in float64.
"""

from __future__ import annotations

from typing import Any

import torch

from data.known_rule.rule import ID, KINDS, N_CTX, QUESTIONS, WORDS
from data.known_rule.slots import D_HEAD, N_HEADS, N_LAYERS, blocks, read, written

from .known import Edge


def true_edges(hf_model: Any) -> frozenset[Edge]:
    """The edges that do the rule, by their blocks."""
    links = {edge for edge, block in blocks(hf_model).items() if bool(block.any())}
    for layer in range(N_LAYERS):
        for head in range(N_HEADS):
            name = f"L{layer}H{head}"
            links -= {(w, r) for w, r in links if r[:-2] == name and not _used(links, name, r)}
    varying = _reached({"token"}, links)
    useful = _reached({"logits"}, {(r, w) for w, r in links}, backwards=True)
    return frozenset(
        ("embed" if writer == "token" else writer, reader)
        for writer, reader in links
        if writer in varying and reader in useful
    )


def _used(links: set[Edge], head: str, reader: str) -> bool:
    """Whether a head's q, k or v has an effect, seen from the head's other inputs.

    Keys that read nothing are the same everywhere, and so no query changes what is attended to;
    values that read nothing are the same wherever the head attends.
    """
    others = {"q": "kv", "k": "v", "v": ""}[reader[-1]]
    return all(any(r == f"{head}.{other}" for _, r in links) for other in others)


def _reached(start: set[str], links: set[Edge], *, backwards: bool = False) -> set[str]:
    """Every name that links lead to from `start`, through heads and MLPs."""
    found = set(start)
    while True:
        new = {after for before, after in links if before in found}
        # A head's q, k and v lead to its z, an MLP's input to its output; backwards, the reverse.
        for name in tuple(new | found):
            if name.endswith(".mlp_out" if backwards else ".mlp_in"):
                new.add(f"{name.split('.')[0]}.mlp_{'in' if backwards else 'out'}")
            elif backwards and name.endswith(".z"):
                new |= {f"{name[:-2]}.{letter}" for letter in "qkv"}
            elif not backwards and name[-2:] in (".q", ".k", ".v"):
                new.add(f"{name[:-2]}.z")
        if new <= found:
            return found
        found |= new


def place_scores(hf_model: Any, head: str) -> torch.Tensor:
    """(dst, src): what position src adds to the score of a head of layer 0 that asks at dst."""
    places = _written(hf_model)["place"][:N_CTX]
    q = places @ _read(hf_model)[f"{head}.q"] + _bias(hf_model, head, "q")
    return q @ (places @ _read(hf_model)[f"{head}.k"]).T


def match_scores(hf_model: Any, through: str, head: str) -> torch.Tensor:
    """(question, word): the score of a word's copy, written by head `through`, at a question."""
    wrote, reads = _written(hf_model), _read(hf_model)
    asked, words = (wrote["token"][[ID[each] for each in some]] for some in (QUESTIONS, WORDS))
    q = asked @ reads[f"{head}.q"] + _bias(hf_model, head, "q")
    copied = words @ reads[f"{through}.v"] @ wrote[f"{through}.z"]
    return q @ (copied @ reads[f"{head}.k"]).T


def copy_scores(hf_model: Any, head: str) -> torch.Tensor:
    """(word, word): what attending to the first adds to the logit of the second."""
    wrote, reads = _written(hf_model), _read(hf_model)
    ids = [ID[each] for each in WORDS]
    return wrote["token"][ids] @ reads[f"{head}.v"] @ wrote[f"{head}.z"] @ reads["logits"][:, ids]


def same_kind() -> torch.Tensor:
    """(question, word): whether the word is of the kind that the question names."""
    return torch.tensor([[word[0] == kind for word in WORDS] for kind in KINDS])


def _written(hf_model: Any) -> dict[str, torch.Tensor]:
    # The constant's two units are nothing that a reader takes: their blocks are 0.
    return {writer: W.detach().double() for writer, W in written(hf_model)}


def _read(hf_model: Any) -> dict[str, torch.Tensor]:
    return {reader: W.detach().double() for reader, W in read(hf_model)}


def _bias(hf_model: Any, head: str, letter: str) -> torch.Tensor:
    layer, number = int(head[1]), int(head[3:])
    joint: Any = hf_model.transformer.h[layer].attn.c_attn.bias
    return joint.double().split(D_HEAD)["qkv".index(letter) * N_HEADS + number]
