"""Cut: the answer when edges of a pass are cut, beside random edges of the same kinds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..check import Count, Natural, Seed, Share, checked
from ..edits import Edit, Scale, unchanged_is_fine
from ..effects import Effects, Measure
from ..metrics import kl
from ..model import Model, Run
from ..pictures.marks import Dots
from ..result import provenance
from ..site import Site
from ..tokens import token_strings
from ..vocabulary.projection import n_words
from .contributions import full
from .graph import InformationGraph

#: What pictures call the effects.
LABEL = "change by the cut (logits, nats, probability)"


@checked
def cut(
    model: Model,
    graph: InformationGraph,
    edges: str | Sequence[str],
    *,
    strength: Share = 1.0,
    n_controls: Natural = 8,
    k: Count = 6,
    seed: Seed = 0,
) -> Effects:
    """What becomes of the answer with edges of a graph cut, beside random others, as `Effects`.

        wb.information.cut(model, graph, graph.path_edges("embed@3")).score("answer")

    edges: names as in `graph.edge_names`, cut together by taking away what they carry: from a state
    what it carries over, from a position a head's, a neuron's or an MLP's write (of the last two
    the edges in and out are one), from a head a source's value ("v"), its attention to it ("k", the
    others take its weight), or all preference ("q"). strength: how much of each, 0 to 1; a small
    one shows the slope, which is the weight by the answer with the real norm, but for norms behind
    attention and MLP, held in the graph. n_controls: sets of edges of the same kinds, cut in rows
    of the same pass, fewer where the graph has not as many. Measures: answer (the target's logit
    less the foil's, or the mean), predicted (by weights "answer"), KL(plain ‖ cut), and, by their
    names, probabilities: of the target, of `k` likely next tokens, and of each control's likeliest.

    Zero is no neutral value: a cut can hurt by being unusual. The controls say how much that does.
    Raises `ValueError` for an edge not there or named twice, another model, and what cannot be cut.
    """
    if model.spec.name != graph.model:
        raise ValueError(
            f"Edges are cut in the model that their graph is of, {graph.model}; got "
            f"{model.spec.name}. Make the graph anew: wb.information.graph(model, prompt)."
        )
    chosen = _numbers(graph, edges)
    named = [graph.edge_names[e] for e in chosen]
    # Of edges that are one cut the first.
    cuts = list({_cut_name(graph, e): e for e in reversed(chosen)}.values())[::-1]
    _check_pattern(model, [graph.channels[e] for e in cuts])
    controls = _controls(graph, cuts, n_controls, np.random.default_rng(seed))
    # Of a graph with several roots the target is the answer at the last.
    at = int(graph.roots[-1].rpartition("@")[2])
    run, controls = _run(model, graph, cuts, controls, strength, at)
    assert run.logits is not None
    logits = full(run.logits[:, 0])
    probabilities, answer = logits.softmax(-1), _answer(model, graph, run, at)
    rows = {"answer": ("logits", answer)}
    if graph.measure == "answer":
        lost = [0.0, *(float(graph.weights[each].sum()) for each in (cuts, *controls))]
        rows["predicted"] = ("logits", answer[0] - strength * torch.tensor(lost).to(answer))
    rows["KL"] = ("nats", kl(logits, logits[:1].expand_as(logits)))
    known = n_words(model)
    best = probabilities[:, :known].topk(min(k, known)).indices.tolist()
    ids = [graph.target_id, *best[1], *best[0], *(each[0] for each in best[2:])]
    names = token_strings(model.tokenizer, ids)
    # Of tokens of one name the first counts.
    for name, number in zip(names, ids, strict=True):
        rows.setdefault(name, ("probability", probabilities[:, number]))
    return Effects(
        **provenance(model, model.tokens([graph.token_ids.tolist()]), seed),
        what=f"{len(chosen)} edges, first {named[0]}" if len(chosen) > 1 else named[0],
        changes={"change": ("cut",), "strength": (float(strength),)},
        controls={
            "kind": ("random",) * len(controls),
            "draw": tuple("; ".join(graph.edge_names[e] for e in each) for each in controls),
            "change": ("cut",) * len(controls),
        },
        measures=tuple(
            Measure(name, unit, x[:1], x[None, 1:2].T, x[2:, None])
            for name, (unit, each) in rows.items()
            for x in [each.detach().double().cpu().numpy()]
        ),
        picture=Dots("effect", "measure", "low", "high", "control", label=LABEL),
    )


def _check_pattern(model: Model, channels: Sequence[str]) -> None:
    spec = model.spec
    if any(channels) and "pattern" in spec.read_only:
        raise ValueError(
            "An edge into a head is cut where the head's attention is known before its output; of "
            f"{spec.architecture} the {spec.backend} backend gives it afterwards. Load the model "
            "with the other backend, or cut the edge that leaves the head."
        )


def _numbers(information: InformationGraph, edges: str | Sequence[str]) -> list[int]:
    given = [edges] if isinstance(edges, str) else list(edges)
    if not given:
        raise ValueError("A cut names at least one edge, as graph.edge_names has them; got none.")
    numbers = [information.edge(name) for name in given]
    if len(set(given)) != len(given):
        twice = next(name for name in given if given.count(name) > 1)
        raise ValueError(f"An edge is cut once; {twice!r} is named twice.")
    return numbers


def _run(
    model: Model,
    information: InformationGraph,
    cuts: list[int],
    controls: list[list[int]],
    strength: float,
    at: int,
) -> tuple[Run, list[list[int]]]:
    """The plain row, the cut one and the controls in one pass; and the controls that can be run."""
    prompt = model.tokens([information.token_ids.tolist()])
    read = [] if model.spec.soft_cap is None else [Site("ln_final")]
    while True:
        edits = [
            edit
            for row, cut in enumerate([cuts, *controls], 1)
            for edit in cut_edits(model, information, cut, rows=row, strength=strength)
        ]
        rows = prompt.take([0] * (2 + len(controls)))
        try:
            # A cut of what is 0 already changes nothing; its effect says so.
            with torch.no_grad(), unchanged_is_fine():
                return model.run(rows, edits=edits, logits_at=[at], read=read), controls
        except _NothingLeft as error:
            if error.row == 1:
                raise
            controls = [cut for row, cut in enumerate(controls, 2) if row != error.row]


def _controls(
    information: InformationGraph, cuts: list[int], n: int, draw: np.random.Generator
) -> list[list[int]]:
    """Sets of other edges, each like the edge in its place; different ones where there are."""

    def kind(edge: int) -> tuple[str, ...]:
        kinds = information.kinds
        ends = kinds[information.sources[edge]], kinds[information.targets[edge]]
        one = [end for end in ends if end in ("neuron", "mlp")]
        return tuple(one) or (*ends, information.channels[edge])

    used = {_cut_name(information, edge) for edge in cuts}
    alike: dict[tuple[str, ...], list[int]] = {}
    for edge in range(len(information.weights)):
        if (name := _cut_name(information, edge)) not in used:
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


def _answer(model: Model, information: InformationGraph, run: Run, at: int) -> torch.Tensor:
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
    away = logits.mean(-1) if information.foil_id is None else logits[:, information.foil_id]
    return logits[:, information.target_id] - away


# -- the edits that take single edges out of a pass ------------------------------------------------


class _NothingLeft(ValueError):
    """All keys of a head are cut; row: in which row of the run."""

    def __init__(self, text: str, row: int) -> None:
        super().__init__(text)
        self.row = row


@dataclass(frozen=True, eq=False, repr=False)
class CutSources(Edit):
    """What one head moves to one position, with some of its sources cut; the site is its z.

    at: the position. values: sources whose value is not moved. keys: sources that are not attended
    to, the others take their weight in proportion. evenly: everything that is seen is attended to
    alike. strength: how much of all this happens.
    """

    head: int
    at: int
    group: int
    values: tuple[int, ...] = ()
    keys: tuple[int, ...] = ()
    evenly: bool = False
    strength: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        pattern, v = needed
        now = pattern[:, self.head, self.at]
        weights = now.clone()
        if self.evenly:
            seen = (now > 0).to(now.dtype)
            weights = now + self.strength * (seen / seen.sum(-1, keepdim=True) - now)
        if self.keys:
            left = weights.clone()
            left[:, list(self.keys)] *= 1 - self.strength
            total = left.sum(-1, keepdim=True)
            if float(total.detach().min()) < 1e-6:
                name = f"L{self.site.layer}H{self.head}.z@{self.at}"
                raise _NothingLeft(
                    f"A head attends to something; with the keys of positions {list(self.keys)} "
                    f"cut, {name} has nothing left. Cut the values ('v') or the head's own edge "
                    "instead.",
                    self.rows[0],
                )
            weights = left * (weights.sum(-1, keepdim=True) / total)
        if self.values:
            weights[:, list(self.values)] *= 1 - self.strength
        # Some models compute their softmax in another precision than the rest.
        moved = (weights - now)[:, None].to(v.dtype) @ v[:, :, self.head // self.group]
        out = activation.clone()
        out[:, self.at, self.head] += moved[:, 0]
        return out


@dataclass(frozen=True, eq=False, repr=False)
class CutCarry(Edit):
    """A state without what it carries over from the one before it, the site needed."""

    strength: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation - self.strength * needed[0]


@dataclass(frozen=True, eq=False, repr=False)
class CutOthers(Edit):
    """An MLP's output with only some neurons left; needs mlp_post. model: whose weights count."""

    model: Model
    kept: tuple[int, ...]
    strength: float = 1.0

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        kept, layer = list(self.kept), self.site.layer
        w_out = self.model.weight("W_out", layer, copy=False)
        theirs = needed[0][..., kept] @ w_out[kept]
        if (norm := self.model.norm("ln2_post", layer)) is not None:
            summed = needed[0] @ w_out + self.model.weight("b_out", layer)
            theirs = theirs * (norm.weight / norm.scale(summed))
        theirs = theirs * self.model.spec.residual_multiplier
        return activation + self.strength * (theirs - activation)


def _cut_name(information: InformationGraph, edge: int) -> str:
    """What is cut with an edge: itself, or the neuron or the MLP that it enters or leaves."""
    for node in (information.targets[edge], information.sources[edge]):
        if information.kinds[node] in ("neuron", "mlp"):
            return information.ids[node]
    return information.edge_names[edge]


def cut_edits(
    model: Model, information: InformationGraph, edges: Iterable[int], *, rows: int, strength: float
) -> list[Edit]:
    """The edits that cut these edges of a graph, given by number, in one row of a run."""
    sources: dict[tuple[int, int, int], dict[str, list[int]]] = {}
    edits: dict[tuple[str, int], Edit] = {}
    for edge in edges:
        s, t = int(information.sources[edge]), int(information.targets[edge])
        channel = information.channels[edge]
        # Of a neuron, and of an MLP's others, what goes in and what comes out is one thing.
        node = t if information.kinds[t] in ("head", "neuron", "mlp") else s
        site, at = _place(information.ids[node])
        if information.kinds[node] == "head":
            assert site.layer is not None and site.head is not None
            if channel:
                key = (site.layer, site.head, at)
                sources.setdefault(key, {}).setdefault(channel, []).append(
                    int(information.positions[s])
                )
            else:
                edits[str(site), at] = Scale(site, 1 - strength, rows=rows, positions=at)
        elif information.kinds[node] == "neuron":
            edits[str(site), at] = Scale(site, 1 - strength, rows=rows, positions=at)
        elif information.kinds[node] == "mlp":
            kept = tuple(information.apart[site.layer, at].tolist())
            needs = (Site("mlp_post", site.layer),)
            edits[str(site), at] = CutOthers(
                site, model, kept, strength, rows=rows, positions=at, needs=needs
            )
        else:
            target, _ = _place(information.ids[t])
            edits[str(target), at] = CutCarry(
                target, strength, rows=rows, positions=at, needs=(_before(model, target),)
            )
    group = model.spec.n_heads // model.spec.n_kv_heads
    of_heads = [
        CutSources(
            Site("z", layer),
            head,
            at,
            group,
            values=tuple(cut.get("v", ())),
            keys=tuple(cut.get("k", ())),
            evenly="q" in cut,
            strength=strength,
            rows=rows,
            needs=(Site("pattern", layer), Site("v", layer)),
        )
        for (layer, head, at), cut in sources.items()
    ]
    # What a head reads is cut before what it writes.
    return [*of_heads, *edits.values()]


def _place(node: str) -> tuple[Site, int]:
    """The site and the position of a node; the embedding is the stream that enters layer 0."""
    name, _, position = node.rpartition("@")
    site = Site("resid_pre", 0) if name == "embed" else Site.parse(name)
    return site, int(position)


def _before(model: Model, site: Site) -> Site:
    """The state that another one carries on."""
    if site.stream == "resid_mid" or model.spec.parallel:
        return Site("resid_pre", site.layer)
    return Site("resid_mid", site.layer)
