"""Muon: an optimizer for matrices that makes all singular values of an update nearly equal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from training.precision import HAS_FAST_BF16

STEPS = 5
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Momentum that Newton-Schulz steps make orthogonal, for all matrices of one shape together.

    torch.optim.Muon takes these steps for one matrix at a time, and always in bf16. On a processor without bf16 units
    that was nine tenths of the time of a training step.

    Source: Muon (Jordan 2024), with the update sizes of arXiv 2502.16982, so that it can share a learning rate with
    AdamW.
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter] | Iterable[dict[str, Any]],
        *,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every matrix [A, B] that has a gradient. The processes of a run share the work."""
        del closure
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            updates = _shared_out([self._momentum(p, group["momentum"]) for p in moved])
            for parameter, update in zip(moved, updates, strict=True):
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(update, alpha=group["lr"] * 0.2 * max(parameter.shape) ** 0.5)

    def _momentum(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        """Nesterov momentum: the running mean of the gradients, one step ahead."""
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["mean"] = torch.zeros_like(parameter)
        state["mean"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["mean"], momentum)


def _shared_out(matrices: list[Tensor]) -> list[Tensor]:
    """All matrices made orthogonal: each by one process, which sends the result to the others."""
    rank, size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
    by_cost = sorted(range(len(matrices)), key=lambda i: -matrices[i].numel())
    alike: dict[torch.Size, list[int]] = defaultdict(list)
    for i in by_cost[rank::size]:
        alike[matrices[i].shape].append(i)
    out = [torch.zeros_like(m) for m in matrices]
    for indices in alike.values():
        made = orthogonal(torch.stack([matrices[i] for i in indices]))
        for i, matrix in zip(indices, made, strict=True):
            out[i] = matrix
    if size == 1:
        return out
    flat = torch.cat([m.flatten() for m in out])
    dist.all_reduce(flat)
    parts = flat.split([m.numel() for m in out])
    return [part.view_as(m) for part, m in zip(parts, out, strict=True)]


def orthogonal(matrices: Tensor) -> Tensor:
    """[N, A, B] → the same matrices with singular values near 1 (0.7 to 1.2)."""
    a, b, c = COEFFICIENTS
    x = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = x / (x.square().sum((-2, -1), keepdim=True).sqrt() + 1e-7)
    if HAS_FAST_BF16:
        x = x.bfloat16()
    for _ in range(STEPS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    x = x.to(matrices.dtype)
    return x.mT if matrices.shape[-2] > matrices.shape[-1] else x
