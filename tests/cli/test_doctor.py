"""`omnireel doctor`: its figures agree with the machine and the files, and its exit code says if serve would start."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from omnireel.cli import app, backend
from omnireel.cli.backend import DEMO, dtype_of
from omnireel.cli.models import doctor
from omnireel.cli.models.doctor import PUBLISHED_BYTES, Machine, published_fits, sequence_bytes
from omnireel.cli.models.pack import pack_once
from omnireel.errors import CheckpointError
from omnireel.model.checkpoint.encoders import encoder_bytes
from omnireel.model.checkpoint.gguf.container import read_header
from omnireel.model.checkpoint.load import load_checkpoint, weight_bytes
from omnireel.model.checkpoint.model_files import ModelFiles, files_in
from omnireel.model.config import parse_config, read_config
from omnireel.settings import Settings
from tools.quantize_checkpoint import quantize_checkpoint
from tools.scaled_checkpoint import Sizes, published_config_json, write_checkpoint


def examined(tmp_path, *flags):
    command = ["doctor", "--data-dir", str(tmp_path / "data"), "--port", "0", "--json", *flags]
    result = CliRunner().invoke(app, command)
    return result.exit_code, json.loads(result.stdout)


def problems(report):
    return {check["name"]: check["problem"] for check in report["checks"] if check["problem"]}


def test_a_machine_on_which_serve_would_start_gets_0(tmp_path):
    code, report = examined(tmp_path)
    assert (code, problems(report)) == (0, {})
    machine = report["machine"]
    assert machine["num_cores"] == len(os.sched_getaffinity(0))
    assert 0 < machine["available_bytes"] <= machine["memory_bytes"]
    (demo,) = [fit for fit in report["fits"] if fit["name"] == "demo"]
    with safe_open(DEMO / "model.safetensors", framework="pt") as file:
        sizes = [file.get_tensor(name).numel() for name in file.keys()]  # noqa: SIM118  it is no dict
    assert demo["weight_bytes"] == 4 * sum(sizes)  # it computes in fp32
    assert demo["max_context"] == 16_384


@pytest.mark.parametrize("place", ["file", "file/data", "/proc/omnireel"])
def test_a_data_directory_that_cannot_be_made_is_named(tmp_path, place):
    (tmp_path / "file").write_text("x")
    code, report = examined(tmp_path, "--data-dir", str(tmp_path / place))
    assert (code, next(iter(problems(report)))) == (1, "data directory")
    assert place in problems(report)["data directory"]


def test_looking_at_a_data_directory_leaves_it_as_it_is(tmp_path):
    examined(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, report = examined(tmp_path, "--port", str(taken.getsockname()[1]))
    assert (code, list(problems(report))) == (1, ["port"])


def test_an_address_that_other_machines_can_reach_without_a_key_is_named(tmp_path):
    code, report = examined(tmp_path, "--host", "0.0.0.0")
    assert (code, list(problems(report))) == (1, ["port"])


def test_a_checkpoint_is_checked_by_its_headers(tmp_path):
    write_checkpoint(tmp_path / "good", Sizes())
    quantize_checkpoint(tmp_path / "good", tmp_path / "packed", "NVFP4")
    for name in ("good", "packed"):
        assert examined(tmp_path, "--model", str(tmp_path / name))[0] == 0
    (tmp_path / "packed" / "hf_quant_config.json").unlink()
    code, report = examined(tmp_path, "--model", str(tmp_path / "packed"))
    assert code == 3
    assert "does not have" in problems(report)["model"]


def test_a_missing_checkpoint_gets_3(tmp_path):
    code, report = examined(tmp_path, "--model", str(tmp_path / "nowhere"))
    assert (code, list(problems(report))) == (3, ["model"])


def machine(gigabytes):
    return Machine(2, [], False, int(gigabytes * 1e9), int(gigabytes * 1e9), [], 10**12)


@pytest.mark.parametrize(
    ("gigabytes", "fitting"),
    [(8, set()), (23.7, set()), (24.1, {"NVFP4"}), (40, {"FP8", "NVFP4"}), (80, set(PUBLISHED_BYTES))],
)
def test_checkpoints_fit_according_to_the_memory(gigabytes, fitting):
    fits = {fit.name: fit.max_context for fit in published_fits(Settings(), machine(gigabytes))}
    assert {name for name, context in fits.items() if context} == fitting


def test_what_does_not_fit_says_why_in_numbers():
    problems = {fit.name: fit.problem for fit in published_fits(Settings(), machine(23.6))}
    assert problems["NVFP4"] == (
        "22.41 GB of weights, 0.05 GB of state and 1.50 GB of buffers are 23.96 GB; "
        "23.60 GB of memory are available"
    )
    assert problems["BF16"].endswith("are 67.58 GB; 23.60 GB of memory are available")
    assert {fit.problem for fit in published_fits(Settings(), machine(80))} == {None}


def test_the_state_of_a_sequence_is_as_large_as_the_architecture_says():
    language = parse_config(published_config_json()).language
    assert sequence_bytes(language, torch.bfloat16) == (6_144, 23 * 64 * 64 * 128 * 4)
    assert sequence_bytes(language, torch.float32) == (12_288, 23 * 64 * 64 * 128 * 4)


def test_more_slots_leave_each_sequence_less_context_and_a_context_limits_it():
    def contexts(gigabytes, **settings):
        return {fit.name: fit.max_context for fit in published_fits(Settings(**settings), machine(gigabytes))}

    state, token = 23 * 64 * 64 * 128 * 4, 6_144
    left = 24_500_000_000 - int(PUBLISHED_BYTES["NVFP4"]) - 1_500_000_000
    assert contexts(24.5)["NVFP4"] == (left - state) // token
    assert contexts(24.5, slots=4)["NVFP4"] == (left - 4 * state) // (4 * token)
    assert contexts(24.5, slots=64)["NVFP4"] == 0
    assert contexts(24.5, slots=4, context=8192)["NVFP4"] == 8192


def test_the_flags_of_serve_that_decide_about_memory_are_taken(tmp_path):
    code, report = examined(tmp_path, "--dtype", "bfloat16", "--slots", "3", "--context", "4096")
    (demo,) = [fit for fit in report["fits"] if fit["name"] == "demo"]
    assert (code, demo["max_context"]) == (0, 4096)
    assert demo["state_bytes"] == 3 * sequence_bytes(read_config(DEMO).language, torch.bfloat16)[1]
    assert demo["weight_bytes"] == weight_bytes(DEMO, torch.bfloat16)


def test_sequences_of_a_gguf_that_memory_cannot_hold_are_named_as_serve_does(tmp_path, monkeypatch):
    pack_once(Settings(), tmp_path / "packed", matrices="bf16", experts=None, as_json=True)
    flags = ("--model", str(tmp_path / "packed"))
    assert "memory" not in problems(examined(tmp_path, *flags)[1])
    monkeypatch.setattr(doctor, "available_memory", lambda: 500_000_000)
    code, report = examined(tmp_path, *flags, "--slots", "64", "--context", "16384")
    assert code >= 2  # 3 where the library for GGUFs is not installed
    assert problems(report)["memory"].startswith("64 sequences of 16,384 tokens take ")
    (hint,) = [check["hint"] for check in report["checks"] if check["name"] == "memory"]
    assert hint == "Choose a smaller --context or fewer --slots."
    assert "memory" not in problems(examined(tmp_path, *flags, "--slots", "1", "--context", "16384")[1])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_loaded_weights_take_as_many_bytes_as_was_computed_before(tmp_path, packed, dtype):
    directory = tmp_path / "plain"
    write_checkpoint(directory, Sizes())
    if packed:
        quantize_checkpoint(directory, tmp_path / "packed", "NVFP4")
        directory = tmp_path / "packed"
    loaded = sum(tensor.nbytes for tensor in load_checkpoint(directory, dtype).state_dict().values())
    assert weight_bytes(directory, dtype) == loaded


def test_without_memory_for_fp32_weights_a_slow_bf16_is_chosen(tmp_path, monkeypatch):
    write_checkpoint(tmp_path, Sizes())
    monkeypatch.setattr(backend, "has_bf16_units", lambda: False)
    needed = weight_bytes(tmp_path, torch.float32) + backend.OVERHEAD_BYTES
    chosen = {}
    for available in (needed - 1, needed):
        monkeypatch.setattr(backend, "available_memory", lambda available=available: available)
        chosen[available - needed] = dtype_of(Settings(), ModelFiles(tmp_path, None, "written"))
    assert chosen == {-1: torch.bfloat16, 0: torch.float32}


def test_the_encoders_beside_a_gguf_get_fp32_only_where_both_fit(tmp_path, monkeypatch):
    write_checkpoint(tmp_path / "plain", Sizes())
    pack_once(
        Settings(model=str(tmp_path / "plain")),
        tmp_path / "packed",
        matrices="bf16",
        experts=None,
        as_json=True,
    )
    monkeypatch.setattr(backend, "has_bf16_units", lambda: False)
    files = files_in(tmp_path / "packed")
    tensors = read_header(files.language).tensors.values()
    needed = encoder_bytes(files.directory, torch.float32) + sum(entry.num_bytes for entry in tensors)
    needed += backend.OVERHEAD_BYTES
    chosen = {}
    for available in (needed - 1, needed):
        monkeypatch.setattr(backend, "available_memory", lambda available=available: available)
        chosen[available - needed] = dtype_of(Settings(), files)
    assert chosen == {-1: torch.bfloat16, 0: torch.float32}


def test_without_json_it_prints_tables(tmp_path):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "doctor", "--port", "0"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "NVFP4" in done.stdout
    assert "ok      model" in done.stdout


def test_people_read_once_how_much_memory_a_checkpoint_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "available_memory", lambda: 23_600_000_000)
    command = ["doctor", "--data-dir", str(tmp_path / "data"), "--port", "0"]
    lines = CliRunner().invoke(app, command, env={"COLUMNS": "120"}).stdout.splitlines()
    (line,) = [line for line in lines if "│ NVFP4 " in line]
    assert "22.41 GB" in line
    assert "0.4 GB short" in line
    (at,) = [n for n, line in enumerate(lines) if line.startswith("Context: of one sequence, beside")]
    assert max(map(len, lines[at : at + 3])) <= 120


def test_a_hint_is_printed_with_its_brackets(tmp_path, monkeypatch):
    error = CheckpointError("The library is not installed.", hint="pip install 'omnireel[gguf]'")

    def fail(*_):
        raise error

    monkeypatch.setattr(doctor, "find_model", fail)
    command = ["doctor", "--data-dir", str(tmp_path), "--port", "0"]
    assert "        pip install 'omnireel[gguf]'" in CliRunner().invoke(app, command).stdout


def test_a_setting_with_which_serve_would_not_start_is_refused(tmp_path):
    flags = ("--data-dir", str(tmp_path / "data"), "--backend", "echo", "--slots", "4")
    result = CliRunner().invoke(app, ["doctor", *flags])
    assert result.exit_code == 2
    assert "slots is set and has no effect: backend is echo." in result.output
