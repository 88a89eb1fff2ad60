"""The three models with known edges are what they claim to be, by plain torch alone.

No method of workbench takes part here: every edge is cut by itself in the plain graph, and
attention is read there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch

from tests.known_answers import plain_graph
from tests.known_answers.models import KnownModel, builders
from workbench.loading import load
from workbench.tasks import TaskBatch

NAMES = list(builders)
BACKENDS = ["nnsight", "transformer_lens"]


@dataclass(frozen=True)
class Built:
    """A model with its task's examples and a clean and a corrupt plain pass."""

    known: KnownModel
    hf_model: Any
    batch: TaskBatch
    clean: plain_graph.Pass
    corrupt: plain_graph.Pass

    def effects(self, kind: Any) -> dict[plain_graph.Edge, float]:
        batch = self.batch
        return plain_graph.edge_effects(
            self.hf_model, batch.clean.ids, batch.corrupt.ids, batch.metric, kind=kind
        )


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    @cache
    def build(name: str) -> Built:
        from transformers import AutoTokenizer

        known = builders[name](tmp_path_factory.mktemp(name))
        batch = known.task.on(AutoTokenizer.from_pretrained(known.folder))
        hf_model = known.hf_model()
        passes = [plain_graph.run(hf_model, side.ids) for side in (batch.clean, batch.corrupt)]
        return Built(known, hf_model, batch, *passes)

    return build


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_is_the_top_token_and_every_foil_on_the_corrupt_prompt(
    built: Callable[[str], Built], name: str
) -> None:
    model = built(name)
    assert len(model.batch) >= 24
    assert torch.equal(model.clean.logits[:, -1].argmax(-1), model.batch.answer_ids[:, 0])
    assert torch.equal(model.corrupt.logits[:, -1].argmax(-1), model.batch.foil_ids[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_clean_and_corrupt_have_one_length_and_differ_in_one_word_or_an_exchange(
    built: Callable[[str], Built], name: str
) -> None:
    batch = built(name).batch
    assert batch.clean.ids.shape == batch.corrupt.ids.shape and bool(batch.clean.mask.all())
    differ = (batch.clean.ids != batch.corrupt.ids).sum(-1)
    exchanged = torch.tensor([pair.labels.get("change") == "marker" for pair in batch.pairs])
    assert torch.equal(differ, 1 + exchanged.long())


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", NAMES)
def test_both_backends_give_the_logits_of_the_plain_pass(
    built: Callable[[str], Built], name: str, backend: str
) -> None:
    model = built(name)
    loaded = load(model.known.folder, backend=backend, device="cpu")
    prompts = [pair.clean for pair in model.batch.pairs]
    logits = loaded.run(loaded.tokens(prompts)).logits
    assert logits is not None and logits.dtype == torch.float32
    torch.testing.assert_close(logits.double(), model.clean.logits, rtol=0, atol=3e-5)


@pytest.mark.parametrize("name", NAMES)
def test_key_heads_attend_where_they_should_and_are_not_saturated(
    built: Callable[[str], Built], name: str
) -> None:
    model = built(name)
    assert len(model.known.attends) >= 2
    for head, places in model.known.attends.items():
        weights = []
        for seen, side in ((model.clean, "clean"), (model.corrupt, "corrupt")):
            for row, pair in enumerate(model.batch.pairs):
                pattern = seen.patterns[head][row]
                for dst, src in places(getattr(pair, side).split()):
                    assert int(pattern[dst].argmax()) == src, f"{head}, {side} prompt {row}"
                    weights.append(float(pattern[dst, src]))
        assert len(weights) >= 24
        assert min(weights) > 0.35 and max(weights) < 0.985, head
        assert 0.55 < sum(weights) / len(weights) < 0.95, head


@pytest.mark.parametrize("kind", ["noising", "denoising"])
@pytest.mark.parametrize("name", NAMES)
def test_each_true_edge_matters_and_no_other_does(
    built: Callable[[str], Built], name: str, kind: str
) -> None:
    model = built(name)
    effects = model.effects(kind)
    assert model.known.true_edges < set(effects)
    true = [effects[edge] for edge in model.known.true_edges]
    others = [abs(e) for edge, e in effects.items() if edge not in model.known.true_edges]
    whole = model.batch.metric(model.clean.logits[:, -1]) - model.batch.metric(
        model.corrupt.logits[:, -1]
    )
    assert min(true) > 0.05 * float(whole.mean())
    assert min(true) > 200 * max(others)


@pytest.mark.parametrize("name", NAMES)
def test_the_true_edges_alone_carry_the_answer_and_the_others_none_of_it(
    built: Callable[[str], Built], name: str
) -> None:
    model, batch = built(name), built(name).batch
    every, true = set(plain_graph.edges_of(model.hf_model)), model.known.true_edges
    clean, corrupt = (batch.metric(each.logits[:, -1]) for each in (model.clean, model.corrupt))
    for cut, wanted in ((every - true, clean), (true, corrupt)):
        logits = plain_graph.run_with_edges_cut(
            model.hf_model, batch.clean.ids, batch.corrupt.ids, cut
        )
        gap = (batch.metric(logits[:, -1]) - wanted).abs() / (clean - corrupt)
        assert float(gap.max()) < 0.02


@pytest.mark.parametrize("name", NAMES)
def test_components_off_the_path_are_active(built: Callable[[str], Built], name: str) -> None:
    """At least three of them write what differs between clean and corrupt."""
    model = built(name)
    on_path = {writer for writer, _ in model.known.true_edges}
    active = [
        writer
        for writer, wrote in model.clean.writes.items()
        if writer not in on_path and float((wrote - model.corrupt.writes[writer]).norm()) > 0.5
    ]
    assert len(active) >= 3
