"""What a loaded model really has: its own logits, sites that compute, edits that arrive.

An adapter may name modules of an architecture nobody has tried here, and a backend may compute
another model than the one it was given. A few passes over three tokens tell whether the logits are
the given model's, which sites can be read on which layers, and which edits move the logits, so that
nothing is silently wrong or silently without effect. What the activations add up to is in sums.py.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ..edits import Add, Edit
from ..model import Norm, Resume, Run
from ..site import GLOBAL_STREAMS, STREAMS, Site
from ..tokens import Tokens
from .architecture import SOFTMAXES
from .base import TracedModel
from .probe import Probe

#: Sites that are worked out from what blocks add, and are wrong where that does not add up.
ADDED = ("attn_out", "resid_mid", "mlp_out")


def survey(model: TracedModel, given: Probe) -> None:
    """Set the model's sites, sums and read-out to what holds; warn of the rest.

    given: what the model made of three tokens before it was wrapped. Raises `ValueError` where the
    backend cannot run the model, or computes another one.
    """
    if model.on_server:
        model.spec = replace(model.spec, compared=False)
        model.tuple_blocks = _tuple_blocks(model, lambda: _shapes_only(model))
        return
    ids = given.ids.to(model.device)
    tokens = Tokens(ids, torch.ones_like(ids, dtype=torch.bool), (("", "", ""),))
    model.tuple_blocks = _tuple_blocks(
        model, lambda: _logits_are_the_given(model, tokens, given.logits)
    )
    model.spec = replace(model.spec, compared=given.logits is not None)
    _find_softmax(model, tokens)
    run = _read_everything(model, tokens)
    reasons = undecomposed(model, run)
    model.spec = replace(model.spec, undecomposed=reasons)
    if "stream" in reasons:
        _drop(model, ADDED)
        warnings.warn(reasons["stream"], stacklevel=4)
    unmoved = _unmoved(model, tokens)
    model.spec = replace(model.spec, read_only=tuple(s for s in STREAMS if s in unmoved))
    model.set_readout_error(_readout_error(model, run))
    model.reuses_past = model.reuses_past and _reuses_past(model, tokens)


def _shapes_only(model: TracedModel) -> None:
    """A pass over shapes, where the weights are on a server."""
    ids = torch.zeros((1, 2), dtype=torch.long, device="meta")
    model.module("")(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False)


def _tuple_blocks(model: TracedModel, forward: Callable[[], object]) -> int:
    seen: list[int] = []
    block = model.module(model.architecture.path("block", 0))
    handle = block.register_forward_hook(
        lambda module, args, output: seen.append(
            len(output) if isinstance(output, (tuple, list)) else 0
        )
    )
    try:
        forward()
    finally:
        handle.remove()
    return seen[0]


def _logits_are_the_given(model: TracedModel, tokens: Tokens, given: torch.Tensor | None) -> None:
    spec = model.spec
    try:
        logits = model.run(tokens).logits
    except Exception as error:  # whatever a library raises for a model that it cannot run
        raise ValueError(
            f"The {spec.backend} backend cannot run {spec.architecture} in {spec.dtype} on "
            f"{spec.device}: {str(error).splitlines()[0][:200] if str(error) else error!r}. Load "
            "it with the other backend, or with dtype='float32'."
        ) from error
    assert logits is not None
    if given is None:
        return
    given = given.to(logits.device)
    if bool(given.isnan().any()):
        raise ValueError(
            f"A model gives numbers; the logits of {spec.name} ({spec.architecture}) are NaN for "
            f"three tokens, in {spec.dtype} on {spec.device}, before anything traces it. Check its "
            "weights, or load it with dtype='float32'."
        )
    # In half precision two right computations of the same model lie this far apart.
    bound = 1e-4 if logits.dtype in (torch.float32, torch.float64) else 0.1
    # A model may rule tokens out with logits of minus infinity.
    finite = given.isfinite()
    if logits.shape == given.shape and bool((logits.isfinite() == finite).all()):
        logits, given = logits[finite], given[finite]
        if close(logits, given, bound):
            return
    off = "of another shape"
    if given.shape == logits.shape:
        off = f"off by {float((logits.float() - given.float()).abs().max()):.2g}"
    raise ValueError(
        f"A traced model computes what the given one does; through the {spec.backend} backend the "
        f"logits of {spec.name} ({spec.architecture}) are {off}, the largest being "
        f"{float(given.float().abs().max()):.2g}: a setting, a hook or a module of it is not read "
        "there. Load it with the other backend, or without that change."
    )


def _find_softmax(model: TracedModel, tokens: Tokens) -> None:
    """Where attention's softmax is differs between architectures and releases: take what works."""
    layers = model.spec.layers("pattern")
    if model.spec.backend != "nnsight" or not layers:
        return
    site, own = Site("pattern", layers[0]), model.architecture.softmax
    for path in dict.fromkeys((own, *SOFTMAXES)):
        model.architecture = replace(model.architecture, softmax=path)
        if _reads(model, tokens, [site]) is not None:
            return
    model.architecture = replace(model.architecture, softmax=own)


def _reads(model: TracedModel, tokens: Tokens, sites: Sequence[Site]) -> Run | None:
    try:
        return model.run(tokens, read=sites)
    except Exception:  # whatever a library raises for a place that its model does not have
        return None


def _read_everything(model: TracedModel, tokens: Tokens) -> Run:
    """A run that has read every site of the model.

    Sites that could not be read, or that have other axes than the model's sizes say, are taken off
    the model's list.
    """
    sites = list(model.spec.sites)
    run = _reads(model, tokens, sites)
    if run is None:
        # One stream at a time, and of those that fail one layer at a time.
        by_stream = {s.stream: [x for x in sites if x.stream == s.stream] for s in sites}
        good = [
            site
            for group in by_stream.values()
            for site in (
                group
                if _reads(model, tokens, group)
                else [s for s in group if _reads(model, tokens, [s])]
            )
        ]
        run = model.run(tokens, read=good)
    good = {s for s in run.activations if tuple(run[s].shape) == _shape(model, s)}
    if {"attn_scores", "pattern"} <= {s.stream for s in good}:
        good -= {s for s in good if s.stream == "attn_scores" and not _gives_pattern(run, s)}
    _keep(model, good)
    return run


def _shape(model: TracedModel, site: Site) -> tuple[int, ...]:
    spec = model.spec
    sizes = {
        "batch": 1,
        "pos": 3,
        "dst": 3,
        "src": 3,
        "head": spec.n_kv_heads if site.stream in ("k", "v") else spec.n_heads,
        "d_model": spec.d_model,
        "d_head": spec.d_head,
        "d_mlp": spec.d_mlp,
        "expert": spec.n_experts,
    }
    return tuple(sizes[axis] for axis in site.axes)


def _gives_pattern(run: Run, scores: Site) -> bool:
    """Whether the scores are the softmax's input; some bridges show the pattern there."""
    pattern = run.activations.get(Site("pattern", scores.layer))
    return pattern is not None and close(run[scores].float().softmax(-1), pattern)


def _keep(model: TracedModel, good: set[Site]) -> None:
    """Let these sites be the model's."""
    layers = {
        stream: tuple(sorted(s.layer for s in good if s.stream == stream and s.layer is not None))
        for stream in model.spec.streams
    }
    everywhere = tuple(range(model.spec.n_layers))
    model.spec = replace(
        model.spec,
        streams=tuple(
            s for s in model.spec.streams if (Site(s) in good if s in GLOBAL_STREAMS else layers[s])
        ),
        layers_of={s: at for s, at in layers.items() if at and at != everywhere},
    )


def _drop(model: TracedModel, streams: Sequence[str]) -> None:
    _keep(model, {site for site in model.spec.sites if site.stream not in streams})


@dataclass(frozen=True, eq=False, repr=False)
class _Touch(Edit):
    """Adds nothing, and by its gradient shows whether anything is computed from what it gives."""

    nothing: torch.Tensor

    def apply(self, activation: torch.Tensor, *needed: torch.Tensor) -> torch.Tensor:
        return activation + self.nothing


def _unmoved(model: TracedModel, tokens: Tokens) -> set[str]:
    """The streams of which an edit does not reach the logits on some layer.

    One pass with an edit of every site: of those that are dropped the logits are not a function.
    Where a model has no gradients (quantised), uneven noise inside attention, which no softmax
    cancels; elsewhere an edit is of what a module takes or gives, and arrives.
    """
    touches = {
        s: torch.zeros((), device=model.device, requires_grad=True) for s in model.spec.sites
    }
    dropped: set[str] = set()

    def metric(logits: torch.Tensor) -> torch.Tensor:
        value = logits.float().sum((-1, -2))
        found = torch.autograd.grad(
            value.sum(), list(touches.values()), allow_unused=True, retain_graph=True
        )
        dropped.update(s.stream for s, g in zip(touches, found, strict=True) if g is None)
        return value

    try:
        model.run(tokens, edits=[_Touch(s, own) for s, own in touches.items()], grad_of=metric)
    except Exception:  # whatever a library raises where it has no gradients
        inside = [s for s in touches if s.stream in ("attn_scores", "pattern")]
        return {s.stream for s in inside if not _moves(model, tokens, s)}
    return dropped


def _moves(model: TracedModel, tokens: Tokens, site: Site) -> bool:
    noise = torch.linspace(0.1, 0.9, tokens.n_columns, device=model.device)
    with warnings.catch_warnings():
        # TransformerLens says itself that an edit is dropped; what comes of it is measured here.
        warnings.simplefilter("ignore")
        edited = model.run(tokens, edits=Add(site, noise)).logits
    return not torch.equal(torch.as_tensor(model.run(tokens).logits), torch.as_tensor(edited))


def _readout_error(model: TracedModel, run: Run) -> str:
    last = Site("resid_post", model.spec.n_layers - 1)
    assert run.logits is not None
    if last in run.activations and close(model.unembed(run[last]), run.logits):
        return ""
    return (
        f"The final norm and unembedding of {model.spec.architecture} do not give its own logits: "
        "it changes the "
        "residual stream in between in a way that is not known here. Read its logits, not a lens."
    )


def _reuses_past(model: TracedModel, tokens: Tokens) -> bool:
    """Whether a step over cached keys and values gives what a pass over all tokens gives.

    Tried as generation and patching do it: one row shorter than the other, padded on either side,
    and from the residual stream that enters the first block.
    """
    rows = [[0, 1, 2, 2], [0, 1, 2]]
    ids = [[int(tokens.ids[0, i]) for i in row] for row in rows]
    try:
        left = model.tokens(ids, padding_side="left")
        _, past = model.step(_without_last(left), (), 0, None)
        cached, _ = model.step(left, (), left.n_columns - 1, past)
        whole, _ = model.step(left, (), 0, None)
        if not close(cached, whole):
            return False
        right = model.tokens(ids)
        plain = model.run(right, read="L0.resid_pre", cache=True, logits_at="last")
        again = model.run(
            right,
            logits_at="last",
            resume=Resume(0, plain["L0.resid_pre"][:, 2:], start=2, past=plain.past),
        )
        return close(torch.as_tensor(again.logits), torch.as_tensor(plain.logits))
    except Exception:  # a cache of another kind (a hybrid's), which cannot be cut at a position
        return False


def _without_last(tokens: Tokens) -> Tokens:
    strings = tuple(row[:-1] for row in tokens.strings)
    return Tokens(tokens.ids[:, :-1], tokens.mask[:, :-1], strings, tokens.side)


def close(a: torch.Tensor, b: torch.Tensor, bound: float | None = None) -> bool:
    """Whether two computations of one thing agree, relative to its largest number."""
    if bound is None:
        bound = 1e-4 if b.dtype in (torch.float32, torch.float64) else 3e-2
    a, b = a.detach().double(), b.detach().double()
    return bool((a - b).abs().max() <= bound * b.abs().max().clamp(min=1e-3))


def undecomposed(model: TracedModel, run: Run) -> dict[str, str]:
    """Which sums do not hold, and why, as `ModelSpec.undecomposed` has it; `run` read all sites."""
    reasons = {
        "stream": _stream(model, run),
        "heads": _parts(model, run, "heads", "z", "attn_out", "O", "ln1_post"),
        "neurons": _parts(model, run, "neurons", "mlp_post", "mlp_out", "out", "ln2_post"),
        "readers": _readers(model, run),
    }
    return {name: reason for name, reason in reasons.items() if reason}


def _missing(model: TracedModel, layer: int, *streams: str) -> str:
    return ", ".join(s for s in streams if layer not in model.spec.layers(s))


def _stream(model: TracedModel, run: Run) -> str:
    """Why attn_out and mlp_out are not what blocks add to the stream; empty if they are."""
    spec = model.spec
    for layer in range(spec.n_layers):
        before, after = run[Site("resid_pre", layer)], run[Site("resid_post", layer)]
        added = [run[Site(s, layer)] for s in ("attn_out", "mlp_out") if layer in spec.layers(s)]
        following = run[Site("resid_pre", layer + 1)] if layer + 1 < spec.n_layers else after
        total = before.double() + sum(x.double() for x in added)
        if not (close(total, after) and close(following, after)):
            return (
                f"{spec.architecture} scales or adds to the residual stream outside its attention "
                f"and MLP outputs (layer {layer}, {spec.backend} backend), so that attn_out, "
                "resid_mid and mlp_out are not what is added to it and are left out of its sites, "
                "and it is not taken apart into components. Read, patch or steer resid_pre and "
                "resid_post."
            )
    return ""


def _parts(
    model: TracedModel, run: Run, parts: str, stream: str, total: str, name: str, after: str
) -> str:
    """Why the parts of a layer's output do not add up to it; empty if they do.

    The parts are read in `stream`, written by the weight `name` and normed by `after`.
    """
    spec = model.spec
    what = f"The {parts} of {spec.architecture} are not told apart on the {spec.backend} backend"
    rest = f"Read or patch {total} of {spec.name} in place of its {parts}."
    if not spec.layers(stream):
        return f"{spec.architecture} has no {stream} on the {spec.backend} backend. {rest}"
    for layer in spec.layers(stream):
        if layer not in spec.layers(total):
            return f"{what}: layer {layer} has no {total}. {rest}"
        out = run[Site(total, layer)]
        try:
            weight = model.weight(f"W_{name}", layer, copy=False).float().flatten(0, -2)
            written = run[Site(stream, layer)].float().flatten(2) @ weight
            written = written + model.weight(f"b_{name}", layer).float()
            norm = _norm(model, after, layer)
        except (ValueError, RuntimeError) as error:
            return f"{what} (layer {layer}): {error} {rest}"
        written = written if norm is None else norm(written)
        if not close(written * spec.residual_multiplier, out):
            return f"{what}: {total} of layer {layer} is not their sum, nor its norm. {rest}"
    return ""


def _readers(model: TracedModel, run: Run) -> str:
    """Why q, k, v and mlp_in are not a norm and a projection of the residual stream, or empty."""
    spec = model.spec
    what = (
        f"What a component of {spec.architecture} reads is not told apart on the {spec.backend} "
        "backend"
    )
    rest = f"Score, ablate or patch nodes of {spec.name} in place of edges."
    if not spec.layers("q"):
        return f"{spec.architecture} has no q on the {spec.backend} backend. {rest}"
    streams = ("q", "k", "v", "mlp_in")
    for layer in spec.layers("q"):
        middle = "resid_pre" if spec.parallel else "resid_mid"
        if lacking := _missing(model, layer, *streams, middle):
            return f"{what}: layer {layer} has no {lacking}. {rest}"
        try:
            wrong = [s for s in streams if not _reads_stream(model, run, s, layer)]
        except (ValueError, RuntimeError) as error:
            return f"{what} (layer {layer}): {error} {rest}"
        if wrong:
            return (
                f"{what}: {', '.join(wrong)} of layer {layer} are no norm and projection of the "
                f"residual stream. {rest}"
            )
    return ""


def _reads_stream(model: TracedModel, run: Run, stream: str, layer: int) -> bool:
    read = run[Site(stream, layer)]
    norm = _norm(model, "ln1", layer)
    if stream != "mlp_in":
        resid = run[Site("resid_pre", layer)].float()
        normed = resid if norm is None else norm(resid)
        weight = model.weight(f"W_{stream.upper()}", layer, copy=False).float()
        bias = model.weight(f"b_{stream.upper()}", layer).float()
        return close(torch.einsum("bpm,hmd->bphd", normed, weight) + bias, read)
    before = _norm(model, "ln2", layer)
    if before is None and model.spec.parallel:
        before = norm
    resid = run[Site("resid_pre" if model.spec.parallel else "resid_mid", layer)].float()
    return close(resid if before is None else before(resid), read)


def _norm(model: TracedModel, name: str, layer: int) -> Norm | None:
    """A norm in float32, whatever the model's own precision is."""
    norm = model.norm(name, layer)
    if norm is None:
        return None
    return replace(norm, weight=norm.weight.float(), bias=norm.bias.float())
