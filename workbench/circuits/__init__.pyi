"""The public names of the family, and the module that holds each."""

from .ablation import ablate as ablate
from .attribution import Attribution as Attribution
from .attribution import AttributionCheck as AttributionCheck
from .attribution import attribute as attribute
from .attribution import check_attribution as check_attribution
from .circuit import Circuit as Circuit
from .circuit import of as of
from .evaluation import Minimality as Minimality
from .evaluation import evaluate as evaluate
from .evaluation import minimality as minimality
from .find import find as find
from .patching import patch as patch
from .paths import path_patch as path_patch
