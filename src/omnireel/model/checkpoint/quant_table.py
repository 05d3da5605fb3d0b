"""Which modules of a checkpoint are quantised and how, as its files say.

ModelOpt writes this table to hf_quant_config.json, or to config.json under `quantization_config` with other names
for two of its fields. Where both exist they have to agree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.quantized import FP8, GROUP, LINEARS, NVFP4
from omnireel.model.language.attention import Attention

FILE = "hf_quant_config.json"


@dataclass(frozen=True)
class QuantTable:
    """The quantised modules.

    layers:        module name → FP8 or NVFP4
    has_kv_scales: the checkpoint has scales for an FP8 KV cache
    """

    layers: Mapping[str, str] = field(default_factory=dict)
    has_kv_scales: bool = False


def read_quant_table(directory: Path) -> QuantTable:
    """The checkpoint's table; empty where nothing is quantised. Raises CheckpointError."""
    config = _read_json(directory / "config.json").get("quantization_config")
    inside = None if config is None else _table("config.json", config, ignored="ignore")
    path = directory / FILE
    if not path.exists():
        return inside or QuantTable()
    beside = _table(FILE, _read_json(path).get("quantization"), ignored="exclude_modules")
    if inside is not None and inside != beside:
        odd = sorted(set(inside.layers.items()) ^ set(beside.layers.items()))
        subject = repr(odd[0][0]) if odd else "the KV cache"
        raise CheckpointError(f"config.json and {FILE} disagree about {subject}.")
    return beside


def quantize_modules(model: nn.Module, table: QuantTable) -> None:
    """Replace the linear layers that the table names by quantised ones on the meta device. Raises CheckpointError."""
    for name, scheme in table.layers.items():
        try:
            linear = model.get_submodule(name)
        except AttributeError:
            linear = None
        if not isinstance(linear, nn.Linear) or linear.bias is not None:
            raise CheckpointError(
                f"The quantisation table has {name!r}, which is not a linear layer of this model."
            )
        if scheme == NVFP4 and linear.in_features % GROUP:
            raise CheckpointError(
                f"{name!r} is NVFP4 and has {linear.in_features} columns, which is not a multiple of {GROUP}."
            )
        parent, _, own = name.rpartition(".")
        with torch.device("meta"):
            packed = LINEARS[scheme](linear.in_features, linear.out_features)
        setattr(model.get_submodule(parent), own, packed)
    if table.has_kv_scales:
        _add_kv_scales(model)


def _add_kv_scales(model: nn.Module) -> None:
    """Buffers for the scales of an FP8 KV cache. They are loaded and not used: our cache has the model's type."""
    for module in model.modules():
        if isinstance(module, Attention):
            for linear, scale in ((module.k_proj, "k_scale"), (module.v_proj, "v_scale")):
                linear.register_buffer(scale, torch.empty((), dtype=torch.float32, device="meta"))


def _table(file: str, raw: Any, *, ignored: str) -> QuantTable:  # noqa: ANN401  any JSON value
    if not isinstance(raw, Mapping):
        raise CheckpointError(f"{file} has no quantisation table.")
    algorithm = raw.get("quant_algo")
    if algorithm != "MIXED_PRECISION":
        raise CheckpointError(
            f"{file} has quant_algo {algorithm!r}; known: MIXED_PRECISION with a table per module.",
            hint="Use NVIDIA's BF16, FP8 or NVFP4 checkpoint as it was published.",
        )
    layers = raw.get("quantized_layers")
    if not isinstance(layers, Mapping) or not layers:
        raise CheckpointError(f"{file} has quant_algo MIXED_PRECISION, but it has no quantized_layers.")
    table = {name: _scheme(file, name, entry) for name, entry in layers.items()}
    if both := sorted(set(table) & set(raw.get(ignored) or ())):
        raise CheckpointError(f"{file} lists {both[0]!r} as quantised and in {ignored}.")
    return QuantTable(table, _has_kv_scales(file, raw))


def _scheme(file: str, name: str, entry: Any) -> str:  # noqa: ANN401  any JSON value
    scheme = entry.get("quant_algo") if isinstance(entry, Mapping) else None
    if scheme not in LINEARS:
        raise CheckpointError(f"{file} quantises {name!r} as {scheme!r}; known: {', '.join(LINEARS)}.")
    if scheme == NVFP4 and entry.get("group_size", GROUP) != GROUP:
        raise CheckpointError(f"{file} gives {name!r} groups of {entry['group_size']}; known: {GROUP}.")
    return str(scheme)


def _has_kv_scales(file: str, raw: Mapping[str, Any]) -> bool:
    scheme = raw.get("kv_cache_scheme")
    algorithm = raw.get("kv_cache_quant_algo")
    if scheme is not None:
        is_fp8 = isinstance(scheme, Mapping) and scheme.get("num_bits") == 8 and scheme.get("type") == "float"
        algorithm = FP8 if is_fp8 else scheme
    if algorithm not in (None, FP8):
        raise CheckpointError(f"{file} has a KV cache in {algorithm!r}; known: FP8.")
    return algorithm == FP8


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise CheckpointError(f"{path.name} cannot be read: {e}") from None
    if not isinstance(raw, Mapping):
        raise CheckpointError(f"{path.name} is not a JSON object.")
    return raw
