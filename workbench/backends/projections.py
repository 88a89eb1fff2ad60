"""How one projection holds several streams: taken apart, and put together again."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from ..model import ModelSpec

#: "concatenated": all queries, then all keys, then all values. "grouped": for each key/value head
#: the queries that share it, its key, its value. "quarters": four slices of the heads, each of its
#: queries, values and keys. "query and gate": head by head a query and what gates its output.
#: "gate and up": what a nonlinearity is applied to, then what that multiplies.
FORMS = ("concatenated", "grouped", "quarters", "query and gate", "gate and up")


def split(joint: torch.Tensor, form: str, spec: ModelSpec) -> dict[str, torch.Tensor]:
    """A joint projection (…, width) as its parts: q, k, v (…, head, d_head), mlp_pre (…, d_mlp).

    The names of parts that are no stream end in "_rest".
    """
    n, kv, d = spec.n_heads, spec.n_kv_heads, spec.d_head
    if form == "concatenated":
        parts = joint.split([n * d, kv * d, kv * d], -1)
        q, k, v = (part.unflatten(-1, (-1, d)) for part in parts)
    elif form == "grouped":
        groups = joint.unflatten(-1, (kv, -1, d))
        q, k, v = groups[..., :-2, :].flatten(-3, -2), groups[..., -2, :], groups[..., -1, :]
    elif form == "quarters":
        thirds = joint.unflatten(-1, (4, 3, -1, d)).unbind(-3)
        q, v, k = (third.flatten(-3, -2) for third in thirds)
    elif form == "query and gate":
        query, gate = joint.unflatten(-1, (n, 2, d)).unbind(-2)
        return {"q": query, "q_rest": gate}
    else:
        gate, up = joint.chunk(2, -1)
        return {"mlp_pre": gate, "mlp_pre_rest": up}
    return {"q": q, "k": k, "v": v}


def join(parts: Mapping[str, torch.Tensor], form: str, spec: ModelSpec) -> torch.Tensor:
    """The inverse of `split`."""
    if form == "gate and up":
        return torch.cat([parts["mlp_pre"], parts["mlp_pre_rest"]], -1)
    if form == "query and gate":
        return torch.stack([parts["q"], parts["q_rest"]], -2).flatten(-3)
    q, k, v = (parts[name] for name in "qkv")
    if form == "concatenated":
        return torch.cat([part.flatten(-2) for part in (q, k, v)], -1)
    if form == "grouped":
        queries = q.unflatten(-2, (spec.n_kv_heads, -1))
        return torch.cat([queries, k[..., None, :], v[..., None, :]], -2).flatten(-3)
    thirds = [part.unflatten(-2, (4, -1)) for part in (q, v, k)]
    return torch.stack(thirds, -3).flatten(-4)
