"""Flow cut: the answer when edges of a flow are cut, beside random edges of the same kinds."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ...check import Count, Natural, Seed, Share, checked
from ...edits import UnchangedEdit
from ...metrics import kl
from ...model import Model, Run
from ...result import Result, axes, provenance
from ...site import Site
from ...tokens import token_strings
from ...vocabulary.projection import n_words
from .contributions import full
from .flow_cuts import NothingLeft, cut_edits, cut_name
from .information_flow import InformationFlow


@dataclass(frozen=True, eq=False, repr=False)
class FlowCut(Result):
    """What the model answers with some edges of a flow cut, all of them together.

    edges: their names. fraction: how much of each was cut. target, foil: as in the flow. unit: of
    the answer. control_edges: for each control the edges that were cut in it, drawn from the flow:
    as many, of the same channels and the same kinds of ends, a neuron or an MLP by one edge.

    answer: (run) the answer's number, in logits before any soft-cap, of the plain run, the cut one
    and the controls, in this order; probability: (run) of the target; kl: (run) KL(plain ‖ run) in
    nats. expected: what the weights in a flow by "answer" of what is cut add up to, the fall to
    first order (a slope only with final_norm="real"); NaN by "state".
    words, probabilities: (run, k) the likeliest next tokens of each run.
    """

    edges: tuple[str, ...]
    fraction: float
    target: str
    foil: str
    unit: str
    expected: float
    control_edges: tuple[tuple[str, ...], ...]
    words: tuple[tuple[str, ...], ...]
    answer: np.ndarray = axes("run")
    probability: np.ndarray = axes("run")
    kl: np.ndarray = axes("run")
    probabilities: np.ndarray = axes("run k")

    picture = "information.flow_cut"

    @property
    def effect(self) -> float:
        """How far the answer falls, in logits."""
        return float(self.answer[0] - self.answer[1])

    @property
    def control_effects(self) -> np.ndarray:
        """(control,) how far it falls when other edges are cut."""
        return self.answer[0] - self.answer[2:]

    def to_frame(self) -> pd.DataFrame:
        """One line a run: run, edges, answer, effect, probability, kl, top (likeliest token)."""
        names = ["plain", "cut", *(f"control {i}" for i in range(len(self.control_edges)))]
        return pd.DataFrame(
            {
                "run": names,
                "edges": ["", *("; ".join(e) for e in (self.edges, *self.control_edges))],
                "answer": self.answer,
                "effect": self.answer[0] - self.answer,
                "probability": self.probability,
                "kl": self.kl,
                "top": [words[0] for words in self.words],
            }
        )

    def _facts(self) -> str:
        n = len(self.edges)
        others = self.control_effects
        beside = f", others {np.mean(others):.3g} on average" if len(others) else ""
        return (
            f"{n} edge{'s' * (n != 1)} cut: {self.target!r} {self.answer[0]:.3g} → "
            f"{self.answer[1]:.3g} logits, effect {self.effect:.3g}{beside}"
        )


@checked
def cut_flow(
    model: Model,
    flow: InformationFlow,
    edges: str | Sequence[str],
    *,
    fraction: Share = 1.0,
    n_controls: Natural = 8,
    k: Count = 6,
    seed: Seed = 0,
) -> FlowCut:
    """The answer with edges of a flow cut, and with random others cut, as a `FlowCut`.

    edges: names as in `flow.edge_names` or `flow.path_edges(…)`; they are cut together. An edge is
    cut by taking away what it carries: from a state what it carries over, from a position a head's,
    a neuron's or an MLP's write (of the last two the edges in and out are one), from a head the
    value of a source ("v"), its attention to it ("k", the other sources take its weight), or all
    preference in its attention ("q"). Everything after is computed anew. fraction: how much of each
    is taken away, 0 to 1: small ones show the slope at which the edge's weight is measured.
    n_controls: how many random sets of edges are cut for comparison, fewer where the flow has not
    as many, and none that leaves a head with nothing to attend to. k: how many next tokens are
    kept. All runs are rows of one pass.

    The slope is the edge's weight where no norm follows attention and MLP: such a norm (Gemma 2,
    OLMo 2) is real here and held in the flow.

    Zero is no neutral value: a cut can hurt by being unusual. The controls say how much that does.

    Raises `ValueError` for an edge that the flow does not have, an edge named twice, another model
    than the flow is of, a fraction outside 0 to 1, a negative n_controls, a k below 1, a head that
    is left with nothing to attend to, and an edge into a head where the backend gives the pattern
    for reading only.
    """
    _check(model, flow, fraction, n_controls, k)
    chosen = _numbers(flow, edges)
    # Of edges that are one cut the first.
    cuts = list({cut_name(flow, e): e for e in reversed(chosen)}.values())[::-1]
    _check_pattern(model, [flow.graph.channels[e] for e in cuts])
    controls = _controls(flow, cuts, n_controls, np.random.default_rng(seed))
    # Of a flow with several roots the target is the answer at the last.
    at = int(flow.roots[-1].rpartition("@")[2])
    run, controls = _run(model, flow, cuts, controls, fraction, at)
    assert run.logits is not None
    logits = full(run.logits[:, 0])
    probabilities = logits.softmax(-1)
    known = n_words(model)
    best = probabilities[:, :known].topk(min(k, known))
    names = [token_strings(model.tokenizer, ids) for ids in best.indices.tolist()]
    weights = flow.graph.weights[cuts].sum() if flow.by == "answer" else np.nan
    return FlowCut(
        **provenance(model, model.tokens([flow.token_ids.tolist()]), seed),
        edges=tuple(flow.edge_names[e] for e in chosen),
        fraction=float(fraction),
        target=flow.target,
        foil=flow.foil,
        unit="logits",
        expected=float(fraction * weights),
        control_edges=tuple(tuple(flow.edge_names[e] for e in cut) for cut in controls),
        words=tuple(map(tuple, names)),
        answer=_numpy(_answer(model, flow, run, at)),
        probability=_numpy(probabilities[:, flow.target_id]),
        kl=_numpy(kl(logits, logits[:1].expand_as(logits))),
        probabilities=_numpy(best.values),
    )


def _check(model: Model, flow: InformationFlow, fraction: float, n_controls: int, k: int) -> None:
    if model.spec.name != flow.model:
        raise ValueError(
            f"A flow is cut in the model it is of, {flow.model}; got {model.spec.name}. Make the "
            "flow anew: wb.information_flow(model, prompt)."
        )


def _check_pattern(model: Model, channels: Sequence[str]) -> None:
    spec = model.spec
    if any(channels) and "pattern" in spec.read_only:
        raise ValueError(
            "An edge into a head is cut where the head's attention is known before its output; of "
            f"{spec.architecture} the {spec.backend} backend gives it afterwards. Load the model "
            "with the other backend, or cut the edge that leaves the head."
        )


def _numbers(flow: InformationFlow, edges: str | Sequence[str]) -> list[int]:
    given = [edges] if isinstance(edges, str) else list(edges)
    if not given:
        raise ValueError("A cut names at least one edge, as flow.edge_names has them; got none.")
    numbers = [flow.edge(name) for name in given]
    if len(set(given)) != len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"An edge is cut once; {twice!r} is named twice.")
    return numbers


def _run(
    model: Model,
    flow: InformationFlow,
    cuts: list[int],
    controls: list[list[int]],
    fraction: float,
    at: int,
) -> tuple[Run, list[list[int]]]:
    """The plain row, the cut one and the controls in one pass; and the controls that can be run."""
    prompt = model.tokens([flow.token_ids.tolist()])
    read = [] if model.spec.soft_cap is None else [Site("ln_final")]
    while True:
        edits = [
            edit
            for row, cut in enumerate([cuts, *controls], 1)
            for edit in cut_edits(model, flow, cut, rows=row, fraction=fraction)
        ]
        rows = prompt.take([0] * (2 + len(controls)))
        try:
            with torch.no_grad(), warnings.catch_warnings():
                # A cut of what is 0 already changes nothing; its effect says so.
                warnings.simplefilter("ignore", UnchangedEdit)
                return model.run(rows, edits=edits, logits_at=[at], read=read), controls
        except NothingLeft as error:
            if error.row == 1:
                raise
            controls = [cut for row, cut in enumerate(controls, 2) if row != error.row]


def _controls(
    flow: InformationFlow, cuts: list[int], n: int, draw: np.random.Generator
) -> list[list[int]]:
    """Sets of other edges, each like the edge in its place; different ones where there are."""
    graph = flow.graph

    def kind(edge: int) -> tuple[str, ...]:
        ends = graph.kinds[graph.sources[edge]], graph.kinds[graph.targets[edge]]
        one = [end for end in ends if end in ("neuron", "mlp")]
        return tuple(one) or (*ends, graph.channels[edge])

    used = {cut_name(flow, edge) for edge in cuts}
    alike: dict[tuple[str, ...], list[int]] = {}
    for edge in range(len(graph.weights)):
        if (name := cut_name(flow, edge)) not in used:
            used.add(name)
            alike.setdefault(kind(edge), []).append(edge)
    wanted = [kind(edge) for edge in cuts]
    if any(wanted.count(each) > len(alike.get(each, ())) for each in wanted):
        return []
    out: list[list[int]] = []
    for _ in range(8 * n):
        drawn = {each: draw.permutation(alike[each]).tolist() for each in dict.fromkeys(wanted)}
        cut = sorted(drawn[each].pop() for each in wanted)
        if cut not in out and len(out) < n:
            out.append(cut)
    return out


def _answer(model: Model, flow: InformationFlow, run: Run, at: int) -> torch.Tensor:
    """(run,) the logit of the target less that of the foil, or less the mean; before a soft-cap."""
    logits = run.logits
    assert logits is not None
    logits = logits[:, 0]
    if model.spec.soft_cap is not None:
        normed = run[Site("ln_final")][:, at]
        logits = (
            normed @ model.weight("W_U", copy=False) + model.weight("b_U")
        ) * model.spec.logit_scale
    logits = full(logits)
    away = logits.mean(-1) if flow.foil_id is None else logits[:, flow.foil_id]
    return logits[:, flow.target_id] - away


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
