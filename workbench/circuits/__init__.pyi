"""The public names of the family, and the module that holds each."""

from .ablation import Ablation as Ablation
from .ablation import ablate as ablate
from .patching import Patching as Patching
from .patching import patch as patch
from .paths import PathPatching as PathPatching
from .paths import path_patch as path_patch
