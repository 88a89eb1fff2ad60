"""Logit, tuned and Jacobian lens, direct logit attribution, attention."""

from __future__ import annotations

from typing import Any

from .calls import Context, Tables, call, named, thing
from .core import PROMPT, PROMPTS

WORDS = [" Paris", " Rome"]


@thing
def tuned(c: Context) -> Any:
    return c.wb.tuned_lens(
        c.model, c.corpus[:16], steps=8, batch_size=4, seed=c.seed, progress=False
    )


@call("logit_lens", "LogitLens")
def logit_lens(c: Context) -> Tables:
    lens = c.wb.logit_lens
    out: dict[str, Any] = {
        component: lens(c.model, PROMPT, component=component, k=5)
        for component in ("resid_pre", "resid_mid", "resid_post", "attn_out", "mlp_out", "z")
    }
    targeted = lens(c.model, PROMPTS, targets=" Paris", foils=" Rome", k=3)
    sets = lens(
        c.model, PROMPT, component=["resid_post", "mlp_out"], positions="last", k=4,
        token_sets={"cities": [" Paris", " Rome"], "lands": [" France", " Italy"]},
        targets=" Paris", chunk=2,
    )  # fmt: skip
    tuned = lens(c.model, PROMPT, lens=[None, c.tuned], k=3, targets=" Paris")
    return out | {
        "targets": targeted, "target frame": targeted.target_frame(),
        "top tokens": targeted.top_tokens(1), "shown": targeted.shown(0),
        "sets": sets, "sets target": sets.target_frame(),
        "sets tokens": sets.top_tokens(component="mlp_out"),
        "tuned": tuned, "tuned tokens": tuned.top_tokens(lens=tuned.panels[1].lens),
        "one measure": lens(c.model, PROMPT, measures=["entropy"], k=2, prepend_bos=False),
    }  # fmt: skip


@call("tuned_lens", "TunedLens")
def tuned_lens(c: Context) -> Tables:
    evaluated = c.tuned.evaluate(c.model, c.corpus[16:24])
    identity = c.wb.TunedLens.identity(c.model)
    return {
        "training": c.tuned,
        "evaluated": evaluated,
        "identity": identity.evaluate(c.model, c.corpus[16:24]),
    }


@call("jacobian_lens", "JacobianLens", backends=("transformer_lens",))
def jacobian_lens(c: Context) -> Tables:
    lens = c.wb.jacobian_lens(c.plain_backend_model, c.corpus[:2], skip_first_positions=4,
                              max_seq_len=20, dim_batch=64, progress=False)  # fmt: skip
    return {
        "lens": lens,
        "read": c.wb.logit_lens(c.plain_backend_model, PROMPT, lens=lens, k=3, targets=" Paris"),
    }


@call("direct_logit_attribution", "DirectLogitAttribution")
def direct_logit_attribution(c: Context) -> Tables:
    dla = c.wb.direct_logit_attribution
    return {
        "heads": dla(c.model, PROMPT, " Paris", foils=" Rome"),
        "blocks": dla(c.model, PROMPTS, WORDS, heads=False),
        "everywhere": dla(c.model, PROMPT, WORDS, positions=None, prepend_bos=False),
    }


@call("attention", "Attention")
def attention(c: Context) -> Tables:
    got = c.wb.attention(c.model, PROMPTS)
    some = c.wb.attention(c.model, PROMPT, layers=[1, 2], value_weighted=False, prepend_bos=False)
    return {
        "frame": got, "some": some,
        **named("scores", {f"{row} {w}": got.head_scores(row=row, weighted=w)
                           for row in (None, 1) for w in (False, True)}),
        "head": got.of_head(2, 1, 1), "head weighted": got.of_head(1, 3, weighted=True),
        "prompt": got.of_prompt(1, weighted=True), "prompt plain": got.of_prompt(0),
    }  # fmt: skip
