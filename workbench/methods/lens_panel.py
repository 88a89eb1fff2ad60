"""LensPanel: one lens on one component, and what a lens is that translates before it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from ..model import Model
from ..result import Arrays, axes
from .places import Places
from .readout import Reading
from .writers import Writer


@runtime_checkable
class Translator(Protocol):
    """A lens that maps residual vectors into the final layer's terms before they are read."""

    @property
    def lens_name(self) -> str: ...

    def check(self, model: Model) -> None:
        """Raise `ValueError` where the lens was made for another model."""

    def chosen(self, writers: Sequence[Writer]) -> list[Writer]:
        """The writers that it has a translator for."""
        ...

    def translate(self, resid: torch.Tensor, writer: Writer) -> torch.Tensor:
        """(pos, d_model) → (pos, d_model)."""
        ...


@dataclass(frozen=True, eq=False, repr=False)
class LensPanel(Arrays):
    """One lens on one component: what is read at every row and position.

    lens: "logit lens", "tuned lens" or "Jacobian lens". component: the stream, or the site.
    rows: labels from the first layer to the last. layers: the layer of each row, -1 for the
    embedding.

    Log-probabilities, entropy and KL are natural (nats). KL is KL(final ‖ row): how much of the
    model's own final distribution the row misses. A rank counts the tokens above: 0 is the top.
    difference: target logit minus foil logit. masses: the summed probability of each token set.
    Positions of a shorter prompt's missing tail hold NaN, or -1 in integer arrays.

    tracks follow, at position p of prompt b, the tokens track_ids[o[i]:o[i + 1]] with i = b ·
    n_positions + p and o = track_offsets: the targets, and each token that is the top one in
    some row there.
    """

    lens: str
    component: str
    rows: tuple[str, ...]
    layers: np.ndarray = axes("row", np.int32)
    top_ids: np.ndarray = axes("batch row pos k", np.int32)
    top_logprobs: np.ndarray = axes("batch row pos k")
    target_logits: np.ndarray = axes("batch row pos target")
    target_logprobs: np.ndarray = axes("batch row pos target")
    target_ranks: np.ndarray = axes("batch row pos target", np.int32)
    difference: np.ndarray = axes("batch row pos foil")
    masses: np.ndarray = axes("batch row pos set")
    entropy: np.ndarray | None = axes("batch row pos", optional=True)
    kl: np.ndarray | None = axes("batch row pos", optional=True)
    track_offsets: np.ndarray | None = axes("offset", np.int32, optional=True)
    track_ids: np.ndarray | None = axes("track", np.int32, optional=True)
    track_ranks: np.ndarray | None = axes("track row", np.int32, optional=True)
    track_logprobs: np.ndarray | None = axes("track row", optional=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.rows) != self.top_ids.shape[1]:
            raise ValueError(
                f"A panel names each of its {self.top_ids.shape[1]} rows; got {len(self.rows)} "
                "labels."
            )


def lens_panel(
    name: str,
    rows: list[Writer],
    translator: Translator | None,
    reading: Reading,
    where: Places,
    measures: Sequence[str],
) -> LensPanel:
    """The panel of a reading whose first rows are these; further ones were for comparison."""
    n = len(rows)

    def spread(flat: np.ndarray) -> np.ndarray:
        return where.spread(flat[:, :n]).swapaxes(1, 2)

    difference = (
        reading.logits - reading.foil_logits
        if reading.foil_logits.shape[-1]
        else reading.foil_logits
    )
    tracks = {}
    if "tracks" in measures:
        counts = np.zeros(where.positions.shape, np.int64)
        counts[where.positions >= 0] = reading.track_counts
        tracks = {
            "track_offsets": np.concatenate([[0], counts.reshape(-1).cumsum()]),
            "track_ids": reading.track_ids,
            "track_ranks": reading.track_ranks[:, :n],
            "track_logprobs": reading.track_logprobs[:, :n],
        }
    return LensPanel(
        lens="logit lens" if translator is None else translator.lens_name,
        component=name,
        rows=tuple(writer.label for writer in rows),
        layers=np.array([writer.layer for writer in rows], np.int32),
        top_ids=spread(reading.top_ids),
        top_logprobs=spread(reading.top_logprobs),
        target_logits=spread(reading.logits),
        target_logprobs=spread(reading.logprobs),
        target_ranks=spread(reading.ranks),
        difference=spread(difference),
        masses=spread(reading.masses),
        entropy=None if reading.entropy is None else spread(reading.entropy),
        kl=None if reading.kl is None else spread(reading.kl),
        **tracks,
    )
