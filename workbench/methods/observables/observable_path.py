"""The paths of observables: components of one pass, and what the first of them reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ...circuits.components import ARROW, Components
from ...circuits.cuts import resid_site
from ...model import Model, Norm
from ...site import Site
from ...writers import mlp_norm

Path = str | Site | Sequence[str | Site]


@dataclass(frozen=True)
class Step:
    """One component of a path: a head, or with head None the MLP of a layer."""

    layer: int
    head: int | None = None

    def __str__(self) -> str:
        return f"L{self.layer}.mlp_out" if self.head is None else f"L{self.layer}H{self.head}"


def read_path(model: Model, path: Path) -> tuple[Step, ...]:
    """The components of a path, first to last in the order of a pass; () is the direct one.

    path: names like "L2H3" and "L0.mlp_out", a list of them or one text with arrows between them.
    Raises `ValueError` for a component that the model does not have, for the embedding, which reads
    nothing, and for one that the next does not read.
    """
    parts = Components.nodes_of(model.spec)
    one = isinstance(path, (str, Site))
    names = str(path).replace("->", ARROW).split(ARROW) if one else [str(name) for name in path]
    numbers = [parts.writer(name.strip()) for name in names]
    if 0 in numbers:
        raise ValueError(
            "A path is made of heads and MLPs, which read the residual stream; the embedding reads "
            "nothing. Leave it out: a vector's scores say what each embedding gives."
        )
    for before, after in pairwise(numbers):
        layer = parts.writer_layer(after)
        if before >= parts.writers_before(stream_of(parts, after), layer):
            raise ValueError(
                "A path names its components in the order of a pass, each read by the next; "
                f"{parts.writers[after]} does not read {parts.writers[before]}. Give it from the "
                "first to the last, like ['L0.mlp_out', 'L2H3']."
            )
    return tuple(_step(parts, number) for number in numbers)


def stream_of(parts: Components, writer: int) -> str:
    """Through which stream a component reads the residual stream here: v, or mlp_in."""
    return "v" if parts.writer_site(writer).stream == "z" else "mlp_in"


def _step(parts: Components, writer: int) -> Step:
    site = parts.writer_site(writer)
    assert site.layer is not None
    return Step(site.layer, site.head)


def path_name(path: Sequence[Step | str]) -> str:
    """ "L0H2 → L0.mlp_out", or "direct" """
    return f" {ARROW} ".join(map(str, path)) or "direct"


def read_site(model: Model, path: Sequence[Step]) -> Site:
    """The residual stream that the first component of a path reads; of () the last one."""
    parts = Components.nodes_of(model.spec)
    if not path:
        return resid_site(parts, "logits", model.spec.n_layers - 1)
    stream = "mlp_in" if path[0].head is None else "v"
    return resid_site(parts, stream, path[0].layer)


def read_norm(model: Model, path: Sequence[Step]) -> Norm | None:
    """The norm through which the first component of a path reads; None where it has none."""
    if not path:
        return model.norm("ln_final")
    layer = path[0].layer
    return mlp_norm(model, layer) if path[0].head is None else model.norm("ln1", layer)
