"""Write a packed directory of the published geometry with random weights: what `omnireel pack` would make.

    python tools/full_gguf.py OUT [--type q8_0] [--experts q4_0] [--layers 52]

Packing a checkpoint of that size takes 22 GB more of disk and an hour; here one packed block of noise is written again
and again. Needs the extra omnireel[gguf]. The default takes 21.8 GB.
"""

import argparse
import dataclasses
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from omnireel.model.checkpoint.encoders import FILE as ENCODERS
from omnireel.model.checkpoint.encoders import empty_encoders
from omnireel.model.checkpoint.gguf.container import Format, header_bytes, padding
from omnireel.model.checkpoint.gguf.formats import TYPES, Recipe
from omnireel.model.checkpoint.gguf.layout import Part, metadata, parts, vocabulary
from omnireel.model.checkpoint.gguf.library import pack
from omnireel.model.checkpoint.packed import LANGUAGE, Manifest, PackedFile, sha256_of, write_manifest
from omnireel.model.config import parse_config
from tools.full_checkpoint import Noise, write_shard
from tools.scaled_checkpoint import PUBLISHED, TEMPLATE, published_config_json, stored_dtype, tokenizer_json

_BLOCK_VALUES = 1 << 22


def main() -> None:
    """Read the command line and write the directory."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--type", choices=TYPES, default="q8_0")
    parser.add_argument("--experts", choices=TYPES, default="q4_0")
    parser.add_argument("--layers", type=int, default=len(PUBLISHED.pattern))
    arguments = parser.parse_args()
    num_bytes = write_full_gguf(arguments.out, Recipe(arguments.type, arguments.experts), arguments.layers)
    print(f"wrote {num_bytes / 1e9:.2f} GB to {arguments.out}")


def write_full_gguf(out: Path, recipe: Recipe, num_layers: int) -> int:
    """Write all files of a packed directory. Returns their size in bytes."""
    out.mkdir(parents=True, exist_ok=True)
    sizes = dataclasses.replace(PUBLISHED, pattern=PUBLISHED.pattern[:num_layers])
    raw = published_config_json(sizes)
    config = parse_config(raw)
    (out / "config.json").write_text(json.dumps(raw), "utf-8")
    (out / "tokenizer.json").write_text(json.dumps(_tokenizer(sizes.vocab_size)), "utf-8")
    (out / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 11]}), "utf-8")
    (out / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    planned = recipe.plan(parts(config.language), config.language.num_experts)
    values = metadata(config.language, "noise", vocabulary(out, sizes.vocab_size))
    with (out / LANGUAGE).open("wb") as file:
        file.write(header_bytes(values, [(part.name, part.shape, stored) for part, stored in planned]))
        noise = PackedNoise()
        for part, stored in planned:
            size = stored.num_bytes(math.prod(part.shape))
            for piece in noise.of(part, stored, size):
                file.write(piece)
            file.write(padding(size))
    tensors = {
        name: place.to(stored_dtype(name, torch.bfloat16))
        for name, place in empty_encoders(config, torch.bfloat16).state_dict().items()
    }
    write_shard(out / ENCODERS, tensors, Noise())
    files = {path.name: PackedFile(path.stat().st_size, sha256_of(path)) for path in sorted(out.iterdir())}
    formats = Counter(stored.name for _, stored in planned)
    write_manifest(out, Manifest("noise", recipe.matrices, recipe.experts, dict(formats), files))
    return sum(file.num_bytes for file in files.values())


def _tokenizer(vocab_size: int) -> dict[str, Any]:
    """Single bytes and one merge: without any, llama.cpp's own programs could not turn a token into text."""
    described = tokenizer_json(vocab_size)
    vocab = described["model"]["vocab"]
    vocab["th"] = len(vocab)
    described["model"]["merges"] = ["t h"]
    return described


class PackedNoise:
    """Bytes of tensors with the spread of real weights, cut from one block of noise for each format and row length."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        self._blocks: dict[tuple[str, int], bytes] = {}

    def of(self, part: Part, stored: Format, num_bytes: int) -> Iterator[bytes]:
        """Yield the bytes of one tensor in pieces."""
        if (
            part.role in ("plain", "scale")
            and "gate_inp" not in part.name
            and "conv1d.weight" not in part.name
        ):
            yield np.full(num_bytes // 4, _constant(part.name), np.float32).tobytes()
            return
        columns = part.shape[-1]
        block, row = self._block(stored, columns), stored.num_bytes(columns)
        start = int(self._rng.integers(0, len(block) // row // 2)) * row
        while num_bytes:
            piece = block[start : start + num_bytes]
            yield piece
            num_bytes, start = num_bytes - len(piece), 0

    def _block(self, stored: Format, columns: int) -> bytes:
        key = (stored.name, columns)
        if key not in self._blocks:
            shape = (_BLOCK_VALUES // columns, columns)
            values = self._rng.standard_normal(shape, np.float32) * columns**-0.5
            self._blocks[key] = _packed(values, stored)
        return self._blocks[key]


def _constant(name: str) -> float:
    """Norms are 1, A is −1, factors are 1, biases are 0."""
    if name.endswith(".ssm_a"):
        return -1.0
    return 0.0 if name.endswith("bias") else 1.0


def _packed(values: np.ndarray, stored: Format) -> bytes:
    if stored.name == "f32":
        return values.tobytes()
    if stored.name == "bf16":
        return torch.from_numpy(values).bfloat16().view(torch.uint8).numpy().tobytes()
    return pack(values, stored)


if __name__ == "__main__":
    main()
