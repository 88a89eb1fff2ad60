"""load: names, places, precisions, and what is refused before anything is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import workbench as wb
from tests.parity import zoo


def test_a_model_with_narrower_embeddings_is_refused():
    from transformers import OPTConfig, OPTForCausalLM

    tokenizer = wb.load("tinyworld").tokenizer
    config = OPTConfig(
        vocab_size=len(tokenizer),  # pyright: ignore[reportArgumentType]
        hidden_size=32,
        word_embed_proj_dim=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        ffn_dim=32,
        max_position_embeddings=32,
        do_layer_norm_before=False,
    )
    with pytest.raises(ValueError, match="embeds them in narrower vectors, with a projection"):
        wb.load(OPTForCausalLM(config), tokenizer=tokenizer)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.save("llama", tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        (
            {"backend": "jax"},
            ValueError,
            r"A backend is one of nnsight, transformer_lens; got 'jax'",
        ),
        ({"remote": "moon"}, ValueError, r"remote is False, True \(NDIF\) or 'local'; got 'moon'"),
        (
            {"remote": True, "backend": "transformer_lens"},
            ValueError,
            r"Only the nnsight backend runs remotely; got backend='transformer_lens'",
        ),
        (
            {"device": "gpu"},
            ValueError,
            r"A device is 'auto', 'cpu', 'cuda' or 'cuda:1'; got 'gpu'",
        ),
        ({"dtype": "float33"}, ValueError, r"A dtype is 'float32', .*; got 'float33'"),
        ({"dtype": "int64"}, ValueError, r"A dtype is 'float32', .*; got 'int64'"),
    ],
)
def test_an_unknown_option_names_the_known_ones(options, error, text: str, folder: Path):
    with pytest.raises(error, match=text):
        wb.load(folder, **options)


#: Devices by name only, on every machine; and those that this one could have and has not.
NOWHERE = ["meta", "hpu", "vulkan", "privateuseone"]
NOT_HERE = [d for d in ("mps", "xpu") if not torch.get_device_module(d).is_available()]


@pytest.mark.parametrize("device", [*NOWHERE, *NOT_HERE])
def test_a_device_that_is_not_there_is_said_before_loading(device: str, folder: Path):
    for given in (device, torch.device(device)):
        with pytest.raises(ValueError, match=rf"device='{device}' holds no numbers on this mach"):
            wb.load(folder, device=given)


@pytest.mark.parametrize("device", ["cuda:7", torch.device("cuda", 2)])
def test_a_gpu_beyond_the_last_one_is_said_before_loading(device, folder: Path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ValueError, match=r"cuda:[72]' is not on this machine; torch sees 2 CUDA"):
        wb.load(folder, device=device)


def test_auto_leaves_a_mac_s_gpu_alone(folder: Path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert wb.load(folder).spec.device == "cpu"


@pytest.mark.parametrize("dtype", ["float8_e4m3fn", torch.float8_e5m2])
def test_a_precision_in_which_nothing_runs_is_none(dtype, folder: Path):
    with pytest.raises(ValueError, match=r"A dtype is 'float32', .*; got "):
        wb.load(folder, dtype=dtype)


def _sees() -> dict[str, Any]:
    return {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_the_context_of_a_model_that_also_sees_is_that_of_its_text(backend: str):
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    reads = {**zoo._GEMMA, "max_position_embeddings": 48, "sliding_window": 4}
    config = Gemma3Config(text_config=reads, vision_config=_sees(), **zoo._IDS)
    model = wb.load(
        Gemma3ForConditionalGeneration(config), tokenizer=zoo.tokenizer(), backend=backend
    )
    assert model.spec.n_ctx == 48


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize(("length", "n"), [(64, 1), (62, 3)])
def test_a_generation_ends_at_the_last_position_whose_token_is_not_read(
    name: str, backend: str, length: int, n: int
):
    hf_model = zoo.hf_model(name)
    model = wb.load(hf_model, tokenizer=zoo.tokenizer(), backend=backend)
    assert model.spec.n_ctx == 64
    prompt = [(list(range(5, 50)) * 2)[:length]]
    plain = torch.tensor(prompt)
    with torch.no_grad():
        for _ in range(n):
            plain = torch.cat([plain, hf_model(plain).logits[:, -1:].argmax(-1)], 1)
    assert 0 not in plain[0, length:], "an end token would stop it before"
    assert model.generate(prompt, n).new == (tuple(plain[0, length:].tolist()),)
    with pytest.raises(ValueError, match=rf"64 tokens; the prompt has {length} and {n + 1} more"):
        model.generate(prompt, n + 1)


def test_cuda_where_there_is_none_is_said_before_loading(folder: Path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(
        ValueError, match=r"device='cuda' needs a CUDA GPU and torch sees none here"
    ):
        wb.load(folder, device="cuda")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("no-such-model", r"'no-such-model' is no embedded model .* or there is no network. Check"),
        ("./nowhere", r"There is no directory './nowhere'. Check the path, or give a Hugging Face"),
        ("tinyworld-nine", r"tinyworld-nine is not in "),
        (" ", r"A model is named by an embedded name, .* got an empty name"),
    ],
)
def test_an_unknown_model_says_where_it_was_looked_for(name: str, text: str, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises((OSError, ValueError), match=text):
        wb.load(name)


def test_a_pickle_checkpoint_is_refused_with_the_reason(tmp_path: Path, folder: Path):
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(
        OSError, match=r"A model directory holds \*.safetensors weights; .* has none"
    ):
        wb.load(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    with pytest.raises(
        ValueError, match=r"unpickling runs the code that a file holds; .* has pyto"
    ):
        wb.load(tmp_path)


def test_a_folder_without_a_configuration_is_no_model(tmp_path: Path):
    with pytest.raises(OSError, match=r"A model directory holds a config.json; .* has none"):
        wb.load(tmp_path)


def test_an_architecture_that_is_no_decoder_is_refused(tmp_path: Path):
    from transformers import MambaConfig, MambaForCausalLM

    config = MambaConfig(vocab_size=60, hidden_size=16, num_hidden_layers=1, state_size=4)
    MambaForCausalLM(config).save_pretrained(tmp_path)
    zoo.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"(stack of blocks with attention|has an adapter for)"):
        wb.load(tmp_path)


@pytest.mark.parametrize("dtype", ["float64", torch.bfloat16])
def test_a_precision_is_a_name_or_a_dtype(dtype, folder: Path):
    model = wb.load(folder, dtype=dtype, device="cpu")
    assert model.spec.dtype == str(dtype).removeprefix("torch.")
    assert str(model.run("w5 w9").logits.dtype).endswith(model.spec.dtype)  # pyright: ignore


def test_float32_is_the_default_on_a_cpu_whatever_the_file_holds(tmp_path: Path):
    zoo.hf_model("llama").half().save_pretrained(tmp_path)
    zoo.tokenizer().save_pretrained(tmp_path)
    assert wb.load(tmp_path, device="cpu").spec.dtype == "float32"


def test_loading_leaves_log_levels_and_progress_bars_as_they_were(folder: Path):
    import logging

    from transformers.utils import logging as hf_logging

    before = logging.getLogger().level, hf_logging.get_verbosity()
    hf_logging.enable_progress_bar()
    wb.load(folder, device="cpu")
    assert (logging.getLogger().level, hf_logging.get_verbosity()) == before
    assert hf_logging.is_progress_bar_enabled()


def test_a_model_whose_residual_stream_is_changed_loses_the_sites_that_would_be_wrong(tmp_path):
    # Its norms add what they normed and not what came to them.
    tmp_path = zoo.save("bloom_post_norm", tmp_path)
    with pytest.warns(UserWarning, match=r"scales or adds to the residual stream .* left out of"):
        model = wb.load(tmp_path, device="cpu")
    assert not {"attn_out", "resid_mid", "mlp_out"} & set(model.spec.streams)
    assert "resid_post" in model.spec.streams


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"zebra": 1}, "from_pretrained; 'llama' takes none such: .*'zebra'. Check the spelling"),
        ({"load_in_4bit": True}, "'llama' takes none such: .*'load_in_4bit'"),
        ({"torch_dtype": torch.float16}, "torch_dtype is not an option of load.* Give dtype="),
        ({"attn_implementation": "sdpa"}, "attn_implementation is not .* Give attention="),
        ({"use_safetensors": False}, "use_safetensors is not an option of load"),
        ({"output_loading_info": True}, "output_loading_info is not an option of load"),
        ({"state_dict": {}}, "state_dict is not an option of load"),
        ({"gguf_file": "a.gguf"}, "gguf_file is not an option of load.* Convert it"),
        ({"quantization_config": {"a": 1}}, "model of 'llama' cannot be read: .*quant_method"),
        (
            {"device": "auto", "device_map": "zebra"},
            "model of 'llama' cannot be read: .*a device name",
        ),
        ({"device": "auto", "device_map": "meta"}, "leaves them on disk or nowhere"),
        ({"device": "auto", "device_map": {"": "disk"}}, "leaves them on disk or nowhere"),
        ({"device_map": "auto"}, "device= puts the whole .* got both"),
        ({"revision": "v2"}, "'llama' is a directory, .* Leave revision='v2' out"),
        ({"revision": ""}, "the name of a branch, a tag or a commit; got revision=''"),
        ({"revision": 5}, "the name of a branch, a tag or a commit; got revision=5"),
        ({"attention": "zebra"}, "attention is 'eager' or another .*; got 'zebra'"),
        ({"attention": None}, "attention is 'eager' or another .*; got None"),
        ({"attention": "flash_attention_2"}, "model of 'llama' needs a library that is not inst"),
        ({"variant": "fp16"}, "Weights are in model.fp16.safetensors, .* but model.safetensors"),
        ({"subfolder": "nowhere"}, "holds a config.json; 'llama' has none"),
    ],
)
def test_an_option_that_loads_nothing_is_refused(options: Any, text: str, folder: Path) -> None:
    with pytest.raises((ValueError, OSError, ImportError), match=text):
        wb.load(folder, **{"device": "cpu", **options})
