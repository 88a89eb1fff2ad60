"""Prints how large what ships is, in the words of data/README.md.

    python -m data.tinyworld.sizes

from the root of the checkout. A test looks for every line in the README.
"""

import json
from collections.abc import Iterator
from math import prod
from pathlib import Path
from statistics import median

from safetensors import safe_open

from . import dates, facts, grammar, people, tasks, translation, world

DATA = Path(__file__).resolve().parents[1]


def weights(folder: Path) -> int:
    """How many numbers the weights of a model are."""
    with safe_open(folder / "model.safetensors", framework="np") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118


def config(folder: Path) -> dict:
    return json.loads((folder / "config.json").read_text())


def models() -> Iterator[str]:
    folder = DATA / "models" / "tinyworld"
    c = config(folder)
    yield f"{c['n_layer']} layers × {c['n_embd']}, {c['n_head']} heads, context {c['n_positions']}"
    yield f"{weights(folder):,} weights, {c['dtype']}"
    folder = DATA / "models" / "tinyworld-llama"
    c = config(folder)
    yield f"{c['num_attention_heads']} query heads over {c['num_key_value_heads']} key/value heads"
    yield f"{c['num_hidden_layers']} layers × {c['hidden_size']}, SwiGLU {c['intermediate_size']}"
    yield f"{weights(folder):,} weights, {c['dtype']}"
    folder = DATA / "known_rule" / "model"
    c, size = config(folder), (folder / "model.safetensors").stat().st_size
    yield f"{c['n_layer']} layers × {c['n_embd']}, {c['n_head']} heads, {c['vocab_size']} tokens"
    yield f"{c['dtype']}, {size / 1e3:.0f} kB"


def files() -> Iterator[str]:
    texts = json.loads((DATA / "texts" / "tinyworld.json").read_text())["texts"]
    yield f"{len(texts):,} rows"
    made = json.loads((DATA / "concepts" / "tinyworld.json").read_text())
    yield f"{len(made['concepts'])} concepts"
    yield f"{len(made['questions'])} questions"
    folders = sorted((DATA / "dictionaries" / "tinyworld").iterdir())
    c = json.loads((folders[0] / "cfg.json").read_text())
    size = sum(path.stat().st_size for folder in folders for path in folder.iterdir())
    yield f"{len(folders)} TopK dictionaries"
    yield f"{c['d_sae']:,} features, k = {c['k']}"
    yield f"{size / 1e6:.2f} MB in all"
    training = c["metadata"]["workbench"]["info"]
    rows = training["training"]["batch_size"]
    yield f"{training['steps']:,} steps of {rows} vectors, {training['tokens_seen']:,} fresh tokens"
    yield f"{tasks.PAIRS} pairs a set"


def labels() -> Iterator[str]:
    """The median F1 of each dictionary's labels."""
    for folder in sorted((DATA / "dictionaries" / "tinyworld").iterdir()):
        body = json.loads((folder / "labels.json").read_text())
        f1 = [row[3] for row in body["labels"] if row[3] is not None]
        yield f"| {folder.name} | {len(f1)} | {median(f1):.2f} |"


def templates() -> Iterator[str]:
    yield f"{len(world.NAMES)} people ({len(world.WOMEN)} women, {len(world.MEN)} men)"
    yield f"{len(world.COUNTRIES)} countries"
    shares = world.HE_SHARE.values()
    range_ = f"from {min(shares)} to {max(shares)}"
    yield f'{len(shares)} professions with a planted share of "he" {range_}'
    days, months = world.LONGEST_OFFSET["day"], world.LONGEST_OFFSET["month"]
    yield f"indirect objects ({len(people.IOI_TEMPLATES)} templates"
    yield f"facts ({sum(map(len, facts.FACT_TEMPLATES.values()))} templates)"
    n = len(dates.OFFSET_TEMPLATES)
    yield f"(1 to {days} days, 1 to {months} months, after and before, {n} templates)"
    yield f"pronouns of names and professions ({len(people.PRONOUN_TEMPLATES)} templates)"
    yield f"kinds ({len(facts.KIND_TEMPLATES)} templates)"
    yield f"reviews ({len(grammar.REVIEW_TEMPLATES)} templates)"
    yield f"translation in both directions ({len(translation.TO_VELAN)} templates each)"


def lines() -> list[str]:
    """Every size, as data/README.md writes it."""
    return [*models(), *files(), *templates(), *labels()]


if __name__ == "__main__":
    print("\n".join(lines()))
