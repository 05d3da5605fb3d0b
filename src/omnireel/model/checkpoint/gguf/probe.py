"""Tries the library in a child process, so that a build that crashes here takes no server with it.

A build for a processor with AMX has been seen to crash with Q8_0 at small sizes.
"""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.gguf.container import FORMATS, Format, Header, header_bytes
from omnireel.model.checkpoint.gguf.layout import Part, metadata, parts
from omnireel.model.checkpoint.gguf.library import require_library
from omnireel.model.config import LanguageConfig

_SECONDS = 120.0
_REBUILD = (
    "Build it without AMX: `make gguf`, or pip install --force-reinstall --no-binary llama-cpp-python "
    "'omnireel[gguf]' with CMAKE_ARGS='-DGGML_NATIVE=OFF -DGGML_AVX2=ON -DGGML_FMA=ON -DGGML_F16C=ON'."
)
_SIZE = 512  # a multiple of every format's block
_LAYERS = "ME*"


def probe_library(header: Header) -> None:
    """Run a small model that has the formats of a GGUF. Raises CheckpointError where the library fails or is missing.

    The small model is all zeros: what counts is that the library takes each format, and comes back.
    """
    require_library()
    with tempfile.TemporaryDirectory(prefix="omnireel-probe-") as directory:
        path = Path(directory) / "probe.gguf"
        _write(path, header)
        command = [sys.executable, "-m", "omnireel.model.checkpoint.gguf.probe_child", str(path)]
        try:
            ran = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired:
            raise CheckpointError(
                f"llama-cpp-python did not answer within {_SECONDS:.0f} s.", hint=_REBUILD
            ) from None
    if ran.returncode < 0:
        name = signal.Signals(-ran.returncode).name
        raise CheckpointError(f"llama-cpp-python crashes on this processor ({name}).", hint=_REBUILD)
    if ran.returncode:
        said = ran.stderr.strip().splitlines() or ["it gave no reason"]
        raise CheckpointError(f"llama-cpp-python cannot be used: {said[-1]}", hint=_REBUILD)


def _write(path: Path, header: Header) -> None:
    matrices = {entry.format for entry in header.tensors.values() if len(_long(entry.shape)) > 1} or {
        FORMATS["f32"]
    }
    formats = sorted(matrices, key=lambda stored: stored.code)
    config = _config(len(formats))
    tensors = [(part.name, part.shape, _format(part, formats)) for part in parts(config)]
    start = header_bytes(metadata(config, "probe", {"tokenizer.ggml.model": "no_vocab"}), tensors)
    with path.open("wb") as file:
        file.write(start)
        file.truncate(
            len(start) + sum(stored.num_bytes(math.prod(shape)) + 32 for _, shape, stored in tensors)
        )


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(size for size in shape if size > 1)


def _format(part: Part, formats: list[Format]) -> Format:
    """Each format gets a Mamba, an experts and an attention layer of its own."""
    if part.role == "plain":
        return FORMATS["f32"]
    words = part.name.split(".")
    return formats[int(words[1]) // len(_LAYERS)] if words[0] == "blk" else formats[-1]


def _config(num_formats: int) -> LanguageConfig:
    return LanguageConfig(
        pattern=_LAYERS * num_formats,
        hidden_size=_SIZE,
        vocab_size=256,
        max_positions=256,
        norm_eps=1e-5,
        num_heads=4,
        num_kv_heads=2,
        head_dim=128,
        mamba_num_heads=8,
        mamba_head_dim=64,
        state_size=64,
        num_groups=2,
        conv_kernel=4,
        chunk_size=64,
        num_experts=8,
        num_experts_per_token=2,
        expert_width=_SIZE,
        shared_expert_width=_SIZE,
        routed_scaling=1.0,
    )
