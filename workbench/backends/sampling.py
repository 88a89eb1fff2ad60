"""Choosing the next token: greedy, or sampled with transformers' own logits warpers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch


class Sampler:
    """Picks one token a row and step until every row has ended.

    Raises `ValueError` for sampling options out of range, or given without a temperature.
    """

    def __init__(
        self,
        end_id: int | None,
        n_rows: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
    ) -> None:
        from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

        if temperature < 0:
            raise ValueError(f"A temperature is 0 (greedy) or above; got {temperature}.")
        if temperature == 0 and (top_k is not None or top_p is not None):
            raise ValueError(
                "top_k and top_p sample, and temperature=0 is greedy; give a temperature above 0."
            )
        self._warpers: list[Any] = []
        if temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(float(temperature)))
            if top_k is not None:
                self._warpers.append(TopKLogitsWarper(top_k))
            if top_p is not None:
                self._warpers.append(TopPLogitsWarper(top_p))
        self._generator = None if seed is None else torch.Generator().manual_seed(seed)
        self._end_id = end_id
        self.open = set(range(n_rows))
        self.pad_id = 0 if end_id is None else end_id

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
            if token == self._end_id:
                self.open.discard(row)
            yield row, token
