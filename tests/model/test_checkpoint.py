import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.load import load_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint

NAME = "language_model.backbone.layers.1.mixer.experts.3.up_proj.weight"


@pytest.fixture
def single(written, tmp_path):
    """A checkpoint in one file; returns (its directory, its tensors, a function that writes them back)."""
    shutil.copy(written / "config.json", tmp_path)
    tensors = {}
    for shard in written.glob("*.safetensors"):
        tensors |= load_file(shard)

    def write():
        save_file(tensors, tmp_path / "model.safetensors")

    return tmp_path, tensors, write


@pytest.fixture
def sharded(written, tmp_path):
    """A copy of the checkpoint in shards; returns (its directory, a function that changes the index)."""
    directory = shutil.copytree(written, tmp_path / "sharded")
    path = directory / "model.safetensors.index.json"

    def place(name, file):
        index = json.loads(path.read_text())
        index["weight_map"][name] = file
        path.write_text(json.dumps(index))

    return directory, place


def assert_refused(directory, *parts):
    with pytest.raises(CheckpointError, match=".*".join(map(re.escape, parts))):
        load_checkpoint(directory)


def test_one_file_and_shards_load_the_same_weights(single, model):
    directory, _, write = single
    write()
    loaded = load_checkpoint(directory).state_dict()
    for name, tensor in model.state_dict().items():
        assert tensor.equal(loaded[name]), name


def test_a_loaded_model_has_every_tensor_as_stored_and_no_gradients(single, model):
    _, tensors, _ = single
    for name, parameter in model.named_parameters():
        assert parameter.equal(tensors[name]), name
        assert not parameter.requires_grad


def test_a_missing_tensor_is_named(single):
    directory, tensors, write = single
    del tensors[NAME]
    write()
    assert_refused(directory, "lacks 1 tensors", NAME)


def test_a_tensor_the_model_does_not_have_is_named(single):
    directory, tensors, write = single
    tensors["sound_projection.norm.weight"] = torch.zeros(3)
    write()
    assert_refused(directory, "does not have", "sound_projection.norm.weight")


def test_a_tensor_of_another_shape_is_named_with_both_shapes(single):
    directory, tensors, write = single
    tensors[NAME] = tensors[NAME].T.contiguous()
    write()
    assert_refused(directory, NAME, "[64, 48]", "[48, 64]")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_a_tensor_with_a_value_that_is_not_finite_is_named(single, bad):
    directory, tensors, write = single
    tensors[NAME][5, 5] = bad
    write()
    assert_refused(directory, NAME, "NaN or infinite")


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        (torch.float16, "F16"),
        (torch.int64, "I64"),
        (torch.float8_e4m3fn, "F8_E4M3"),
        (torch.uint8, "U8"),
    ],
)
def test_a_tensor_of_an_unsupported_type_is_named(single, dtype, stored):
    directory, tensors, write = single
    tensors[NAME] = tensors[NAME].to(dtype)
    write()
    assert_refused(directory, NAME, f"stored as {stored}, expected BF16 or F32")


def test_a_config_with_an_unsupported_type_is_refused(single):
    directory, _, write = single
    write()
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps(config | {"torch_dtype": "float16"}))
    assert_refused(directory, "float16")


def test_the_input_conditioner_is_not_loaded(single, model):
    """Its mean and deviation are applied to the pixels already; the model must not apply them again."""
    _, tensors, _ = single
    stored = {name for name in tensors if "input_conditioner" in name}
    assert stored == set(tensors) - set(model.state_dict())
    assert len(stored) == 2


@pytest.mark.parametrize("file", ["../x.safetensors", "/etc/passwd", "a/b.safetensors", "..", "", 7])
def test_an_index_that_points_outside_the_checkpoint_is_refused(sharded, file):
    directory, place = sharded
    place(NAME, file)
    assert_refused(directory, NAME, "outside")


def test_an_index_with_a_missing_shard_is_refused(sharded):
    directory, place = sharded
    place(NAME, "model-00003-of-00002.safetensors")
    # Either file may be read first: the one that is missing, or the one that holds the tensor after all.
    assert_refused(directory, "model-0000")


def test_an_index_with_the_wrong_shard_for_a_tensor_is_refused(sharded):
    directory, place = sharded
    names = json.loads((directory / "model.safetensors.index.json").read_text())["weight_map"]
    place(NAME, next(file for file in set(names.values()) if file != names[NAME]))
    assert_refused(directory, "disagree about", NAME)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": 3}', '{"weight_map": null}'])
def test_an_invalid_index_is_refused(sharded, text):
    directory, _ = sharded
    (directory / "model.safetensors.index.json").write_text(text)
    assert_refused(directory, "model.safetensors.index.json")


@pytest.mark.parametrize("keep", [0, 4, 200, 40000])
def test_a_truncated_file_is_named(sharded, keep):
    """Truncated to nothing, in the length of the header, in the header, in the weights."""
    directory, _ = sharded
    shard = directory / "model-00002-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:keep])
    assert_refused(directory, shard.name)


def test_the_error_for_missing_weights_says_what_to_do(written, tmp_path):
    shutil.copy(written / "config.json", tmp_path)
    with pytest.raises(CheckpointError, match=r"no model\.safetensors") as refusal:
        load_checkpoint(tmp_path)
    assert "--model" in refusal.value.hint


def test_bf16_weights_load_as_bf16_except_those_that_must_be_fp32(tmp_path):
    write_checkpoint(tmp_path, Sizes(dtype="bfloat16"))
    model = load_checkpoint(tmp_path)
    wide = re.compile(r"mixer\.(A_log|D|dt_bias|gate\.weight|gate\.e_score_correction_bias)")
    for name, parameter in model.named_parameters():
        expected = torch.float32 if wide.search(name) else torch.bfloat16
        assert parameter.dtype == expected, name
    state = model.new_state()
    hidden = model.forward_hidden(model.embed(torch.tensor([[40, 41]])), state)
    assert hidden.dtype == state.layers[0].conv.dtype == state.layers[3].keys.dtype == torch.bfloat16
    assert state.layers[0].ssm.dtype == model.logits(hidden).dtype == torch.float32


def test_loading_does_not_import_the_compiler(written):
    """Initialising weights on the meta device would, and it takes two seconds at every start."""
    code = (
        "import sys; from pathlib import Path; from omnireel.model.checkpoint.load import load_checkpoint; "
        f"load_checkpoint(Path({str(written)!r})); assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_fp32_weights_load_as_bf16_on_request(written):
    model = load_checkpoint(written, torch.bfloat16)
    assert model.dtype == torch.bfloat16
