"""The public names of the family, and the module that holds each."""

from .flow import FeatureFlow as FeatureFlow
from .flow import flow as flow
from .flow_evaluation import FlowEvaluation as FlowEvaluation
from .flow_evaluation import evaluate_flow as evaluate_flow
from .matching import FeatureMatches as FeatureMatches
from .matching import match as match
