"""load: a model by name, or one in memory, behind either backend."""

from __future__ import annotations

import copy
import os
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from . import data
from .backends.architecture import Architecture, partly
from .backends.nnsight import NnsightModel
from .backends.probe import Probe, probe
from .backends.survey import survey
from .backends.transformer_lens import TransformerLensModel
from .check import NO, fits, given, refuse
from .checkpoint import (
    check_embedded,
    check_layers,
    check_vocabulary,
    read_checkpoint,
    reading,
)
from .libraries import line, quiet
from .model import Model, ModelSpec
from .ordinary import ordinary_torch

BACKENDS = ("nnsight", "transformer_lens")
#: The revision of a model that was not read from anywhere.
IN_MEMORY = "in memory"


@ordinary_torch()
def load(
    source: str | Path | PreTrainedModel,
    /,
    *,
    tokenizer: PreTrainedTokenizerBase | None = None,
    name: str | None = None,
    backend: str = "nnsight",
    device: str | torch.device = "auto",
    dtype: str | torch.dtype | None = None,
    revision: str | None = None,
    attention: str = "eager",
    remote: bool | str = False,
    **options: Any,
) -> Model:
    """A traced language model: an embedded one, a local directory, a Hugging Face id, or in memory.

    A Hugging Face model in memory comes with its `tokenizer` and perhaps a `name`. It keeps its
    device and dtype; training can go on with it, and runs see weights written in place.

    backend: "nnsight" or "transformer_lens". device: "auto" takes a CUDA GPU where there is one and
    else the CPU; on Apple's MPS, taken when it is named, some numbers differ. dtype: None keeps
    float32 on a CPU and the checkpoint's own on a GPU. revision: of a Hugging Face id. attention:
    "eager" is needed to read pattern and attn_scores. remote: True runs traces on NDIF, "local"
    sends them through the same serialisation on this machine (nnsight only). Further options go to
    transformers' `from_pretrained` (`device_map`, `quantization_config`, …).

    Weights are read from safetensors only: unpickling a checkpoint runs whatever code it holds.
    Warns of weights in it that the model has no place for, and of what transformers says of it.

    Raises `OSError` for a model, a file or a tokenizer that is not there, `ImportError` for a
    library that it needs, and `ValueError` for the rest: an unknown choice, a model in memory
    without its tokenizer, weights that are missing, do not fit or are not finite, a broken file,
    tokens without an embedding, what is no causal language model. Each says the next step.
    """
    if not isinstance(backend, str) or backend not in BACKENDS:
        raise ValueError(f"A backend is one of {', '.join(BACKENDS)}; got {given(backend)}.")
    if fits(bool | Literal["local"], remote) is NO:
        raise ValueError(f"remote is False, True (NDIF) or 'local'; got {given(remote)}.")
    if remote and backend != "nnsight":
        raise ValueError(
            f"Only the nnsight backend runs remotely; got backend={backend!r}. Leave one of them "
            "out."
        )
    _check_attention(attention)
    if hasattr(device, "ndim") and not isinstance(device, str):  # numpy's text has it too
        raise refuse("device", "'auto' or a device of this machine, as 'cpu' or 'cuda'", device)
    if not isinstance(source, (str, Path)):
        if device != "auto" or dtype is not None or revision is not None or remote or options:
            raise ValueError(
                "A model in memory has its device, dtype and weights already; load() takes only "
                "backend, attention, tokenizer and name with it. Change it before: model.to(…)."
            )
        return _in_memory(source, tokenizer, name, backend=backend, attention=attention)
    if tokenizer is not None or name is not None:
        raise ValueError(
            "tokenizer and name go with a Hugging Face model in memory; "
            f"{str(source)!r} is loaded with its own. Leave them out."
        )
    if not isinstance(revision, str | None) or revision == "":
        raise ValueError(
            "A revision is the name of a branch, a tag or a commit; got "
            f"revision={given(revision)}. Leave it out for the newest."
        )
    place_of_weights, label = _source(str(source))
    if revision is not None and os.path.isdir(place_of_weights):
        raise ValueError(
            f"A revision is one of a Hugging Face id; {label!r} is a directory, which has only "
            f"what it holds. Leave revision={revision!r} out."
        )
    if device != "auto" and options.get("device_map") is not None:
        raise ValueError(
            "device= puts the whole model in one place, device_map= its parts; got both. Leave one "
            "of them out."
        )
    place = _device(device)
    with quiet(label):
        hf_model, own_tokenizer = read_checkpoint(
            place_of_weights,
            label,
            device=place,
            dtype=_dtype(dtype, place),
            revision=revision,
            attention=attention,
            meta=remote is True,
            **options,
        )
        return _wrap(
            hf_model,
            own_tokenizer,
            label,
            place_of_weights,
            backend=backend,
            remote=remote,
            revision=revision,
        )


def _in_memory(
    hf_model: Any, tokenizer: Any, name: str | None, *, backend: str, attention: str
) -> Model:
    if not isinstance(hf_model, PreTrainedModel):
        raise TypeError(
            "A model is a name, a directory, or a Hugging Face model in memory (a "
            f"PreTrainedModel); got a {type(hf_model).__name__}. Of a wrapper (PEFT, compile) give "
            "the model inside, with its adapters merged."
        )
    if not isinstance(tokenizer, PreTrainedTokenizerBase):
        got = "none" if tokenizer is None else f"a {type(tokenizer).__name__}"
        raise ValueError(
            f"A model in memory is loaded with its tokenizer; got {got}. Give "
            "tokenizer=AutoTokenizer.from_pretrained(…), or another model's .tokenizer."
        )
    if any(parameter.is_meta for parameter in hf_model.parameters()):
        raise ValueError(
            "A model in memory has its weights there; some of this one are on the meta device or "
            "offloaded, as shapes only. Load it whole, or give load() its name with device_map=."
        )
    label = name or Path(str(hf_model.config._name_or_path)).name or type(hf_model).__name__
    seen = _shared_copy(hf_model)
    # Of the model as it was given: its own attention may be another than the one asked for.
    given = probe(seen, label)
    check_layers(hf_model.config, label)
    check_vocabulary(tokenizer, label)
    check_embedded(tokenizer, hf_model, "this one")
    with quiet(label):
        with reading(label, f"attention={attention!r}"):
            seen.set_attn_implementation(attention)
        return _wrap(
            seen,
            tokenizer,
            label,
            "",
            backend=backend,
            remote=False,
            revision=IN_MEMORY,
            given=given,
        )


def _shared_copy(hf_model: Any) -> Any:
    """The same model over the same numbers, as modules of its own.

    Backends hook, replace and freeze what they are given; none of that reaches the original.
    """
    memo: dict[int, Any] = {id(buffer): _usable(buffer) for buffer in hf_model.buffers()}
    for parameter in hf_model.parameters():
        plain = type(parameter) is torch.nn.Parameter
        own = _usable(parameter.detach())
        memo[id(parameter)] = torch.nn.Parameter(own, requires_grad=False) if plain else parameter
    return copy.deepcopy(hf_model, memo).eval()


def _usable(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor; of one made in inference mode another over its numbers, which graphs take."""
    if not tensor.is_inference():
        return tensor
    where = tensor.storage_offset(), tensor.shape, tensor.stride()
    return tensor.new_empty(0).set_(tensor.untyped_storage(), *where)


def _source(name: str) -> tuple[str, str]:
    """Where the weights are, and what to call the model."""
    if not name.strip():
        raise ValueError(
            "A model is named by an embedded name, a directory or a Hugging Face id; got an empty "
            "name."
        )
    if name.split("/")[0].startswith("tinyworld") and not Path(name).is_dir():
        return str(data.path("models", *name.split("/"))), name
    path = Path(os.path.expanduser(name))
    if os.path.isdir(path):
        return str(path), os.path.basename(os.path.abspath(path))
    if os.path.isfile(path):
        raise OSError(
            f"A model is a directory with its configuration, weights and tokenizer; "
            f"{given(name)} is one file. Give the directory it is in."
        )
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise OSError(
            f"There is no directory {given(name)}. Check the path, or give a Hugging Face id such "
            "as 'gpt2'."
        )
    return name, name if len(name) <= 96 else f"{name[:79]}…"


def _check_attention(name: str) -> None:
    known = ["eager", *ALL_ATTENTION_FUNCTIONS.valid_keys()]
    # With a slash it is a kernel of the Hub.
    if not isinstance(name, str) or (name not in known and "/" not in name):
        raise ValueError(
            "attention is 'eager' or another implementation that transformers knows ("
            f"{', '.join(known)}); got {name!r}."
        )


def _device(device: str | torch.device) -> torch.device:
    if device == "auto":
        # On Apple's MPS some operations give other numbers in silence: only where it is asked for.
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"A device is 'auto', 'cpu', 'cuda' or 'cuda:1'; got {given(device)}."
        ) from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} needs a CUDA GPU and torch sees none here. "
            "Use device='auto' or 'cpu', or install a CUDA build of torch."
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device={str(device)!r} is not on this machine; torch sees "
            f"{torch.cuda.device_count()} CUDA GPUs, counted from cuda:0. Use one of them, or "
            "device='auto'."
        )
    try:
        # Some devices exist by name only, and meta holds no numbers: one comes back, or none does.
        torch.ones(1, device=place).cpu()
    except Exception as error:
        raise ValueError(
            f"device={str(device)!r} holds no numbers on this machine ({line(error)}). Use "
            "device='auto' or 'cpu'."
        ) from error
    if place.type == "mps":
        warnings.warn(
            "On Apple's MPS some operations give other numbers than on a CPU. Compare with "
            "device='cpu' what matters.",
            stacklevel=3,
        )
    return place


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype | str:
    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    known = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
    if found not in known:
        raise ValueError(
            f"A dtype is 'float32', 'bfloat16', 'float16' or 'float64'; got {given(dtype)}."
        )
    return found


def _wrap(
    hf_model: Any,
    tokenizer: Any,
    label: str,
    source: str,
    *,
    backend: str,
    remote: bool | str,
    revision: str | None,
    given: Probe | None = None,
) -> Model:
    given = given or probe(hf_model, label)
    architecture = Architecture.of(hf_model, label, given.called_once)
    spec = _spec(hf_model, architecture, label, backend, revision or _revision(hf_model))
    model: NnsightModel | TransformerLensModel
    if backend == "nnsight":
        model = NnsightModel(hf_model, architecture, tokenizer, spec, remote=remote, source=source)
    else:
        live = revision == IN_MEMORY
        model = TransformerLensModel(hf_model, architecture, tokenizer, spec, live=live)
    survey(model, given)
    return model


def _spec(
    hf_model: Any, architecture: Architecture, label: str, backend: str, revision: str
) -> ModelSpec:
    config, sizes = hf_model.config, architecture.sizes
    parameter = next(hf_model.parameters())
    # Of a model that also sees or hears, the part that reads text.
    text = config.get_text_config(decoder=True)
    lengths = (
        getattr(text, key, None)
        for key in ("max_position_embeddings", "n_positions", "seq_length", "max_seq_len")
    )
    return ModelSpec(
        name=label,
        backend=backend,
        architecture=architecture.name,
        revision=revision,
        n_layers=sizes["n_layers"],
        n_heads=sizes["n_heads"],
        n_kv_heads=sizes["n_kv_heads"],
        d_model=sizes["d_model"],
        d_head=sizes["d_head"],
        d_mlp=sizes["d_mlp"],
        d_vocab=sizes["d_vocab"],
        # BLOOM's positions have no end; 2048 is what it was trained on.
        n_ctx=next((int(n) for n in lengths if n), 2048),
        dtype=str(parameter.dtype).removeprefix("torch."),
        # With the weights on a server, what is sent and what comes back is on the CPU.
        device="cpu" if parameter.is_meta else str(parameter.device),
        parallel=architecture.parallel,
        joint_qk_norm=architecture.joint_qk_norm,
        logit_scale=architecture.logit_scale,
        soft_cap=architecture.soft_cap,
        streams=architecture.streams,
        layers_of=partly(architecture.layers_of, sizes["n_layers"]),
        n_experts=sizes["n_experts"],
        residual_multiplier=architecture.residual_multiplier,
    )


def _revision(hf_model: Any) -> str:
    return str(getattr(hf_model.config, "_commit_hash", None) or "local")
