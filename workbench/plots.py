"""Plots: static pictures of results, as matplotlib Axes; which picture belongs to which result."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from .check import checked

#: The rows or bars of a picture are all named up to this many; beyond, every second, third …
NAMED = 45
#: The picture of each class of results: a module of `workbench.pictures` and its function, whose
#: keywords are the options of `plot`.
PICTURES = {
    "Ablation": "circuits.ablation",
    "Attention": "attention.attention",
    "Attribution": "attribution.attribution",
    "AttributionCheck": "attribution.attribution_check",
    "Circuit": "circuits.circuit",
    "CircuitEvaluation": "circuits.circuit_evaluation",
    "ClassifierEffects": "feature_circuits.classifier_effects",
    "ConceptAblation": "concept_traces.concept_ablation",
    "ConceptEvaluation": "feature_evaluations.concept_evaluation",
    "Couplings": "observables.couplings",
    "ConceptVectors": "concept_traces.concept_vectors",
    "DictionaryCheck": "dictionaries.dictionary_check",
    "DictionaryEvaluation": "feature_evaluations.dictionary_evaluation",
    "DirectLogitAttribution": "lenses.direct_logit_attribution",
    "DirectionVocabulary": "neuron_words.direction_vocabulary",
    "FeatureActivations": "feature_pages.feature_activations",
    "FeatureCircuit": "feature_circuits.feature_circuit",
    "FeatureCircuitEvaluation": "feature_circuits.feature_circuit_evaluation",
    "FeatureEffects": "feature_circuits.feature_effects",
    "FeatureFlow": "flows.feature_flow",
    "FeatureMatches": "flows.feature_matches",
    "FeaturePage": "feature_pages.feature_page",
    "FlowCut": "information.flow_cut",
    "FlowValidation": "flows.flow_validation",
    "FoundNeurons": "neuron_words.found_neurons",
    "HeadVocabulary": "head_words.head_vocabulary",
    "InformationFlow": "information.information_flow",
    "JacobianLens": "lenses.jacobian_lens",
    "LogitLens": "lenses.logit_lens",
    "NeuronClamp": "neuron_words.neuron_clamp",
    "NeuronVocabulary": "neuron_words.neuron_vocabulary",
    "ObservableAttribution": "observables.observable_attribution",
    "ObservableEvaluation": "observables.observable_evaluation",
    "ObservablePaths": "observables.observable_paths",
    "ObservableVector": "observables.observable_vector",
    "Patching": "patching.patching",
    "PathPatching": "attribution.path_patching",
    "Shift": "feature_circuits.shift",
    "Steering": "steering.steering",
    "SteeringComparison": "steering.steering_comparison",
    "Stitching": "alignments.stitching",
    "TunedLens": "lenses.tuned_lens",
    "WeightAlignment": "alignments.weight_alignment",
    "UnlearningAudit": "concept_traces.unlearning_audit",
}


def plot(result: Any, **options: Any) -> Axes:
    """A static picture of a result; options as the function that `PICTURES` names takes them.

    Raises `TypeError` for a result that has no picture.
    """
    for kind in type(result).__mro__:
        if kind.__name__ in PICTURES:
            module, _, name = PICTURES[kind.__name__].partition(".")
            draw = getattr(import_module(f".pictures.{module}", __package__), name)
            return checked(draw)(result, **options)
    raise TypeError(f"{type(result).__name__} has no picture; use to_frame().")


def png(result: Any, **options: Any) -> bytes:
    """The picture as the bytes of a PNG file; the figure is closed again."""
    before = set(plt.get_fignums())
    try:
        figure: Any = plot(result, **options).figure
        out = io.BytesIO()
        figure.savefig(out, format="png", dpi=110, bbox_inches="tight")
        return out.getvalue()
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)


def shown_token(token: str, longest: int = 10) -> str:
    """A token for a label: a space as a dot, a line break as an arrow, long ones cut."""
    text = token.replace(" ", "·").replace("\n", "↵").replace("\t", "⇥")
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    text = text if len(text) <= longest else text[: longest - 1] + "…"
    # matplotlib reads text between dollar signs as mathematics.
    return text.replace("$", r"\$")


def quoted(token: str) -> str:
    """A token in quotation marks for running text."""
    return f"‘{token}’".replace("\n", "↵").replace("$", r"\$")


def new_axes(ax: Axes | None, width: float, height: float) -> Axes:
    """The given axes, or new ones of a size in inches that has an upper bound."""
    if ax is not None:
        return ax
    size = min(24.0, width), min(20.0, height)
    return plt.subplots(figsize=size, layout="constrained")[1]
