"""A machine that cannot confine the decoder serves only if its operator accepts that."""

import json

import httpx
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.cli import app
from omnireel.cli import sandbox as cli_sandbox
from omnireel.cli.serve import serve_forever
from omnireel.cli.worker import work_forever
from omnireel.errors import OmnireelError
from omnireel.settings import Settings, read_settings
from omnireel.video.decoder import sandbox
from omnireel.video.reader import process


@pytest.fixture
def weak_kernel(monkeypatch):
    monkeypatch.setattr(sandbox, "_landlock_abi", lambda: -1)


@pytest.mark.parametrize("start", [serve_forever, work_forever])
@pytest.mark.usefixtures("weak_kernel")
def test_server_and_worker_do_not_start_if_the_decoder_cannot_be_confined(start, tmp_path):
    with pytest.raises(OmnireelError, match="it lacks landlock") as caught:
        start(Settings(backend="echo", port=0, data_dir=tmp_path))
    assert "--allow-weak-sandbox" in caught.value.hint


@pytest.mark.usefixtures("weak_kernel")
def test_the_operator_may_accept_a_weak_sandbox(monkeypatch):
    monkeypatch.setenv("OMNIREEL_ALLOW_WEAK_SANDBOX", "1")
    cli_sandbox.require_sandbox(read_settings({}))


@pytest.mark.usefixtures("weak_kernel")
@pytest.mark.parametrize("command", ["ask", "inspect"])
def test_commands_about_one_video_print_a_warning_and_go_on(command, clip, monkeypatch):
    monkeypatch.setenv("OMNIREEL_BACKEND", "echo")
    ran = CliRunner().invoke(app, [command, str(clip), "What moves?", "--json"])
    assert ran.exit_code == 0
    assert "warning: This kernel cannot confine the video decoder: it lacks landlock." in ran.stderr
    assert json.loads(ran.stdout)


@pytest.mark.usefixtures("weak_kernel")
def test_trace_prints_a_warning(clip, tmp_path):
    ran = CliRunner().invoke(app, ["trace", str(clip), "?", "--out", str(tmp_path / "none" / "numbers")])
    assert "warning: This kernel cannot confine the video decoder" in ran.stderr


def test_there_is_no_warning_if_the_decoder_is_confined(clip, monkeypatch):
    monkeypatch.setenv("OMNIREEL_BACKEND", "echo")
    assert CliRunner().invoke(app, ["inspect", str(clip)]).stderr == ""


def health(tmp_path) -> httpx.Response:
    with TestClient(create_app(EchoBackend(), Settings(backend="echo", data_dir=tmp_path))) as client:
        return client.get("/health")


def test_health_says_that_the_sandbox_is_full(tmp_path):
    assert health(tmp_path).json()["sandbox"] == "full"


def test_health_reports_the_number_of_sandbox_violations(tmp_path, monkeypatch):
    before = health(tmp_path).json()["intrusions"]
    monkeypatch.setattr(process, "_sandbox_violations", [*process._sandbox_violations, 4711])
    assert health(tmp_path).json()["intrusions"] == before + 1


@pytest.mark.usefixtures("weak_kernel")
def test_health_says_that_the_sandbox_is_weak(tmp_path):
    assert health(tmp_path).json()["sandbox"] == "weak"
