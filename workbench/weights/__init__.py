"""Weights: where a concept lies in them, what goes with it, and whether an unlearning took it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
