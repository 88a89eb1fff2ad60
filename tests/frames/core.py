"""Models, runs under edits, tokens, tasks, texts, metrics, saved results."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .calls import Context, Tables, call, thing

PROMPT = "The capital of France is"
PROMPTS = [PROMPT, "The capital of Italy is"]
PAIRS = [(PROMPT, " Paris"), ("The capital of Italy is", " Rome")]


@thing
def model(c: Context) -> Any:
    return c.wb.load(c.model_name, backend=c.backend, device="cpu")


@thing
def plain_backend_model(c: Context) -> Any:
    """On the backend that the Jacobian lens is fitted on."""
    return c.wb.load(c.model_name, backend="transformer_lens", device="cpu")


@thing
def texts(c: Context) -> list[str]:
    """Short texts of the corpus."""
    return [" ".join(text.split()[1:14]) for text in c.wb.texts("tinyworld", n=24)]


@thing
def corpus(c: Context) -> list[str]:
    return list(c.wb.texts("tinyworld", n=60))


@thing
def task(c: Context) -> Any:
    return c.wb.task("capitals", n=4)


@thing
def ioi(c: Context) -> Any:
    return c.wb.task("ioi", n=4)


def ids_of(c: Context, *words: str) -> list[int]:
    """The token of each word."""
    return [int(c.model.tokens(word, prepend_bos=False).ids[0, 0]) for word in words]


@call("load", "ModelSpec", "Model")
def load(c: Context) -> Tables:
    spec = c.model.spec
    sizes = ("n_layers", "n_heads", "n_kv_heads", "d_model", "d_head", "d_mlp", "d_vocab")
    double = c.wb.load(c.model_name, backend=c.backend, device="cpu", dtype="float64")
    names = ("W_E", "W_U", "W_Q", "W_K", "W_V", "W_O", "W_in", "W_out")
    head = {n: c.model.weight(n, 1, 1) for n in ("W_Q", "W_V", "W_O")}
    layered = {n: c.model.weight(n, *([2] if n not in ("W_E", "W_U") else [])) for n in names}
    sums = {n: {"sum": float(w.double().abs().sum()), "shape": str(tuple(w.shape)),
                "first": float(w.flatten()[0])} for n, w in layered.items()}  # fmt: skip
    norm = c.model.norm("ln1", 1)
    x = torch.linspace(-1, 2, 2 * spec.d_model).reshape(1, 2, -1)
    assert norm is not None
    return {
        "spec": {name: getattr(spec, name) for name in sizes},
        "layers": {s: ",".join(map(str, spec.layers(s))) for s in ("resid_mid", "z", "embed")},
        "double": double.run(PROMPT, logits_at="last").logits,
        "shapes": {key: value["shape"] for key, value in sums.items()},
        "sums": {key: value["sum"] for key, value in sums.items()},
        "firsts": {key: value["first"] for key, value in sums.items()},
        **{f"head {name}": w[:4, :6] for name, w in head.items()},
        "live weight": c.model.live_weight("W_in", 1)[:3, :5],
        "unembed": c.model.unembed(x)[..., :200],
        "norm": {"center": norm.center(x), "scale": norm.scale(x),
                 "pull back": norm.pull_back(x, x.flip(-1))},
        "hugging face": c.model.to_hugging_face()(torch.tensor([[5, 6, 7]])).logits[0, -1],
    }  # fmt: skip


@call("Run", "Site")
def run(c: Context) -> Tables:
    m = c.model
    streams = ("embed", "resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "mlp_in",
               "mlp_pre", "mlp_post", "q", "k", "v", "z", "attn_scores", "pattern",
               "ln_final")  # fmt: skip
    sites = [c.wb.Site(s, None if s in ("embed", "ln_final") else 1) for s in streams]
    got = m.run(PROMPTS, read=sites, logits_at="last")
    answer = ids_of(c, " Paris")[0]
    grads = m.run(PROMPT, read=["L1.resid_post", "L2H1.z"], grad_of=lambda x: x[:, -1, answer])
    at = m.run(PROMPT, read=["L1.resid_pre"], grad_of=lambda x: x[:, -1].sum(-1),
               grad_at="L1.mlp_out")  # fmt: skip
    whole = m.run(PROMPT, read="L3.resid_post")
    resumed = m.run(
        PROMPT, resume=c.wb.Resume(2, m.run(PROMPT, read="L1.resid_post")["L1.resid_post"])
    )
    return {
        **{str(site): got[site] for site in sites},
        "logits": got.logits, "logits everywhere": whole.logits[..., ::10],
        "logits at 1": m.run(PROMPT, logits_at=[1]).logits,
        "grad": grads.grad("L1.resid_post"), "grad z": grads.grad("L2H1.z"),
        "grad at": at.grad("L1.resid_pre"),
        "stopped": m.run(PROMPT, read="L1.mlp_post", stop_after="L1.mlp_post")["L1.mlp_post"],
        "resumed": resumed.logits[..., ::10],
        "head and unit": {s: m.run(PROMPT, read=s)[s] for s in ("L1H2.z", "L2.mlp_post/77")},
        "names": {s: str(c.wb.Site.parse(s))
                  for s in ("L3H1.q", "blocks.3.hook_resid_post", "L2.mlp_post/7")},
    }  # fmt: skip


@thing
def edits(c: Context) -> dict[str, Any]:
    wb, d = c.wb, c.model.spec.d_model
    vector = torch.linspace(-1, 1, d)
    basis = torch.linalg.qr(torch.linspace(-1, 2, 3 * d).reshape(d, 3).sin())[0].T
    return {
        "add": wb.Add("L1.resid_post", vector * 3), "set": wb.Set("L2.mlp_out", vector),
        "set head": wb.Set("L1H2.z", 0.1), "set neuron": wb.Set("L2.mlp_post/77", 2.0),
        "scale": wb.Scale("L2.attn_out", 0.25), 
        "scale pos": wb.Scale("L1.z", 0.0, positions="last"),
        "project out": wb.ProjectOut("L1.resid_post", vector),
        "project out 3": wb.ProjectOut("L2.resid_post", basis),
        "affine": wb.Affine("L1.resid_post", torch.eye(d) * 0.9 + 0.01, vector),
        "add pos": wb.Add("L0.resid_post", vector, positions=[1, 2]),
    }  # fmt: skip


@call("Add", "Affine", "ProjectOut", "Scale", "Set", "Edit")
def edited_runs(c: Context) -> Tables:
    out: dict[str, Any] = {
        name: c.model.run(PROMPTS, edits=[edit], logits_at="last").logits
        for name, edit in c.edits.items()
    }
    out["all"] = c.model.run(PROMPTS, edits=list(c.edits.values()), logits_at="last").logits
    x = torch.linspace(-1, 2, 3 * c.model.spec.d_model).reshape(1, 3, -1)
    return out | {"by hand": c.edits["project out"].apply(x), "by hand 2": c.edits["add"].apply(x)}


@thing
def edited_on(_: Context) -> Any:
    """(edit, "prompt", "new" or "both") -> the options of `generate` that say so."""
    return lambda edit, on: {"edits": [edit], "on": on}


@call("Generation", "Model")
def generate(c: Context) -> Tables:
    m, add = c.model, c.edits["add"]
    ways: dict[str, dict[str, Any]] = {
        "plain": {},
        "sampled": {"temperature": 0.8, "seed": c.seed},
        "top k": {"temperature": 1.2, "top_k": 5, "seed": c.seed},
        "top p": {"temperature": 1.2, "top_p": 0.8, "seed": c.seed},
        **{f"edit on {on}": c.edited_on(add, on) for on in ("prompt", "new", "both")},
    }
    made = {name: m.generate(PROMPTS, 6, **options) for name, options in ways.items()}
    return {
        "texts": {name: each.texts for name, each in made.items()},
        "ids": {name: str(each.tokens.ids.tolist()) for name, each in made.items()},
    }


@call("Tokens")
def tokens(c: Context) -> Tables:
    both = c.model.tokens([PROMPT, "The capital of Italy is a large"])
    left = c.model.tokens(PROMPTS, padding_side="left", prepend_bos=False)
    return {
        "ids": both.ids, "left": left.ids, "strings": [str(row) for row in both.strings],
        "columns": [str(both.columns(row)) for row in (0, 1)],
        "offset": {str(row): both.offset(row) for row in (0, 1)},
        "taken": both.take([0]).trimmed().ids,
    }  # fmt: skip


@call("task", "tasks", "Task")
def tasks(c: Context) -> Tables:
    table = c.wb.tasks()
    named = list(table.index)
    out: dict[str, Any] = {"tasks": table}
    for name in named:
        made = c.wb.task(name, n=6, seed=c.seed)
        out[f"{name} pairs"] = [str(pair) for pair in made.sets[0].pairs]
        evaluated = made.evaluate(c.model)
        out[f"{name} evaluated"] = evaluated
        out[f"{name} facts"] = {"accuracy": float(evaluated.accuracy)}
        out[f"{name} intervals"] = evaluated.interval() + evaluated.accuracy_interval()
    batch = c.ioi.on(c.model)
    make = getattr(c.wb.Task, "from_pairs", c.wb.task)
    own = make(
        [{"clean": "The capital of France is", "corrupt": "The capital of Italy is",
          "answers": [" Paris"], "foils": [" Rome"]}], metric="probability_difference")  # fmt: skip
    return out | {
        "batch clean": batch.clean.ids,
        "batch corrupt": batch.corrupt.ids,
        "own evaluated": own.evaluate(c.model),
        "check": c.ioi.check(c.model.tokenizer),
    }


@call("texts", "data_path")
def texts_and_data(c: Context) -> Tables:
    return {
        "texts": list(c.wb.texts("tinyworld", n=20)),
        "number": {"n": len(c.wb.texts("tinyworld"))},
        "data": {"name": c.wb.data_path("tasks", "ioi.json").name},
    }


@call("metrics")
def metrics(c: Context) -> Tables:
    m = c.wb.metrics
    logits = torch.linspace(-3, 3, 200).sin().reshape(4, 50) * 4
    one, several = [3, 4, 5, 6], [[1, 2], [3], [4, 7], [9]]
    padded = m.pad_ids(several)
    return {
        name: {
            "one": getattr(m, name)(logits, one, *foils),
            "several": getattr(m, name)(logits, padded, *foils),
        }
        for name, foils in {
            "logit_difference": ([7, 8, 9, 10],), "probability_difference": ([7, 8, 9, 10],),
            "probability": (), "log_probability": (), "rank": (),
        }.items()
    } | {"entropy": m.entropy(logits), "kl": m.kl(logits, logits.flip(-1)),
         "pad_ids": padded}  # fmt: skip


@call("Result")
def saved(c: Context) -> Tables:
    """A result comes back from its file with the numbers it had."""
    lens = c.wb.logit_lens(c.model, PROMPT, k=3)
    path = c.folder / "lens"
    lens.save(path)
    return {"read again": type(getattr(lens, "new", lens)).load(path), "as it was": lens}


@call("WeightEdit", "edited_weights")
def weight_edits(c: Context) -> Tables:
    edit, d = c.wb.WeightEdit, c.model.spec.d_model
    column = np.linspace(-1, 1, d)
    ways = {
        "factor": [edit("W_in", 1, 3, factor=0.5)],
        "off": [edit("W_out", 2, 7, factor=0.0), edit("W_out", 2, 8, factor=-1.0)],
        "add": [edit("W_out", 1, 5, add=column)],
    }
    out: dict[str, Any] = {}
    for name, made in ways.items():
        with c.wb.edited_weights(c.model, made) as changed:
            out[name] = changed.run(PROMPTS, logits_at="last").logits
    with c.wb.edited_weights(c.model, edit("W_E", None, 40, factor=0.5), tied=True) as changed:
        out["tied"] = changed.run(PROMPTS, logits_at="last").logits
    before = torch.linspace(-1, 1, d)[None]
    return out | {
        "after": c.model.run(PROMPTS, logits_at="last").logits,
        "changed": edit("W_in", 1, 3, factor=0.5).changed(before),
    }
