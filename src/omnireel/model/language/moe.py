"""The mixture-of-experts mixer: a sigmoid router chooses a few of many experts; one shared expert is always used.

Source: DeepSeek-V3 (arXiv 2412.19437) section 2.1.2, a router whose bias affects only the choice of experts.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.config import LanguageConfig
from omnireel.model.layers import relu2


class Expert(nn.Module):
    """One expert: down(relu²(up(x))), without a gate projection."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.up_proj = nn.Linear(hidden_size, width, bias=False)
        self.down_proj = nn.Linear(width, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [tokens, D]. Returns [tokens, D]."""
        return self.down_proj(relu2(self.up_proj(x)))  # type: ignore[no-any-return]


class Router(nn.Module):
    """Chooses the experts of each token and their weights, in fp32."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(config.num_experts, config.hidden_size, dtype=torch.float32))
        bias = torch.zeros(config.num_experts, dtype=torch.float32)
        self.e_score_correction_bias = nn.Parameter(bias, requires_grad=False)
        self.top_k = config.num_experts_per_token
        self.scaling = config.routed_scaling

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x: [tokens, D]. Returns expert ids [tokens, k] and weights [tokens, k] fp32.

        The bias affects which experts are chosen, not their weights.
        """
        scores = F.linear(x.float(), self.weight).sigmoid()
        chosen = (scores + self.e_score_correction_bias).topk(self.top_k, dim=-1, sorted=False).indices
        weights = scores.gather(1, chosen)
        return chosen, weights / (weights.sum(-1, keepdim=True) + 1e-20) * self.scaling


class MixtureOfExperts(nn.Module):
    """The mixer: routed experts, weighted and summed in fp32, plus the shared expert."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.gate = Router(config)
        self.experts = nn.ModuleList(
            Expert(config.hidden_size, config.expert_width) for _ in range(config.num_experts)
        )
        self.shared_experts = Expert(config.hidden_size, config.shared_expert_width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [B, T, D]. Returns [B, T, D]."""
        tokens = x.flatten(0, 1)
        chosen, weights = self.gate(tokens)
        routed = self._routed(tokens, chosen, weights).to(x.dtype)
        return (routed + self.shared_experts(tokens)).view_as(x)  # type: ignore[no-any-return]

    def _routed(self, tokens: Tensor, chosen: Tensor, weights: Tensor) -> Tensor:
        """Apply each expert once to all of its tokens; the weights of experts without tokens are not read."""
        order = chosen.flatten().argsort(stable=True)  # token-expert pairs, by expert
        counts = chosen.flatten().bincount(minlength=len(self.experts)).tolist()
        source = order // chosen.shape[1]  # the token of each pair
        parts = [
            expert(rows)
            for expert, rows in zip(self.experts, tokens[source].split(counts), strict=True)
            if len(rows)
        ]
        pairs = torch.cat(parts).float() * weights.flatten()[order, None]
        return torch.zeros_like(tokens, dtype=torch.float32).index_add(0, source, pairs)
