"""Two models side by side: whose unit is whose, and whether it does its partner's job."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
