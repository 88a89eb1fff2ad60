"""Probing: what can be read off activations by a map that is fitted to labels."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
