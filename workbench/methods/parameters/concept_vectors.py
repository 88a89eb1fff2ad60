"""Concept vectors: the MLP value vectors that carry a concept, by their words, then by ablation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from ...check import Count, Seed, checked, whole
from ...model import Model
from ...questions import Asked, Questions
from ...result import Result, axes, provenance
from ...targets import Targets
from ...weight_edits import edited_weights
from ..vocabulary.found_neurons import Effect, find_neurons
from ..vocabulary.neurons import Layers, Side, check_neurons, layers_of
from ..vocabulary.projection import NormChoice
from .condition_runs import answers_under
from .value_vectors import Place, ablations, place_of, rows_of

#: Vectors that are ablated one by one for each that is kept.
SHORTLIST = 5


@dataclass(frozen=True, eq=False, repr=False)
class ConceptVectors(Result):
    """Value vectors (rows of W_out) that carry a concept, the strongest first.

    words: the concept. neurons: "L2.mlp_post/77" is row 77 of layer 2's W_out. own_words: the
    first words of each. chosen_by: "words" (their scores) or "ablation" (what is lost, among
    the `n_shortlist` best by words). n_searched: how many there were. side, effect,
    norm: as in `find_neurons`. n_layers, d_mlp: of the model.

    scores: the mean over the words of each word's number in standard deviations of that vector's
    numbers over the vocabulary. by_chance: the share of draws of as many random words whose best
    vector scores as high. lost: what the mean log-probability of the answers loses, in nats,
    when that vector alone is set to zero; None without prompts. vectors: as they are stored.
    """

    words: tuple[str, ...]
    neurons: tuple[str, ...]
    own_words: tuple[tuple[str, ...], ...]
    chosen_by: str
    side: str
    effect: str
    norm: str
    n_layers: int
    d_mlp: int
    n_searched: int
    n_shortlist: int
    word_ids: np.ndarray = axes("word", np.int32)
    scores: np.ndarray = axes("vector")
    by_chance: np.ndarray = axes("vector")
    vectors: np.ndarray = axes("vector d_model")
    lost: np.ndarray | None = axes("vector", optional=True)

    picture = "concept_traces.concept_vectors"

    @property
    def places(self) -> list[Place]:
        """(layer, neuron) of each vector."""
        return [place_of(name) for name in self.neurons]

    def to_frame(self) -> pd.DataFrame:
        """One line a vector, the strongest first: vector, layer, neuron, score, by_chance, lost
        (NaN without prompts), size (root mean square), own_words.
        """
        empty = np.full(len(self.neurons), np.nan, np.float32)
        return pd.DataFrame(
            {
                "vector": list(self.neurons),
                "layer": [layer for layer, _ in self.places],
                "neuron": [unit for _, unit in self.places],
                "score": self.scores,
                "by_chance": self.by_chance,
                "lost": empty if self.lost is None else self.lost,
                "size": np.sqrt((self.vectors**2).mean(1)),
                "own_words": ["|".join(words) for words in self.own_words],
            }
        )

    def _facts(self) -> str:
        how = "words" if self.lost is None else f"ablation, of {self.n_shortlist} by words"
        return (
            f"{len(self.neurons)} of {self.n_searched} value vectors for {_named(self.words)} "
            f"by {how}; first {self.neurons[0]} at {self.scores[0]:.1f} standard deviations"
        )


@checked
def concept_vectors(
    model: Model,
    words: Targets,
    *,
    n: Count = 20,
    prompts: Asked | None = None,
    n_shortlist: Count | None = None,
    layer: Layers = None,
    side: Side = "out",
    effect: Effect = "promote",
    norm: NormChoice = "folded",
    n_draws: Count = 100,
    seed: Seed = 0,
    prepend_bos: bool | None = None,
    progress: bool = False,
) -> ConceptVectors:
    """The MLP value vectors that carry a concept, as `ConceptVectors`.

    words: the concept's words, each one token. n: how many vectors. prompts: a task, or prompts
    with an answer each; then the `n_shortlist` (None: five times n) vectors that promote the words
    most are set to zero one by one in the weights, and those whose loss costs the answers most are
    kept. Ask other prompts in `ablate_concept`: those that chose the vectors flatter them.
    layer, side, effect, norm, n_draws, seed: as in `find_neurons`; with "in" or "gate" the vectors
    are of neurons that answer to the words, and "either" suits gated MLPs, whose neurons are active
    with either sign. prepend_bos: as in `Model.tokens`.

    Raises `ValueError` for words or answers of several tokens, for a model without neurons, and for
    more vectors than there are.

    Source: Hong et al. 2024, "Intrinsic Evaluation of Unlearning Using Parametric Knowledge
    Traces", section 3. They let a language model judge the words of each vector and keep a single
    one a concept; here words are given, and a set is kept, since a small model spreads a concept.
    """
    check_neurons(model)
    searched = len(layers_of(model, layer)) * model.spec.d_mlp
    whole("n", n, 1, searched, "No more vectors are searched.")
    most = min(searched, SHORTLIST * n) if n_shortlist is None else n_shortlist
    if prompts is None and n_shortlist is not None:
        raise ValueError("n_shortlist is how many are ablated one by one; add prompts=.")
    whole("n_shortlist", most, n, searched, "These are vectors, from n on.")
    found = find_neurons(
        model,
        words,
        side=side,
        effect=effect,
        n=n if prompts is None else most,
        layer=layer,
        norm=norm,
        n_draws=n_draws,
        seed=seed,
    )
    places = [place_of(name) for name in found.neurons]
    order, lost, tokens = list(range(len(places))), None, None
    if prompts is not None:
        questions = Questions.of(model, prompts, prepend_bos=prepend_bos)
        lost, tokens = _lost(model, places, questions, progress), questions.tokens
        order = np.argsort(-lost, kind="stable")[:n].tolist()
        lost = lost[order]
    return ConceptVectors(
        **provenance(model, tokens, seed),
        words=found.words,
        neurons=tuple(found.neurons[i] for i in order),
        own_words=tuple(found.own_words[i] for i in order),
        chosen_by="words" if prompts is None else "ablation",
        side=found.side,
        effect=found.effect,
        norm=found.norm,
        n_layers=model.spec.n_layers,
        d_mlp=model.spec.d_mlp,
        n_searched=found.n_searched,
        n_shortlist=len(places),
        word_ids=found.word_ids,
        scores=found.scores[order],
        by_chance=found.by_chance()[order],
        vectors=rows_of(model, [places[i] for i in order]),
        lost=lost,
    )


def check_found_in(vectors: ConceptVectors, model: Model) -> None:
    """Raises `ValueError` unless the vectors were found in this very model."""
    spec = model.spec
    sizes = (spec.n_layers, spec.d_mlp, spec.d_model)
    own = (vectors.n_layers, vectors.d_mlp, vectors.vectors.shape[1])
    why = ""
    if spec.name != vectors.model:
        why = f"this is {spec.name}"
    elif sizes != own:
        why = f"this one has (n_layers, d_mlp, d_model) {sizes}, that one had {own}"
    else:
        difference = np.abs(rows_of(model, vectors.places) - vectors.vectors).max()
        # Another precision or device rounds; another training does more.
        if difference > 0.02 * np.abs(vectors.vectors).max():
            why = "its value vectors are others, of another training or under an edit"
    if why:
        raise ValueError(
            f"Concept vectors belong to the model they were found in, {vectors.model}; {why}. "
            "Find them in this one with concept_vectors."
        )


def _lost(model: Model, places: list[Place], questions: Questions, progress: bool) -> np.ndarray:
    """(vector,) the drop of the answers' mean log-probability without each vector alone."""
    edits = [[], *(ablations(model, [place], "zero") for place in places)]
    conditions = [lambda e=e: edited_weights(model, e) for e in edits]
    with tqdm(total=len(edits), disable=not progress, leave=False) as bar:
        means = answers_under(conditions, questions, bar).log_probability.mean(1)
    return means[0] - means[1:]


def _named(words: tuple[str, ...]) -> str:
    return ", ".join(map(repr, words[:3])) + (", …" if len(words) > 3 else "")
