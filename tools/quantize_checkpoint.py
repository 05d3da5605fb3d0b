"""Quantise the language model of a checkpoint into the layout of the published FP8 and NVFP4 checkpoints.

    python tools/quantize_checkpoint.py IN OUT fp8|nvfp4

A scale maps the largest magnitude of a tensor or group to the largest value of the format. The published files were
calibrated to keep accuracy; that is not done here. The layout is the same.
"""

import argparse
import json
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireel.model.checkpoint.quantized import FP8, GROUP, NVFP4

EXPERTS = re.compile(r"language_model\.backbone\.layers\.\d+\.mixer\.experts\.\d+\.(up|down)_proj")
OTHERS = re.compile(
    r"language_model\.backbone\.layers\.\d+\.mixer\.(in_proj|out_proj|o_proj|shared_experts\.(up|down)_proj)"
)
KV = re.compile(r"language_model\.backbone\.layers\.\d+\.mixer\.([kv])_proj")
E4M3_MAX, E2M1 = 448.0, torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def main() -> None:
    """Read the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("scheme", choices=("fp8", "nvfp4"))
    arguments = parser.parse_args()
    table = quantize_checkpoint(
        arguments.source, arguments.out, NVFP4 if arguments.scheme == "nvfp4" else FP8
    )
    print(f"wrote {len(table)} quantised matrices to {arguments.out}")


def quantize_checkpoint(source: Path, out: Path, experts: str) -> dict[str, str]:
    """Quantise the BF16 checkpoint in `source` into `out`: experts in FP8 or NVFP4, other matrices in FP8.

    Returns module name → scheme.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in source.glob("*"):
        if path.suffix != ".safetensors" and not path.name.endswith(".index.json"):
            shutil.copy(path, out)
    tensors: dict[str, Tensor] = {}
    for shard in sorted(source.glob("*.safetensors")):
        tensors |= load_file(shard)
    table = {
        name: scheme
        for weight in tensors
        if (name := weight.removesuffix(".weight")) and (scheme := scheme_of(name, experts))
    }
    for name, scheme in table.items():
        weight = tensors.pop(f"{name}.weight").float()
        tensors |= {
            f"{name}.{part}": t for part, t in (pack_fp8 if scheme == FP8 else pack_nvfp4)(weight).items()
        }
    for name in [weight.removesuffix(".weight") for weight in tensors]:
        if which := KV.fullmatch(name):
            tensors[f"{name}.{which[1]}_scale"] = torch.tensor(0.5)
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    file = table_json(table)
    (out / "hf_quant_config.json").write_text(json.dumps(file, indent=1), encoding="utf-8")
    return table


def table_json(table: dict[str, str]) -> dict[str, Any]:
    """The content of hf_quant_config.json."""
    entries = {
        name: {"quant_algo": scheme} | ({"group_size": GROUP} if scheme == NVFP4 else {})
        for name, scheme in table.items()
    }
    quantization = {
        "quant_algo": "MIXED_PRECISION",
        "kv_cache_quant_algo": "FP8",
        "exclude_modules": ["language_model.lm_head", "vision_model*"],
        "quantized_layers": entries,
    }
    return {"producer": {"name": "modelopt"}, "quantization": quantization}


def scheme_of(name: str, experts: str) -> str | None:
    """The scheme in which the published checkpoints store a matrix, or None. experts: the scheme of the experts."""
    if EXPERTS.fullmatch(name):
        return experts
    return FP8 if OTHERS.fullmatch(name) else None


def pack_fp8(weight: Tensor) -> dict[str, Tensor]:
    """[out, in] fp32 → weight, weight_scale, input_scale."""
    scale = weight.abs().max().clamp(min=1e-12) / E4M3_MAX
    return {
        "weight": (weight / scale).to(torch.float8_e4m3fn),
        "weight_scale": scale,
        "input_scale": torch.tensor(1.0),
    }


def pack_nvfp4(weight: Tensor) -> dict[str, Tensor]:
    """[out, in] fp32 → weight, weight_scale, weight_scale_2, input_scale."""
    groups = weight.unflatten(1, (-1, GROUP))
    largest = groups.abs().amax(-1)
    scale_2 = largest.max().clamp(min=1e-12) / (E4M3_MAX * E2M1[-1])
    scale = (largest / E2M1[-1] / scale_2).to(torch.float8_e4m3fn)
    step = (scale.float() * scale_2).clamp(min=1e-30)[..., None]
    codes = ((groups / step).abs()[..., None] - E2M1).abs().argmin(-1)
    codes = (codes + 8 * (groups < 0)).flatten(1).to(torch.uint8)
    return {
        "weight": codes[:, ::2] | codes[:, 1::2] << 4,
        "weight_scale": scale,
        "weight_scale_2": scale_2,
        "input_scale": torch.tensor(1.0),
    }


if __name__ == "__main__":
    main()
