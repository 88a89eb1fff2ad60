"""Observables carried backwards: paths, and their gradients at points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch

from ..circuits.components import ARROW, Components
from ..circuits.cuts import resid_site
from ..model import Model, Norm, Prompts, Run
from ..site import Site
from ..tokens import Tokens
from ..writers import head_gain, mlp_norm
from .projection import n_words

Path = str | Site | Sequence[str | Site]
Position = int | Literal["last"]
#: From weights alone, paths are linearised at so many tokens, each by itself.
POINTS = 512
#: Rows in one pass.
ROWS = 64


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


# -- gradients ------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class PathGradient:
    """The gradient of an observable along one path, for every row.

    With the patterns of the heads and the scales of their norms and of the final one held still;
    MLPs, with the norms beside them, by their own gradient. grad: (row, pos, d_model), in the
    residual stream that the path reads. written: likewise in what its first component writes; for
    the direct path None. weights: (row, pos), how much of its attention the path pays to a
    position; they sum to 1 in a row. scales: (row, pos, 1), what the norm before the path divides
    by. run: the pass.
    """

    grad: torch.Tensor
    written: torch.Tensor | None
    weights: torch.Tensor
    scales: torch.Tensor
    run: Run


def points(model: Model, at: Prompts | None) -> Tokens:
    """The prompts; for None every token by itself, of a large vocabulary some of them."""
    if at is not None:
        return model.tokens(at)
    n = n_words(model)
    step = max(1, -(-n // POINTS))
    return model.tokens([[i] for i in range(0, n, step)])


def in_batches(tokens: Tokens, size: int = ROWS) -> Iterator[Tokens]:
    """The rows in batches; single tokens, which take little, in larger ones."""
    size = size if tokens.n_columns > 1 else POINTS
    for start in range(0, len(tokens), size):
        yield tokens.take(range(start, min(start + size, len(tokens)))).trimmed()


def end_columns(tokens: Tokens, position: Position) -> list[int]:
    """The column of each row where the observable is read. Raises `ValueError` for several."""
    if isinstance(position, bool) or not (isinstance(position, int) or position == "last"):
        raise ValueError(
            f"An observable is read at one position of a prompt, a number or 'last'; got "
            f"{position!r}."
        )
    return [tokens.columns(row, position)[0] for row in range(len(tokens))]


def path_gradient(
    model: Model,
    direction: torch.Tensor,
    tokens: Tokens,
    path: Sequence[Step],
    position: Position = "last",
    read: Sequence[Site] = (),
) -> PathGradient:
    """The gradient along a path of an observable at one position of each row.

    direction: (d_model,) the observable in the normed stream that the unembedding reads. read:
    further sites for `run`.
    """
    rows, columns = list(range(len(tokens))), end_columns(tokens, position)
    last, site = read_site(model, ()), read_site(model, path)
    with torch.no_grad():
        run = model.run(tokens, read=sorted({last, site, *_needed(path, tokens), *read}),
                        logits_at=())  # fmt: skip
        norm = model.norm("ln_final")
        assert norm is not None
        end = run[last][rows, columns].float()
        weights = torch.zeros(tokens.ids.shape, device=end.device)
        weights[rows, columns] = 1.0
        grad = torch.zeros((*weights.shape, end.shape[-1]), device=end.device)
        grad[rows, columns] = norm.center(norm.weight.float() * direction) / norm.scale(end)
    written = None
    for step in reversed(path):
        written = grad
        if step.head is None:
            grad = _through_mlp(model, tokens, step, grad)
            continue
        with torch.no_grad():
            pattern = _pattern(run, step, tokens)
            grad = _through_head(model, run, step, pattern, grad)
            weights = torch.einsum("rds,rd->rs", pattern, weights)
    reading = read_norm(model, path)
    stream = run[site].float()
    scales = torch.ones_like(stream[..., :1]) if reading is None else reading.scale(stream)
    return PathGradient(grad, written, weights, scales, run)


def head_directions(
    model: Model, layer: int, grad: torch.Tensor, heads: slice = slice(None)
) -> torch.Tensor:
    """(head, d_model): what each head reads from a normed stream, weight and centring folded in.

    grad: (d_model,), in the sum of the heads, before a norm that follows the attention.
    """
    spec = model.spec
    w_o = model.weight("W_O", layer, copy=False)[heads].float()
    w_v = model.weight("W_V", layer, copy=False).float()
    of = torch.arange(spec.n_heads, device=w_v.device)[heads] // (spec.n_heads // spec.n_kv_heads)
    read = torch.einsum("hmd,hde,e->hm", w_v[of], w_o, grad)
    norm = model.norm("ln1", layer)
    return read if norm is None else norm.center(norm.weight.float() * read)


def gained(model: Model, run: Run, layer: int, grad: torch.Tensor) -> torch.Tensor:
    """A gradient (row, pos, d_model) in attn_out, as one in the sum of the layer's heads."""
    if model.norm("ln1_post", layer) is None:
        return grad * model.spec.residual_multiplier
    return grad * head_gain(model, layer, run[Site("z", layer)]).float()


def _needed(path: Sequence[Step], tokens: Tokens) -> list[Site]:
    """The sites that heads are carried through."""
    out = []
    for step in path:
        if step.head is not None:
            out += [Site("resid_pre", step.layer), Site("z", step.layer)]
            if tokens.n_columns > 1:
                out.append(Site("pattern", step.layer))
    return out


def _pattern(run: Run, step: Step, tokens: Tokens) -> torch.Tensor:
    """(row, dst, src). A token by itself has nothing else to attend to."""
    assert step.head is not None
    if tokens.n_columns == 1:
        return torch.ones((len(tokens), 1, 1), device=tokens.ids.device)
    return run[Site("pattern", step.layer)][:, step.head].float()


def _through_head(
    model: Model, run: Run, step: Step, pattern: torch.Tensor, grad: torch.Tensor
) -> torch.Tensor:
    spec, layer = model.spec, step.layer
    assert step.head is not None
    w_o = model.weight("W_O", layer, step.head, copy=False).float()
    w_v = model.weight(
        "W_V", layer, step.head // (spec.n_heads // spec.n_kv_heads), copy=False
    ).float()
    in_z = gained(model, run, layer, grad) @ w_o.T
    in_stream = torch.einsum("rds,rde->rse", pattern, in_z) @ w_v.T
    norm = model.norm("ln1", layer)
    if norm is None:
        return in_stream
    scale = norm.scale(run[Site("resid_pre", layer)].float())
    return norm.center(norm.weight.float() * in_stream) / scale


def _through_mlp(model: Model, tokens: Tokens, step: Step, grad: torch.Tensor) -> torch.Tensor:
    site = read_site(model, (step,))
    run = model.run(
        tokens,
        read=site,
        grad_of=lambda written: (written.float() * grad).sum((1, 2)),
        grad_at=Site("mlp_out", step.layer),
    )
    return run.grad(site).detach().float()
