"""Random tiny models of many architectures, built from configurations and saved to a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

N_WORDS = 60
WIDTH = 32
HEADS = 4
LAYERS = 2

_LLAMA_LIKE: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
_GPT_LIKE: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "n_embd": WIDTH,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": 64,
}
_NEOX_LIKE: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
}
_IDS: dict[str, Any] = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 1}
_GEMMA: dict[str, Any] = {**_LLAMA_LIKE, "head_dim": 8, "query_pre_attn_scalar": 8}

#: Name → configuration class in transformers and its arguments.
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("GPT2Config", _GPT_LIKE),
    "gpt_neox": ("GPTNeoXConfig", _NEOX_LIKE),
    "gpt_neox_sequential": ("GPTNeoXConfig", {**_NEOX_LIKE, "use_parallel_residual": False}),
    "gptj": ("GPTJConfig", {**_GPT_LIKE, "rotary_dim": 4}),
    "opt": (
        "OPTConfig",
        {
            "vocab_size": N_WORDS,
            "hidden_size": WIDTH,
            "word_embed_proj_dim": WIDTH,
            "ffn_dim": 48,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "max_position_embeddings": 64,
        },
    ),
    "bloom": (
        "BloomConfig",
        {"vocab_size": N_WORDS, "hidden_size": WIDTH, "n_layer": LAYERS, "n_head": HEADS},
    ),
    "llama": ("LlamaConfig", _LLAMA_LIKE),
    "mistral": ("MistralConfig", {**_LLAMA_LIKE, "sliding_window": 4}),
    "qwen2": ("Qwen2Config", _LLAMA_LIKE),
    "qwen3": ("Qwen3Config", {**_LLAMA_LIKE, "head_dim": 8}),
    "gemma2": (
        "Gemma2Config",
        {
            **_GEMMA,
            "sliding_window": 4,
            "final_logit_softcapping": 5.0,
            "attn_logit_softcapping": 3.0,
        },
    ),
    "gemma3": ("Gemma3TextConfig", {**_GEMMA, "sliding_window": 4}),
    "phi": ("PhiConfig", _NEOX_LIKE),
    "olmo2": ("Olmo2Config", _LLAMA_LIKE),
}


def hf_model(name: str, seed: int = 0) -> Any:
    """The architecture with random weights large enough that every component matters."""
    import transformers

    kind, arguments = CONFIGS[name]
    config = getattr(transformers, kind)(**arguments, **_IDS)
    torch.manual_seed(seed)
    model = transformers.AutoModelForCausalLM.from_config(
        config, attn_implementation="eager"
    ).eval()
    generator = torch.Generator().manual_seed(seed)
    for parameter_name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        # Norm weights stay near what they start as (1, or 0 where the norm adds the 1 itself).
        scale = 0.3 if parameter.ndim > 1 else 0.1
        start = parameter.data if parameter.ndim == 1 and parameter_name.endswith("weight") else 0.0
        parameter.data = start + scale * noise
        parameter.requires_grad_(False)
    return model


def tokenizer() -> Any:
    """One word, one token: "w0" to "w59"; the first two are the end and the padding."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {"<end>": 0, "<pad>": 1, **{f"w{i}": i for i in range(2, N_WORDS)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        bos_token="<end>",
        eos_token="<end>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
    )


def save(name: str, folder: Path) -> Path:
    """The model and its tokenizer in Hugging Face form."""
    path = folder / name
    hf_model(name).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path
