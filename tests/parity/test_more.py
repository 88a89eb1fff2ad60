"""The rest of the zoo, one dense test each: logits, sites, edits, generation, resume, patch.

What a model offers is compared with plain Hugging Face (see blocks.py); what is not offered is
refused in words.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

import workbench as wb
from tests.patchings import patch
from workbench.model import Resume
from workbench.site import GLOBAL_STREAMS

from .blocks import CLOSE, Blocks, added
from .table import README, between, table
from .test_architectures import PAIRS
from .zoo import LAYERS, WIDTH

CLEAN, CORRUPT = [2, 3, 4, 8, 9, 11], [2, 3, 7, 8, 10, 11]
#: Not everywhere, since what is added to all keys alike cancels.
AT = (1, 3)
#: Made of what modules take and give; test_architectures.py holds them to a pass of one expert.
OF_EXPERTS = ("router", "expert_out")
ROWS = [CLEAN, [20, 21, 22]]
N_NEW = 3


@pytest.fixture(scope="module")
def plain(zoo_folder: Callable[[str], Any]) -> Callable[[str], Blocks]:
    from transformers import AutoModelForCausalLM

    @cache
    def build(name: str) -> Blocks:
        folder = zoo_folder(name)
        return Blocks(
            AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
        )

    return build


def uneven(n: int) -> torch.Tensor:
    """A vector that no norm takes away."""
    return torch.linspace(-1, 1, n).sin() + 0.3 * torch.linspace(0, 9, n).cos()


def check_sites(model: Any, blocks: Blocks, ids: list[list[int]]) -> dict[Any, Any]:
    """Every site is in the plain pass, and what blocks add is what their parts add."""
    logits, seen = blocks.run(torch.tensor(ids))
    run = model.run(ids, read=model.spec.sites)
    torch.testing.assert_close(run.logits, logits, **CLOSE)
    places = {}
    for site in [s for s in model.spec.sites if s.stream not in OF_EXPERTS]:
        places[site] = blocks.place(site.stream, site.layer, run[site], seen)
        assert places[site] is not None, f"{site} is in no module of the plain model"
    for layer in range(LAYERS):
        parts = [s for s in ("attn_out", "mlp_out") if layer in model.spec.layers(s)]
        if len(parts) == 2:
            total = run[f"L{layer}.resid_pre"] + sum(run[f"L{layer}.{s}"] for s in parts)
            torch.testing.assert_close(total, run[f"L{layer}.resid_post"], **CLOSE)
    return places


def check_edits(model: Any, blocks: Blocks, ids: list[list[int]], places: dict[Any, Any]) -> None:
    """What is added at a site moves the logits as what is added there in the plain pass."""
    before, _ = blocks.run(torch.tensor(ids))
    for site, place in places.items():
        if site.stream in ("pattern", "attn_scores", "resid_mid", *GLOBAL_STREAMS):
            continue
        what = uneven(place.width)
        expected, _ = blocks.run(torch.tensor(ids), place, added(place, what, AT))
        got = model.run(ids, edits=wb.Add(site, what, positions=AT)).logits
        torch.testing.assert_close(got, expected, **CLOSE, msg=lambda m, s=site: f"{s}: {m}")
        assert (expected - before).abs().max() > 1e-3, f"an edit of {site} is seen"
    for layer in model.spec.layers("resid_mid"):
        # The middle is read by the MLP and by the skip around it; so is what attention adds.
        pair = [wb.Add(f"L{layer}.{s}", uneven(WIDTH)) for s in ("resid_mid", "attn_out")]
        mid, attn = (model.run(ids, edits=edit).logits for edit in pair)
        torch.testing.assert_close(mid, attn, **CLOSE)


def resid_place(blocks: Blocks, layer: int) -> Any:
    _, seen = blocks.run(torch.tensor([CLEAN]))
    path = blocks.paths[layer]
    value = next(v for (p, side, _), v in seen.items() if (p, side) == (path, "in"))
    return blocks.place("resid_pre", layer, value, seen)


def check_generation(model: Any, blocks: Blocks) -> None:
    """Greedy text, plain and pushed, is that of computing everything anew each step."""
    place = resid_place(blocks, 1)
    push = 9 * uneven(WIDTH)
    texts = []
    for edits in ((), wb.Add("L1.resid_pre", push)):
        expected = []
        for row in ROWS:
            out = list(row)
            for _ in range(N_NEW):
                at, change = (place, added(place, push)) if edits else (None, None)
                logits, _ = blocks.run(torch.tensor([out]), at, change)
                out.append(int(logits[0, -1].argmax()))
                if out[-1] == 0:
                    break
            expected.append(tuple(out[len(row) :]))
        texts.append(model.generate(ROWS, N_NEW, edits=edits).new)
        assert texts[-1] == tuple(expected)
    assert texts[0] != texts[1], "the push is strong enough to be seen"


def check_resume(model: Any, blocks: Blocks) -> None:
    """A pass goes on at a layer, with rows repeated, and at a position over cached keys."""
    run = model.run(ROWS, read="L1.resid_pre", cache=True)
    rows = [1, 0, 0]
    again = model.run(ROWS, resume=Resume(1, run["L1.resid_pre"][rows], rows)).logits
    at = Resume(1, run["L1.resid_pre"][:, 2:], start=2, past=run.past)
    later = model.run(ROWS, resume=at).logits
    for r, row in enumerate(ROWS):
        logits, _ = blocks.run(torch.tensor([row]))
        torch.testing.assert_close(again[rows.index(r), : len(row)], logits[0], **CLOSE)
        n = len(row) - 2
        tail = later[r, -(len(CLEAN) - 2) :][:n]
        torch.testing.assert_close(tail, logits[0, 2:], **CLOSE)


def check_patch(model: Any, blocks: Blocks, pairs: Any) -> None:
    """Each patch of the residual stream is a plain run with that one vector put in."""
    made = patch(model, pairs).patched[0]
    for layer in range(LAYERS):
        place = resid_place(blocks, layer)
        _, clean = blocks.run(torch.tensor([CLEAN]))
        given = clean[place.path, place.side, place.key]
        for pos in range(len(CLEAN)):

            def put(value: torch.Tensor, pos: int = pos, given: Any = given) -> torch.Tensor:
                value = value.clone()
                value[:, pos] = given[:, pos]
                return value

            logits, _ = blocks.run(torch.tensor([CORRUPT]), place, put)
            wanted = float(logits[0, -1, 5] - logits[0, -1, 6])
            np.testing.assert_allclose(made[layer, pos], wanted, atol=5e-5)


@pytest.fixture(scope="module")
def pairs(zoo_model: Callable[..., Any]) -> Any:
    clean, corrupt = (" ".join(f"w{t}" for t in ids) for ids in (CLEAN, CORRUPT))
    pair = {"clean": clean, "corrupt": corrupt, "answers": " w5", "foils": " w6"}
    return wb.task([pair]).on(zoo_model("llama", "nnsight"))


@pytest.mark.parametrize(("name", "backend"), PAIRS)
@pytest.mark.filterwarnings("ignore:.* scales or adds to the residual stream")
def test_a_model_is_the_plain_one_in_all_that_it_offers(name, backend, zoo_model, plain, pairs):
    model, blocks = zoo_model(name, backend), plain(name)
    ids = [CLEAN, CORRUPT]
    places = check_sites(model, blocks, ids)
    check_edits(model, blocks, ids, places)
    check_generation(model, blocks)
    check_resume(model, blocks)
    check_patch(model, blocks, pairs)


@pytest.mark.filterwarnings("ignore:.* scales or adds to the residual stream")
def test_the_readme_says_which_site_each_architecture_has(zoo_model):
    # Here, where most of the models are loaded already.
    made = table(lambda name, backend: zoo_model(name, backend))
    assert between(README.read_text()) == made, "run python -m tests.parity.table --write"
