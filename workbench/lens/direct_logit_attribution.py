"""Direct logit attribution: how much each component adds to a logit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..check import checked
from ..model import Model, Prompts, Run
from ..places import Places
from ..result import Result, axes, provenance
from ..site import Site
from ..targets import Targets, foil_ids, token_ids
from ..tokens import Positions, token_strings
from ..writers import Writer, Writers, sites_to_read, tolerance, writers_of


@dataclass(frozen=True, eq=False, repr=False)
class DirectLogitAttribution(Result):
    """What each component adds to the logit of each target, or to target minus foil.

    components: "embed", then each layer's heads ("L0H0") and the bias of their projection
    ("L0.attn_bias"), or its attention as one ("L0.attn_out"), and its MLP ("L0.mlp_out"); last
    "norm_bias" and "unembed_bias".
    """

    components: tuple[str, ...]
    targets: tuple[str, ...]
    #: Empty, or one for each target.
    foils: tuple[str, ...]
    #: The cap that the model applies to its logits, None where it has none.
    soft_cap: float | None
    layers: np.ndarray = axes("node", np.int32, "layer of the component")
    positions: np.ndarray = axes(
        "batch pos", np.int32, "-1 past the end of a shorter prompt, where other arrays hold NaN"
    )
    contributions: np.ndarray = axes(
        "batch node pos label", note="what a component adds (logits); their sum is logits − error"
    )
    logits: np.ndarray = axes("batch pos label", note="of the unembedding, before any soft-cap")
    error: np.ndarray = axes("batch pos label", note="what single precision lost on the way")

    picture = "lenses.direct_logit_attribution"

    def __post_init__(self) -> None:
        super().__post_init__()
        n = self.contributions.shape[1]
        if len(self.components) != n:
            raise ValueError(f"Each of the {n} components has a name; got {len(self.components)}.")

    @property
    def names(self) -> tuple[str, ...]:
        """What each number is about: a target, or "target − foil"."""
        if not self.foils:
            return self.targets
        return tuple(f"{t} − {f}" for t, f in zip(self.targets, self.foils, strict=True))

    def to_frame(self) -> pd.DataFrame:
        """One line a contribution: prompt, pos, token, target, foil (where given), component, layer
        (-1 for the embedding, the number of layers for the final biases), contribution (logits).
        """
        lines = []
        for (b, c, p, t), value in np.ndenumerate(self.contributions):
            at = int(self.positions[b, p])
            if at < 0:
                continue
            line = {"prompt": b, "pos": at, "token": self.tokens[b][at], "target": self.targets[t]}
            line |= {"foil": self.foils[t]} if self.foils else {}
            lines.append(
                line
                | {
                    "component": self.components[c],
                    "layer": int(self.layers[c]),
                    "contribution": float(value),
                }
            )
        return pd.DataFrame(lines)

    def _facts(self) -> str:
        return (
            f"{', '.join(map(repr, self.names))} at {self.positions.shape[1]} positions, "
            f"{len(self.components)} components"
        )


@checked
def direct_logit_attribution(
    model: Model,
    prompts: Prompts,
    targets: Targets,
    *,
    foils: Targets = None,
    positions: Positions = "last",
    heads: bool = True,
) -> DirectLogitAttribution:
    """How much each component adds to a target's logit, as a `DirectLogitAttribution`.

    Every component's output goes through the final norm, held at the scale it has in this run, and
    the unembedding, so that the parts add up to the logit. targets: tokens, each a text that is one
    token or an id. foils: one for each target or one for all; then the logit difference
    target − foil is split. positions: which positions of each prompt. heads: each head by itself,
    or the attention of a layer as one.

    Where a norm follows the attention output (Gemma 2, OLMo 2), a head counts with the scale that
    norm has in this run. Where logits are soft-capped, the logit before the cap is split.

    Raises `ValueError` for a target of several tokens, for a read-out that cannot be split, and for
    heads that do not add up; `IndexError` for a position out of range.

    Source: Elhage et al., "A Mathematical Framework for Transformer Circuits" (2021).
    """
    target_list = token_ids(model.tokenizer, targets)
    if not target_list:
        raise ValueError(
            "A logit is split for at least one target; got none. Write for example targets=' Mary'."
        )
    foil_list = foil_ids(model.tokenizer, foils, len(target_list))
    tokens = model.tokens(prompts)
    places = Places.of(tokens, positions)
    parts = _parts(model, heads)
    with torch.no_grad():
        run = model.run(tokens, read=sorted(_sites(model, parts)), logits_at=())
        split = _Split(model, run, places, target_list, foil_list)
        contributions = torch.stack([*map(split.contribution, parts), *split.biases()], 1)
        logits = split.logits()
    error = logits - contributions.sum(1)
    _check(model, error, logits)

    def text(ids: list[int]) -> tuple[str, ...]:
        return tuple(token_strings(model.tokenizer, ids))

    def spread(flat: torch.Tensor) -> np.ndarray:
        return places.spread(flat.cpu().numpy())

    last = model.spec.n_layers
    return DirectLogitAttribution(
        **provenance(model, tokens),
        components=(*(part.label for part in parts), "norm_bias", "unembed_bias"),
        targets=text(target_list),
        foils=text(foil_list),
        soft_cap=model.spec.soft_cap,
        layers=np.array([*(part.layer for part in parts), last, last], np.int32),
        positions=places.positions,
        contributions=spread(contributions).swapaxes(1, 2),
        logits=spread(logits),
        error=spread(error),
    )


@dataclass(frozen=True)
class AttentionBias:
    """What a layer's attention adds besides its heads: the bias of its output projection."""

    label: str
    layer: int


def _parts(model: Model, heads: bool) -> list[Writer | AttentionBias]:
    """Everything that is added to the residual stream, in the order of a pass."""
    model.spec.check_sums("stream")
    parts: list[Writer | AttentionBias] = [Writer("embed", Site("resid_pre", 0))]
    for layer in range(model.spec.n_layers):
        if heads:
            parts += writers_of(model, f"L{layer}.z")
            if bool(model.weight("b_O", layer).any()):
                parts.append(AttentionBias(f"L{layer}.attn_bias", layer))
        else:
            parts.append(Writer(f"L{layer}.attn_out", Site("attn_out", layer)))
        parts.append(Writer(f"L{layer}.mlp_out", Site("mlp_out", layer)))
    return parts


def _sites(model: Model, parts: list[Writer | AttentionBias]) -> set[Site]:
    read = sites_to_read(part for part in parts if isinstance(part, Writer))
    read.add(Site("resid_post", model.spec.n_layers - 1))
    return read | {Site("ln_final")} if "ln_final" in model.spec.streams else read


class _Split:
    """One run's final residual stream, with the norm held still, as directions to project on.

    Sums are in double precision on the CPU: parts are large beside the logit they add up to.
    """

    def __init__(
        self,
        model: Model,
        run: Run,
        places: Places,
        targets: list[int],
        foils: list[int],
    ) -> None:
        self._writers = Writers(model, run, places.rows, places.columns)
        last = run[Site("resid_post", model.spec.n_layers - 1)]
        resid = last[places.rows, places.columns].double().cpu()
        self._scale = model.spec.logit_scale
        # What a unit of the normed stream adds to each target (minus its foil): (d_model, target).
        self._unembed = _difference(model.weight("W_U", copy=False), targets, foils)
        self._unembed_bias = _difference(model.weight("b_U"), targets, foils)
        norm = model.norm("ln_final")
        if norm is None:
            self._normed, self._bias = resid, torch.zeros_like(resid[0])
            held, direction = torch.ones_like(resid[:, 0]), self._unembed
        else:
            weight, self._bias = (x.double().cpu() for x in (norm.weight, norm.bias))
            # The norm held still: what it divides by in this run, whatever the part it is given.
            held = 1 / norm.scale(resid)[..., 0]
            self._normed = norm.center(resid) * held[:, None] * weight + self._bias
            # Centring a vector and projecting it is projecting it on the centred direction.
            direction = norm.center((weight[:, None] * self._unembed).T).T
        if "ln_final" in model.spec.streams:
            self._normed = run["ln_final"][places.rows, places.columns].double().cpu()
        self._directions = self._scale * held[:, None, None] * direction

    def contribution(self, part: Writer | AttentionBias) -> torch.Tensor:
        """(pos, target)"""
        if isinstance(part, Writer):
            vector = self._writers.vector(part)
        else:
            vector = self._writers.attention_bias(part.layer)
        return torch.einsum("pm,pmt->pt", vector.double().cpu(), self._directions)

    def biases(self) -> list[torch.Tensor]:
        """The biases of the final norm and of the unembedding, (pos, target) each."""
        shape = (len(self._normed), self._unembed.shape[1])
        both = (self._bias @ self._unembed, self._unembed_bias)
        return [(self._scale * bias).expand(shape) for bias in both]

    def logits(self) -> torch.Tensor:
        """(pos, target): what the unembedding gives, before any soft-cap."""
        return self._scale * (self._normed @ self._unembed + self._unembed_bias)


def _difference(weights: torch.Tensor, targets: list[int], foils: list[int]) -> torch.Tensor:
    chosen = weights[..., targets].double()
    return (chosen - weights[..., foils].double() if foils else chosen).cpu()


def _check(model: Model, error: torch.Tensor, logits: torch.Tensor) -> None:
    worst, largest = float(error.abs().max()), float(logits.abs().max())
    if worst > 16 * tolerance(model.weight("W_U", copy=False).dtype) * max(largest, 1.0):
        raise ValueError(
            f"The components of {model.spec.name} do not add up to its logits: off by {worst:.2g}. "
            "Its residual stream is no plain sum; read single components with logit_lens."
        )
