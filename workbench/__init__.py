"""A research workbench for interpreting transformer language models.

Load a model with `load`, give it and a prompt or a `task` to a method, and look at the result: it
draws itself in the cell and turns into a table, a picture or one HTML file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .data import data_path as data_path
from .edits import Add as Add
from .edits import Affine as Affine
from .edits import Edit as Edit
from .edits import ProjectOut as ProjectOut
from .edits import Scale as Scale
from .edits import Set as Set
from .edits import UnchangedEdit as UnchangedEdit
from .loading import load as load
from .model import Generation as Generation
from .model import Model as Model
from .model import ModelSpec as ModelSpec
from .model import Resume as Resume
from .model import Run as Run
from .norm import Norm as Norm
from .site import Site as Site

# Not lazy: a submodule that was loaded later would take the place of the function of its name.
from .tasks import Task as Task
from .tasks import task as task
from .tasks import tasks as tasks
from .texts import texts as texts
from .tokens import Tokens as Tokens

if TYPE_CHECKING:
    from . import live as live
    from . import metrics as metrics
    from . import widgets as widgets
    from .dictionary.base import Dictionary as Dictionary
    from .dictionary.collection import Dictionaries as Dictionaries
    from .dictionary.collection import dictionaries as dictionaries
    from .dictionary.edits import ScaleFeatures as ScaleFeatures
    from .dictionary.edits import SetFeatures as SetFeatures
    from .dictionary.edits import Splice as Splice
    from .dictionary.loading import load_dictionary as load_dictionary
    from .dictionary.writing import save_dictionary as save_dictionary
    from .graph import Graph as Graph
    from .methods.ablation import Ablation as Ablation
    from .methods.ablation import Cut as Cut
    from .methods.ablation import ablate as ablate
    from .methods.alignment.stitching import Stitching as Stitching
    from .methods.alignment.stitching import stitch as stitch
    from .methods.alignment.weight_alignment import WeightAlignment as WeightAlignment
    from .methods.alignment.weight_alignment import align_weights as align_weights
    from .methods.attention import Attention as Attention
    from .methods.attention import attention as attention
    from .methods.attribution import Attribution as Attribution
    from .methods.attribution import attribute as attribute
    from .methods.attribution_check import AttributionCheck as AttributionCheck
    from .methods.attribution_check import check_attribution as check_attribution
    from .methods.circuit import Circuit as Circuit
    from .methods.circuit import circuit_of as circuit_of
    from .methods.circuit import find_circuit as find_circuit
    from .methods.circuit import find_circuits as find_circuits
    from .methods.circuit_evaluation import CircuitEvaluation as CircuitEvaluation
    from .methods.circuit_evaluation import evaluate_circuit as evaluate_circuit
    from .methods.direct_logit_attribution import DirectLogitAttribution as DirectLogitAttribution
    from .methods.direct_logit_attribution import (
        direct_logit_attribution as direct_logit_attribution,
    )
    from .methods.features.classifier import Classifier as Classifier
    from .methods.features.classifier import train_classifier as train_classifier
    from .methods.features.concept_directions import difference_in_means as difference_in_means
    from .methods.features.concept_directions import random_dictionary as random_dictionary
    from .methods.features.concept_directions import supervised_dictionary as supervised_dictionary
    from .methods.features.concept_evaluation import ConceptEvaluation as ConceptEvaluation
    from .methods.features.concept_evaluation import evaluate_concepts as evaluate_concepts
    from .methods.features.concepts import Concepts as Concepts
    from .methods.features.concepts import concepts as concepts
    from .methods.features.dictionary_check import DictionaryCheck as DictionaryCheck
    from .methods.features.dictionary_check import check_dictionary as check_dictionary
    from .methods.features.dictionary_evaluation import DictionaryEvaluation as DictionaryEvaluation
    from .methods.features.dictionary_evaluation import evaluate_dictionary as evaluate_dictionary
    from .methods.features.feature_activations import FeatureActivations as FeatureActivations
    from .methods.features.feature_activations import feature_activations as feature_activations
    from .methods.features.feature_circuit import FeatureCircuit as FeatureCircuit
    from .methods.features.feature_circuit import feature_circuit as feature_circuit
    from .methods.features.feature_circuit_evaluation import (
        FeatureCircuitEvaluation as FeatureCircuitEvaluation,
    )
    from .methods.features.feature_circuit_evaluation import (
        evaluate_feature_circuit as evaluate_feature_circuit,
    )
    from .methods.features.feature_effects import FeatureEffects as FeatureEffects
    from .methods.features.feature_effects import feature_effects as feature_effects
    from .methods.features.feature_index import FeatureIndex as FeatureIndex
    from .methods.features.feature_index import index_features as index_features
    from .methods.features.feature_page import FeaturePage as FeaturePage
    from .methods.features.feature_page import feature_page as feature_page
    from .methods.features.flow import FeatureFlow as FeatureFlow
    from .methods.features.flow import feature_flow as feature_flow
    from .methods.features.flow_validation import FlowValidation as FlowValidation
    from .methods.features.flow_validation import validate_flow as validate_flow
    from .methods.features.labels import Labels as Labels
    from .methods.features.matching import FeatureMatches as FeatureMatches
    from .methods.features.matching import compare_matches as compare_matches
    from .methods.features.matching import match_features as match_features
    from .methods.features.shift import ClassifierEffects as ClassifierEffects
    from .methods.features.shift import Shift as Shift
    from .methods.features.shift import classifier_effects as classifier_effects
    from .methods.features.shift import shift as shift
    from .methods.features.steering import Steering as Steering
    from .methods.features.steering import steer as steer
    from .methods.features.steering_comparison import SteeringComparison as SteeringComparison
    from .methods.features.steering_comparison import compare_steering as compare_steering
    from .methods.features.training import train_dictionaries as train_dictionaries
    from .methods.features.training import train_dictionary as train_dictionary
    from .methods.information.flow_cut import FlowCut as FlowCut
    from .methods.information.flow_cut import cut_flow as cut_flow
    from .methods.information.information_flow import InformationFlow as InformationFlow
    from .methods.information.information_flow import information_flow as information_flow
    from .methods.jacobian_lens import JacobianLens as JacobianLens
    from .methods.jacobian_lens import jacobian_lens as jacobian_lens
    from .methods.logit_lens import LogitLens as LogitLens
    from .methods.logit_lens import logit_lens as logit_lens
    from .methods.observables.observable import Observable as Observable
    from .methods.observables.observable import observable as observable
    from .methods.observables.observable_attribution import (
        ObservableAttribution as ObservableAttribution,
    )
    from .methods.observables.observable_couplings import Couplings as Couplings
    from .methods.observables.observable_couplings import couplings as couplings
    from .methods.observables.observable_evaluation import (
        ObservableEvaluation as ObservableEvaluation,
    )
    from .methods.observables.observable_evaluation import (
        evaluate_observable as evaluate_observable,
    )
    from .methods.observables.observable_paths import ObservablePaths as ObservablePaths
    from .methods.observables.observable_vector import ObservableVector as ObservableVector
    from .methods.parameters.concept_ablation import ConceptAblation as ConceptAblation
    from .methods.parameters.concept_ablation import ablate_concept as ablate_concept
    from .methods.parameters.concept_vectors import ConceptVectors as ConceptVectors
    from .methods.parameters.concept_vectors import concept_vectors as concept_vectors
    from .methods.parameters.unlearning import unlearn as unlearn
    from .methods.parameters.unlearning_audit import UnlearningAudit as UnlearningAudit
    from .methods.parameters.unlearning_audit import audit_unlearning as audit_unlearning
    from .methods.patching import Patching as Patching
    from .methods.patching import patch as patch
    from .methods.path_patching import PathPatching as PathPatching
    from .methods.path_patching import path_patch as path_patch
    from .methods.tuned_lens import TunedLens as TunedLens
    from .methods.tuned_lens import tuned_lens as tuned_lens
    from .methods.vocabulary.direction_vocabulary import DirectionVocabulary as DirectionVocabulary
    from .methods.vocabulary.direction_vocabulary import bias_vocabulary as bias_vocabulary
    from .methods.vocabulary.direction_vocabulary import (
        direction_vocabulary as direction_vocabulary,
    )
    from .methods.vocabulary.found_neurons import FoundNeurons as FoundNeurons
    from .methods.vocabulary.found_neurons import find_neurons as find_neurons
    from .methods.vocabulary.head_vocabulary import HeadVocabulary as HeadVocabulary
    from .methods.vocabulary.head_vocabulary import head_vocabulary as head_vocabulary
    from .methods.vocabulary.neuron_clamp import NeuronClamp as NeuronClamp
    from .methods.vocabulary.neuron_clamp import clamp_neurons as clamp_neurons
    from .methods.vocabulary.neuron_vocabulary import NeuronVocabulary as NeuronVocabulary
    from .methods.vocabulary.neuron_vocabulary import neuron_vocabulary as neuron_vocabulary
    from .result import Result as Result
    from .weight_edits import WeightEdit as WeightEdit
    from .weight_edits import edited_weights as edited_weights

__version__ = "0.1.0"

# What brings numpy, torch, pandas or the widgets loads when its name is first used.
_HOMES = {
    "Ablation": "methods.ablation",
    "Cut": "methods.ablation",
    "ablate": "methods.ablation",
    "Attribution": "methods.attribution",
    "attribute": "methods.attribution",
    "AttributionCheck": "methods.attribution_check",
    "check_attribution": "methods.attribution_check",
    "Circuit": "methods.circuit",
    "circuit_of": "methods.circuit",
    "find_circuit": "methods.circuit",
    "find_circuits": "methods.circuit",
    "CircuitEvaluation": "methods.circuit_evaluation",
    "evaluate_circuit": "methods.circuit_evaluation",
    "PathPatching": "methods.path_patching",
    "path_patch": "methods.path_patching",
    "Graph": "graph",
    "Attention": "methods.attention",
    "attention": "methods.attention",
    "DirectLogitAttribution": "methods.direct_logit_attribution",
    "direct_logit_attribution": "methods.direct_logit_attribution",
    "JacobianLens": "methods.jacobian_lens",
    "jacobian_lens": "methods.jacobian_lens",
    "LogitLens": "methods.logit_lens",
    "logit_lens": "methods.logit_lens",
    "Patching": "methods.patching",
    "patch": "methods.patching",
    "TunedLens": "methods.tuned_lens",
    "tuned_lens": "methods.tuned_lens",
    "Result": "result",
    "compare_matches": "methods.features.matching",
    "classifier_effects": "methods.features.shift",
    "ClassifierEffects": "methods.features.shift",
    "train_classifier": "methods.features.classifier",
    "Classifier": "methods.features.classifier",
    "feature_effects": "methods.features.feature_effects",
    "FeatureEffects": "methods.features.feature_effects",
    "Dictionary": "dictionary.base",
    "Dictionaries": "dictionary.collection",
    "dictionaries": "dictionary.collection",
    "Splice": "dictionary.edits",
    "SetFeatures": "dictionary.edits",
    "ScaleFeatures": "dictionary.edits",
    "load_dictionary": "dictionary.loading",
    "save_dictionary": "dictionary.writing",
    "supervised_dictionary": "methods.features.concept_directions",
    "difference_in_means": "methods.features.concept_directions",
    "random_dictionary": "methods.features.concept_directions",
    "ConceptEvaluation": "methods.features.concept_evaluation",
    "evaluate_concepts": "methods.features.concept_evaluation",
    "Concepts": "methods.features.concepts",
    "concepts": "methods.features.concepts",
    "DictionaryCheck": "methods.features.dictionary_check",
    "check_dictionary": "methods.features.dictionary_check",
    "DictionaryEvaluation": "methods.features.dictionary_evaluation",
    "evaluate_dictionary": "methods.features.dictionary_evaluation",
    "FeatureActivations": "methods.features.feature_activations",
    "feature_activations": "methods.features.feature_activations",
    "FeatureCircuit": "methods.features.feature_circuit",
    "feature_circuit": "methods.features.feature_circuit",
    "FeatureCircuitEvaluation": "methods.features.feature_circuit_evaluation",
    "evaluate_feature_circuit": "methods.features.feature_circuit_evaluation",
    "FeatureIndex": "methods.features.feature_index",
    "index_features": "methods.features.feature_index",
    "FeaturePage": "methods.features.feature_page",
    "feature_page": "methods.features.feature_page",
    "FeatureFlow": "methods.features.flow",
    "feature_flow": "methods.features.flow",
    "FlowValidation": "methods.features.flow_validation",
    "validate_flow": "methods.features.flow_validation",
    "Labels": "methods.features.labels",
    "FeatureMatches": "methods.features.matching",
    "match_features": "methods.features.matching",
    "Shift": "methods.features.shift",
    "shift": "methods.features.shift",
    "Steering": "methods.features.steering",
    "steer": "methods.features.steering",
    "SteeringComparison": "methods.features.steering_comparison",
    "compare_steering": "methods.features.steering_comparison",
    "train_dictionary": "methods.features.training",
    "train_dictionaries": "methods.features.training",
    "neuron_vocabulary": "methods.vocabulary.neuron_vocabulary",
    "NeuronVocabulary": "methods.vocabulary.neuron_vocabulary",
    "direction_vocabulary": "methods.vocabulary.direction_vocabulary",
    "bias_vocabulary": "methods.vocabulary.direction_vocabulary",
    "DirectionVocabulary": "methods.vocabulary.direction_vocabulary",
    "find_neurons": "methods.vocabulary.found_neurons",
    "FoundNeurons": "methods.vocabulary.found_neurons",
    "clamp_neurons": "methods.vocabulary.neuron_clamp",
    "NeuronClamp": "methods.vocabulary.neuron_clamp",
    "head_vocabulary": "methods.vocabulary.head_vocabulary",
    "HeadVocabulary": "methods.vocabulary.head_vocabulary",
    "observable": "methods.observables.observable",
    "Observable": "methods.observables.observable",
    "ObservableVector": "methods.observables.observable_vector",
    "evaluate_observable": "methods.observables.observable_evaluation",
    "ObservableEvaluation": "methods.observables.observable_evaluation",
    "concept_vectors": "methods.parameters.concept_vectors",
    "ConceptVectors": "methods.parameters.concept_vectors",
    "ablate_concept": "methods.parameters.concept_ablation",
    "ConceptAblation": "methods.parameters.concept_ablation",
    "unlearn": "methods.parameters.unlearning",
    "audit_unlearning": "methods.parameters.unlearning_audit",
    "UnlearningAudit": "methods.parameters.unlearning_audit",
    "align_weights": "methods.alignment.weight_alignment",
    "WeightAlignment": "methods.alignment.weight_alignment",
    "stitch": "methods.alignment.stitching",
    "Stitching": "methods.alignment.stitching",
    "information_flow": "methods.information.information_flow",
    "InformationFlow": "methods.information.information_flow",
    "cut_flow": "methods.information.flow_cut",
    "FlowCut": "methods.information.flow_cut",
    "WeightEdit": "weight_edits",
    "edited_weights": "weight_edits",
    "couplings": "methods.observables.observable_couplings",
    "Couplings": "methods.observables.observable_couplings",
    "ObservablePaths": "methods.observables.observable_paths",
    "ObservableAttribution": "methods.observables.observable_attribution",
}
_MODULES = ("live", "metrics", "widgets")

# fmt: off
__all__ = [
    "Ablation", "Add", "Affine", "Attention", "Attribution", "AttributionCheck", "Circuit",
    "CircuitEvaluation", "Classifier", "ClassifierEffects", "ConceptAblation", "ConceptEvaluation",
    "ConceptVectors", "Concepts", "Couplings", "Cut", "Dictionaries", "Dictionary",
    "DictionaryCheck", "DictionaryEvaluation", "DirectLogitAttribution", "DirectionVocabulary",
    "Edit", "FeatureActivations", "FeatureCircuit", "FeatureCircuitEvaluation", "FeatureEffects",
    "FeatureFlow", "FeatureIndex", "FeatureMatches", "FeaturePage", "FlowCut", "FlowValidation",
    "FoundNeurons", "Generation", "Graph", "HeadVocabulary", "InformationFlow", "JacobianLens",
    "Labels", "LogitLens", "Model", "ModelSpec", "NeuronClamp", "NeuronVocabulary", "Norm",
    "Observable", "ObservableAttribution", "ObservableEvaluation", "ObservablePaths",
    "ObservableVector", "Patching", "PathPatching", "ProjectOut", "Result", "Resume", "Run",
    "Scale", "ScaleFeatures", "Set", "SetFeatures", "Shift", "Site", "Splice", "Steering",
    "SteeringComparison", "Stitching", "Task", "Tokens", "TunedLens", "UnchangedEdit",
    "UnlearningAudit", "WeightAlignment", "WeightEdit", "ablate", "ablate_concept", "align_weights",
    "attention", "attribute", "audit_unlearning", "bias_vocabulary", "check_attribution",
    "check_dictionary", "circuit_of", "clamp_neurons", "classifier_effects", "compare_matches",
    "compare_steering", "concept_vectors", "concepts", "couplings", "cut_flow", "data_path",
    "dictionaries", "difference_in_means", "direct_logit_attribution", "direction_vocabulary",
    "edited_weights", "evaluate_circuit", "evaluate_concepts", "evaluate_dictionary",
    "evaluate_feature_circuit", "evaluate_observable", "feature_activations", "feature_circuit",
    "feature_effects", "feature_flow", "feature_page", "find_circuit", "find_circuits",
    "find_neurons", "head_vocabulary", "index_features", "information_flow", "jacobian_lens",
    "live", "load", "load_dictionary", "logit_lens", "match_features", "metrics",
    "neuron_vocabulary", "observable", "patch", "path_patch", "random_dictionary",
    "save_dictionary", "shift", "steer", "stitch", "supervised_dictionary", "task", "tasks",
    "texts", "train_classifier", "train_dictionaries", "train_dictionary", "tuned_lens", "unlearn",
    "validate_flow", "widgets",
]
# fmt: on


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
