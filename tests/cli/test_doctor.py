"""`omnireel doctor` says what `serve` will do."""

import json
import shutil
import socket

import pytest

from omnireel.cli.backend import DEMO
from omnireel.cli.machine import memory

KB = 1024


@pytest.fixture
def doctor(omnireel):
    def run(*flags):
        usual = ("--port", "0", "--data-dir", "data")
        ran = omnireel("doctor", *usual, *flags, "--json", OMNIREEL_BACKEND="local")
        return ran.returncode, json.loads(ran.stdout)

    return run


def test_a_machine_that_can_serve_the_demo_is_told_so(doctor, tmp_path):
    code, report = doctor()
    assert (code, report["serve_would_start"], report["problems"]) == (0, True, [])
    assert report["machine"]["cores"] >= 1
    assert 0 < report["machine"]["available_bytes"] <= report["machine"]["memory_bytes"]
    assert set(report["models"]) == {"BF16", "FP8", "NVFP4", "demo"}
    assert report["models"]["NVFP4"]["token_bytes"] == 6144
    assert report["models"]["demo"]["context"] == report["models"]["demo"]["max_context"]
    assert not (tmp_path / "data").exists()


def test_the_table_names_every_precision(omnireel):
    ran = omnireel("doctor", "--port", "0", OMNIREEL_BACKEND="local")
    assert ran.returncode == 0
    assert all(word in ran.stdout for word in ("BF16", "FP8", "NVFP4", "demo", "serve would start"))


def test_a_port_that_is_taken_is_a_problem(doctor):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, report = doctor("--port", str(taken.getsockname()[1]))
    assert code == 1
    assert "cannot listen" in report["problems"][0]["message"]


def test_a_data_directory_that_cannot_be_written_is_a_problem(doctor):
    code, report = doctor("--data-dir", "/proc/nowhere")
    assert code == 1
    assert "cannot write to /proc" in report["problems"][0]["message"]


def test_an_address_for_everyone_without_keys_is_a_problem(doctor):
    code, report = doctor("--host", "0.0.0.0")
    assert code == 2
    assert "anyone could call" in report["problems"][0]["message"]


def test_a_checkpoint_that_is_not_there_or_not_whole_ends_with_3(doctor, tmp_path):
    assert doctor("--model", "nowhere")[0] == 3
    shutil.copytree(DEMO, tmp_path / "broken")
    weights = tmp_path / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    code, report = doctor("--model", "broken")
    assert code == 3
    assert "model.safetensors" in report["problems"][0]["message"]


MEMINFO = "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 600 kB\n"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, (1000, 600)),
        ({"memory.max": "max\n", "memory.current": "5"}, (1000, 600)),
        ({"memory.max": str(500 * KB), "memory.current": str(100 * KB)}, (500, 400)),
        ({"memory.max": str(900 * KB), "memory.current": str(100 * KB)}, (900, 600)),
        (
            {
                "memory.max": str(500 * KB),
                "memory.current": str(300 * KB),
                "memory.stat": f"anon 7\ninactive_file {200 * KB}\n",
            },
            (500, 400),
        ),
        (
            {
                "memory/memory.limit_in_bytes": str(400 * KB),
                "memory/memory.usage_in_bytes": str(50 * KB),
            },
            (400, 350),
        ),
        ({"memory/memory.limit_in_bytes": str(2**63 - 4096)}, (1000, 600)),
    ],
)
def test_the_limit_of_the_control_group_counts(tmp_path, files, expected):
    (tmp_path / "meminfo").write_text(MEMINFO)
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory(tmp_path, tmp_path / "meminfo") == tuple(n * KB for n in expected)
