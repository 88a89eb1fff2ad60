"""Live explorers: a model, a method and a widget joined, so that every change runs the model."""

# Not lazy: a submodule that was loaded later would take the place of the function of its name.
from .circuit import LiveCircuit as LiveCircuit
from .circuit import circuit as circuit
from .logit_lens import LiveLogitLens as LiveLogitLens
from .logit_lens import logit_lens as logit_lens

__all__ = ["LiveCircuit", "LiveLogitLens", "circuit", "logit_lens"]
