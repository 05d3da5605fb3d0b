"""On another system than Linux, commands that read a clip end with a sentence before they call its kernel."""

import platform

import pytest
from typer.testing import CliRunner

from omnireel.cli import app
from omnireel.video.decoder import sandbox


def called(*_):
    raise AssertionError("a system call of Linux was made")


@pytest.fixture(autouse=True)
def mac(monkeypatch):
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(sandbox, "_landlock_abi", called)
    monkeypatch.setattr(sandbox, "_seccomp", called)


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "a.mp4", "?"],
        ["inspect", "a.mp4"],
        ["trace", "a.mp4", "?", "--out", "t"],
        ["serve"],
        ["doctor"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_commands_that_read_clips_are_refused(arguments, tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIREEL_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("OMNIREEL_ALLOW_WEAK_SANDBOX", "1")
    ran = CliRunner().invoke(app, arguments)
    assert ran.exit_code == 1
    assert "Videos are read on Linux only; this is Darwin." in ran.stderr
    assert "hint: Run the container image" in ran.stderr


def test_no_part_of_the_sandbox_is_promised():
    assert sandbox.missing() == ("landlock", "seccomp")


def test_other_commands_go_on():
    assert CliRunner().invoke(app, ["version"]).exit_code == 0
