"""Stitch texts: what two models compute on the same tokens, part by part without padding."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...model import Model, Prompts
from ...site import Site
from ...tokens import Tokens

#: Bytes of the logits, or of the units' values, of one part; a few copies of them are made.
BYTES = 64 << 20
STREAMS = {"neurons": "mlp_post", "heads": "pattern"}


@dataclass(frozen=True, eq=False)
class StitchTexts:
    """Texts as ids that both models read. rows: the ids of each; fit, held_out: text numbers."""

    model_a: Model
    model_b: Model
    of: str
    rows: tuple[tuple[int, ...], ...]
    fit: tuple[int, ...]
    held_out: tuple[int, ...]

    @classmethod
    def of_models(
        cls, model_a: Model, model_b: Model, texts: Prompts, *, of: str, seed: int
    ) -> StitchTexts:
        """A random half to fit on, with a longest text in it, and the rest to measure on.

        Raises `ValueError` where the two models read other tokens, for fewer than four texts, and
        for one of a single token.
        """
        tokens = model_a.tokens(texts), model_b.tokens(texts)
        rows = [[tuple(t.ids[r, t.columns(r)].tolist()) for r in range(t.n_rows)] for t in tokens]
        for number, (one, other) in enumerate(zip(*rows, strict=True)):
            if one != other or tokens[0].strings[number] != tokens[1].strings[number]:
                raise ValueError(
                    f"Stitched models read the same tokens; text {number} is read as others by "
                    f"{model_a.spec.name} than by {model_b.spec.name}. Leave it out, or stitch "
                    "models of one tokenizer."
                )
            if len(one) < 2:
                raise ValueError(
                    f"A text has at least two tokens, so that one follows another; text {number} "
                    "has one. Leave it out."
                )
        n = len(rows[0])
        if n < 4:
            raise ValueError(
                "Stitching fits on one half of the texts and measures on the other, two each at "
                f"least; got {n}. Give more texts."
            )
        order = np.random.default_rng(seed).permutation(n)
        lengths = np.array([len(row) for row in rows[0]])
        # The mean pattern of a head is known as far as the texts reach that it is taken over.
        longest = int(np.flatnonzero(lengths[order] == lengths.max())[0])
        order[[0, longest]] = order[[longest, 0]]
        half = n // 2
        fit, rest = sorted(order[:half].tolist()), sorted(order[half:].tolist())
        return cls(model_a, model_b, of, tuple(rows[0]), tuple(fit), tuple(rest))

    @property
    def stream(self) -> str:
        return STREAMS[self.of]

    @property
    def longest(self) -> int:
        return max(map(len, self.rows))

    def parts(self, texts: Sequence[int]) -> Iterator[tuple[list[int], list[list[int]]]]:
        """Numbers of some of the texts, all of one length, and their ids."""
        units = max(m.spec.n_layers * self.n_units(m) for m in (self.model_a, self.model_b))
        for length in sorted({len(self.rows[t]) for t in texts}):
            same = [t for t in texts if len(self.rows[t]) == length]
            each = 8 * units * (length if self.of == "heads" else 1)
            most = max(1, BYTES // (length * max(4 * self.model_b.spec.d_vocab, each)))
            for start in range(0, len(same), most):
                part = same[start : start + most]
                yield part, [list(self.rows[t]) for t in part]

    def values(self, model: Model, tokens: Tokens, layers: Sequence[int]) -> torch.Tensor:
        """(unit, text, …) float32 of every unit of these layers, one layer after the other: a
        neuron's activation at each position, or a head's pattern (dst, src).
        """
        sites = [Site(self.stream, layer) for layer in layers]
        with torch.no_grad():
            run = model.run(tokens, read=sites, logits_at=())
        axis = -1 if self.of == "neurons" else 1
        return torch.cat([run[site].float().movedim(axis, 0) for site in sites])

    def n_units(self, model: Model) -> int:
        return model.spec.d_mlp if self.of == "neurons" else model.spec.n_heads
