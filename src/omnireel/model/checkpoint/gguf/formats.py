"""In which format each tensor of a GGUF is stored, and its bytes in that format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.container import FORMATS, Format
from omnireel.model.checkpoint.gguf.layout import Part, expert_scales
from omnireel.model.checkpoint.gguf.library import pack
from omnireel.model.checkpoint.gguf.source import Source
from omnireel.model.checkpoint.quantized import NVFP4

# What `pack --type` accepts → the format of most matrices.
TYPES = {"f32": "f32", "bf16": "bf16", "q8_0": "q8_0", "q4_k": "q4_K", "q4_0": "q4_0", "nvfp4": "q8_0"}
# Rows that do not fill a format's blocks get the next one; as in llama.cpp, but with BF16 in the end, which is exact
# for a BF16 checkpoint.
_INSTEAD = {"q4_K": "q5_0", "nvfp4": "q8_0", "q5_0": "bf16", "q4_0": "bf16", "q8_0": "bf16"}
_SUPER_BLOCK = 64  # columns of an NVFP4 block in GGUF: four groups of 16


@dataclass(frozen=True)
class Recipe:
    """The formats of a GGUF, as names that `pack --type` accepts.

    matrices: of all matrices; embeddings and head have no less than Q8_0
    experts:  of the matrices of routed experts
    """

    matrices: str
    experts: str

    def format_of(self, part: Part) -> Format:
        """The format in which `part` is stored."""
        if part.role in ("plain", "scale"):
            return FORMATS["f32"]
        name = self._wanted(part)
        while part.shape[-1] % FORMATS[name].block:
            name = _INSTEAD[name]
        return FORMATS[name]

    def _wanted(self, part: Part) -> str:
        if part.role == "expert":
            return "nvfp4" if self.experts == "nvfp4" else TYPES[self.experts]
        if part.role == "table" and self.matrices not in ("f32", "bf16"):
            return "q8_0"
        return TYPES[self.matrices]

    def plan(self, parts: list[Part], num_experts: int) -> list[tuple[Part, Format]]:
        """Each part with its format; experts in NVFP4 are followed by their factors."""
        planned = []
        for part in parts:
            stored = self.format_of(part)
            planned.append((part, stored))
            if stored.name == "nvfp4":
                planned.append((expert_scales(part, num_experts), FORMATS["f32"]))
        return planned


def stored_bytes(source: Source, part: Part, stored: Format) -> Iterator[bytes]:
    """The bytes of `part` in order, some rows at a time. Raises CheckpointError."""
    if part.role == "scale":
        yield _raw(torch.stack([source.whole(name) for name in part.sources]))
    elif part.role == "plain":
        yield _raw(_plain(part, source.whole(part.sources[0])))
    elif stored.name == "nvfp4":
        for name in part.sources:
            yield _repacked(source, name)
    else:
        for name in part.sources:
            for block in source.blocks(name):
                yield _encoded(block, stored)


def _plain(part: Part, values: Tensor) -> Tensor:
    if part.name.endswith(".ssm_a"):  # the checkpoint stores log(−A), llama.cpp wants A
        values = -values.exp()
    return values.reshape(part.shape)


def _encoded(block: Tensor, stored: Format) -> bytes:
    if stored.name == "f32":
        return _raw(block)
    if stored.name == "bf16":
        return _raw(block.bfloat16())
    return pack(block.numpy(), stored)


def _repacked(source: Source, name: str) -> bytes:
    """An NVFP4 matrix of ModelOpt in GGUF's order; no value changes.

    ModelOpt: the even column in the low nibble. GGUF: blocks of 64 columns, first their four scales, then for each
    group of 16 the columns 0…7 in the low nibbles and 8…15 in the high ones.
    """
    if source.scheme(name) != NVFP4:
        raise CheckpointError(
            f"{name!r} is not NVFP4, and --type nvfp4 repacks what is.",
            hint="Take the NVFP4 checkpoint, or another --type.",
        )
    weight, scale = source.packed(name)
    rows, blocks = len(weight), weight.shape[1] * 2 // _SUPER_BLOCK
    codes = torch.stack([weight & 15, weight >> 4], -1).view(rows, blocks, 4, 16)
    packed = codes[..., :8] | codes[..., 8:] << 4
    scales = scale.view(torch.uint8).view(rows, blocks, 4)
    if bool((scales & 128).any()) or bool((scales == 127).any()):
        raise CheckpointError(f"{name!r} has a scale that is negative or NaN.")
    return _raw(torch.cat([scales, packed.flatten(2)], 2))


def _raw(tensor: Tensor) -> bytes:
    return tensor.contiguous().view(torch.uint8).numpy().tobytes()
