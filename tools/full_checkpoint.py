"""Write a checkpoint of the published NVFP4 geometry with random bytes: 22.4 GB, every tensor.

    python tools/full_checkpoint.py OUT [--layers 52]

The values are noise with the spread of real weights, so that nothing overflows. Bytes are streamed to the disk, so
little memory is needed.
"""

import argparse
import dataclasses
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from omnireel.model.checkpoint.load import empty_model
from omnireel.model.checkpoint.quant_table import FILE, QuantTable, quantize_modules
from omnireel.model.checkpoint.quantized import NVFP4
from omnireel.model.config import parse_config
from tools.quantize_checkpoint import scheme_of, table_json
from tools.scaled_checkpoint import PUBLISHED, TEMPLATE, published_config_json, stored_dtype, tokenizer_json

NAMES = {
    torch.bfloat16: "BF16",
    torch.float32: "F32",
    torch.int64: "I64",
    torch.uint8: "U8",
    torch.float8_e4m3fn: "F8_E4M3",
}
BLOCK = 1 << 24


def main() -> None:
    """Read the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument(
        "--layers", type=int, default=len(PUBLISHED.pattern), help="number of layers of the language model"
    )
    arguments = parser.parse_args()
    num_bytes = write_full_checkpoint(arguments.out, arguments.layers)
    print(f"wrote {num_bytes / 1e9:.2f} GB to {arguments.out}")


def write_full_checkpoint(out: Path, num_layers: int) -> int:
    """Write all files: 17 shards, their index, and the text files. Returns the size of the weights in bytes."""
    out.mkdir(parents=True, exist_ok=True)
    sizes = dataclasses.replace(PUBLISHED, pattern=PUBLISHED.pattern[:num_layers])
    raw = published_config_json(sizes)
    table, tensors = _tensors(raw)
    (out / "config.json").write_text(json.dumps(raw), "utf-8")
    (out / "tokenizer.json").write_text(json.dumps(tokenizer_json(sizes.vocab_size)), "utf-8")
    (out / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 11]}), "utf-8")
    (out / "chat_template.jinja").write_text(TEMPLATE, "utf-8")
    (out / FILE).write_text(json.dumps(table_json(table)), "utf-8")
    names, places, noise = sorted(tensors), {}, Noise()
    for n in range(sizes.num_shards):
        file = f"model-{n + 1:05}-of-{sizes.num_shards:05}.safetensors"
        shard = {name: tensors[name] for name in names[n :: sizes.num_shards]}
        write_shard(out / file, shard, noise)
        places.update(dict.fromkeys(shard, file))
    total = sum(_num_bytes(tensor) for tensor in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": places}
    (out / "model.safetensors.index.json").write_text(json.dumps(index), "utf-8")
    return total


def _tensors(raw: dict[str, object]) -> tuple[dict[str, str], dict[str, Tensor]]:
    """The quantisation table, and every tensor as stored, on the meta device."""
    model = empty_model(parse_config(raw), torch.bfloat16)
    names = [name.removesuffix(".weight") for name in model.state_dict() if name.endswith(".weight")]
    table = {name: scheme for name in names if (scheme := scheme_of(name, NVFP4))}
    quantize_modules(model, QuantTable(table, has_kv_scales=True))
    tensors = {}
    for name, place in model.state_dict().items():
        is_packed = name.rpartition(".")[0] in table or name.endswith(("k_scale", "v_scale"))
        tensors[name] = place if is_packed else place.to(stored_dtype(name, torch.bfloat16))
    return table, tensors


def _num_bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def write_shard(path: Path, tensors: dict[str, Tensor], noise: "Noise") -> None:
    """Write a safetensors file. tensors: on the meta device"""
    header, at = {}, 0
    for name, tensor in tensors.items():
        end = at + _num_bytes(tensor)
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, tensor in tensors.items():
            for piece in noise.of(name, tensor):
                file.write(piece)


class Noise:
    """Random bytes for tensors. They are cut from a few random blocks, at a different offset for each tensor."""

    def __init__(self) -> None:
        self._rng = np.random.default_rng(0)
        random = self._rng.integers(0, 256, BLOCK, dtype=np.uint8)
        # The mask clears bits of the exponent: no code is NaN, and every value is under a quarter.
        small = random & 0b1010_0111
        self._blocks = {torch.uint8: random, torch.float8_e4m3fn: small}
        self._normal = torch.randn(BLOCK // 2, generator=torch.Generator().manual_seed(0))

    def of(self, name: str, tensor: Tensor) -> Iterator[bytes]:
        """Yield the bytes of one tensor in pieces."""
        if name.endswith(("scale", "scale_2")) and tensor.dtype == torch.float32:
            yield np.float32(_scale(name)).tobytes()
            return
        if name.endswith("weight_scale"):  # 0x38 is 1.0 in FP8
            yield np.full(tensor.numel(), 0x38, np.uint8).tobytes()
            return
        if tensor.dtype in self._blocks:
            yield from self._cut(self._blocks[tensor.dtype], _num_bytes(tensor))
            return
        yield from self._plain(name, tensor)

    def _plain(self, name: str, tensor: Tensor) -> Iterator[bytes]:
        if tensor.dim() == 0 or tensor.dim() == 1:
            value = torch.ones(tensor.shape) if "norm" in name or name.endswith(("var", ".0.weight")) else 0
            yield _bytes_of((torch.zeros(tensor.shape) + value).to(tensor.dtype))
            return
        spread = math.prod(tensor.shape[1:]) ** -0.5
        block = _bytes_of((self._normal * spread).to(tensor.dtype))
        yield from self._cut(np.frombuffer(block, np.uint8), _num_bytes(tensor))

    def _cut(self, block: np.ndarray, num_bytes: int) -> Iterator[bytes]:
        start = int(self._rng.integers(0, len(block) // 8)) * 4
        while num_bytes:
            piece = block[start : start + num_bytes].tobytes()
            yield piece
            num_bytes -= len(piece)
            start = 0


def _scale(name: str) -> float:
    """A scale that gives weights a usual spread: random E2M1 values have a spread of 3, the FP8 block one of 0.05."""
    if name.endswith("weight_scale_2"):
        return 1 / (3 * 50)
    return 0.4 if name.endswith("weight_scale") else 1.0


def _bytes_of(tensor: Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


if __name__ == "__main__":
    main()
