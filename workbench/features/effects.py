"""Feature effects: what each feature, and each dictionary's error, gives to a metric or a probe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from ..activations import batches, check_texts, pooled
from ..check import ArgumentError, Count, checked
from ..dictionary.collection import Dictionaries
from ..edits import Set
from ..model import Model, Resume, Run
from ..pictures.marks import Bars
from ..probing.probe import Probe
from ..result import Labels, Result, axes, labels, provenance
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch
from ..texts import rows_of
from .check import check_fits
from .nodes import Basis, Codes, References, check_reference, feature_bases, parts_of, sites_of

METHODS = ("attribution", "ig")
#: Texts that a probe reads in one pass.
TEXTS = 32


@dataclass(frozen=True, eq=False, repr=False)
class FeatureEffects(Result):
    """What each node gives to a metric, or to a probe's logit; a site's last node is its error.

    Positive where the node, as it is in the clean run, gives more than its reference would.
    """

    #: The task, "" of texts; its metric, or the probe that reads them.
    task: str
    metric: str
    #: As asked for; no steps for attribution.
    method: str
    reference: str
    steps: int
    #: The mean metric of clean − corrupt runs, NaN of texts.
    gap: float
    #: How many nodes each site has, in the order of a pass.
    sizes: dict[str, int]
    nodes: Labels = labels("node", "node that has an effect, the largest first, and its site")
    effect: np.ndarray = axes("node", "f8", "what it gives to the metric, mean over the examples")
    classes: tuple[str, ...] | None = labels("label", "label of the texts", optional=True)
    separation: np.ndarray | None = axes(
        "node", "f8", "what it gives in texts of the second label − of the first", optional=True
    )
    active: np.ndarray | None = axes(
        "node", "f8", "share of the texts in which it is active", optional=True
    )
    of_label: np.ndarray | None = axes(
        "node label", "f8", "what it gives to the logit in texts of the label", optional=True
    )

    tables = {"nodes": "node", "labels": "node label"}

    picture = Bars("effect", "node", top=25)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.separation is not None:
            object.__setattr__(self, "picture", Bars("separation", "node", top=25))

    @property
    def sites(self) -> tuple[str, ...]:
        """The sites, in the order of a forward pass."""
        return tuple(self.sizes)

    def at(self, site: str, column: Literal["effect", "separation", "active"] = "effect") -> Any:
        """(node,) a column at a site, 0 where a node is not listed, the error last.

        Raises `KeyError` for another site.
        """
        if site not in self.sizes:
            raise KeyError(f"These effects are of {', '.join(self.sizes)}; got {site!r}.")
        out = np.zeros(self.sizes[site], np.float32)
        values = getattr(self, column)
        for name, where, value in zip(self.nodes["node"], self.nodes["site"], values, strict=True):
            if where == site:
                unit = name.rpartition("/")[2]
                out[-1 if unit == "error" else int(unit)] = value
        return out

    def _facts(self) -> str:
        n = sum(self.sizes.values())
        about = self.task or self.metric
        some = f"{len(self.effect)} of {n} nodes have an effect"
        return f"{about}: {some}, {self.method}, {self.reference}"


@checked
def effects(
    model: Model,
    questions: Any,
    dicts: Dictionaries,
    *,
    metric: Probe | None = None,
    labels: Sequence[Any] | None = None,
    method: str = "attribution",
    reference: str | None = None,
    steps: Count = 10,
    n: Count | None = None,
) -> FeatureEffects:
    """What each feature gives to a task's metric, or to a probe's logit on texts.

        wb.features.effects(model, wb.task("agreement"), dicts, method="ig")
        wb.features.effects(model, texts, dicts, metric=probe, labels=labels)

    Of a task's clean prompts, summed over positions. method: "attribution", (code − reference) ·
    gradient; "ig", the gradient averaged over `steps` points between the reference and the clean
    activation of one site, which costs a pass of that many rows a site. reference: what a node
    carries when it is taken away, "counterfactual" (of the corrupt prompt, the default), "mean",
    "mean-position" or "zero". n: how many pairs. Nothing is spliced in: gradients are the model's.

    metric: a `Probe` of two classes, read on texts, with the reference "zero"; only features at
    sites before its own count, not errors. labels: one of two values a text, which a feature
    separates as far as it gives more in texts of the second. Raises `ValueError` for another method
    or reference, dictionaries that do not fit, other labels, and as `Task.on`.

    Source: Marks et al., "Sparse Feature Circuits" (2024), equations 3 and 4, the sign turned.
    """
    check_fits(model, *dicts.values())
    check_method(method)
    if metric is not None:
        if method != "attribution" or reference not in (None, "zero"):
            raise ArgumentError(
                "Effects on a probe are found by attribution from zero; got "
                f"method={method!r}, reference={reference!r}. Leave both out."
            )
        return _on_probe(model, metric, dicts, questions, labels)
    if missing := [site for site in dicts if site.layer is None]:
        raise ValueError(f"Effects are of features in the layers of a model; got {missing[0]}.")
    reference = reference or "counterfactual"
    check_reference(reference)
    if labels is not None or not isinstance(questions, (Task, TaskBatch)):
        raise ArgumentError(
            "Without a probe effects are on the metric of a task, which has no labels; got "
            f"{questions!r:.80}. Give metric=wb.probe(…) to read texts."
        )
    examples = Examples.of(model, questions, n=n)
    bases = feature_bases(dicts)
    found = node_effects(model, examples, bases, method=method, reference=reference, steps=steps)
    values = np.concatenate([found[basis.site] for basis in bases])
    order = np.argsort(-np.abs(values), kind="stable")
    order = order[values[order] != 0]
    names = np.array([name for basis in bases for name in basis.names], object)
    sites = np.repeat([str(basis.site) for basis in bases], [basis.n_nodes for basis in bases])
    batch = examples.batch
    return FeatureEffects(
        **provenance(model, batch.clean),
        task=batch.task,
        metric=batch.metric_name,
        method=method,
        reference=reference,
        steps=steps if method == "ig" else 0,
        gap=examples.gap,
        sizes={str(basis.site): basis.n_nodes for basis in bases},
        nodes={"node": tuple(names[order]), "site": tuple(sites[order])},
        effect=values[order],
    )


def _on_probe(
    model: Model, probe: Probe, dicts: Dictionaries, texts: Any, labels: Sequence[Any] | None
) -> FeatureEffects:
    """Code · the gradient of the logit at it, summed over the positions of each text."""
    texts = rows_of(model, texts)
    n = check_texts(texts)
    names = np.array([str(each) for each in labels or ()])
    classes = tuple(np.unique(names).tolist())
    if names.shape != (n,) or len(classes) > 2:
        raise ValueError(
            f"labels are one of two values for each of {n} texts; got shape {names.shape} with the "
            f"values {list(classes[:5])}."
        )
    if len(classes) < 2:
        raise ValueError(f"A feature separates texts of both classes; all are of {names[0]}.")
    second = names == classes[1]
    read_at = Site.parse(probe.site)
    used = [d for site, d in dicts.items() if site <= read_at and d.site <= read_at]
    if not used:
        raise ValueError(
            f"The probe reads {read_at}, and no dictionary lies there or before it: {dicts!r}."
        )
    sites = sorted({s for d in used for s in (d.site, d.out_site)})
    totals = [torch.zeros(2, d.n_features, dtype=torch.float64) for d in used]
    counts = [torch.zeros(d.n_features, dtype=torch.float64) for d in used]
    for rows, tokens in batches(model, texts, TEXTS):
        run = model.run(
            tokens,
            read=sites,
            grad_of=lambda x, tokens=tokens: probe.read(pooled(x, tokens, probe.pool)),
            grad_at=read_at,
        )
        mask = run.tokens.mask.to(run[sites[0]].device)[..., None]
        of_second = torch.as_tensor(second[rows])
        for dictionary, total, count in zip(used, totals, counts, strict=True):
            x = run[dictionary.site]
            codes = dictionary.encode(x).masked_fill(~mask, 0.0)
            grads = dictionary.pull_back(run.grad(dictionary.out_site), x)
            found = (codes * grads.masked_fill(~mask, 0.0)).sum(1).double().cpu()
            for label in (0, 1):
                total[label] += found[of_second == bool(label)].sum(0)
            count += (codes != 0).any(1).double().sum(0).cpu()
    total = torch.cat(totals, 1).numpy()
    active = torch.cat(counts).numpy() / n
    of_label = (total / np.array([[(~second).sum()], [second.sum()]])).T
    there = np.flatnonzero(active)
    separation = of_label[:, 1] - of_label[:, 0]
    order = there[np.argsort(-np.abs(separation[there].astype(np.float32)), kind="stable")]
    names = np.array([f"{d.out_site}/{i}" for d in used for i in range(d.n_features)], object)
    where = np.repeat([str(d.out_site) for d in used], [d.n_features for d in used])
    return FeatureEffects(
        **provenance(model),
        task="",
        metric=repr(probe),
        method="attribution",
        reference="zero",
        steps=0,
        gap=float("nan"),
        sizes={str(d.out_site): d.n_features + 1 for d in used},
        nodes={"node": tuple(names[order]), "site": tuple(where[order])},
        effect=total.sum(0)[order] / n,
        classes=classes,
        separation=separation[order],
        active=active[order],
        of_label=of_label[order],
    )


def check_method(method: str) -> None:
    """Raises `ValueError` for an unknown method."""
    if method not in METHODS:
        raise ValueError(f"Effects are found by {' or '.join(METHODS)}; got {method!r}.")


def node_effects(
    model: Model,
    examples: Examples,
    bases: Sequence[Basis],
    *,
    method: str,
    reference: str,
    steps: int,
) -> dict[Site, np.ndarray]:
    """(node,) float32 a site: the mean effect of each node over the examples."""
    references = References.of(model, bases, examples, reference)
    totals: dict[Site, torch.Tensor] = {}
    for part in parts_of(examples, bases, steps if method == "ig" else 1):
        for site, found in _effects_of(model, part, bases, references, method, steps).items():
            total = found.double().sum(0)
            totals[site] = totals[site] + total if site in totals else total
    n = len(examples.batch)
    return {site: (total / n).float().cpu().numpy() for site, total in totals.items()}


def _effects_of(
    model: Model,
    part: Group,
    bases: Sequence[Basis],
    references: References,
    method: str,
    steps: int,
) -> dict[Site, torch.Tensor]:
    """(example, node) effects a site, for examples that run together."""
    batch = part.batch
    corrupt = references.run(part)
    if method == "attribution":
        clean = model.run(batch.clean, read=sites_of(bases), grad_of=part.metric, logits_at="last")
    else:
        entries = {Site("resid_pre", basis.site.layer) for basis in bases}
        clean = model.run(batch.clean, read=sorted({*sites_of(bases), *entries}), logits_at=())
    out = {}
    for basis in bases:
        if method == "attribution" and corrupt is not None:
            out[basis.site] = basis.effects_between(clean, corrupt, clean.grad(basis.site))
            continue
        difference = basis.codes(clean) - references.codes(basis, part, corrupt)
        if method == "attribution":
            grad = clean.grad(basis.site)
        else:
            grad = _path_gradient(model, part, basis, clean, difference, steps)
        out[basis.site] = basis.effects(difference, grad, clean)
    return out


def _path_gradient(
    model: Model, part: Group, basis: Basis, clean: Run, difference: Codes, steps: int
) -> torch.Tensor:
    """The gradient at the basis' site, averaged from the reference to the clean activation."""
    site, n = basis.site, len(part)
    now = clean[site]
    change = basis.written(difference, clean).to(now)
    back = 1 - (torch.arange(steps, device=now.device, dtype=torch.float64) + 0.5) / steps
    shape = (steps, *[1] * now.ndim)
    path = (now[None] - back.view(shape).to(now) * change[None]).flatten(0, 1)
    layer = site.layer or 0
    rows = list(range(n)) * steps
    at, resid, edits = site, path, []
    if site.stream == "resid_post" and layer + 1 < model.spec.n_layers:
        # What leaves a block enters the next one, which saves running the block.
        layer, at = layer + 1, Site("resid_pre", layer + 1)
    elif site.stream != "resid_pre":
        resid, edits = clean[Site("resid_pre", layer)][rows], [Set(site, path)]
    run = model.run(
        part.batch.clean,
        read=at,
        edits=edits,
        grad_of=lambda logits: part.metric(logits, rows),
        logits_at="last",
        resume=Resume(layer, resid, rows=rows),
    )
    return run.grad(at).unflatten(0, (steps, n)).mean(0)
