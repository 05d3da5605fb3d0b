"""Write a checkpoint of this architecture with random weights, in any size, in the official layout.

    python tools/scaled_checkpoint.py OUT [--hidden-size 512] [--pattern 'MEM*E'] ...

The result loads like a real one: shards with an index, official tensor names, config.json with the field names of
the released files, a byte-level tokenizer with the official control tokens, a chat template. Its answers are noise.
It is meant for parity tests and speed measurements.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import pre_tokenizers
from torch import Generator, Tensor

from omnireel.model.audio.mel import mel_filters
from omnireel.model.checkpoint.load import DTYPES, empty_model
from omnireel.model.config import parse_config

MEAN = [0.48145466, 0.4578275, 0.40821073]
STD = [0.26862954, 0.26130258, 0.27577711]
CONTROL_TOKENS = {
    0: "<unk>", 1: "<s>", 2: "</s>", 10: "<|im_start|>", 11: "<|im_end|>", 12: "<think>", 13: "</think>",
    14: "<tool_call>", 15: "</tool_call>", 16: "<tool_response>", 17: "</tool_response>", 18: "<image>",
    21: "<img>", 22: "</img>", 27: "<so_embedding>", 28: "<so_start>", 29: "<so_end>",
}  # fmt: skip
NUM_CONTROL_TOKENS = 32

TEMPLATE = """\
{%- for message in messages -%}
{{- '<|im_start|>' + message.role + '\\n' -}}
{%- if message.content is string -%}{{- message.content -}}
{%- else -%}
{%- for part in message.content -%}
{%- if part.type == 'video' -%}{{- '<video>\\n' -}}{%- else -%}{{- part.text -}}{%- endif -%}
{%- endfor -%}
{%- endif -%}
{{- '<|im_end|>\\n' -}}
{%- endfor -%}
{%- if add_generation_prompt -%}
{{- '<|im_start|>assistant\\n' + ('<think>\\n' if enable_thinking else '<think></think>') -}}
{%- endif -%}
"""


@dataclass(frozen=True)
class Sizes:
    """The sizes that can be chosen. Names are those of `LanguageConfig` and `VisionConfig`."""

    hidden_size: int = 64
    pattern: str = "MEM*E"
    vocab_size: int = 320
    max_positions: int = 262144
    num_heads: int = 4
    num_kv_heads: int = 2
    head_dim: int = 16
    mamba_num_heads: int = 8
    mamba_head_dim: int = 16
    state_size: int = 16
    num_groups: int = 2
    chunk_size: int = 16
    num_experts: int = 8
    num_experts_per_token: int = 2
    expert_width: int = 48
    shared_expert_width: int = 64
    vision_width: int = 48
    vision_layers: int = 2
    vision_heads: int = 4
    num_prefix: int = 10
    position_side: int = 16
    target_patches: int = 64
    projector_width: int = 96
    sound_width: int = 0  # 0: no audio encoder
    sound_layers: int = 2
    sound_heads: int = 4
    sound_mlp_width: int = 96
    sound_channels: int = 16
    sound_projector_width: int = 80
    dtype: str = "float32"
    seed: int = 0
    num_shards: int = 2


# The sizes of the published 30B-A3B checkpoints.
PUBLISHED = Sizes(
    hidden_size=2688, pattern="MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME", vocab_size=131072,
    num_heads=32, num_kv_heads=2, head_dim=128, mamba_num_heads=64, mamba_head_dim=64, state_size=128,
    num_groups=8, chunk_size=128, num_experts=128, num_experts_per_token=6, expert_width=1856,
    shared_expert_width=3712, vision_width=1280, vision_layers=32, vision_heads=16, num_prefix=10,
    position_side=128, target_patches=1024, projector_width=20480,
    sound_width=1024, sound_layers=24, sound_heads=8, sound_mlp_width=4096,
    sound_channels=256, sound_projector_width=4096, dtype="bfloat16", num_shards=17,
)  # fmt: skip


def main() -> None:
    """Read the sizes from the command line and write the checkpoint."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="directory to write to; made if missing")
    for field in fields(Sizes):
        flag = f"--{field.name.replace('_', '-')}"
        parser.add_argument(flag, type=type(field.default), default=field.default, help=f"{field.default}")
    arguments = vars(parser.parse_args())
    out = arguments.pop("out")
    num_elements = write_checkpoint(out, Sizes(**arguments))
    print(f"wrote {num_elements:,} random weights to {out}")


def write_checkpoint(directory: Path, sizes: Sizes) -> int:
    """Write all files of a checkpoint. Returns the number of weights."""
    directory.mkdir(parents=True, exist_ok=True)
    raw = config_json(sizes)
    _write_json(directory / "config.json", raw)
    _write_json(directory / "tokenizer.json", tokenizer_json(sizes.vocab_size))
    _write_json(directory / "generation_config.json", {"bos_token_id": 1, "eos_token_id": [2, 11]})
    (directory / "chat_template.jinja").write_text(TEMPLATE, encoding="utf-8")
    tensors = random_tensors(sizes)
    _write_shards(directory, tensors, sizes.num_shards)
    return sum(t.numel() for t in tensors.values())


def config_json(sizes: Sizes) -> dict[str, Any]:
    """The content of config.json, with the field names of the released checkpoints."""
    return {
        "architectures": ["NemotronH_Nano_Omni_Reasoning_V3"],
        "model_type": "NemotronH_Nano_Omni_Reasoning_V3",
        "torch_dtype": sizes.dtype,
        "force_image_size": 512,
        "patch_size": 16,
        "downsample_ratio": 0.5,
        "ps_version": "v2",
        "image_tag_type": "internvl",
        "use_thumbnail": True,
        "img_context_token_id": 18,
        "img_context_token": "<image>",
        "img_start_token": "<img>",
        "img_end_token": "</img>",
        "video_context_token_id": 131081,
        "sound_context_token_id": 27,
        "sound_context_token": "<so_embedding>",
        "vit_hidden_size": sizes.vision_width,
        "projector_hidden_size": sizes.projector_width,
        "video_pruning_rate": 0.7,
        "video_temporal_patch_size": 2,
        "norm_mean": MEAN,
        "norm_std": STD,
        "llm_config": _language_json(sizes),
        "vision_config": _vision_json(sizes),
        "sound_config": _sound_json(sizes) if sizes.sound_width else None,
    }


def published_config_json(sizes: Sizes = PUBLISHED) -> dict[str, Any]:
    """The config.json of the published checkpoints. It gives the name of the vision tower, not its sizes."""
    vision = {
        "patch_size": 16,
        "video_temporal_patch_size": 2,
        "separate_video_embedder": True,
        "video_target_num_patches": 1024,
        "video_maintain_aspect_ratio": True,
        "args": {
            "model": "vit_huge_patch16_224",
            "cpe_max_size": 2048,
            "register_multiple": 10,
            "min_num_patches": 1024,
            "max_num_patches": 13312,
        },
        "preferred_resolution": [768, 768],
    }
    return config_json(sizes) | {"vision_config": vision}


def _language_json(sizes: Sizes) -> dict[str, Any]:
    return {
        "model_type": "nemotron_h",
        "hidden_size": sizes.hidden_size,
        "vocab_size": sizes.vocab_size,
        "hybrid_override_pattern": sizes.pattern,
        "num_hidden_layers": len(sizes.pattern),
        "max_position_embeddings": sizes.max_positions,
        "layer_norm_epsilon": 1e-5,
        "residual_in_fp32": False,
        "num_attention_heads": sizes.num_heads,
        "num_key_value_heads": sizes.num_kv_heads,
        "head_dim": sizes.head_dim,
        "attention_bias": False,
        "mamba_num_heads": sizes.mamba_num_heads,
        "mamba_head_dim": sizes.mamba_head_dim,
        "mamba_hidden_act": "silu",
        "mamba_ssm_cache_dtype": "float32",
        "ssm_state_size": sizes.state_size,
        "n_groups": sizes.num_groups,
        "expand": 2,
        "conv_kernel": 4,
        "use_conv_bias": True,
        "use_bias": False,
        "chunk_size": sizes.chunk_size,
        "time_step_limit": [0.0, math.inf],
        "n_routed_experts": sizes.num_experts,
        "num_experts_per_tok": sizes.num_experts_per_token,
        "moe_intermediate_size": sizes.expert_width,
        "n_shared_experts": 1,
        "moe_shared_expert_intermediate_size": sizes.shared_expert_width,
        "n_group": 1,
        "topk_group": 1,
        "norm_topk_prob": True,
        "routed_scaling_factor": 2.5,
        "mlp_hidden_act": "relu2",
        "mlp_bias": False,
        "tie_word_embeddings": False,
    }


def _vision_json(sizes: Sizes) -> dict[str, Any]:
    """The released file names a ViT-H. The sizes of any other tower are given under transformers' field names."""
    side_px = 16 * sizes.position_side
    return {
        "model_type": "radio",
        "patch_size": 16,
        "video_temporal_patch_size": 2,
        "separate_video_embedder": True,
        "video_target_num_patches": sizes.target_patches,
        "video_maintain_aspect_ratio": True,
        "hidden_size": sizes.vision_width,
        "num_hidden_layers": sizes.vision_layers,
        "num_attention_heads": sizes.vision_heads,
        "max_img_size": side_px,
        "num_cls_tokens": min(4, sizes.num_prefix),
        "num_registers": max(0, sizes.num_prefix - 4),
        "args": {"model": "vit_scaled", "cpe_max_size": side_px, "register_multiple": sizes.num_prefix},
    }


def _sound_json(sizes: Sizes) -> dict[str, Any]:
    return {
        "model_type": "parakeet",
        "hidden_size": sizes.sound_width,
        "num_hidden_layers": sizes.sound_layers,
        "num_attention_heads": sizes.sound_heads,
        "intermediate_size": sizes.sound_mlp_width,
        "hidden_act": "silu",
        "conv_kernel_size": 9,
        "convolution_bias": False,
        "subsampling_factor": 8,
        "subsampling_conv_channels": sizes.sound_channels,
        "subsampling_conv_kernel_size": 3,
        "subsampling_conv_stride": 2,
        "num_mel_bins": 128,
        "feat_in": 80,
        "projection_hidden_size": sizes.sound_projector_width,
        "projection_bias": False,
        "sampling_rate": 16000,
    }


def random_tensors(sizes: Sizes) -> dict[str, Tensor]:
    """Every tensor of the checkpoint. The same seed gives the same weights.

    The values are such that an error in any part shows in a comparison: time steps from 0.001 to 0.1, norms that are
    not 1, a selection bias that changes which experts are chosen.
    """
    model = empty_model(parse_config(config_json(sizes)), DTYPES[sizes.dtype])
    noise = Generator().manual_seed(sizes.seed)
    tensors = {
        name: _draw(name, tuple(place.shape), noise).to(stored_dtype(name, DTYPES[sizes.dtype]))
        for name, place in model.state_dict().items()
    }
    conditioner = "vision_model.radio_model.input_conditioner"
    tensors[f"{conditioner}.norm_mean"] = torch.tensor(MEAN).view(3, 1, 1)
    tensors[f"{conditioner}.norm_std"] = torch.tensor(STD).view(3, 1, 1)
    if sizes.sound_width:
        featurizer = "sound_encoder.encoder.feature_extractor.featurizer"
        tensors[f"{featurizer}.fb"] = mel_filters(128)[None].to(DTYPES[sizes.dtype])
        tensors[f"{featurizer}.window"] = torch.hann_window(400, periodic=False).to(DTYPES[sizes.dtype])
    return tensors


def stored_dtype(name: str, dtype: torch.dtype) -> torch.dtype:
    """The type in which a released checkpoint stores a tensor. Only the selection bias is in fp32."""
    if name.endswith("num_batches_tracked"):
        return torch.int64
    return torch.float32 if name.endswith("e_score_correction_bias") else dtype


def _draw(name: str, shape: tuple[int, ...], noise: Generator) -> Tensor:
    for ending, draw in DRAWS.items():
        if name.endswith(ending):
            return draw(shape, noise)
    if len(shape) == 1:
        is_norm = "norm" in name or name == "mlp1.0.weight"
        return float(is_norm and name.endswith("weight")) + torch.randn(shape, generator=noise) / 10
    return torch.randn(shape, generator=noise) / math.sqrt(shape[-1])


def _log_uniform(low: float, high: float, shape: tuple[int, ...], noise: Generator) -> Tensor:
    return torch.rand(shape, generator=noise).mul(math.log(high / low)).exp().mul(low)


def _time_step_bias(shape: tuple[int, ...], noise: Generator) -> Tensor:
    dt = _log_uniform(0.001, 0.1, shape, noise)
    return dt + torch.log(-torch.expm1(-dt))  # the inverse of softplus


DRAWS: dict[str, Callable[[tuple[int, ...], Generator], Tensor]] = {
    "num_batches_tracked": lambda shape, noise: torch.full(shape, 1000.0),  # noqa: ARG005  all have one signature
    "running_var": lambda shape, noise: 0.5 + torch.rand(shape, generator=noise),
    "running_mean": lambda shape, noise: torch.randn(shape, generator=noise) / 10,
    # The fan-in of a convolution is the product of all dimensions but the first.
    "depthwise_conv.weight": lambda shape, noise: torch.randn(shape, generator=noise) / 3,
    "subsampling.layers.0.weight": lambda shape, noise: torch.randn(shape, generator=noise) / 3,
    "subsampling.layers.2.weight": lambda shape, noise: torch.randn(shape, generator=noise) / 3,
    "subsampling.layers.5.weight": lambda shape, noise: torch.randn(shape, generator=noise) / 3,
    "subsampling.layers.3.weight": lambda shape, noise: torch.randn(shape, generator=noise) / shape[1] ** 0.5,
    "subsampling.layers.6.weight": lambda shape, noise: torch.randn(shape, generator=noise) / shape[1] ** 0.5,
    "pointwise_conv1.weight": lambda shape, noise: torch.randn(shape, generator=noise) / shape[1] ** 0.5,
    "pointwise_conv2.weight": lambda shape, noise: torch.randn(shape, generator=noise) / shape[1] ** 0.5,
    "A_log": lambda shape, noise: _log_uniform(1, 16, shape, noise).log(),
    ".D": lambda shape, noise: 1 + torch.randn(shape, generator=noise) / 4,
    "dt_bias": _time_step_bias,
    "e_score_correction_bias": lambda shape, noise: torch.randn(shape, generator=noise) / 5,
    "conv1d.weight": lambda shape, noise: torch.rand(shape, generator=noise) - 0.5,
    "embeddings.weight": lambda shape, noise: torch.randn(shape, generator=noise) / 2,
    "pos_embed": lambda shape, noise: torch.randn(shape, generator=noise) / 4,
}


def _write_shards(directory: Path, tensors: dict[str, Tensor], num_shards: int) -> None:
    names = sorted(tensors)
    places = {}
    for n in range(num_shards):
        file = f"model-{n + 1:05}-of-{num_shards:05}.safetensors"
        shard = {name: tensors[name] for name in names[n::num_shards]}
        save_file(shard, directory / file, metadata={"format": "pt"})
        places.update(dict.fromkeys(shard, file))
    num_bytes = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": num_bytes}, "weight_map": dict(sorted(places.items()))}
    _write_json(directory / "model.safetensors.index.json", index)


def tokenizer_json(vocab_size: int) -> dict[str, Any]:
    """The content of tokenizer.json: the control tokens, then single bytes without merges."""
    added = {i: CONTROL_TOKENS.get(i, f"<SPECIAL_{i}>") for i in range(NUM_CONTROL_TOKENS)}
    tokens = [*added.values(), *sorted(pre_tokenizers.ByteLevel.alphabet())]
    if vocab_size < len(tokens):
        raise SystemExit(f"vocab_size is {vocab_size}; it must be at least {len(tokens)}.")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    bpe: dict[str, Any] = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": False,
        "vocab": {token: i for i, token in enumerate(tokens)},
        "merges": [],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [{"id": i, "content": token, **flags} for i, token in added.items()],
        "normalizer": None,
        "pre_tokenizer": byte_level,
        "post_processor": None,
        "decoder": byte_level,
        "model": bpe,
    }


def _write_json(path: Path, value: Any) -> None:  # noqa: ANN401 - any JSON value
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
