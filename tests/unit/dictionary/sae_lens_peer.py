"""What sae-lens does with dictionaries: run by its own Python, never imported here.

python sae_lens_peer.py read FOLDER     codes and outputs of every dictionary in FOLDER
python sae_lens_peer.py write FOLDER    dictionaries of its own, with their codes and outputs
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

warnings.filterwarnings("ignore")
D_IN, D_OUT, D_SAE = 12, 12, 40


def answers(sae: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    with torch.no_grad():
        return {"x": x, "codes": sae.encode(x).contiguous(), "out": sae(x).contiguous()}


def read(folder: Path) -> None:
    from sae_lens import SAE  # pyright: ignore[reportMissingImports]

    x = load_file(folder / "x.safetensors")["x"]
    refused = {}
    for path in sorted(p for p in folder.iterdir() if p.is_dir()):
        try:
            sae = SAE.load_from_disk(path)
        except Exception as error:
            refused[path.name] = repr(error)
            continue
        save_file(answers(sae, x), path / "answers.safetensors")
    (folder / "refused.json").write_text(json.dumps(refused))


def write(folder: Path) -> None:
    from sae_lens.registry import get_sae_class  # pyright: ignore[reportMissingImports]

    torch.manual_seed(0)
    x = torch.randn(9, D_IN) * 2 + 0.5
    cases: dict[str, tuple[str, dict[str, Any]]] = {
        "standard": ("standard", {}),
        "standard_plain_input": ("standard", {"apply_b_dec_to_input": False}),
        "layer_norm": ("standard", {"normalize_activations": "layer_norm"}),
        "constant_norm": ("standard", {"normalize_activations": "constant_norm_rescale"}),
        "gated": ("gated", {}),
        "jumprelu": ("jumprelu", {}),
        "topk": ("topk", {"k": 5}),
        "topk_by_norm": ("topk", {"k": 5, "rescale_acts_by_decoder_norm": True}),
        "matching_pursuit": ("matching_pursuit", {"max_iterations": 6}),
        "matching_pursuit_plain": (
            "matching_pursuit",
            {"apply_b_dec_to_input": False, "residual_threshold": 1.5, "max_iterations": 12},
        ),
        "transcoder": ("transcoder", {}),
        "skip_transcoder": ("skip_transcoder", {}),
        "jumprelu_transcoder": ("jumprelu_transcoder", {}),
        "jumprelu_skip_transcoder": ("jumprelu_skip_transcoder", {}),
    }
    for name, (architecture, options) in cases.items():
        sae_class, config_class = get_sae_class(architecture)
        hooks: dict[str, Any] = {"model_name": "tiny", "hook_name": "blocks.1.hook_resid_post"}
        given: dict[str, Any] = {"d_in": D_IN, "d_sae": D_SAE} | options
        if "transcoder" in architecture:
            hooks |= {
                "hook_name": "blocks.1.mlp.hook_in",
                "hook_name_out": "blocks.1.hook_mlp_out",
            }
            given |= {"d_out": D_OUT, "apply_b_dec_to_input": False}
        config = config_class(**given)
        for key, value in hooks.items():
            config.metadata[key] = value
        sae = sae_class(config)
        with torch.no_grad():
            for key, parameter in sae.named_parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.5)
                if key == "threshold":
                    parameter.abs_()
                if key == "W_dec" and architecture == "matching_pursuit":
                    parameter.div_(parameter.norm(dim=-1, keepdim=True))
        sae.save_model(folder / name)
        save_file(answers(sae, x), folder / name / "answers.safetensors")


if __name__ == "__main__":
    {"read": read, "write": write}[sys.argv[1]](Path(sys.argv[2]))
