"""The public names, and the module that holds each."""

from . import circuits as circuits
from . import compare as compare
from . import controls as controls
from . import data as data
from . import features as features
from . import information as information
from . import lens as lens
from . import live as live
from . import metrics as metrics
from . import probing as probing
from . import vocabulary as vocabulary
from . import weights as weights
from . import widgets as widgets
from .activations import Activations as Activations
from .activations import activations as activations
from .change import Change as Change
from .circuits.ablation import ablate as ablate
from .circuits.attribution import attribute as attribute
from .circuits.find import find_circuit as find_circuit
from .circuits.patching import patch as patch
from .concepts import concepts as concepts
from .dictionary.base import Dictionary as Dictionary
from .dictionary.base import ScaleFeatures as ScaleFeatures
from .dictionary.base import SetFeatures as SetFeatures
from .dictionary.base import Splice as Splice
from .dictionary.collection import Dictionaries as Dictionaries
from .dictionary.collection import dictionaries as dictionaries
from .dictionary.loading import load_dictionary as load_dictionary
from .dictionary.writing import save_dictionary as save_dictionary
from .edits import Add as Add
from .edits import Affine as Affine
from .edits import Edit as Edit
from .edits import ProjectOut as ProjectOut
from .edits import Scale as Scale
from .edits import Set as Set
from .edits import UnchangedEdit as UnchangedEdit
from .effects import Effects as Effects
from .experiment import experiment as experiment
from .features.flow import feature_flow as feature_flow
from .graph import Graph as Graph
from .lens.attention import attention as attention
from .lens.direct_logit_attribution import direct_logit_attribution as direct_logit_attribution
from .lens.logit import logit_lens as logit_lens
from .loading import load as load
from .methods.features.classifier import Classifier as Classifier
from .methods.features.classifier import train_classifier as train_classifier
from .methods.features.concept_directions import difference_in_means as difference_in_means
from .methods.features.concept_directions import random_dictionary as random_dictionary
from .methods.features.concept_directions import supervised_dictionary as supervised_dictionary
from .methods.features.concept_evaluation import ConceptEvaluation as ConceptEvaluation
from .methods.features.concept_evaluation import evaluate_concepts as evaluate_concepts
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
from .methods.features.labels import Labels as Labels
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
from .model import Model as Model
from .model import Resume as Resume
from .probing.probe import probe as probe
from .result import Result as Result
from .site import Site as Site
from .tasks import Task as Task
from .tasks import task as task
from .tasks import tasks as tasks
from .texts import texts as texts
from .tokens import Tokens as Tokens
from .weight_edits import WeightEdit as WeightEdit

__all__: list[str]
__version__: str
