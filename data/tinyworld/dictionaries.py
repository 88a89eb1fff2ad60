"""Trains the shipped dictionaries: resid_post, mlp_out and attn_out of every layer of tinyworld.

    python -m data.tinyworld.dictionaries --out data/dictionaries/tinyworld

from the root of the checkout, after the model is there. The text is fresh: rows like those of the
model's training, from a seed that neither it nor the shipped texts used, and none is read twice.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import torch
from tokenizers import Tokenizer

import workbench as wb

from . import documents
from .tokenizer import Encoder
from .train import CONTEXT

SEED = "dictionaries:0"
STREAMS = ("resid_post", "mlp_out", "attn_out")
#: More rows than any training here reads.
ENDLESS = 10**9


def rows(tokenizer: Tokenizer, seed: str = SEED) -> Iterator[list[int]]:
    """The token ids of one row after the other, CONTEXT each, the same for the same seed."""
    encoder = Encoder(tokenizer)
    for row in documents.rows(encoder, seed, ENDLESS, CONTEXT, 1.0):
        yield row.ids


def main() -> None:
    """Read the command line, train, and write a folder a dictionary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=Path("data/models/tinyworld"))
    parser.add_argument("--kind", default="topk")
    parser.add_argument("--k", type=int, default=8)
    parser.add_argument("--features", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--learning-rate", type=float, default=3e-3)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    model = wb.load("tinyworld", device="cpu")
    tokenizer = Tokenizer.from_file(str(arguments.model / "tokenizer.json"))
    found = wb.features.train(
        model,
        lambda: rows(tokenizer),
        [f"L{layer}.{stream}" for layer in range(model.spec.n_layers) for stream in STREAMS],
        kind=arguments.kind,
        k=arguments.k,
        n_features=arguments.features,
        steps=arguments.steps,
        batch_size=arguments.batch_size,
        learning_rate=arguments.learning_rate,
        name="tinyworld",
    )
    for site, dictionary in found.items():
        dictionary.save(arguments.out / str(site), dtype=torch.float16)


if __name__ == "__main__":
    main()
