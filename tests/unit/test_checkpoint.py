"""load of checkpoints that lack something, hold too much, or are broken: each is said by name."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import workbench as wb
from tests.parity import zoo

Damage = Callable[[Path], Any]
FIRST = "model.layers.0.mlp.up_proj.weight"
SHARDS = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return zoo.save("llama", tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "mine"))


def load(folder: Path, **options: Any) -> Any:
    return wb.load(folder, **{"device": "cpu", **options})


def weights(change: Callable[[dict[str, torch.Tensor]], Any]) -> Damage:
    """The weights with a change in place, or the ones that it gives back."""

    def damage(folder: Path) -> None:
        held = load_file(folder / "model.safetensors")
        held = change(held) or held
        save_file(held, folder / "model.safetensors", metadata={"format": "pt"})

    return damage


def settings(name: str = "config.json", **values: Any) -> Damage:
    def damage(folder: Path) -> None:
        table = json.loads((folder / name).read_text())
        table = {k: v for k, v in {**table, **values}.items() if v is not None}
        (folder / name).write_text(json.dumps(table))

    return damage


def written(name: str, content: str | bytes) -> Damage:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def cut(name: str, keep: float) -> Damage:
    def damage(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * keep)])

    return damage


def removed(*patterns: str) -> Damage:
    return lambda folder: [path.unlink() for p in patterns for path in folder.glob(p)]


def sharded(folder: Path) -> None:
    held = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(held)
    places = {name: SHARDS[i > 9] for i, name in enumerate(names)}
    for shard in SHARDS:
        part = {name: held[name] for name in names if places[name] == shard}
        save_file(part, folder / shard, metadata={"format": "pt"})
    written("model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": places}))(
        folder
    )


def both(*steps: Damage) -> Damage:
    return lambda folder: [step(folder) for step in steps]


def saved(make: Callable[[], Any]) -> Damage:
    """Another model in the place of this one."""
    return lambda folder: make().save_pretrained(folder)


def _bert() -> Any:
    from transformers import BertConfig, BertForMaskedLM

    sizes: dict[str, Any] = {
        "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4,
        "intermediate_size": 48,
    }  # fmt: skip
    return BertForMaskedLM(BertConfig(**sizes))


def _llama(kind: str, **values: Any) -> Any:
    import transformers

    config = transformers.LlamaConfig(**{**zoo._LLAMA_LIKE, **values}, **zoo._IDS)
    return getattr(transformers, kind)(config)


ADAPTER = json.dumps({"peft_type": "LORA", "base_model_name_or_path": "gpt2"})
LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 12\n"


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        # Weights: what is missing, what does not fit, what is no number.
        (weights(lambda w: w.pop("lm_head.weight") is None), "lacks lm_head.weight, which would"),
        (weights(lambda w: {k: v for k, v in w.items() if "layers.1" not in k}), "and 6 more, whi"),
        (weights(lambda w: {f"x.{k}": v for k, v in w.items()}), "no place for x.lm_head.weight,"),
        (weights(lambda w: w.clear() or {"none": torch.zeros(1)}), "lacks lm_head.weight, model.e"),
        (weights(lambda w: w.update({FIRST: torch.zeros(3, 4)})), rf"{FIRST} \(3, 4\) for \(48, 3"),
        (weights(lambda w: w[FIRST][0].fill_(torch.nan) is None), f"NaN or infinity in {FIRST}"),
        (weights(lambda w: w[FIRST][3].fill_(torch.inf) is None), f"NaN or infinity in {FIRST}"),
        (weights(lambda w: {k: v.to(torch.int8) for k, v in w.items()}), "is I8. Give the config"),
        (
            weights(lambda w: w.update({FIRST: w[FIRST].to(torch.float8_e4m3fn)})),
            "is F8_E4M3. Give",
        ),
        (saved(lambda: _llama("LlamaModel")), "lacks lm_head.weight"),
        (saved(lambda: _llama("LlamaForSequenceClassification")), "it has no place for score.wei"),
        (settings(num_hidden_layers=3), "lacks model.layers.2.input_layernorm.weight"),
        (settings(intermediate_size=64), r"down_proj.weight \(32, 48\) for \(32, 64\)"),
        (settings(attention_bias=True), "lacks model.layers.0.self_attn.k_proj.bias"),
        (settings(num_hidden_layers=0), "at least one layer; the configuration of 'mine' says 0"),
        # Weight files.
        (cut("model.safetensors", 0.5), "model.safetensors of 'mine' is cut short or no safetens"),
        (cut("model.safetensors", 0.999), "is cut short"),
        (cut("model.safetensors", 0), "is cut short"),
        (written("model.safetensors", b"\xff" * 99), "is cut short or no safetensors file"),
        (written("model.safetensors", LFS), "Git leaves in the place of a large file. .* git lfs"),
        (both(sharded, removed(SHARDS[1])), f"2 files, of which 1 are missing: {SHARDS[1]}"),
        (both(sharded, removed("model-*")), "2 files, of which 2 are missing"),
        (both(sharded, cut(SHARDS[0], 0.9)), f"{SHARDS[0]} of 'mine' is cut short"),
        (both(sharded, removed("*.index.json")), "in the files that model.safetensors.index.json"),
        (
            both(sharded, cut("model.safetensors.index.json", 0.7)),
            "index.json of 'mine' is no JSON",
        ),
        (both(sharded, written("model.safetensors.index.json", "{}")), "weight_map.* lists none"),
        (
            both(sharded, written("model.safetensors.index.json", '{"weight_map": {"a": "../b"}}')),
            "names '../b'",
        ),
        (lambda f: (f / "model.safetensors").rename(f / "w.safetensors"), "but w.safetensors. Get"),
        (both(removed("*.safetensors"), written("m.gguf", "GGUF")), "GGUF is read by transformers"),
        # The configuration.
        (written("config.json", "{"), "config.json of 'mine' is no JSON"),
        (written("config.json", ""), "config.json of 'mine' is no JSON"),
        (written("config.json", b"\xff\xfe"), "config.json of 'mine' is no JSON"),
        (written("config.json", "[" * 100_000), "config.json of 'mine' is no JSON"),
        (
            written("config.json", "[1]"),
            "config.json of 'mine' holds a JSON object; this is a list",
        ),
        (settings(model_type=None), "names its model_type; that of 'mine' does not .got None"),
        (settings(model_type=3), "names its model_type; that of 'mine' does not .got 3"),
        (settings(model_type="zebra"), "has no 'zebra' models, .* Update transformers"),
        (
            settings(model_type="zebra", auto_map={"AutoConfig": "a.B"}),
            "trust_remote_code=True runs",
        ),
        (settings(hidden_size="big"), "configuration of 'mine' cannot be read: .* got str"),
        (
            settings(num_attention_heads=5),
            "configuration of 'mine' cannot be read: .* not a multip",
        ),
        (settings(hidden_act="zelu"), "model of 'mine' cannot be read: KeyError: 'zelu'"),
        (settings(dtype="float33"), "configuration of 'mine' cannot be read: .* 'float33'"),
        (settings(quantization_config={"quant_method": "zip"}), "is quantised by 'zip', which"),
        (
            settings(quantization_config={"bits": 4}),
            "configuration of 'mine' cannot be read: .*qua",
        ),
        (settings(quantization_config={"quant_method": "gptq", "bits": 4}), "needs a library that"),
        (written("generation_config.json", "{"), "generation_config.json of 'mine' is no JSON"),
        # What is no causal language model, or not a whole one.
        (saved(_bert), r"'mine' is a 'bert' \(\['BertForMaskedLM'\]\) that reads both ways"),
        (settings(model_type="t5"), "is a 't5' .*, of which transformers has no such form"),
        (settings(model_type="vit"), "is a 'vit' .*, of which transformers has no such form"),
        (settings(model_type="clip"), "is a 'clip' .*, of which transformers has no such form"),
        (written("adapter_config.json", ADAPTER), r"an adapter \(LoRA\) of 'gpt2'. .*merge it"),
        (
            both(removed("*.safetensors", "config.json"), written("adapter_config.json", ADAPTER)),
            r"an adapter \(LoRA\) of 'gpt2'. .*merge it",
        ),
        (both(removed("*"), written("m.gguf", "GGUF")), "config.json; 'mine' has none. GGUF is"),
        # The tokenizer.
        (removed("tokenizer*"), "holds its tokenizer; 'mine' has none. Copy it there"),
        (removed("tokenizer.json"), "tokenizer of 'mine' cannot be read"),
        (cut("tokenizer.json", 0.5), "tokenizer of 'mine' cannot be read: JSONDecodeError"),
        (written("tokenizer.json", "{}"), "tokenizer of 'mine' cannot be read"),
        (cut("tokenizer_config.json", 0.5), "tokenizer of 'mine' cannot be read: JSONDecodeError"),
        (
            both(removed("tokenizer*"), written("vocab.json", '{"a": 0}')),
            "tokenizer of 'mine' cannot be read",
        ),
    ],
)
def test_a_checkpoint_that_is_not_whole_is_refused_by_name(
    damage: Damage, text: str, folder: Path
) -> None:
    damage(folder)
    with pytest.raises((OSError, ValueError, ImportError), match=text) as caught:
        load(folder)
    # One sentence or three of this package's, and none of a library's page.
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["gpt2", "qwen3", "opt", "gemma2"])
def test_a_tokenizer_of_special_tokens_alone_is_no_tokenizer(kind: str, tmp_path: Path) -> None:
    zoo.save(kind, tmp_path)
    (tmp_path / kind / "tokenizer.json").unlink()
    settings("tokenizer_config.json", tokenizer_class=None)(tmp_path / kind)
    with pytest.raises(ValueError, match=rf"that of '{kind}' has [1-9] special tokens and nothing"):
        load(tmp_path / kind)


@pytest.mark.parametrize("backend", ["nnsight", "transformer_lens"])
def test_what_is_left_over_is_named_and_the_rest_is_right(backend: str, folder: Path) -> None:
    plain = load(folder, backend=backend).run([[5, 6, 7]]).logits
    weights(lambda w: w.update({"score.weight": torch.ones(2), "v_head.bias": torch.ones(1)}))(
        folder
    )
    with pytest.warns(UserWarning, match="no place for 2 of .*: score.weight, v_head.bias"):
        model = load(folder, backend=backend)
    assert torch.equal(model.run([[5, 6, 7]]).logits, plain)


def test_layers_beyond_the_configuration_are_named(folder: Path) -> None:
    settings(num_hidden_layers=1)(folder)
    with pytest.warns(UserWarning, match="no place for 9 of .*model.layers.1.*and 6 more"):
        assert load(folder).spec.n_layers == 1


def test_what_does_not_fit_is_random_only_where_that_is_asked_for(folder: Path) -> None:
    weights(lambda w: w.update({FIRST: torch.zeros(3, 4)}))(folder)
    with pytest.warns(UserWarning, match=r"random numbers in their place: .* \(3, 4\) for \(48, 3"):
        load(folder, ignore_mismatched_sizes=True)


#: What checkpoints of older transformers hold beside their weights, in the attention of a block.
OLD = {
    "gpt2": ("h.{}.attn", ["bias", "masked_bias"]),
    "gpt_neo": ("transformer.h.{}.attn.attention", ["bias", "masked_bias"]),
    "gpt_neox": ("gpt_neox.layers.{}.attention", ["bias", "masked_bias", "rotary_emb.inv_freq"]),
    "gptj": ("transformer.h.{}.attn", ["bias", "masked_bias"]),
    "mistral": ("model.layers.{}.self_attn", ["rotary_emb.inv_freq"]),
}


@pytest.mark.parametrize("name", OLD)
def test_masks_among_the_weights_of_old_checkpoints_say_nothing(name: str, tmp_path: Path) -> None:
    path, kept = OLD[name]
    folder = zoo.save(name, tmp_path)
    plain = load(folder).run([[5, 6, 7]]).logits

    def aged(w: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        # GPT-2's own has no name for the model around its blocks.
        w = {k.removeprefix("transformer.") if path[0] == "h" else k: v for k, v in w.items()}
        return {**w, **{f"{path.format(i)}.{k}": torch.ones(4) for i in range(2) for k in kept}}

    weights(aged)(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(load(folder).run([[5, 6, 7]]).logits, plain)


@pytest.mark.parametrize("name", ["gpt2", "llama_tied", "old buffers", "sharded", "half"])
def test_what_is_tied_ignored_or_stored_otherwise_says_nothing(name: str, folder: Path) -> None:
    if name == "gpt2":  # The unembedding is the embedding, and stored once.
        shutil.rmtree(folder)
        zoo.save("gpt2", folder.parent).rename(folder)
        assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    elif name == "llama_tied":
        _llama("LlamaForCausalLM", tie_word_embeddings=True).save_pretrained(folder)
        assert "lm_head.weight" not in load_file(folder / "model.safetensors")
    elif name == "old buffers":
        path = "model.layers.0.self_attn.rotary_emb.inv_freq"
        weights(lambda w: w.update({path: torch.ones(4)}))(folder)
    elif name == "sharded":
        sharded(folder)
    else:
        weights(lambda w: {k: v.half() for k, v in w.items()})(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        one, two = load(folder), load(folder)
    assert torch.equal(one.run([[5, 6, 7]]).logits, two.run([[5, 6, 7]]).logits)


def test_what_transformers_says_of_the_numbers_is_heard(folder: Path) -> None:
    method: Any = {"quant_method": "fp8"}
    settings(quantization_config=method)(folder)
    with pytest.warns(UserWarning, match="transformers, of 'mine': .*FP8"):
        load(folder)


def _with_tokens(*tokens: str, special: bool) -> Any:
    tokenizer = zoo.tokenizer()
    tokenizer.add_tokens(list(tokens), special_tokens=special)
    return tokenizer


def test_a_tokenizer_with_more_tokens_than_the_model_embeds_is_refused(folder: Path) -> None:
    _with_tokens("new", "newer", special=False).save_pretrained(folder)
    with pytest.raises(ValueError, match=r"'mine' embeds 60 and the tokenizer has 62 \('new' is 6"):
        load(folder)


def test_a_padding_token_without_an_embedding_is_refused(folder: Path) -> None:
    tokenizer = zoo.tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(folder)
    with pytest.raises(ValueError, match=r"has 61 \('\[PAD\]' is 60\)"):
        load(folder)
    with pytest.raises(ValueError, match=r"this one embeds 60 .* has 61 \('\[PAD\]' is 60\)"):
        wb.load(zoo.hf_model("llama"), tokenizer=tokenizer)


def test_a_special_token_that_no_text_needs_is_named(folder: Path) -> None:
    # As in Gemma 3's text models, whose tokenizer has a token for pictures.
    _with_tokens("<image>", special=True).save_pretrained(folder)
    with pytest.warns(
        UserWarning, match=r"1 special ones .* beyond \('<image>' is 60\): a text th"
    ):
        model = load(folder)
    assert model.run("w5 w9").tokens.ids.tolist() == [[5, 9]]


def test_ids_without_a_row_count_and_not_the_number_of_tokens(folder: Path) -> None:
    table = json.loads((folder / "tokenizer.json").read_text())
    vocabulary = table["model"]["vocab"]
    del vocabulary["w8"]
    vocabulary["w59"] = 75
    (folder / "tokenizer.json").write_text(json.dumps(table))
    with pytest.raises(ValueError, match=r"embeds 60 and the tokenizer has \d+ \('w59' is 75\)"):
        load(folder)


def test_a_folder_of_checkpoints_names_them(folder: Path) -> None:
    for step in (10, 20):
        shutil.copytree(folder, folder.parent / "all" / f"checkpoint-{step}")
    with pytest.raises(
        OSError, match=r"'all' has none. Give one of .*: checkpoint-10, checkpoint-"
    ):
        load(folder.parent / "all")
    assert load(folder.parent / "all", subfolder="checkpoint-20").spec.n_layers == 2


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_file_is_no_directory(name: str, folder: Path) -> None:
    with pytest.raises(OSError, match="is one file. Give the directory it is in"):
        load(folder / name)
