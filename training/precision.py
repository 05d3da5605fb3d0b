"""Which operations of a training step run in bf16, on processors with bf16 units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# On other processors torch emulates bf16 products, at a tenth of the speed.
HAS_FAST_BF16 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
FEW_OUTPUTS = (
    16  # layers with at most this many are routers, which must choose the same experts as in serving
)


class FastProducts(TorchFunctionMode):
    """Makes linear layers multiply in bf16 and return fp32, so that scans, norms and attention stay in fp32.

    Autocast would pass bf16 on to them: the sums of the scan lose accuracy, and the backward pass of attention takes
    twice as long.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own type
        """Replace `linear`. All other functions are called unchanged."""
        if func is F.linear and HAS_FAST_BF16 and len(args[1]) > FEW_OUTPUTS:
            return _product(*args)
        return func(*args, **kwargs or {})


class PlainAttention(TorchFunctionMode):
    """Attention as separate operations. The backward pass of fused attention takes three times as long in bf16 on a CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - the function's own type
        """Replace `scaled_dot_product_attention` without a mask. All other functions are called unchanged."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention or kwargs:
            return func(*args, **kwargs)
        query, key, value = args
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        with torch.autocast("cpu", enabled=False):  # it would convert to fp32 and back
            weights = scores.softmax(-1)
        return weights @ value


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x.bfloat16(), weight.bfloat16(), None if bias is None else bias.bfloat16()).float()
