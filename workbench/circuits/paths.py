"""Path patching: what one component does through chosen receivers, and through nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from ..check import Count, checked
from ..edits import Add, Edit, Set
from ..effects import Effects
from ..model import Model, Run
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, check_finite
from .components import Components
from .cuts import head_outputs, resid_site
from .patching import effects_between

#: What is added to the residual stream, layer by layer.
HELD = ("attn_out", "mlp_out")


@checked
def path_patch(
    model: Model,
    task: Task | TaskBatch,
    sender: str,
    receivers: str | Sequence[str] = "logits",
    *,
    through: Literal["residual", "mlps"] = "residual",
    direction: Literal["denoise", "noise"] = "denoise",
    n: Count | None = None,
) -> Effects:
    """What a sender's other value does through the receivers alone, as `Effects`.

        wb.circuits.path_patch(model, task, "L0H2.z", "L0.mlp_in").score()

    sender: "embed", a head "L2H3.z" or an MLP "L2.mlp_out". receivers: "L3H1.q" (.k, .v; key/value
    heads under grouped queries), "L3.mlp_in", "logits". through: "residual", every head and MLP
    between them stays as in the base run, so that the path is the residual stream alone; "mlps",
    heads stay and MLPs and norms are computed again (Wang et al. 2022, appendix B). direction:
    "denoise" starts from the corrupt run, "noise" from the clean one; an effect of 1 is all of the
    difference between the two. n: how many pairs.

    A first pass with the sender changed and the rest held gives what each receiver then reads; a
    second pass of the base run is given these readings, and all that follows is computed. Each
    receiver keeps its reading, also where another receiver's output would reach it; the logits,
    which can receive too, see both.

    Raises `ValueError` for an unknown component, a receiver that is computed before the sender,
    and where clean and corrupt do not differ.
    """
    parts = Components.of(model.spec)
    names = [receivers] if isinstance(receivers, str) else list(receivers)
    if not names:
        raise ValueError("A path ends at one receiver or more; got none. Name 'logits'.")
    source = parts.writer(sender)
    targets = [parts.edge((sender, name))[1] for name in names]
    examples = Examples.of(model, task, n=n)
    _ = examples.gap
    patched = np.empty(len(examples.batch))
    for group in examples.groups:
        patched[list(group.rows)] = _patched(
            model, parts, group, source, targets, through, direction
        )
    path = f"{parts.writers[source]} → {', '.join(parts.readers[t] for t in targets)}"
    return effects_between(
        model,
        examples,
        f"{direction} {path} through {through} on {examples.batch.task}",
        {"change": (path,), "through": (through,)},
        patched[None],
        base="corrupt" if direction == "denoise" else "clean",
    )


def _patched(
    model: Model,
    parts: Components,
    group: Group,
    source: int,
    targets: list[int],
    through: str,
    direction: str,
) -> np.ndarray:
    """(example,) the metric with the path patched."""
    batch = group.batch
    base_tokens, other_tokens = (
        (batch.corrupt, batch.clean) if direction == "denoise" else (batch.clean, batch.corrupt)
    )
    streams = [
        (stream, layer)
        for stream, layer in parts.reader_streams
        if any(_within(target, parts.readers_of(stream, layer)) for target in targets)
    ]
    sender = parts.writer_site(source).whole
    held = sorted({sender, *(Site(s, layer) for s in HELD for layer in range(parts.n_layers))})
    wanted = [resid_site(parts, *each) if each[0] == "logits" else Site(*each) for each in streams]
    base = model.run(base_tokens, read=sorted({*held, *wanted}), logits_at=())
    other = model.run(other_tokens, read=held, logits_at=())
    first = model.run(
        base_tokens,
        read=wanted,
        edits=_held(model, parts, base, other, source, through),
        logits_at=(),
    )
    edits: list[Edit] = []
    for (stream, layer), site in zip(streams, wanted, strict=True):
        if stream == "logits":
            # Added, since other receivers change the stream too.
            edits.append(Add(site, first[site] - base[site]))
            continue
        if stream == "mlp_in":
            edits.append(Set(site, first[site]))
            continue
        readers = parts.readers_of(stream, layer)
        for target in targets:
            if _within(target, readers):
                head = target - readers.start
                edits.append(Set(Site(stream, layer, head), first[site][:, :, head]))
    run = model.run(base_tokens, edits=edits, logits_at="last")
    assert run.logits is not None
    return check_finite(group.metric(run.logits), "patched")


def _within(number: int, of: slice) -> bool:
    return of.start <= number < of.stop


def _held(
    model: Model, parts: Components, base: Run, other: Run, source: int, through: str
) -> list[Edit]:
    """The sender at its other value and every other component at its base value.

    What each layer's attention adds is held as a whole; a head that sends adds its change to it.
    """
    sender = parts.writer_site(source)
    edits: list[Edit] = []
    if source == 0:
        edits.append(Set(sender, other[sender]))
    for layer in range(parts.n_layers):
        attention, mlp = Site("attn_out", layer), Site("mlp_out", layer)
        value = base[attention]
        if sender.stream == "z" and sender.layer == layer:
            changed, plain = (
                head_outputs(model, layer, run[sender.whole]) for run in (other, base)
            )
            value = value + (changed - plain)[:, :, sender.head]
        edits.append(Set(attention, value))
        if mlp == sender:
            edits.append(Set(mlp, other[mlp]))
        elif through == "residual":
            edits.append(Set(mlp, base[mlp]))
    return edits
