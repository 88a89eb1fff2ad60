"""What has no graph: bad options, and models that are no sum of their parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

import workbench as wb
from tests.unit.kernels import PassParts, information_graph
from tests.unit.lens_models import words_model, zoo_model
from tests.unit.plain_pass import graph_of

IDS = [[5, 9, 7, 30]]


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"prompt": ["a", "b"]}, ValueError, "A graph is of the pass of one prompt; got 2"),
        ({"measure": "path"}, ValueError, "measure is one of 'state', 'answer'; got 'path'"),
        ({"final_norm": "no"}, ValueError, "final_norm is one of 'held', 'real'; got 'no'"),
        ({"measure": "answer", "position": None}, ValueError, "An answer is at one position"),
        (
            {"position": [1, 2]},
            ValueError,
            r"position is a whole number, a text or None; got \[1, 2\]",
        ),
        ({"position": True}, ValueError, "position is a whole number, a text or None; got True"),
        ({"position": "first"}, ValueError, "got 'first'"),
        ({"position": 40}, IndexError, "got position 40"),
        ({"n_edges": 0}, ValueError, "n_edges is a whole number from 1; got 0"),
        ({"n_neurons": 2.5}, ValueError, "n_neurons is a whole number from 1; got 2.5"),
        ({"k": True}, ValueError, "k is a whole number from 1; got True"),
        ({"target": " store Mary"}, ValueError, "A target is one token; ' store Mary' is 2"),
        ({"foil": " store Mary"}, ValueError, "A foil is one token"),
        ({"target": " Mary", "foil": " Mary"}, ValueError, "got ' Mary' for both"),
    ],
)
def test_bad_input_is_a_named_error(options: Any, error: type[Exception], text: str) -> None:
    options = {"prompt": "When Mary and John", **options}
    with pytest.raises(error, match=text):
        wb.information.graph(words_model(), options.pop("prompt"), **options)


class Altered:
    """A model of which one weight, or what it has, is said to be something else."""

    def __init__(self, model: Any, weight: str = "", streams: Any = None) -> None:
        self._model, self._weight = model, weight
        self.spec = model.spec if streams is None else replace(model.spec, streams=streams)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def weight(self, name: str, *place: Any, **options: Any) -> torch.Tensor:
        found = self._model.weight(name, *place, **options)
        return 2 * found if name == self._weight else found


@pytest.mark.parametrize(
    ("altered", "text"),
    [
        ({"weight": "W_O"}, "layer 0 of gpt2 are not told apart: its stream is not what was there"),
        ({"weight": "W_out"}, "layer 0 of gpt2 are not told apart: its MLP does not write the sum"),
        ({"streams": ("z", "pattern")}, "GPT2LMHeadModel has no q there on the nnsight backend"),
    ],
)
def test_a_model_that_is_no_sum_of_its_parts_is_refused(altered: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        graph_of(Altered(zoo_model("gpt2"), **altered), IDS)


def test_values_that_do_not_add_up_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = PassParts.source_values
    monkeypatch.setattr(PassParts, "source_values", lambda *given: 2 * plain(*given))
    with pytest.raises(ValueError, match="z of layer 0 is not the sum of the values"):
        graph_of(zoo_model("gpt2"), IDS)


def test_a_prompt_whose_edges_do_not_fit_is_refused_before_it_runs(monkeypatch) -> None:
    monkeypatch.setattr(information_graph, "free_bytes", lambda device: 1000)
    with pytest.raises(ValueError, match=r"for 4 tokens they take .* GiB and 0.0 GiB are free"):
        wb.information.graph(words_model("nnsight"), IDS)
    monkeypatch.setattr(information_graph, "free_bytes", lambda device: None)
    assert wb.information.graph(words_model("nnsight"), IDS).ids
