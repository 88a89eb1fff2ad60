"""Training: small dictionaries for the sites of a model, from texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...check import Count, NotNegative, Positive, Power, Seed, checked
from ...dictionary.base import Dictionary
from ...dictionary.collection import Dictionaries
from ...model import Model
from ...result import provenance
from ...site import Site, Sites
from .activation_buffer import GivenVectors, ModelVectors
from .training_options import TrainingOptions
from .training_run import TrainingRun


@checked
def train_dictionary(
    model: Model,
    site: Site | str,
    texts: Any,
    *,
    kind: str = "topk",
    n_features: Count = 1024,
    k: Count | None = None,
    l1: NotNegative | None = None,
    p: Power = 1.0,
    out_site: Site | str | None = None,
    steps: Count = 2000,
    batch_size: Count = 1024,
    lr: Positive = 1e-3,
    buffer_size: Count = 2**15,
    seed: Seed = 0,
    name: str = "",
    checkpoint: str | Path | None = None,
    checkpoint_every: Count = 100,
    progress: bool = True,
) -> Dictionary:
    """A dictionary of a site, trained on the model's activations over texts.

    texts: texts, lists of token ids, or `Tokens`, each within the model's context; also an iterable
    of them, or a function of no arguments that gives one (a corpus that need not be in memory). Its
    activations are held `buffer_size` vectors at a time, shuffled; it is read again as often as
    `steps` batches of `batch_size` vectors need. `Dictionary.info` says how often that was, with
    the settings, the curves of the training and the versions.

    kind: "topk" (Gao et al. 2024), "batchtopk" (Bussmann et al. 2024; its threshold is the running
    mean of the smallest code kept), "matching_pursuit" (Costa et al. 2025), each with `k` codes a
    vector, 32 by default; "relu" with a sparsity loss of weight `l1` on Σ code^p, p falling from 1
    to `p` after the first quarter (1: plain L1; Karvonen et al. 2024); "snmf" with one of weight
    `l1` on Σ code (Shafran et al. 2025); "transcoder", a "topk" that reads mlp_in and stands for
    the layer's mlp_out. Another `out_site` makes a transcoder of a "topk", "batchtopk" or "relu"
    too. Vectors are centred (not for "snmf") and scaled to a mean length of √d for the training;
    the dictionary has that folded in and reads plain activations. Decoder rows have length 1.
    Features that stay off are revived by resampling (Bricken et al. 2023). The rate rises to `lr`
    in the first 5 % of the steps and falls to 0 in the last 30 % (not for "snmf", which solves).

    checkpoint: a file, or a folder for one, that holds the state after every `checkpoint_every`
    steps. Where it is there the training goes on from it, and gives bit for bit what it would
    have given without a break (same texts, same machine). An interrupt keeps what has been learnt,
    with a warning. The model itself is not changed.

    Raises `ValueError` for settings that cannot be, an empty corpus, and a checkpoint of another
    training; `FloatingPointError` where the training diverges.
    """
    if kind == "transcoder":
        kind = "topk"
        out_site = _mlp_out(Site.parse(site)) if out_site is None else out_site
    options = TrainingOptions(kind, n_features, k, l1, p, steps, batch_size, lr, buffer_size, seed)
    here = _vectors(site)
    pair = (here, here if out_site is None else _vectors(out_site))
    run = _of_model(model, [pair], texts, options, name, checkpoint, checkpoint_every)
    return run.train(progress)[0]


@checked
def train_dictionaries(
    model: Model,
    sites: Sites,
    texts: Any,
    *,
    kind: str = "topk",
    n_features: Count = 1024,
    k: Count | None = None,
    l1: NotNegative | None = None,
    p: Power = 1.0,
    steps: Count = 2000,
    batch_size: Count = 1024,
    lr: Positive = 1e-3,
    buffer_size: Count = 2**15,
    seed: Seed = 0,
    name: str = "",
    checkpoint: str | Path | None = None,
    checkpoint_every: Count = 100,
    progress: bool = True,
) -> Dictionaries:
    """A dictionary of each site, all trained from the same passes over texts.

    Each one is what `train_dictionary` gives for its site alone with the same settings. The buffer
    holds `buffer_size` vectors of every site. name: of each; the site is put behind it.

    Settings and errors are those of `train_dictionary`.
    """
    parsed = [_vectors(site) for site in sites]
    if len(set(parsed)) < len(parsed):
        raise ValueError(f"Each site is trained once; got {', '.join(map(str, parsed))}.")
    pairs = [(site, _mlp_out(site) if kind == "transcoder" else site) for site in parsed]
    options = TrainingOptions(
        "topk" if kind == "transcoder" else kind,
        n_features, k, l1, p, steps, batch_size, lr, buffer_size, seed,
    )  # fmt: skip
    run = _of_model(model, pairs, texts, options, name, checkpoint, checkpoint_every)
    return Dictionaries(run.train(progress))


def fit_dictionary(
    vectors: Any,
    *,
    site: Site | str = "L0.resid_post",
    name: str = "",
    checkpoint: str | Path | None = None,
    checkpoint_every: int = 100,
    progress: bool = False,
    **settings: Any,
) -> Dictionary:
    """A dictionary trained on vectors that are given, and not on those of a model.

    vectors: a tensor (row, d), tensors in turn, or a function that gives them. site: what the
    dictionary says it reads. settings and errors: those of `train_dictionary`.
    """
    here = _vectors(site)
    run = TrainingRun(
        GivenVectors(here, vectors),
        [(here, here)],
        TrainingOptions(**settings),
        names=[name],
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
    )
    return run.train(progress)[0]


def _of_model(
    model: Model,
    pairs: Sequence[tuple[Site, Site]],
    texts: Any,
    options: TrainingOptions,
    name: str,
    checkpoint: str | Path | None,
    checkpoint_every: int,
) -> TrainingRun:
    sites = list(dict.fromkeys(site for pair in pairs for site in pair))
    several = len(pairs) > 1
    origin = provenance(model)
    return TrainingRun(
        ModelVectors(model, sites, texts),
        pairs,
        options,
        names=[f"{name}/{out}" if name and several else name for _, out in pairs],
        model=model.spec.name,
        facts={key: origin[key] for key in ("revision", "versions")},
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
    )


def _vectors(site: Site | str) -> Site:
    """A site whose activations are vectors. Raises `ValueError` for another."""
    site = Site.parse(site)
    if site != site.whole or site.axes[:2] != ("batch", "pos") or len(site.axes) != 3:
        raise ValueError(
            "A dictionary is trained on a whole stream of vectors, like L3.resid_post or "
            f"L2.mlp_post; got {site}."
        )
    return site


def _mlp_out(site: Site) -> Site:
    if site.stream != "mlp_in":
        raise ValueError(
            f"A transcoder reads mlp_in, like L0.mlp_in, unless out_site is given; got {site}."
        )
    return Site("mlp_out", site.layer)
