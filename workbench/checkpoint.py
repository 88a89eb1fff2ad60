"""Checkpoints: a model read from a folder or the Hub, and what was missing, left over or broken."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import (
    constants,
    errors,
    get_hf_file_metadata,
    hf_hub_url,
    try_to_load_from_cache,
)
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    __version__,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES
from transformers.quantizers.auto import AutoHfQuantizer

from .checkpoint_files import PICKLES, check_folder
from .libraries import line

#: Options that say where files are, for the configuration and the tokenizer as for the weights.
_WHERE = (
    "cache_dir", "force_download", "local_files_only", "proxies", "subfolder", "token",
    "trust_remote_code",
)  # fmt: skip
#: What transformers' from_pretrained takes and load() says itself, with what to give in its place.
_OURS = {
    "torch_dtype": "Give dtype=.",
    "attn_implementation": "Give attention=.",
    "use_safetensors": "Convert the checkpoint to safetensors.",
    "weights_only": "Convert the checkpoint to safetensors.",
    "output_loading_info": "A warning names what was left over, an error what is missing.",
    "state_dict": "Build the model in memory and give it with its tokenizer.",
    "config": "Build the model in memory and give it with its tokenizer.",
    "gguf_file": "Convert it: AutoModelForCausalLM.from_pretrained(…, gguf_file=…) and "
    "save_pretrained.",
    "adapter_kwargs": "Merge the adapter first (PEFT's merge_and_unload).",
}
#: Old checkpoints of GPT-2, GPT-Neo and others hold the causal mask as if it were a weight.
_MASK = re.compile(r"\.(attn|attention)\.(masked_)?bias$")
#: How long a Hub may take to say that it is there; transformers would try for a minute.
_PATIENCE = 5.0
_ABSENT = "it is not there, needs a login, or there is no network"


def read_checkpoint(
    source: str,
    label: str,
    *,
    device: Any,
    dtype: Any,
    revision: str | None,
    attention: str,
    meta: bool,
    **options: Any,
) -> tuple[Any, Any]:
    """The Hugging Face model, frozen, and its tokenizer. `meta`: without numbers, as on NDIF.

    Raises `OSError` for what is not there, `ImportError` for a library that is missing, and
    `ValueError` for what is there and cannot be right: each names the file or the weights.
    """
    for name in options.keys() & _OURS.keys():
        raise ValueError(f"{name} is not an option of load(). {_OURS[name]}")
    where: dict[str, Any] = {n: options.pop(n) for n in _WHERE if n in options}
    # None would ask at the prompt whether to run the code of a repository.
    where["trust_remote_code"] = bool(where.get("trust_remote_code"))
    why: str | None = None
    if os.path.isdir(source):
        check_folder(Path(source), label, str(where.get("subfolder") or ""), options.get("variant"))
    else:
        where |= {} if revision is None else {"revision": revision}
        if why := _unreachable(source, where):
            where["local_files_only"] = True
    trusted = where["trust_remote_code"]
    with reading(label, "configuration", why):
        files = {key: value for key, value in where.items() if key != "trust_remote_code"}
        settings, _ = PretrainedConfig.get_config_dict(source, **files)
    _check_settings(settings, label, trusted=trusted)
    with reading(label, "configuration", why):
        config = AutoConfig.from_pretrained(source, **where)
    check_layers(config, label)
    commit = None if why is None else _commit(source, where)
    with reading(label, "tokenizer", why):
        tokenizer = AutoTokenizer.from_pretrained(source, **where)
    check_vocabulary(tokenizer, label)
    with reading(label, "model", why):
        if meta:
            with torch.device("meta"):
                hf_model: Any = AutoModelForCausalLM.from_config(
                    config, attn_implementation=attention, trust_remote_code=trusted
                )
            # It names the end tokens, and is a file of its own that a model need not have.
            with suppress(OSError):
                hf_model.generation_config = GenerationConfig.from_pretrained(source, **files)
            return hf_model, tokenizer
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            output_loading_info=True,
            # What does not fit is named below, where transformers only says that there is some.
            **{**options, "ignore_mismatched_sizes": True},
            **where,
        )
        hf_model, found = loaded
        if options.get("device_map") is None:
            hf_model = torch.nn.Module.to(hf_model, device)
    _check_found(found, hf_model, label, skip=bool(options.get("ignore_mismatched_sizes")))
    check_embedded(tokenizer, hf_model, repr(label))
    # Results say which numbers they are of, and transformers no longer does.
    hf_model.config._commit_hash = commit
    hf_model.eval()
    # Gradients are taken at activations; without these the graph keeps no weights' inputs.
    for parameter in hf_model.parameters():
        parameter.requires_grad_(False)
    return hf_model, tokenizer


@contextmanager
def reading(label: str, part: str, why: str | None = None) -> Iterator[None]:
    """Whatever the libraries raise while they read a part, in words.

    `why`: why the Hub does not give it, empty where it does; None for what is on this machine.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"The {part} of {label!r} needs a library that is not installed: {line(error)}. "
            "Install it, or load without what needs it (attention=, quantization_config=)."
        ) from error
    except OSError as error:
        if why is None:
            raise OSError(f"The {part} of {label!r} cannot be read: {line(error)}.") from error
        if "safetensors" in str(error) and not why:
            raise ValueError(
                f"{PICKLES} {label!r} offers none. Ask for a revision that does (often "
                "'refs/pr/1'), or convert it."
            ) from error
        raise OSError(
            f"{label!r} is no embedded model (tinyworld, …) and no local directory, and the "
            f"Hugging Face Hub could not give it: {why or _ABSENT}. Check the name, log in, or use "
            "wb.load('tinyworld'), which needs no network."
        ) from error
    except Exception as error:
        if "unexpected keyword" in str(error):
            raise ValueError(
                f"Options of load() beyond its own are those of transformers' from_pretrained; "
                f"{label!r} takes none such: {line(error)}. Check the spelling."
            ) from error
        raise ValueError(
            f"The {part} of {label!r} cannot be read: {type(error).__name__}: {line(error)}. Get "
            "its files again, or save it again with save_pretrained; if an option asked for it, "
            "change that."
        ) from error


def _unreachable(name: str, where: Mapping[str, Any]) -> str:
    """Why the Hub does not give this model now; empty where it does.

    One question with one answer: transformers asks for each file and tries each time for minutes.
    """
    if constants.HF_HUB_OFFLINE or where.get("local_files_only"):
        return _ABSENT
    try:
        get_hf_file_metadata(
            hf_hub_url(
                name,
                "config.json",
                subfolder=where.get("subfolder"),
                revision=where.get("revision"),
            ),
            token=where.get("token"),
            timeout=min(_PATIENCE, constants.HF_HUB_ETAG_TIMEOUT),
        )
    except errors.GatedRepoError:
        return "its licence has to be accepted there, with a login"
    except errors.RepositoryNotFoundError:
        return "it is not there, or it needs a login"
    except errors.RevisionNotFoundError:
        return f"it has no revision {where.get('revision')!r}"
    except errors.EntryNotFoundError:
        return "it has no config.json (a GGUF file or an adapter alone is no model)"
    except errors.HFValidationError:
        return "that is no name of a model there"
    except Exception as error:
        return f"it was not loaded before, and there is no network ({line(error)})"
    return ""


def _commit(name: str, where: Mapping[str, Any]) -> str | None:
    """The commit that a model of the Hub was read at."""
    file = Path(str(where.get("subfolder") or ""), "config.json").as_posix()
    places = {"cache_dir": where.get("cache_dir"), "revision": where.get("revision")}
    path = try_to_load_from_cache(name, file, **places)
    return Path(path.removesuffix(file)).name if isinstance(path, str) else None


def _check_settings(settings: Mapping[str, Any], label: str, *, trusted: bool) -> None:
    """Whether transformers has a causal language model of this configuration."""
    kind, own = settings.get("model_type"), settings.get("auto_map") or {}
    if not isinstance(kind, str) or not kind:
        raise ValueError(
            f"A config.json names its model_type; that of {label!r} does not (got {kind!r}). Save "
            "the model again with save_pretrained, or add the name ('llama', 'gpt2', …)."
        )
    if "AutoModelForCausalLM" in own and trusted:
        return
    if kind not in CONFIG_MAPPING:
        raise ValueError(
            f"transformers {__version__} has no {kind!r} models, which config.json of {label!r} "
            "names. "
            + (
                "It comes with code of its own: trust_remote_code=True runs that, where you "
                "trust it."
                if own
                else "Update transformers, or correct the name."
            )
        )
    mapping: Any = AutoModelForCausalLM._model_mapping  # pyright: ignore[reportAttributeAccessIssue]
    classes = line(settings.get("architectures") or "no class is named")
    if CONFIG_MAPPING[kind] not in mapping:
        raise ValueError(
            f"A model predicts the next token from those before it; {label!r} is a {kind!r} "
            f"({classes}), of which transformers has no such form. Load a causal language model."
        )
    if kind in MODEL_FOR_MASKED_LM_MAPPING_NAMES and not settings.get("is_decoder"):
        raise ValueError(
            f"A model predicts the next token from those before it; {label!r} is a {kind!r} "
            f"({classes}) that reads both ways. Load a causal language model, or a checkpoint "
            "trained with is_decoder=True."
        )
    quantised, known = settings.get("quantization_config"), True
    if isinstance(quantised, dict):
        with reading(label, "configuration"):
            known = AutoHfQuantizer.supports_quant_method(quantised)
    if quantised and not known:
        raise ValueError(
            f"{label!r} is quantised by {quantised['quant_method']!r}, which transformers "
            f"{__version__} cannot undo. Load the checkpoint that was quantised."
        )


# -- what was found ---------------------------------------------------------------------------


def _check_found(found: Mapping[str, Any], hf_model: Any, label: str, *, skip: bool) -> None:
    """Raise for weights that are missing or do not fit; warn of those that have no place."""
    missing = found["missing_keys"]
    left = {name for name in found["unexpected_keys"] if not _MASK.search(name)}
    unfit = {f"{name} {tuple(a)} for {tuple(b)}" for name, a, b in found["mismatched_keys"]}
    surplus = f"; it has no place for {_named(left)}" if left else ""
    if missing:
        raise ValueError(
            f"Every weight is read from the checkpoint; {label!r} lacks {_named(missing)}, which "
            f"would be random numbers{surplus}. Give the checkpoint of the whole model; one that "
            "is to have new weights is built in memory and given with its tokenizer."
        )
    if unfit and not skip:
        raise ValueError(
            f"The weights of a checkpoint have the shapes that its config.json says; those of "
            f"{label!r} do not: {_named(unfit)}. Give the config.json that belongs to it."
        )
    if getattr(hf_model, "_hf_peft_config_loaded", False):
        raise ValueError(
            f"{label!r} is an adapter around another model, whose weights are then not the "
            "matrices that multiply. Merge it (PEFT's merge_and_unload) and give the model in "
            "memory with its tokenizer."
        )
    if broken := [name for name, value in hf_model.named_parameters() if not _finite(value)]:
        raise ValueError(
            f"Weights are finite numbers; {label!r} has NaN or infinity in {_named(broken)}. Get "
            "the file again, or load in a dtype that holds its numbers."
        )
    if next(hf_model.parameters()).is_meta:
        raise ValueError(
            f"device_map= puts weights where torch computes; that for {label!r} leaves them on "
            "disk or nowhere ('meta'). Name devices, or 'auto'."
        )
    for names, so in ((unfit, "and random numbers in their place"), (left, "which are left out")):
        if names:
            warnings.warn(
                f"The model {label!r} has no place for {len(names)} of its checkpoint's weights, "
                f"{so}: {_named(names)}.",
                stacklevel=4,
            )


def _named(names: Collection[str], most: int = 3) -> str:
    shown = ", ".join(sorted(names)[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _finite(value: Any) -> bool:
    floats = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    if value.is_meta or not value.numel() or value.dtype not in floats:
        return True
    # The least and the greatest are NaN where one is; they need no memory of the weight's size.
    low, high = value.aminmax()
    return bool(low.isfinite() & high.isfinite())


def check_layers(config: Any, label: str) -> None:
    """Raise for a configuration of a model without layers."""
    n_layers = getattr(config.get_text_config(decoder=True), "num_hidden_layers", 1)
    if isinstance(n_layers, int) and n_layers < 1:
        raise ValueError(
            f"A model has at least one layer; the configuration of {label!r} says {n_layers}. "
            "Correct num_hidden_layers."
        )


def check_vocabulary(tokenizer: Any, label: str) -> None:
    """Raise where a tokenizer knows nothing but its special tokens: its files are missing."""
    added = tokenizer.added_tokens_decoder
    if len(tokenizer) <= len(added) and all(token.special for token in added.values()):
        raise ValueError(
            f"A tokenizer has a vocabulary; that of {label!r} has {len(tokenizer)} special tokens "
            "and nothing else, so its files are missing (tokenizer.json, or vocab.json and "
            "merges.txt). Copy them beside the weights, or tokenizer.save_pretrained there."
        )


def check_embedded(tokenizer: Any, hf_model: Any, label: str) -> None:
    """Raise for a token that the model has no row for; warn of a special one no text needs."""
    n_rows = len(hf_model.get_input_embeddings().weight)
    beyond = {i: token for token, i in tokenizer.get_vocab().items() if i >= n_rows}
    if not beyond:
        return
    needed = {getattr(tokenizer, f"{part}_token_id") for part in ("bos", "eos", "pad")}
    added = tokenizer.added_tokens_decoder
    example = repr(beyond[min(beyond)])
    if any(i in needed or i not in added or not added[i].special for i in beyond):
        raise ValueError(
            f"A model embeds every token of its tokenizer; {label} embeds {n_rows} and the "
            f"tokenizer has {len(tokenizer)} ({example} is {min(beyond)}). Give the model's own, "
            "or resize its embeddings."
        )
    warnings.warn(
        f"{label} embeds {n_rows} tokens, and {len(beyond)} special ones of its tokenizer are "
        f"beyond ({example} is {min(beyond)}): a text that holds one cannot be run.",
        stacklevel=4,
    )
