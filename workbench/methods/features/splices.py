"""Splices: what the activations' reconstruction costs the model, summed over each text."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from ...activations import batches, row_sums
from ...dictionary.base import Dictionary, Splice
from ...edits import Edit, Set, UnchangedEdit
from ...model import Model, Resume, Run
from ...site import Site
from ...tokens import Tokens

#: The row of all dictionaries spliced in one pass.
TOGETHER = "all"
#: Up to so many codes (position × feature) are held at a time.
CODES_AT_ONCE = 2**24


def mean_activations(
    model: Model, dictionaries: Sequence[Dictionary], texts: Any, batch_size: int, progress: bool
) -> dict[Any, torch.Tensor]:
    """The mean activation at each site that is decoded, float64."""
    sites = sorted({d.out_site for d in dictionaries})
    sums: dict[Any, Any] = dict.fromkeys(sites, 0.0)
    n = 0
    for _, tokens in batches(model, texts, batch_size, title="mean activations", progress=progress):
        run = model.run(tokens, read=sites, stop_after=sites[-1])
        for site in sites:
            sums[site] = sums[site] + row_sums(run[site], tokens).sum(0)
        n += sum(tokens.lengths)
    return {site: total / n for site, total in sums.items()}


class SpliceSums:
    """The sums of each text, put together batch by batch."""

    def __init__(self, model: Model, named: dict[str, Dictionary], means: dict[Any, Any]) -> None:
        self.model, self.named, self.means = model, named, means
        sites = [d.out_site for d in named.values()]
        self.together = len(named) > 1 and len(set(sites)) == len(sites)
        self.sums: dict[str, list[np.ndarray]] = {}
        self.per_text: dict[str, list[np.ndarray]] = {"n_tokens": [], "n_predicted": []}
        self.counts = {name: np.zeros(d.n_features) for name, d in named.items()}
        self.ablated: dict[tuple[Site, ...], dict[str, np.ndarray]] = {}

    def add(self, tokens: Tokens) -> None:
        own = list(self.named.values())
        read = {s for d in own for s in (d.site, d.out_site)}
        read |= {Site("resid_pre", layer) for d in own if (layer := _resume_layer([d]))}
        run = self.model.run(tokens, read=sorted(read))
        plain = run.logits
        assert plain is not None
        lengths = np.array(tokens.lengths)
        self.ablated.clear()
        line: dict[str, list[np.ndarray]] = {}
        for name, dictionary in self.named.items():
            here = self._codes(name, dictionary, run, tokens)
            here |= self._losses([dictionary], run)
            for key, sums in here.items():
                line.setdefault(key, []).append(sums)
        if self.together:
            here = self._losses(own, run)
            for key in line:
                line[key].append(here.get(key, np.full(len(lengths), np.nan)))
        for key, sums in line.items():
            self.sums.setdefault(key, []).append(np.array(sums))
        each = {"n_tokens": lengths, "n_predicted": lengths - 1}
        each["plain"] = _next_token_loss(plain, tokens)
        if not np.isfinite(each["plain"]).all():
            raise ValueError(
                f"The loss of {self.model.spec.name} on the texts is not a finite number, so that "
                "there is nothing to compare with. Look at the model's logits on them."
            )
        for key, values in each.items():
            self.per_text.setdefault(key, []).append(values)

    def _codes(
        self, name: str, dictionary: Dictionary, run: Run, tokens: Tokens
    ) -> dict[str, np.ndarray]:
        """The reconstruction's sums of each row, a few rows at a time."""
        parts = max(1, CODES_AT_ONCE // (dictionary.n_features * tokens.n_columns))
        x, y = run[dictionary.site], run[dictionary.out_site]
        mean = self.means[dictionary.out_site]
        out: dict[str, list[Any]] = {"squared_error": [], "variance": [], "active": []}
        for start in range(0, tokens.n_rows, parts):
            rows = range(start, min(start + parts, tokens.n_rows))
            own, at = tokens.take(rows), slice(start, start + parts)
            codes = dictionary.encode(x[at])
            error = y[at].double() - dictionary.decode(codes, x[at]).to(y.device).double()
            on = (codes != 0) if dictionary.encoder.signed else (codes > 0)
            on = on & own.mask.to(on.device)[..., None]
            self.counts[name] = self.counts[name] + on.sum((0, 1)).cpu().numpy()
            out["squared_error"].append(row_sums(error.pow(2).sum(-1), own))
            out["variance"].append(row_sums((y[at].double() - mean).pow(2).sum(-1), own))
            out["active"].append(row_sums(on.sum(-1), own))
        return {key: np.concatenate([p.cpu().numpy() for p in parts]) for key, parts in out.items()}

    def _losses(self, dictionaries: Sequence[Dictionary], run: Run) -> dict[str, np.ndarray]:
        """Loss and KL of each row with the activations replaced."""
        layer = _resume_layer(dictionaries)
        resume = Resume(layer, run[Site("resid_pre", layer)]) if layer else None
        sites = tuple(d.out_site for d in dictionaries)

        def logits(edits: Sequence[Edit]) -> torch.Tensor:
            with warnings.catch_warnings():
                # A dictionary may be perfect, and an activation may be its mean.
                warnings.simplefilter("ignore", UnchangedEdit)
                out = self.model.run(run.tokens, edits=edits, resume=resume).logits
            assert out is not None
            return out

        assert run.logits is not None
        spliced = logits([Splice(d) for d in dictionaries])
        out = {"spliced": _next_token_loss(spliced, run.tokens)}
        out["kl"] = _kl(spliced, run.logits, run.tokens)
        # Several dictionaries of one site share what its ablation costs.
        if sites not in self.ablated:
            self.ablated[sites] = {
                "zero": _next_token_loss(logits([Set(s, 0.0) for s in sites]), run.tokens),
                "mean": _next_token_loss(
                    logits([Set(s, self.means[s]) for s in sites]), run.tokens
                ),
            }
        return out | self.ablated[sites]

    def fields(self) -> dict[str, Any]:
        """The fields of the result that are its own."""
        own = list(self.named.values())
        n_tokens = np.concatenate(self.per_text["n_tokens"])
        if np.concatenate(self.per_text["n_predicted"]).sum() == 0:
            raise ValueError(
                "A loss is of a next token, and every text has only one token. Give longer texts."
            )
        extra = int(self.together)
        frequency = np.full((len(own) + extra, max(d.n_features for d in own)), np.nan)
        for row, count in enumerate(self.counts.values()):
            frequency[row, : len(count)] = count / n_tokens.sum()
        return {
            "names": (*self.named, *[TOGETHER] * extra),
            "sites": (*(str(d.out_site) for d in own), *[""] * extra),
            "kinds": (*(d.kind for d in own), *[""] * extra),
            "n_features": (*(d.n_features for d in own), *[0] * extra),
            "frequency": frequency,
            **{key: np.concatenate(parts, -1) for key, parts in self.sums.items()},
            **{key: np.concatenate(parts) for key, parts in self.per_text.items()},
        }


def _resume_layer(dictionaries: Sequence[Dictionary]) -> int:
    """The first layer that an edit of these can change: nothing before it is computed again."""
    sites = [site for d in dictionaries for site in (d.site, d.out_site)]
    if any(site.stream in ("embed", "resid_pre") for site in sites):
        return 0
    # What belongs to no layer comes after the last one.
    return min((site.layer for site in sites if site.layer is not None), default=0)


def _next_token_loss(logits: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed −log probability of each row's next tokens, in nats."""
    out = []
    for row in range(tokens.n_rows):
        columns = tokens.columns(row)
        following = tokens.ids[row, columns[1:]].to(logits.device)
        scores = logits[row, columns[:-1]].float().log_softmax(-1)
        out.append(-float(scores.gather(-1, following[:, None]).double().sum()))
    return np.array(out)


def _kl(logits: torch.Tensor, plain: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed KL(plain ‖ logits) over each row's tokens, in nats."""
    out = []
    for row in range(tokens.n_rows):
        columns = tokens.columns(row)
        now, own = (x[row, columns].float().log_softmax(-1) for x in (logits, plain))
        out.append(float((own.exp() * (own - now)).double().sum()))
    return np.array(out)
