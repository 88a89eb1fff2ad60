"""Live explorers: a model, a method and a widget joined, so that every change runs the model."""

# Not lazy: a submodule that was loaded later would take the place of the function of its name.
from .circuit import LiveCircuit as LiveCircuit
from .circuit import circuit as circuit
from .feature_flow import LiveFeatureFlow as LiveFeatureFlow
from .feature_flow import feature_flow as feature_flow
from .features import LiveFeatures as LiveFeatures
from .features import features as features
from .information import LiveInformation as LiveInformation
from .information import information as information
from .logit_lens import LiveLogitLens as LiveLogitLens
from .logit_lens import logit_lens as logit_lens
from .shift import LiveShift as LiveShift
from .shift import shift as shift

__all__ = [
    "LiveCircuit",
    "LiveFeatureFlow",
    "LiveFeatures",
    "LiveInformation",
    "LiveLogitLens",
    "LiveShift",
    "circuit",
    "feature_flow",
    "features",
    "information",
    "logit_lens",
    "shift",
]
