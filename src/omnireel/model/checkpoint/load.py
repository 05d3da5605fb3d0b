"""Loads a model from safetensors files. Every tensor is used or listed as ignored; otherwise loading fails.

A parameter with a type of its own keeps it (router, A_log, D and dt_bias are fp32). Every other BF16 or F32 tensor
gets the model's type; quantised weights stay as they are stored. A tensor that keeps its stored type is not copied:
it stays mapped to the file and is read from the disk when it is used.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.quant_table import quantize_modules, read_quant_table
from omnireel.model.checkpoint.shards import IGNORED, shards
from omnireel.model.config import OmniConfig, read_config
from omnireel.model.omni import Omni

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Types that stay as they are stored → their names in safetensors.
STORED = {torch.float8_e4m3fn: "F8_E4M3", torch.uint8: "U8", torch.int64: "I64"}
READ_AHEAD = 2 << 20  # bytes; the system reads no more than this for one call


def load_checkpoint(directory: Path, dtype: torch.dtype | None = None) -> Omni:
    """Read a checkpoint in the official layout.

    directory: holds config.json and model.safetensors, or shards with model.safetensors.index.json
    dtype:     of weights and hidden states; None takes the stored one
    Raises CheckpointError, which names the first tensor that is missing, unknown, of another shape or not finite.
    """
    config = read_config(directory)
    model = empty_model(config, dtype or dtype_of(config))
    quantize_modules(model, read_quant_table(directory))
    expected, tensors = model.state_dict(), {}
    for shard, names in shards(directory).items():
        with _opened_shard(shard, names) as (file, present):
            _read_ahead(shard)
            for name in present:
                check_header(name, file.get_slice(name), expected)
                tensors[name] = finite(name, file.get_tensor(name)).to(expected[name].dtype)
    check_complete(expected, tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def _read_ahead(shard: Path) -> None:
    """Have the system read all tensors that will be checked; page fault by page fault takes four times as long."""
    if not hasattr(os, "posix_fadvise"):
        return
    with shard.open("rb") as file:
        start = int.from_bytes(file.read(8), "little")
        entries = json.loads(file.read(start))
        for name, entry in entries.items():
            if name == "__metadata__" or entry["dtype"] == "U8":
                continue
            first, last = (8 + start + edge for edge in entry["data_offsets"])
            for offset in range(first, last, READ_AHEAD):
                length = min(READ_AHEAD, last - offset)
                os.posix_fadvise(file.fileno(), offset, length, os.POSIX_FADV_WILLNEED)


def survey_checkpoint(directory: Path) -> None:
    """Check every tensor's name, shape and type from the files' headers; no values are read.

    Raises CheckpointError as `load_checkpoint` does.
    """
    expected = _expected_tensors(directory, None)
    found: set[str] = set()
    for shard, names in shards(directory).items():
        with _opened_shard(shard, names) as (file, present):
            for name in present:
                check_header(name, file.get_slice(name), expected)
        found |= set(present)
    check_complete(expected, found)


def weight_bytes(directory: Path, dtype: torch.dtype) -> int:
    """Bytes that the weights take in memory when the model computes in `dtype`. Raises CheckpointError."""
    return sum(tensor.nbytes for tensor in _expected_tensors(directory, dtype).values())


def _expected_tensors(directory: Path, dtype: torch.dtype | None) -> dict[str, Tensor]:
    """The tensors that the config requires, by name, without memory: their shape and type count."""
    config = read_config(directory)
    model = empty_model(config, dtype or dtype_of(config))
    quantize_modules(model, read_quant_table(directory))
    return model.state_dict()


def empty_model(config: OmniConfig, dtype: torch.dtype) -> Omni:
    """The model's modules with the types they will be loaded in, and without memory for their weights."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return Omni(config)
    finally:
        torch.set_default_dtype(before)


def dtype_of(config: OmniConfig) -> torch.dtype:
    """The type of the stored weights. Raises CheckpointError."""
    if config.dtype not in DTYPES:
        raise CheckpointError(f"config.json has the dtype {config.dtype!r}; supported: {', '.join(DTYPES)}.")
    return DTYPES[config.dtype]


@contextmanager
def _opened_shard(path: Path, names: list[str] | None) -> Iterator[tuple[Any, list[str]]]:
    """An open shard, and the names of its tensors that are loaded; names: those the index has for it."""
    with opened(path) as file:
        present = set(file.keys())
        if names is not None and present != set(names):
            odd = sorted(present ^ set(names))[0]
            raise CheckpointError(f"{path.name} and the index disagree about {odd!r}.")
        yield file, [name for name in sorted(present) if not IGNORED.fullmatch(name)]


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """An open safetensors file. Raises CheckpointError where it cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError) as e:
        raise CheckpointError(f"Cannot read {path.name}: {e}") from None


def check_header(name: str, header: Any, expected: Mapping[str, Tensor]) -> None:  # noqa: ANN401  safetensors has no type for it
    """Compare a stored tensor's shape and type with what the model has under its name. Raises CheckpointError."""
    if name not in expected:
        raise CheckpointError(f"The checkpoint has a tensor that this model does not have: {name!r}.")
    tensor, shape, stored = expected[name], header.get_shape(), header.get_dtype()
    if shape != list(tensor.shape):
        raise CheckpointError(f"{name!r} has shape {shape}, expected {list(tensor.shape)}.")
    if tensor.dtype in DTYPES.values():
        if stored not in ("BF16", "F32"):
            raise CheckpointError(f"{name!r} is stored as {stored}, expected BF16 or F32.")
    elif stored != STORED[tensor.dtype]:
        raise CheckpointError(f"{name!r} is stored as {stored}, expected {STORED[tensor.dtype]}.")


def check_complete(expected: Mapping[str, object], found: Collection[str]) -> None:
    """Raise CheckpointError where an expected tensor was not found."""
    if missing := sorted(set(expected) - set(found)):
        raise CheckpointError(f"The checkpoint lacks {len(missing)} tensors, first {missing[0]!r}.")


def finite(name: str, tensor: Tensor) -> Tensor:
    """The tensor. Raises CheckpointError where one of its values is not finite."""
    if not _isfinite(tensor):
        raise CheckpointError(f"{name!r} has NaN or infinite values.")
    return tensor


def _isfinite(tensor: Tensor) -> bool:
    """Whether every value is finite. Every E2M1 code is, so those 16 GB are not read.

    Finding the extremes needs no second tensor and is 25 times as fast as testing each value; where a tensor has a
    NaN, its extremes are NaN. In E4M3, NaN is 0x7F or 0xFF: the largest byte, signed or unsigned.
    """
    if tensor.dtype == torch.uint8 or not tensor.numel():
        return True
    if tensor.dtype == torch.float8_e4m3fn:
        return tensor.view(torch.uint8).max().item() != 0xFF and tensor.view(torch.int8).max().item() != 0x7F
    return all(bool(extreme.isfinite()) for extreme in torch.aminmax(tensor))
