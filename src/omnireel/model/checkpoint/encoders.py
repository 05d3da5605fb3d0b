"""Vision tower, audio encoder and projectors alone: loaded without the language part, and copied into one file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from omnireel.model.checkpoint.load import (
    check_complete,
    check_header,
    dtype_of,
    finite,
    opened,
)
from omnireel.model.checkpoint.shards import is_encoder, shards
from omnireel.model.config import OmniConfig, read_config
from omnireel.model.omni import Encoders

FILE = "encoders.safetensors"


def load_encoders(directory: Path, dtype: torch.dtype | None = None) -> Encoders:
    """Read the encoders of a checkpoint; the files that hold the language part alone need not be there.

    directory: holds config.json, and encoders.safetensors or a checkpoint's shards
    dtype:     of weights and hidden states; None takes the stored one
    Raises CheckpointError, as `load_checkpoint` does.
    """
    config = read_config(directory)
    model = empty_encoders(config, dtype or dtype_of(config))
    expected, tensors = model.state_dict(), {}
    for path, names in encoder_files(directory).items():
        with opened(path) as file:
            for name in names:
                check_header(name, file.get_slice(name), expected)
                tensors[name] = finite(name, file.get_tensor(name)).to(expected[name].dtype)
    check_complete(expected, tensors)
    model.load_state_dict(tensors, assign=True)
    return model.eval().requires_grad_(False)


def survey_encoders(directory: Path) -> None:
    """Check names, shapes and types from the files' headers; no values are read. Raises CheckpointError."""
    config = read_config(directory)
    expected = empty_encoders(config, dtype_of(config)).state_dict()
    found: set[str] = set()
    for path, names in encoder_files(directory).items():
        with opened(path) as file:
            for name in names:
                check_header(name, file.get_slice(name), expected)
        found |= set(names)
    check_complete(expected, found)


def encoder_bytes(directory: Path, dtype: torch.dtype) -> int:
    """Bytes that the encoders take in memory when they compute in `dtype`. Raises CheckpointError."""
    return sum(
        tensor.nbytes for tensor in empty_encoders(read_config(directory), dtype).state_dict().values()
    )


def empty_encoders(config: OmniConfig, dtype: torch.dtype) -> Encoders:
    """The modules with the types they will be loaded in, and without memory for their weights."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device("meta"):
            return Encoders(config)
    finally:
        torch.set_default_dtype(before)


def encoder_files(directory: Path) -> dict[Path, list[str]]:
    """Each file that holds tensors of the encoders, with their names. Raises CheckpointError."""
    single = directory / FILE
    found: Mapping[Path, list[str] | None] = {single: None} if single.is_file() else shards(directory)
    kept = {path: sorted(filter(is_encoder, names or _names(path))) for path, names in found.items()}
    return {path: names for path, names in kept.items() if names}


def _names(path: Path) -> list[str]:
    with opened(path) as file:
        return list(file.keys())


def copy_encoders(directory: Path, target: Path) -> None:
    """Write the encoders' tensors of a checkpoint into `target` as they are stored, one tensor at a time.

    Raises CheckpointError. The file gets its name when it is complete.
    """
    unfinished = target.with_name(f"{target.name}.part")
    entries, files = _entries(directory), encoder_files(directory)
    text = json.dumps({"__metadata__": {"format": "pt"}} | entries).encode()
    text += b" " * (-len(text) % 8)
    with unfinished.open("wb") as sink:
        sink.write(len(text).to_bytes(8, "little") + text)
        for path, names in files.items():
            with opened(path) as file:
                for name in names:
                    tensor = finite(name, file.get_tensor(name))
                    sink.write(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
        sink.flush()
        os.fsync(sink.fileno())
    unfinished.rename(target)


def _entries(directory: Path) -> dict[str, Any]:
    """The header of the file that `copy_encoders` writes."""
    entries, at = {}, 0
    for path, names in encoder_files(directory).items():
        with opened(path) as file:
            for name in names:
                header = file.get_slice(name)
                size = file.get_tensor(name).nbytes
                entries[name] = {
                    "dtype": header.get_dtype(),
                    "shape": header.get_shape(),
                    "data_offsets": [at, at + size],
                }
                at += size
    return entries
