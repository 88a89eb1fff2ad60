"""The public names of the family, and the module that holds each."""

from .clamp import clamp as clamp
from .evaluation import evaluate as evaluate
from .found import FoundNeurons as FoundNeurons
from .found import find_neurons as find_neurons
from .heads import HeadVocabulary as HeadVocabulary
from .heads import heads as heads
from .neurons import NeuronVocabulary as NeuronVocabulary
from .neurons import neurons as neurons
from .observable_attribution import ObservableAttribution as ObservableAttribution
from .observable_paths import ObservablePaths as ObservablePaths
from .observables import Couplings as Couplings
from .observables import Observable as Observable
from .observables import couplings as couplings
from .observables import observable as observable
from .words import DirectionVocabulary as DirectionVocabulary
from .words import biases as biases
from .words import words as words
