"""How much memory a checkpoint takes, from its config and the headers of its files; no weight is read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from omnireel.model.checkpoint import check_headers
from omnireel.model.config import LanguageConfig, read_config
from omnireel.model.state import AttentionState, MambaState, ModelState, new_state

# Encoding a clip, prefill activations, the interpreter and its libraries.
WORKING_BYTES = 2 * 1024**3

# The published checkpoints' language model; bytes of its weights as published, by precision.
PUBLISHED = LanguageConfig(
    pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME",
    hidden_size=2688,
    vocab_size=131_072,
    max_positions=262_144,
    norm_eps=1e-5,
    num_heads=32,
    num_kv_heads=2,
    head_dim=128,
    mamba_num_heads=64,
    mamba_head_dim=64,
    state_size=128,
    num_groups=8,
    conv_kernel=4,
    chunk_size=128,
    num_experts=128,
    num_experts_per_token=6,
    expert_width=1856,
    shared_expert_width=3712,
    routed_scaling=2.5,
)
PUBLISHED_WEIGHT_BYTES = {"BF16": 66_031_270_520, "FP8": 35_200_000_000, "NVFP4": 22_390_000_000}


@dataclass(frozen=True)
class Footprint:
    """Bytes of the weights, of what each sequence carries whatever its length, and of each of its tokens."""

    weight_bytes: int
    sequence_bytes: int
    token_bytes: int
    max_context: int

    def context_in(self, memory_bytes: int) -> int:
        """Longest single sequence that fits, at most the model's limit; 0 where the weights do not."""
        room = memory_bytes - WORKING_BYTES - self.weight_bytes - self.sequence_bytes
        tokens = room // self.token_bytes if self.token_bytes else self.max_context
        return max(0, min(tokens, self.max_context)) if room > 0 else 0


def footprint(language: LanguageConfig, weight_bytes: int, dtype: torch.dtype) -> Footprint:
    """dtype: of keys, values and convolution windows."""
    with torch.device("meta"):
        empty, one = (new_state(language, batch_size=1, capacity=n, dtype=dtype) for n in (0, 1))
    sequence_bytes = _state_bytes(empty)
    return Footprint(weight_bytes, sequence_bytes, _state_bytes(one) - sequence_bytes, language.max_positions)


def checkpoint_footprint(directory: Path, dtype: torch.dtype) -> Footprint:
    """Of the checkpoint in `directory`, computing in `dtype`. Raises CheckpointError, as loading it would."""
    return footprint(read_config(directory).language, check_headers(directory, dtype), dtype)


def _state_bytes(state: ModelState) -> int:
    tensors = []
    for layer in state.layers:
        if isinstance(layer, MambaState):
            tensors += [layer.conv, layer.ssm]
        elif isinstance(layer, AttentionState):
            tensors += [layer.keys, layer.values]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
