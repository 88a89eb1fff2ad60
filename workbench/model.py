"""The seam: what every method asks of a model, and what a run gives back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol, Union, runtime_checkable

import torch
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from .check import Count, Later, NotNegative, Power, Seed, checked, vectors
from .edits import Edit
from .site import GLOBAL_STREAMS, STREAMS, Site
from .tokens import Positions, Tokens
from .turns import Turn

#: Held against its rule where it is read, by `Model.tokens`.
Prompts = Annotated[str | Sequence[str] | Sequence[Sequence[int]] | Tokens, Later()]
Messages = Annotated[Sequence[Mapping[str, Any]] | Sequence[Sequence[Mapping[str, Any]]], Later()]
#: Edits, one or several, or a `Change`, which is made of this module's words and so comes later.
Edits = Union[Iterable[Edit], Edit, "Change"]  # noqa: F821  # pyright: ignore
Metric = Callable[["torch.Tensor"], "torch.Tensor"]


@checked
@dataclass(frozen=True)
class Norm:
    """A layer or RMS norm as numbers: x / scale(x) · weight + bias, x less its mean if `centers`.

    weight and bias are (d_model) and what multiplies and is added in the end, whatever the module
    stores (Gemma stores weight − 1).
    """

    centers: bool
    weight: torch.Tensor
    bias: torch.Tensor
    epsilon: float

    def center(self, x: torch.Tensor) -> torch.Tensor:
        """x, less its mean over the last axis where the norm takes it away."""
        vectors("x", x, self.weight.shape[-1])
        return x - x.mean(-1, keepdim=True) if self.centers else x

    def scale(self, x: torch.Tensor) -> torch.Tensor:
        """(…, 1): what the norm divides x by."""
        return (self.center(x).pow(2).mean(-1, keepdim=True) + self.epsilon).sqrt()

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        shape = self.weight.shape
        vectors("x", x, shape[-1])
        if self.centers:
            return functional.layer_norm(x, shape, self.weight, self.bias, self.epsilon)
        return functional.rms_norm(x, shape, self.weight, self.epsilon) + self.bias

    def pull_back(self, x: torch.Tensor, grad: torch.Tensor) -> torch.Tensor:
        """The gradient at x, given the gradient at norm(x); both broadcast."""
        vectors("grad", grad, self.weight.shape[-1])
        centred, scale = self.center(x) / self.scale(x), self.scale(x)
        inner = grad * self.weight
        along = (inner * centred).mean(-1, keepdim=True)
        return self.center(inner - centred * along) / scale


@dataclass(frozen=True)
class ModelSpec:
    """What a model is: its name, its sizes, and which sites it has.

    `n_kv_heads` is smaller than `n_heads` under grouped queries. What the unembedding gives is
    multiplied by `logit_scale` and, with a `soft_cap`, becomes cap · tanh(logit / cap). What the
    weights of attention and MLP give is multiplied by `residual_multiplier` before it is added to
    the residual stream; attn_out and mlp_out have it in them. `n_experts`: of each layer that is a
    mixture of experts, 0 where none is; there "router" is what each expert's output is multiplied
    by (0 where it is not chosen) and "expert_out" the product, which with what shared experts give
    adds up to mlp_out (before a post-norm). `streams` are those that can be read;
    `layers_of` says on which layers, for a stream that is not on every one (attention of a hybrid,
    neurons of a model whose other layers are mixtures of experts); `read_only` those of them whose
    edits cannot reach the logits on this backend. `joint_qk_norm`: a norm spans the queries of all
    heads, so that none stands alone. `undecomposed`: which sums do not hold in this model and why:
    "stream" (what blocks add to the residual stream), "heads" (a layer's attention output as a sum
    over its heads), "neurons" (an MLP's output as a sum over its neurons), "readers" (queries,
    keys, values and the MLP's input as a norm and a projection of the residual stream).
    `compared`: whether the logits were compared with plain Hugging Face's when the model was
    loaded.
    """

    name: str
    backend: str
    architecture: str
    revision: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    d_vocab: int
    n_ctx: int
    dtype: str
    device: str
    n_experts: int = 0
    parallel: bool = False
    joint_qk_norm: bool = False
    logit_scale: float = 1.0
    soft_cap: float | None = None
    residual_multiplier: float = 1.0
    streams: tuple[str, ...] = ()
    read_only: tuple[str, ...] = ()
    layers_of: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False)
    undecomposed: Mapping[str, str] = field(default_factory=dict, hash=False)
    compared: bool = True

    @property
    def sites(self) -> tuple[Site, ...]:
        """Every site of the model, whole streams, in the order of a forward pass."""
        once = [Site(s) for s in self.streams if s in GLOBAL_STREAMS]
        each = [
            Site(s, layer)
            for s in self.streams
            if s not in GLOBAL_STREAMS
            for layer in self.layers(s)
        ]
        return tuple(sorted(once + each))

    @checked
    def layers(self, stream: str) -> tuple[int, ...]:
        """The layers that a stream is on; none where the model does not have it."""
        if stream not in self.streams:
            return ()
        return self.layers_of.get(stream, tuple(range(self.n_layers)))

    @checked
    def check_sums(self, *sums: Literal["stream", "heads", "neurons", "readers"]) -> None:
        """See that the model is the sum that a decomposition by weights takes it for.

        sums: of "stream", "heads", "neurons", "readers", as in `undecomposed`. Raises `ValueError`
        that names the architecture and the reason.
        """
        for name in sums:
            if name in self.undecomposed:
                raise ValueError(self.undecomposed[name])

    def named(self, site: Site | str) -> list[Site]:
        """The sites that a name stands for: of a stream without a layer those of all its layers."""
        each_layer = isinstance(site, str) and site in self.streams and site not in GLOBAL_STREAMS
        if each_layer:
            return [Site(str(site), layer) for layer in self.layers(str(site))]
        return [self.check(site)]

    @checked
    def check(self, site: Site | str, *, edit: bool = False) -> Site:
        """The parsed site, if this model has it (and, with `edit`, can change it).

        Raises `ValueError` that names what the model has instead.
        """
        site = Site.parse(site)
        if site.stream not in self.streams:
            parallel = self.parallel and site.stream == "resid_mid"
            why = " Its attention and MLP run in parallel." if parallel else ""
            raise ValueError(
                f"{self.architecture} has no {site.stream} on the {self.backend} backend.{why} "
                f"It has {', '.join(self.streams)}."
            )
        if edit and site.stream in self.read_only:
            raise ValueError(
                f"{site} is read-only: on the {self.backend} backend an edit of {site.stream} does "
                "not reach "
                f"the logits of {self.architecture}. Use the other backend, or edit another site."
            )
        if site.layer is not None and site.layer >= self.n_layers:
            raise ValueError(
                f"{self.name} has layers 0 to {self.n_layers - 1}; got layer {site.layer}."
            )
        n_heads = self.n_kv_heads if site.stream in ("k", "v") else self.n_heads
        here = self.layers_of.get(site.stream)
        if here is not None and site.layer not in here:
            raise ValueError(
                f"{self.architecture} has {site.stream} on its layers {_ranges(here)} only, on the "
                f"{self.backend} backend; got {site}."
            )
        if site.head is not None and site.head >= n_heads:
            kind = "key/value heads" if n_heads != self.n_heads else "heads"
            raise ValueError(
                f"{self.name} has {kind} 0 to {n_heads - 1} in {site.stream}; got head {site.head}."
            )
        if site.unit is not None:
            units = {"mlp_pre": "neurons", "mlp_post": "neurons", "router": "experts"}
            kind = units.get(site.stream)
            if kind is None:
                raise ValueError(
                    f"{site} names a feature, which a dictionary reads, not the model; "
                    f"read {site.whole} and encode it with a dictionary."
                )
            n = self.n_experts if kind == "experts" else self.d_mlp
            if site.unit >= n:
                raise ValueError(
                    f"{self.name} has {kind} 0 to {n - 1} a layer; got {kind[:-1]} {site.unit}."
                )
        return site


def _ranges(layers: Sequence[int]) -> str:
    """Numbers of layers in words: "0 to 3, 7"."""
    runs: list[list[int]] = []
    for layer in layers:
        if runs and layer == runs[-1][-1] + 1:
            runs[-1].append(layer)
        else:
            runs.append([layer])
    return ", ".join(str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs)


@checked
@dataclass(frozen=True)
class Resume:
    """Start a pass at `layer` instead of at the tokens.

    resid: (row, pos, d_model), the residual stream that enters the layer; its rows may outnumber
    the prompts. rows: for each, the prompt row whose ids, mask and positions it follows; None pairs
    them one to one. start: the first position that is computed; what lies before it is read from
    `past`, the `Run.past` of an earlier run of the same prompts, and `resid` begins at `start`.
    """

    layer: int
    resid: torch.Tensor
    rows: Sequence[int] | None = None
    start: int = 0
    past: Past | None = None


@checked
@dataclass(frozen=True)
class Past:
    """The cached keys and values of a run: for each layer a pair of (batch, head, pos, d_head)."""

    layers: tuple[tuple[torch.Tensor, torch.Tensor], ...]

    @property
    def n_columns(self) -> int:
        """How many positions are cached."""
        return self.layers[0][0].shape[2]

    def take(self, rows: Sequence[int]) -> Past:
        """The given rows, in that order, repeats allowed."""
        index = list(rows)
        return Past(tuple((keys[index], values[index]) for keys, values in self.layers))


@dataclass(frozen=True)
class Run:
    """What one pass gave: torch tensors on the model's device.

    tokens: the rows that ran. logits: (batch, pos, d_vocab) at the positions asked for, None where
    none were. activations, grads: by site; a head's or a neuron's own site is sliced from the whole
    stream. An activation is as the rest of the pass saw it, edits included. value: the metric of
    `grad_of`, one number an example. unchanged: edits that left their activation bit-equal.
    past: cached keys and values, if asked for.
    """

    tokens: Tokens
    logits: torch.Tensor | None = None
    activations: Mapping[Site, torch.Tensor] = field(default_factory=dict)
    grads: Mapping[Site, torch.Tensor] = field(default_factory=dict)
    value: torch.Tensor | None = None
    unchanged: tuple[Edit, ...] = ()
    past: Past | None = None

    def __getitem__(self, site: Site | str) -> torch.Tensor:
        """The activation of a site that was read. Raises `KeyError` naming what was read."""
        return _lookup(self.activations, site, "read")

    def grad(self, site: Site | str) -> torch.Tensor:
        """The gradient of the metric at a site that was read, shaped like its activation."""
        return _lookup(self.grads, site, "differentiated")

    def __repr__(self) -> str:
        shape = "none" if self.logits is None else tuple(self.logits.shape)
        return f"Run(logits {shape}, {len(self.activations)} sites read)"


def _lookup(stored: Mapping[Site, torch.Tensor], name: Site | str, verb: str) -> torch.Tensor:
    site = Site.parse(name)
    if site in stored:
        return stored[site]
    if site.whole in stored:
        return narrow(stored[site.whole], site)
    names = ", ".join(str(s) for s in sorted(stored)) or "nothing"
    raise KeyError(f"{site} was not {verb} in this run, which has {names}. Add it to read=.")


def narrow(activation: torch.Tensor, site: Site) -> torch.Tensor:
    """The part of a whole stream's activation that a head's or a neuron's site names."""
    if site.head is not None:
        return activation.select(STREAMS[site.stream].index("head"), site.head)
    if site.unit is not None:
        return activation[..., site.unit]
    return activation


@dataclass(frozen=True)
class Generation:
    """Prompts and what followed: `texts` and, row by row, `tokens` (prompt and new), `new` ids."""

    tokens: Tokens
    new: tuple[tuple[int, ...], ...]
    texts: tuple[str, ...]

    def __repr__(self) -> str:
        return "\n".join(self.texts)


@runtime_checkable
class Model(Protocol):
    """A traced language model: the one interface between methods and backends.

    `raw` is nnsight's `TransformersModel` or TransformerLens's `TransformerBridge`, for a trace of
    your own. Runs of several threads take turns (`turn`), a block of edited weights included. What
    is read is the reader's own: writing into it changes no model.
    """

    spec: ModelSpec
    tokenizer: PreTrainedTokenizerBase
    raw: Any
    turn: Turn

    def tokens(
        self,
        prompts: Prompts | None = None,
        *,
        messages: Messages | None = None,
        prepend_bos: bool | None = None,
        padding_side: Literal["right", "left"] = "right",
    ) -> Tokens:
        """The prompts, or a chat, as `Tokens` on the model's device.

            model.tokens("The capital of France is")
            model.tokens(messages=[{"role": "user", "content": "What is the capital of France?"}])

        prompts: a text, several, or lists of token ids, which are taken as they are, like `Tokens`.
        messages: a chat, or a list of chats, written by the tokenizer's chat template up to where
        the answer begins; one that ends with the assistant's message is open behind its last word.
        prepend_bos: None puts the start token before a text where the tokenizer does so by itself,
        True always, False never. A text that begins with it gets no second one, and the chat
        template alone decides about a chat, unless True is given. An end token that the tokenizer
        would append is left out, so that "last" is the last token of the text.

        Raises `TypeError` for what is neither text nor ids, or no message, and `ValueError` for
        what is empty, longer than the model reads, or outside its vocabulary, for a text that the
        tokenizer cannot read, and for messages where there is no chat template.
        """
        ...

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
        """One forward pass: reads, edits, and on request gradients.

        read: sites to keep; a stream, "resid_post", is its site in every layer. edits: applied in
        the order of the pass, those of one site in the order given; or a `Change`. n_prompt: how
        many tokens of each row are prompt, so that the others count as new for a change; None: all
        are prompt. grad_of: a function from logits (batch, pos, d_vocab) to one number an example;
        the run then holds its gradient at every site read. grad_at: a site, of whose activation,
        edits included, `grad_of` is then a function in place of the logits; the pass ends there.
        logits_at: positions to unembed, None for all, () for none. stop_after: end the pass after
        this site (a number: that layer), with no logits. resume: start at a layer. cache: keep keys
        and values for a later `Resume`, where this model's can be used again (else `past` is None
        and not needed).
        """
        ...

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
        """The prompts continued by up to `n_new` tokens, greedily unless `temperature` is above 0.

        A row ends with the first end token: the model's generation configuration names them (else
        its configuration), and the tokenizer. A chat is continued with
        `model.generate(model.tokens(messages=…))`. edits: as in `run`; a `Change` says whether it
        acts while the prompt is read, on the new tokens (and which), or on both.
        """
        ...

    def unembed(self, resid: torch.Tensor) -> torch.Tensor:
        """(…, d_model) → (…, d_vocab): the model's own final norm, unembedding and soft-cap.

        Computed in the model's dtype, and differentiable in `resid`. Raises `ValueError` where
        these do not give the model's logits.
        """
        ...

    def norm(self, name: str, layer: int | None = None) -> Norm | None:
        """A norm by TransformerLens's name: ln1, ln2, ln1_post, ln2_post of a layer, or ln_final.

        None where the model has no such norm. Raises `ValueError` for another name, and for a norm
        of another form than `Norm`.
        """
        ...

    def weight(
        self, name: str, layer: int | None = None, head: int | None = None, *, copy: bool = True
    ) -> torch.Tensor:
        """A weight by TransformerLens's name (W_E, W_U, W_Q, W_in, b_out, …), in its layout.

        What is done to it leaves the model as it is. copy: False spares memory; write nothing then.
        """
        ...

    def live_weight(
        self, name: str, layer: int | None = None, *, tied: bool = False
    ) -> torch.Tensor:
        """The weight as `weight` gives it, and live: what is written into it, the next run uses.

        `Change(…).applied(model)` writes into it and puts everything back. tied: accept a parameter
        that goes by several names, as tied embeddings do. Raises `ValueError` as `weight` does, for
        all layers at once, for a bias the model does not have, and for tied weights.
        """
        ...

    def to_hugging_face(self) -> PreTrainedModel:
        """A plain Hugging Face model with a copy of these weights, to be trained or saved.

        `wb.load(hf_model, tokenizer=…)` takes it back. Raises `ValueError` where the weights are on
        a server or quantised.
        """
        ...
