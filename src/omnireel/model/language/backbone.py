"""The language model: embeddings, layers of one mixer each on a residual stream, final norm and head."""

import torch
from torch import Tensor, nn

from omnireel.model.config import LanguageConfig
from omnireel.model.language.attention import Attention
from omnireel.model.language.mamba import Mamba
from omnireel.model.language.moe import MixtureOfExperts
from omnireel.model.language.state import AttentionState, LayerState, MambaState, ModelState
from omnireel.model.layers import RMSNorm

MIXERS: dict[str, type[Mamba] | type[Attention] | type[MixtureOfExperts]] = {
    "M": Mamba,
    "*": Attention,
    "E": MixtureOfExperts,
}


class Layer(nn.Module):
    """One layer: x + mixer(norm(x)), added in the model's type."""

    def __init__(self, config: LanguageConfig, mixer: str) -> None:
        super().__init__()
        self.norm = RMSNorm(config.hidden_size, config.norm_eps)
        self.mixer = MIXERS[mixer](config)

    def forward(self, x: Tensor, state: LayerState) -> Tensor:
        """x: [B, T, D]. Advances `state`, the state of this layer, by T tokens. Returns [B, T, D]."""
        u = self.norm(x)
        if isinstance(state, MambaState | AttentionState):
            return x + self.mixer(u, state)  # type: ignore[no-any-return]
        return x + self.mixer(u)  # type: ignore[no-any-return]


class Backbone(nn.Module):
    """Embeddings, layers and final norm."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        # With a given weight nothing is initialised. Initialising on the meta device would import torch's compiler,
        # which takes two seconds at every start.
        shape = (config.vocab_size, config.hidden_size)
        self.embeddings = nn.Embedding(*shape, _weight=torch.empty(shape))
        self.layers = nn.ModuleList(Layer(config, mixer) for mixer in config.pattern)
        self.norm_f = RMSNorm(config.hidden_size, config.norm_eps)

    def forward(self, x: Tensor, state: ModelState) -> Tensor:
        """x: [B, T, D], embeddings of the next T tokens of B sequences that have the same length so far.

        Advances `state` by T tokens. Returns hidden states after the final norm, [B, T, D].
        """
        for layer, layer_state in zip(self.layers, state.layers, strict=True):
            x = layer(x, layer_state)
        state.num_tokens += x.shape[1]
        return self.norm_f(x)  # type: ignore[no-any-return]


class LanguageModel(nn.Module):
    """The backbone and an output head with weights of its own."""

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.backbone = Backbone(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)

    def logits(self, hidden: Tensor) -> Tensor:
        """hidden: [..., D]. Returns [..., V] fp32."""
        return self.lm_head(hidden).to(torch.float32)  # type: ignore[no-any-return]
