"""The TransformerLens backend: a pass with its reads, edits and gradients is one hooked pass."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module

from ..site import Site
from .base import Pass, TracedModel
from .recorder import PassResult, Recorder, as_past

Hook = tuple[str, Callable[..., torch.Tensor]]


def _old_cache_name(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """A call of an attention bridge with its cache named as the bridge names it."""
    if kwargs.get("cache") is None:
        return args, kwargs
    return args, {
        **{k: v for k, v in kwargs.items() if k != "cache"},
        "past_key_values": kwargs["cache"],
    }


class _Stop(Exception):
    """Ends a pass after its last site."""


@dataclass
class _Split:
    """A joint projection of q, k and v, of which a bridge computes with copies of its own."""

    bridge: Any
    sources: Sequence[torch.Tensor]
    versions: list[int]

    def follow(self) -> None:
        """Copy the joint weights again."""
        for part, fresh in zip(
            "qkv", self.bridge.split_qkv_matrix(self.bridge.original_component), strict=True
        ):
            kept = dict(getattr(self.bridge, part).original_component.named_parameters())
            with torch.no_grad():
                for name, parameter in fresh.named_parameters():
                    kept[name].copy_(parameter)


class TransformerLensModel(TracedModel):
    """`raw` is a TransformerLens `TransformerBridge` with the weights as they were loaded."""

    def __init__(self, *args: Any, live: bool = False) -> None:
        #: Whether somebody else may write into the weights, a training loop for example.
        self._live = live
        super().__init__(*args)
        self._splits = list(self._find_splits())

    def _find_splits(self) -> Iterator[_Split]:
        if "qkv" not in self.architecture.block:
            return
        for layer in range(self.spec.n_layers):
            bridge = self.raw.blocks[layer].attn
            joint = self.module(self.architecture.path("qkv", layer))
            sources = [p for p in joint.parameters(recurse=False) if not p.is_meta]
            own = {p.untyped_storage().data_ptr() for p in sources}
            # GPT-2's are views of the joint weight and need nothing.
            if hasattr(bridge, "split_qkv_matrix") and any(
                p.untyped_storage().data_ptr() not in own
                for p in bridge.q.original_component.parameters()
            ):
                yield _Split(bridge, sources, self._versions(sources))

    @staticmethod
    def _versions(sources: Sequence[torch.Tensor]) -> list[int]:
        return [-1 if p.is_inference() else p._version for p in sources]

    def _follow_weights(self) -> None:
        """See to it that a pass computes with the joint weights as they are now."""
        for split in self._splits:
            now = self._versions(split.sources)
            # Fused optimisers write past the version counter.
            if self._live or -1 in now or now != split.versions:
                split.follow()
                split.versions = now

    def _wrapped(self, hf_model: torch.nn.Module) -> Any:
        with self._own_tokenizer() as tokenizer:
            bridge = build_bridge_from_module(
                hf_model,
                self.architecture.name,
                hf_config=hf_model.config,
                tokenizer=tokenizer,
                model_name=self.spec.name,
            )
        # Its own copies of joint weights are made to be trained, and ours are not.
        for parameter in bridge.parameters():
            parameter.requires_grad_(False)
        for component in bridge.modules():
            # One that computes attention itself looks for the cache under its old names. One that
            # hands everything on to the module it wraps has to pass it on as it came.
            own = getattr(type(component), "forward", None)
            if isinstance(component, AttentionBridge) and own is not AttentionBridge.forward:
                component.register_forward_pre_hook(_old_cache_name, with_kwargs=True)
        return bridge

    @contextmanager
    def _own_tokenizer(self) -> Iterator[Any]:
        """A tokenizer that the bridge may set up; ours stays as it was loaded."""
        if not self._live:
            yield copy.deepcopy(self.tokenizer)
            return
        # A bridge reads its tokenizer from disk again, where one made in memory does not lie.
        with tempfile.TemporaryDirectory() as folder:
            self.tokenizer.save_pretrained(folder)
            yield type(self.tokenizer).from_pretrained(folder)

    def _pass(self, recorder: Recorder, request: Pass) -> PassResult:
        self._follow_weights()
        inputs = dict(request.inputs)
        ids = inputs.pop("input_ids")
        logits = None
        with (
            torch.set_grad_enabled(request.grad_of is not None),
            self._skipped(request),
            self.raw.hooks(fwd_hooks=list(self._hooks(recorder, request))),
        ):
            try:
                logits = self.raw(ids, return_type="logits", **inputs)
            except _Stop:
                return recorder.result(None, request.grad_of)
            # The cache that was given is filled in place.
            past = as_past(inputs[self.cache_name]) if request.cache else None
            return recorder.result(logits, request.grad_of, past)

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
        if last is not None and last.stream == "z" and Site("pattern", last.layer) in sites:
            # Where the pattern is only shown, its hook fires when attention has returned.
            last = Site("mlp_out", last.layer)

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
