"""Lenses: what layers and components already say, who attends to whom, what adds to a logit."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
