"""The nnsight backend: a pass with its reads, edits and gradients is one trace, here or on NDIF."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import reduce
from typing import Any

import nnsight
import torch
from nnsight._c import mount, unmount
from nnsight.tracing.tracer import Tracer

from ..model import Resume
from .architecture import Tap
from .base import Pass, TracedModel
from .places import Places
from .recorder import PassResult, Recorder, cached

# A server has no workbench: what a trace uses of it travels by value.
nnsight.register("workbench")


def _save_in_traces_only() -> None:
    """Take `.save` off every object but while a trace runs; a pass of workbench has no need of it.

    nnsight puts `save` on `object` when it is imported. What looks at all that a class has takes
    it for its own: anyio could not be imported any more, nor used what stands on it.
    """
    lock, running = threading.Lock(), 0
    leave, package = Tracer.__exit__, f"{__name__.partition('.')[0]}."

    @contextmanager
    def mounted() -> Iterator[None]:
        # Traces hold others, and threads trace at the same time.
        nonlocal running
        with lock:
            running += 1
            if running == 1:
                mount(nnsight.save, "save")
        try:
            yield
        finally:
            with lock:
                running -= 1
                if not running:
                    unmount("save")

    def exit_(tracer: Tracer, *exception: Any) -> bool:
        frame = tracer.info.frame if tracer.info is not None else None
        ours = frame is not None and str(frame.f_globals.get("__name__")).startswith(package)
        with nullcontext() if ours else mounted():
            return leave(tracer, *exception)

    unmount("save")
    Tracer.__exit__ = exit_  # pyright: ignore[reportAttributeAccessIssue]


# Absent where nnsight was built without its extension, or told not to mount (its option PYMOUNT).
if unmount is not None and "save" in vars(object):
    _save_in_traces_only()


class NnsightModel(TracedModel):
    """`raw` is an nnsight `TransformersModel`. `remote` is False, True (NDIF) or "local"."""

    def __init__(self, *args: Any, remote: bool | str = False, source: str = "") -> None:
        self.remote = remote
        self._source = source
        # Keys and values would travel to the server and back with every token.
        self.reuses_past = not remote
        super().__init__(*args)

    def _wrapped(self, hf_model: torch.nn.Module) -> Any:
        if self.remote is True:
            # The server has the weights; here the modules are only their shapes.
            return nnsight.TransformersModel(
                self._source,
                task="text-generation",
                tokenizer=self.tokenizer,
                attn_implementation="eager",
            )
        return nnsight.TransformersModel(hf_model, task="text-generation", tokenizer=self.tokenizer)

    def unembed(self, resid: torch.Tensor) -> torch.Tensor:
        if not self.remote:
            return super().unembed(resid)
        # Where the weights are: a pass that resumes behind the last layer, a row for each vector.
        flat = resid.reshape(-1, 1, resid.shape[-1])
        after = Resume(self.spec.n_layers, flat, rows=[0] * len(flat))
        logits = self.run([[0]], resume=after).logits
        assert logits is not None
        return logits[:, 0].unflatten(0, resid.shape[:-1])

    def _pass(self, recorder: Recorder, request: Pass) -> PassResult:
        walk = self._walk(recorder, request)
        raw, inputs = self.raw, dict(request.inputs)
        if self.remote:
            inputs["remote"] = self.remote
        try:
            with torch.set_grad_enabled(request.grad_of is not None), raw.trace(**inputs) as tracer:
                result = nnsight.save(walk.through(raw))
                if walk.stops:
                    tracer.stop()
        except TypeError as error:
            if not self.remote or "pickle" not in str(error):
                raise
            edits = ", ".join(dict.fromkeys(type(edit).__name__ for edit in recorder.edits))
            raise ValueError(
                "A run on a server sends its edits there, which are plain data; "
                f"{edits or 'grad_of'} cannot be sent ({error}). Cuts of heads and edges compute "
                "with the model's weights: load it without remote=, or patch and edit activations."
            ) from error
        return result

    def _walk(self, recorder: Recorder, request: Pass) -> Walk:
        architecture = self.architecture
        first = request.skip_to or 0
        places = Places(recorder, self.spec, request.inputs["input_ids"].shape[0])
        if request.skip_to is not None and request.skip_to == 0:
            skipped, enter = [], architecture.path("block", 0)
        else:
            skipped, enter = [architecture.path("block", layer) for layer in range(first)], None
        return Walk(
            taps=places.taps(architecture.taps(self.spec.n_layers), first, request.last),
            places=places,
            softmax=architecture.softmax,
            sinks=architecture.sinks,
            skipped=skipped,
            enter=enter,
            resid=request.resid,
            handed_on=self.handed_on(request.resid),
            unembed=architecture.path("unembed"),
            cache_name=self.cache_name,
            request=request,
        )


@dataclass
class Walk:
    """The body of a trace: plain data and pure steps, so that it also runs on a server."""

    taps: list[Tap]
    places: Places
    softmax: tuple[str, ...]
    sinks: bool
    skipped: list[str]
    enter: str | None
    resid: torch.Tensor | None
    handed_on: Any
    unembed: str
    cache_name: str
    request: Pass

    @property
    def recorder(self) -> Recorder:
        return self.places.recorder

    @property
    def stops(self) -> bool:
        return not self.request.logits

    def through(self, raw: Any) -> PassResult:
        """Visit every tap in the order of the pass, then the logits."""
        # A forward that is already running cannot be taken apart any more, so this comes first.
        sources = {
            tap.path: resolve(raw, tap.path).source for tap in self.taps if tap.end == "softmax"
        }
        for path in self.skipped:
            resolve(raw, path).skip(self.handed_on)
        if self.enter is not None:
            resolve(raw, self.enter).input = self.resid
        for tap in self.taps:
            if tap.end == "softmax":
                self._softmax(sources[tap.path], tap)
                continue
            module = resolve(raw, tap.path)
            if tap.end == "experts":
                self._experts(module, tap)
                continue
            value = module.input if tap.end == "input" else module.output
            new = self.places.visit(tap, value)
            if new is not value:
                if tap.end == "input":
                    module.input = new
                else:
                    module.output = new
        return self._finish(raw)

    def _experts(self, module: Any, tap: Tap) -> None:
        args, kwargs = module.inputs
        new = self.places.route(tap, args)
        if new is not args:
            module.inputs = (new, kwargs)
        if self.recorder.wants("expert_out", tap.layer):
            module.output = self.places.experts(tap, module._module, new, module.output)

    def _softmax(self, at: Any, tap: Tap) -> None:
        *outer, last = self.softmax
        for name in outer:
            at = getattr(at, name).source
        softmax = getattr(at, last)
        if self.recorder.wants("attn_scores", tap.layer):
            scores = softmax.input
            new = self.recorder.visit("attn_scores", tap.layer, scores)
            if new is not scores:
                softmax.input = new
        if self.recorder.wants("pattern", tap.layer):
            whole = softmax.output
            # What goes to an attention sink belongs to no position.
            pattern = whole[..., :-1] if self.sinks else whole
            new = self.recorder.visit("pattern", tap.layer, pattern)
            if new is not pattern:
                softmax.output = torch.cat([new, whole[..., -1:]], -1) if self.sinks else new

    def _finish(self, raw: Any) -> PassResult:
        request = self.request
        if not request.logits:
            return self.recorder.result(None, request.grad_of)
        if request.columns is not None:
            unembed = resolve(raw, self.unembed)
            unembed.input = unembed.input[request.rows, request.columns]
        output = raw.output
        past = cached(output[self.cache_name]) if request.cache else None
        return self.recorder.result(output.logits, request.grad_of, past)


def resolve(root: Any, path: str) -> Any:
    """The module (or envoy) at a dotted path below another."""
    return reduce(
        lambda at, name: at[int(name)] if name.isdigit() else getattr(at, name),
        path.split("."),
        root,
    )
