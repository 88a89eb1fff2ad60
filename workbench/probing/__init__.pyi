from .probe import Probe as Probe
from .probe import probe as probe

__all__: list[str]
