"""Linear layers whose weights stay quantised in memory, in FP8 or NVFP4, and are unpacked for each use.

Source: OCP 8-bit floating point (E4M3) and microscaling (E2M1) formats; names and layout are those of ModelOpt's
exports.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FP8, NVFP4 = "FP8", "NVFP4"
GROUP = 16  # columns that share a scale in NVFP4
_E2M1 = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
_NIBBLES = torch.tensor([*_E2M1, *(-value for value in _E2M1)])
# The two values of every byte; the even column is in the low nibble.
_PAIRS = torch.stack([_NIBBLES.repeat(16), _NIBBLES.repeat_interleave(16)], 1)  # [256, 2]


class Fp8Linear(nn.Module):
    """y = x · Wᵀ, W = weight · weight_scale.

    input_scale is for quantised activations. It is loaded and not used, because activations are not quantised here.
    """

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(num_outputs, num_inputs, dtype=torch.float8_e4m3fn))
        for scale in ("weight_scale", "input_scale"):
            self.register_buffer(scale, torch.empty((), dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in]. Returns [..., out]."""
        return F.linear(x, self.unpacked().to(x.dtype))

    def unpacked(self) -> Tensor:
        """The matrix W, [out, in] fp32."""
        return unpack_fp8(self.get_buffer("weight"), self.get_buffer("weight_scale"))


class Nvfp4Linear(nn.Module):
    """y = x · Wᵀ, W = E2M1 values · weight_scale of their group · weight_scale_2; input_scale as in Fp8Linear."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.empty(num_outputs, num_inputs // 2, dtype=torch.uint8))
        scales = torch.empty(num_outputs, num_inputs // GROUP, dtype=torch.float8_e4m3fn)
        self.register_buffer("weight_scale", scales)
        for scale in ("weight_scale_2", "input_scale"):
            self.register_buffer(scale, torch.empty((), dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        """x: [..., in]. Returns [..., out]."""
        return F.linear(x, self.unpacked().to(x.dtype))

    def unpacked(self) -> Tensor:
        """The matrix W, [out, in] fp32."""
        weight, scale = self.get_buffer("weight"), self.get_buffer("weight_scale")
        return unpack_nvfp4(weight, scale, self.get_buffer("weight_scale_2"))


def unpack_fp8(weight: Tensor, scale: Tensor) -> Tensor:
    """weight: E4M3 of any shape; scale: fp32 scalar. Returns fp32 of that shape, rounded once."""
    return weight.float() * scale


def unpack_nvfp4(weight: Tensor, scale: Tensor, scale_2: Tensor) -> Tensor:
    """weight: u8 [out, in/2]; scale: E4M3 [out, in/16]; scale_2: fp32 scalar. Returns fp32 [out, in].

    A value times its group's scale is exact in fp32; only the second product is rounded.
    """
    values = F.embedding(weight.int(), _PAIRS).view(*scale.shape, GROUP)
    return values.mul_(scale.float()[..., None]).mul_(scale_2).flatten(1)


LINEARS: dict[str, type[Fp8Linear] | type[Nvfp4Linear]] = {FP8: Fp8Linear, NVFP4: Nvfp4Linear}
