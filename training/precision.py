"""Which operations of a training step run in bf16, on processors with units for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

# Elsewhere torch emulates products in bf16, at a tenth of the rate.
HAS_FAST_BF16 = torch.backends.cpu.get_cpu_capability().startswith("AVX512")
FEW_OUTPUTS = 16  # of routers: what is chosen by them must be what serving chooses


class FastProducts(TorchFunctionMode):
    """Linear layers multiply in bf16 and give fp32, so that scans, norms and attention stay in fp32.

    Autocast would give them bf16: the scan's sums lose by it and attention's backward takes twice as long.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Replace `linear`; let the rest pass."""
        if func is F.linear and HAS_FAST_BF16 and len(args[1]) > FEW_OUTPUTS:
            return _product(*args)
        return func(*args, **kwargs or {})


class PlainAttention(TorchFunctionMode):
    """Attention as three operations: in bf16 the fused one's backward takes three times as long on a CPU."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 - whatever the function returns
        """Replace `scaled_dot_product_attention` without a mask; let the rest pass."""
        kwargs = kwargs or {}
        if func is not F.scaled_dot_product_attention or kwargs:
            return func(*args, **kwargs)
        query, key, value = args
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-1, -2)
        with torch.autocast("cpu", enabled=False):  # it would take the exponentials to fp32 and back
            weights = scores.softmax(-1)
        return weights @ value


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.linear(x.bfloat16(), weight.bfloat16(), None if bias is None else bias.bfloat16()).float()
