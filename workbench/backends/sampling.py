"""Choosing the next token: greedy, or sampled with transformers' own logits warpers."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import torch
from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from ..check import number, whole


def end_ids(hf_model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a text: the model's, as Hugging Face's `generate` takes them, from its
    generation configuration and else from its configuration, and the tokenizer's own.
    """
    of_model = getattr(getattr(hf_model, "generation_config", None), "eos_token_id", None)
    if of_model is None:
        of_model = getattr(hf_model.config.get_text_config(), "eos_token_id", None)
    given = [end for end in (of_model, tokenizer.eos_token_id) if end is not None]
    return frozenset(int(i) for end in given for i in torch.as_tensor(end).flatten().tolist())


class Sampler:
    """Picks one token a row and step until every row has ended.

    end: the tokens of which each ends its row.

    Raises `ValueError` for sampling options out of range, or given without a temperature.
    """

    def __init__(
        self,
        end: Collection[int],
        n_rows: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
    ) -> None:
        if (temperature := number("temperature", temperature)) < 0:
            raise ValueError(f"A temperature is 0 (greedy) or above; got {temperature}.")
        if temperature == 0 and (top_k is not None or top_p is not None):
            raise ValueError(
                "top_k and top_p sample, and temperature=0 is greedy; give a temperature above 0."
            )
        self._warpers: list[Any] = []
        if temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(temperature))
            if top_k is not None:
                self._warpers.append(TopKLogitsWarper(whole("top_k", top_k, 1)))
            if top_p is not None:
                self._warpers.append(TopPLogitsWarper(number("top_p", top_p, 0, 1)))
        self._generator = (
            None
            if seed is None
            else torch.Generator("cpu").manual_seed(whole("seed", seed, 0, 2**63 - 1))
        )
        self._end = end
        self.open = set(range(n_rows))

    @property
    def finished(self) -> bool:
        return not self.open

    def pick(self, logits: torch.Tensor) -> Iterator[tuple[int, int]]:
        """(row, token) for each row that goes on. logits: (batch, d_vocab)."""
        chosen = logits.argmax(-1)
        if self._warpers:
            scores = logits.float().cpu()
            for warp in self._warpers:
                scores = warp(None, scores)
            chosen = torch.multinomial(scores.softmax(-1), 1, generator=self._generator)[:, 0]
        for row in sorted(self.open):
            token = int(chosen[row])
            if token in self._end:
                self.open.discard(row)
            yield row, token
