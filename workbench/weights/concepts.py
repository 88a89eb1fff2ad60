"""Concept vectors: the MLP value vectors that carry a concept, by their words, then by ablation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from tqdm.auto import tqdm

from ..change import Change
from ..check import Count, Seed, checked, whole
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..experiment import answers
from ..model import Model
from ..questions import Asked, Questions
from ..result import Result, axes, labels, provenance
from ..site import Site
from ..targets import Targets
from ..vocabulary.found import Effect, find_neurons
from ..vocabulary.neurons import Layers, Side, check_neurons, layers_of
from ..vocabulary.projection import NormChoice
from ..weight_edits import WeightEdit

Reference = Literal["zero", "mean", "noise"]
REFERENCES: tuple[Reference, ...] = get_args(Reference)
#: (layer, neuron): the value vector is this row of the layer's W_out.
Place = tuple[int, int]
#: Vectors that are ablated one by one for each that is kept.
SHORTLIST = 5


@dataclass(frozen=True, eq=False, repr=False)
class ConceptVectors(Result):
    """Value vectors (rows of W_out) that carry a concept, the strongest first."""

    #: The concept.
    words: tuple[str, ...]
    #: As in `find_neurons`.
    side: str
    effect: str
    norm: str
    #: How many there were, and how many of them were ablated one by one, or else kept.
    n_searched: int
    n_shortlist: int
    #: Of the model.
    n_layers: int
    d_mlp: int
    neurons: tuple[str, ...] = labels(
        "row", "L2.mlp_post/77 is row 77 of layer 2's W_out", name="vector"
    )
    own_words: tuple[tuple[str, ...], ...] = labels("row", "its own first words", name="own_words")
    word_ids: np.ndarray = axes("label", np.int32)
    layers: np.ndarray = axes("row", np.int32, "layer", name="layer")
    units: np.ndarray = axes("row", np.int32, "neuron of its layer", name="neuron")
    #: The mean over the words of each word's number, in standard deviations of that vector's
    #: numbers over the vocabulary.
    scores: np.ndarray = axes("row", note="score of the words (standard deviations)", name="score")
    by_chance: np.ndarray = axes(
        "row", note="share of draws of as many random words whose best vector scores as high"
    )
    sizes: np.ndarray = axes("row", note="root mean square", name="size")
    vectors: np.ndarray = axes("row d_model", note="as they are stored")
    #: None where no questions chose the vectors.
    lost: np.ndarray | None = axes(
        "row",
        note="log-probability of the answers lost without this vector alone (nats)",
        optional=True,
    )

    tables = {"vectors": "row"}
    picture = "concept_traces.concept_vectors"

    @property
    def places(self) -> list[Place]:
        """(layer, neuron) of each vector."""
        return list(zip(self.layers.tolist(), self.units.tolist(), strict=True))

    @property
    def dictionaries(self) -> Dictionaries:
        """The vectors as directions of the streams that they are written to."""
        return Dictionaries(
            Dictionary.of(
                self.vectors[self.layers == layer],
                site=Site("mlp_out", layer),
                names=[n for n, own in zip(self.neurons, self.layers, strict=True) if own == layer],
                model=self.model,
            )
            for layer in sorted(set(self.layers.tolist()))
        )

    def _facts(self) -> str:
        how = "words" if self.lost is None else f"ablation, of {self.n_shortlist} by words"
        words = ", ".join(map(repr, self.words[:3])) + ", …" * (len(self.words) > 3)
        return (
            f"{len(self.neurons)} of {self.n_searched} value vectors for {words} by {how}; first "
            f"{self.neurons[0]} at {self.scores[0]:.1f} standard deviations"
        )


@checked
def concept_vectors(
    model: Model,
    words: Targets,
    *,
    n_neurons: Count = 20,
    questions: Asked | None = None,
    n_shortlist: Count | None = None,
    layers: Layers = None,
    side: Side = "out",
    effect: Effect = "promote",
    norm: NormChoice = "folded",
    n_controls: Count = 100,
    seed: Seed = 0,
    progress: bool = True,
) -> ConceptVectors:
    """The MLP value vectors that carry a concept, as `ConceptVectors`.

        wb.weights.concept_vectors(model, [" Paris", " Rome"], questions=wb.task("capitals"))

    words: the concept's words, each one token. questions: a task, or prompts with an answer each;
    then the `n_shortlist` (None: five times n_neurons) vectors that promote the words most are set
    to zero one by one, and those whose loss costs the answers most are kept. Ask others in
    `ablate`: those that chose the vectors flatter them. layers, side, effect, norm, n_controls,
    seed: as in `find_neurons`; with "in" or "gate" the vectors are of neurons that answer to the
    words, and "either" suits gated MLPs, whose neurons are active with either sign.

    Raises `ValueError` for words or answers of several tokens, for a model without neurons, and for
    more vectors than there are.

    Source: Hong et al. 2024, "Intrinsic Evaluation of Unlearning Using Parametric Knowledge
    Traces", section 3, with given words in place of a judge, and a set in place of one vector.
    """
    check_neurons(model)
    searched = len(layers_of(model, layers)) * model.spec.d_mlp
    whole("n_neurons", n_neurons, 1, searched, "No more vectors are searched.")
    most = min(searched, SHORTLIST * n_neurons) if n_shortlist is None else n_shortlist
    if questions is None and n_shortlist is not None:
        raise ValueError("n_shortlist is how many are ablated one by one; add questions=.")
    whole("n_shortlist", most, n_neurons, searched, "These are vectors, from n_neurons on.")
    found = find_neurons(
        model,
        words,
        side=side,
        effect=effect,
        n=n_neurons if questions is None else most,
        layers=layers,
        norm=norm,
        n_controls=n_controls,
        seed=seed,
    )
    sites = [Site.parse(name) for name in found.neurons]
    places = [(site.layer or 0, site.unit or 0) for site in sites]
    order, lost, tokens = list(range(len(places))), None, None
    if questions is not None:
        asked = Questions.of(model, questions, of="questions")
        changes = [Change(), *(Change(ablations(model, [place])) for place in places)]
        with tqdm(total=len(changes) * len(asked), disable=not progress, leave=False) as bar:
            means = answers(model, changes, asked, ["log_probability"], bar)["log_probability"]
        lost, tokens = means[0].mean() - means[1:].mean(1), asked.tokens
        order = np.argsort(-lost, kind="stable")[:n_neurons].tolist()
        lost = lost[order]
    places = [places[i] for i in order]
    vectors = rows_of(model, places)
    return ConceptVectors(
        **provenance(model, tokens, seed),
        words=found.words,
        neurons=tuple(found.neurons[i] for i in order),
        own_words=tuple(found.own_words[i] for i in order),
        side=found.side,
        effect=found.effect,
        norm=found.norm,
        n_layers=model.spec.n_layers,
        d_mlp=model.spec.d_mlp,
        n_searched=found.n_searched,
        n_shortlist=len(found.neurons),
        word_ids=found.word_ids,
        layers=np.array([layer for layer, _ in places]),
        units=np.array([unit for _, unit in places]),
        scores=found.scores[order],
        by_chance=found.by_chance[order],
        sizes=np.sqrt((vectors**2).mean(1)),
        vectors=vectors,
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


# -- value vectors by their places -----------------------------------------------------------------


def by_layer(places: Sequence[Place]) -> dict[int, list[int]]:
    """The neurons of each layer, in order."""
    layers: dict[int, list[int]] = {}
    for layer, unit in sorted(places):
        layers.setdefault(layer, []).append(unit)
    return layers


def rows_of(model: Model, places: Sequence[Place]) -> np.ndarray:
    """(vector, d_model) float32: the value vectors as they are stored."""
    layers = {layer: model.weight("W_out", layer, copy=False) for layer, _ in places}
    return np.stack([layers[layer][unit].float().cpu().numpy() for layer, unit in places])


def ablations(
    model: Model,
    places: Sequence[Place],
    reference: Reference = "zero",
    *,
    noise: float = 1.0,
    seed: int = 0,
) -> list[WeightEdit]:
    """One edit a layer: the vectors set to zero or their layer's mean, or noise added to them.

    noise: the standard deviation of a vector's noise in units of its own root mean square. A
    vector's noise hangs on the seed and its place alone.
    """
    edits = []
    for layer, units in by_layer(places).items():
        if reference == "zero":
            edits.append(WeightEdit("W_out", layer, units, value=0.0))
            continue
        stored = model.weight("W_out", layer, copy=False)
        if reference == "mean":
            mean = stored.float().mean(0)
            edits.append(WeightEdit("W_out", layer, units, value=mean))
            continue
        own = stored[units].float().cpu().numpy()
        drawn = [
            np.random.default_rng([seed, layer, unit]).standard_normal(own.shape[1])
            for unit in units
        ]
        sizes = np.sqrt((own**2).mean(1, keepdims=True))
        edits.append(WeightEdit("W_out", layer, units, add=noise * sizes * np.stack(drawn)))
    return edits
