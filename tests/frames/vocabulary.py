"""Words of neurons, heads, directions and biases; found neurons and their clamp."""

from __future__ import annotations

from typing import Any

import numpy as np

from .calls import Context, Tables, call, named
from .core import PROMPTS

WORDS = [" Europe", " Asia"]


def _sides(c: Context) -> tuple[str, ...]:
    return ("out", "in", "gate") if c.model_name.endswith("llama") else ("out", "in")


@call("neuron_vocabulary", "NeuronVocabulary")
def neuron_vocabulary(c: Context) -> Tables:
    one = c.wb.neuron_vocabulary(c.model, 1, k=4)
    raw = c.wb.neuron_vocabulary(c.model, 1, k=4, norm="none", sides="out")
    every = c.wb.neuron_vocabulary(c.model, [1, 2], k=2, sides=_sides(c), bottom=False,
                                   measures=["share"])  # fmt: skip
    return {
        "one": one, "raw": raw, "every": every, "kept": raw.kept(
            c.wb.neuron_vocabulary(
                c.other if c.model_name == "tinyworld" else c.model, 1, k=4, norm="none",
                sides="out")),
        "search": one.search(" Paris"), "search out": one.search(" the", side="out"),
        "words": one.words("L1.mlp_post/5"),
        "row": {"row": one.row("L1.mlp_post/5"), "site": str(one.site(7))},
    }  # fmt: skip


@call("direction_vocabulary", "bias_vocabulary", "DirectionVocabulary")
def direction_vocabulary(c: Context) -> Tables:
    d = c.model.spec.d_model
    rows = np.linspace(-3, 3, 3 * d).reshape(3, d).astype(np.float32)
    rows = np.sin(rows * np.arange(1, d + 1))
    got = c.wb.direction_vocabulary(c.model, rows, names=["a", "b", "c"], k=4)
    return {
        "folded": got, "words": got.words("b"),
        "raw": c.wb.direction_vocabulary(c.model, rows, norm="none", k=3),
        "embed": c.wb.direction_vocabulary(c.model, rows, space="embed", k=3,
                                           measures=["kurtosis"]),
        "dictionary": c.wb.direction_vocabulary(c.model, c.dictionary.W_dec, k=2),
        **({} if c.model_name.endswith("llama") else {
            "bias": c.wb.bias_vocabulary(c.model, k=3),
            "bias raw": c.wb.bias_vocabulary(c.model, k=3, norm="none")}),
    }  # fmt: skip


@call("head_vocabulary", "HeadVocabulary")
def head_vocabulary(c: Context) -> Tables:
    small = {"k": 3, "n_pairs": 4, "n_directions": 2, "n_tokens": 80, "n_random": 4,
             "seed": c.seed, "progress": False}  # fmt: skip
    made = {
        "some": c.wb.head_vocabulary(c.model, ["L1H0", "L2H3"], **small),
        "raw": c.wb.head_vocabulary(c.model, "L1H0", norm="none", **small),
        "first block": c.wb.head_vocabulary(c.model, "L2H1", embedding="first_block", **small),
        "all": c.wb.head_vocabulary(c.model, **small | {"n_pairs": 0, "top": 2}),
    }
    out: dict[str, Any] = {}
    for name, got in made.items():
        for what in ("scores", "pairs", "singular"):
            if what != "pairs" or name != "all":
                out[f"{name} {what}"] = got.to_frame(what)
    some = made["some"]
    out |= {"of": some.of("L1H0").to_frame(), "interval": some.share_interval("L1H0")}
    return out


@call("find_neurons", "FoundNeurons")
def find_neurons(c: Context) -> Tables:
    out: dict[str, Any] = {}
    for side in _sides(c):
        for effect in ("promote", "suppress", "either"):
            got = c.wb.find_neurons(c.model, WORDS, side=side, effect=effect, n=6, n_draws=20,
                                    seed=c.seed)  # fmt: skip
            out |= named(f"{side} {effect}", {"frame": got, "chance": np.asarray(got.by_chance())})
    out["raw"] = c.wb.find_neurons(c.model, WORDS, norm="none", layer=[1, 2], n=4, n_draws=10,
                                   seed=c.seed)  # fmt: skip
    return out


@call("clamp_neurons", "NeuronClamp")
def clamp_neurons(c: Context) -> Tables:
    clamp = c.wb.clamp_neurons
    found = c.wb.find_neurons(c.model, WORDS, n=3, n_draws=5, seed=c.seed)
    # Held so far that the words become likely: of a change of 1e-7 single precision leaves little.
    some: Any = list(found.sites)
    made = {
        "max": clamp(c.model, some[:2], PROMPTS, words=WORDS, elsewhere=c.texts[:6], n_controls=3,
                     n_new=3, times=8.0, seed=c.seed),
        "value": clamp(c.model, some[0], PROMPTS, words=WORDS, value=15.0, n_controls=2,
                       n_new=2, elsewhere=c.texts[:3], seed=c.seed, prepend_bos=False),
        "found": clamp(c.model, found, PROMPTS, elsewhere=c.texts[:4], n_controls=2, n_new=2,
                       times=6.0, seed=c.seed),
    }  # fmt: skip
    out: dict[str, Any] = dict(made)
    for name, got in made.items():
        for measure, (change, controls) in got.changes().items():
            out[f"{name} {measure}"] = np.asarray(change)
            out[f"{name} {measure} controls"] = np.asarray(controls)
            out[f"{name} {measure} interval"] = got.interval(measure)
    return out
