"""Who writes where in the residual stream, and which parts of it a reader may read.

Every writer has a slot of its own: words, positions, each head, each MLP (a disentangled residual
stream, as in Friedman et al. 2023, arXiv:2306.01128). What a reader takes from a writer is then one
block of the reader's weight, and an edge whose block is 0 carries nothing. What is written has mean
zero over its slot, and a large constant in the first two units fixes the size of the stream, so
a layer norm neither mixes the slots nor changes their size by more than a part in a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from .rule import ID, LABELS

N_LAYERS, N_HEADS, D_MLP = 2, 3, 12
CONSTANT = 100.0
D_TOKEN, D_PLACE, D_OF_HEAD, D_OF_MLP = 12, 8, 9, 8


def slots() -> dict[str, slice]:
    """Writer → its units. The embedding has two slots: "token" and "place"."""
    sizes = {"token": D_TOKEN, "place": D_PLACE}
    for layer in range(N_LAYERS):
        sizes |= {f"L{layer}H{head}.z": D_OF_HEAD for head in range(N_HEADS)}
        sizes[f"L{layer}.mlp_out"] = D_OF_MLP
    found, start = {}, 2
    for name, size in sizes.items():
        found[name] = slice(start, start + size)
        start += size
    return found


SLOTS = slots()
#: Components that may serve the labels alone: whatever they find, no word hangs on it.
SPARE_WRITERS = {"L0H2.z", "L1H2.z", "L1.mlp_out"}
SPARE_READERS = {"L0H2.q", "L0H2.k", "L0H2.v", "L1H2.q", "L1H2.k", "L1H2.v", "L1.mlp_in", "labels"}
D_MODEL = -(-max(each.stop for each in SLOTS.values()) // N_HEADS) * N_HEADS
D_HEAD = D_MODEL // N_HEADS


def written(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Each writer and the weight it writes with, (…, d_model), a view of the model's own."""
    base = model.transformer
    yield "token", base.wte.weight
    yield "place", base.wpe.weight
    for layer, block in enumerate(base.h):
        for head, W_O in enumerate(block.attn.c_proj.weight.split(D_HEAD)):
            yield f"L{layer}H{head}.z", W_O
        yield f"L{layer}.mlp_out", block.mlp.c_proj.weight


def read(model: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Each reader and the weight it reads with, (d_model, …), a view of the model's own.

    The unembedding is two readers: of the labels ("labels") and of all other tokens ("logits").
    """
    for layer, block in enumerate(model.transformer.h):
        joint = block.attn.c_attn.weight.split(D_HEAD, 1)
        for which, letter in enumerate("qkv"):
            for head in range(N_HEADS):
                yield f"L{layer}H{head}.{letter}", joint[which * N_HEADS + head]
        yield f"L{layer}.mlp_in", block.mlp.c_fc.weight
    first = ID[LABELS[0]]
    yield "logits", model.lm_head.weight[:first].T
    yield "labels", model.lm_head.weight[first:].T


def blocks(model: Any) -> dict[tuple[str, str], torch.Tensor]:
    """(writer, reader) → what the reader takes from that slot, a view; for writers before it."""
    found = {}
    for reader, W in read(model):
        layer = N_LAYERS if reader in ("logits", "labels") else int(reader[1])
        earlier = [name for name in SLOTS if _before(name, layer, reader.endswith("mlp_in"))]
        found |= {(writer, reader): W[SLOTS[writer]] for writer in earlier}
    return found


def _before(writer: str, layer: int, reader_is_mlp: bool) -> bool:
    """Whether a writer has written when a reader of that layer reads."""
    if writer in ("token", "place"):
        return True
    return int(writer[1]) < layer or (
        reader_is_mlp and int(writer[1]) == layer and writer.endswith(".z")
    )


@torch.no_grad()
def constrain(model: Any, dropped: set[tuple[str, str]]) -> None:
    """Put every weight back into its slot, and set the blocks of dropped edges to 0."""
    for writer, W in written(model):
        kept = W[..., SLOTS[writer]]
        kept = kept - kept.mean(-1, keepdim=True)
        W.zero_()
        W[..., SLOTS[writer]] = kept
    model.transformer.wte.weight[:, :2] = torch.tensor([CONSTANT, -CONSTANT])
    present = blocks(model)
    for reader, W in read(model):
        kept = W.clone()
        W.zero_()
        for writer, place in SLOTS.items():
            if (writer, reader) in present and (writer, reader) not in dropped:
                W[place] = kept[place]
