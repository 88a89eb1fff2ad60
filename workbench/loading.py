"""load: a model by name, or one in memory, behind either backend."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model import Model, ModelSpec
from .ordinary import ordinary_torch

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .backends.architecture import Architecture
    from .backends.nnsight import NnsightModel
    from .backends.transformer_lens import TransformerLensModel

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

    A Hugging Face model in memory, freshly fine-tuned for example, comes with its `tokenizer` and
    perhaps a `name`. It keeps its device and dtype and stays as it is: training can go on with it,
    and runs see its weights as they are at that moment, as long as they are written in place.

    backend: "nnsight" or "transformer_lens". device: "auto" takes a GPU where there is one. dtype:
    None keeps float32 on a CPU and the checkpoint's own on a GPU. attention: "eager" is needed to
    read pattern and attn_scores. remote: True runs traces on NDIF, "local" sends them through the
    same serialisation on this machine (nnsight only). Further options go to transformers'
    `from_pretrained` (`device_map`, `quantization_config`, …).

    Weights are read from safetensors only: unpickling a checkpoint runs whatever code it holds.

    Raises `ValueError` for an unknown backend, device or dtype, for a model in memory without its
    tokenizer, and `OSError` for a model that is not there, each with the next step.
    """
    if backend not in BACKENDS:
        raise ValueError(f"A backend is one of {', '.join(BACKENDS)}; got {backend!r}.")
    if remote not in (False, True, "local"):
        raise ValueError(f"remote is False, True (NDIF) or 'local'; got {remote!r}.")
    if remote and backend != "nnsight":
        raise ValueError(
            f"Only the nnsight backend runs remotely; got backend={backend!r}. Leave one of them "
            "out."
        )
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
    place_of_weights, label = _source(str(source))
    place = _device(device)
    with _quiet():
        hf_model, own_tokenizer = _from_pretrained(
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
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from .backends.survey import reference

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
    embeddings: Any = hf_model.get_input_embeddings()
    n_rows = len(embeddings.weight)
    if len(tokenizer) > n_rows:
        raise ValueError(
            f"A model embeds every token of its tokenizer; this one embeds {n_rows} and the "
            f"tokenizer has {len(tokenizer)}. Give the model's own, or resize its embeddings."
        )
    if any(parameter.is_meta for parameter in hf_model.parameters()):
        raise ValueError(
            "A model in memory has its weights there; some of this one are on the meta device or "
            "offloaded, as shapes only. Load it whole, or give load() its name with device_map=."
        )
    label = name or Path(str(hf_model.config._name_or_path)).name or type(hf_model).__name__
    with _quiet():
        seen = _shared_copy(hf_model)
        # Of the model as it was given: its own attention may be another than the one asked for.
        given = reference(seen)
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
    import torch

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
    from .data import data_path

    if not name.strip():
        raise ValueError(
            "A model is named by an embedded name, a directory or a Hugging Face id; got an empty "
            "name."
        )
    if name.split("/")[0].startswith("tinyworld") and not Path(name).is_dir():
        return str(data_path("models", *name.split("/"))), name
    path = Path(name).expanduser()
    if path.is_dir():
        _check_directory(path)
        return str(path), path.name
    if name.startswith((".", "/", "~")) or name.count("/") > 1 or "\\" in name:
        raise OSError(
            f"There is no directory {name!r}. Check the path, or give a Hugging Face id such as "
            "'gpt2'."
        )
    return name, name


def _check_directory(path: Path) -> None:
    if not (path / "config.json").is_file():
        raise OSError(
            f"A model directory holds a config.json; {path.name!r} has none. Save one with "
            "save_pretrained."
        )
    if not any(path.glob("*.safetensors")):
        pickles = sorted(
            p.name for p in [*path.glob("*.bin"), *path.glob("*.pt"), *path.glob("*.pth")]
        )
        if pickles:
            raise ValueError(
                "Weights are read from safetensors only, because unpickling runs the code that a "
                "file holds; "
                f"{path.name!r} has {pickles[0]}. Convert it where you trust it: "
                "AutoModelForCausalLM.from_pretrained(...).save_pretrained(..., "
                "safe_serialization=True)."
            )
        raise OSError(f"A model directory holds *.safetensors weights; {path.name!r} has none.")


def _device(device: str | torch.device) -> torch.device:
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        place = torch.device(device)
    except (RuntimeError, TypeError):
        raise ValueError(
            f"A device is 'auto', 'cpu', 'cuda' or 'cuda:1'; got {device!r}."
        ) from None
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"device={str(device)!r} needs a CUDA GPU and torch sees none here. "
            "Use device='auto' or 'cpu', or install a CUDA build of torch."
        )
    return place


def _dtype(dtype: str | torch.dtype | None, device: torch.device) -> torch.dtype | str:
    import torch

    if dtype is None:
        return torch.float32 if device.type == "cpu" else "auto"
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        raise ValueError(
            f"A dtype is 'float32', 'bfloat16', 'float16' or 'float64'; got {dtype!r}."
        )
    return found


def _from_pretrained(
    source: str,
    label: str,
    *,
    device: torch.device,
    dtype: torch.dtype | str,
    revision: str | None,
    attention: str,
    meta: bool,
    **options: Any,
) -> tuple[Any, Any]:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    version: dict[str, Any] = {} if revision is None else {"revision": revision}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source, **version)
        if meta:
            config = AutoConfig.from_pretrained(source, **version)
            with torch.device("meta"):
                hf_model = AutoModelForCausalLM.from_config(config, attn_implementation=attention)
            # It names the end tokens, and is a file of its own that a model need not have.
            with suppress(OSError):
                hf_model.generation_config = GenerationConfig.from_pretrained(source, **version)
            return hf_model, tokenizer
        hf_model = AutoModelForCausalLM.from_pretrained(
            source,
            dtype=dtype,
            attn_implementation=attention,
            use_safetensors=True,
            **version,
            **options,
        )
    except OSError as error:
        if "safetensors" in str(error):
            raise ValueError(
                "Weights are read from safetensors only, because unpickling runs the code that a "
                "file holds; "
                f"{label!r} offers none. Ask for a revision that does (often 'refs/pr/1'), or "
                "convert it."
            ) from error
        raise OSError(
            f"{label!r} is no embedded model (tinyworld, …) and no local directory, and the "
            "Hugging Face Hub could "
            "not give it: it is not there, needs a login, or there is no network. Check the name, "
            "log in, or use "
            "wb.load('tinyworld'), which needs no network."
        ) from error
    if "device_map" not in options:
        hf_model = torch.nn.Module.to(hf_model, device)
    hf_model.eval()
    # Gradients are taken at activations; without these the graph keeps no weights' inputs.
    for parameter in hf_model.parameters():
        parameter.requires_grad_(False)
    return hf_model, tokenizer


def _wrap(
    hf_model: Any,
    tokenizer: Any,
    label: str,
    source: str,
    *,
    backend: str,
    remote: bool | str,
    revision: str | None,
    given: torch.Tensor | None = None,
) -> Model:
    from .backends.architecture import Architecture
    from .backends.survey import reference, survey

    architecture = Architecture.of(hf_model, label)
    given = reference(hf_model) if given is None else given
    spec = _spec(hf_model, architecture, label, backend, revision or _revision(hf_model))
    model: NnsightModel | TransformerLensModel
    if backend == "nnsight":
        from .backends.nnsight import NnsightModel

        model = NnsightModel(hf_model, architecture, tokenizer, spec, remote=remote, source=source)
    else:
        from .backends.transformer_lens import TransformerLensModel

        live = revision == IN_MEMORY
        model = TransformerLensModel(hf_model, architecture, tokenizer, spec, live=live)
    survey(model, given)
    return model


def _spec(
    hf_model: Any, architecture: Architecture, label: str, backend: str, revision: str
) -> ModelSpec:
    config, sizes = hf_model.config, architecture.sizes
    parameter = next(hf_model.parameters())
    lengths = (
        getattr(config, key, None)
        for key in ("max_position_embeddings", "n_positions", "seq_length")
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
    )


def _revision(hf_model: Any) -> str:
    return str(getattr(hf_model.config, "_commit_hash", None) or "local")


@contextmanager
def _quiet() -> Iterator[None]:
    """No library's dumps or progress bars while a model loads; log levels are put back."""
    from transformers.utils import logging as hf_logging

    loggers = {
        logger: logger.level
        for logger in (hf_logging.get_logger("transformers"), logging.getLogger())
    }
    bars = hf_logging.is_progress_bar_enabled()
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        for logger, level in loggers.items():
            logger.setLevel(level)
        if bars:
            hf_logging.enable_progress_bar()
