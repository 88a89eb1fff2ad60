"""Stitch runs: passes of one model in which single units are ablated or replaced by stand-ins."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...edits import Set, UnchangedEdit
from ...model import Resume
from ...site import Site
from ..examples import TOKENS_PER_PASS
from ..vocabulary.clamp_runs import text_kl
from .stitch_fits import Fit, mean_values
from .stitch_texts import BYTES, StitchTexts


def divergences(
    texts: StitchTexts,
    which: Sequence[int],
    components: Sequence[tuple[int, int]],
    mean_b: torch.Tensor,
    bar: Any,
    *,
    fitted: Fit | None = None,
    layers_a: Sequence[int] = (),
    stand_ins: np.ndarray | None = None,
) -> np.ndarray:
    """(component, 1 + stand-in, text): KL(plain ‖ changed) of b in nats, a mean over positions.

    First with the component at its mean (component, …), then with each unit of a that stands in for
    it; stand_ins: (component, stand-in), numbered through `layers_a`.
    """
    model, n_more = texts.model_b, 0 if stand_ins is None else stand_ins.shape[1]
    out = np.empty((len(components), 1 + n_more, len(which)), np.float32)
    place = {text: at for at, text in enumerate(which)}
    layers = sorted({layer for layer, _ in components})
    with torch.no_grad():
        for numbers, ids in texts.parts(which):
            tokens, columns = model.tokens(ids), [place[text] for text in numbers]
            plain = model.run(tokens, read=[Site("resid_pre", layer) for layer in layers])
            assert plain.logits is not None
            # One neuron of many moves the output by little: single precision would show.
            log_probs = plain.logits.double().log_softmax(-1)
            values = None
            if stand_ins is not None:
                values = texts.values(texts.model_a, texts.model_a.tokens(ids), layers_a)
            for number, (layer, unit) in enumerate(components):
                put = [_at_mean(mean_b[number], len(numbers), tokens.n_columns)]
                if values is not None and stand_ins is not None and fitted is not None:
                    for other in stand_ins[number].tolist():
                        put.append(fitted.stand_in(number, other, values[other].cpu()))
                site = _unit_site(texts, layer, unit)
                resid = plain[Site("resid_pre", layer)]
                found = _changed(texts, tokens, site, resid, torch.cat(put), log_probs)
                out[number][:, columns] = found.reshape(len(put), -1)
                bar.update(len(put) * len(numbers))
    return out


def _changed(
    texts: StitchTexts,
    tokens: Any,
    site: Site,
    resid: torch.Tensor,
    put: torch.Tensor,
    log_probs: torch.Tensor,
) -> np.ndarray:
    """(row,) KL of passes with these values (row, …) at a unit, over the texts again and again."""
    model, n = texts.model_b, tokens.n_rows
    n_tokens = min(TOKENS_PER_PASS, 2 * BYTES // (8 * model.spec.d_vocab))
    most = max(1, n_tokens // tokens.n_columns)
    out = []
    for at in torch.arange(len(put)).split(most):
        rows = (at % n).tolist()
        value = put[at].to(device=resid.device, dtype=resid.dtype)
        some = tokens.take(rows)
        assert site.layer is not None
        with warnings.catch_warnings():
            # A stand-in that is exactly what it stands in for is nothing to warn of.
            warnings.simplefilter("ignore", UnchangedEdit)
            run = model.run(some, edits=Set(site, value), resume=Resume(site.layer, resid[rows]))
        assert run.logits is not None
        out.append(text_kl(run.logits.double().log_softmax(-1), log_probs[rows], some).cpu())
    return torch.cat(out).numpy()


def _at_mean(mean: torch.Tensor, n_texts: int, length: int) -> torch.Tensor:
    """(text, …) the mean of a unit in the place of its values."""
    if mean.ndim == 0:
        return mean.expand(n_texts, length)
    return mean[:length, :length].expand(n_texts, length, length)


def _unit_site(texts: StitchTexts, layer: int, unit: int) -> Site:
    if texts.of == "neurons":
        return Site(texts.stream, layer, unit=unit)
    return Site(texts.stream, layer, unit)


def estimated_effects(texts: StitchTexts, layers: Sequence[int]) -> np.ndarray:
    """(neuron,) of b's layers: about what ablating each changes of the loss, over fitted texts.

    |Σ over positions of (mean − activation) times the gradient of the text's loss|, a mean over
    texts: attribution patching (Nanda 2023) with the mean as the other run.
    """
    model = texts.model_b
    mean = mean_values(texts, model, layers)
    sites = [Site("mlp_post", layer) for layer in layers]
    total = np.zeros(len(mean))
    for _, ids in texts.parts(texts.fit):
        tokens = model.tokens(ids)

        def loss(logits: torch.Tensor, tokens: Any = tokens) -> torch.Tensor:
            log_probs = logits[:, :-1].float().log_softmax(-1)
            following = log_probs.gather(-1, tokens.ids[:, 1:, None].to(logits.device))
            return -following[..., 0].mean(-1)

        run = model.run(tokens, read=sites, grad_of=loss)
        for i, site in enumerate(sites):
            at = slice(i * model.spec.d_mlp, (i + 1) * model.spec.d_mlp)
            away = mean[at].to(run[site].device) - run[site].float()
            each = (away * run.grad(site).float()).sum(1).abs()
            total[at] += each.double().sum(0).cpu().numpy()
    return total / len(texts.fit)
