"""Weights on disk → model: every tensor used, or named as ignored, or the load fails.

Only safetensors are read. A module's parameter says which type it wants (router, A_log, D, dt_bias are fp32),
every other BF16 or F32 tensor takes the model's type; packed weights stay as they are stored. What keeps its
type is not copied: it stays mapped to the file, and is read from the disk when it is used.
"""

import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.quant_table import quantize_modules, read_quant_table
from omnireel.model.config import OmniConfig, read_config
from omnireel.model.omni import Omni

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Types that are kept as they are stored, as safetensors names them.
STORED = {torch.float8_e4m3fn: "F8_E4M3", torch.uint8: "U8", torch.int64: "I64"}
SHARD_NAME = re.compile(r"[\w.-]+\.safetensors")  # a file beside the index, no path
READ_AHEAD = 2 << 20  # the system reads no more than this at a time
# Normalisation constants that preprocessing applies; the tower must not apply them again.
IGNORED = re.compile(
    r"vision_model\.radio_model\.(input_conditioner\..*|model\.summary_idxs|summary_idxs)"
    # Rounded copies of the mel filters and the window, which are computed here.
    r"|sound_encoder\.encoder\.feature_extractor\.featurizer\.(fb|window)"
)


def load_checkpoint(directory: Path, dtype: torch.dtype | None = None) -> Omni:
    """Read a checkpoint in the official layout.

    directory: holds config.json and model.safetensors, or shards with model.safetensors.index.json
    dtype:     of weights and hidden states; None takes the stored one
    Raises CheckpointError that names the first tensor missing, left over, misshapen or not finite.
    """
    config = read_config(directory)
    model = empty_model(config, dtype or _dtype(config))
    quantize_modules(model, read_quant_table(directory))
    wanted, tensors = model.state_dict(), {}
    for shard, names in _shards(directory).items():
        with _opened(shard, names) as (file, present):
            _read_ahead(shard)
            for name in present:
                _check_place(name, file.get_slice(name), wanted)
                tensors[name] = _finite(name, file.get_tensor(name)).to(wanted[name].dtype)
    _check_complete(wanted, tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def _read_ahead(shard: Path) -> None:
    """Ask the system for all that is going to be checked: fault by fault it would take four times as long."""
    if not hasattr(os, "posix_fadvise"):
        return
    with shard.open("rb") as file:
        start = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(start))
        for name, entry in entries.items():
            if name == "__metadata__" or entry["dtype"] == "U8":
                continue
            first, last = (8 + start + offset for offset in entry["data_offsets"])
            for at in range(first, last, READ_AHEAD):
                length = min(READ_AHEAD, last - at)
                os.posix_fadvise(file.fileno(), at, length, os.POSIX_FADV_WILLNEED)


def survey_checkpoint(directory: Path) -> None:
    """Check every name, shape and type but no value: it reads headers alone.

    Raises CheckpointError as `load_checkpoint`.
    """
    wanted = _places(directory, None)
    found: set[str] = set()
    for shard, names in _shards(directory).items():
        with _opened(shard, names) as (file, present):
            for name in present:
                _check_place(name, file.get_slice(name), wanted)
        found |= set(present)
    _check_complete(wanted, found)


def weight_bytes(directory: Path, dtype: torch.dtype) -> int:
    """Bytes of the weights in memory when the model computes in `dtype`. Raises CheckpointError."""
    return sum(place.nbytes for place in _places(directory, dtype).values())


def _places(directory: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """Shape and type of every tensor that the checkpoint's config calls for."""
    config = read_config(directory)
    model = empty_model(config, dtype or _dtype(config))
    quantize_modules(model, read_quant_table(directory))
    return model.state_dict()


def empty_model(config: OmniConfig, dtype: torch.dtype) -> Omni:
    """The module tree without memory behind its weights, typed as it will be loaded."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return Omni(config)
    finally:
        torch.set_default_dtype(before)


def _dtype(config: OmniConfig) -> torch.dtype:
    if config.dtype not in DTYPES:
        raise CheckpointError(f"config.json says dtype {config.dtype!r}; known: {', '.join(DTYPES)}")
    return DTYPES[config.dtype]


def _shards(directory: Path) -> dict[Path, list[str] | None]:
    """Each file with the names it must hold; None when there is no index and one file holds all."""
    index = directory / "model.safetensors.index.json"
    single = directory / "model.safetensors"
    if not index.exists():
        if not single.exists():
            raise CheckpointError(
                f"no model.safetensors or model.safetensors.index.json in {directory}",
                hint="point --model at a directory with the checkpoint's files",
            )
        return {single: None}
    shards: dict[Path, list[str] | None] = {}
    for name, file in _weight_map(index).items():
        if not isinstance(file, str) or not SHARD_NAME.fullmatch(file):
            raise CheckpointError(f"the index places {name!r} outside the checkpoint: {file!r}")
        names = shards.setdefault(directory / file, [])
        assert names is not None
        names.append(name)
    return shards


def _weight_map(index: Path) -> dict[str, object]:
    try:
        weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
        return dict(weight_map)
    except (ValueError, KeyError, TypeError):
        raise CheckpointError(f"{index.name} is not an index: it has no object 'weight_map'") from None


@contextmanager
def _opened(path: Path, names: list[str] | None) -> Iterator[tuple[Any, list[str]]]:
    """A shard and the names in it that are read; names: what the index places there."""
    try:
        with safe_open(path, framework="pt") as file:
            present = set(file.keys())
            if names is not None and present != set(names):
                odd = sorted(present ^ set(names))[0]
                raise CheckpointError(f"{path.name} and the index disagree about {odd!r}")
            yield file, [name for name in sorted(present) if not IGNORED.fullmatch(name)]
    except (SafetensorError, OSError) as e:
        raise CheckpointError(f"cannot read {path.name}: {e}") from None


def _check_place(name: str, header: Any, wanted: dict[str, Tensor]) -> None:  # noqa: ANN401  safetensors' own
    if name not in wanted:
        raise CheckpointError(f"checkpoint holds a tensor that this model does not have: {name!r}")
    place, shape, stored = wanted[name], header.get_shape(), header.get_dtype()
    if shape != list(place.shape):
        raise CheckpointError(f"{name!r} has shape {shape}, expected {list(place.shape)}")
    if place.dtype in DTYPES.values():
        if stored not in ("BF16", "F32"):
            raise CheckpointError(f"{name!r} is stored as {stored}, expected BF16 or F32")
    elif stored != STORED[place.dtype]:
        raise CheckpointError(f"{name!r} is stored as {stored}, expected {STORED[place.dtype]}")


def _check_complete(wanted: Mapping[str, object], found: Collection[str]) -> None:
    if missing := sorted(set(wanted) - set(found)):
        raise CheckpointError(f"checkpoint lacks {len(missing)} tensors, first {missing[0]!r}")


def _finite(name: str, tensor: Tensor) -> Tensor:
    if not _is_finite(tensor):
        raise CheckpointError(f"{name!r} holds NaN or infinite values")
    return tensor


def _is_finite(tensor: Tensor) -> bool:
    """Whether every value is a number. Every E2M1 code is one: those 16 GB need not be read.

    Extremes are found without a second tensor, twenty-five times as fast as asking each value, and NaN is an
    extreme of whatever holds one. In E4M3, NaN is 0x7F or 0xFF: the greatest byte with or without a sign.
    """
    if tensor.dtype == torch.uint8 or not tensor.numel():
        return True
    if tensor.dtype == torch.float8_e4m3fn:
        return tensor.view(torch.uint8).max().item() != 0xFF and tensor.view(torch.int8).max().item() != 0x7F
    return all(bool(extreme.isfinite()) for extreme in torch.aminmax(tensor))
