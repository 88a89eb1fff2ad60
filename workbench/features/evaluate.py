"""Dictionary evaluation: what a dictionary keeps of the activations and of the model's answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ..activations import Moments, batches, check_texts, row_sums, stream
from ..check import Seed, checked
from ..dictionary.base import Dictionary, Splice
from ..edits import Edit, Set, unchanged_is_fine
from ..effects import Effects, Measure, table_of
from ..metrics import text_kl, text_loss
from ..model import Model, Resume, Run
from ..pictures.marks import Dots
from ..result import provenance
from ..site import Site
from ..texts import Texts
from ..tokens import Tokens
from .check import check_fits

#: A feature that is active at a larger share of the positions counts as dense.
DENSE = 0.1
#: An ablation that costs the model fewer nats a token than this leaves nothing to recover.
SMALLEST_COST = 1e-3
#: What is put in the place of an activation.
SPLICED = "spliced"


@checked
def evaluate(
    model: Model,
    texts: Texts,
    dicts: Dictionary | Sequence[Dictionary] | Mapping[Any, Dictionary],
    *,
    seed: Seed = 0,
    progress: bool = True,
) -> Effects:
    """How well dictionaries stand for the activations they were made of, over texts, as `Effects`.

        wb.features.evaluate(model, texts, dicts).score("loss recovered", dictionary="L1.mlp_out")

    dicts: one, a list, a `Dictionaries`, or named ones in a mapping. Each is spliced alone; those
    of different sites also all in one pass, as "all". texts: others than those it was trained on,
    read twice, first for the mean activations. seed: of the intervals, over texts. Changes:
    "spliced", "zero" and "mean", what is put in the activation's place. Measures: loss recovered, 0
    as with zero and 1 as with nothing changed, and beside the mean, the stricter (NaN where the
    ablation costs less than 0.001 nats a token); explained variance, 1 − squared error / squared
    distance from the mean; L0, active codes a position; KL(plain ‖ changed) and next-token loss,
    nats a token; dead and dense, how many features are active nowhere, or at more than a tenth.

    Raises `ValueError` for no texts, no dictionary, a site that the model does not have or cannot
    edit, another width, texts without any next token, and numbers that are not finite. Source:
    SAEBench (2025, arXiv:2503.09532); Rajamanoharan et al. (2024, arXiv:2404.16014), section 4.1.
    """
    named = named_dictionaries(model, dicts, edit=True)
    check_texts(texts)
    with torch.no_grad():
        means = mean_activations(model, list(named.values()), texts, progress)
        runs = SpliceSums(model, named, means)
        for _, tokens in batches(
            model, texts, TEXTS_AT_ONCE, title="evaluate dictionaries", progress=progress
        ):
            runs.add(tokens)
    return runs.effects(seed)


def named_dictionaries(model: Model, given: Any, *, edit: bool = False) -> dict[str, Dictionary]:
    """Dictionaries by name: their site where no other is given, numbered where two share it.

    Raises `TypeError` for what is no dictionary, `ValueError` for none, for a site that the model
    does not have (with `edit`: cannot change), and for another width.
    """
    pairs: list[tuple[str, Any]]
    if isinstance(given, Mapping):
        pairs = [(str(name), dictionary) for name, dictionary in given.items()]
    else:
        several = list(given) if isinstance(given, Sequence) else [given]
        names = [str(getattr(dictionary, "out_site", "")) for dictionary in several]
        pairs = [
            (name if names.count(name) == 1 else f"{name} {names[:i].count(name) + 1}", dictionary)
            for i, (name, dictionary) in enumerate(zip(names, several, strict=True))
        ]
    if not pairs:
        raise ValueError("There is at least one dictionary to evaluate; got none.")
    for _, dictionary in pairs:
        if not isinstance(dictionary, Dictionary):
            raise TypeError(
                "What is evaluated is a Dictionary, a list of them, or a mapping from names to "
                f"them; got {given!r:.120}."
            )
        check_fits(model, dictionary)
        model.spec.check(dictionary.out_site, edit=edit)
    return dict(pairs)


#: The row of all dictionaries spliced in one pass.
TOGETHER = "all"
#: Texts in a pass.
TEXTS_AT_ONCE = 16
#: Up to so many codes (position × feature) are held at a time.
CODES_AT_ONCE = 2**24


def mean_activations(
    model: Model, dictionaries: Sequence[Dictionary], texts: Any, progress: bool
) -> dict[Any, torch.Tensor]:
    """The mean activation at each site that is decoded, float64."""
    moments = {site: Moments() for site in sorted({d.out_site for d in dictionaries})}
    how: dict[str, Any] = {"title": "mean activations", "progress": progress}
    for part in stream(model, texts, list(moments), batch_size=TEXTS_AT_ONCE, **how):
        for site, own in moments.items():
            own.add(torch.tensor(part[site]))
    return {site: own.mean.to(model.spec.device) for site, own in moments.items()}


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
            # A dictionary may be perfect, and an activation may be its mean.
            with unchanged_is_fine():
                out = self.model.run(run.tokens, edits=edits, resume=resume).logits
            assert out is not None
            return out

        assert run.logits is not None
        spliced = logits([Splice(d) for d in dictionaries])
        out = {SPLICED: _next_token_loss(spliced, run.tokens)}
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

    def effects(self, seed: int) -> Effects:
        n_tokens, n_predicted, plain = (
            np.concatenate(self.per_text[key]) for key in ("n_tokens", "n_predicted", "plain")
        )
        if n_predicted.sum() == 0:
            raise ValueError(
                "A loss is of a next token, and every text has only one token. Give longer texts."
            )
        sums = {key: np.concatenate(parts, -1) for key, parts in self.sums.items()}
        # An ablation that costs nothing leaves nothing to recover.
        costs = {
            key: (sums[key] - plain).sum(-1, keepdims=True) >= SMALLEST_COST * n_predicted.sum()
            for key in ("zero", "mean")
        }
        found: list[Measure] = []

        def add(name: str, unit: str, n: np.ndarray, plain: Any, *each: Any, **more: Any) -> None:
            nothing = np.full((len(each[0]), len(n)), np.nan)
            changed = [nothing if one is None else one for one in each]
            told: dict[str, Any] = {"sums": n[None, :, None], "statistic": "ratio"} | more
            none = np.zeros((0, len(n)))
            found.append(Measure(name, unit, plain, np.concatenate(changed), none, **told))

        nats, zeros = "nats a token", np.zeros(len(plain))
        spliced, zero, mean = (sums[key] for key in (SPLICED, "zero", "mean"))
        for name, end in (("loss recovered", "zero"), ("loss recovered beside the mean", "mean")):
            ends = [np.where(costs[end], each, np.nan) for each in (zero, mean)]
            add(name, nats, n_predicted, plain, spliced, *ends, scale=(end, "plain"))
        far = sums["squared_error"], None, sums["variance"]
        add("explained variance", "a position", n_tokens, zeros, *far, scale=("mean", "plain"))
        add("L0", "codes", n_tokens, zeros, sums["active"], None, None)
        add("KL", nats, n_tokens, zeros, sums["kl"], None, None)
        add("loss", nats, n_predicted, plain, spliced, zero, mean)
        extra = int(self.together)
        shares = [count / n_tokens.sum() for count in self.counts.values()]
        for name, counted in (("dead", lambda x: x == 0), ("dense", lambda x: x > DENSE)):
            count = np.array([*(counted(x).sum() for x in shares), *[np.nan] * extra])[:, None]
            one = np.ones(1)
            add(name, "features", one, 0 * one, count, None, None, sums=None, statistic="mean")
        dicts = [(n, str(d.out_site), d.kind, d.n_features) for n, d in self.named.items()]
        dicts += [(TOGETHER, "", "", 0)] * extra
        keys = [(change, *one) for change in (SPLICED, "zero", "mean") for one in dicts]
        return Effects(
            **provenance(self.model, seed=seed),
            what=f"dictionaries on {len(plain)} texts of {n_tokens.sum()} tokens",
            changes=table_of(["change", "dictionary", "site", "kind", "n_features"], keys),
            controls={},
            measures=tuple(found),
            picture=Dots(
                "effect",
                "dictionary",
                "low",
                "high",
                label="loss recovered (0 = zeroed, 1 = nothing changed)",
                where={"measure": "loss recovered", "change": SPLICED},
            ),
        )


def _resume_layer(dictionaries: Sequence[Dictionary]) -> int:
    """The first layer that an edit of these can change: nothing before it is computed again."""
    sites = [site for d in dictionaries for site in (d.site, d.out_site)]
    if any(site.stream in ("embed", "resid_pre") for site in sites):
        return 0
    # What belongs to no layer comes after the last one.
    return min((site.layer for site in sites if site.layer is not None), default=0)


def _next_token_loss(logits: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed −log probability of each row's next tokens, in nats."""
    n = np.array(tokens.lengths) - 1
    mean = text_loss(logits.float().log_softmax(-1), tokens).cpu().numpy()
    return np.where(n > 0, mean * n, 0.0)


def _kl(logits: torch.Tensor, plain: torch.Tensor, tokens: Tokens) -> np.ndarray:
    """(batch,) float64: summed KL(plain ‖ logits) over each row's tokens, in nats."""
    now, own = (x.float().log_softmax(-1) for x in (logits, plain))
    return text_kl(now, own, tokens).cpu().numpy() * np.array(tokens.lengths)
