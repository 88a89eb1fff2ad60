"""Contributions: what every part of one forward pass adds to what it is added to, as numbers.

A part's vector is projected on a direction of the state that receives it: on the state itself
("state": the shares of all parts add up to 1), or on the gradient of an answer there ("answer": the
parts add up to the state's own contribution, in logits).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from ..model import Model, Run
from ..site import Site
from ..tokens import Tokens
from ..vocabulary.projection import n_words
from ..writers import head_gain, tolerance

Measure = Literal["state", "answer"]
FinalNorm = Literal["held", "real"]


@dataclass(frozen=True, eq=False)
class LayerContributions:
    """What one layer's parts add, at every position of one prompt, as numpy arrays.

    carried: (pos,) of the residual stream before attention to that after it; None in a parallel
    block, whose heads and neurons all write to the layer's end. carried_on: (pos,) from there to
    the end. total, total_on: (pos,) what everything that is written into the two states adds up to.
    heads: (pos, head). values: (dst, head, src) what each source's value brings into a head's
    output. keys: the same shape, what the head's attention to a source adds over attending to the
    others; queries: (pos, head) what its attention adds over attending evenly; both are None by
    "state". neurons:
    (pos, n) the largest of each position, by size, and neuron_ids their numbers; others: (pos,) all
    else that the MLP writes, its bias included.
    """

    carried: np.ndarray | None
    carried_on: np.ndarray
    total: np.ndarray | None
    total_on: np.ndarray
    heads: np.ndarray
    values: np.ndarray
    queries: np.ndarray | None
    keys: np.ndarray | None
    neurons: np.ndarray
    neuron_ids: np.ndarray
    others: np.ndarray


@dataclass(frozen=True, eq=False)
class Answer:
    """The answer of a pass as a function of the last residual stream: what gradients are of.

    The logit of `target` less that of `foil`, or where that is None less the mean of all logits; a
    target of None is the most likely token. With `held` the final norm divides by what it divides
    by in this pass, as in direct logit attribution, so that what is written into the last state
    adds up to the answer less its biases. With the real norm contributions are slopes: a vector
    also counts for how it makes all others smaller, and the last state's own comes out as 0.
    """

    model: Model
    column: int
    target: int | None
    foil: int | None
    held: bool = True

    def __call__(self, resid: torch.Tensor) -> torch.Tensor:
        """(batch,) from (batch, pos, d_model), in logits before any soft-cap."""
        x = full(resid[:, self.column])
        norm, w_u = self.model.norm("ln_final"), self.model.weight("W_U", copy=False)
        chosen = w_u[:, self.chosen(resid[0, self.column])]
        # The mean is taken without a copy of the matrix in another precision.
        away = w_u.mean(1, dtype=x.dtype) if self.foil is None else w_u[:, self.foil]
        if norm is not None:
            scale = norm.scale(x)
            x = norm.center(x) / (scale.detach() if self.held else scale) * full(norm.weight)
        return (x @ (full(chosen) - full(away))) * self.model.spec.logit_scale

    def chosen(self, resid: torch.Tensor) -> int:
        """The id of the answer, given the last state (d_model) where it is read."""
        if self.target is not None:
            return self.target
        return int(self.model.unembed(resid.detach())[..., : n_words(self.model)].argmax())


class PassParts:
    """One prompt's forward pass, taken apart; with `answer` also its gradients.

    Raises `ValueError` for a model whose sites cannot be read on this backend, where a head's
    output is not the sum of the values that it attends to, and where the stream is not the sum of
    what heads and neurons write.
    """

    def __init__(self, model: Model, tokens: Tokens, answer: Answer | None = None) -> None:
        self.model, self.tokens = model, tokens
        spec = model.spec
        needed = ("pattern", "q", "k", "v", "z", "mlp_post", "mlp_out", "resid_post", "resid_pre")
        spec.check_sums("stream")
        if missing := [name for name in needed if len(spec.layers(name)) < spec.n_layers]:
            raise ValueError(
                f"A graph of a pass reads {', '.join(needed)} of every layer; {spec.architecture} "
                f"has no {missing[0]} there on the {spec.backend} backend. Load the model with the "
                "other one, if that has it (model.spec.streams), or read states with wb.logit_lens."
            )
        spec.check_sums("heads", "neurons", "readers")
        streams = [*needed[:-1], *([] if spec.parallel else ["resid_mid"])]
        read = [Site(s, layer) for s in streams for layer in range(spec.n_layers)]
        last = Site("resid_post", spec.n_layers - 1)
        with torch.set_grad_enabled(answer is not None):
            self.run: Run = model.run(
                tokens,
                read=sorted([Site("resid_pre", 0), *read]),
                grad_of=answer,
                grad_at=None if answer is None else last,
                logits_at=() if answer is None else None,
            )
        self.measure: Measure = "state" if answer is None else "answer"

    def state(self, name: str, layer: int) -> torch.Tensor:
        """(pos, d_model): resid_pre, resid_mid, resid_post or mlp_out of a layer."""
        return self._of(self.run.activations, name, layer)

    def grad(self, name: str, layer: int) -> torch.Tensor:
        """(pos, d_model): the gradient of the metric there."""
        return self._of(self.run.grads, name, layer)

    def _of(self, stored: object, name: str, layer: int) -> torch.Tensor:
        # Between two blocks the stream is one activation under two names; the later is read.
        if name == "resid_pre" and layer > 0:
            name, layer = "resid_post", layer - 1
        return full(stored[Site(name, layer)][0])  # type: ignore[index]

    def _direction(self, name: str, layer: int) -> torch.Tensor:
        """(pos, d_model): what parts of a state are projected on."""
        if self.measure == "answer":
            return self.grad(name, layer)
        x = self.state(name, layer)
        size = x.pow(2).sum(-1, keepdim=True)
        return x / size.where(size > 0, 1)

    def head_outputs(self, layer: int) -> tuple[torch.Tensor, torch.Tensor]:
        """(pos, head, d_model) what heads write, and (pos or 1, d_model) what scales it."""
        z = full(self.run[Site("z", layer)][0])
        w_o = full(self.model.weight("W_O", layer, copy=False))
        gain = full(head_gain(self.model, layer, self.run[Site("z", layer)][0]))
        gain = gain.expand(1, w_o.shape[-1]) if gain.ndim == 1 else gain
        return torch.einsum("phd,hdm->phm", z, w_o) * gain[:, None], gain

    def source_values(self, layer: int) -> torch.Tensor:
        """(pos, head, d_head): each position's value, as each head reads it."""
        v = full(self.run[Site("v", layer)][0])
        return v.repeat_interleave(self.model.spec.n_heads // v.shape[1], 1)

    def neuron_gain(self, layer: int) -> torch.Tensor:
        """(pos or 1, d_model): what multiplies the sum of the neurons on its way to the stream."""
        spec, norm = self.model.spec, self.model.norm("ln2_post", layer)
        multiplier = spec.residual_multiplier
        if norm is None:
            return torch.full((1, spec.d_model), multiplier, device=self.run.tokens.ids.device)
        if norm.centers:
            raise ValueError(
                f"The neurons of {self.model.spec.name} are not told apart: a norm that centres "
                "follows its MLPs. Read mlp_out with wb.logit_lens instead."
            )
        posts = full(self.run[Site("mlp_post", layer)][0])
        summed = posts @ self._w_out(layer)
        summed = summed + full(self.model.weight("b_out", layer))
        return multiplier * full(norm.weight) / norm.scale(summed)

    def layer(self, layer: int, n_neurons: int) -> LayerContributions:
        """Everything that one layer's parts add; of the neurons the largest at each position."""
        parallel = self.model.spec.parallel
        middle = "resid_post" if parallel else "resid_mid"
        after_attention = self._direction(middle, layer)
        at_end = self._direction("resid_post", layer)
        before = self.state("resid_pre", layer)
        outputs, gain = self.head_outputs(layer)
        self._check_stream(layer, outputs, gain)
        heads = torch.einsum("phm,pm->ph", outputs, after_attention)
        # What a head's parts are projected on: where its output goes, or the output itself.
        toward = after_attention[:, None].expand_as(outputs)
        if self.measure == "state":
            size = outputs.pow(2).sum(-1, keepdim=True)
            toward = outputs / size.where(size > 0, 1)
        values, queries, keys = self._sources(layer, toward * gain[:, None])
        neurons, ids = self._neurons(layer, at_end, n_neurons)
        written = (self.state("mlp_out", layer) * at_end).sum(-1)

        def on(x: torch.Tensor, direction: torch.Tensor) -> np.ndarray:
            return _numpy((x * direction).sum(-1))

        mid = self.state(middle, layer)
        return LayerContributions(
            carried=None if parallel else on(before, after_attention),
            carried_on=on(before if parallel else mid, at_end),
            total=None if parallel else on(mid, after_attention),
            total_on=on(self.state("resid_post", layer), at_end),
            heads=_numpy(heads),
            values=_numpy(values),
            queries=None if queries is None else _numpy(queries),
            keys=None if keys is None else _numpy(keys),
            neurons=_numpy(neurons),
            neuron_ids=_numpy(ids),
            others=_numpy(written - neurons.sum(-1)),
        )

    def _sources(
        self, layer: int, toward: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]:
        """What each source brings into each head: by its value and, for an answer, by its key."""
        w_o = full(self.model.weight("W_O", layer, copy=False))
        v = self.source_values(layer)
        # Some models compute their softmax in another precision than the rest.
        pattern = self.run[Site("pattern", layer)][0].to(v.dtype).transpose(0, 1)
        self._check_sums(layer, pattern, v)
        per_value = torch.einsum("hdm,phm->phd", w_o, toward)
        each = torch.einsum("phd,shd->phs", per_value, v)
        values = pattern * each
        if self.measure == "state":
            return values, None, None
        # Both to first order: to attend a little less to one source and more to all others in
        # proportion, and to attend a little more evenly to all that can be seen.
        relative = pattern / pattern.sum(-1, keepdim=True)
        keys = values - relative * values.sum(-1, keepdim=True)
        seen = (pattern > 0).to(pattern.dtype)
        even = seen / seen.sum(-1, keepdim=True)
        return values, ((pattern - even) * each).sum(-1), keys

    def _check_sums(self, layer: int, pattern: torch.Tensor, v: torch.Tensor) -> None:
        z = self.run[Site("z", layer)][0]
        miss = float((torch.einsum("phs,shd->phd", pattern, v) - full(z)).abs().max())
        if miss > _allowed(z):
            raise ValueError(
                f"The sources of the heads of {self.model.spec.name} are not told apart: z of "
                f"layer {layer} is not the sum of the values it attends to (off by {miss:.2g}). "
                "Read whole heads with wb.logit_lens(sites='z')."
            )

    def _check_stream(self, layer: int, heads: torch.Tensor, gain: torch.Tensor) -> None:
        """Whether the stream is the sum of what heads, neurons and biases write."""
        # What holds at a few positions holds at all.
        few = slice(-4, None)
        before, after = self.state("resid_pre", layer)[few], self.state("resid_post", layer)[few]
        heads, bias = heads[few], (full(self.model.weight("b_O", layer)) * gain)[few]
        written = self.state("mlp_out", layer)[few]
        neurons = full(self.run[Site("mlp_post", layer)][0, few]) @ self._w_out(layer)
        neurons = neurons + full(self.model.weight("b_out", layer))
        neurons = neurons * self.neuron_gain(layer)[few]
        misses = {
            "its stream is not what was there and what attention and MLP write": (
                after - before - heads.sum(1) - bias - written
            ),
            "its MLP does not write the sum of its neurons": written - neurons,
        }
        allowed = _allowed(self.run[Site("resid_post", layer)])
        for what, miss in misses.items():
            if float(miss.abs().max()) > allowed:
                raise ValueError(
                    f"The parts of layer {layer} of {self.model.spec.name} are not told apart: "
                    f"{what} (off by {float(miss.abs().max()):.2g}). Read whole states with "
                    "wb.logit_lens instead."
                )

    def _w_out(self, layer: int) -> torch.Tensor:
        return full(self.model.weight("W_out", layer, copy=False))

    def _neurons(
        self, layer: int, at_end: torch.Tensor, n: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The largest contributions of neurons at each position, and whose they are."""
        posts = full(self.run[Site("mlp_post", layer)][0])
        each = posts * ((at_end * self.neuron_gain(layer)) @ self._w_out(layer).T)
        ids = each.abs().topk(min(n, each.shape[-1]), dim=-1).indices
        return each.gather(-1, ids), ids


def full(x: torch.Tensor) -> torch.Tensor:
    """The same numbers in float32 at least."""
    return x if x.element_size() >= 4 else x.float()


def _allowed(x: torch.Tensor) -> float:
    """How far two computations of x may lie apart."""
    # Norms and softmax are often in float32 where all else is in float64.
    wide = torch.float32 if x.dtype == torch.float64 else x.dtype
    return 16 * tolerance(wide) * float(x.abs().max())


def _numpy(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy()
