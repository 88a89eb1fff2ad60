import subprocess
import sys

import pytest

import workbench.widgets


def test_every_name_of_the_list_is_there_and_no_other():
    assert workbench.widgets.__all__ == [
        "AttentionGrid",
        "FeatureGrid",
        "FeaturePage",
        "GraphEdges",
        "GraphNode",
        "GraphView",
        "Panel",
        "Quantity",
        "TokenGrid",
        "Tracks",
        "output",
        "page",
    ]
    assert dir(workbench.widgets) == workbench.widgets.__all__
    for name in workbench.widgets.__all__:
        assert getattr(workbench.widgets, name).__name__ == name
    with pytest.raises(AttributeError, match="'workbench.widgets' has no attribute 'FlowChart'"):
        workbench.widgets.FlowChart  # noqa: B018  # pyright: ignore


def test_importing_the_folder_loads_neither_anywidget_nor_ipython(repository):
    code = (
        "import sys, workbench.widgets; print({'anywidget', 'IPython', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"
