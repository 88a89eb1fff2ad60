"""What works on each architecture through each backend: right, refused in words, or wrong.

    python -m tests.parity.columns            # all of the zoo, a line each
    python -m tests.parity.columns llama lfm2

Each column is held against plain Hugging Face or against sums and runs that share no code with it.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import workbench as wb
from tests import patchings
from workbench.circuits.components import Components
from workbench.circuits.cuts import contribution_sites, contributions, cut_edits
from workbench.loading import load
from workbench.site import Site

from . import zoo

BACKENDS = ("nnsight", "transformer_lens")
PROMPT = "w5 w9 w12 w7 w30 w8"
CLEAN, CORRUPT = [[5, 9, 12, 7, 30, 8]] * 2, [[5, 40, 12, 9, 31, 8], [6, 9, 13, 7, 30, 20]]
TASK = wb.task(
    [{"clean": PROMPT, "corrupt": "w5 w40 w12 w9 w31 w8", "answers": " w3", "foils": " w4"}]
)


class Wrong(AssertionError):
    """A number that is not the model's."""


def same(mine: Any, theirs: Any, tolerance: float = 1e-4) -> None:
    mine, theirs = torch.as_tensor(mine).double(), torch.as_tensor(theirs).double()
    if mine.shape != theirs.shape:
        raise Wrong(f"shape {tuple(mine.shape)} for {tuple(theirs.shape)}")
    off = float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1e-3))
    if not off <= tolerance:
        raise Wrong(f"off by {off:.1g}")


class Plain:
    """The Hugging Face model by itself, with a change of what enters its second block."""

    def __init__(self, name: str, block: str) -> None:
        self.model = zoo.hf_model(name)
        self.block = self.model.get_submodule(block)

    def logits(self, ids: list[list[int]], change: Any = None) -> torch.Tensor:
        def hook(module: Any, args: Any, kwargs: Any) -> Any:
            if args:
                return (change(args[0]), *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": change(kwargs["hidden_states"])}

        handle = None
        if change is not None:
            handle = self.block.register_forward_pre_hook(hook, with_kwargs=True)
        try:
            with torch.no_grad():
                return self.model(torch.tensor(ids), use_cache=False).logits
        finally:
            if handle is not None:
                handle.remove()


def logits(model: Any, plain: Plain) -> None:
    same(model.run(CLEAN).logits, plain.logits(CLEAN))
    same(model.run(CORRUPT).logits, plain.logits(CORRUPT))


def sites(model: Any, plain: Plain) -> None:
    """Every site reads on each of its layers, and what is added adds up."""
    spec = model.spec
    run = model.run(CORRUPT, read=spec.sites)
    same(run.logits, plain.logits(CORRUPT))
    for layer in range(1, spec.n_layers):
        same(run[f"L{layer}.resid_pre"], run[f"L{layer - 1}.resid_post"])
    for layer in spec.layers("mlp_out"):
        parts = ("resid_pre", "attn_out", "mlp_out")
        total = sum(run[Site(s, layer)] for s in parts)
        same(total, run[Site("resid_post", layer)])


def edits(model: Any, plain: Plain) -> None:
    added = torch.linspace(-1, 1, model.spec.d_model)
    mine = model.run(CORRUPT, edits=wb.Add("L1.resid_pre", added)).logits
    same(mine, plain.logits(CORRUPT, lambda x: x + added))


def generation(model: Any, plain: Plain) -> None:
    made = model.generate([CLEAN[0]], 6).new[0]
    ids = list(CLEAN[0])
    for token in made:
        best = plain.logits([ids])[0, -1]
        if float(best.max() - best[token]) > 1e-4:
            raise Wrong(f"{token} after {len(ids)} tokens")
        ids.append(token)


def patch(model: Any, plain: Plain) -> None:
    found = patchings.patch(model, TASK, over="resid_pre")
    given: list[torch.Tensor] = []
    plain.logits([CLEAN[0]], lambda x: given.append(x) or x)
    for position in range(len(CLEAN[0])):

        def put(x: torch.Tensor, at: int = position) -> torch.Tensor:
            x = x.clone()
            x[:, at] = given[0][:, at]
            return x

        out = plain.logits([CORRUPT[0]], put)[0, -1]
        same(found.patched[0, 1, position], out[3] - out[4], 1e-3)


def edges(model: Any, plain: Plain) -> None:
    parts = Components.of(model.spec)
    read = contribution_sites(parts)
    corrupt = contributions(model, parts, model.run(CORRUPT, read=read))
    everything = np.repeat(parts.edges[None], 2, 0)
    cut = model.run(CLEAN, edits=cut_edits(model, parts, everything, corrupt))
    same(cut.logits, plain.logits(CORRUPT), 1e-3)
    scores = wb.attribute(model, TASK, method="eap").scores
    if not np.isfinite(scores).all() or not scores.any():
        raise Wrong("no scores")


def lens(model: Any, plain: Plain) -> None:
    last = Site("resid_post", model.spec.n_layers - 1)
    same(model.unembed(model.run(CLEAN, read=last)[last]), plain.logits(CLEAN))
    wb.logit_lens(model, PROMPT)


def direct(model: Any, plain: Plain) -> None:
    """The parts of a logit add up to it."""
    found = wb.direct_logit_attribution(model, PROMPT, " w3")
    made, cap = torch.as_tensor(found.logits.ravel()[-1]), model.spec.soft_cap
    made = made if cap is None else cap * torch.tanh(made / cap)
    same(made, plain.logits([CLEAN[0]])[0, -1, 3], 1e-3)


def flow(model: Any, plain: Plain) -> None:
    wb.information.graph(model, PROMPT)


COLUMNS: tuple[Callable[[Any, Plain], None], ...] = (
    *(logits, sites, edits, generation, patch, edges, lens, direct, flow),
)


def line(name: str, backend: str) -> dict[str, str]:
    """For each column "right", "refused: …" or "WRONG: …"."""
    out: dict[str, str] = {}
    try:
        model: Any = load(zoo.hf_model(name), tokenizer=zoo.tokenizer(), backend=backend, name=name)
    except ValueError as error:
        return {"loads": f"refused: {error}"}
    except Exception as error:  # whatever a library raises: that is what is looked for
        return {"loads": f"WRONG: {error!r}"}
    out["loads"] = "right"
    plain = Plain(name, model.architecture.path("block", 1))
    for column in COLUMNS:
        try:
            column(model, plain)
            out[column.__name__] = "right"
        except ValueError as error:
            out[column.__name__] = f"refused: {error}"
        except Exception as error:  # as above
            out[column.__name__] = f"WRONG: {error!r}"
    return out


def main() -> None:
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for name in sys.argv[1:] or zoo.ALL:
        for backend in BACKENDS:
            found = line(name, backend)
            short = " ".join(f"{k}:{v.split(':')[0]}" for k, v in found.items())
            sys.stdout.write(f"{name:26} {backend:16} {short}\n")
            for column, text in found.items():
                if text != "right":
                    sys.stdout.write(f"    {column}: {text}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
