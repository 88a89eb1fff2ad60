"""Clamp runs: passes in which neurons are held at values, and what is measured in each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from tqdm.auto import tqdm

from ...edits import Set, UnchangedEdit
from ...metrics import probability
from ...model import Model
from ...site import Site
from ...tokens import Positions, Tokens

#: Bytes of the logits that one pass gives; several copies of them are made.
LOGITS = 64 << 20
#: Prompts that run at once where only their last position is unembedded.
ROWS = 128


@dataclass(frozen=True, eq=False)
class Held:
    """Neurons and the value that each is held at, at every position."""

    sites: tuple[Site, ...]
    values: np.ndarray

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(map(str, self.sites))

    @property
    def edits(self) -> list[Set]:
        pairs = zip(self.sites, self.values.tolist(), strict=True)
        return [Set(site, value) for site, value in pairs]


@dataclass(frozen=True, eq=False)
class Effects:
    """What a pass gave: (batch) the words' probability, (text) the loss and the KL elsewhere."""

    probability: np.ndarray
    loss: np.ndarray
    kl: np.ndarray


def highest_activations(model: Model, texts: Tokens, sites: Sequence[Site]) -> np.ndarray:
    """(neuron,) the highest activation of each neuron at any position of the texts."""
    highest = np.full(len(sites), -np.inf, np.float32)
    read = sorted({site.whole for site in sites})
    for rows in _portions(texts, ROWS):
        some = texts.take(rows).trimmed()
        run = model.run(some, read=read, logits_at=())
        each = [float(run[site][some.mask].max()) for site in sites]
        highest = np.maximum(highest, each)
    return highest


def effects_of(
    model: Model,
    prompts: Tokens,
    texts: Tokens,
    ids: Sequence[int],
    held: Sequence[Held],
    *,
    progress: bool = False,
) -> list[Effects]:
    """What is measured with nothing held, and then with each of `held`."""
    runs = [Held((), np.zeros(0)), *held]
    out = [
        Effects(*(np.zeros(n, np.float32) for n in (prompts.n_rows, texts.n_rows, texts.n_rows)))
        for _ in runs
    ]
    at_once = max(1, LOGITS // (4 * model.spec.d_vocab * texts.n_columns))
    with tqdm(total=len(runs) * texts.n_rows, disable=not progress, leave=False) as bar:
        for rows in _portions(prompts, ROWS):
            some = prompts.take(rows).trimmed()
            for each, into in zip(runs, out, strict=True):
                logits = _logits(model, some, each, "last")
                into.probability[rows] = _numpy(probability(logits, [list(ids)] * len(rows)))
        for rows in _portions(texts, at_once):
            some = texts.take(rows).trimmed()
            plain = None
            for each, into in zip(runs, out, strict=True):
                log_probs = _logits(model, some, each, None).float().log_softmax(-1)
                plain = log_probs if plain is None else plain
                into.loss[rows] = _numpy(text_loss(log_probs, some))
                if each.sites:
                    into.kl[rows] = _numpy(text_kl(log_probs, plain, some))
                bar.update(len(rows))
    return out


def text_loss(log_probs: torch.Tensor, texts: Tokens) -> torch.Tensor:
    """(text,) minus the mean log-probability of each text's tokens but the first."""
    following = log_probs[:, :-1].gather(-1, texts.ids[:, 1:, None])[..., 0]
    real = texts.mask[:, 1:] & texts.mask[:, :-1]
    return -following.masked_fill(~real, 0).sum(-1) / real.sum(-1)


def text_kl(log_probs: torch.Tensor, plain: torch.Tensor, texts: Tokens) -> torch.Tensor:
    """(text,) the mean over a text's positions of KL(plain ‖ held)."""
    # A token of probability 0 in both adds nothing.
    difference = plain.clamp(min=-1e30) - log_probs.clamp(min=-1e30)
    each = (plain.exp() * difference).sum(-1)
    return each.masked_fill(~texts.mask, 0).sum(-1) / texts.mask.sum(-1)


def _logits(model: Model, tokens: Tokens, held: Held, at: Positions) -> torch.Tensor:
    with warnings.catch_warnings():
        # A neuron that already has the value it is held at is nothing to warn of.
        warnings.simplefilter("ignore", UnchangedEdit)
        run = model.run(tokens, edits=held.edits, logits_at=at)
    assert run.logits is not None
    return run.logits.detach()


def _portions(tokens: Tokens, at_once: int) -> Iterator[list[int]]:
    for start in range(0, tokens.n_rows, at_once):
        yield list(range(start, min(start + at_once, tokens.n_rows)))


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
