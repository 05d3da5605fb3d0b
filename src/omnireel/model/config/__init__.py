"""The configuration of a checkpoint: config.json as frozen dataclasses.

Both generations of key names are read (`llm_config` and `text_config`, ...). Every key is used, or must have the one
value that is implemented, or is on a list of keys without effect. Any other key is an error, because it may change
what the model computes.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from omnireel.errors import CheckpointError
from omnireel.model.config.fields import Fields, Raw, demand
from omnireel.model.config.keys import (
    FIXED_LANGUAGE,
    FIXED_VISION,
    INERT_GENERIC,
    INERT_LANGUAGE,
    INERT_TOP,
    INERT_VISION,
)
from omnireel.model.config.sound import SoundConfig, parse_sound_config

# Name in `args.model` → width, layers and heads of the tower.
NAMED_TOWERS = {"vit_huge_patch16_224": (1280, 32, 16)}
MIXER_SYMBOLS = {"linear_attention": "M", "mamba": "M", "moe": "E", "full_attention": "*", "attention": "*"}
# transformers 5 writes infinity as an object.
NO_LIMIT = ([0.0, math.inf], [0.0, {"__float__": "Infinity"}])


@dataclass(frozen=True)
class LanguageConfig:
    """The hybrid language model; letters in parentheses are those of the Mamba-2 paper."""

    pattern: str  # one letter per layer: M Mamba, E experts, * attention
    hidden_size: int
    vocab_size: int
    max_positions: int  # context limit in tokens; the model has no position encoding
    norm_eps: float
    num_heads: int
    num_kv_heads: int
    head_dim: int
    mamba_num_heads: int  # (H)
    mamba_head_dim: int  # (P)
    state_size: int  # (N)
    num_groups: int  # (G)
    conv_kernel: int
    chunk_size: int  # affects speed only, not the result
    num_experts: int
    num_experts_per_token: int
    expert_width: int
    shared_expert_width: int
    routed_scaling: float

    @property
    def mamba_width(self) -> int:
        """Inner channels: H · P. The key `expand` is ignored."""
        return self.mamba_num_heads * self.mamba_head_dim

    @property
    def conv_width(self) -> int:
        """Channels of the convolution: x, B and C."""
        return self.mamba_width + 2 * self.num_groups * self.state_size


@dataclass(frozen=True)
class VisionConfig:
    """The RADIO vision tower, and the size that video frames are resized to."""

    width: int
    num_layers: int
    num_heads: int
    mlp_width: int
    patch_size: int
    temporal_patch_size: int  # frames per tubelet
    num_prefix: int  # class and register tokens before the patches
    position_side: int  # side of the position table, in patches
    target_patches: int  # patches per video frame, approximately


@dataclass(frozen=True)
class OmniConfig:
    """All of config.json that the model needs."""

    language: LanguageConfig
    vision: VisionConfig
    projector_width: int
    image_token_id: int
    video_pruning_rate: float  # suggested by the checkpoint, not necessarily the rate in use
    norm_mean: tuple[float, float, float]
    norm_std: tuple[float, float, float]
    dtype: str  # of the stored weights, such as "bfloat16"
    sound: SoundConfig | None  # None: the checkpoint has no audio encoder
    sound_token_id: int | None


def read_config(directory: Path) -> OmniConfig:
    """Read `directory`/config.json.

    Raises CheckpointError when the file is missing or not JSON, lacks a key, or has an unknown one.
    """
    path = directory / "config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(
            f"There is no config.json in {directory}.",
            hint="Give --model a directory with the checkpoint's files.",
        ) from None
    except ValueError as e:
        raise CheckpointError(f"{path} is not JSON: {e}.") from None
    return parse_config(raw)


def parse_config(raw: Raw) -> OmniConfig:
    """The configuration in config.json, given as parsed JSON. Raises CheckpointError."""
    fields = Fields("config.json", raw)
    sound = fields.take("sound_config", "audio_config", default=None)
    sound_token_id = fields.take("sound_context_token_id", "audio_token_id", default=None)
    language = _language(fields.take("llm_config", "text_config"))
    vision = _vision(fields.take("vision_config"))
    fields.require("patch_size", vision.patch_size)
    fields.require("video_temporal_patch_size", vision.temporal_patch_size)
    fields.require("vit_hidden_size", vision.width)
    fields.require("vision_hidden_size", vision.width)
    fields.require("downsample_ratio", 0.5)
    fields.require("ps_version", "v2")
    config = OmniConfig(
        language=language,
        vision=vision,
        projector_width=fields.count("projector_hidden_size"),
        image_token_id=fields.count("img_context_token_id", "image_token_id"),
        video_pruning_rate=fields.number("video_pruning_rate", default=0.0),
        norm_mean=fields.channels("norm_mean", default=(0.48145466, 0.4578275, 0.40821073)),
        norm_std=fields.channels("norm_std", default=(0.26862954, 0.26130258, 0.27577711)),
        dtype=fields.take("torch_dtype", "dtype", default="bfloat16"),
        sound=None if sound is None else parse_sound_config(sound),
        sound_token_id=sound_token_id,
    )
    fields.finish(INERT_TOP)
    demand(
        config.image_token_id < language.vocab_size, "The id of the image token is outside the vocabulary."
    )
    if config.sound is not None:
        fits = config.sound_token_id is not None and config.sound_token_id < language.vocab_size
        demand(fits, "There is an audio encoder, but no sound token in the vocabulary.")
    return config


def _language(raw: Raw) -> LanguageConfig:
    fields = Fields("llm_config", raw)
    limit = fields.take("time_step_limit", default=NO_LIMIT[0])
    demand(limit in NO_LIMIT, f"llm_config.time_step_limit is {limit}; only [0, Infinity] is implemented.")
    for key, value in FIXED_LANGUAGE.items():
        fields.require(key, value)
    config = LanguageConfig(
        pattern=_pattern(fields),
        hidden_size=fields.count("hidden_size"),
        vocab_size=fields.count("vocab_size"),
        max_positions=fields.count("max_position_embeddings", default=262144),
        norm_eps=fields.number("layer_norm_epsilon", "norm_eps", "rms_norm_eps", default=1e-5),
        num_heads=fields.count("num_attention_heads"),
        num_kv_heads=fields.count("num_key_value_heads"),
        head_dim=fields.count("head_dim"),
        mamba_num_heads=fields.count("mamba_num_heads"),
        mamba_head_dim=fields.count("mamba_head_dim"),
        state_size=fields.count("ssm_state_size"),
        num_groups=fields.count("n_groups"),
        conv_kernel=fields.count("conv_kernel", default=4),
        chunk_size=fields.count("chunk_size", default=128),
        num_experts=fields.count("n_routed_experts"),
        num_experts_per_token=fields.count("num_experts_per_tok"),
        expert_width=fields.count("moe_intermediate_size"),
        shared_expert_width=fields.count("moe_shared_expert_intermediate_size"),
        routed_scaling=fields.number("routed_scaling_factor", default=1.0),
    )
    fields.finish(INERT_LANGUAGE | INERT_GENERIC)
    demand(
        config.num_heads % config.num_kv_heads == 0,
        "num_key_value_heads does not divide num_attention_heads.",
    )
    demand(config.mamba_num_heads % config.num_groups == 0, "n_groups does not divide mamba_num_heads.")
    demand(
        config.num_experts_per_token <= config.num_experts,
        "num_experts_per_tok is larger than n_routed_experts.",
    )
    return config


def _pattern(fields: Fields) -> str:
    """One letter per layer, from the pattern string or from transformers' list of layer kinds."""
    kinds = fields.take("layers_block_type", "layer_types", default=None)
    spelled = "".join(MIXER_SYMBOLS.get(kind, "?") for kind in kinds) if kinds else None
    pattern = fields.take("hybrid_override_pattern", default=spelled)
    demand(bool(pattern), "llm_config has neither hybrid_override_pattern nor layers_block_type.")
    wrong = sorted(set(pattern) - set("ME*") if not kinds else set(kinds) - set(MIXER_SYMBOLS))
    demand(not wrong, f"The layer pattern has kinds that are not implemented: {wrong}.")
    demand(spelled in (None, pattern), "hybrid_override_pattern and layers_block_type disagree.")
    fields.require("num_hidden_layers", len(pattern))
    return str(pattern)


def _vision(raw: Raw) -> VisionConfig:
    fields = Fields("vision_config", raw)
    args = Fields("vision_config.args", fields.take("args", default={}))
    name = args.take("model", default=None)
    width, num_layers, num_heads = NAMED_TOWERS.get(name, (None, None, None))
    if width is None and "hidden_size" not in raw:
        raise CheckpointError(f"vision_config names a tower of unknown size: {name!r}.")
    width = fields.count("hidden_size", default=width)
    patch_size = fields.count("patch_size", default=16)
    side_px = fields.count("max_img_size", default=args.count("cpe_max_size", default=2048))
    num_teachers = fields.count("num_cls_tokens", default=0)
    num_prefix = num_teachers + fields.count("num_registers", default=0)
    mlp_ratio = fields.number("mlp_ratio", default=4)
    for key, value in FIXED_VISION.items():
        fields.require(key, value)
    config = VisionConfig(
        width=width,
        num_layers=fields.count("num_hidden_layers", default=num_layers),
        num_heads=fields.count("num_attention_heads", default=num_heads),
        mlp_width=fields.count("intermediate_size", default=int(mlp_ratio * width)),
        patch_size=patch_size,
        temporal_patch_size=fields.count("video_temporal_patch_size", default=2),
        num_prefix=num_prefix or args.count("register_multiple", default=10),
        position_side=side_px // patch_size,
        target_patches=fields.count("video_target_num_patches", default=1024),
    )
    fields.finish(INERT_VISION | INERT_GENERIC)
    demand(
        config.width % config.num_heads == 0, "The number of vision heads does not divide the vision width."
    )
    return config
