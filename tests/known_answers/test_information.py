"""A lookup in two steps, written by hand: its path is the strongest of the graph, and is cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import workbench as wb
from tests.known_answers.models import two_steps
from tests.unit.cut_edges import best_of, fall
from workbench.loading import load

SEEDS = range(4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_steps.build(tmp_path_factory.mktemp("two_steps"))


@pytest.fixture(scope="module", params=["nnsight", "transformer_lens"])
def model(folder: Path, request: pytest.FixtureRequest) -> Any:
    return load(folder, backend=request.param, device="cpu")


def planted(seed: int) -> tuple[str, str, tuple[str, ...]]:
    """A prompt, its answer, and the nodes of the path that gives it."""
    prompt, asked = two_steps.make_prompt(seed)
    words = prompt.split()
    at, last = 1 + 2 * asked, len(words) - 1
    country = two_steps.COUNTRIES.index(words[at])
    path = (
        f"embed@{at}",
        f"L0H0.z@{at + 1}",
        f"L0.resid_mid@{at + 1}",
        f"L0.resid_post@{at + 1}",
        f"L1H0.z@{last}",
        f"L1.resid_mid@{last}",
        f"L1.mlp_post/{country}@{last}",
        f"L1.resid_post@{last}",
    )
    return prompt, two_steps.CAPITALS[country], path


@pytest.mark.parametrize("seed", SEEDS)
def test_the_model_answers_in_two_steps(model: Any, seed: int) -> None:
    prompt, answer, path = planted(seed)
    at, last = int(path[0].partition("@")[2]), len(prompt.split()) - 1
    run = model.run(prompt, read=["L0.pattern", "L1.pattern"], logits_at="last")
    assert model.tokenizer.decode([int(run.logits[0, 0].argmax())]) == answer
    for pattern, dst, src in (("L0", at + 1, at), ("L1", last, at + 1)):
        weights = run[f"{pattern}.pattern"][0, 0, dst]
        assert int(weights.argmax()) == src and 0.8 < float(weights[src]) < 0.98


@pytest.mark.parametrize("measure", ["state", "answer"])
@pytest.mark.parametrize("seed", SEEDS)
def test_the_strongest_path_from_the_source_is_the_planted_one(
    model: Any, seed: int, measure: Any
) -> None:
    prompt, answer, path = planted(seed)
    info = wb.information.graph(model, prompt, measure=measure, n_edges=300)
    assert info.target == answer
    assert info.path(path[0]) == path
    values = [edge for edge in info.path_edges(path[0]) if ".z@" in edge.partition("→")[2]]
    assert [edge[-2:] for edge in values] == [" v", " v"]
    # What each step wrote stands in its words and in those of the states behind it.
    assert info.words[info.node(path[-2])][0] == info.words[info.node(path[-1])][0] == answer
    if measure == "answer":
        # No other country counts for as much.
        sources = {n: info.scores[info.node(n)] for n in info.ids if n[:5] == "embed"}
        others = [
            sources.get(f"embed@{at}", 0) for at in range(1, 9, 2) if path[0] != f"embed@{at}"
        ]
        assert sources[path[0]] > max(others)


@pytest.mark.parametrize("seed", SEEDS)
def test_cutting_the_path_takes_the_answer_away_and_others_of_its_kind_do_not(
    model: Any, seed: int
) -> None:
    prompt, answer, path = planted(seed)
    info = wb.information.graph(model, prompt, measure="answer", n_edges=300, details=False)
    steps = {
        "the first step's value": f"{path[0]} → {path[1]} v",
        "the first head": f"{path[1]} → {path[2]}",
        "the second step's value": f"{path[3]} → {path[4]} v",
        "what it attends to": f"{path[3]} → {path[4]} k",
        "the second head": f"{path[4]} → {path[5]}",
        "the neuron": f"{path[6]} → {path[7]}",
    }
    for what, edge in steps.items():
        cut = wb.information.cut(model, info, edge)
        assert next(iter(best_of(cut, 0, 1))) == answer, what
        after = best_of(cut, 1, 50)
        assert after.pop(answer) <= max(after.values()), what
        assert fall(cut) > 4, what
        others = cut.effect(of="controls")[:, 0]
        assert len(others) == 8, what
        # One other head may be a step of this path too.
        assert sum(abs(others) < 0.5) >= 7, what
