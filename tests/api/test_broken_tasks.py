"""A server whose background tasks have failed reports it and asks for the end of its process."""

import asyncio
import contextlib
import sys
import time

import pytest
from starlette.testclient import TestClient

from omnireel.api.app import create_app
from omnireel.backends.base import Health
from omnireel.backends.echo import EchoBackend
from omnireel.settings import Settings
from omnireel.store.sqlite.database import Database


class Dead(EchoBackend):
    """A backend whose thread has ended."""

    async def health(self):
        return Health(is_ready=False, model="none", detail="The engine has stopped.", has_failed=True)


def break_the_webhooks(app):
    async def is_due(*, now):
        raise OSError(f"broken at {now}")

    app.state.supervisor.sender.webhooks.is_due = is_due


def break_the_worker(app):
    async def claim(claim, *, now):
        raise OSError(f"broken at {now} for {claim}")

    app.state.supervisor.worker.jobs.claim = claim


def break_the_sweeper(app):
    async def sweep(*, now):
        raise RuntimeError(f"broken at {now}")

    app.state.supervisor.uploads.store.uploads.sweep = sweep


def break_the_writing_of_the_store(app):
    app.state.supervisor.store._database.post(lambda _: sys.exit())


def delete_the_store(app):
    app.state.supervisor.store._database._path.unlink()


BREAKS = [
    break_the_webhooks,
    break_the_worker,
    break_the_sweeper,
    break_the_writing_of_the_store,
    delete_the_store,
    None,
]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("break_it", BREAKS)
def test_a_failed_task_makes_the_server_not_ready_and_is_reported_once(tmp_path, break_it):
    calls = []
    backend = Dead() if break_it is None else EchoBackend()
    settings = Settings(backend="echo", data_dir=tmp_path)
    app = create_app(backend, settings, on_failure=lambda: calls.append(1))
    with contextlib.suppress(RuntimeError), TestClient(app) as client:
        if break_it is not None:
            assert client.get("/health/ready").status_code == 200
            break_it(app)
        until = time.monotonic() + 60
        while not calls:
            assert time.monotonic() < until
            time.sleep(0.02)
        answer = client.get("/health/ready")
        assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
        assert client.get("/health").status_code == 200
    assert calls == [1]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_store_whose_writing_thread_has_ended_says_so(tmp_path):
    async def end_it(database):
        database.post(lambda _: sys.exit())
        until = time.monotonic() + 20
        while time.monotonic() < until:
            database.check()
            await asyncio.sleep(0.01)

    database = Database(tmp_path / "store.db")
    database.check()
    with pytest.raises(RuntimeError, match="thread that writes"):
        asyncio.run(end_it(database))
