"""What the tests of circuit methods share: loaded models, small tasks, and a plain pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import torch

from tests.known_answers import plain_graph
from tests.known_answers.plain_graph import Edge, Pass
from tests.known_answers.plain_weights import weights_of
from workbench import data
from workbench.loading import load
from workbench.tasks import Task, TaskBatch
from workbench.tasks import task as shipped_task

BACKENDS = ("nnsight", "transformer_lens")
#: Four heads that each have their own keys, and four that share two.
TINY = ("tinyworld", "tinyworld-llama")
#: float32 against float64: attributions agree to this.
CLOSE: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


@cache
def tinyworld(name: str = "tinyworld", backend: str = "nnsight") -> Any:
    return load(name, backend=backend, device="cpu")


@cache
def ioi(n: int = 3) -> TaskBatch:
    """Indirect objects, in prompts of 14 and 15 tokens; both models share a tokenizer."""
    return shipped_task("ioi", n=n).on(tinyworld())


def words(prompts: Iterable[tuple[str, str]]) -> Task:
    """Pairs over the words of the zoo's tokenizer."""
    pairs = [{"clean": c, "corrupt": x, "answers": " w5", "foils": " w6"} for c, x in prompts]
    return shipped_task(pairs)


#: Of two lengths; the second pair differs in every token, the others in one or two.
WORDS = words(
    [
        ("w2 w3 w4 w8 w9", "w2 w3 w7 w8 w10"),
        ("w20 w21 w22", "w30 w31 w32"),
        ("w11 w12 w13 w14 w15", "w11 w40 w13 w14 w15"),
    ]
)


def by_length(batch: TaskBatch) -> Iterator[tuple[list[int], TaskBatch]]:
    """The rows of each length, and their examples."""
    lengths = batch.clean.lengths
    for length in sorted(set(lengths)):
        rows = [row for row, own in enumerate(lengths) if own == length]
        yield rows, batch.take(rows)


class Plain:
    """An embedded model in float64, component by component: see `plain_graph`."""

    def __init__(self, name: str) -> None:
        from transformers import AutoModelForCausalLM

        self.model = AutoModelForCausalLM.from_pretrained(
            data.path("models", name), attn_implementation="eager", dtype=torch.float64
        )
        self.weights = weights_of(self.model.requires_grad_(False), torch.float64)
        self.edges = plain_graph.edges_of(self.model)
        self.writers = list(dict.fromkeys(writer for writer, _ in self.edges))
        self.readers = list(dict.fromkeys(reader for _, reader in self.edges))

    def run(
        self,
        ids: torch.Tensor,
        *,
        cut: Iterable[Edge] = (),
        other: Mapping[str, torch.Tensor] | None = None,
        embed: torch.Tensor | None = None,
    ) -> Pass:
        """One pass; cut edges carry `other[writer]`; `embed` in place of the embedding of ids."""
        weights = self.weights if embed is None else replace(self.weights, embed=lambda _: embed)
        return plain_graph._run(weights, ids, frozenset(cut), dict(other or {}))

    def out_of(self, *writers: str) -> set[Edge]:
        """Every edge that leaves these writers."""
        return {edge for edge in self.edges if edge[0] in writers}

    def into(self, *readers: str) -> set[Edge]:
        """Every edge that arrives at these readers."""
        return {edge for edge in self.edges if edge[1] in readers}


@cache
def plain(name: str) -> Plain:
    return Plain(name)


def plain_metric(batch: TaskBatch, seen: Pass) -> torch.Tensor:
    """(example,) the task's metric of a plain pass."""
    return batch.metric(seen.logits[:, -1:])
