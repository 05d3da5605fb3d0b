"""FP8 and NVFP4: single codes compared with the definition of the formats, and whole checkpoints."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.checkpoint.quantized import FP8, NVFP4, Fp8Linear, Nvfp4Linear, unpack_fp8, unpack_nvfp4
from tools.quantize_checkpoint import quantize_checkpoint


def e4m3(code):
    """One byte by the format's definition: 1 sign, 4 exponent (bias 7), 3 mantissa bits; no infinities."""
    sign, exponent, mantissa = code >> 7, code >> 3 & 15, code & 7
    if exponent == 15 and mantissa == 7:
        return np.float32("nan")
    size = mantissa / 8 * 2.0**-6 if exponent == 0 else (1 + mantissa / 8) * 2.0 ** (exponent - 7)
    return np.float32(-size if sign else size)


def e2m1(nibble):
    """1 sign, 2 exponent (bias 1), 1 mantissa bit."""
    sign, exponent, mantissa = nibble >> 3, nibble >> 1 & 3, nibble & 1
    size = mantissa / 2 if exponent == 0 else (1 + mantissa / 2) * 2.0 ** (exponent - 1)
    return np.float32(-size if sign else size)


E4M3 = np.array([e4m3(code) for code in range(256)], np.float32)
E2M1 = np.array([e2m1(nibble) for nibble in range(16)], np.float32)
SCALES = np.float32([1.0, 0.5, 1e-3, 3.14159, 2.0**-20, 6.1e4, 1.1754944e-38])


def bits(array):
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


@pytest.mark.parametrize("scale", SCALES)
def test_every_fp8_code_times_a_scale_agrees_with_the_format(scale):
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    ours = unpack_fp8(codes, torch.tensor(scale)).numpy()
    theirs = E4M3 * scale
    numbers = ~np.isnan(E4M3)
    assert np.array_equal(bits(ours[numbers]), bits(theirs[numbers]))
    assert np.isnan(ours[~numbers]).all()


def test_every_nvfp4_byte_with_every_scale_agrees_with_the_format():
    """Every byte eight times in a row (a group of 16 columns), a row for each finite scale code."""
    scale_codes = np.array([code for code in range(256) if not np.isnan(E4M3[code])], np.uint8)
    row = np.repeat(np.arange(256, dtype=np.uint8), 8)
    weight = np.tile(row, (len(scale_codes), 1))
    scales = np.tile(scale_codes[:, None], (1, 256))
    low, high = E2M1[weight & 15], E2M1[weight >> 4]
    values = np.stack([low, high], -1).reshape(len(scale_codes), 256, 16)
    for scale_2 in SCALES:
        theirs = (values * E4M3[scales][..., None] * scale_2).reshape(len(scale_codes), -1)
        packed = torch.from_numpy(weight), torch.from_numpy(scales).view(torch.float8_e4m3fn)
        ours = unpack_nvfp4(*packed, torch.tensor(scale_2)).numpy()
        assert np.array_equal(bits(ours), bits(theirs))


def test_random_bytes_unpack_according_to_the_format():
    rng = np.random.default_rng(0)
    weight = rng.integers(0, 256, (48, 40), dtype=np.uint8)
    scales = rng.choice(np.flatnonzero(~np.isnan(E4M3)), (48, 5)).astype(np.uint8)
    values = np.stack([E2M1[weight & 15], E2M1[weight >> 4]], -1).reshape(48, 5, 16)
    theirs = (values * E4M3[scales][..., None] * np.float32(0.013)).reshape(48, 80)
    packed = torch.from_numpy(weight), torch.from_numpy(scales).view(torch.float8_e4m3fn)
    assert np.array_equal(bits(unpack_nvfp4(*packed, torch.tensor(0.013)).numpy()), bits(theirs))


@pytest.fixture(scope="module", params=[FP8, NVFP4])
def quantized(request, written, tmp_path_factory):
    """(directory, module name → scheme) of a quantised copy of the random checkpoint."""
    directory = tmp_path_factory.mktemp(request.param)
    return directory, quantize_checkpoint(written, directory, request.param)


@pytest.fixture(scope="module")
def plain(quantized, written, tmp_path_factory):
    """The same weights, unpacked by numpy, as an ordinary fp32 checkpoint."""
    directory, table = quantized
    tensors = load_file(directory / "model.safetensors")
    for name, scheme in table.items():
        weight = tensors.pop(f"{name}.weight")
        scale = tensors.pop(f"{name}.weight_scale")
        tensors.pop(f"{name}.input_scale")
        if scheme == FP8:
            value = E4M3[weight.view(torch.uint8).numpy()] * scale.numpy()
        else:
            codes = weight.numpy()
            pairs = np.stack([E2M1[codes & 15], E2M1[codes >> 4]], -1).reshape(*scale.shape, 16)
            value = pairs * E4M3[scale.view(torch.uint8).numpy()][..., None]
            value = (value * tensors.pop(f"{name}.weight_scale_2").numpy()).reshape(len(codes), -1)
        tensors[f"{name}.weight"] = torch.from_numpy(np.float32(value))
    for name in [name for name in tensors if name.endswith((".k_scale", ".v_scale"))]:
        del tensors[name]
    out = tmp_path_factory.mktemp("plain")
    save_file(tensors, out / "model.safetensors")
    (out / "config.json").write_text((written / "config.json").read_text())
    return out


def logits(model, ids=(5, 40, 100, 60, 41, 7, 200, 33)):
    with torch.inference_mode():
        x = model.embed(torch.tensor([ids]))
        return model.logits(model.forward_hidden(x, model.new_state()))


def test_a_quantised_checkpoint_gives_the_outputs_of_its_unpacked_weights(quantized, plain):
    directory, table = quantized
    model = load_checkpoint(directory)
    torch.testing.assert_close(logits(model), logits(load_checkpoint(plain)), rtol=0, atol=1e-5)
    packed = [m for m in model.modules() if isinstance(m, Fp8Linear | Nvfp4Linear)]
    assert len(packed) == len(table)
    assert {m.get_buffer("weight").dtype for m in packed} <= {torch.float8_e4m3fn, torch.uint8}


def test_every_weight_is_within_half_a_step_of_the_original(quantized, model):
    """FP8 has four significant bits: the error is at most a sixteenth of the value, or half the smallest step."""
    directory, table = quantized
    loaded, original = load_checkpoint(directory), model.state_dict()
    for name, scheme in table.items():
        packed = loaded.get_submodule(name)
        weight = original[f"{name}.weight"]
        error = (packed.unpacked() - weight).abs()
        if scheme == FP8:
            scale = packed.get_buffer("weight_scale")
            assert (error <= torch.maximum(weight.abs() / 16, scale * 2.0**-10) * 1.001).all()
        else:
            largest = weight.unflatten(1, (-1, 16)).abs().amax(-1, keepdim=True)
            # Half of E2M1's widest gap, 2 of 6, plus a sixteenth for the rounding of the scale.
            assert (error.unflatten(1, (-1, 16)) <= largest * (1 / 6 + 1 / 16) * 1.001 + 1e-6).all()


def test_logits_are_close_to_those_of_the_original(quantized, model):
    """Only the median is compared: where two experts have nearly equal scores, another one may be chosen."""
    ours, theirs = logits(load_checkpoint(quantized[0])), logits(model)
    assert torch.nn.functional.cosine_similarity(ours, theirs, dim=-1).median() > 0.95


def test_the_scales_of_an_fp8_cache_are_read(quantized):
    scales = [
        b
        for name, b in load_checkpoint(quantized[0]).named_buffers()
        if name.endswith(("k_scale", "v_scale"))
    ]
    assert [float(scale) for scale in scales] == [0.5, 0.5]


def test_the_table_may_be_in_config_json(quantized, tmp_path):
    directory, _ = quantized
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    table = json.loads((tmp_path / "hf_quant_config.json").read_text())["quantization"]
    (tmp_path / "hf_quant_config.json").unlink()
    config = json.loads((tmp_path / "config.json").read_text())
    config["quantization_config"] = {
        "quant_method": "modelopt",
        "quant_algo": table["quant_algo"],
        "quantized_layers": table["quantized_layers"],
        "ignore": table["exclude_modules"],
        "kv_cache_scheme": {"dynamic": False, "num_bits": 8, "type": "float"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert torch.equal(logits(load_checkpoint(tmp_path)), logits(load_checkpoint(directory)))


def test_two_tables_that_disagree_are_refused(quantized, tmp_path):
    directory, table = quantized
    for path in directory.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    inner = json.loads((tmp_path / "hf_quant_config.json").read_text())["quantization"]
    name = next(iter(table))
    config["quantization_config"] = inner | {
        "quantized_layers": {n: e for n, e in inner["quantized_layers"].items() if n != name}
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=name):
        load_checkpoint(tmp_path)
