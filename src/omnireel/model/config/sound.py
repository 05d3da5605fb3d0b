"""The configuration of the audio encoder: `sound_config` of config.json as a frozen dataclass."""

from dataclasses import dataclass

from omnireel.model.config.fields import Fields, Raw, demand
from omnireel.model.config.keys import FIXED_SOUND, INERT_GENERIC, INERT_SOUND


@dataclass(frozen=True)
class SoundConfig:
    """The Parakeet encoder and the projector after it."""

    width: int
    num_layers: int
    num_heads: int
    mlp_width: int
    conv_kernel: int  # of the depthwise convolution, odd
    subsampling_channels: int
    num_mel_bins: int
    projector_width: int


def parse_sound_config(raw: Raw) -> SoundConfig:
    """The configuration in `sound_config`, given as parsed JSON. Raises CheckpointError."""
    fields = Fields("sound_config", raw)
    for key, value in FIXED_SOUND.items():
        fields.require(key, value)
    config = SoundConfig(
        width=fields.count("hidden_size"),
        num_layers=fields.count("num_hidden_layers"),
        num_heads=fields.count("num_attention_heads"),
        mlp_width=fields.count("intermediate_size"),
        conv_kernel=fields.count("conv_kernel_size", default=9),
        subsampling_channels=fields.count("subsampling_conv_channels", default=256),
        num_mel_bins=fields.count("num_mel_bins"),
        projector_width=fields.count("projection_hidden_size"),
    )
    fields.finish(INERT_SOUND | INERT_GENERIC)
    demand(config.width % config.num_heads == 0, "The number of audio heads does not divide the audio width.")
    demand(config.conv_kernel % 2 == 1, "The audio encoder's convolution has an even kernel.")
    demand(config.num_mel_bins % 8 == 0, "num_mel_bins is not a multiple of 8.")
    return config
