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

_EXPERTS: dict[str, Any] = {
    **_LLAMA_LIKE,
    "moe_intermediate_size": 24,
    "num_experts": 4,
    "num_experts_per_tok": 2,
}
_LOCAL_EXPERTS: dict[str, Any] = {
    **_LLAMA_LIKE,
    "intermediate_size": 24,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
}
_LATENT: dict[str, Any] = {
    **_LLAMA_LIKE,
    "num_key_value_heads": HEADS,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_nope_head_dim": 8,
    "qk_rope_head_dim": 4,
    "v_head_dim": 12,
    "moe_intermediate_size": 24,
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "n_shared_experts": 1,
    "first_k_dense_replace": 1,
}
_LINEAR: dict[str, Any] = {
    "head_dim": 8,
    "linear_key_head_dim": 8,
    "linear_value_head_dim": 8,
    "linear_num_key_heads": 2,
    "linear_num_value_heads": HEADS,
    "layer_types": ["linear_attention", "full_attention"],
}
_FALCON: dict[str, Any] = {k: v for k, v in _NEOX_LIKE.items() if k != "intermediate_size"}
_MPT: dict[str, Any] = {
    "vocab_size": N_WORDS,
    "d_model": WIDTH,
    "n_layers": LAYERS,
    "n_heads": HEADS,
    "expansion_ratio": 2,
    "max_seq_len": 64,
}

#: Name → configuration class in transformers and its arguments. These are tested test by test.
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
#: More decoders whose layers all have attention and one MLP.
DENSE: dict[str, tuple[str, dict[str, Any]]] = {
    "apertus": ("ApertusConfig", _LLAMA_LIKE),
    "arcee": ("ArceeConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "codegen": ("CodeGenConfig", {**_GPT_LIKE, "rotary_dim": 4}),
    "cohere": ("CohereConfig", {**_LLAMA_LIKE, "logit_scale": 0.5}),
    "cohere2": (
        "Cohere2Config",
        {
            **_LLAMA_LIKE,
            "head_dim": 8,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "ernie4_5": ("Ernie4_5Config", {**_LLAMA_LIKE, "head_dim": 8}),
    "exaone4": (
        "Exaone4Config",
        {
            **_LLAMA_LIKE,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "falcon_7b": ("FalconConfig", _FALCON),
    "falcon_40b": (
        "FalconConfig",
        {**_FALCON, "new_decoder_architecture": True, "num_kv_heads": 2},
    ),
    "falcon_rw": (
        "FalconConfig",
        {**_FALCON, "alibi": True, "multi_query": False, "parallel_attn": False, "bias": True},
    ),
    "gemma": ("GemmaConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "glm": ("GlmConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "glm4": ("Glm4Config", {**_LLAMA_LIKE, "head_dim": 8}),
    "gpt_bigcode": ("GPTBigCodeConfig", _GPT_LIKE),
    "gpt_neo": (
        "GPTNeoConfig",
        {
            "vocab_size": N_WORDS,
            "hidden_size": WIDTH,
            "num_layers": LAYERS,
            "num_heads": HEADS,
            "max_position_embeddings": 64,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 4,
        },
    ),
    "granite": (
        "GraniteConfig",
        {
            **_LLAMA_LIKE,
            "embedding_multiplier": 2.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.3,
            "logits_scaling": 3.0,
        },
    ),
    "helium": ("HeliumConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "hunyuan": ("HunYuanDenseV1Config", {**_LLAMA_LIKE, "head_dim": 8}),
    "mpt": ("MptConfig", _MPT),
    "nanochat": ("NanoChatConfig", _LLAMA_LIKE),
    "nemotron": ("NemotronConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "olmo": ("OlmoConfig", _LLAMA_LIKE),
    "olmo3": (
        "Olmo3Config",
        {
            **_LLAMA_LIKE,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention"],
        },
    ),
    "phi3": ("Phi3Config", _LLAMA_LIKE),
    "seed_oss": ("SeedOssConfig", {**_LLAMA_LIKE, "head_dim": 8}),
    "smollm3": ("SmolLM3Config", {**_LLAMA_LIKE, "no_rope_layers": [1, 0]}),
    "stablelm": ("StableLmConfig", _LLAMA_LIKE),
    "starcoder2": ("Starcoder2Config", _LLAMA_LIKE),
    "xglm": (
        "XGLMConfig",
        {
            "vocab_size": N_WORDS,
            "d_model": WIDTH,
            "ffn_dim": 48,
            "num_layers": LAYERS,
            "attention_heads": HEADS,
            "max_position_embeddings": 64,
        },
    ),
}
#: Mixtures of experts; where a family mixes dense layers in, the first of the two is dense.
EXPERTS: dict[str, tuple[str, dict[str, Any]]] = {
    "deepseek_v2": ("DeepseekV2Config", _LATENT),
    "deepseek_v3": (
        "DeepseekV3Config",
        {**_LATENT, "n_group": 2, "topk_group": 1, "routed_scaling_factor": 1.5},
    ),
    "glm4_moe": (
        "Glm4MoeConfig",
        {
            **_LLAMA_LIKE,
            "head_dim": 8,
            "moe_intermediate_size": 24,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "routed_scaling_factor": 1.5,
        },
    ),
    "gpt_oss": (
        "GptOssConfig",
        {
            **_LOCAL_EXPERTS,
            "head_dim": 8,
            "sliding_window": 4,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
        },
    ),
    "granite_moe": (
        "GraniteMoeConfig",
        {
            **_LOCAL_EXPERTS,
            "embedding_multiplier": 2.0,
            "residual_multiplier": 0.5,
            "attention_multiplier": 0.3,
            "logits_scaling": 3.0,
        },
    ),
    "llama4": (
        "Llama4TextConfig",
        {
            **_LOCAL_EXPERTS,
            "head_dim": 8,
            "intermediate_size_mlp": 48,
            "num_experts_per_tok": 1,
            "moe_layers": [1],
            "no_rope_layers": [1, 0],
            "attention_chunk_size": 4,
        },
    ),
    "mixtral": ("MixtralConfig", _LOCAL_EXPERTS),
    "olmoe": ("OlmoeConfig", {**_EXPERTS, "intermediate_size": 24}),
    "qwen2_moe": ("Qwen2MoeConfig", {**_EXPERTS, "shared_expert_intermediate_size": 24}),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        {**_EXPERTS, "head_dim": 8, "norm_topk_prob": True, "mlp_only_layers": [0]},
    ),
}
#: Layers that differ: a first one without attention, a second one with it (with experts or not).
HYBRIDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bamba": (
        "BambaConfig",
        {
            **_LLAMA_LIKE,
            "attn_layer_indices": [1],
            "mamba_n_heads": 8,
            "mamba_d_head": 8,
            "mamba_d_state": 8,
            "mamba_chunk_size": 4,
        },
    ),
    "jamba": (
        "JambaConfig",
        {
            **_EXPERTS,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "mamba_d_state": 8,
            "mamba_dt_rank": 4,
            "use_mamba_kernels": False,
        },
    ),
    "lfm2": (
        "Lfm2Config",
        {
            **_LLAMA_LIKE,
            "layer_types": ["conv", "full_attention"],
            "block_auto_adjust_ff_dim": False,
        },
    ),
    "qwen3_5": ("Qwen3_5TextConfig", {**_LLAMA_LIKE, **_LINEAR}),
    "qwen3_5_moe": (
        "Qwen3_5MoeTextConfig",
        {**_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 24},
    ),
    "qwen3_next": (
        "Qwen3NextConfig",
        {**_EXPERTS, **_LINEAR, "shared_expert_intermediate_size": 24},
    ),
}
#: Settings of these architectures that a backend may not read, or that change what a site is.
SETTINGS: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2_unscaled": ("GPT2Config", {**_GPT_LIKE, "scale_attn_weights": False}),
    "gpt2_untied": ("GPT2Config", {**_GPT_LIKE, "tie_word_embeddings": False}),
    "gpt_neox_no_bias": ("GPTNeoXConfig", {**_NEOX_LIKE, "attention_bias": False}),
    "gpt_bigcode_multi_head": ("GPTBigCodeConfig", {**_GPT_LIKE, "multi_query": False}),
    "gptj_tied": ("GPTJConfig", {**_GPT_LIKE, "rotary_dim": 4, "tie_word_embeddings": True}),
    "llama_bias_tied": (
        "LlamaConfig",
        {**_LLAMA_LIKE, "attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True},
    ),
    "bloom_post_norm": (
        "BloomConfig",
        {**CONFIGS["bloom"][1], "apply_residual_connection_post_layernorm": True},
    ),
    "mpt_qk_clip": (
        "MptConfig",
        {**_MPT, "attn_config": {"clip_qkv": 0.5, "softmax_scale": 0.7}},
    ),
    "olmo_clip": ("OlmoConfig", {**_LLAMA_LIKE, "clip_qkv": 0.5}),
    "opt_post_norm": ("OPTConfig", {**CONFIGS["opt"][1], "do_layer_norm_before": False}),
    "phi_qk_norm": ("PhiConfig", {**_NEOX_LIKE, "qk_layernorm": True}),
    "stablelm_parallel_qk_norm": (
        "StableLmConfig",
        {**_LLAMA_LIKE, "qk_layernorm": True, "use_parallel_residual": True},
    ),
    "starcoder2_epsilon": ("Starcoder2Config", {**_LLAMA_LIKE, "norm_epsilon": 0.5}),
}
#: Everything beside CONFIGS: tested with few, dense tests each.
MORE = {**DENSE, **EXPERTS, **HYBRIDS, **SETTINGS}
ALL = {**CONFIGS, **MORE}


def hf_model(name: str, seed: int = 0) -> Any:
    """The architecture with random weights large enough that every component matters."""
    import transformers

    kind, arguments = ALL[name]
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
    for buffer_name, buffer in model.named_buffers():
        if buffer_name.endswith("correction_bias"):  # a router's, which changes what it chooses
            buffer.copy_(torch.randn(buffer.shape, generator=generator))
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
