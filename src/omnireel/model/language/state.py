"""The state of a batch of sequences between forward passes: KV cache, convolution window, SSM state.

Mamba states are replaced by new tensors and never written in place. So several continuations can share a state
(`ModelState.repeat`), and gradients can flow through it. A KV cache with spare capacity is written in place; one
without (capacity None) grows by concatenation.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from omnireel.model.config import LanguageConfig


@dataclass
class MambaState:
    """The state of a Mamba layer.

    conv: [B, C, taps-1], the last inputs of the convolution
    ssm:  [B, H, P, N] fp32
    """

    conv: Tensor
    ssm: Tensor

    def repeat(self, times: int) -> MambaState:
        """A copy with each sequence `times` times in a row."""
        return MambaState(self.conv.repeat_interleave(times, 0), self.ssm.repeat_interleave(times, 0))

    def copy(self) -> MambaState:
        """A state that continues by itself. It shares the tensors, which are never written in place."""
        return MambaState(self.conv, self.ssm)

    @property
    def num_bytes(self) -> int:
        """Memory of its tensors."""
        return self.conv.nbytes + self.ssm.nbytes


@dataclass
class AttentionState:
    """The KV cache of an attention layer.

    keys, values: [B, KV heads, capacity, head_dim]; the first `length` positions are filled
    """

    keys: Tensor
    values: Tensor
    length: int = 0

    def append(self, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Add keys and values, [B, KV heads, T, head_dim]. Returns all filled ones."""
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
        """A copy with each sequence `times` times in a row, without spare capacity."""
        filled = slice(0, self.length)
        return AttentionState(
            self.keys[:, :, filled].repeat_interleave(times, 0),
            self.values[:, :, filled].repeat_interleave(times, 0),
            self.length,
        )

    def copy(self) -> AttentionState:
        """A copy without spare capacity."""
        filled = slice(0, self.length)
        return AttentionState(self.keys[:, :, filled].clone(), self.values[:, :, filled].clone(), self.length)

    def reserve(self, num_tokens: int) -> None:
        """Allocate room for so many tokens together, at least those that are there."""
        shape = (*self.keys.shape[:2], num_tokens, self.keys.shape[3])
        keys, values = self.keys.new_empty(shape), self.values.new_empty(shape)
        keys[:, :, : self.length] = self.keys[:, :, : self.length]
        values[:, :, : self.length] = self.values[:, :, : self.length]
        self.keys, self.values = keys, values

    @property
    def num_bytes(self) -> int:
        """Memory of its tensors, spare capacity included."""
        return self.keys.nbytes + self.values.nbytes


LayerState = MambaState | AttentionState | None


@dataclass
class ModelState:
    """One state per layer, None for layers without one.

    num_tokens: tokens processed
    capacity:   tokens that the KV caches have room for without growing by concatenation
    """

    layers: list[LayerState] = field(default_factory=list)
    num_tokens: int = 0
    capacity: int = 0

    def repeat(self, times: int) -> ModelState:
        """A copy with each sequence `times` times in a row, for that many continuations."""
        return ModelState([s.repeat(times) if s is not None else None for s in self.layers], self.num_tokens)

    def copy(self) -> ModelState:
        """A state that continues by itself, without spare capacity."""
        layers = [state.copy() if state is not None else None for state in self.layers]
        return ModelState(layers, self.num_tokens, capacity=self.num_tokens)

    def reserve(self, num_tokens: int) -> None:
        """Make room for so many tokens together."""
        for state in self.layers:
            if isinstance(state, AttentionState):
                state.reserve(num_tokens)
        self.capacity = num_tokens

    @property
    def num_bytes(self) -> int:
        """Memory of all tensors, spare capacity included."""
        return sum(state.num_bytes for state in self.layers if state is not None)


def new_state(
    config: LanguageConfig, *, batch_size: int, capacity: int | None, dtype: torch.dtype
) -> ModelState:
    """The state before the first token.

    capacity: tokens to allocate KV cache for; None: the cache grows by concatenation, as in training
    dtype:    of keys, values and the convolution window; the SSM state is always fp32
    """
    layers: list[LayerState] = []
    for mixer in config.pattern:
        if mixer == "M":
            conv = torch.zeros(batch_size, config.conv_width, config.conv_kernel - 1, dtype=dtype)
            shape = (batch_size, config.mamba_num_heads, config.mamba_head_dim, config.state_size)
            layers.append(MambaState(conv, torch.zeros(shape)))
        elif mixer == "*":
            shape = (batch_size, config.num_kv_heads, capacity or 0, config.head_dim)
            layers.append(AttentionState(torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)))
        else:
            layers.append(None)
    return ModelState(layers, capacity=capacity or 0)
