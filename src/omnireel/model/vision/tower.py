"""The RADIO vision tower: embeddings of the patches of an image or of a two-frame tubelet.

Letters: n images or tubelets, R × K patches (rows × columns), p patch side, W tower width.
A tubelet is one sequence: each patch vector has the pixels of both frames, and attention is within the tubelet.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnireel.model.config import VisionConfig


def patchify(pixels: Tensor, patch_size: int) -> Tensor:
    """Cut images or tubelets into patch vectors.

    pixels: [n, channels, R·p, K·p]; for a tubelet the channels of frame 0 come first, then those of frame 1
    Returns [n, R·K, channels·p·p], row-major, each vector ordered (channel, y, x).
    """
    n, channels, height, width = pixels.shape
    rows, cols = height // patch_size, width // patch_size
    grid = pixels.reshape(n, channels, rows, patch_size, cols, patch_size)
    return grid.permute(0, 2, 4, 1, 3, 5).reshape(n, rows * cols, channels * patch_size**2)


class PrefixTokens(nn.Module):
    """Class tokens (one per teacher) and register tokens; placed before the patches, dropped at the end."""

    def __init__(self, num_prefix: int, width: int) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.zeros(num_prefix, width))


class PatchGenerator(nn.Module):
    """Patch embedding, position embedding and prefix tokens."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        values = 3 * config.patch_size**2
        self.patch_size = config.patch_size
        self.side = config.position_side
        self.embedder = nn.Linear(values, config.width, bias=False)
        self.video_embedder = nn.Linear(config.temporal_patch_size * values, config.width, bias=False)
        self.pos_embed = nn.Parameter(torch.zeros(1, self.side**2, config.width))
        self.cls_token = PrefixTokens(config.num_prefix, config.width)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: [n, 3 or T·3, H, W]. Returns [n, prefix + R·K, W]. Three channels are an image, more a tubelet."""
        embed = self.embedder if pixels.shape[1] == 3 else self.video_embedder
        x = embed(patchify(pixels, self.patch_size))
        x = x + self.positions(pixels.shape[2] // self.patch_size, pixels.shape[3] // self.patch_size)
        prefix = self.cls_token.token.to(x.dtype).expand(len(x), -1, -1)
        return torch.cat([prefix, x], 1)

    def positions(self, rows: int, cols: int) -> Tensor:
        """The top-left part of the position table, scaled to a square of side max(rows, cols), [R·K, W].

        Source: RADIO's cropped position embedding in evaluation; transformers 5.23 radio.
        """
        table = self.pos_embed.float().reshape(1, self.side, self.side, -1).permute(0, 3, 1, 2)
        square = max(rows, cols)
        if square != self.side:
            table = F.interpolate(table, size=(square, square), mode="bilinear", align_corners=False)
        window = table[0, :, :rows, :cols].to(self.pos_embed.dtype)
        return window.flatten(1).transpose(0, 1)


class VisionAttention(nn.Module):
    """Full attention within one image or tubelet."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.qkv = nn.Linear(config.width, 3 * config.width)
        self.proj = nn.Linear(config.width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [n, tokens, W]. Returns [n, tokens, W]."""
        qkv = self.qkv(x).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        out = F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])
        return self.proj(out.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class VisionMlp(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, config.width)

    def forward(self, x: Tensor) -> Tensor:
        """x: [n, tokens, W]. Returns [n, tokens, W]."""
        return self.fc2(F.gelu(self.fc1(x)))  # type: ignore[no-any-return]


class VisionBlock(nn.Module):
    """Attention and MLP, each after a norm and with a residual connection."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=1e-6)
        self.attn = VisionAttention(config)
        self.norm2 = nn.LayerNorm(config.width, eps=1e-6)
        self.mlp = VisionMlp(config)

    def forward(self, x: Tensor) -> Tensor:
        """x: [n, tokens, W]. Returns [n, tokens, W]."""
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))  # type: ignore[no-any-return]


class VisionTransformer(nn.Module):
    """Patch generator and blocks, without a final norm."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.num_prefix = config.num_prefix
        self.patch_generator = PatchGenerator(config)
        self.blocks = nn.ModuleList(VisionBlock(config) for _ in range(config.num_layers))

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: [n, 3 or T·3, R·p, K·p] normalised. Returns [n, R, K, W]."""
        x = self.patch_generator(pixels)
        for block in self.blocks:
            x = block(x)
        patch = self.patch_generator.patch_size
        grid = pixels.shape[2] // patch, pixels.shape[3] // patch
        return x[:, self.num_prefix :].unflatten(1, grid)  # type: ignore[no-any-return]


class RadioModel(nn.Module):
    """Exists for the tensor names of the checkpoint, which have this level."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.model = VisionTransformer(config)


class VisionTower(nn.Module):
    """Holds the tower under the checkpoint's name, `vision_model.radio_model.model`."""

    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.radio_model = RadioModel(config)

    def forward(self, pixels: Tensor) -> Tensor:
        """pixels: [n, 3 or T·3, R·p, K·p] normalised. Returns [n, R, K, W]."""
        return self.radio_model.model(pixels)  # type: ignore[no-any-return]
