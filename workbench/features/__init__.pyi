"""The public names of the family, and the module that holds each."""

from .circuit import FeatureCircuit as FeatureCircuit
from .circuit import circuit as circuit
from .circuit_evaluation import FeatureCircuitEvaluation as FeatureCircuitEvaluation
from .circuit_evaluation import evaluate_circuit as evaluate_circuit
from .concept_evaluation import ConceptEvaluation as ConceptEvaluation
from .concept_evaluation import evaluate_concepts as evaluate_concepts
from .effects import FeatureEffects as FeatureEffects
from .effects import effects as effects
from .flow import FeatureFlow as FeatureFlow
from .flow import flow as flow
from .flow_evaluation import evaluate_flow as evaluate_flow
from .matching import FeatureMatches as FeatureMatches
from .matching import match as match
from .shift import Shift as Shift
from .shift import shift as shift
