"""Training by gradient: small dictionaries for sites of a model, from texts."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from tqdm.auto import tqdm

from ..activations import sites_of
from ..check import Count, NotNegative, Positive, Power, Seed, checked
from ..dictionary.base import Dictionary
from ..dictionary.collection import Dictionaries
from ..model import Model
from ..result import provenance
from ..site import Site
from ..texts import Texts
from .activation_buffer import ActivationBuffer, Corpus, ModelVectors
from .decompose import FactorLearner
from .learner import Learner, TrainingOptions

#: Points of each curve that `Dictionary.info` keeps.
CURVE_POINTS = 40
MEASURES = ("loss", "l0", "explained_variance")


@checked
def train(
    model: Model,
    texts: Texts,
    sites: Any,
    *,
    kind: str = "topk",
    n_features: Count = 1024,
    k: Count | None = None,
    l1: NotNegative | None = None,
    p: Power = 1.0,
    steps: Count = 2000,
    batch_size: Count = 1024,
    learning_rate: Positive = 1e-3,
    buffer_size: Count = 2**15,
    seed: Seed = 0,
    name: str = "",
    progress: bool = True,
) -> Dictionaries:
    """A dictionary of each site, trained on the model's activations over texts.

        dicts = wb.features.train(model, texts, "L2.resid_post", n_features=512, k=8)

    texts: texts, lists of token ids, or `Tokens`; also an iterable of them, or a function of no
    arguments that gives one, read again as often as the steps need. sites: one, several, a stream,
    or {site read: site stood for}, of which `buffer_size` vectors each are held and shuffled.
    kind: "topk", "batchtopk", "matching_pursuit" with `k` codes a vector (32 by default); "relu"
    with a loss of l1 · Σ code^p, p falling from 1; "snmf" with l1 · Σ code; "transcoder", a "topk"
    from mlp_in to mlp_out. The dictionary reads plain activations, its decoder rows have length 1,
    and `info` has settings and curves. Features that stay off are revived; the rate rises in the
    first 5 % of the steps and falls in the last 30 %. An interrupt keeps what has been learnt, with
    a warning. Raises `ValueError` for settings that cannot be and for no texts,
    `FloatingPointError` where a training diverges. Sources: Gao et al. 2024, Bussmann et al. 2024,
    Costa et al. 2025, Karvonen et al. 2024, Shafran et al. 2025, Bricken et al. 2023 (revival).
    """
    pairs = _pairs(model, sites, kind == "transcoder")
    options = TrainingOptions(
        "topk" if kind == "transcoder" else kind,
        n_features, k, l1, p, steps, batch_size, learning_rate, buffer_size, seed,
    )  # fmt: skip
    origin = provenance(model)
    run = TrainingRun(
        ModelVectors(model, list(dict.fromkeys(site for pair in pairs for site in pair)), texts),
        pairs,
        options,
        names=[f"{name}/{out}" if name and len(pairs) > 1 else name for _, out in pairs],
        model=model.spec.name,
        facts={key: origin[key] for key in ("revision", "versions")},
    )
    return Dictionaries(run.train(progress))


def _pairs(model: Model, sites: Any, transcoder: bool) -> list[tuple[Site, Site]]:
    """Of each dictionary the site that it reads and the one that it stands for."""
    if isinstance(sites, Mapping):
        ends = [[sites_of(model, [end])[0] for end in pair] for pair in sites.items()]
        return [(read, out) for read, out in ends]
    read = sites_of(model, sites)
    return [(site, _mlp_out(site) if transcoder else site) for site in read]


def _mlp_out(site: Site) -> Site:
    if site.stream != "mlp_in":
        raise ValueError(
            "A transcoder reads mlp_in, like L0.mlp_in, unless both sites are given, "
            f"sites={{read: stood for}}; got {site}."
        )
    return Site("mlp_out", site.layer)


class TrainingRun:
    """A training of one or several dictionaries from the same vectors.

    pairs: for each dictionary the site it reads and the one it stands for. names: what each is
    called. model: the model's name. facts: what else the dictionaries are to say.
    """

    def __init__(
        self,
        corpus: Corpus,
        pairs: Sequence[tuple[Site, Site]],
        options: TrainingOptions,
        *,
        names: Sequence[str],
        model: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.options, self.pairs, self.names = options, list(pairs), list(names)
        self.model, self.facts = model, dict(facts or {})
        factors = options.kind == "snmf"
        if any(a != b for a, b in pairs) and (factors or options.kind == "matching_pursuit"):
            raise ValueError(
                f"A dictionary of kind {options.kind!r} stands for the site it reads; name the "
                "site alone, or train a 'topk', 'batchtopk' or 'relu'."
            )
        make = FactorLearner if factors else Learner
        self.learners = [make(site, out, options) for site, out in pairs]
        self.buffer = ActivationBuffer(
            corpus, options.buffer_size, options.batch_size, options.seed
        )
        self.n_steps = 0
        self.last: list[dict[str, float]] = []
        self.curves: list[dict[str, list[float]]] = [
            {name: [] for name in ("step", *MEASURES)} for _ in pairs
        ]

    def train(self, progress: bool) -> list[Dictionary]:
        """The dictionaries after all steps, or after an interrupt, with a warning."""
        steps = self.options.steps
        bar = tqdm(total=steps, desc="dictionary", disable=not progress)
        interrupted = False
        try:
            self.buffer.fill()
            for learner in self.learners:
                learner.begin(self.buffer.held)
            while self.n_steps < steps:
                self._step()
                mean = {m: sum(each[m] for each in self.last) / len(self.last) for m in MEASURES}
                bar.set_postfix(loss=f"{mean['loss']:.4f}", l0=f"{mean['l0']:.1f}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            if self.n_steps == 0:
                raise
            interrupted = True
            warnings.warn(
                f"The training was interrupted after {self.n_steps} of {steps} steps; the "
                "dictionary has what it learnt until then.",
                stacklevel=3,
            )
        finally:
            bar.close()
        return [self._dictionary(i, interrupted) for i in range(len(self.pairs))]

    def _step(self) -> None:
        vectors = self.buffer.next_batch()
        self.last = [learner.step(vectors) for learner in self.learners]
        self.n_steps += 1
        every = max(1, self.options.steps // CURVE_POINTS)
        if self.n_steps % every == 0 or self.n_steps == self.options.steps:
            for curve, measured in zip(self.curves, self.last, strict=True):
                curve["step"].append(self.n_steps)
                for name in MEASURES:
                    curve[name].append(measured[name])

    def _dictionary(self, i: int, interrupted: bool) -> Dictionary:
        # Six digits are more than a curve can show, and keep the file that holds them short.
        curves = {
            name: [v if name == "step" else float(f"{v:.6g}") for v in values]
            for name, values in self.curves[i].items()
        }
        info = {
            "training": asdict(self.options),
            "steps": self.n_steps,
            "tokens_seen": self.buffer.n_seen,
            "epochs": self.buffer.epochs,
            "interrupted": interrupted,
            **self.last[i],
            "curves": curves,
            **self.facts,
        }
        return self.learners[i].dictionary(model=self.model, name=self.names[i], info=info)
