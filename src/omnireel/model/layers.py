"""Normalisation and activation that several parts of the model share."""

import torch
from torch import Tensor, nn


def relu2(x: Tensor) -> Tensor:
    """max(x, 0)², the activation of the experts and projectors."""
    return torch.relu(x).square()


class Relu2(nn.Module):
    """`relu2` as a module, for use inside `nn.Sequential`."""

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape and float type. Returns the same shape and type."""
        return relu2(x)


class RMSNorm(nn.Module):
    """x · rsqrt(mean(x²) + eps) · weight, all in fp32, then cast back.

    The weight is applied before the cast. Llama's variant casts first, which gives other bf16 values.
    Source: transformers 5.23 `NemotronHRMSNorm`.
    """

    def __init__(self, width: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., width], any float type; returns the same shape and type."""
        wide = x.float()
        scale = torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (self.weight.float() * (wide * scale)).to(x.dtype)


class GatedGroupNorm(nn.Module):
    """RMSNorm of x · silu(gate) over groups of channels; the gate is applied before the norm.

    Source: Mamba-2 paper (arXiv 2405.21060) section 7; transformers 5.23 `Zamba2RMSNormGated`.
    """

    def __init__(self, width: int, num_groups: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.num_groups = num_groups
        self.eps = eps

    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        """x: [..., width] fp32; gate: same shape, model type. Returns the gate's type."""
        gated = x.float() * nn.functional.silu(gate.float())
        groups: Tensor = gated.unflatten(-1, (self.num_groups, -1))
        scale = torch.rsqrt(groups.square().mean(-1, keepdim=True) + self.eps)
        return self.weight * (groups * scale).flatten(-2).to(gate.dtype)
