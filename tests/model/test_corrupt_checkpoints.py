"""Loading a checkpoint with one fault fails with an error that names the fault and what was expected."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
from clips import ClipSpec, write_clip
from safetensors.torch import load_file, save_file

from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.checkpoint.quantized import NVFP4
from tools.quantize_checkpoint import quantize_checkpoint

LAYERS = "language_model.backbone.layers"
EXPERT, SHARED, MAMBA = (
    f"{LAYERS}.1.mixer.experts.3.up_proj",
    f"{LAYERS}.1.mixer.shared_experts.down_proj",
    f"{LAYERS}.0.mixer.in_proj",
)
OUT, KEYS, ROUTER = f"{LAYERS}.3.mixer.o_proj", f"{LAYERS}.3.mixer.k_proj", f"{LAYERS}.1.mixer.gate"
HEAD, VISION = "language_model.lm_head.weight", "vision_model.radio_model.model.blocks.0.attn.qkv.weight"


@pytest.fixture(scope="module")
def whole(written, tmp_path_factory):
    """A valid NVFP4 checkpoint."""
    directory = tmp_path_factory.mktemp("whole")
    quantize_checkpoint(written, directory, NVFP4)
    load_checkpoint(directory)
    return directory


def without(name):
    return lambda tensors: tensors.pop(name)


def put(name, tensor):
    return lambda tensors: tensors.__setitem__(name, tensor)


def change(name, edit):
    return lambda tensors: tensors.__setitem__(name, edit(tensors[name]))


def nan_code(tensor):
    codes = tensor.view(torch.uint8).clone()
    codes.flatten()[7] = 0xFF
    return codes.view(torch.float8_e4m3fn)


def with_nan(tensor):
    broken = tensor.clone()
    broken.flatten()[-1] = float("nan")
    return broken


TENSORS = {
    "packed weight missing": (without(f"{EXPERT}.weight"), f"lacks 1 .*{EXPERT}.weight"),
    "group scales missing": (without(f"{EXPERT}.weight_scale"), f"lacks 1 .*{EXPERT}.weight_scale"),
    "second scale missing": (without(f"{EXPERT}.weight_scale_2"), f"lacks 1 .*{EXPERT}.weight_scale_2"),
    "input scale missing": (without(f"{EXPERT}.input_scale"), f"lacks 1 .*{EXPERT}.input_scale"),
    "fp8 weight missing": (without(f"{MAMBA}.weight"), f"lacks 1 .*{MAMBA}.weight"),
    "fp8 scale missing": (without(f"{SHARED}.weight_scale"), f"lacks 1 .*{SHARED}.weight_scale"),
    "cache scale missing": (without(f"{KEYS}.k_scale"), f"lacks 1 .*{KEYS}.k_scale"),
    "router bias missing": (without(f"{ROUTER}.e_score_correction_bias"), f"lacks 1 .*{ROUTER}"),
    "head missing": (without(HEAD), f"lacks 1 .*{HEAD}"),
    "tower's matrix missing": (without(VISION), f"lacks 1 .*{VISION}"),
    "an extra tensor": (put(f"{LAYERS}.99.norm.weight", torch.ones(3)), r"does not have: .*layers\.99"),
    "scale of a plain matrix": (put(f"{KEYS}.weight_scale", torch.tensor(1.0)), f"does not have: .*{KEYS}"),
    "second scale in fp8": (put(f"{OUT}.weight_scale_2", torch.tensor(1.0)), f"does not have: .*{OUT}"),
    "bias of a linear": (put(f"{OUT}.bias", torch.ones(64)), f"does not have: .*{OUT}.bias"),
    "one expert too many": (put(f"{LAYERS}.1.mixer.experts.8.up_proj.weight", torch.ones(1)), r"experts\.8"),
    "packed weight too wide": (
        change(f"{EXPERT}.weight", lambda t: torch.cat([t, t], 1)),
        r"shape \[48, 64\], expected \[48, 32\]",
    ),
    "packed weight transposed": (
        change(f"{EXPERT}.weight", lambda t: t.T.contiguous()),
        r"shape \[32, 48\], expected \[48, 32\]",
    ),
    "group scales of groups of 32": (
        change(f"{EXPERT}.weight_scale", lambda t: t[:, ::2].contiguous()),
        r"shape \[48, 2\], expected \[48, 4\]",
    ),
    "scale with a dimension": (
        change(f"{MAMBA}.weight_scale", lambda t: t[None]),
        r"shape \[1\], expected \[\]",
    ),
    "scale per row": (
        change(f"{SHARED}.weight_scale", lambda t: t.repeat(64)),
        r"shape \[64\], expected \[\]",
    ),
    "fp8 weight cut": (change(f"{OUT}.weight", lambda t: t[:-1].contiguous()), f"{OUT}.weight.*has shape"),
    "head of another vocabulary": (change(HEAD, lambda t: t[:-1].contiguous()), "lm_head.*has shape"),
    "packed weight as floats": (
        change(f"{EXPERT}.weight", lambda t: t.float()),
        "stored as F32, expected U8",
    ),
    "packed weight as fp8": (
        change(f"{EXPERT}.weight", lambda t: t.view(torch.float8_e4m3fn)),
        "stored as F8_E4M3, expected U8",
    ),
    "fp8 weight as bytes": (
        change(f"{MAMBA}.weight", lambda t: t.view(torch.uint8)),
        "stored as U8, expected F8_E4M3",
    ),
    "fp8 weight as bf16": (
        change(f"{MAMBA}.weight", lambda t: t.bfloat16()),
        "stored as BF16, expected F8_E4M3",
    ),
    "plain weight as fp8": (
        change(f"{KEYS}.weight", lambda t: t.to(torch.float8_e4m3fn)),
        "stored as F8_E4M3, expected BF16 or F32",
    ),
    "plain weight as fp16": (
        change(f"{KEYS}.weight", lambda t: t.half()),
        "stored as F16, expected BF16 or F32",
    ),
    "group scales as floats": (
        change(f"{EXPERT}.weight_scale", lambda t: t.float()),
        "stored as F32, expected F8_E4M3",
    ),
    "other format of fp8": (
        change(f"{MAMBA}.weight", lambda t: t.float().to(torch.float8_e5m2)),
        "stored as F8_E5M2, expected F8_E4M3",
    ),
    "NaN code in fp8": (change(f"{MAMBA}.weight", nan_code), f"{MAMBA}.weight.*NaN"),
    "NaN code in group scales": (change(f"{EXPERT}.weight_scale", nan_code), f"{EXPERT}.weight_scale.*NaN"),
    "NaN in a scale": (change(f"{MAMBA}.weight_scale", with_nan), f"{MAMBA}.weight_scale.*NaN"),
    "infinite second scale": (
        put(f"{EXPERT}.weight_scale_2", torch.tensor(float("inf"))),
        f"{EXPERT}.weight_scale_2.*infinite",
    ),
    "NaN in the router's bias": (change(f"{ROUTER}.e_score_correction_bias", with_nan), f"{ROUTER}.*NaN"),
    "NaN in the tower": (change(VISION, with_nan), f"{VISION}.*NaN"),
}


@pytest.mark.parametrize(("edit", "message"), TENSORS.values(), ids=TENSORS)
def test_a_wrong_tensor_is_named(whole, tmp_path, edit, message):
    directory = shutil.copytree(whole, tmp_path / "broken")
    tensors = load_file(directory / "model.safetensors")
    edit(tensors)
    save_file(tensors, directory / "model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory)


def table(edit):
    def on(directory):
        path = directory / "hf_quant_config.json"
        file = json.loads(path.read_text())
        edit(file["quantization"])
        path.write_text(json.dumps(file))

    return on


def layers(**changes):
    return table(lambda q: q["quantized_layers"].update(changes))


def rewrite(name, content):
    return lambda directory: (directory / name).write_bytes(content)


def cut(share):
    def on(directory):
        path = directory / "model.safetensors"
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * share)])

    return on


FILES = {
    "table is not JSON": (rewrite("hf_quant_config.json", b"{"), "hf_quant_config.json cannot be read"),
    "table is a list": (rewrite("hf_quant_config.json", b"[]"), "not a JSON object"),
    "table is empty": (rewrite("hf_quant_config.json", b"{}"), "has no quantisation table"),
    "one scheme for all": (table(lambda q: q.update(quant_algo="NVFP4")), "quant_algo 'NVFP4'; known: MIXED"),
    "no layers": (table(lambda q: q.pop("quantized_layers")), "has no quantized_layers"),
    "unknown scheme": (layers(**{EXPERT: {"quant_algo": "W4A8_AWQ"}}), f"{EXPERT}.* as 'W4A8_AWQ'; known"),
    "scheme is no object": (layers(**{EXPERT: "NVFP4"}), f"{EXPERT}.* as None"),
    "other groups": (
        layers(**{EXPERT: {"quant_algo": "NVFP4", "group_size": 32}}),
        "groups of 32; known: 16",
    ),
    "unknown module": (
        layers(**{f"{LAYERS}.77.mixer.in_proj": {"quant_algo": "FP8"}}),
        r"layers\.77.*not a linear",
    ),
    "a norm": (layers(**{f"{LAYERS}.0.norm": {"quant_algo": "FP8"}}), r"layers\.0\.norm.*not a linear"),
    "a linear with a bias": (
        layers(**{"vision_model.radio_model.model.blocks.0.attn.qkv": {"quant_algo": "FP8"}}),
        "attn.qkv.*not a linear",
    ),
    "expert listed as fp8": (layers(**{EXPERT: {"quant_algo": "FP8"}}), f"{EXPERT}"),
    "plain matrix listed as fp8": (
        layers(**{KEYS: {"quant_algo": "FP8"}}),
        f"{KEYS}.weight.*expected F8_E4M3",
    ),
    "entry left out": (table(lambda q: q["quantized_layers"].pop(MAMBA)), f"{MAMBA}"),
    "listed and excluded": (
        table(lambda q: q["exclude_modules"].append(EXPERT)),
        f"{EXPERT}.*exclude_modules",
    ),
    "cache in int8": (table(lambda q: q.update(kv_cache_quant_algo="INT8")), "KV cache in 'INT8'"),
    "cache scales not announced": (table(lambda q: q.pop("kv_cache_quant_algo")), "does not have: .*k_scale"),
    "weights cut in the middle": (cut(0.5), "Cannot read model.safetensors"),
    "weights cut in the header": (cut(0.001), "Cannot read model.safetensors"),
    "weights empty": (rewrite("model.safetensors", b""), "Cannot read model.safetensors"),
    "weights a pickle": (rewrite("model.safetensors", b"\x80\x04]q\x00."), "Cannot read model.safetensors"),
    "header of 2^60 bytes": (
        rewrite("model.safetensors", b"\0" * 7 + b"\x10{}"),
        "Cannot read model.safetensors",
    ),
    "no weights": (lambda d: (d / "model.safetensors").unlink(), "no model.safetensors"),
    "config is no JSON": (rewrite("config.json", b"\xff"), "config.json"),
}


@pytest.mark.parametrize(("edit", "message"), FILES.values(), ids=FILES)
def test_a_wrong_file_is_named(whole, tmp_path, edit, message):
    directory = shutil.copytree(whole, tmp_path / "broken")
    edit(directory)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(directory)


def test_the_command_line_prints_two_lines_and_exits_with_3(whole, tmp_path):
    directory = shutil.copytree(whole, tmp_path / "broken")
    cut(0.5)(directory)
    clip = write_clip(tmp_path / "clip.mp4", ClipSpec(codec="mpeg4", num_frames=10))
    command = ["ask", str(clip), "?", "--model", str(directory)]
    done = subprocess.run(
        [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", *command],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 3
    assert done.stdout == ""
    assert "Cannot read model.safetensors" in done.stderr
    assert len(done.stderr.splitlines()) <= 2
