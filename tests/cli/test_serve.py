"""The sockets and the process of `omnireel serve`."""

import json
import socket
import subprocess
import sys
from contextlib import closing

import pytest
from served import Server, Worker

from omnireel.cli.serve import bound_socket, serve_forever
from omnireel.errors import SettingsError
from omnireel.settings import Settings
from omnireel.store.sqlite.database import connect


def test_an_answer_in_two_parts_does_not_wait_for_an_acknowledgement_in_between():
    with bound_socket(Settings(), 0) as listener:
        listener.listen()
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_process_ends_although_its_application_was_never_served(tmp_path):
    """This happens if the start fails after the store was opened."""
    source = """
import sys
from pathlib import Path
from omnireel.api.app import create_app
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings
create_app(EchoBackend(), Settings(data_dir=Path(sys.argv[1])))
"""
    assert (
        subprocess.run([sys.executable, "-c", source, str(tmp_path)], timeout=30, check=False).returncode == 0
    )


@pytest.mark.parametrize(
    ("command", "table", "tasks"), [(Server, "outbox", {"sender", "worker"}), (Worker, "jobs", {"worker"})]
)
def test_a_process_whose_task_broke_ends_at_once_with_1(tmp_path, command, table, tasks):
    """Service managers restart a program only if it failed."""
    with command(tmp_path) as process:
        with closing(connect(tmp_path / "omnireel.db")) as db:
            db.execute("PRAGMA foreign_keys = OFF")
            db.execute(f"DROP TABLE {table}")
        assert process.process.wait(60) == 1
    failed = [line for line in process.log() if line["event"] == "a background task failed"]
    assert failed
    assert {line["task"] for line in failed} <= tasks  # the first one ends the process
    assert all("Traceback" in line["exception"] for line in failed)
    lines = process.log_path.read_text().splitlines()
    assert json.loads(lines[-1])["event"] == "this process ends"
    assert all(line.startswith("{") for line in lines)


def test_one_port_for_both_listeners_is_refused():
    with pytest.raises(SettingsError, match="port and tls_port are both 8443"):
        serve_forever(Settings(port=8443, tls="dev", tls_port=8443))


@pytest.mark.parametrize("flag", ["--port", "--tls-port"])
def test_a_port_that_another_server_takes_while_the_model_is_loaded_is_an_error_with_a_hint(
    tmp_path, environment, flag
):
    """Both bind the port. Only the first to listen gets it."""
    source = """
import importlib, socket, sys
from omnireel import cli
from omnireel.settings import Settings
serve = importlib.import_module("omnireel.cli.serve")
other = serve.bound_socket(Settings(), 0)
open_backend = serve.open_backend
serve.open_backend = lambda *given: other.listen() or open_backend(*given)
sys.argv = ["omnireel", "serve", "--port", "0", "--tls", "dev", "--tls-port", "0", "--data-dir", "data"]
sys.argv += [FLAG, str(other.getsockname()[1])]
cli.main()
"""
    ran = subprocess.run(
        [sys.executable, "-c", source.replace("FLAG", repr(flag))],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    error, hint = ran.stderr.splitlines()
    assert ran.returncode == 1
    assert error.startswith("error: Cannot listen on 127.0.0.1 port ")
    assert error.endswith(": Address already in use.")
    assert f"another port: {flag} " in hint
