"""The published configuration gives exactly the published tensors: names, shapes and totals.

The model is on the meta device, so its weights take no memory.
"""

import math

import pytest
import torch

from omnireel.model.checkpoint.load import empty_model
from omnireel.model.checkpoint.quant_table import QuantTable, quantize_modules
from omnireel.model.checkpoint.quantized import FP8, NVFP4
from omnireel.model.config import parse_config
from tools.quantize_checkpoint import scheme_of
from tools.scaled_checkpoint import PUBLISHED, published_config_json

PARTS = {
    "language_model.": (6_243, 31_577_940_288),
    # The files also have two constants of preprocessing, six numbers, which are not loaded.
    "vision_model.": (388, 653_611_520),
    "mlp1.": (3, 159_912_960),
    # The files also have the mel filters and the window, 33,296 numbers, which are not loaded.
    "sound_encoder.": (708, 608_928_792),
    "sound_projection.": (3, 15_205_376),
}


@pytest.fixture(scope="module")
def model():
    return empty_model(parse_config(published_config_json()), torch.bfloat16)


@pytest.mark.parametrize(("prefix", "totals"), PARTS.items())
def test_each_part_has_the_published_number_of_tensors_and_elements(model, prefix, totals):
    shapes = [tensor.shape for name, tensor in model.state_dict().items() if name.startswith(prefix)]
    assert (len(shapes), sum(map(math.prod, shapes))) == totals


def test_the_whole_has_the_published_totals(model):
    """The totals include the four stored tensors that are not loaded."""
    tensors = model.state_dict().values()
    assert len(tensors) + 4 == 7_349
    assert sum(tensor.numel() for tensor in tensors) + 6 + 128 * 257 + 400 == 33_015_632_238


def test_every_tensor_belongs_to_one_of_these_parts(model):
    assert all(name.startswith(tuple(PARTS)) for name in model.state_dict())


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("language_model.backbone.embeddings.weight", (131072, 2688)),
        ("language_model.lm_head.weight", (131072, 2688)),
        ("language_model.backbone.layers.0.mixer.in_proj.weight", (10304, 2688)),
        ("language_model.backbone.layers.50.mixer.conv1d.weight", (6144, 1, 4)),
        ("language_model.backbone.layers.0.mixer.A_log", (64,)),
        ("language_model.backbone.layers.0.mixer.norm.weight", (4096,)),
        ("language_model.backbone.layers.42.mixer.k_proj.weight", (256, 2688)),
        ("language_model.backbone.layers.5.mixer.o_proj.weight", (2688, 4096)),
        ("language_model.backbone.layers.51.mixer.experts.127.down_proj.weight", (2688, 1856)),
        ("language_model.backbone.layers.51.mixer.shared_experts.up_proj.weight", (3712, 2688)),
        ("language_model.backbone.layers.1.mixer.gate.e_score_correction_bias", (128,)),
        ("vision_model.radio_model.model.patch_generator.video_embedder.weight", (1280, 1536)),
        ("vision_model.radio_model.model.patch_generator.pos_embed", (1, 16384, 1280)),
        ("vision_model.radio_model.model.patch_generator.cls_token.token", (10, 1280)),
        ("vision_model.radio_model.model.blocks.31.mlp.fc1.weight", (5120, 1280)),
        ("mlp1.1.weight", (20480, 5120)),
        ("mlp1.3.weight", (2688, 20480)),
    ],
)
def test_a_tensor_has_its_published_name_and_shape(model, name, shape):
    assert tuple(model.state_dict()[name].shape) == shape


def test_the_nvfp4_table_fits_the_model():
    model = empty_model(parse_config(published_config_json()), torch.bfloat16)
    names = [name.removesuffix(".weight") for name in model.state_dict() if name.endswith(".weight")]
    table = {name: scheme for name in names if (scheme := scheme_of(name, NVFP4))}
    assert len(table) == 5_986
    assert list(table.values()).count(NVFP4) == 5_888
    assert list(table.values()).count(FP8) == 98
    quantize_modules(model, QuantTable(table, has_kv_scales=True))
    tensors = model.state_dict()
    experts = sum(t.numel() * t.element_size() for name, t in tensors.items() if ".experts." in name)
    assert experts == pytest.approx(16.5e9, rel=0.01)
    assert sum(name.endswith(("k_scale", "v_scale")) for name in tensors) == 12


def test_the_pattern_is_the_published_one():
    assert len(PUBLISHED.pattern) == 52
    assert [PUBLISHED.pattern.count(mixer) for mixer in "ME*"] == [23, 23, 6]
