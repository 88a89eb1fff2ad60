"""Dictionaries: made here, trained, supervised, checked, evaluated, put into a run."""

from __future__ import annotations

import shutil
from typing import Any

import numpy as np
import torch

from .calls import Context, Tables, by_name, call, named, thing
from .core import PROMPTS

SITES = ("L0.resid_post", "L1.mlp_out", "L1.resid_post", "L2.attn_out", "L2.mlp_out",
         "L2.resid_post")  # fmt: skip
N_FEATURES = 48


@thing
def encoders(c: Context) -> Any:
    from workbench.dictionary import encoders

    return encoders


def made_dictionary(c: Context, site: str, kind: str = "topk") -> Any:
    """A dictionary of what the site really holds: activations at seeded tokens as directions."""
    run = c.model.run(c.texts, read=site)
    rows = run[site].flatten(0, 1)
    make = np.random.default_rng(3)
    chosen = torch.as_tensor(make.choice(len(rows), N_FEATURES, replace=False))
    b_dec = rows.mean(0)
    W_dec = rows[chosen] - b_dec
    W_dec = W_dec / W_dec.norm(dim=-1, keepdim=True)
    W_enc, b_enc = W_dec.T.contiguous(), torch.full((N_FEATURES,), -0.1)
    size = float((rows - b_dec).norm(dim=-1).mean())
    level, e = torch.full((N_FEATURES,), 0.3 * size), c.encoders
    encoder = {
        "topk": lambda: e.TopK(W_enc, b_enc, 6), "relu": lambda: e.ReLU(W_enc, b_enc),
        "jumprelu": lambda: e.JumpReLU(W_enc, b_enc, level),
        "batchtopk": lambda: e.BatchTopK(W_enc, b_enc, level, 6),
        "gated": lambda: e.Gated(W_enc, b_enc - level, b_enc, torch.zeros(N_FEATURES)),
        "matching_pursuit": lambda: e.MatchingPursuit(W_dec, b_dec, 4),
        "snmf": lambda: e.Factors(W_dec), "linear": lambda: e.Linear(W_enc, b_enc),
    }[kind]()  # fmt: skip
    return c.wb.Dictionary(
        site=site, encoder=encoder, W_dec=W_dec, b_dec=b_dec, model=c.model.spec.name, name=kind
    )


@thing
def dicts(c: Context) -> Any:
    """On a folder of their own, since labels are kept beside a dictionary."""
    folder = c.folder / "dictionaries"
    for site in SITES:
        c.wb.save_dictionary(made_dictionary(c, site, "topk"), folder / site)
    return c.wb.dictionaries(folder)


@thing
def dictionary(c: Context) -> Any:
    return c.dicts["L2.resid_post"]


KINDS = ("topk", "relu", "jumprelu", "batchtopk", "gated", "matching_pursuit", "snmf", "linear")


@call("Dictionary", "save_dictionary", "load_dictionary")
def dictionary_of_each_kind(c: Context) -> Tables:
    x = c.model.run(PROMPTS, read="L1.resid_post")["L1.resid_post"]
    grad = torch.linspace(-1, 1, x.shape[-1]).expand_as(x)
    out: dict[str, Any] = {}
    for kind in KINDS:
        made = made_dictionary(c, "L1.resid_post", kind)
        again = c.wb.load_dictionary(c.wb.save_dictionary(made, c.folder / "kinds" / kind))
        codes = again.encode(x)
        each: dict[str, Any] = {
            "codes": codes, "decoded": again.decode(codes, x), "whole": again.reconstruct(x),
            "written": again.written(torch.ones_like(codes), x),
        }  # fmt: skip
        if kind != "snmf":
            each["some"] = again.encode_some(x, [1, 5, 9])
            each["pulled back"] = again.pull_back(grad, x, [0, 2])
        out |= named(kind, each)
    return out


@call("dictionaries", "Dictionaries")
def shipped(c: Context) -> Tables:
    """Those that come with tinyworld, on numbers of its width."""
    all_of_them = c.wb.dictionaries("tinyworld")
    x = c.model.run(PROMPTS, read="L2.resid_post")["L2.resid_post"]
    one, number = all_of_them.feature("L2.resid_post/5")
    return {
        "sites": [f"{site} {d.kind} {d.n_features}" for site, d in all_of_them.items()],
        "codes": one.encode(x), "decoded": one.reconstruct(x), "feature": {"number": number},
        "only": [str(site) for site in all_of_them.only("attn_out")],
    }  # fmt: skip


@call("Splice", "SetFeatures", "ScaleFeatures")
def dictionary_edits(c: Context) -> Tables:
    d, wb = c.dictionary, c.wb
    ways = {
        "splice": wb.Splice(d), "splice last": wb.Splice(d, positions="last"),
        "set": wb.SetFeatures(d, [3, 7], 2.0), "scale": wb.ScaleFeatures(d, [3, 5], 0.0),
        "scale up": wb.ScaleFeatures(d, [0, 1, 2], 3.0),
    }  # fmt: skip
    return {
        name: c.model.run(PROMPTS, edits=edit, logits_at="last").logits
        for name, edit in ways.items()
    }


def _trained(made: Any) -> dict[str, Any]:
    """The weights of a dictionary, and the history of its training where there is one."""
    return {name: tensor[..., :24] for name, tensor in made.tensors.items() if tensor.ndim} | {
        "loss": {"loss": float(made.info["training"]["loss"][-1])}
        if isinstance(made.info.get("training"), dict) and "loss" in made.info["training"]
        else {"info": str(sorted(made.info))}
    }


def _measured(c: Context, made: Any, site: str) -> dict[str, Any]:
    """How well a dictionary does on held texts: what a training is judged by."""
    x = c.model.run(c.texts, read=[site])[site].flatten(0, 1)
    error = (x - made.reconstruct(x)).pow(2).sum(-1).mean()
    return {"loss": float(error), "l0": float((made.encode(x) != 0).sum(-1).float().mean())}


@call("train_dictionary", "train_dictionaries")
def train_dictionary(c: Context) -> Tables:
    small = {"n_features": 32, "steps": 6, "batch_size": 64, "buffer_size": 256, "seed": c.seed,
             "progress": False}  # fmt: skip
    out: dict[str, Any] = {}
    for kind in ("topk", "batchtopk", "relu", "matching_pursuit", "snmf"):
        own = {"k": 4} if kind not in ("relu", "snmf") else {"l1": 0.01} if kind == "relu" else {}
        made = c.wb.train_dictionary(c.model, "L1.resid_post", c.corpus, kind=kind, **small, **own)
        out |= named(kind, _trained(made))
        out[f"{kind} measured"] = _measured(c, made, "L1.resid_post")
    transcoder = c.wb.train_dictionary(
        c.model, "L1.mlp_in", c.corpus, out_site="L1.mlp_out", k=4, **small
    )
    out |= named("transcoder", _trained(transcoder))
    several = c.wb.train_dictionaries(
        c.model, ["L0.resid_post", "L2.mlp_out"], c.corpus, k=4, **small
    )
    for site, made in several.items():
        out |= named(f"several {site}", _trained(made))
        out[f"several {site} measured"] = _measured(c, made, str(site))
    return out


@thing
def concepts(c: Context) -> Any:
    return c.wb.concepts("tinyworld").only("gender")


@thing
def mean_directions(c: Context) -> Any:
    return c.wb.difference_in_means(c.model, "L2.resid_post", c.concepts, c.corpus, progress=False)


@call("concepts", "Concepts")
def concept_words(c: Context) -> Tables:
    every = c.wb.concepts("tinyworld")
    families = sorted({concept.family for concept in every.concepts})
    return {
        "concepts": [str(concept) for concept in every.concepts],
        "families": {f: ",".join(every.of_family(f)) for f in families},
        "of animal": {"children": str(every.children("animal")),
                      "words": str(every.words("animal")),
                      "counting": str(every.counting("animal")),
                      "fitting": str(every.fitting("animal"))},
        "own": [str(x) for x in c.wb.Concepts.of_words({"city": [" Paris", " Rome"]}).concepts],
    }  # fmt: skip


@call("difference_in_means", "supervised_dictionary", "random_dictionary")
def concept_directions(c: Context) -> Tables:
    supervised = c.wb.supervised_dictionary(
        c.model, "L2.resid_post", c.concepts, c.corpus, epochs=3, seed=c.seed, progress=False
    )
    random = c.wb.random_dictionary(c.model, "L2.resid_post", 16, seed=c.seed)
    scaled = c.wb.random_dictionary(c.model, "L2.resid_post", 16, texts=c.texts, seed=c.seed)
    return {
        **named("means", _trained(c.mean_directions)), **named("supervised", _trained(supervised)),
        "supervised measured": _measured(c, supervised, "L2.resid_post"),
        **named("random", _trained(random)), **named("random scaled", _trained(scaled)),
    }  # fmt: skip


@call("evaluate_concepts", "ConceptEvaluation")
def evaluate_concepts(c: Context) -> Tables:
    got = c.wb.evaluate_concepts(
        c.model, {"means": c.mean_directions, "made": c.dictionary}, c.concepts,
        list(c.wb.texts("tinyworld", n=120)), n_prompts=6,
        strength=1.0, split_gain=0.02, seed=c.seed,
        progress=False,
    )  # fmt: skip
    out: dict[str, Any] = {"frame": got}
    for name in ("means", "made"):
        out[f"{name} concepts"] = got.concept_frame(name)
        out[f"{name} swaps"] = got.swap_frame(name)
        for measure in ("f1", "precision", "recall", "n_split", "split_f1", "absorption"):
            out[f"{name} {measure}"] = np.asarray(got.of_concepts(measure, name))
            out[f"{name} {measure} score"] = got.score(measure, name)
    return out


@call("evaluate_dictionary", "DictionaryEvaluation", "check_dictionary", "DictionaryCheck")
def evaluate_dictionary(c: Context) -> Tables:
    got = c.wb.evaluate_dictionary(c.model, c.dicts, c.texts, seed=c.seed, progress=False)
    out: dict[str, Any] = {
        "frame": got,
        "check": c.wb.check_dictionary(c.model, c.dictionary),
        "check texts": c.wb.check_dictionary(c.model, c.dictionary, c.texts),
    }
    for name in ("L1.mlp_out", "L2.resid_post"):
        out[f"{name} dead"] = np.asarray(got.dead(name))
        out[f"{name} dense"] = np.asarray(got.dense(name, 0.2))
        out[f"{name} explained"] = got.explained_variance(name)
        out[f"{name} l0"] = {"l0": float(got.l0(name))}
        for baseline in ("zero", "mean"):
            scored = {"recovered": got.loss_recovered(name, baseline)}
            out[f"{name} recovered {baseline}"] = by_name("score", scored)
    return out


@call("Labels", "index_features", "FeatureIndex")
def index_and_labels(c: Context) -> Tables:
    index, labels = c.index, c.wb.Labels.from_index(c.index)
    features = (0, 3, 7)
    shutil.rmtree(c.folder / "again", ignore_errors=True)
    kept = c.wb.index_features(c.model, c.dictionary, c.texts, path=c.folder / "again",
                               n_contexts=4, n_sampled=4, held_out=0.5, progress=False)  # fmt: skip
    opened = c.wb.FeatureIndex.open(c.folder / "again")
    out: dict[str, Any] = {
        "labels": [f"{i}: {labels[i]}" for i in labels],
        "set": [str(c.wb.Labels.empty(c.dictionary).set(3, "a label", tokens=[" the"],
                                                       index=index))],
        "found": index.find(token=" the", n=5), "found text": index.find(text="", n=5),
        "found words": index.find(concept=[" he", " she"], n=5),
        "found concept": index.find(concept=c.concepts, n=3),
        "facts": {"text": str(index.text(1)), "ids": str(index.ids_of(" the"))},
        "kept": [str(place) for place in opened.contexts(3)],
        "kept histogram": np.asarray(kept.histogram(3)),
    }  # fmt: skip
    for f in features:
        out |= named(
            f"feature {f}",
            {
                "contexts": [str(place) for place in index.contexts(f)],
                "sampled": [str(place) for place in index.sampled(f)],
                "histogram": np.asarray(index.histogram(f)),
                "tokens": index.tokens(f, 5), "together": index.together(f),
            },
        )  # fmt: skip
    return out


@thing
def index(c: Context) -> Any:
    return c.wb.index_features(c.model, c.dictionary, c.corpus, n_contexts=5, n_sampled=5,
                               progress=False)  # fmt: skip
