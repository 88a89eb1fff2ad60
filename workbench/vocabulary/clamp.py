"""Clamp: hold neurons at a value, and see what becomes of their words and of all else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm

from ..check import Count, Level, Seed, checked
from ..edits import Set, UnchangedEdit
from ..elsewhere import texts_elsewhere
from ..metrics import probability
from ..model import Model, Prompts
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site
from ..targets import Targets, token_ids
from ..tokens import Positions, Tokens, token_strings
from .found import FoundNeurons
from .neurons import neuron_site, neuron_writing

Neurons = FoundNeurons | str | Site | Sequence[str | Site]


@dataclass(frozen=True, eq=False, repr=False)
class NeuronClamp(Result):
    """What some words' probability and other texts become while neurons are held at a value.

    neurons: site names; values: what each was held at, at every position. words: whose summed
    probability is read at the last position of each prompt (`tokens`). controls: for each draw
    random neurons of the same layers, each held where it writes a vector as long as that of the
    neuron whose place it takes.

    plain_, clamped_ and control_probability: (batch), with nothing held, the neurons, and each of
    the controls. plain_, clamped_ and control_loss: (text) the mean loss a token on texts
    elsewhere, in nats. clamped_kl, control_kl: (text) the mean over its positions of
    KL(plain ‖ clamped), in nats. plain_texts, clamped_texts: the prompts continued.
    """

    neurons: tuple[str, ...]
    words: tuple[str, ...]
    controls: tuple[tuple[str, ...], ...]
    plain_texts: tuple[str, ...]
    clamped_texts: tuple[str, ...]
    values: np.ndarray = axes("neuron")
    plain_probability: np.ndarray = axes("batch")
    clamped_probability: np.ndarray = axes("batch")
    control_probability: np.ndarray = axes("control batch")
    plain_loss: np.ndarray = axes("text")
    clamped_loss: np.ndarray = axes("text")
    control_loss: np.ndarray = axes("control text")
    clamped_kl: np.ndarray = axes("text")
    control_kl: np.ndarray = axes("control text")

    picture = "neuron_words.neuron_clamp"

    def changes(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Each measure's change (example,) with the neurons held, and (control, example)."""
        return {
            "probability": (
                self.clamped_probability - self.plain_probability,
                self.control_probability - self.plain_probability,
            ),
            "loss elsewhere": (
                self.clamped_loss - self.plain_loss,
                self.control_loss - self.plain_loss,
            ),
            "KL elsewhere": (self.clamped_kl, self.control_kl),
        }

    def interval(self, measure: str, level: Level = 0.95) -> tuple[float, float]:
        """The interval of a measure's mean change: bootstrap over its examples.

        Raises `ValueError` for another measure than `changes` has.
        """
        changes = self.changes()
        if measure not in changes:
            raise ValueError(f"A measure is one of {tuple(changes)}; got {measure!r}.")
        return self._interval(changes[measure][0], level)

    def to_frame(self) -> pd.DataFrame:
        """One line a measure: "probability", "loss elsewhere" and "KL elsewhere".

        Columns: measure, n (examples); plain and clamped (means), change, low and high (its 95 %
        interval: bootstrap over examples); random (the mean change over the controls), random_low
        and random_high (2.5 and 97.5 % of the controls' means), above_random (the share of controls
        whose mean change is smaller); excess (change less random), excess_low and excess_high (its
        95 % interval, paired by example).
        """
        levels = {
            "probability": (self.plain_probability, self.clamped_probability),
            "loss elsewhere": (self.plain_loss, self.clamped_loss),
            "KL elsewhere": (np.zeros_like(self.clamped_kl), self.clamped_kl),
        }
        lines = []
        for measure, (change, control) in self.changes().items():
            means = control.mean(1)
            excess = change - control.mean(0)
            low, high = self._interval(change)
            excess_low, excess_high = self._interval(excess)
            random_low, random_high = np.quantile(means, [0.025, 0.975])
            lines.append(
                {
                    "measure": measure,
                    "n": len(change),
                    "plain": float(levels[measure][0].mean()),
                    "clamped": float(levels[measure][1].mean()),
                    "change": float(change.mean()),
                    "low": low,
                    "high": high,
                    "random": float(means.mean()),
                    "random_low": float(random_low),
                    "random_high": float(random_high),
                    "above_random": float((means < change.mean()).mean()),
                    "excess": float(excess.mean()),
                    "excess_low": excess_low,
                    "excess_high": excess_high,
                }
            )
        return pd.DataFrame(lines)

    def _interval(self, values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
        return bootstrap(lambda rows: values[rows].mean(-1), len(values), level, self.seed or 0)

    def _facts(self) -> str:
        named = ", ".join(self.neurons[:2]) + (", …" if len(self.neurons) > 2 else "")
        before, after = self.plain_probability.mean(), self.clamped_probability.mean()
        return (
            f"{named} held: probability {before:.3f} → {after:.3f} "
            f"(random {self.control_probability.mean():.3f}), loss elsewhere "
            f"{(self.clamped_loss - self.plain_loss).mean():+.3f} nats "
            f"(random {(self.control_loss - self.plain_loss).mean():+.3f})"
        )


@checked
def clamp(
    model: Model,
    prompts: Prompts,
    neurons: Neurons,
    *,
    words: Targets = None,
    value: float | Literal["max"] = "max",
    times: float = 1.0,
    elsewhere: Prompts | None = None,
    n_controls: Count = 20,
    n_new: Count = 12,
    seed: Seed = 0,
    progress: bool = False,
) -> NeuronClamp:
    """What follows the prompts while neurons are held at a value, as a `NeuronClamp`.

    neurons: `FoundNeurons`, or names like "L3.mlp_post/77"; all are held together, at every
    position. words: whose probability is followed; None for those the neurons were found by.
    value: a number for all (0 is zero ablation), or "max": each neuron's highest activation on
    the texts `elsewhere`. times: multiplies either. elsewhere: texts on which the damage is
    measured, as loss and KL to the plain model; None for the last 40 that ship for the model.

    n_controls: draws of as many random neurons of the same layers, none of them among `neurons`,
    held where they write as much; at a value of 0 they are held at 0 too. n_new: tokens of the
    continuations. seed: of the draws and the intervals.

    Raises `ValueError` for what is no neuron of the model or is named twice, for words of several
    tokens, where no texts are given and none ship, for a text of a single token, for a value that
    is not finite, and where a layer has too few other neurons to draw from.
    """
    sites = _sites(model, neurons)
    if words is None:
        if not isinstance(neurons, FoundNeurons):
            raise ValueError(
                "Neurons given by name do not say which words to follow; add words=[' dog']."
            )
        words = [int(i) for i in neurons.word_ids]
    ids = list(dict.fromkeys(token_ids(model.tokenizer, words, of="A word to follow")))
    if not ids:
        raise ValueError("The probability of at least one word is followed; got none.")
    tokens = model.tokens(prompts)
    others = texts_elsewhere(model, elsewhere)
    layers = sorted({site.layer for site in sites if site.layer is not None})
    with torch.no_grad():
        lengths = {
            layer: neuron_writing(model, layer).float().norm(dim=-1).cpu().numpy()
            for layer in layers
        }
        if value == "max":
            values = times * highest_activations(model, others, sites)
        else:
            values = np.full(len(sites), times * float(value))
        held = Held(tuple(sites), values)
        controls = _controls(held, lengths, n_controls, seed)
        plain, *effects = effects_of(
            model, tokens, others, ids, [held, *controls], progress=progress
        )
    clamped, random = effects[0], effects[1:]

    def stacked(name: str) -> np.ndarray:
        return np.stack([getattr(each, name) for each in random])

    return NeuronClamp(
        **provenance(model, tokens, seed),
        neurons=held.names,
        words=tuple(token_strings(model.tokenizer, ids)),
        controls=tuple(control.names for control in controls),
        plain_texts=_continued(model, tokens, n_new, Held((), np.zeros(0))),
        clamped_texts=_continued(model, tokens, n_new, held),
        values=values,
        plain_probability=plain.probability,
        clamped_probability=clamped.probability,
        control_probability=stacked("probability"),
        plain_loss=plain.loss,
        clamped_loss=clamped.loss,
        control_loss=stacked("loss"),
        clamped_kl=clamped.kl,
        control_kl=stacked("kl"),
    )


def _sites(model: Model, neurons: Neurons) -> list[Site]:
    given: Any = neurons.sites if isinstance(neurons, FoundNeurons) else neurons
    names = [given] if isinstance(given, (str, Site)) else list(given)
    sites = [neuron_site(model, name) for name in names]
    if not sites or len(set(sites)) != len(sites):
        raise ValueError(
            f"Neurons are held once each, and at least one of them; got {len(sites)}, "
            f"{len(set(sites))} of them different."
        )
    return sites


def _controls(held: Held, lengths: dict[int, np.ndarray], n_controls: int, seed: int) -> list[Held]:
    """Random neurons in place of those held, layer by layer, that write vectors as long."""
    rng = np.random.default_rng(seed)
    taken: dict[int, list[int]] = {layer: [] for layer in lengths}
    for site in held.sites:
        assert site.layer is not None and site.unit is not None
        taken[site.layer].append(site.unit)
    free = {}
    for layer, units in taken.items():
        # A neuron that writes nothing cannot write as much.
        free[layer] = np.setdiff1d(np.flatnonzero(lengths[layer] > 0), units)
        if len(free[layer]) < len(units):
            raise ValueError(
                f"Random neurons are drawn from the others of a layer; layer {layer} has "
                f"{len(free[layer])} for {len(units)} that are held. Hold fewer."
            )
    controls = []
    for _ in range(n_controls):
        drawn = {
            layer: iter(rng.choice(free[layer], len(units), replace=False).tolist())
            for layer, units in taken.items()
        }
        sites, values = [], []
        for site, value in zip(held.sites, held.values.tolist(), strict=True):
            assert site.layer is not None and site.unit is not None
            unit = next(drawn[site.layer])
            own = lengths[site.layer]
            sites.append(Site("mlp_post", site.layer, unit=unit))
            values.append(value * float(own[site.unit] / own[unit]))
        controls.append(Held(tuple(sites), np.array(values)))
    return controls


def _continued(model: Model, tokens: Tokens, n: int, held: Held) -> tuple[str, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnchangedEdit)
        return model.generate(tokens, n, edits=held.edits).texts


# -- passes --------------------------------------------------------------------------------------


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
