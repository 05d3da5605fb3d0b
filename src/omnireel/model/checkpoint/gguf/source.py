"""The tensors of a checkpoint in the official layout, read some rows at a time and unpacked to fp32."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.quant_table import read_quant_table
from omnireel.model.checkpoint.quantized import FP8, NVFP4, unpack_fp8, unpack_nvfp4
from omnireel.model.checkpoint.shards import shards

_BLOCK_VALUES = 1 << 23  # 32 MB in fp32


class Source:
    """An open checkpoint; `with` closes it. Raises CheckpointError where a file cannot be used."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._schemes = read_quant_table(directory).layers
        self._files: dict[str, Any] = {}  # tensor → its open file
        self._open = ExitStack()
        for path in sorted(shards(directory)):
            try:
                file = self._open.enter_context(safe_open(path, framework="pt"))
            except Exception as error:  # noqa: BLE001  safetensors raises its own and the system's errors
                raise CheckpointError(f"Cannot read {path.name}: {error}") from None
            self._files.update(dict.fromkeys(file.keys(), file))

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def scheme(self, name: str) -> str | None:
        """How the tensor `name` is quantised: FP8, NVFP4 or None."""
        return self._schemes.get(name.removesuffix(".weight"))

    def whole(self, name: str) -> Tensor:
        """The tensor, in fp32 and its own shape. Raises CheckpointError where a value is not finite."""
        return _finite(name, self._get(name).float())

    def blocks(self, name: str) -> Iterator[Tensor]:
        """A matrix in fp32, some rows at a time: [rows, columns]. Raises CheckpointError, as `whole`."""
        rows, columns = self._slice(name).get_shape()
        step = max(1, _BLOCK_VALUES // (columns * (2 if self.scheme(name) == NVFP4 else 1)))
        for start in range(0, rows, step):
            yield _finite(name, self._unpacked(name, slice(start, start + step)))

    def packed(self, name: str) -> tuple[Tensor, Tensor]:
        """An NVFP4 matrix as it is stored: weight u8 [out, in/2], scale E4M3 [out, in/16]."""
        module = name.removesuffix(".weight")
        return self._get(name), self._get(f"{module}.weight_scale")

    def fingerprint(self) -> str:
        """Changes with the files: their names, sizes and times."""
        digest = hashlib.sha256()
        for path in sorted(shards(self._directory)):
            facts = path.stat()
            digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
        return digest.hexdigest()

    def _unpacked(self, name: str, rows: slice) -> Tensor:
        module, scheme = name.removesuffix(".weight"), self.scheme(name)
        weight: Tensor = self._slice(name)[rows]
        if scheme is None:
            return weight.float()
        scale = f"{module}.weight_scale"
        if scheme == FP8:
            return unpack_fp8(weight, self._get(scale))
        return unpack_nvfp4(weight, self._slice(scale)[rows], self._get(f"{module}.weight_scale_2"))

    def _get(self, name: str) -> Tensor:
        found: Tensor = self._file(name).get_tensor(name)
        return found

    def _slice(self, name: str) -> Any:  # noqa: ANN401  safetensors has no type for it
        return self._file(name).get_slice(name)

    def _file(self, name: str) -> Any:  # noqa: ANN401  safetensors has no type for it
        if name not in self._files:
            raise CheckpointError(f"The checkpoint lacks the tensor {name!r}.")
        return self._files[name]


def _finite(name: str, values: Tensor) -> Tensor:
    if values.numel() and not all(bool(extreme.isfinite()) for extreme in torch.aminmax(values)):
        raise CheckpointError(f"{name!r} has NaN or infinite values.")
    return values
