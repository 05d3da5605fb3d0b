"""The Mamba-2 mixer: a gated selective state space with a short causal convolution.

Letters: B batch, T tokens, H heads, P channels per head, G groups that share B and C, N state size,
L tokens in a chunk. Source: Mamba-2, arXiv 2405.21060, section 6 and listing 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.config import LanguageConfig
from omnireel.model.language.state import MambaState
from omnireel.model.layers import GatedGroupNorm


class CausalConv(nn.Module):
    """Depthwise convolution over time; the last tap applies to the current token."""

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(width, 1, taps))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """x: [B, T, C]; window: [B, C, taps-1], the tokens before x. Returns [B, T, C] and the next window."""
        joined = torch.cat([window, x.transpose(1, 2)], 2)
        if x.shape[1] == 1:  # conv1d costs far more here than taps × C products
            out = (joined * self.weight[:, 0]).sum(2, keepdim=True) + self.bias[:, None]
        else:
            out = F.conv1d(joined, self.weight, self.bias, groups=len(self.bias))
        return out.transpose(1, 2), joined[:, :, -window.shape[2] :]


class Mamba(nn.Module):
    """The mixer: in_proj → convolution → scan → gate and norm → out_proj."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        inner, heads = config.mamba_width, config.mamba_num_heads
        self.in_proj = nn.Linear(config.hidden_size, inner + config.conv_width + heads, bias=False)
        self.conv1d = CausalConv(config.conv_width, config.conv_kernel)
        self.A_log = nn.Parameter(torch.zeros(heads, dtype=torch.float32))
        self.D = nn.Parameter(torch.ones(heads, dtype=torch.float32))
        self.dt_bias = nn.Parameter(torch.zeros(heads, dtype=torch.float32))
        self.norm = GatedGroupNorm(inner, config.num_groups, config.norm_eps)
        self.out_proj = nn.Linear(inner, config.hidden_size, bias=False)

    def forward(self, u: Tensor, state: MambaState) -> Tensor:
        """u: [B, T, D], normalised hidden states. Advances `state` by T tokens. Returns [B, T, D]."""
        c = self.config
        z, xbc, r = self.in_proj(u).split([c.mamba_width, c.conv_width, c.mamba_num_heads], -1)
        xbc, state.conv = self.conv1d(xbc, state.conv)
        shared = c.num_groups * c.state_size
        x, b, k = F.silu(xbc).float().split([c.mamba_width, shared, shared], -1)
        x = x.unflatten(-1, (c.mamba_num_heads, c.mamba_head_dim))  # [B, T, H, P]
        b = b.unflatten(-1, (c.num_groups, c.state_size))  # [B, T, G, N]
        k = k.unflatten(-1, (c.num_groups, c.state_size))
        dt = F.softplus(r.float() + self.dt_bias)  # no clamp: the checkpoint's limit is (0, inf)
        dx, log_decay = dt[..., None] * x, dt * -self.A_log.exp()
        if u.shape[1] == 1:
            y, state.ssm = single_step(dx, log_decay, b, k, state=state.ssm)
        else:
            y, state.ssm = chunked_scan(dx, log_decay, b, k, state=state.ssm, chunk=c.chunk_size)
        y = y + self.D[:, None] * x
        return self.out_proj(self.norm(y.flatten(-2), z))  # type: ignore[no-any-return]


def single_step(
    dx: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, *, state: Tensor
) -> tuple[Tensor, Tensor]:
    """One token: S ← exp(δA)·S + δx ⊗ B, y = S·C. Shapes as in `chunked_scan` with T = 1."""
    groups = b.shape[2]
    decay = log_decay.exp()[:, 0, :, None, None]  # [B, H, 1, 1]
    grouped = dx[:, 0].unflatten(1, (groups, -1))  # [B, G, H/G, P]
    update = grouped[..., None] * b[:, 0, :, None, None, :]  # [B, G, H/G, P, N]
    state = decay * state + update.flatten(1, 2)
    y = state.unflatten(1, (groups, -1)) @ c[:, 0, :, None, :, None]  # [B, G, H/G, P, 1]
    return y.squeeze(-1).flatten(1, 2)[:, None], state


def chunked_scan(
    dx: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, *, state: Tensor, chunk: int
) -> tuple[Tensor, Tensor]:
    """The recurrence of `single_step` for T tokens, as matrix products over chunks.

    dx: [B, T, H, P] inputs times time step δ; log_decay: [B, T, H] δA, not positive; b, c: [B, T, G, N];
    state: [B, H, P, N]; all fp32. Returns y [B, T, H, P] and the state after the last token.
    B and C stay per group and are not copied for each head. The last chunk may be shorter.
    """
    outputs = []
    for start in range(0, dx.shape[1], chunk):
        part = slice(start, start + chunk)
        y, state = _scan_chunk(dx[:, part], log_decay[:, part], b[:, part], c[:, part], state=state)
        outputs.append(y)
    return torch.cat(outputs, 1), state


def _scan_chunk(
    dx: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, *, state: Tensor
) -> tuple[Tensor, Tensor]:
    size, length, heads, channels = dx.shape
    groups, per_group = b.shape[2], heads // b.shape[2]
    s = log_decay.cumsum(1).transpose(1, 2)  # [B, H, L] log of the decay since the chunk began
    dx = dx.transpose(1, 2)  # [B, H, L, P]
    b, c = b.transpose(1, 2), c.transpose(1, 2)  # [B, G, L, N]

    # Differences are masked before exp: exp(s_l)·exp(-s_m) would overflow.
    future = torch.ones(length, length, dtype=torch.bool, device=dx.device).triu(1)
    decay = (s[..., :, None] - s[..., None, :]).masked_fill(future, -torch.inf).exp()  # [B, H, L, L]
    scores = (c @ b.transpose(2, 3))[:, :, None]  # [B, G, 1, L, L]
    y = (scores * decay.unflatten(1, (groups, per_group))).flatten(1, 2) @ dx  # [B, H, L, P]

    past = state.reshape(size, groups, per_group * channels, -1)  # [B, G, HP/G, N]
    carried = (c @ past.transpose(2, 3)).unflatten(-1, (per_group, channels))  # [B, G, L, H/G, P]
    y = y + carried.transpose(2, 3).flatten(1, 2) * s.exp()[..., None]

    to_end = (s[..., -1:] - s).exp()  # [B, H, L]
    kept = (dx * to_end[..., None]).unflatten(1, (groups, per_group))  # [B, G, H/G, L, P]
    added = kept.transpose(3, 4).flatten(2, 3) @ b  # [B, G, HP/G, N]
    state = state * s[..., -1].exp()[..., None, None] + added.reshape(state.shape)
    return y.transpose(1, 2), state
