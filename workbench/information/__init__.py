"""Information: who wrote what to whom in one forward pass, and what a cut of it takes away."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
