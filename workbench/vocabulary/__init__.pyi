"""The public names of the family, and the module that holds each."""

from .clamp import clamp as clamp
from .found import FoundNeurons as FoundNeurons
from .found import find_neurons as find_neurons
from .heads import HeadVocabulary as HeadVocabulary
from .heads import heads as heads
from .neurons import NeuronVocabulary as NeuronVocabulary
from .neurons import neurons as neurons
from .words import DirectionVocabulary as DirectionVocabulary
from .words import biases as biases
from .words import words as words
