"""Weights by TransformerLens's names and in its layout, from the Hugging Face modules."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from itertools import product
from typing import Any

import torch

from ..model import ModelSpec, Norm
from .architecture import Architecture
from .projections import split

GLOBAL = ("W_E", "W_pos", "W_U", "b_U")
HEADED = ("W_Q", "W_K", "W_V", "W_O", "b_Q", "b_K", "b_V")
#: What a weight's numbers may be stored as.
NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
LAYERED = (*HEADED, "b_O", "W_in", "W_gate", "W_out", "b_in", "b_gate", "b_out")
_PART = {
    "W_in": "in",
    "W_gate": "gate",
    "W_out": "out",
    "b_in": "in",
    "b_gate": "gate",
    "b_out": "out",
}


def weight(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int | None = None,
    head: int | None = None,
) -> torch.Tensor:
    """The named weight, unprocessed (no folded norms), zeros where the model has no such bias.

    W_E (d_vocab, d_model), W_pos (pos, d_model), W_U (d_model, d_vocab), b_U (d_vocab); W_Q, W_K,
    W_V (head, d_model, d_head), their biases (head, d_head), W_O (head, d_head, d_model), b_O
    (d_model); W_in and W_gate (d_model, d_mlp), W_out (d_mlp, d_model) and their biases. Without
    `layer` a layer's weight comes stacked over the layers.

    Raises `ValueError` for an unknown name, layer or head, for a weight the model does not have,
    and for one that is stored as something else than a matrix of numbers (quantised, offloaded).
    """
    if name in GLOBAL:
        if layer is not None or head is not None:
            raise ValueError(f"{name} belongs to the whole model; leave layer and head out.")
        return _global(architecture, modules, spec, name)
    if name not in LAYERED:
        raise ValueError(f"A weight is one of {', '.join((*GLOBAL, *LAYERED))}; got {name!r}.")
    if layer is None:
        layers = [
            weight(architecture, modules, spec, name, at, head) for at in range(spec.n_layers)
        ]
        return torch.stack(layers)
    if not 0 <= layer < spec.n_layers:
        raise ValueError(f"{spec.name} has layers 0 to {spec.n_layers - 1}; got layer {layer}.")
    if name not in HEADED:
        if head is not None:
            raise ValueError(
                f"{name} has no heads; leave head out. Weights with heads are {', '.join(HEADED)}."
            )
        return _unheaded(architecture, modules, spec, name, layer)
    heads = _headed(architecture, modules, spec, name, layer)
    if head is None:
        return heads
    if not 0 <= head < heads.shape[0]:
        raise ValueError(
            f"{name} of {spec.name} has heads 0 to {heads.shape[0] - 1}; got head {head}."
        )
    return heads[head]


def _global(
    architecture: Architecture, modules: Mapping[str, torch.nn.Module], spec: ModelSpec, name: str
) -> torch.Tensor:
    if name in ("W_U", "b_U"):
        path = architecture.path("unembed")
        read = _matrix if name == "W_U" else _bias
        return read(modules[path], f"{path} of {spec.name}")
    part = {"W_E": "embed", "W_pos": "pos_embed"}[name]
    if part not in architecture.parts:
        raise ValueError(
            f"{architecture.name} has no {name}: its positions are not embedded by a table."
        )
    path = architecture.path(part)
    return stored(modules[path], f"{path} of {spec.name}")


def _unheaded(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int,
) -> torch.Tensor:
    part = _PART.get(name, "o")
    joint = part in ("in", "gate") and architecture.has("gate_in", layer)
    if not joint and not architecture.has(part, layer):
        if part == "gate" and architecture.has("in", layer):
            raise ValueError(f"{architecture.name} has no {name}: its MLP has no gate.")
        raise ValueError(
            f"Layer {layer} of {spec.name} ({architecture.name}) has no {name}: "
            + (
                "it has no attention but another mixer. Read attn_out in its place."
                if part == "o"
                else "its MLP is a mixture of experts. Read mlp_out in its place."
            )
        )
    read = _matrix if name.startswith("W") else _bias
    path = architecture.path("gate_in" if joint else part, layer)
    both = read(modules[path], f"{path} of {spec.name}")
    if not joint:
        return both
    parts = split(both, "gate and up", spec)
    return parts["mlp_pre" if part == "gate" else "mlp_pre_rest"]


def _headed(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int,
) -> torch.Tensor:
    letter = name[-1].lower()
    joint = letter != "o" and architecture.has("qkv", layer)
    part = "qkv" if joint else letter
    if not architecture.has(part, layer):
        raise ValueError(
            f"Layer {layer} of {spec.name} ({architecture.name}) has no {name}: "
            + (
                "its queries, keys and values come from a latent vector with a norm in between, "
                "and no matrix makes them from the residual stream. Read z and attn_out."
                if architecture.has("attn", layer)
                else "it has no attention but another mixer. Read attn_out in its place."
            )
        )
    form = architecture.form(part)
    if joint and form is None:
        raise ValueError(
            f"{architecture.name} joins q, k and v in a way that is not known here; read its "
            "modules."
        )
    path = architecture.path(part, layer)
    read = _matrix if name.startswith("W") else _bias
    both = read(modules[path], f"{path} of {spec.name}")
    if letter == "o":
        return both.unflatten(0, (-1, spec.d_head))
    heads = split(both, form, spec)[letter] if form else both.unflatten(-1, (-1, spec.d_head))
    return heads.transpose(0, 1) if name.startswith("W") else heads


def check_written(
    view: torch.Tensor,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    *,
    tied: bool,
) -> None:
    """Raises `ValueError` for a weight that is no parameter, or one with several names."""
    shared = [
        f"{path}.{own}".lstrip(".")
        for path, module in modules.items()
        for own, parameter in module.named_parameters(recurse=False)
        if 0 <= view.data_ptr() - parameter.data_ptr() < parameter.nbytes
    ]
    if not shared:
        raise ValueError(
            f"A weight that is written is one the model has; {spec.name} has no {name}, which "
            "reads as zeros, or is worked out where something lies around it or its heads lie "
            "apart. Edit another, or add to the activation instead (wb.Add)."
        )
    if len(shared) > 1 and not tied:
        raise ValueError(
            f"{name} of {spec.name} is one parameter under several names ({', '.join(shared)}): "
            "an edit of one is an edit of all. Give tied=True to edit them together."
        )


def copied(hf_model: Any, modules: Mapping[str, torch.nn.Module]) -> Any:
    """The Hugging Face model over a copy of the numbers in these modules.

    By module and name, since a backend may have put its own modules in between. A parameter with
    two names (tied embeddings) stays one.
    """
    # What it is filled with at first is random, and nobody else's numbers are to follow from that.
    with torch.random.fork_rng(devices=[]):
        out = type(hf_model)(copy.deepcopy(hf_model.config))
    into: dict[str, Any] = dict(out.named_modules(remove_duplicate=False))
    for path, module in modules.items():
        if type(into.get(path)) is not type(module):
            raise ValueError(
                f"A copy to be trained is built from the configuration; {path} of this "
                f"{type(hf_model).__name__} was replaced by a {type(module).__name__}. Train the "
                "model that was given to wb.load."
            )
    twins: dict[int, torch.nn.Parameter] = {}
    for path, module in modules.items():
        for name, parameter in module.named_parameters(recurse=False, remove_duplicate=False):
            twin = torch.nn.Parameter(parameter.detach().clone())
            into[path]._parameters[name] = twins.setdefault(id(parameter), twin)
        for name, buffer in module.named_buffers(recurse=False, remove_duplicate=False):
            into[path]._buffers[name] = buffer.detach().clone()
    return out


def stored(module: Any, label: str) -> torch.Tensor:
    """A module's weight, if it is a matrix of floating-point numbers that is here to be read."""
    matrix = getattr(module, "weight", None)
    if not isinstance(matrix, torch.Tensor):
        # GPTQ and its like keep packed integers under other names.
        kept = ", ".join(name for name, _ in module.named_buffers()) or "none"
        found = f"is a {type(module).__name__} without one (it keeps {kept})"
    elif matrix.dtype not in NUMBERS or matrix.ndim != 2:
        # float8 has its scale elsewhere: its numbers alone are not the weight.
        kind = str(matrix.dtype).removeprefix("torch.")
        found = f"holds {kind} of shape {tuple(matrix.shape)}"
    elif matrix.is_meta:
        raise ValueError(
            f"A weight is read where its numbers are in memory; {label} is offloaded. Load it on "
            "one device, without offloading."
        )
    else:
        return matrix.detach()
    raise ValueError(
        f"A weight is read from a matrix of floating-point numbers; {label} {found}, as in a "
        "quantised checkpoint. Load the model without quantisation, with dtype='bfloat16' to save "
        "memory, or work with its activations."
    )


def _matrix(module: Any, label: str) -> torch.Tensor:
    """A linear map as (in, out), whichever way round the module stores it: what multiplies."""
    matrix = stored(module, label)
    matrix = matrix if type(module).__name__ == "Conv1D" else matrix.T
    bias = getattr(module, "bias", None)
    if _multiplies(module, matrix, bias):
        return matrix
    # Something lies around it (an adapter, a scale). A linear map is what it makes of the axes.
    with torch.no_grad():
        zero = _forward(module, matrix.new_zeros(1, len(matrix)))
        made = _forward(module, torch.eye(len(matrix)).to(matrix)) - zero
    if made.shape == matrix.shape and _multiplies(module, made, zero[0]):
        return made
    raise ValueError(
        f"A weight is the matrix that multiplies; what {label}, a {type(module).__name__}, does is "
        "no product with a matrix. Work with its activations."
    )


def _multiplies(module: Any, matrix: torch.Tensor, bias: torch.Tensor | None) -> bool:
    """Whether a module is x @ matrix + bias, tried on two vectors."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, len(matrix), generator=generator).to(matrix)
    with torch.no_grad():
        given, made = _forward(module, x), x @ matrix
    if given.shape != made.shape:
        return False
    made = made if bias is None else made + bias
    # Rounding of sums of that many products, in the precision they are made in.
    bound = 32 * torch.finfo(matrix.dtype).eps * float((x.abs() @ matrix.abs()).max())
    return float((given - made).abs().max()) <= bound


def _forward(module: Any, x: torch.Tensor) -> torch.Tensor:
    """What a module makes of x, past the hooks of a pass that may be under way through it."""
    return type(module).forward(module, x)


def _bias(module: Any, label: str) -> torch.Tensor:
    """What a linear map adds, zeros where it has no bias."""
    matrix = stored(module, label)
    conv = type(module).__name__ == "Conv1D"
    n_in, n_out = matrix.shape if conv else matrix.shape[::-1]
    own = getattr(module, "bias", None)
    bias = matrix.new_zeros(n_out) if own is None else own.detach()
    with torch.no_grad():
        added = _forward(module, matrix.new_zeros(1, n_in))[0]
    return bias if torch.equal(added, bias) else added


#: What a norm adds under its root, where it does not say.
USUAL_EPSILONS = (1e-5, 1e-6, 1e-8, 1e-12, 0.0)
BLOCK_NORMS = ("ln1", "ln2", "ln1_post", "ln2_post")


def norm(
    architecture: Architecture,
    modules: Mapping[str, torch.nn.Module],
    spec: ModelSpec,
    name: str,
    layer: int | None = None,
) -> Norm | None:
    """The named norm; None where the architecture has none there."""
    if name not in (*BLOCK_NORMS, "ln_final"):
        raise ValueError(f"A norm is one of {', '.join(BLOCK_NORMS)}, ln_final; got {name!r}.")
    if (layer is None) != (name == "ln_final"):
        raise ValueError(
            f"ln_final belongs to the whole model and the other norms to a layer; got {name!r} "
            f"with layer={layer!r}."
        )
    if layer is None:
        path = architecture.parts.get(name)
    else:
        if not 0 <= layer < spec.n_layers:
            raise ValueError(f"{spec.name} has layers 0 to {spec.n_layers - 1}; got layer {layer}.")
        path = architecture.path(name, layer) if architecture.has(name, layer) else None
    if path is None or isinstance(modules[path], torch.nn.Identity):
        return None
    return _as_numbers(modules[path], spec, f"{architecture.name}'s {name}")


def _as_numbers(module: Any, spec: ModelSpec, label: str) -> Norm:
    """The norm's own numbers; which of the usual forms it has is found by trying four vectors."""
    stored, added = getattr(module, "weight", None), getattr(module, "bias", None)
    like = next((t for t in (stored, added) if isinstance(t, torch.Tensor)), None)
    if like is None:
        like = torch.ones(spec.d_model, dtype=getattr(torch, spec.dtype), device=spec.device)
    # A norm without a weight multiplies by 1.
    weight = torch.ones_like(like) if stored is None else stored.detach()
    bias = torch.zeros_like(like) if added is None else added.detach()
    named = (getattr(module, name, None) for name in ("eps", "variance_epsilon", "epsilon"))
    own = next((float(e) for e in named if isinstance(e, (int, float))), None)
    # Some keep it in their code; vectors that are small tell.
    epsilons = USUAL_EPSILONS if own is None else (own,)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, weight.shape[-1], generator=generator).to(weight) + 0.5
    x[2:] *= 0.01
    with torch.no_grad():
        # Past the hooks and wrappers of a pass that may be under way through this very module.
        expected = type(module).forward(module, x).double()
        offsets = (0,) if stored is None else (0, 1)
        forms = list(product((True, False), offsets, epsilons))
        # The closest form, since in half precision another one may be close too.
        errors = []
        for centers, plus, epsilon in forms:
            # In float64, whatever the model's own precision is.
            exact = Norm(centers, weight.double() + plus, bias.double(), epsilon)
            errors.append(float((exact(x.double()) - expected).abs().max()))
    best = min(range(len(forms)), key=errors.__getitem__)
    # Many RMS norms compute in float32 whatever they are given.
    precision = max(torch.finfo(weight.dtype).eps, torch.finfo(torch.float32).eps)
    if errors[best] <= 64 * precision * float(expected.abs().max()):
        centers, plus, epsilon = forms[best]
        # Of its own: a norm is read, and not the module's to be written into.
        return Norm(centers, weight + plus, bias.clone(), epsilon)
    raise ValueError(f"{label} is neither a layer norm nor an RMS norm, so it is not taken apart.")
