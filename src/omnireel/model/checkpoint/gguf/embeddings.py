"""The embeddings of a GGUF, unpacked where they are looked up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from omnireel.model.checkpoint.gguf.container import Entry, read_header
from omnireel.model.checkpoint.gguf.layout import EMBEDDINGS
from omnireel.model.checkpoint.gguf.library import unpack

_TORCH = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}


class GgufEmbeddings:
    """The table of embeddings, [V, D]. It stays in the file; rows are read and unpacked when they are asked for."""

    def __init__(self, path: Path) -> None:
        self._entry = read_header(path).tensors[EMBEDDINGS]
        self._rows = _mapped(self._entry)

    @property
    def width(self) -> int:
        """D."""
        return self._entry.shape[1]

    def __call__(self, ids: Tensor) -> Tensor:
        """ids: [S] int64. Returns [S, D] fp32. Raises CheckpointError without the library that unpacks the format."""
        raw = self._rows[ids.numpy()]
        if (dtype := _TORCH.get(self._entry.format.name)) is not None:
            return torch.from_numpy(raw).view(dtype).float()
        return torch.from_numpy(unpack(raw, self._entry.format, self.width))


def _mapped(entry: Entry) -> NDArray[np.uint8]:
    rows = entry.shape[0]
    shape = (rows, entry.num_bytes // rows)
    return np.memmap(entry.path, np.uint8, "r", entry.offset, shape)
