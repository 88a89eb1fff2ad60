"""Features: dictionaries made and tested, what each feature fires on, and where it leads."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
