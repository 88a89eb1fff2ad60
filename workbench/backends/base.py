"""What the two backends share: checking a call, positions, generation, weights, the read-out."""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from transformers import (
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from ..change import Change
from ..check import Count, NotNegative, Power, Seed, checked, number, vectors, whole
from ..edits import Edit, Set, UnchangedEdit, warns_of_unchanged
from ..encoding import encode, pad_id
from ..model import (
    Edits,
    Generation,
    Messages,
    Metric,
    Model,
    ModelSpec,
    Norm,
    Past,
    Prompts,
    Resume,
    Run,
)
from ..ordinary import ordinary_torch
from ..other_names import no_attribute
from ..site import Site
from ..tokens import Positions, Tokens, pad, token_strings
from ..turns import alone, turn_of
from . import checks, weights
from .architecture import Architecture
from .recorder import PassResult, Recorder


@dataclass(frozen=True)
class Pass:
    """One forward pass, as a backend is asked to make it.

    inputs: keyword arguments of the Hugging Face forward. rows, columns: which (row, column) of
    the final residual stream to unembed, each (batch, n); None for all; `logits` False for none.
    last: the site to end after. grad_at: the site whose activation `grad_of` is of, None for the
    logits. skip_to, resid: blocks before `skip_to` are skipped and the next
    one is given `resid`.
    """

    inputs: dict[str, Any]
    logits: bool
    rows: torch.Tensor | None
    columns: torch.Tensor | None
    last: Site | None
    grad_of: Metric | None
    cache: bool
    grad_at: Site | None = None
    skip_to: int | None = None
    resid: torch.Tensor | None = None


#: Newest first: transformers 5.24 takes "cache", 5.23 "past_key_values".
CACHE_NAMES = ("cache", "past_key_values")


@checked
class TracedModel(ABC):
    """A Hugging Face causal language model behind the seam of `workbench.Model`."""

    #: Whether an earlier run's keys and values may be used again, as seen when the model was
    #: loaded; where they may not, the same numbers come from a full pass.
    reuses_past = True
    #: How many things a block returns in a tuple, which a skipped block then has to return too; 0
    #: where it returns the residual stream by itself.
    tuple_blocks = 0

    def __init__(
        self,
        hf_model: torch.nn.Module,
        architecture: Architecture,
        tokenizer: PreTrainedTokenizerBase,
        spec: ModelSpec,
    ) -> None:
        self.tokenizer = tokenizer
        self.spec = spec
        self.architecture = architecture
        #: The Hugging Face modules by path, as they were before a backend wrapped them.
        self._modules = dict(hf_model.named_modules(remove_duplicate=False))
        self._takes = set(inspect.signature(hf_model.forward).parameters)
        #: What the forward calls the keys and values of earlier positions; transformers renamed it.
        self.cache_name = next((name for name in CACHE_NAMES if name in self._takes), "")
        self._readout_error = ""
        #: Streams that the model writes into after they were read.
        self._copied: frozenset[str] = frozenset()
        self.turn = turn_of(next(hf_model.parameters()).data_ptr())
        self.raw: Any = self._wrapped(hf_model)

    @abstractmethod
    def _wrapped(self, hf_model: torch.nn.Module) -> Any:
        """The backend's own model around a Hugging Face one; becomes `raw`."""

    def __repr__(self) -> str:
        s = self.spec
        sizes = f"{s.n_layers} layers, {s.n_heads} heads, d_model {s.d_model}"
        compared = (
            "" if s.compared else ", not compared with Hugging Face: its weights are not here"
        )
        return f"Model({s.name}, {s.backend}: {sizes}{compared})"

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(no_attribute(name))

    def __call__(self, *given: Any, **options: Any) -> Any:
        raise TypeError(
            "A model is not called here; write run = model.run(prompt), for run.logits and, with "
            "read=, activations."
        )

    def __dir__(self) -> list[str]:
        own = (*Model.__annotations__, *vars(Model))
        return sorted({name for name in own if not name.startswith("_")})

    @property
    def device(self) -> torch.device:
        return torch.device(self.spec.device)

    def handed_on(self, resid: torch.Tensor | None) -> Any:
        """What a skipped block returns: `resid`, where the others have it."""
        return (resid, *[None] * (self.tuple_blocks - 1)) if self.tuple_blocks else resid

    @abstractmethod
    def _pass(self, recorder: Recorder, request: Pass) -> PassResult:
        """One forward pass; everything it hooks is gone when it returns or raises."""

    @property
    def on_server(self) -> bool:
        """Whether the weights are elsewhere and the modules here are only their shapes."""
        return next(self.parameters()).is_meta

    def parameters(self) -> Iterator[torch.nn.Parameter]:
        """The parameters of the Hugging Face model."""
        return self._modules[""].parameters()

    def set_readout_error(self, text: str) -> None:
        """Refuse `unembed` with this text from now on; empty allows it."""
        self._readout_error = text

    # -- prompts ---------------------------------------------------------------------------------

    @alone
    def tokens(
        self,
        prompts: Prompts | None = None,
        *,
        messages: Messages | None = None,
        prepend_bos: bool | None = None,
        padding_side: Literal["right", "left"] = "right",
    ) -> Tokens:
        return encode(
            self.tokenizer,
            prompts,
            messages=messages,
            max_length=self.spec.n_ctx,
            n_ids=self.spec.d_vocab,
            prepend_bos=prepend_bos,
            side=padding_side,
            device=self.device,
        )

    def _inputs(
        self, tokens: Tokens, start: int = 0, past: Past | None = None, cache: bool = False
    ) -> dict[str, Any]:
        inputs: dict[str, Any] = {
            "input_ids": tokens.ids[:, start:],
            "attention_mask": tokens.mask.long(),
            "use_cache": self.reuses_past and (cache or past is not None),
        }
        if "position_ids" in self._takes:
            inputs["position_ids"] = tokens.position_ids[:, start:]
        if inputs["use_cache"]:
            inputs[self.cache_name] = _hf_cache(past, start)
        return inputs

    # -- running ---------------------------------------------------------------------------------

    @alone
    def run(
        self,
        tokens: Prompts,
        *,
        read: Iterable[Site | str] | Site | str = (),
        edits: Edits = (),
        n_prompt: Sequence[Count] | None = None,
        grad_of: Metric | None = None,
        grad_at: Site | str | None = None,
        logits_at: Positions = None,
        stop_after: Site | str | int | None = None,
        resume: Resume | None = None,
        cache: bool = False,
    ) -> Run:
        rows = self.tokens(tokens)
        several = [read] if isinstance(read, (Site, str)) else read
        sites = [site for each in several for site in self.spec.named(each)]
        if isinstance(edits, Change) and edits.on_weights:
            with edits.applied(self) as now:
                return now.run(
                    rows,
                    read=sites,
                    n_prompt=n_prompt,
                    grad_of=grad_of,
                    grad_at=grad_at,
                    logits_at=logits_at,
                    stop_after=stop_after,
                    resume=resume,
                    cache=cache,
                )
        changes = (
            edits.edits(self, rows, n_prompt)
            if isinstance(edits, Change)
            else [edits]
            if isinstance(edits, Edit)
            else list(edits)
        )
        for edit in changes:
            checks.check_edit(self, edit)
        n_user = len(changes)
        start, past, skip_to, resid = 0, None, None, None
        if resume is not None:
            rows, resid = checks.resumed_rows(self, rows, resume)
            if Site("resid_pre", resume.layer) in (site.whole for site in sites):
                # What is read is not the memory of what was given.
                resid = resid.clone()
            start, skip_to = resume.start, resume.layer
            past = (
                resume.past
                if resume.past is None or resume.rows is None
                else resume.past.take(resume.rows)
            )
            if not self.reuses_past and start:
                # Exact without the cache: causal attention leaves the positions before `start` as
                # they were, so the pass computes them again and is given the rest.
                # An edit for each length, as a row has no activations where its padding is.
                lengths, end = rows.lengths, skip_to == self.spec.n_layers
                entered = Site("resid_post", skip_to - 1) if end else Site("resid_pre", skip_to)
                changes[:0] = [
                    Set(
                        entered,
                        resid[same, : n - start],
                        rows=same,
                        positions=slice(start, None),
                    )
                    for n in sorted(set(lengths))
                    for same in [[r for r, length in enumerate(lengths) if length == n]]
                ]
                start, past, skip_to, resid = 0, None, None, None
        of = None
        if grad_of is not None or grad_at is not None:
            of = checks.check_gradients(self, sites, grad_of, grad_at, logits_at, stop_after)
        if of is not None:
            stop_after, logits_at = of, ()
        last = checks.last_site(self, stop_after, sites, changes)

        def recording() -> Recorder:
            return Recorder(
                rows,
                sites,
                changes,
                gradients=grad_of is not None,
                grad_at=of,
                start=start,
                copied=self._copied,
            )

        recorder = recording()
        checks.check_reachable(self, recorder, skip_to)
        logits = last is None and not checks.is_empty(logits_at)
        if not logits and last is None:
            if not recorder.sites:
                raise ValueError(
                    "A run reads a site, keeps logits, or both; this one does neither. Add read=."
                )
            last = max(recorder.sites)
        row_index, column_index = (
            checks.logit_index(self, rows, logits_at, start) if logits else (None, None)
        )
        request = Pass(
            inputs=self._inputs(rows, start, past, cache),
            logits=logits,
            rows=row_index,
            columns=column_index,
            last=last,
            grad_of=grad_of,
            cache=cache and self.reuses_past,
            grad_at=of,
            skip_to=skip_to,
            resid=resid,
        )
        done = self._pass(recorder, request)
        if done.overwritten:
            # Seen once a model, when it is loaded.
            self._copied |= done.overwritten
            done = self._pass(recording(), request)
        self._check_reached(done, changes)
        by_resume = len(changes) - n_user
        unchanged = tuple(changes[i] for i in done.unchanged if i >= by_resume)
        if n_user == 1 and unchanged and warns_of_unchanged():
            warnings.warn(
                f"{unchanged[0]!r} changed nothing: it reached its positions and left every number "
                "as it was. Check its value, or the site and positions it names.",
                UnchangedEdit,
                stacklevel=3,
            )
        return Run(
            rows, done.logits, done.activations, done.grads, done.value, unchanged, _past(done)
        )

    def _check_reached(self, done: PassResult, edits: Sequence[Edit]) -> None:
        if done.missed:
            names = ", ".join(repr(edits[i]) for i in done.missed)
            raise RuntimeError(
                f"Every edit of a run is applied; these were never reached: {names}. "
                f"{self.spec.architecture} does not compute that site here; edit another."
            )

    @ordinary_torch()
    def generate(
        self,
        tokens: Prompts,
        n_new: Count = 20,
        *,
        edits: Edits = (),
        temperature: NotNegative = 0.0,
        top_k: Count | None = None,
        top_p: Power | None = None,
        seed: Seed | None = None,
    ) -> Generation:
        prompt, change = self.tokens(tokens), Change.of(edits)
        if change.on_weights:
            options = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
            with change.applied(self) as now:
                return now.generate(prompt, n_new, **options)
        end = end_ids(self.module(""), self.tokenizer)
        sampler = Sampler(end, prompt.n_rows, temperature, top_k, top_p, seed)
        return generate(self, prompt, n_new, change, sampler)

    @alone
    def step(
        self, rows: Tokens, edits: Sequence[Edit], start: int, past: Past | None
    ) -> tuple[torch.Tensor, Past | None]:
        """(batch, d_vocab) logits at the last position, and the cache where it is of use."""
        for edit in edits:
            checks.check_edit(self, edit)
        recorder = Recorder(rows, (), edits, start=start)
        row_index, column_index = checks.logit_index(self, rows, "last", start)
        request = Pass(
            inputs=self._inputs(rows, start, past, cache=self.reuses_past),
            logits=True,
            rows=row_index,
            columns=column_index,
            last=None,
            grad_of=None,
            cache=self.reuses_past,
        )
        done = self._pass(recorder, request)
        self._check_reached(done, edits)
        assert done.logits is not None
        return done.logits[:, 0], _past(done)

    # -- weights ---------------------------------------------------------------------------------

    def _check_weights_here(self) -> None:
        if self.on_server:
            raise ValueError(
                f"The weights of {self.spec.name} are on the server; only runs reach them. Load it "
                "without remote=True to read its weights and norms."
            )

    def module(self, path: str) -> torch.nn.Module:
        """The Hugging Face module at a dotted path."""
        return self._modules[path]

    @alone
    def weight(
        self, name: str, layer: int | None = None, head: int | None = None, *, copy: bool = True
    ) -> torch.Tensor:
        self._check_weights_here()
        found = weights.weight(self.architecture, self._modules, self.spec, name, layer, head)
        stacked = layer is None and name in weights.LAYERED
        return found.clone() if copy and not stacked else found

    def live_weight(
        self, name: str, layer: int | None = None, *, tied: bool = False
    ) -> torch.Tensor:
        self._check_weights_here()
        if layer is None and name in weights.LAYERED:
            raise ValueError(
                f"A weight is written one layer at a time; got {name} of all layers. Give its "
                "layer."
            )
        view = self.weight(name, layer, copy=False)
        weights.check_written(view, self._modules, self.spec, name, tied=tied)
        return view

    @alone
    def to_hugging_face(self) -> PreTrainedModel:
        self._check_weights_here()
        hf_model: Any = self.module("")
        if getattr(hf_model, "is_quantized", False):
            raise ValueError(
                f"A copy to be trained has floating-point weights; those of {self.spec.name} are "
                "quantised. Load it without quantisation."
            )
        return weights.copied(hf_model, self._modules).to(self.device).eval()

    @alone
    def norm(self, name: str, layer: int | None = None) -> Norm | None:
        self._check_weights_here()
        return weights.norm(self.architecture, self._modules, self.spec, name, layer)

    @alone
    def unembed(self, resid: torch.Tensor) -> torch.Tensor:
        vectors("resid", resid, self.spec.d_model, "unembed takes residual vectors.")
        if self._readout_error:
            raise ValueError(self._readout_error)
        resid = resid.to(device=self.device, dtype=getattr(torch, self.spec.dtype))
        if self.architecture.has("ln_final"):
            resid = self.module(self.architecture.path("ln_final"))(resid)
        head = self.module(self.architecture.path("unembed"))
        return self.architecture.output_transform(head(resid))


def _past(done: PassResult) -> Past | None:
    return None if done.past is None else Past(done.past)


def _hf_cache(past: Past | None, start: int) -> Any:
    # Without a config every layer keeps all its keys: sliding windows are then applied by the mask,
    # so that a cache can be cut at any position.
    cache = DynamicCache()
    if past is not None:
        for layer, (keys, values) in enumerate(past.layers):
            cache.update(keys[:, :, :start].clone(), values[:, :, :start].clone(), layer)
    return cache


def generate(
    model: TracedModel,
    prompt: Tokens,
    n: int,
    change: Change,
    sampler: Sampler,
) -> Generation:
    """The loop behind `Model.generate`. Raises `ValueError` for more than the model reads."""
    # The last new token is not read.
    if (longest := max(prompt.lengths)) + n - 1 > model.spec.n_ctx:
        raise ValueError(
            f"This model reads at most {model.spec.n_ctx} tokens; the prompt has {longest} and {n} "
            "more are asked for, of which all but the last are read. Ask for fewer, or shorten the "
            "prompt."
        )
    # Padding on the left keeps each row's tokens together while new ones are appended.
    filler = pad_id(model.tokenizer, model.spec.d_vocab)
    lists = [ids[mask].tolist() for ids, mask in zip(prompt.ids, prompt.mask, strict=True)]
    prompt = pad(lists, prompt.strings, pad_id=filler, side="left", device=model.device)
    new: list[list[int]] = [[] for _ in lists]
    held, n_prompt = change.decided(model, prompt), list(prompt.lengths)
    rows, past = prompt, None
    for _ in range(n):
        start = 0 if past is None else rows.n_columns - 1
        logits, past = model.step(rows, held.laid(rows, n_prompt, start), start, past)
        for r, token in sampler.pick(logits):
            new[r].append(token)
        if sampler.finished:
            break
        last = [more[-1] if r in sampler.open else filler for r, more in enumerate(new)]
        rows = _append(rows, last)
    rows_of_ids = [[*ids, *more] for ids, more in zip(lists, new, strict=True)]
    strings = [
        [*s, *token_strings(model.tokenizer, more)]
        for s, more in zip(prompt.strings, new, strict=True)
    ]
    texts = tuple(str(model.tokenizer.decode(ids, skip_special_tokens=True)) for ids in rows_of_ids)
    tokens = pad(rows_of_ids, strings, pad_id=filler, device=model.device)
    return Generation(tokens, tuple(map(tuple, new)), texts)


def _append(tokens: Tokens, ids: Sequence[Any]) -> Tokens:
    """Each row with one more token."""
    column = torch.tensor(ids, dtype=torch.long, device=tokens.ids.device)[:, None]
    strings = tuple((*s, "") for s in tokens.strings)
    mask = torch.cat([tokens.mask, torch.ones_like(column, dtype=torch.bool)], 1)
    return Tokens(torch.cat([tokens.ids, column], 1), mask, strings, tokens.side)


def end_ids(hf_model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a text: the model's, as Hugging Face's `generate` takes them, from its
    generation configuration and else from its configuration, and the tokenizer's own.
    """
    of_model = getattr(getattr(hf_model, "generation_config", None), "eos_token_id", None)
    if of_model is None:
        of_model = getattr(hf_model.config.get_text_config(), "eos_token_id", None)
    given = [end for end in (of_model, tokenizer.eos_token_id) if end is not None]
    return frozenset(int(i) for end in given for i in torch.as_tensor(end).flatten().tolist())


class Sampler:
    """Picks one token a row and step until every row has ended.

    end: the tokens of which each ends its row.

    Raises `ValueError` for sampling options out of range, or given without a temperature.
    """

    def __init__(
        self,
        end: Collection[int],
        n_rows: int,
        temperature: float,
        top_k: int | None,
        top_p: float | None,
        seed: int | None,
    ) -> None:
        if (temperature := number("temperature", temperature)) < 0:
            raise ValueError(f"A temperature is 0 (greedy) or above; got {temperature}.")
        if temperature == 0 and (top_k is not None or top_p is not None):
            raise ValueError(
                "top_k and top_p sample, and temperature=0 is greedy; give a temperature above 0."
            )
        self._warpers: list[Any] = []
        if temperature > 0:
            self._warpers.append(TemperatureLogitsWarper(temperature))
            if top_k is not None:
                self._warpers.append(TopKLogitsWarper(whole("top_k", top_k, 1)))
            if top_p is not None:
                self._warpers.append(TopPLogitsWarper(number("top_p", top_p, 0, 1)))
        self._generator = (
            None
            if seed is None
            else torch.Generator("cpu").manual_seed(whole("seed", seed, 0, 2**63 - 1))
        )
        self._end = end
        self.open = set(range(n_rows))

    @property
    def finished(self) -> bool:
        return not self.open

    def pick(self, logits: torch.Tensor) -> Iterator[tuple[int, int]]:
        """(row, token) for each row that goes on. logits: (batch, d_vocab)."""
        chosen = logits.argmax(-1)
        if self._warpers:
            scores = logits.float().cpu()
            for warp in self._warpers:
                scores = warp(None, scores)
            chosen = torch.multinomial(scores.softmax(-1), 1, generator=self._generator)[:, 0]
        for row in sorted(self.open):
            token = int(chosen[row])
            if token in self._end:
                self.open.discard(row)
            yield row, token
