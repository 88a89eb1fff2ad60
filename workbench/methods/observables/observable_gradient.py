"""Observables carried backwards: their gradients along one path, at given points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from ...model import Model, Prompts, Run
from ...site import Site
from ...tokens import Tokens
from ...writers import head_gain
from .observable_path import Step, read_norm, read_site

Position = int | Literal["last"]
#: From weights alone, paths are linearised at so many tokens, each by itself.
POINTS = 512
#: Rows in one pass.
ROWS = 64


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
    n = min(len(model.tokenizer), model.spec.d_vocab)
    step = max(1, -(-n // POINTS))
    return model.tokens([[i] for i in range(0, n, step)])


def portions(tokens: Tokens, size: int = ROWS) -> Iterator[Tokens]:
    """The rows in portions; single tokens, which take little, in larger ones."""
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
