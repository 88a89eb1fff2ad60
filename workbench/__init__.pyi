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
from . import steering as steering
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
from .dictionary.collection import Dictionaries as Dictionaries
from .dictionary.collection import dictionaries as dictionaries
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
from .model import Model as Model
from .model import Resume as Resume
from .probing.probe import probe as probe
from .result import Result as Result
from .site import Site as Site
from .steering.steer import steer as steer
from .tasks import Task as Task
from .tasks import task as task
from .tasks import tasks as tasks
from .texts import read_texts as read_texts
from .texts import texts as texts
from .tokens import Tokens as Tokens
from .weight_edits import WeightEdit as WeightEdit

__all__: list[str]
__version__: str
