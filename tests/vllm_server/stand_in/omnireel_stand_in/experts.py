"""Experts with relu² for vLLM on a CPU: a loop over the chosen experts. vLLM has such kernels for GPUs only."""

import functools
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from vllm.model_executor.layers.fused_moe import config as moe_config
from vllm.model_executor.layers.fused_moe.activation import MoEActivation
from vllm.model_executor.layers.fused_moe.experts.cpu_moe import CPUUnquantizedExperts
from vllm.model_executor.layers.fused_moe.oracle import unquantized


class ReluSquaredExperts(CPUUnquantizedExperts):
    """Weights as they are stored: w1 [experts, width, D], w2 [experts, D, width]."""

    @staticmethod
    def _supports_no_act_and_mul() -> bool:
        return True

    @staticmethod
    def _supports_activation(activation: MoEActivation) -> bool:
        return activation == MoEActivation.RELU2_NO_MUL

    @classmethod
    def _supports_grouped_gemm(cls, config: Any) -> tuple[bool, None]:
        return True, None

    def process_weights_after_loading(self, layer: torch.nn.Module) -> None:
        """Nothing is packed."""

    def apply(
        self,
        output: Tensor,
        hidden_states: Tensor,
        w1: Tensor,
        w2: Tensor,
        topk_weights: Tensor,
        topk_ids: Tensor,
        **_: Any,
    ) -> None:
        """Write the weighted sum of each position's experts to output [S, D]."""
        output.zero_()
        for expert in topk_ids.unique().tolist():
            rows, places = (topk_ids == expert).nonzero(as_tuple=True)
            hidden = F.relu(F.linear(hidden_states[rows], w1[expert])).square()
            weights = topk_weights[rows, places].unsqueeze(1).to(output.dtype)
            output.index_add_(0, rows, F.linear(hidden, w2[expert]) * weights)


def install() -> None:
    """Let vLLM choose these experts on a CPU."""
    shipped = moe_config.FusedMoEConfig.__post_init__

    @functools.wraps(shipped)
    def check(self: moe_config.FusedMoEConfig) -> None:
        try:
            shipped(self)  # its last check refuses ungated experts on a CPU
        except NotImplementedError:
            if self.activation != MoEActivation.RELU2_NO_MUL:
                raise

    moe_config.FusedMoEConfig.__post_init__ = check
    unquantized.backend_to_kernel_cls = lambda _: [ReluSquaredExperts]
