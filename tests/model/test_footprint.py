"""What a checkpoint takes in memory, against what loading it takes, and against the published figures."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint import check_headers, load_checkpoint
from omnireel.model.config import parse_config
from omnireel.model.footprint import PUBLISHED, WORKING_BYTES, Footprint, checkpoint_footprint, footprint
from tools.scaled_checkpoint import Sizes, published_config_json, write_checkpoint


@pytest.fixture
def directory(tmp_path):
    write_checkpoint(tmp_path, Sizes(num_shards=1))
    return tmp_path


def test_the_published_geometry_is_that_of_the_published_config():
    assert parse_config(published_config_json()).language == PUBLISHED


def test_the_state_of_the_published_model_is_as_large_as_worked_out_by_hand():
    """6 layers of 2 × 2 heads × 128 in bf16; 23 layers of [64, 64, 128] fp32 and [6144, 3] bf16."""
    found = footprint(PUBLISHED, 0, torch.bfloat16)
    assert found.token_bytes == 6 * 2 * 2 * 128 * 2 == 6144
    assert found.sequence_bytes == 23 * (64 * 64 * 128 * 4 + 6144 * 3 * 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_and_state_are_as_large_as_once_loaded(directory, dtype):
    model = load_checkpoint(directory, dtype)
    found = checkpoint_footprint(directory, dtype)
    assert found.weight_bytes == sum(t.numel() * t.element_size() for t in model.state_dict().values())
    sizes = []
    for capacity in (0, 10):
        layers = [vars(layer) for layer in model.new_state(capacity=capacity).layers if layer is not None]
        tensors = [t for layer in layers for t in layer.values() if isinstance(t, torch.Tensor)]
        sizes.append(sum(t.numel() * t.element_size() for t in tensors))
    assert found.sequence_bytes == sizes[0]
    assert found.token_bytes * 10 == sizes[1] - sizes[0]


@pytest.mark.parametrize(
    ("spare", "context"), [(-1, 0), (0, 0), (500, 0), (1000, 1), (99_999, 99), (10**9, 5000)]
)
def test_the_context_is_what_is_left_over_divided_by_a_token(spare, context):
    taken = Footprint(weight_bytes=10**6, sequence_bytes=10**5, token_bytes=1000, max_context=5000)
    assert taken.context_in(WORKING_BYTES + 10**6 + 10**5 + spare) == context


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("language_model.lm_head.weight"), "lacks 1 tensors"),
        (lambda t: t.update({"x.weight": torch.zeros(1)}), "does not have: 'x.weight'"),
        (lambda t: t.update({"language_model.lm_head.weight": torch.zeros(1)}), r"has shape \[1\]"),
        (
            lambda t: t.update({"mlp1.0.weight": t["mlp1.0.weight"].to(torch.float16)}),
            "is stored as F16, expected BF16 or F32",
        ),
    ],
)
def test_headers_that_break_the_configs_promise_are_found_without_reading_weights(directory, change, message):
    path = next(directory.glob("*.safetensors"))
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)
    index = directory / "model.safetensors.index.json"
    if index.exists():
        index.write_text(json.dumps({"weight_map": dict.fromkeys(tensors, path.name)}))
    with pytest.raises(CheckpointError, match=message):
        check_headers(directory, torch.float32)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory)
