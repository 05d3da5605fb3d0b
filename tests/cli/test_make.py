"""`make serve` and `make demo` as a person at a terminal uses them."""

import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path(sys.prefix)


@contextmanager
def made(tmp_path, *words):
    """Runs a target of the makefile in a process group of its own, as a terminal does; set-up is done already."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("OMNIREEL_", "MAKE", "MFLAGS"))
    }
    settings = {"OMNIREEL_BACKEND": "echo", "OMNIREEL_DATA_DIR": str(tmp_path / "data")}
    process = subprocess.Popen(
        ["make", f"--old-file={FOLDER}/.setup-done", f"VENV={FOLDER}", *words],
        cwd=ROOT,
        env=kept | settings,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()


@pytest.mark.parametrize(
    ("words", "ready", "last"),
    [(("serve", "PORT=0"), '"listening"', '"stopping"'), (("demo",), "demo: Making", "demo: Interrupted.")],
    ids=["serve", "demo"],
)
def test_an_interrupt_ends_a_target_in_one_line(tmp_path, words, ready, last):
    with made(tmp_path, *words) as process:
        assert any(ready in line for line in process.stderr)
        os.killpg(process.pid, signal.SIGINT)
        (line,) = process.stderr.read().splitlines()
        assert last in line
        assert process.wait(60) == -signal.SIGINT


def test_a_port_in_use_is_answered_with_the_words_for_another_one(tmp_path, omnireel, environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with made(tmp_path, "serve", f"PORT={port}") as process:
            _, written = process.communicate(timeout=60)
        assert process.returncode == 2
        assert f"Cannot listen on 127.0.0.1 port {port}" in written
        assert f"make serve PORT={port + 1}." in written
        ran = omnireel("serve", "--port", port, "--data-dir", tmp_path)
        assert f"choose another port: --port {port + 1}. 0 takes" in ran.stderr
