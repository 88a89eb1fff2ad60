"""The TransformerLens backend: a pass with its reads, edits and gradients is one hooked pass."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformer_lens.model_bridge.generalized_components.attention import AttentionBridge
from transformer_lens.model_bridge.generalized_components.base import GeneralizedComponent
from transformer_lens.model_bridge.generalized_components.normalization import NormalizationBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module

from ..site import Site
from .architecture import Tap
from .base import Pass, TracedModel
from .places import Places
from .recorder import PassResult, Recorder, cached

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
        self._taps, self._bridged = self._find_taps()

    def _find_taps(self) -> tuple[list[Tap], dict[str, Any]]:
        """The taps of this model, and the module to hook for each path.

        That is the bridge of a module, where there is one: some compute in place of what they wrap.
        Those that take a joint projection apart have a module of their own for each part.
        """
        bridges: dict[int, Any] = {}
        for component in self.raw.modules():
            if isinstance(component, GeneralizedComponent) and component.name is not None:
                bridges.setdefault(id(component.original_component), component)
        taps, modules = [], {}
        for tap in self.architecture.taps(self.spec.n_layers):
            if tap.layer is not None:
                block = self.raw.blocks[tap.layer]
                if tap.streams == ("q", "k", "v") and hasattr(block.attn, "split_qkv_matrix"):
                    for name in tap.streams:
                        path = f"{tap.path}.{name}"
                        taps.append(replace(tap, path=path, streams=(name,), form=None))
                        modules[path] = getattr(block.attn, name)
                    continue
                if tap.form == "gate and up" and hasattr(block.mlp, "split_gate_up_matrix"):
                    tap = replace(tap, path=f"{tap.path}.gate", form=None)
                    modules[tap.path] = block.mlp.gate
            taps.append(tap)
            if tap.path not in modules:
                module = self.module(tap.path)
                modules[tap.path] = bridges.get(id(module), module)
        return taps, modules

    def _find_splits(self) -> Iterator[_Split]:
        for layer in range(self.spec.n_layers):
            if not self.architecture.has("qkv", layer):
                continue
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
        try:
            with self._own_tokenizer() as tokenizer:
                bridge = build_bridge_from_module(
                    hf_model,
                    self.architecture.adapter,
                    hf_config=hf_model.config,
                    tokenizer=tokenizer,
                    model_name=self.spec.name,
                )
        except Exception as error:  # whatever a bridge raises for a setting it was not made for
            said = f"{str(error) or type(error).__name__}".splitlines()[0][:200]
            raise ValueError(
                f"TransformerLens cannot put a bridge around {self.spec.name} "
                f"({self.architecture.name}) as it is set: {said}. Load it with backend='nnsight'."
            ) from None
        # Its own copies of joint weights are made to be trained, and ours are not.
        for parameter in bridge.parameters():
            parameter.requires_grad_(False)
        for component in bridge.modules():
            # One that computes attention itself looks for the cache under its old names. One that
            # hands everything on to the module it wraps has to pass it on as it came.
            own = getattr(type(component), "forward", None)
            if isinstance(component, AttentionBridge) and own is not AttentionBridge.forward:
                component.register_forward_pre_hook(_old_cache_name, with_kwargs=True)
            if isinstance(component, NormalizationBridge):
                # Run the norm that was given, and not a formula with the configuration's numbers.
                component.use_native_layernorm_autograd = True
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
        places = Places(recorder, self.spec, ids.shape[0])
        with (
            torch.set_grad_enabled(request.grad_of is not None),
            self._skipped(request),
            self._hooked(places, request),
            self.raw.hooks(fwd_hooks=list(self._hook_points(recorder, request))),
        ):
            try:
                logits = self.raw(ids, return_type="logits", **inputs)
            except _Stop:
                return recorder.result(None, request.grad_of)
            # The cache that was given is filled in place.
            past = cached(inputs[self.cache_name]) if request.cache else None
            return recorder.result(logits, request.grad_of, past)

    @contextmanager
    def _hooked(self, places: Places, request: Pass) -> Iterator[None]:
        """Torch hooks on the modules that have the sites of a pass.

        A bridge's own hook points are used for the inside of attention alone: on other places they
        differ from what is added to the residual stream where a family scales it.
        """
        first = request.skip_to or 0
        entering = first if request.resid is not None and first < self.spec.n_layers else None
        last = request.last
        if last is not None and last.stream == "z" and places.recorder.wants("pattern", last.layer):
            # Where the pattern is only shown, its hook fires when attention has returned.
            last = Site("mlp_out", last.layer)
        handles = []
        for tap in places.taps(self._taps, first, last, entering):
            if tap.end == "experts":
                handles += self._hook_experts(places, tap, last)
            elif tap.end != "softmax":
                handles.append(self._hook(places, tap, request, last))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, places: Places, tap: Tap, request: Pass, last: Site | None) -> Any:
        entering = request.resid is not None and tap.layer == (request.skip_to or 0)
        stops = last is not None and any(Site(s, tap.layer) == last for s in tap.streams)

        def visit(value: Any) -> Any:
            if entering and tap.streams == ("resid_pre",):
                value = request.resid
            new = places.visit(tap, value)
            if stops:
                raise _Stop
            return new

        def before(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            if args:
                return (visit(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": visit(kwargs["hidden_states"])}

        module = self._bridged[tap.path]
        if tap.end == "input":
            return module.register_forward_pre_hook(before, with_kwargs=True)
        return module.register_forward_hook(lambda module, args, output: visit(output))

    def _hook_experts(self, places: Places, tap: Tap, last: Site | None) -> list[Any]:
        given: list[tuple[Any, ...]] = []

        def before(module: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
            given[:] = [places.route(tap, args)]
            return given[0]

        def after(module: Any, args: tuple[Any, ...], output: Any) -> Any:
            new = places.experts(tap, self.module(tap.path), given[0], output)
            if last in [Site(s, tap.layer) for s in tap.streams]:
                raise _Stop
            return new

        module = self._bridged[tap.path]
        return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]

    def _hook_points(self, recorder: Recorder, request: Pass) -> Iterator[Hook]:
        """The bridge's own hooks: inside attention, and where the logits are asked for."""
        for site in recorder.sites:
            if site.stream in ("attn_scores", "pattern"):
                yield site.hook, self._inside(recorder, request, site)
        if request.logits and request.columns is not None:

            def gather(resid: torch.Tensor, hook: Any) -> torch.Tensor:
                return resid[request.rows, request.columns]

            yield "unembed.hook_in", gather

    @staticmethod
    def _inside(
        recorder: Recorder, request: Pass, site: Site
    ) -> Callable[[torch.Tensor, Any], torch.Tensor]:
        def hook(activation: torch.Tensor, hook: Any) -> torch.Tensor:
            new = recorder.visit(site.stream, site.layer, activation)
            if site == request.last:
                raise _Stop
            return new

        return hook

    @contextmanager
    def _skipped(self, request: Pass) -> Iterator[None]:
        """Blocks before the one that a pass resumes at hand the residual stream on untouched."""
        blocks = [self.raw.blocks[layer] for layer in range(request.skip_to or 0)]
        resid = self.handed_on(request.resid)

        def through(*args: Any, **kwargs: Any) -> Any:
            return resid

        # In the instance's own dictionary, since a bridge passes attributes on to what it wraps.
        for block in blocks:
            block.__dict__["forward"] = through
        try:
            yield
        finally:
            for block in blocks:
                del block.__dict__["forward"]
