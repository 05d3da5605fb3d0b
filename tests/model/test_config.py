import copy
import json

import pytest

from omnireel.errors import CheckpointError
from omnireel.model.config import VisionConfig, parse_config, read_config
from tools.scaled_checkpoint import Sizes, config_json

DROP = object()


def raw_with(section, **changes):
    """A valid config.json with some keys changed, or removed where the value is DROP."""
    raw = copy.deepcopy(config_json(Sizes()))
    place = raw[section] if section else raw
    place.update(changes)
    for key in [key for key, value in changes.items() if value is DROP]:
        del place[key]
    return raw


def assert_refused(raw, message):
    with pytest.raises(CheckpointError, match=message):
        parse_config(raw)


def test_the_published_tower_is_known_by_name():
    """The released file has no sizes of the tower, only the name of its architecture."""
    raw = raw_with("", vit_hidden_size=1280)
    raw["vision_config"] = {
        "patch_size": 16,
        "video_temporal_patch_size": 2,
        "separate_video_embedder": True,
        "args": {"model": "vit_huge_patch16_224", "cpe_max_size": 2048, "register_multiple": 10},
    }
    assert parse_config(raw).vision == VisionConfig(
        width=1280, num_layers=32, num_heads=16, mlp_width=5120, patch_size=16, temporal_patch_size=2,
        num_prefix=10, position_side=128, target_patches=1024,
    )  # fmt: skip


def test_a_tower_of_unknown_name_and_size_is_refused():
    assert_refused(raw_with("vision_config", hidden_size=DROP), "unknown size: 'vit_scaled'")


def test_mamba_width_comes_from_the_heads_and_not_from_expand():
    assert parse_config(raw_with("llm_config", expand=7)).language.mamba_width == 8 * 16


@pytest.mark.parametrize("section", ["", "llm_config", "vision_config"])
def test_an_unknown_key_is_refused_by_name(section):
    assert_refused(raw_with(section, use_new_trick=True), "does not know: use_new_trick")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("", "downsample_ratio", 0.25), ("", "ps_version", "v1"), ("", "vit_hidden_size", 96),
        ("", "video_temporal_patch_size", 4), ("llm_config", "mlp_hidden_act", "silu"),
        ("llm_config", "n_group", 8), ("llm_config", "norm_topk_prob", False),
        ("llm_config", "time_step_limit", [0.001, float("inf")]), ("llm_config", "time_step_limit", None),
        ("llm_config", "num_hidden_layers", 4), ("llm_config", "moe_latent_size", 128),
        ("llm_config", "attention_bias", True), ("llm_config", "residual_in_fp32", True),
        ("vision_config", "separate_video_embedder", False), ("vision_config", "use_swiglu_ffn", True),
        ("vision_config", "layerscale_value", 0.1), ("vision_config", "patch_size", 14),
    ],
)  # fmt: skip
def test_a_value_that_would_change_the_model_is_refused_by_key(section, key, value):
    assert_refused(raw_with(section, **{key: value}), key if key != "patch_size" else "patch_size is 16")


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("", "llm_config"), ("", "vision_config"), ("", "projector_hidden_size"),
        ("", "img_context_token_id"),
        ("llm_config", "hidden_size"), ("llm_config", "n_groups"), ("llm_config", "num_experts_per_tok"),
    ],
)  # fmt: skip
def test_a_missing_key_is_named(section, key):
    assert_refused(raw_with(section, **{key: DROP}), f"lacks '{key}'")


@pytest.mark.parametrize("value", ["64", 64.0, 0, -1, True, None, [64]])
def test_a_size_that_is_not_a_positive_integer_is_refused(value):
    assert_refused(raw_with("llm_config", hidden_size=value), "llm_config.hidden_size")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("", "llm_config", []), ("", "vision_config", None), ("vision_config", "args", "vit"),
        ("", "norm_mean", [0.5, 0.5]), ("", "norm_std", "0.5"), ("llm_config", "layer_norm_epsilon", "1e-5"),
        ("llm_config", "routed_scaling_factor", float("nan")),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_kind_is_refused(section, key, value):
    assert_refused(raw_with(section, **{key: value}), key)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_key_value_heads": 3}, "num_key_value_heads"),
        ({"n_groups": 3}, "n_groups"),
        ({"num_experts_per_tok": 9}, "num_experts_per_tok is larger"),
        ({"vocab_size": 18}, "image token"),
    ],
)
def test_sizes_that_do_not_fit_each_other_are_refused(changes, message):
    assert_refused(raw_with("llm_config", **changes), message)


def test_an_unknown_layer_in_the_pattern_is_named():
    assert_refused(raw_with("llm_config", hybrid_override_pattern="MEM*-"), "not implemented: .*'-'")


@pytest.mark.parametrize("kind", ["mlp", "Mamba", "moe "])
def test_an_unknown_layer_kind_is_named(kind):
    kinds = ["mamba", "moe", "mamba", "attention", kind]
    raw = raw_with("llm_config", hybrid_override_pattern=DROP, layers_block_type=kinds)
    assert_refused(raw, f"not implemented: .*'{kind}'")


def test_layer_kinds_are_read_like_a_pattern():
    kinds = ["mamba", "moe", "linear_attention", "full_attention", "moe"]
    raw = raw_with("llm_config", hybrid_override_pattern=DROP, layers_block_type=kinds)
    assert parse_config(raw).language.pattern == "MEM*E"


def test_a_pattern_and_layer_kinds_that_disagree_are_refused():
    assert_refused(raw_with("llm_config", layers_block_type=["moe"] * 5), "disagree")


def test_old_and_new_names_that_disagree_are_refused():
    assert_refused(raw_with("", image_token_id=19), "img_context_token_id and image_token_id")


SOUND = {
    "hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 8, "intermediate_size": 4096,
    "num_mel_bins": 128, "projection_hidden_size": 4096,
}  # fmt: skip


def test_an_audio_encoder_is_read_under_either_name():
    config = parse_config(raw_with("", sound_config=SOUND | {"feat_in": 80, "model_type": "parakeet"}))
    assert (config.sound.width, config.sound.num_mel_bins, config.sound_token_id) == (1024, 128, 27)
    renamed = raw_with("", audio_config=SOUND, audio_token_id=27)
    del renamed["sound_config"]
    assert parse_config(renamed).sound == config.sound


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"convolution_bias": True}, "convolution_bias"),
        ({"subsampling_factor": 4}, "subsampling_factor"),
        ({"sampling_rate": 22050}, "sampling_rate"),
        ({"num_attention_heads": 7}, "number of audio heads"),
        ({"conv_kernel_size": 8}, "even kernel"),
        ({"num_mel_bins": 100}, "num_mel_bins"),
        ({"invented": 1}, "invented"),
    ],
)
def test_an_audio_encoder_that_is_not_implemented_is_refused(change, message):
    assert_refused(raw_with("", sound_config=SOUND | change), message)


def test_an_audio_encoder_without_a_token_is_refused():
    assert_refused(raw_with("", sound_config=SOUND, sound_context_token_id=10**6), "no sound token")


@pytest.mark.parametrize("text", ["", "[]", "{", "3", "\x00"])
def test_a_file_that_is_not_a_json_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"config\.json"):
        read_config(tmp_path)


def test_a_config_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "config.json").write_bytes(json.dumps({"a": "é"}, ensure_ascii=False).encode("latin-1"))
    with pytest.raises(CheckpointError, match="not JSON"):
        read_config(tmp_path)


def test_the_error_for_a_missing_config_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json") as refusal:
        read_config(tmp_path)
    assert "--model" in refusal.value.hint
