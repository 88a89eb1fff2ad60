"""The public names of the family, and the module that holds each."""

from .directions import directions as directions
from .evaluation import evaluate as evaluate
from .steer import steer as steer
from .typical import typical_length as typical_length
