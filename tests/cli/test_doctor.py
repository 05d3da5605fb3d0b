"""`omnireel doctor`: its figures are those of the machine and the files, and its exit code is serve's."""

import json
import os
import socket
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.cli.backend import DEMO
from omnireel.cli.doctor import PUBLISHED_BYTES, Machine, published_fits, sequence_bytes
from omnireel.model.config import parse_config
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
    assert demo["weight_bytes"] == (DEMO / "model.safetensors").stat().st_size
    assert demo["max_context"] == 16_384


def test_a_port_that_is_taken_is_named(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, report = examined(tmp_path, "--port", str(taken.getsockname()[1]))
    assert (code, list(problems(report))) == (1, ["port"])


def test_an_address_that_is_open_to_strangers_is_named(tmp_path):
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


def test_a_checkpoint_that_is_not_there_gets_3(tmp_path):
    code, report = examined(tmp_path, "--model", str(tmp_path / "nowhere"))
    assert (code, list(problems(report))) == (3, ["model"])


def machine(gigabytes):
    return Machine(2, [], False, int(gigabytes * 1e9), int(gigabytes * 1e9), [], 10**12)


@pytest.mark.parametrize(
    ("gigabytes", "fitting"),
    [(8, set()), (23.7, set()), (24.1, {"NVFP4"}), (40, {"FP8", "NVFP4"}), (80, set(PUBLISHED_BYTES))],
)
def test_what_fits_is_what_the_memory_holds(gigabytes, fitting):
    fits = {fit.name: fit.max_context for fit in published_fits(machine(gigabytes))}
    assert {name for name, context in fits.items() if context} == fitting


def test_a_sequence_holds_what_the_architecture_says():
    per_token, state = sequence_bytes(parse_config(published_config_json()).language)
    assert (per_token, state) == (6_144, 23 * 64 * 64 * 128 * 4)


def test_people_get_tables(tmp_path):
    command = [sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()", "doctor", "--port", "0"]
    done = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "NVFP4" in done.stdout
    assert "ok  model" in done.stdout
