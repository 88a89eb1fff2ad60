"""A research workbench for interpreting transformer language models.

Load a model with `load`, give it and a prompt or a `task` to a method, and look at the result: it
draws itself in the cell and turns into a table, a picture or one HTML file.
"""

import lazy_loader

__version__ = "0.1.0"

# The public names stand in __init__.pyi. Each loads when it is first used, since nearly all bring
# torch; a submodule that is imported does not take the place of the function of its name (texts).
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
