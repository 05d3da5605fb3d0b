"""What `omnireel pack` writes, in the library that reads it."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.cli.backend import DEMO
from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.encoders import load_encoders
from omnireel.model.checkpoint.gguf import library
from omnireel.model.checkpoint.gguf.container import FORMATS, read_header
from omnireel.model.checkpoint.gguf.embeddings import GgufEmbeddings
from omnireel.model.checkpoint.gguf.formats import Recipe
from omnireel.model.checkpoint.gguf.layout import metadata, parts, vocabulary
from omnireel.model.checkpoint.gguf.probe import probe_library
from omnireel.model.checkpoint.gguf.source import Source
from omnireel.model.checkpoint.gguf.writer import Plan, write_gguf
from omnireel.model.checkpoint.load import load_checkpoint
from omnireel.model.checkpoint.quantized import NVFP4
from omnireel.model.config import read_config
from tools.quantize_checkpoint import quantize_checkpoint
from tools.scaled_checkpoint import Sizes, write_checkpoint

IDS = torch.randint(32, 300, (70,), generator=torch.Generator().manual_seed(0))


def torch_logits(model, ids=IDS):
    with torch.inference_mode():
        hidden = model.forward_hidden(model.embed(ids)[None], model.new_state())
        return model.logits(hidden)[0].numpy()


def write(directory, path, recipe):
    config = read_config(directory).language
    values = metadata(config, "test", vocabulary(directory, config.vocab_size))
    with Source(directory) as source:
        write_gguf(
            path, source, Plan(values, recipe.plan(parts(config), config.num_experts)), lambda *_: None
        )
    return path


SHAPES = [
    Sizes(),
    Sizes(hidden_size=96, pattern="M*EM*E", num_experts=12, num_experts_per_token=3, expert_width=32),
    Sizes(
        hidden_size=128, pattern="MMEE*", mamba_num_heads=4, mamba_head_dim=32, state_size=32, num_groups=1
    ),
]


@pytest.mark.parametrize("sizes", SHAPES, ids=["5 layers", "6 layers", "1 group"])
def test_a_gguf_in_fp32_gives_the_logits_of_torch(sizes, tmp_path, opened):
    write_checkpoint(tmp_path / "x", sizes)
    model = load_checkpoint(tmp_path / "x")
    wanted = torch_logits(model)
    llama = opened(write(tmp_path / "x", tmp_path / "x.gguf", Recipe("f32", "f32")), sizes.vocab_size)
    for values in (model.embed(IDS).numpy(), IDS.numpy()):
        found = llama.run(values)
        assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_the_packed_demo_in_fp32_answers_as_the_demo(packed, demo, opened):
    directory = packed("f32")
    llama, wanted = opened(directory / "language.gguf"), torch_logits(demo)
    found = llama.run(GgufEmbeddings(directory / "language.gguf")(IDS).numpy())
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()
    assert (found.argmax(1) == wanted.argmax(1)).all()
    pixels = torch.rand(1, 6, 64, 64)
    assert torch.equal(
        load_encoders(directory, torch.float32).encode_video(pixels), demo.encode_video(pixels)
    )


@pytest.mark.parametrize(
    ("types", "kinds"),
    [
        (("bf16", None), {"bf16", "f32"}),
        (("q8_0", None), {"q8_0", "f32"}),
        (("q8_0", "q4_0"), {"q8_0", "q4_0", "f32"}),
        (("q4_0", None), {"q4_0", "q8_0", "f32"}),
        (("q4_k", None), {"q5_0", "q8_0", "f32"}),  # rows of 192 do not fill its blocks of 256
    ],
)
def test_the_library_takes_every_type(packed, demo, opened, types, kinds):
    path = packed(*types) / "language.gguf"
    header = read_header(path)
    assert {entry.format.name for entry in header.tensors.values()} == kinds
    probe_library(header)
    rows = GgufEmbeddings(path)(IDS)
    table = demo.embed(IDS)
    assert (rows - table).abs().max() <= table.abs().max() / 100
    llama = opened(path)
    assert np.array_equal(llama.run(rows.numpy()), llama.run(IDS.numpy()))
    agree = (llama.run(IDS.numpy()).argmax(1) == torch_logits(demo).argmax(1)).mean()
    assert agree >= 0.5, "ids by chance would agree once in a thousand"


@pytest.mark.parametrize(
    ("name", "relative"), [("q8_0", 0.01), ("q5_0", 0.05), ("q4_K", 0.1), ("q4_0", 0.15)]
)
def test_packing_and_unpacking_keeps_values_within_the_formats_step(name, relative):
    values = np.random.default_rng(0).standard_normal((3, 512)).astype(np.float32)
    raw = np.frombuffer(library.pack(values, FORMATS[name]), np.uint8).reshape(3, -1)
    found = library.unpack(raw, FORMATS[name], 512)
    assert math.sqrt(np.square(found - values).mean()) < relative


def test_nvfp4_weights_give_the_results_of_the_torch_model(tmp_path, opened):
    """The library quantises activations to 8 bits; so does it with Q8_0, whose weights are rounded in addition."""
    write_checkpoint(tmp_path / "x", Sizes(hidden_size=128, expert_width=64))
    quantize_checkpoint(tmp_path / "x", tmp_path / "packed", NVFP4)
    model = load_checkpoint(tmp_path / "packed")
    wanted, off = torch_logits(model), {}
    for experts in ("nvfp4", "q8_0"):
        path = write(tmp_path / "packed", tmp_path / f"{experts}.gguf", Recipe("f32", experts))
        probe_library(read_header(path))
        off[experts] = np.median(np.abs(opened(path, 320).run(IDS.numpy()) - wanted))
    assert off["nvfp4"] <= 1.2 * off["q8_0"]
    assert off["nvfp4"] <= 0.01 * np.abs(wanted).max()


def stand_in(directory, code):
    """A package in place of the library."""
    (directory / "llama_cpp").mkdir()
    (directory / "llama_cpp" / "__init__.py").write_text("")
    (directory / "llama_cpp" / "llama_cpp.py").write_text(code)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import os; os.kill(os.getpid(), 11)", r"crashes on this processor \(SIGSEGV\)"),
        ("raise OSError('libllama.so: wrong ELF class')", "cannot be loaded: libllama.so: wrong ELF class"),
    ],
)
def test_a_library_that_crashes_or_refuses_is_named_with_the_flag_to_build_it(
    packed, tmp_path, monkeypatch, code, message
):
    stand_in(tmp_path, code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CheckpointError, match=message) as raised:
        probe_library(read_header(packed("q8_0") / "language.gguf"))
    assert "make gguf" in str(raised.value.hint)
    assert "GGML_NATIVE=OFF" in str(raised.value.hint)


def test_a_model_that_the_library_refuses_is_named(packed, monkeypatch):
    from omnireel.model.checkpoint.gguf import layout, probe

    monkeypatch.setattr(layout, "ARCHITECTURE", "nemotron_h_unknown")
    with pytest.raises(CheckpointError, match=r"refuses a model of this kind: .*unknown model architecture"):
        probe.probe_library(read_header(packed("q8_0") / "language.gguf"))


def test_doctor_checks_a_packed_directory_to_the_last_byte(packed, tmp_path):
    directory = packed("q8_0")
    command = [
        "doctor",
        "--data-dir",
        str(tmp_path / "data"),
        "--port",
        "0",
        "--json",
        "--model",
        str(directory),
    ]
    report = CliRunner().invoke(app, command)
    assert report.exit_code == 0, report.stdout
    (own,) = [fit for fit in json.loads(report.stdout)["fits"] if fit["name"] == str(directory)]
    assert own["decode_tokens_s"] > 0
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in directory.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    damaged = bytearray((copy / "language.gguf").read_bytes())
    damaged[-1000] ^= 1
    (copy / "language.gguf").write_bytes(damaged)
    report = CliRunner().invoke(app, [*command[:-1], str(copy)])
    assert report.exit_code == 3
    assert "language.gguf is damaged" in report.stdout


def test_the_command_packs_in_a_process_of_its_own(tmp_path):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "pack", "demo"]
    environ = os.environ | {"OMP_NUM_THREADS": "1"}
    flags = ["--out", str(tmp_path / "out"), "--type", "q8_0", "--experts", "q4_0", "--json"]
    ran = subprocess.run([*command, *flags], capture_output=True, text=True, env=environ, check=False)
    assert ran.returncode == 0, ran.stderr
    report = json.loads(ran.stdout)
    assert report["formats"]["q4_0"] == 8, "the up and down matrices of four layers of experts"
    assert report["bytes"]["language.gguf"] < (DEMO / "model.safetensors").stat().st_size / 3
