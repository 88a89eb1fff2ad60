"""Steering: directions from labels, what a model says when it is pushed, and what a push costs."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
