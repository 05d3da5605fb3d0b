"""What a checkpoint says about itself: config.json as frozen facts.

Both generations of field names are read (`llm_config` and `text_config`, ...). Every key is either used,
required to have the only value this code implements, or on a list of keys known to be inert; any other
key stops the load, because it may change what the model computes.
Not covered: audio (`sound_config` must be absent or null).
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireel.errors import CheckpointError

Raw = Mapping[str, Any]

# Width, layers, heads, MLP width of the towers that `args.model` can name.
NAMED_TOWERS = {"vit_huge_patch16_224": (1280, 32, 16, 5120)}


@dataclass(frozen=True)
class LanguageConfig:
    """The hybrid language model; letters in brackets are the Mamba-2 paper's."""

    pattern: str  # one letter per layer: M Mamba, E experts, * attention
    hidden_size: int
    vocab_size: int
    max_positions: int  # context limit in tokens; nothing encodes positions
    norm_eps: float
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mamba_num_heads: int  # (H)
    mamba_head_dim: int  # (P)
    state_size: int  # (N)
    num_groups: int  # (G)
    conv_kernel: int
    chunk_size: int  # a schedule, not part of the function
    num_experts: int
    num_experts_per_token: int
    expert_width: int
    shared_expert_width: int
    routed_scaling: float

    @property
    def mamba_width(self) -> int:
        """Inner channels: H · P. A stored `expand` is ignored."""
        return self.mamba_num_heads * self.mamba_head_dim

    @property
    def conv_width(self) -> int:
        """Channels that pass the convolution: x, B and C."""
        return self.mamba_width + 2 * self.num_groups * self.state_size


@dataclass(frozen=True)
class VisionConfig:
    """The RADIO tower and the grid that a video frame is resized to."""

    width: int
    num_layers: int
    num_heads: int
    mlp_width: int
    patch_size: int
    temporal_patch_size: int  # frames per tubelet
    num_prefix: int  # teacher and register tokens
    position_side: int  # side of the position table, in patches
    target_patches: int  # of a video frame


@dataclass(frozen=True)
class OmniConfig:
    """Everything config.json says that the model needs."""

    language: LanguageConfig
    vision: VisionConfig
    projector_width: int
    image_token_id: int
    video_pruning_rate: float  # the checkpoint's wish; what is served is a setting
    norm_mean: tuple[float, float, float]
    norm_std: tuple[float, float, float]
    dtype: str  # of the stored weights, such as "bfloat16"


def read_config(directory: Path) -> OmniConfig:
    """Read `directory`/config.json.

    Raises CheckpointError when the file is missing, is not JSON, lacks a key or has one we do not know.
    """
    path = directory / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"no config.json in {directory}", hint="point --model at a directory with the checkpoint's files"
        ) from None
    except ValueError as e:
        raise CheckpointError(f"{path} is not JSON: {e}") from None
    return parse_config(raw)


def parse_config(raw: Raw) -> OmniConfig:
    """config.json as parsed JSON → facts. Raises CheckpointError."""
    fields = _Fields("config.json", raw)
    if fields.take("sound_config", "audio_config", default=None):
        raise CheckpointError(
            "this checkpoint has an audio encoder, which is not supported yet",
            hint="remove sound_config and the sound_* tensors to use it without sound",
        )
    language = _language(fields.take("llm_config", "text_config"))
    vision_raw = fields.take("vision_config")
    patch_size = fields.take("patch_size", default=vision_raw.get("patch_size", 16))
    vision = _vision(vision_raw, patch_size)
    stated_width = fields.take("vit_hidden_size", "vision_hidden_size", default=vision.width)
    temporal = fields.take("video_temporal_patch_size", default=vision.temporal_patch_size)
    if (stated_width, temporal) != (vision.width, vision.temporal_patch_size):
        raise CheckpointError("config.json and its vision_config disagree on vit_hidden_size or tubelet size")
    fields.require("downsample_ratio", 0.5)
    fields.require("ps_version", "v2")
    config = OmniConfig(
        language=language,
        vision=vision,
        projector_width=fields.take("projector_hidden_size"),
        image_token_id=fields.take("img_context_token_id", "image_token_id"),
        video_pruning_rate=fields.take("video_pruning_rate", default=0.0),
        norm_mean=tuple(fields.take("norm_mean", default=(0.48145466, 0.4578275, 0.40821073))),
        norm_std=tuple(fields.take("norm_std", default=(0.26862954, 0.26130258, 0.27577711))),
        dtype=fields.take("torch_dtype", "dtype", default="bfloat16"),
    )
    fields.finish(INERT_TOP)
    return config


def _language(raw: Raw) -> LanguageConfig:
    fields = _Fields("llm_config", raw)
    pattern = _pattern(fields)
    limit = [_number(x) for x in fields.take("time_step_limit", default=[0.0, math.inf])]
    if limit != [0.0, math.inf]:
        raise CheckpointError(f"llm_config.time_step_limit is {limit}; only [0, Infinity] is implemented")
    for key, value in FIXED_LANGUAGE.items():
        fields.require(key, value)
    config = LanguageConfig(
        pattern=pattern,
        hidden_size=fields.take("hidden_size"),
        vocab_size=fields.take("vocab_size"),
        max_positions=fields.take("max_position_embeddings", default=262144),
        norm_eps=fields.take("layer_norm_epsilon", "norm_eps", "rms_norm_eps", default=1e-5),
        num_heads=fields.take("num_attention_heads"),
        num_kv_heads=fields.take("num_key_value_heads"),
        head_dim=fields.take("head_dim"),
        mamba_num_heads=fields.take("mamba_num_heads"),
        mamba_head_dim=fields.take("mamba_head_dim"),
        state_size=fields.take("ssm_state_size"),
        num_groups=fields.take("n_groups"),
        conv_kernel=fields.take("conv_kernel", default=4),
        chunk_size=fields.take("chunk_size", default=128),
        num_experts=fields.take("n_routed_experts"),
        num_experts_per_token=fields.take("num_experts_per_tok"),
        expert_width=fields.take("moe_intermediate_size"),
        shared_expert_width=fields.take("moe_shared_expert_intermediate_size"),
        routed_scaling=fields.take("routed_scaling_factor", default=1.0),
    )
    fields.finish(INERT_LANGUAGE | INERT_GENERIC)
    return config


def _pattern(fields: "_Fields") -> str:
    """The layer letters, from the pattern string or from transformers' list of layer kinds."""
    kinds = fields.take("layers_block_type", "layer_types", default=None)
    pattern = fields.take("hybrid_override_pattern", default=None)
    if pattern is None:
        if not kinds:
            raise CheckpointError("llm_config has neither hybrid_override_pattern nor layers_block_type")
        letters = {"linear_attention": "M", "mamba": "M", "moe": "E", "full_attention": "*", "attention": "*"}
        pattern = "".join(letters.get(kind, kind[:1]) for kind in kinds)
    if wrong := set(pattern) - set("ME*"):
        raise CheckpointError(f"layer pattern has kinds that are not implemented: {sorted(wrong)}")
    if fields.take("num_hidden_layers", default=len(pattern)) != len(pattern):
        raise CheckpointError(f"num_hidden_layers is not the length of the pattern, {len(pattern)}")
    return str(pattern)


def _vision(raw: Raw, patch_size: int) -> VisionConfig:
    fields = _Fields("vision_config", raw)
    args = fields.take("args", default={})
    named = NAMED_TOWERS.get(args.get("model", ""), (None, None, None, None))
    width = fields.take("hidden_size", default=named[0])
    if width is None:
        raise CheckpointError(f"vision_config names an unknown tower: {args.get('model')!r}")
    mlp_default = named[3] if width == named[0] else 4 * width
    side_px = fields.take("max_img_size", default=args.get("cpe_max_size", 2048))
    tokens = fields.take("num_cls_tokens", default=None), fields.take("num_registers", default=None)
    num_prefix = sum(tokens) if None not in tokens else args.get("register_multiple", 10)
    fields.require("patch_size", patch_size)
    fields.require("separate_video_embedder", True)
    fields.require("video_maintain_aspect_ratio", True)
    config = VisionConfig(
        width=width,
        num_layers=fields.take("num_hidden_layers", default=named[1]),
        num_heads=fields.take("num_attention_heads", default=named[2]),
        mlp_width=fields.take("intermediate_size", default=mlp_default),
        patch_size=patch_size,
        temporal_patch_size=fields.take("video_temporal_patch_size", default=2),
        num_prefix=num_prefix,
        position_side=side_px // patch_size,
        target_patches=fields.take("video_target_num_patches", default=1024),
    )
    fields.finish(INERT_VISION | INERT_GENERIC)
    return config


def _number(value: Any) -> float:
    """A JSON number, also as transformers 5 writes an infinite one: {"__float__": "Infinity"}."""
    return float(value["__float__"] if isinstance(value, dict) else value)


class _Fields:
    """A JSON object from which every key must be taken, required, or named as inert."""

    def __init__(self, name: str, raw: Raw) -> None:
        self.name = name
        self.raw = raw
        self.left = set(raw)

    def take(self, *names: str, default: Any = ...) -> Any:
        """The value under the first of `names` that is present."""
        self.left -= set(names)
        for name in names:
            if name in self.raw:
                return self.raw[name]
        if default is ...:
            raise CheckpointError(f"{self.name} lacks {names[0]!r}")
        return default

    def require(self, name: str, value: Any) -> None:
        """If present, the key must have the one value that this code implements."""
        found = self.take(name, default=value)
        if found != value:
            raise CheckpointError(f"{self.name}.{name} is {found!r}; only {value!r} is implemented")

    def finish(self, inert: frozenset[str]) -> None:
        """Refuse what nobody took."""
        if unknown := sorted(self.left - inert):
            raise CheckpointError(
                f"{self.name} has keys this version does not know: {', '.join(unknown)}",
                hint="they may change what the model computes, so they are not ignored",
            )


FIXED_LANGUAGE = {
    "mlp_hidden_act": "relu2",
    "mamba_hidden_act": "silu",
    "norm_topk_prob": True,
    "n_group": 1,
    "topk_group": 1,
    "n_shared_experts": 1,
    "moe_latent_size": None,
    "num_nextn_predict_layers": 0,
    "sliding_window": None,
    "use_conv_bias": True,
    "use_bias": False,
    "mlp_bias": False,
    "attention_bias": False,
    "mamba_proj_bias": False,
    "tie_word_embeddings": False,
    "residual_in_fp32": False,
    "mamba_ssm_cache_dtype": "float32",
}

# Written by transformers into every config; none of them changes the numbers.
INERT_GENERIC = frozenset(
    "transformers_version architectures output_hidden_states return_dict dtype torch_dtype "
    "chunk_size_feed_forward is_encoder_decoder id2label label2id problem_type _name_or_path model_type "
    "output_attentions use_cache pad_token_id bos_token_id eos_token_id initializer_range auto_map".split()
)
# Initialisation, dropout, kernel choices and relics of siblings of this model.
INERT_LANGUAGE = frozenset(
    "expand time_step_min time_step_max time_step_floor intermediate_size attention_dropout hidden_dropout "
    "num_logits_to_keep use_mamba_kernels output_router_logits moe_shared_expert_overlap "
    "mtp_layers_block_type mtp_hybrid_override_pattern rescale_prenorm_residual rope_theta "
    "partial_rotary_factor rope_scaling rope_parameters".split()
)
INERT_VISION = frozenset(
    "preferred_resolution version adaptor_names adaptor_configs vitdet_window_size max_resolution "
    "initializer_factor layer_norm_eps hidden_act qkv_bias image_size num_channels layerscale_value "
    "attention_probs_dropout_prob hidden_dropout_prob drop_path_rate mlp_ratio use_swiglu_ffn "
    "feature_normalizer_config inter_feature_normalizer_config".split()
)
INERT_TOP = INERT_GENERIC | frozenset(
    "force_image_size image_tag_type use_thumbnail template select_layer dynamic_image_size max_dynamic_patch "
    "min_dynamic_patch img_context_token img_start_token img_end_token video_context_token "
    "video_context_token_id video_token_id sound_context_token sound_context_token_id audio_token_id "
    "quantization_config".split()
)
