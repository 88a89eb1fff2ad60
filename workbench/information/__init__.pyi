"""The public names of the family, and the module that holds each."""

from .cut import cut as cut
from .graph import InformationGraph as InformationGraph
from .graph import graph as graph
