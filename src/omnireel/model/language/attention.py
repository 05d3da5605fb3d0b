"""The attention mixer: causal, with grouped queries and no position encoding.

A config may have `rope_theta`; this architecture does not use it. Positions are known through the Mamba layers.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.config import LanguageConfig
from omnireel.model.language.state import AttentionState


class Attention(nn.Module):
    """softmax(q·kᵀ/√head_dim)·v; query head h uses key head ⌊h · KV / heads⌋."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        queries, keys = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        self.q_proj = nn.Linear(config.hidden_size, queries, bias=False)
        self.k_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.v_proj = nn.Linear(config.hidden_size, keys, bias=False)
        self.o_proj = nn.Linear(queries, config.hidden_size, bias=False)

    def forward(self, x: Tensor, state: AttentionState) -> Tensor:
        """x: [B, T, D]. Adds the keys and values of these T tokens to `state`. Returns [B, T, D]."""
        q, k, v = (self._heads(p(x)) for p in (self.q_proj, self.k_proj, self.v_proj))
        num_past, num_new = state.length, x.shape[1]
        k, v = state.append(k, v)
        mask = None
        if num_past and num_new > 1:
            mask = torch.ones(num_new, k.shape[2], dtype=torch.bool, device=x.device).tril(num_past)
        out = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=not num_past and num_new > 1, enable_gqa=True
        )
        return self.o_proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (-1, self.head_dim))
        return heads.transpose(1, 2)  # [B, heads, T, d]
