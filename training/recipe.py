"""The sizes of the demo checkpoint and the numbers of its training."""

from __future__ import annotations

import math
from random import Random
from typing import Any

import torch
from torch import Tensor, nn

from omnireel.model.config import OmniConfig, parse_config
from omnireel.model.language.mamba import CausalConv, Mamba
from omnireel.model.language.moe import Router
from omnireel.model.omni import Omni
from omnireel.model.vision.tower import VisionAttention
from omnireel.video.tubelets import PixelSpec

SEED = 20261122
VOCAB_SIZE = 1024
PATTERN = "MEM*EM*EM*E"
# Factor on the logits of the exported model; exact in bf16. The default temperature is 0.7, but questions to this model
# have one right answer.
LOGIT_SCALE = 4.0
TARGET_PATCHES = 128
# Aspect ratio (width / height) → share of training clips.
ASPECTS = {16 / 9: 0.5, 4 / 3: 0.15, 1.0: 0.12, 9 / 16: 0.15, 3 / 4: 0.08}


def choose_aspect(rng: Random) -> float:
    """An aspect ratio, in the proportions of `ASPECTS`."""
    return rng.choices(list(ASPECTS), list(ASPECTS.values()))[0]


def config_json() -> dict[str, Any]:
    """The content of the demo checkpoint's config.json, in the official layout."""
    return {
        "architectures": ["NemotronH_Nano_Omni_Reasoning_V3"],
        "model_type": "NemotronH_Nano_Omni_Reasoning_V3",
        "torch_dtype": "bfloat16",
        "force_image_size": 128,
        "patch_size": 16,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "image_tag_type": "internvl",
        "use_thumbnail": False,
        "img_context_token_id": 18,
        "img_context_token": "<image>",
        "img_start_token": "<img>",
        "img_end_token": "</img>",
        "video_context_token_id": 131081,
        "sound_context_token_id": 27,
        "sound_context_token": "<so_embedding>",
        "vit_hidden_size": 192,
        "projector_hidden_size": 768,
        "video_pruning_rate": 0.5,
        "video_temporal_patch_size": 2,
        "norm_mean": [0.48145466, 0.4578275, 0.40821073],
        "norm_std": [0.26862954, 0.26130258, 0.27577711],
        "llm_config": _language_json(),
        "vision_config": {
            "model_type": "radio",
            "patch_size": 16,
            "video_temporal_patch_size": 2,
            "separate_video_embedder": True,
            "video_target_num_patches": TARGET_PATCHES,
            "video_maintain_aspect_ratio": True,
            "hidden_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 6,
            "max_img_size": 256,
            "num_cls_tokens": 2,
            "num_registers": 2,
            "args": {"model": "vit_demo_patch16", "cpe_max_size": 256, "register_multiple": 4},
        },
        "sound_config": None,
    }


def _language_json() -> dict[str, Any]:
    return {
        "model_type": "nemotron_h",
        "hidden_size": 192,
        "vocab_size": VOCAB_SIZE,
        "hybrid_override_pattern": PATTERN,
        "num_hidden_layers": len(PATTERN),
        "max_position_embeddings": 16384,
        "layer_norm_epsilon": 1e-5,
        "residual_in_fp32": False,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "mamba_num_heads": 8,
        "mamba_head_dim": 48,
        "ssm_state_size": 32,
        "n_groups": 2,
        "conv_kernel": 4,
        "use_conv_bias": True,
        "chunk_size": 64,
        "time_step_limit": [0.0, float("inf")],
        "n_routed_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 192,
        "n_shared_experts": 1,
        "moe_shared_expert_intermediate_size": 192,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 1.0,
        "mlp_hidden_act": "relu2",
        "tie_word_embeddings": False,
    }


def demo_config() -> OmniConfig:
    """The parsed config of the demo checkpoint."""
    return parse_config(config_json())


def pixel_spec(config: OmniConfig) -> PixelSpec:
    """How frames are converted to pixels for this model."""
    return PixelSpec(
        target_patches=config.vision.target_patches,
        patch_size=config.vision.patch_size,
        temporal_patch_size=config.vision.temporal_patch_size,
        mean=config.norm_mean,
        std=config.norm_std,
    )


def fresh_model(config: OmniConfig, seed: int) -> Omni:
    """An untrained model in fp32."""
    torch.manual_seed(seed)
    model = Omni(config)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5 * 0.7)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)
        elif isinstance(module, Router):
            nn.init.normal_(module.weight, std=0.05)
        elif isinstance(module, CausalConv):
            nn.init.uniform_(module.weight, -0.5, 0.5)
        elif isinstance(module, Mamba):
            _init_time_steps(module)
    generator = model.vision_model.radio_model.model.patch_generator
    generator.video_embedder.weight.data = cosine_patch_embedding(
        config.vision.width, config.vision.temporal_patch_size, config.vision.patch_size
    )
    generator.pos_embed.data = sinusoidal_positions(generator.side, config.vision.width)[None]
    for depth in range(4):
        attention = model.vision_model.radio_model.model.blocks[depth].get_submodule("attn")
        assert isinstance(attention, VisionAttention)
        init_neighbour_attention(attention, generator.side, first_offset=depth * attention.num_heads)
    nn.init.normal_(generator.cls_token.token, std=0.02)
    return model


# Row and column offset that a head first attends to, in patches of the largest grid.
HEAD_OFFSETS = [
    (0.0, 0.0),
    (0.0, 1.2),
    (0.0, -1.2),
    (1.2, 0.0),
    (-1.2, 0.0),
    (1.2, 1.2),
    (1.2, -1.2),
    (-1.2, 1.2),
    (-1.2, -1.2),
]


@torch.no_grad()
def init_neighbour_attention(
    attention: VisionAttention, side: int, first_offset: int, gain: float = 3.0
) -> None:
    """Initialise each head so that it attends to the patch itself or to one of its eight neighbours.

    In a table of `sinusoidal_positions`, a shift is a rotation of sine-cosine pairs. So queries are keys that are rotated
    by the offset.
    Source: the idea of ConViT (arXiv 2103.10697), for sinusoidal positions.
    """
    heads, width = attention.num_heads, attention.qkv.in_features
    size, quarter = width // heads, width // 4
    chosen = torch.arange(size // 4) * (quarter * 3 // 4 // (size // 4))
    for head in range(heads):
        query, key = torch.zeros(2, size, width)
        for axis, offset in enumerate(HEAD_OFFSETS[(first_offset + head) % len(HEAD_OFFSETS)]):
            turn = sinusoid_steps(side, width)[chosen] * offset
            row = axis * (size // 2) + 2 * torch.arange(size // 4)
            sine, cosine = axis * 2 * quarter + chosen, axis * 2 * quarter + quarter + chosen
            key[row, sine] = key[row + 1, cosine] = 1.0
            query[row, sine] = query[row + 1, cosine] = turn.cos()
            query[row, cosine], query[row + 1, sine] = turn.sin(), -turn.sin()
        for part, start in ((query, 0), (key, width)):
            rows = attention.qkv.weight[start + head * size : start + (head + 1) * size]
            rows.mul_(0.3).add_(part, alpha=gain)


def sinusoid_steps(side: int, width: int) -> Tensor:
    """The angle per patch of each frequency, from a quarter turn downwards. [width/4]"""
    return torch.exp(torch.linspace(math.log(math.pi / 2), math.log(math.pi / side), width // 4))


def sinusoidal_positions(side: int, width: int) -> Tensor:
    """An initial position table: sines and cosines of row and column, [side², width].

    Near places have similar positions, so attention can find neighbours from the start. From random positions, a small
    tower needs most of its training to learn which patches are neighbours.
    """
    angles = torch.arange(side)[:, None] * sinusoid_steps(side, width)  # [side, width/4]
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    rows = axis[:, None].expand(side, side, -1)
    return torch.cat([rows, rows.transpose(0, 1)], -1).flatten(0, 1) * 0.5


def cosine_patch_embedding(width: int, frames: int, patch: int, orders: tuple[int, int] = (9, 5)) -> Tensor:
    """An initial patch embedding: cosine transforms of the sum and the difference of a tubelet's two frames.

    orders: how many diagonals of cosines in brightness and in each of two colour contrasts
    Returns [width, frames·3·patch²]; the rows after the cosines are random. With random rows alone the tower would not
    get most of a patch's content until training has changed them.
    """
    places = torch.arange(patch) + 0.5
    cosines = torch.cos(torch.arange(patch)[:, None] * places * math.pi / patch)
    cosines /= cosines.norm(dim=1, keepdim=True)
    contrasts = torch.tensor([[1.0, 1, 1], [1, -1, 0], [1, 1, -2]])
    times = torch.tensor([[1.0, 1], [1, -1]])
    rows = []
    for time in times:
        for contrast, order in zip(contrasts, (orders[0], orders[1], orders[1]), strict=True):
            for v in range(order):
                for u in range(order - v):
                    row = torch.einsum("t,c,y,x->tcyx", time, contrast, cosines[v], cosines[u]).flatten()
                    # Most of the energy of a picture is in low frequencies.
                    rows.append(row / row.norm() * (1 + u + v) / 12)
    out = torch.randn(width, frames * 3 * patch**2) * 0.02
    out[: len(rows)] = torch.stack(rows)
    return out


@torch.no_grad()
def _init_time_steps(mixer: Mamba) -> None:
    """Time steps log-uniform in [0.001, 0.1] and decay rates in [1, 16], as in the Mamba-2 paper."""
    dt = torch.exp(torch.empty_like(mixer.dt_bias).uniform_(-6.9, -2.3))
    mixer.dt_bias.copy_(dt + torch.log(-torch.expm1(-dt)))
    mixer.A_log.copy_(torch.empty_like(mixer.A_log).uniform_(1, 16).log())
