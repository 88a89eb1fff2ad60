"""nnsight's remote path: the same numbers after a trip through its serialisation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from workbench.change import Change
from workbench.edits import Add, Scale
from workbench.loading import load
from workbench.model import Resume

CASES: dict[str, dict[str, Any]] = {
    "logits": {},
    "reads and edits": {
        "read": ["L0.resid_post", "L1.pattern", "L1H1.q", "L1.resid_mid"],
        "edits": [Add("L0.resid_pre", torch.ones(32)), Scale("L1H0.pattern", 0.0)],
    },
    "masked attention": {
        "read": ["L1.pattern"],
        "edits": [Scale("L0.attn_scores", 0.0), Add("L1.pattern", 0.1, positions=slice(2, None))],
    },
    "gradients": {"read": ["L0.z", "L0.q"], "grad_of": lambda logits: logits[:, -1, 3]},
    "an early stop": {"read": ["L0.resid_post"], "stop_after": 0},
    "chosen logits": {"logits_at": "last"},
}


@pytest.mark.parametrize("name", ["gpt2", "llama", "bloom"])
@pytest.mark.parametrize("case", CASES)
def test_the_serialised_path_gives_the_numbers_of_the_local_one(name, case, zoo_model, prompts):
    here, there = zoo_model(name, "nnsight"), zoo_model(name, "nnsight", remote="local")
    mine, theirs = (m.run(prompts, **CASES[case]) for m in (here, there))
    if mine.logits is not None:
        assert torch.equal(mine.logits, theirs.logits)
    for site, value in mine.activations.items():
        assert torch.equal(value, theirs[site])
    for site, value in mine.grads.items():
        assert torch.equal(value, theirs.grad(site))


def test_resume_and_generation_work_remotely(zoo_model, prompts):
    here, there = zoo_model("gpt2", "nnsight"), zoo_model("gpt2", "nnsight", remote="local")
    resid = here.run(prompts, read="L1.resid_pre")["L1.resid_pre"]
    runs = [m.run(prompts, resume=Resume(1, resid)).logits for m in (here, there)]
    assert torch.equal(*runs)
    push = Add("L0.mlp_out", torch.ones(32))
    for on in ("prompt", "new", "both"):
        made = [m.generate(prompts, 4, edits=Change(push, on=on)).new for m in (here, there)]
        assert made[0] == made[1]


@pytest.mark.parametrize("name", ["gpt2", "gemma2", "bloom"])
def test_unembedding_happens_where_the_weights_are(name, zoo_model):
    here, there = zoo_model(name, "nnsight"), zoo_model(name, "nnsight", remote="local")
    resid = torch.randn(3, 2, 32, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(there.unembed(resid), here.unembed(resid), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "bloom"])
def test_a_model_on_a_server_is_known_by_its_shapes(name, zoo_folder):
    model: Any = load(zoo_folder(name), remote=True)
    assert model.on_server and model.spec.device == "cpu"
    assert model.spec.streams == load(zoo_folder(name), device="cpu").spec.streams
    assert bool(model.tuple_blocks) == (name == "bloom")
    assert model.tokens("w3 w5").ids.tolist() == [[3, 5]]
    with pytest.raises(ValueError, match=r"weights of .* are on the server; only runs reach them"):
        model.weight("W_E")


READ_BACK = """
import sys
class NoWorkbench:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "workbench":
            raise ModuleNotFoundError("the server has no workbench")
sys.meta_path.insert(0, NoWorkbench())
import nnsight
from transformers import AutoModelForCausalLM, AutoTokenizer
from nnsight.schema.request import RequestModel
folder, request = sys.argv[1:]
model = nnsight.TransformersModel(
    AutoModelForCausalLM.from_pretrained(folder), tokenizer=AutoTokenizer.from_pretrained(folder),
    task="text-generation",
)
blob = open(request, "rb").read()
tracer = RequestModel.deserialize(blob, model._remoteable_persistent_objects(), compress=False)
assert not any(name.split(".")[0] == "workbench" for name in sys.modules)
print("read back:", type(tracer).__name__)
"""


def test_a_request_reads_back_where_workbench_is_not_installed(
    zoo_folder, prompts, tmp_path: Path, monkeypatch
):
    from nnsight.schema.request import RequestModel

    blobs = []
    serialize = RequestModel.serialize

    def keep(*args, **kwargs):
        blobs.append(serialize(*args, **kwargs))
        return blobs[-1]

    model = load(zoo_folder("gpt2"), device="cpu", remote="local")
    monkeypatch.setattr(RequestModel, "serialize", keep)
    model.run(prompts, **CASES["reads and edits"])
    (tmp_path / "request").write_bytes(blobs[-1])
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, str(zoo_folder("gpt2")), str(tmp_path / "request")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "read back: " in done.stdout


@pytest.mark.parametrize("cut", ["L0H1", "L0H1.z → L1H1.q"])
def test_an_edit_that_cannot_be_sent_is_refused_in_words(cut, zoo_model):
    model = zoo_model("gpt2", "nnsight", remote="local")
    pair = {"clean": "w5 w17 w30", "corrupt": "w9 w3 w28", "answers": [" w7"], "foils": [" w8"]}
    with pytest.raises(ValueError, match=r"are plain data; Cut\w+ cannot be sent \(.*pickle"):
        wb.ablate(model, wb.task([pair]), [cut], reference="counterfactual")
    assert torch.isfinite(model.run([[5, 17, 30]]).logits).all()
