"""What the three layouts of a GraphView share, and what belongs to one alone."""

import re

import numpy as np
import pytest
from traitlets import TraitError

from workbench.widgets import GraphView
from workbench.widgets.graph_data import LAYOUTS

from .circuits import circuit
from .flows import flow
from .token_flows import token_flow

GRAPHS = {"components": circuit, "lanes": flow, "tokens": token_flow}


@pytest.mark.parametrize("layout", GRAPHS)
def test_the_browser_sets_what_its_layout_has_a_control_for_and_nothing_else(layout):
    shown = GraphView(GRAPHS[layout](), layout=layout)
    others = {name for one in LAYOUTS.values() for name in one.choices} - LAYOUTS[layout].choices
    assert others
    for name in sorted(others):
        with pytest.raises(TraitError, match=f"may not change the widget's data: \\['{name}'\\]"):
            shown.set_state({name: getattr(shown, name)})
    for name in sorted(LAYOUTS[layout].choices):
        shown.set_state({name: getattr(shown, name)})
    assert shown.mode == LAYOUTS[layout].modes[0]


def test_a_layout_and_an_option_that_are_not_there_are_refused():
    with pytest.raises(ValueError, match="layout is one of components, lanes, tokens; given 'rin"):
        GraphView(circuit(), layout="rings")
    with pytest.raises(ValueError, match=re.escape("unknown: ['threshold']")):
        GraphView(circuit(), threshold=0.5)
    with pytest.raises(ValueError, match=re.escape("unknown: ['n_edges_shown']")):
        GraphView(flow(), layout="lanes", n_edges_shown=5)
    with pytest.raises(ValueError, match=re.escape("missing: ['words']")):
        GraphView({k: v for k, v in token_flow().items() if k != "words"}, layout="tokens")


@pytest.mark.parametrize("layout", GRAPHS)
def test_without_data_an_update_changes_the_options_and_keeps_the_graph(layout):
    shown = GraphView(GRAPHS[layout](), layout=layout, title="old")
    nodes, ids = shown._nodes, shown.ids
    shown.update(title="new", status="running…")
    assert (shown.title, shown.status) == ("new", "running…")
    assert shown._nodes is nodes and shown.ids == ids
    with pytest.raises(ValueError, match=r"update\(\) takes .* and edges together"):
        shown.update(edges=GRAPHS[layout]()["edges"])
    if layout != "lanes":
        with pytest.raises(ValueError, match=re.escape("unknown: ['before']")):
            shown.update(before=np.zeros(len(ids)))
        assert np.isnan(shown.before).all()
