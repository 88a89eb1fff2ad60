"""Clamp: hold neurons at a value, and see what becomes of their words and of all else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from ..activations import stream
from ..change import Change
from ..check import Count, Natural, Seed, checked
from ..edits import Set
from ..effects import Effects
from ..elsewhere import texts_elsewhere
from ..experiment import experiment
from ..metrics import pad_ids
from ..model import Model, Prompts
from ..pictures.marks import Dots
from ..questions import Questions
from ..site import Site
from ..targets import Targets, token_ids
from ..tokens import Tokens, token_strings
from .found import FoundNeurons
from .neurons import neuron_site

Neurons = FoundNeurons | str | Site | Sequence[str | Site]


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
    n_new: Natural = 12,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """What follows the prompts while neurons are held at a value, as `Effects`: "held".

        found = wb.vocabulary.find_neurons(model, [" Europe", " Asia"], n=1)
        wb.vocabulary.clamp(model, ["The capital of France is"], found)

    All neurons are held together, at every position. words: whose summed probability is read behind
    each prompt; None for those the neurons were found by. value: a number for all (0 is zero
    ablation), or "max": each neuron's highest activation on the texts `elsewhere`, on which loss
    and KL are measured as in `experiment`. times: multiplies either. n_controls: draws of as many
    neurons of the same layers, near in size, each held where it writes a vector as long. n_new:
    tokens by which the prompts are continued, as `texts`.

    Raises `ValueError` for what is no neuron of the model or is named twice, for words of several
    tokens, where no texts are given and none ship, and where a layer has too few other neurons.
    """
    given: Any = neurons.sites if isinstance(neurons, FoundNeurons) else neurons
    names = [given] if isinstance(given, (str, Site)) else list(given)
    sites = [neuron_site(model, name) for name in names]
    if not sites or len(set(sites)) != len(sites):
        raise ValueError(
            f"Neurons are held once each, and at least one of them; got {len(sites)}, "
            f"{len(set(sites))} of them different."
        )
    if words is None:
        if not isinstance(neurons, FoundNeurons):
            raise ValueError(
                "Neurons given by name do not say which words to follow; add words=[' dog']."
            )
        words = [int(i) for i in neurons.word_ids]
    ids = list(dict.fromkeys(token_ids(model.tokenizer, words, of="A word to follow")))
    if not ids:
        raise ValueError("The probability of at least one word is followed; got none.")
    tokens, others = model.tokens(prompts), texts_elsewhere(model, elsewhere)
    values = np.full(len(sites), float(times))
    values *= _highest(model, others, sites) if value == "max" else float(value)
    first = token_strings(model.tokenizer, ids[:1])[0]
    effects = experiment(
        model,
        {
            "probability": Questions(
                tokens, pad_ids([ids] * tokens.n_rows), (first,) * tokens.n_rows
            )
        },
        {"held": Change([Set(s, v) for s, v in zip(sites, values.tolist(), strict=True)])},
        measures="probability",
        elsewhere=others,
        n_controls=n_controls,
        n_new=n_new,
        seed=seed,
        progress=progress,
    )
    held = [f"{s} at {v:.3g}" for s, v in zip(sites[:3], values, strict=False)]
    return replace(
        effects,
        what=", ".join(held) + ", …" * (len(sites) > 3),
        picture=Dots("effect", "measure", "low", "high", "control", label="effect of holding them"),
    )


def _highest(model: Model, texts: Tokens, sites: Sequence[Site]) -> np.ndarray:
    """(neuron,) the highest activation of each neuron at any position of the texts."""
    whole = sorted({site.whole for site in sites})
    each = [
        [acts[site.whole][:, site.unit].max() for site in sites]
        for acts in stream(model, texts, whole)
    ]
    return np.max(each, axis=0)
