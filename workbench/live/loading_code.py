"""The lines with which the Python that an explorer shows begins."""

from __future__ import annotations

from ..model import ModelSpec


def loading_lines(spec: ModelSpec) -> list[str]:
    """The import and the loading of a model, with what differs from the defaults of `load`."""
    options = "" if spec.backend == "nnsight" else f', backend="{spec.backend}"'
    options += "" if spec.dtype == "float32" else f', dtype="{spec.dtype}"'
    return ["import workbench as wb", "", f'model = wb.load("{spec.name}"{options})']
