"""Path patching against plain passes in which the same edges carry the same values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from tests.known_answers.plain_graph import example_effects
from tests.patchings import path_patch
from tests.unit import lens_models
from tests.unit.circuit_models import (
    BACKENDS,
    TINY,
    WORDS,
    Plain,
    by_length,
    ioi,
    plain,
    plain_metric,
    tinyworld,
    words,
)
from workbench import Effects
from workbench.tasks import TaskBatch

CLOSE: dict[str, Any] = {"atol": 2e-4, "rtol": 1e-5}
DIRECTIONS = ("denoise", "noise")
#: A sender and a receiver of each kind, key/value heads that are shared among them.
PATHS = [
    ("embed", "L2H1.k"),
    ("L0H2.z", "L3H1.v"),
    ("L1H3.z", "logits"),
    ("L0.mlp_out", "L3H1.q"),
    ("L2.mlp_out", "L3.mlp_in"),
]


def sides(batch: TaskBatch, direction: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The ids of the base run and of the other one."""
    clean, corrupt = batch.clean.ids, batch.corrupt.ids
    return (clean, corrupt) if direction == "noise" else (corrupt, clean)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", TINY)
def test_through_the_residual_stream_one_edge_carries_the_other_value(
    name: str, direction: Any
) -> None:
    for sender, receiver in PATHS:
        result = path_patch(
            tinyworld(name),
            ioi(),
            sender=sender,
            receivers=receiver,
            direction=direction,
        )
        gap = float((result.clean - result.corrupt).mean())
        total = 0.0
        for rows, batch in by_length(ioi()):
            effect = example_effects(
                plain(name).model,
                batch.clean.ids,
                batch.corrupt.ids,
                lambda logits, batch=batch: batch.metric(logits[:, None]),
                kind="denoising" if direction == "denoise" else "noising",
                edges=[(sender, receiver)],
            )[sender, receiver].numpy()
            base = result.corrupt if direction == "denoise" else result.clean
            moved = effect if direction == "denoise" else -effect
            np.testing.assert_allclose(result.patched[rows], base[rows] + moved, **CLOSE)
            total += float(effect.sum())
        assert result.effect == pytest.approx(total / len(ioi()) / gap, abs=1e-4)
        assert abs(result.effect) > 1e-6
        assert result.result.changes["change"][0] == f"{sender} → {receiver}"


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", TINY)
def test_receivers_of_one_layer_and_the_logits_are_reached_together(
    name: str, direction: Any
) -> None:
    sender, receivers = "L0.mlp_out", ["L3H1.q", "L3H0.q", "L3H1.v", "logits"]
    result = path_patch(
        tinyworld(name),
        ioi(),
        sender=sender,
        receivers=receivers,
        direction=direction,
    )
    for rows, batch in by_length(ioi()):
        base, other = sides(batch, direction)
        cut = {(sender, receiver) for receiver in receivers}
        seen = plain(name).run(base, cut=cut, other=plain(name).run(other).writes)
        np.testing.assert_allclose(result.patched[rows], plain_metric(batch, seen), **CLOSE)


def through_mlps(
    model: Plain, base: torch.Tensor, other: torch.Tensor, sender: str, receiver: str
) -> Any:
    """A pass with every head held at its base value but the sender, MLPs computed again; then the
    base run whose receiver alone reads what was written there.
    """
    own, changed = model.run(base).writes, model.run(other).writes
    held = {w: own[w] for w in model.writers if w.endswith(".z")} | {sender: changed[sender]}
    first = model.run(base, cut=model.out_of(*held), other=held).writes | held
    return model.run(base, cut=model.into(receiver), other=first)


@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("name", TINY)
def test_through_mlps_heads_are_held_and_mlps_computed_again(name: str, direction: Any) -> None:
    for sender, receiver in PATHS:
        result = path_patch(
            tinyworld(name),
            ioi(),
            sender=sender,
            receivers=receiver,
            through="mlps",
            direction=direction,
        )
        for rows, batch in by_length(ioi()):
            base, other = sides(batch, direction)
            seen = through_mlps(plain(name), base, other, sender, receiver)
            np.testing.assert_allclose(result.patched[rows], plain_metric(batch, seen), **CLOSE)
    assert result.result.changes["through"] == ("mlps", None)
    assert result.result.what.startswith(f"{direction} L2.mlp_out → L3.mlp_in through mlps on")


def test_what_mlps_carry_on_makes_a_difference() -> None:
    results = [
        path_patch(tinyworld(), ioi(), sender="L0H2.z", receivers="L3H1.v", through=through)
        for through in ("residual", "mlps")
    ]
    assert abs(results[0].effect - results[1].effect) > 1e-3


@pytest.mark.parametrize("through", ["residual", "mlps"])
@pytest.mark.parametrize("name", ["tinyworld", "tinyworld-llama"])
def test_both_backends_give_the_same_effect(name: str, through: Any) -> None:
    for sender, receiver in PATHS:
        ours, theirs = (
            path_patch(
                tinyworld(name, b), ioi(), sender=sender, receivers=receiver, through=through
            )
            for b in BACKENDS
        )
        np.testing.assert_allclose(theirs.patched, ours.patched, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_sender_to_the_logits_of_one_layer_is_what_it_adds_there(backend: str) -> None:
    # One layer: what reaches the logits past heads and MLP is the sender's own change.
    model = lens_models.zoo_model("gptj", backend)
    batch = WORDS.on(model)
    for sender in ("embed", "L1H2.z", "L1.mlp_out"):
        result = path_patch(model, batch, sender=sender)
        for rows, part in by_length(batch):
            stream = {}
            for kind, tokens in (("clean", part.clean), ("corrupt", part.corrupt)):
                run = model.run(
                    tokens, read=["L1.resid_post", "L1.z", "L0.resid_pre", "L1.mlp_out"]
                )
                own = {
                    "embed": run["L0.resid_pre"],
                    "L1.mlp_out": run["L1.mlp_out"],
                    "L1H2.z": run["L1.z"][:, :, 2] @ model.weight("W_O", 1)[2],
                }
                stream[kind] = run["L1.resid_post"], own[sender]
            resid = stream["corrupt"][0] + stream["clean"][1] - stream["corrupt"][1]
            logits = model.unembed(resid[:, -1:])
            np.testing.assert_allclose(result.patched[rows], part.metric(logits), atol=1e-5)


def test_the_table_the_interval_and_the_saved_result_agree(tmp_path: Any) -> None:
    result = path_patch(tinyworld(), ioi(), sender="L0.mlp_out", receivers=["L3H1.q"])
    low, high = result.interval()
    assert low <= result.effect <= high
    frame = result.result.to_frame("examples")
    moved = frame["changed"] - frame["plain"]
    assert result.effect == pytest.approx(
        moved.mean() / (result.clean - result.corrupt).mean(), rel=1e-5
    )
    np.testing.assert_allclose(frame["effect"].mean(), result.effect)
    assert "denoise L0.mlp_out → L3H1.q through residual on ioi" in repr(result.result)
    result.result.save(tmp_path / "path")
    back = Effects.load(tmp_path / "path")
    assert back.score(draws=0)[0] == result.effect and back.changes == result.result.changes


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"through": "heads"}, "through is one of 'residual', 'mlps'; got 'heads'"),
        ({"direction": "clean"}, "direction is one of 'denoise', 'noise'; got 'clean'"),
        ({"receivers": []}, "ends at one receiver or more; got none. Name 'logits'"),
        ({"sender": "L7H0.z"}, r"layers 0 to 1 with heads 0 to 3; got 'L7H0\.z'"),
        ({"sender": "L0H0.q"}, r"A component is written .*got 'L0H0\.q'"),
        ({"receivers": "L1H0.z"}, r"A reader is written .*got 'L1H0\.z'"),
        ({"receivers": "L1H3.k"}, r"key/value heads 0 to 1\); got 'L1H3\.k'"),
        ({"sender": "L1H0.z", "receivers": "L1H1.q"}, r"L1H0\.z is not computed before L1H1\.q"),
    ],
)
def test_paths_that_are_none_are_named(options: dict[str, Any], error: str) -> None:
    given: dict[str, Any] = {"sender": "embed", **options}
    with pytest.raises(ValueError, match=error):
        path_patch(lens_models.zoo_model("llama"), WORDS, **given)


def test_pairs_without_a_difference_and_a_shared_norm_are_refused() -> None:
    both = words([("w2 w3 w4", "w2 w7 w4"), ("w2 w7 w4", "w2 w3 w4")])
    with pytest.raises(ValueError, match="difference between clean and corrupt"):
        path_patch(lens_models.zoo_model("llama"), both, sender="embed")
    with pytest.raises(ValueError, match="norms the queries of all heads"):
        path_patch(lens_models.zoo_model("olmo2"), WORDS, sender="embed")
