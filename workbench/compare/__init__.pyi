"""The public names of the family, and the module that holds each."""

from .align import WeightAlignment as WeightAlignment
from .align import align as align
from .stitch import stitch as stitch
