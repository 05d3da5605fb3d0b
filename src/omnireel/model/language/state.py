"""What one batch of sequences remembers between forwards: KV cache, convolution window, SSM state.

Mamba states are replaced by new tensors, never written in place, so a state can be shared by several
continuations (`ModelState.repeat`) and differentiated through. A KV cache with spare room is written in
place; one without (capacity None) grows by concatenation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from omnireel.model.config import LanguageConfig


@dataclass
class MambaState:
    """conv: [B, C, taps-1] inputs before the convolution; ssm: [B, H, P, N] fp32."""

    conv: Tensor
    ssm: Tensor

    def repeat(self, times: int) -> MambaState:
        """Each sequence `times` times, neighbours together."""
        return MambaState(self.conv.repeat_interleave(times, 0), self.ssm.repeat_interleave(times, 0))


@dataclass
class AttentionState:
    """keys, values: [B, KV heads, room, head_dim]; the first `length` places are filled."""

    keys: Tensor
    values: Tensor
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add [B, KV, T, d] keys and values; return all that are filled now."""
        end = self.length + keys.shape[2]
        if end <= self.keys.shape[2]:
            self.keys[:, :, self.length : end] = keys
            self.values[:, :, self.length : end] = values
        else:
            self.keys = torch.cat([self.keys[:, :, : self.length], keys], 2)
            self.values = torch.cat([self.values[:, :, : self.length], values], 2)
        self.length = end
        return self.keys[:, :, :end], self.values[:, :, :end]

    def repeat(self, times: int) -> AttentionState:
        """Each sequence `times` times, without spare room."""
        filled = slice(0, self.length)
        return AttentionState(
            self.keys[:, :, filled].repeat_interleave(times, 0),
            self.values[:, :, filled].repeat_interleave(times, 0),
            self.length,
        )


LayerState = MambaState | AttentionState | None


@dataclass
class ModelState:
    """One entry per layer (None for layers that remember nothing) and the number of tokens seen."""

    layers: list[LayerState] = field(default_factory=list)
    num_tokens: int = 0

    def repeat(self, times: int) -> ModelState:
        """The same past for `times` continuations of each sequence."""
        return ModelState([s.repeat(times) if s is not None else None for s in self.layers], self.num_tokens)


def new_state(
    config: LanguageConfig, *, batch_size: int, capacity: int | None, dtype: torch.dtype
) -> ModelState:
    """An empty past.

    capacity: tokens to reserve KV room for; None grows by concatenation (training)
    dtype:    of keys, values and the convolution window; the SSM state is always fp32
    """
    layers: list[LayerState] = []
    for mixer in config.pattern:
        if mixer == "M":
            conv = torch.zeros(batch_size, config.conv_width, config.conv_kernel - 1, dtype=dtype)
            shape = (batch_size, config.mamba_num_heads, config.mamba_head_dim, config.state_size)
            layers.append(MambaState(conv, torch.zeros(shape)))
        elif mixer == "*":
            room = (batch_size, config.num_kv_heads, capacity or 0, config.head_dim)
            layers.append(AttentionState(torch.zeros(room, dtype=dtype), torch.zeros(room, dtype=dtype)))
        else:
            layers.append(None)
    return ModelState(layers)
