"""Causal trials of directions: take them out of a stream, or push along them, and measure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...activations import batches
from ...edits import Add, Affine, Edit
from ...model import Model, Norm
from ...site import Site
from ..features.steering_runs import divergences, log_probs
from .observable import Observable
from .observable_examples import TrialExamples
from .observable_gradient import path_gradient, portions
from .observable_measure import measured_with
from .observable_path import Step


@dataclass(frozen=True, eq=False)
class Trials:
    """The trials of one stream on some examples. mean: (d_model,) the stream's mean there."""

    obs: Observable
    site: Site
    norm: Norm | None
    examples: TrialExamples
    streams: tuple[np.ndarray, ...]  # (pos, d_model) float64 a row
    mean: np.ndarray

    @classmethod
    def of(cls, obs: Observable, site: Site, norm: Norm | None, examples: TrialExamples) -> Trials:
        streams = tuple(_streams(obs.model, site, examples))
        return cls(obs, site, norm, examples, streams, np.concatenate(streams).mean(0))

    @property
    def typical(self) -> float:
        """The root mean square distance of the stream from its mean: the length of a push."""
        return float(np.sqrt(((np.concatenate(self.streams) - self.mean) ** 2).sum(-1).mean()))

    def normed(self) -> np.ndarray:
        """(batch, d_model) each row's stream as the norm leaves it, the mean over its positions."""
        out = []
        for stream in self.streams:
            x = torch.from_numpy(stream)
            if self.norm is not None:
                x = self.norm.center(x) / self.norm.scale(x)
            out.append(x.mean(0).numpy())
        return np.stack(out)

    def predicted(self, vector: np.ndarray, path: Sequence[Step]) -> list[np.ndarray]:
        """For each row (pos, d_model): the change of the observable a change of stream makes.

        The vector over the scale of the norm there, times the attention that the path pays.
        """
        model, tokens = self.obs.model, self.examples.tokens
        out, start = [], 0
        for part in portions(tokens):
            found = path_gradient(model, self.obs.direction, part, path)
            factor = (found.weights / found.scales[..., 0]).detach().double().cpu().numpy()
            for row in range(len(part)):
                at = [part.offset(row) + p for p in self.examples.positions[start + row]]
                out.append(factor[row, at, None] * vector)
            start += len(part)
        return out

    def ablate(self, unit: np.ndarray) -> tuple[np.ndarray, list[np.ndarray]]:
        """(batch,) the observable with the stream's part along `unit` at its mean; the changes."""
        level = float(self.mean @ unit)
        changes = [np.outer(level - stream @ unit, unit) for stream in self.streams]
        return self._measure(lambda **where: at_mean(self.site, unit, level, **where)), changes

    def push(self, unit: np.ndarray, length: float) -> tuple[np.ndarray, list[np.ndarray]]:
        """(batch,) the observable with `length` along `unit` added; the changes."""
        step = torch.as_tensor(length * unit, dtype=torch.float32)
        changes = [np.tile(length * unit, (len(stream), 1)) for stream in self.streams]
        return self._measure(lambda **where: Add(self.site, step, **where)), changes

    def everywhere(self, unit: np.ndarray) -> Edit:
        """The ablation of `unit` at every position of any text."""
        return at_mean(self.site, unit, float(self.mean @ unit))

    def _measure(self, make: Callable[..., Edit]) -> np.ndarray:
        tokens, out, start = self.examples.tokens, [], 0
        for part in portions(tokens):
            stop = start + len(part)
            edits = [
                make(rows=rows, positions=at)
                for at, rows in _by_positions(self.examples.positions[start:stop])
            ]
            out.append(measured_with(self.obs, part, edits))
            start = stop
        return np.concatenate(out)


def at_mean(site: Site, unit: np.ndarray, level: float, **where: Any) -> Affine:
    """An edit that sets the part of a stream along a unit vector to `level`."""
    matrix = np.eye(len(unit)) - np.outer(unit, unit)
    return Affine(
        site,
        torch.as_tensor(matrix, dtype=torch.float32),
        torch.as_tensor(level * unit, dtype=torch.float32),
        **where,
    )


def damage(
    model: Model, texts: Any, makes: Sequence[Edit], batch_size: int, progress: bool
) -> np.ndarray:
    """(edit, text) KL(plain ‖ edited) in nats, the mean over each text's positions."""
    columns = []
    with torch.no_grad():
        for _, tokens in batches(model, texts, batch_size, title="damage", progress=progress):
            plain = log_probs(model, tokens, ())
            each = [divergences(plain, log_probs(model, tokens, [edit]), tokens) for edit in makes]
            columns.append(np.stack(each))
    return np.concatenate(columns, 1)


def _streams(model: Model, site: Site, examples: TrialExamples) -> list[np.ndarray]:
    """For each row (pos, d_model) float64: the stream at its positions."""
    out, start = [], 0
    for part in portions(examples.tokens):
        with torch.no_grad():
            stream = model.run(part, read=site, stop_after=site)[site].double().cpu().numpy()
        for row in range(len(part)):
            at = [part.offset(row) + p for p in examples.positions[start + row]]
            out.append(stream[row, at])
        start += len(part)
    return out


def _by_positions(
    positions: Sequence[tuple[int, ...]],
) -> list[tuple[tuple[int, ...], list[int]]]:
    """Each tuple of positions and the rows that have it."""
    out: dict[tuple[int, ...], list[int]] = {}
    for row, at in enumerate(positions):
        out.setdefault(at, []).append(row)
    return list(out.items())
