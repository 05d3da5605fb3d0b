"""A data directory that cannot be used is named, with what to do, before anything else is done."""

import base64
import os
import pwd
import subprocess
import sys
from dataclasses import replace

import pytest
from keyed import create_key
from served import Server

from omnireel.cli.models.doctor import run_checks
from omnireel.cli.serving.tls import ensure_certificates
from omnireel.errors import OmnireelError
from omnireel.settings import Settings
from omnireel.storage.directories import make_directory
from omnireel.store.keys import read_pepper
from omnireel.webhooks.signing import KeyFile

COMMAND = (sys.executable, "-c", "import omnireel.cli; omnireel.cli.main()")
COMMANDS = {
    "serve": ["serve", "--port", "0"],
    "worker": ["worker"],
    "keys create": ["keys", "create"],
    "keys list": ["keys", "list"],
    "keys revoke": ["keys", "revoke", "x"],
    "webhooks list": ["webhooks", "list"],
    "webhooks keys": ["webhooks", "keys"],
    "webhooks rotate": ["webhooks", "rotate"],
    "ask": ["ask", "data:video/mp4;base64,CLIP", "hi"],
    "inspect": ["inspect", "data:video/mp4;base64,CLIP"],
}
# Root may write everywhere, unless it gives that up.
WITHOUT_PRIVILEGES = [] if os.geteuid() else ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
# Opened to look for a store, and not made: its absence is what such a command reports.
ONLY_READS = {"webhooks list"}


def places(tmp_path):
    (tmp_path / "file").write_text("x")
    return {
        "a file": tmp_path / "file",
        "below a file": tmp_path / "file" / "data",
        "under /proc": "/proc/omnireel",
    }


def outcome(ran):
    """Exit code, and whether the error is one named line with one line of hint."""
    lines = [line for line in ran.stderr.splitlines() if line.startswith(("error: ", "hint: "))]
    return ran.returncode, [line.partition(":")[0] for line in lines], "internal error" in ran.stderr


@pytest.mark.parametrize("place", ["a file", "below a file", "under /proc"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_data_directory_that_cannot_be_made_is_named(omnireel, clip, tmp_path, name, place):
    path = places(tmp_path)[place]
    content = base64.b64encode(clip.read_bytes()).decode()
    arguments = [argument.replace("CLIP", content) for argument in COMMANDS[name]]
    ran = omnireel(*arguments, OMNIREEL_DATA_DIR=str(path))
    assert outcome(ran) == (1, ["error", "hint"], False), ran.stderr
    assert str(path) in ran.stderr
    assert "--data-dir" in ran.stderr or name.startswith("webhooks")


@pytest.mark.parametrize("name", sorted(set(COMMANDS) - ONLY_READS))
def test_a_home_that_cannot_be_made_is_named(omnireel, clip, name):
    content = base64.b64encode(clip.read_bytes()).decode()
    arguments = [argument.replace("CLIP", content) for argument in COMMANDS[name]]
    ran = omnireel(*arguments, HOME="/proc/nobody")
    assert outcome(ran) == (1, ["error", "hint"], False), ran.stderr
    assert "/proc/nobody/.local/share/omnireel" in ran.stderr


def test_a_file_is_asked_about_without_any_data_directory(omnireel, clip):
    assert omnireel("ask", clip, "hi", HOME="/proc/nobody").stdout == "echo: hi\n"


@pytest.mark.parametrize(("mode", "name"), [(0o500, "keys list"), (0o500, "serve"), (0o000, "webhooks list")])
def test_a_directory_without_permission_is_named(environment, tmp_path, mode, name):
    folder = tmp_path / "data"
    folder.mkdir(mode=mode)
    ran = subprocess.run(
        [*WITHOUT_PRIVILEGES, *COMMAND, *COMMANDS[name]],
        capture_output=True,
        encoding="utf-8",
        env=environment | {"OMNIREEL_DATA_DIR": str(folder)},
        timeout=120,
        check=False,
    )
    assert outcome(ran) == (1, ["error", "hint"], False), ran.stderr
    assert f"{folder} cannot be used: Permission denied" in ran.stderr


def test_without_a_home_directory_the_settings_say_what_to_set(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    with pytest.raises(OmnireelError, match="no home directory") as raised:
        Settings().data_directory  # noqa: B018
    assert "OMNIREEL_DATA_DIR" in raised.value.hint


def test_a_directory_is_made_for_this_user_alone(tmp_path):
    path = tmp_path / "a" / "b"
    make_directory(path)
    make_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700
    assert list(path.iterdir()) == []


def test_a_directory_that_others_could_read_is_closed_to_them(tmp_path):
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    make_directory(path)
    assert path.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_all_users_share_stays_open_to_them(tmp_path):
    tmp_path.chmod(0o1777)
    make_directory(tmp_path)
    assert tmp_path.stat().st_mode & 0o7777 == 0o1777


def test_files_with_secrets_are_closed_to_others_whatever_they_were(tmp_path):
    read_pepper(tmp_path / "pepper")
    ensure_certificates(tmp_path / "tls", "localhost")
    KeyFile(tmp_path / "keys.json").load(0.0)
    secret = [tmp_path / name for name in ("pepper", "keys.json", "tls/ca-key.pem", "tls/server-key.pem")]
    for path in (*secret, tmp_path / "tls"):
        path.chmod(0o777)
    read_pepper(tmp_path / "pepper")
    ensure_certificates(tmp_path / "tls", "localhost")
    KeyFile(tmp_path / "keys.json").load(0.0)
    assert [path.stat().st_mode & 0o777 for path in secret] == [0o600] * 4
    assert (tmp_path / "tls").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"secret", None])
def test_a_pepper_that_is_not_whole_is_refused(omnireel, tmp_path, content):
    if content is None:
        (tmp_path / "pepper").mkdir()
    else:
        (tmp_path / "pepper").write_bytes(content)
    for command in (["keys", "create"], ["serve", "--port", "0", "--backend", "echo"]):
        ran = omnireel(*command, OMNIREEL_DATA_DIR=str(tmp_path))
        assert outcome(ran) == (1, ["error", "hint"], False), ran.stderr
        assert f"The pepper in {tmp_path / 'pepper'} cannot be used" in ran.stderr


def failing(settings):
    """The checks of `doctor` that fail."""
    return [check.name for check in run_checks(settings) if check.problem]


def test_doctor_says_that_a_server_would_take_nothing_for_want_of_space(tmp_path):
    settings = Settings(data_dir=tmp_path, backend="echo", port=0)
    assert failing(settings) == []
    assert failing(replace(settings, min_free_bytes=2**60)) == ["disk space"]


def test_a_server_of_accounts_that_would_ask_for_no_key_is_refused(omnireel, tmp_path):
    """`--auth keys` was forgotten. `doctor` says so as well."""
    settings = Settings(data_dir=tmp_path, backend="echo", port=0)
    assert failing(settings) == []
    create_key(tmp_path, account="ann")
    command = ["serve", "--port", "0", "--backend", "echo"]
    ran = omnireel(*command, OMNIREEL_DATA_DIR=str(tmp_path))
    assert (ran.returncode, "auth is none" in ran.stderr, "--auth keys" in ran.stderr) == (2, True, True)
    assert failing(settings) == ["keys"]
    assert failing(replace(settings, auth="keys")) == failing(replace(settings, allow_anonymous=True)) == []
    with Server(tmp_path, OMNIREEL_ALLOW_ANONYMOUS="1") as server:
        assert server.stop() == 0
