"""A learner's step: rates, decoder rows, sparsity, revival, and the folding at the end."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.unit.kernels import TrainingOptions
from tests.unit.kernels import learner as learner_file
from tests.unit.kernels import learner as losses
from tests.unit.training_vectors import vectors
from workbench.dictionary import encoders
from workbench.site import Site

SITE = Site.parse("L1.resid_post")


def learner(kind: str = "topk", **settings: Any) -> learner_file.Learner:
    options = TrainingOptions(**{"kind": kind, "n_features": 16, "steps": 50, **settings})
    made = learner_file.Learner(SITE, SITE, options)
    made.begin({SITE: vectors()})
    return made


def test_training_begins_at_the_mean_with_vectors_of_length_root_d() -> None:
    x = vectors()
    units = learner_file.Units.of(x)
    assert torch.allclose(units(x).mean(0), torch.zeros(8), atol=1e-5)
    assert units(x).norm(dim=-1).mean().item() == pytest.approx(8**0.5, rel=1e-5)
    empty = learner().dictionary(model="", name="", info={})
    assert torch.allclose(empty.b_dec, x.mean(0), atol=1e-5)
    with pytest.raises(ValueError, match="vectors that differ .* from their mean is 0"):
        learner_file.Units.of(torch.ones(4, 8))


def test_the_decoder_rows_stay_of_length_1_and_move_at_right_angles_only() -> None:
    made = learner(learning_rate=0.01)
    before = made.weights.W_dec.detach().clone()
    made.step({SITE: vectors(64)})
    gradient = made.weights.W_dec.grad
    assert gradient is not None
    assert torch.allclose((gradient * before).sum(-1), torch.zeros(16), atol=1e-6)
    assert torch.allclose(made.weights.W_dec.norm(dim=-1), torch.ones(16), atol=1e-6)
    assert not torch.equal(made.weights.W_dec, before)


def test_the_rate_rises_stays_and_falls_to_nothing() -> None:
    made = learner(steps=1000)
    rates = []
    for made.step_number in range(1000):
        rates.append(made._rate())
    assert rates[0] == pytest.approx(1 / 51)
    assert rates[49] == pytest.approx(50 / 51)
    assert rates[500] == 1.0
    assert rates[850] == pytest.approx(0.5)
    assert rates[999] == pytest.approx(1 / 300)


def test_p_falls_after_a_quarter_and_the_sparsity_loss_keeps_its_size() -> None:
    made = learner("relu", l1=1.5, p=0.4, steps=40)
    x = vectors(64)
    seen = []
    for _ in range(39):
        codes = torch.relu(made.units(x) @ made.weights.W_enc.T + made.weights.b_enc).detach()
        p, strength = made.p, made.strength
        made.step({SITE: x})
        before = strength * losses.sparsity(codes, p)
        after = made.strength * losses.sparsity(codes, made.p)
        assert after.item() == pytest.approx(before.item(), rel=1e-4)
        seen.append(made.p)
    assert seen[:9] == [1.0] * 9
    assert seen[24] == pytest.approx(1 - 0.6 * 0.5)
    made.step({SITE: x})
    assert made.p == pytest.approx(0.4)


def test_the_threshold_of_batchtopk_is_the_running_mean_of_the_smallest_code() -> None:
    made = learner("batchtopk", k=3)
    x, running = vectors(64), None
    for _ in range(5):
        pre = made.units(x) @ made.weights.W_enc.T + made.weights.b_enc
        kept = pre.detach().flatten().sort(descending=True).values[: 3 * 64]
        least = kept[kept > 0].min().item()
        running = least if running is None else 0.99 * running + 0.01 * least
        made.step({SITE: x})
        assert made.threshold == pytest.approx(running, rel=1e-5)
    found = made.dictionary(model="", name="", info={})
    assert running is not None
    assert isinstance(found.encoder, encoders.BatchTopK)
    assert found.encoder.threshold[3].item() == pytest.approx(running / made.units.factor, rel=1e-5)


@pytest.mark.parametrize("kind", ["topk", "relu", "matching_pursuit"])
def test_dead_features_take_the_direction_of_what_is_explained_worst(
    kind: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(learner_file, "REVIVE_EVERY", 1)
    made = learner(kind, **({} if kind == "relu" else {"k": 2}))
    w, x, dead = made.weights, vectors(64), [14, 15]
    x[5] += 100.0
    with torch.no_grad():
        w.b_enc[dead] = -1e3
        # For a pursuit the first of equal directions is taken, and the others are dead.
        w.W_dec[dead] = w.W_dec[2].clone()
    given: list[torch.Tensor] = []
    monkeypatch.setattr(
        made,
        "_revive",
        lambda *a: given.extend([*a, made.fired.clone()]) or learner_file.Learner._revive(made, *a),
    )
    made.step({SITE: x})
    _, error, fired = given
    assert not fired[dead].any()
    assert fired[:14].any()
    assert not made.fired.any(), "the count begins again"
    unit = torch.nn.functional.normalize(error, dim=-1)
    # One row is explained far worse than all others, so it is drawn first.
    assert int(error.norm(dim=-1).argmax()) == 5
    assert torch.allclose(w.W_dec[14], unit[5])
    assert (w.W_dec[15] - unit).norm(dim=-1).min() < 1e-6
    if kind != "matching_pursuit":
        assert w.b_enc[dead].tolist() == [0.0, 0.0]
        share = learner_file.REVIVED_SHARE if kind == "relu" else 1.0
        size = share * w.W_enc[fired].norm(dim=-1).mean()
        assert torch.allclose(w.W_enc[dead], size * w.W_dec[dead], atol=1e-5)
    for name, parameter in made.learnt.items():
        moments = made.optimizer.state[parameter]
        rows = moments["exp_avg"], moments["exp_avg_sq"]
        assert name == "b_dec" or not any(bool(m[dead].any()) for m in rows)
        assert all(bool(m.any()) for m in rows)


def test_nothing_is_revived_near_the_end(monkeypatch: Any) -> None:
    monkeypatch.setattr(learner_file, "REVIVE_EVERY", 1)
    made = learner(steps=5)
    made.step_number = 3
    with torch.no_grad():
        made.weights.b_enc[0] = -1e3
    row = made.weights.W_dec[0].detach().clone()
    made.step({SITE: vectors(64)})
    assert torch.equal(made.weights.W_dec[0], row)


def test_folding_changes_no_number() -> None:
    made = learner("topk", k=4)
    x = vectors(32)
    for _ in range(3):
        made.step({SITE: x})
    found = made.dictionary(model="", name="", info={})
    w, inner = made.weights, made.units(x)
    pre = inner @ w.W_enc.T + w.b_enc
    codes = torch.zeros_like(pre)
    for r in range(32):
        for f in pre[r].argsort(descending=True)[:4].tolist():
            codes[r, f] = max(0.0, float(pre[r, f].detach()))
    assert torch.allclose(found.encode(x) * made.units.factor, codes, atol=1e-4)
    outer = (codes @ w.W_dec + w.b_dec) / made.units.factor + made.units.mean
    assert torch.allclose(found.reconstruct(x), outer.detach(), atol=1e-4)
