"""Writes the shipped texts: rows like those of the training, from a seed that it never used.

    python -m data.tinyworld.texts data/texts

from the root of the checkout, after the tokenizer is there.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer

from . import documents
from .tokenizer import Encoder
from .train import CONTEXT

SEED = "texts:0"
N_TEXTS = 2_000


def rows(tokenizer: Tokenizer, n: int = N_TEXTS, seed: str = SEED) -> list[str]:
    """`n` texts of up to CONTEXT tokens, each of which reads as the ids it was made of."""
    encoder = Encoder(tokenizer)
    out = []
    for row in documents.rows(encoder, seed, 2 * n, CONTEXT, 1.0):
        text = tokenizer.decode(row.ids, skip_special_tokens=False)
        # A row of random tokens need not be what the tokenizer makes of its text.
        if tokenizer.encode(text).ids == row.ids:
            out.append(text)
        if len(out) == n:
            break
    return out


def main() -> None:
    """Read the command line and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--tokenizer", type=Path, default=Path("data/models/tinyworld"))
    arguments = parser.parse_args()
    found = rows(Tokenizer.from_file(str(arguments.tokenizer / "tokenizer.json")))
    arguments.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"model": "tinyworld", "seed": SEED, "texts": found}, indent=0) + "\n"
    (arguments.out / "tinyworld.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
