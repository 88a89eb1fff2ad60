"""Path patching: what one component does through chosen receivers, and through nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..check import Count, Level, checked
from ..edits import Add, Edit, Set
from ..model import Model, Run
from ..resample import bootstrap
from ..result import Result, axes, provenance
from ..site import Site
from ..tasks import Examples, Group, Task, TaskBatch, check_finite
from .components import Components
from .cuts import head_outputs, resid_site

THROUGH = ("residual", "mlps")
DIRECTIONS = ("denoise", "noise")
#: What is added to the residual stream, layer by layer.
HELD = ("attn_out", "mlp_out")


@dataclass(frozen=True, eq=False, repr=False)
class PathPatching(Result):
    """The metric of each example with a sender's value changed for some receivers only.

    sender, receivers: names of components. through: what may lie between them: "residual", nothing;
    "mlps", MLPs (and norms) but no head. direction: "denoise", the sender's clean value in the
    corrupt run, or "noise", its corrupt value in the clean run. patched, clean, corrupt: metric.
    """

    task: str
    metric_name: str
    sender: str
    receivers: tuple[str, ...]
    through: str
    direction: str
    patched: np.ndarray = axes("batch")
    clean: np.ndarray = axes("batch")
    corrupt: np.ndarray = axes("batch")

    picture = "attribution.path_patching"

    @property
    def effect(self) -> float:
        """Mean effect over the mean difference: 0 = the path does nothing, 1 = it does it all.

        Positive where the clean value gives more of the metric, in either direction.
        """
        return float(self._effect(np.arange(len(self.clean))[None])[0])

    def interval(self, level: Level = 0.95) -> tuple[float, float]:
        """The interval of `effect`: bootstrap over examples, percentiles, seeded."""
        return bootstrap(self._effect, len(self.clean), level)

    def _effect(self, chosen: np.ndarray) -> np.ndarray:
        clean, corrupt, patched = (
            values.astype(np.float64)[chosen].mean(-1)
            for values in (self.clean, self.corrupt, self.patched)
        )
        moved = patched - corrupt if self.direction == "denoise" else clean - patched
        return moved / (clean - corrupt)

    def to_frame(self) -> pd.DataFrame:
        """One line an example: clean, corrupt and patched metric."""
        return pd.DataFrame({"clean": self.clean, "corrupt": self.corrupt, "patched": self.patched})

    def _facts(self) -> str:
        low, high = self.interval()
        return (
            f"{self.sender} → {', '.join(self.receivers)} through {self.through}, "
            f"{self.direction}: effect {self.effect:.3f} [{low:.3f}, {high:.3f}] on {self.task}"
        )


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
) -> PathPatching:
    """What a sender's other value does through the receivers alone, as a `PathPatching`.

    sender: "embed", a head "L2H3.z" or an MLP "L2.mlp_out". receivers: "L3H1.q" (.k, .v; key/value
    heads under grouped queries), "L3.mlp_in", "logits". through: "residual", every head and MLP
    between them stays as in the base run, so that the path is the residual stream alone; "mlps",
    heads stay and MLPs and norms are computed again (Wang et al. 2022, appendix B). direction:
    "denoise" starts from the corrupt run, "noise" from the clean one. n: how many pairs.

    A first pass with the sender changed and the rest held gives what each receiver then reads; a
    second pass of the base run is given these readings, and all that follows is computed. Each
    receiver keeps its reading, also where another receiver's output would reach it; the logits,
    which can receive too, see both.

    Raises `ValueError` for an unknown component, a receiver that is computed before the sender, an
    unknown `through` or direction, and where clean and corrupt do not differ.
    """
    for given, known, what in (
        (through, THROUGH, "through"),
        (direction, DIRECTIONS, "direction"),
    ):
        if given not in known:
            raise ValueError(f"{what} is one of {', '.join(known)}; got {given!r}.")
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
    return PathPatching(
        **provenance(model, examples.batch.clean),
        task=examples.batch.task,
        metric_name=examples.batch.metric_name,
        sender=parts.writers[source],
        receivers=tuple(parts.readers[t] for t in targets),
        through=through,
        direction=direction,
        patched=patched,
        clean=examples.clean,
        corrupt=examples.corrupt,
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
