"""The audio encoder: a FastConformer over log mel spectra, with one token for eight spectra.

Each clip is encoded alone and as a whole, so there is no padding and no mask.
Letters: F spectra, T tokens, W width.
Source: FastConformer (arXiv 2305.05084); relative positions as Transformer-XL (arXiv 1901.02860).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.config.sound import SoundConfig
from omnireel.model.layers import RMSNorm, relu2
from omnireel.model.token_counts import NUM_HALVINGS, clip_lengths


class Subsampling(nn.Module):
    """Halves time and frequency three times, then applies a linear layer over channels and remaining frequencies."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        channels = config.subsampling_channels
        self.layers = nn.ModuleList([_halving(1, channels, groups=1), nn.ReLU()])
        for _ in range(NUM_HALVINGS - 1):
            depthwise, pointwise = (
                _halving(channels, channels, groups=channels),
                nn.Conv2d(channels, channels, 1),
            )
            self.layers.extend([depthwise, pointwise, nn.ReLU()])
        self.linear = nn.Linear(channels * (config.num_mel_bins >> NUM_HALVINGS), config.width)

    def forward(self, mel: Tensor) -> Tensor:
        """mel: [F, bins]. Returns [T, W]."""
        x = mel[None, None]
        for layer in self.layers:
            x = layer(x)
        return self.linear(x[0].transpose(0, 1).flatten(1))  # type: ignore[no-any-return]


def _halving(inputs: int, outputs: int, *, groups: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, groups=groups)


class FeedForward(nn.Module):
    """A feed-forward layer: linear, SiLU, linear."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.linear1 = nn.Linear(config.width, config.mlp_width, bias=False)
        self.linear2 = nn.Linear(config.mlp_width, config.width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [T, W]. Returns [T, W]."""
        return self.linear2(F.silu(self.linear1(x)))  # type: ignore[no-any-return]


class RelativeAttention(nn.Module):
    """Attention with relative positions: softmax(((q + u)·k + (q + v)·r)/√d)·v; r depends on the distance alone."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        head_dim = config.width // config.num_heads
        for name in ("q_proj", "k_proj", "v_proj", "o_proj", "relative_k_proj"):
            self.add_module(name, nn.Linear(config.width, config.width, bias=False))
        self.bias_u = nn.Parameter(torch.zeros(config.num_heads, head_dim))
        self.bias_v = nn.Parameter(torch.zeros(config.num_heads, head_dim))

    def forward(self, x: Tensor, distances: Tensor) -> Tensor:
        """x: [T, W]; distances: [2T−1, W], embeddings of T−1 down to −(T−1). Returns [T, W]."""
        names = ("q_proj", "k_proj", "v_proj")
        q, k, v = (self._heads(self.get_submodule(name)(x)) for name in names)  # [heads, T, d]
        r = self._heads(self.get_submodule("relative_k_proj")(distances))
        by_position = _shifted((q + self.bias_v[:, None]) @ r.transpose(1, 2)) * q.shape[-1] ** -0.5
        out = F.scaled_dot_product_attention(q + self.bias_u[:, None], k, v, attn_mask=by_position)
        return self.get_submodule("o_proj")(out.transpose(0, 1).flatten(1))  # type: ignore[no-any-return]

    def _heads(self, x: Tensor) -> Tensor:
        heads: Tensor = x.unflatten(-1, (self.num_heads, -1))
        return heads.transpose(0, 1)


def _shifted(scores: Tensor) -> Tensor:
    """From scores by distance, [heads, T, 2T−1], to scores by key, [heads, T, T]: row i starts T−1−i later.

    Source: Transformer-XL appendix B.
    """
    heads, length, width = scores.shape
    padded = F.pad(scores, (1, 0)).reshape(heads, width + 1, length)
    return padded[:, 1:].reshape(heads, length, width)[..., :length]


class Convolution(nn.Module):
    """Pointwise, GLU, depthwise over time, batch norm with stored statistics, SiLU, pointwise."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        width, kernel = config.width, config.conv_kernel
        self.pointwise_conv1 = nn.Conv1d(width, 2 * width, 1, bias=False)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.pointwise_conv2 = nn.Conv1d(width, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [T, W]. Returns [T, W]."""
        gated = F.glu(self.pointwise_conv1(x.T[None]), dim=1)
        out = self.pointwise_conv2(F.silu(self.norm(self.depthwise_conv(gated))))
        return out[0].T  # type: ignore[no-any-return]


class ConformerBlock(nn.Module):
    """One block: half a feed-forward layer, attention, convolution, half a feed-forward layer, norm."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.feed_forward1 = FeedForward(config)
        self.self_attn = RelativeAttention(config)
        self.conv = Convolution(config)
        self.feed_forward2 = FeedForward(config)
        self.norm_feed_forward1 = nn.LayerNorm(config.width)
        self.norm_self_att = nn.LayerNorm(config.width)
        self.norm_conv = nn.LayerNorm(config.width)
        self.norm_feed_forward2 = nn.LayerNorm(config.width)
        self.norm_out = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, distances: Tensor) -> Tensor:
        """x: [T, W]; distances: as in `RelativeAttention`. Returns [T, W]."""
        x = x + 0.5 * self.feed_forward1(self.norm_feed_forward1(x))
        x = x + self.self_attn(self.norm_self_att(x), distances)
        x = x + self.conv(self.norm_conv(x))
        x = x + 0.5 * self.feed_forward2(self.norm_feed_forward2(x))
        return self.norm_out(x)  # type: ignore[no-any-return]


class Conformer(nn.Module):
    """The encoder without the prefix of its tensor names: subsampling, then blocks."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.subsampling = Subsampling(config)
        self.layers = nn.ModuleList(ConformerBlock(config) for _ in range(config.num_layers))

    def forward(self, mel: Tensor) -> Tensor:
        """mel: [F, bins]. Returns [T, W]."""
        x = self.subsampling(mel)
        distances = distance_embeddings(len(x), x.shape[1]).to(x.dtype)
        for layer in self.layers:
            x = layer(x, distances)
        return x  # type: ignore[no-any-return]


def distance_embeddings(length: int, width: int) -> Tensor:
    """Alternating sines and cosines of the distances length−1 down to −(length−1), [2·length−1, width]."""
    frequencies: Tensor = torch.pow(10_000.0, -torch.arange(0, width, 2) / width)
    angles: Tensor = torch.arange(length - 1, -length, -1)[:, None] * frequencies
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)


class SoundEncoder(nn.Module):
    """Holds the encoder under the checkpoint's name, `sound_encoder.encoder`."""

    def __init__(self, config: SoundConfig) -> None:
        super().__init__()
        self.encoder = Conformer(config)


class SoundProjection(nn.Module):
    """From the encoder's width to the language model's: RMSNorm → up → relu² → down, without biases."""

    def __init__(self, config: SoundConfig, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.norm = RMSNorm(config.width, eps)
        self.linear1 = nn.Linear(config.width, config.projector_width, bias=False)
        self.linear2 = nn.Linear(config.projector_width, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """x: [T, W]. Returns [T, D]."""
        return self.linear2(relu2(self.linear1(self.norm(x))))  # type: ignore[no-any-return]


def sound_clips(samples: Tensor) -> list[Tensor]:
    """A recording at 16 kHz, in clips of 30 s; a short last one is filled up to 0.1 s."""
    lengths = clip_lengths(len(samples))
    whole = F.pad(samples, (0, max(0, sum(lengths) - len(samples))))
    return list(whole.split(lengths))
