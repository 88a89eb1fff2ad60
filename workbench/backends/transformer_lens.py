"""The TransformerLens backend: a pass with its reads, edits and gradients is one hooked pass."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformer_lens.model_bridge.sources import build_bridge_from_module

from ..site import Site
from .base import Pass, TracedModel
from .recorder import PassResult, Recorder, as_past

Hook = tuple[str, Callable[..., torch.Tensor]]


class _Stop(Exception):
    """Ends a pass after its last site."""


class TransformerLensModel(TracedModel):
    """`raw` is a TransformerLens `TransformerBridge` with the weights as they were loaded."""

    def _wrapped(self, hf_model: torch.nn.Module) -> Any:
        # The bridge sets up the tokenizer it is given; ours stays as it was loaded.
        return build_bridge_from_module(
            hf_model,
            self.architecture.name,
            hf_config=hf_model.config,
            tokenizer=copy.deepcopy(self.tokenizer),
            model_name=self.spec.name,
        )

    def _pass(self, recorder: Recorder, request: Pass) -> PassResult:
        inputs = dict(request.inputs)
        ids = inputs.pop("input_ids")
        keep = "logits_and_cache" if inputs["use_cache"] else "logits"
        logits = cache = None
        with (
            torch.set_grad_enabled(request.grad_of is not None),
            self._skipped(request),
            self.raw.hooks(fwd_hooks=list(self._hooks(recorder, request))),
        ):
            try:
                logits = self.raw(ids, return_type=keep, **inputs)
            except _Stop:
                return recorder.result(None, request.grad_of)
            if inputs["use_cache"]:
                logits, cache = logits
            return recorder.result(
                logits, request.grad_of, as_past(cache) if request.cache else None
            )

    def _hooks(self, recorder: Recorder, request: Pass) -> Iterator[Hook]:
        """One hook a site, in the order of the pass."""
        first = request.skip_to or 0
        resid_pre: dict[int, torch.Tensor] = {}
        sites = {s for s in recorder.sites if s.layer is None or s.layer >= first}
        for site in list(sites):
            if site.stream == "resid_mid":
                # Computed from what enters the block and what attention adds to it; see `middle`.
                sites |= {Site("resid_pre", site.layer), Site("attn_out", site.layer)}
        if request.resid is not None and first < self.spec.n_layers:
            sites.add(Site("resid_pre", first))
        last = request.last

        def at(site: Site) -> Callable[..., torch.Tensor]:
            def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
                if site == Site("resid_pre", first) and request.resid is not None:
                    activation = request.resid
                new = recorder.visit(site.stream, site.layer, activation)
                if site.stream == "resid_pre" and site.layer is not None:
                    resid_pre[site.layer] = new
                if (
                    site.stream == "attn_out"
                    and site.layer is not None
                    and recorder.wants("resid_mid", site.layer)
                ):
                    new = recorder.middle(site.layer, resid_pre[site.layer], new)
                if last is not None and (
                    site == last
                    or (site.stream == "attn_out" and last == Site("resid_mid", site.layer))
                ):
                    raise _Stop
                return new

            return hook

        if last is not None:
            sites.add(Site("attn_out", last.layer) if last.stream == "resid_mid" else last)
        for site in sorted(sites):
            if site.stream != "resid_mid":
                yield site.hook, at(site)
        if request.logits and request.columns is not None:

            def gather(resid: torch.Tensor, hook: Any) -> torch.Tensor:
                return resid[request.rows, request.columns]

            yield "unembed.hook_in", gather

    @contextmanager
    def _skipped(self, request: Pass) -> Iterator[None]:
        """Blocks before the one that a pass resumes at hand the residual stream on untouched."""
        blocks = [self.raw.blocks[layer] for layer in range(request.skip_to or 0)]
        resid = request.resid

        def through(*args: Any, **kwargs: Any) -> Any:
            return (resid,) if self.tuple_blocks else resid

        # In the instance's own dictionary, since a bridge passes attributes on to what it wraps.
        for block in blocks:
            block.__dict__["forward"] = through
        try:
            yield
        finally:
            for block in blocks:
                del block.__dict__["forward"]
