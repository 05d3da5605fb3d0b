"""Another connection locks the store for longer than a write waits: answers come late, and none is lost."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
from in_process import serving, wait_until
from test_disconnects_and_failures import ID, Scripted, post

from omnireel.store.sqlite.database import connect
from omnireel.task import Answer, FinishReason, Progress

# In a deployment, a write waits 5 s. A lock of 14 s is then as long as this one is here.
BUSY_MS, LOCKED_S = 300, 0.9


class Answering(Scripted):
    """Answers as soon as the test lets it."""

    may_end = False

    async def generate(self, task, files):
        self.events.append("started")
        while not self.may_end:
            yield Progress("video", "working")
            await asyncio.sleep(0.02)
        yield Answer("yes", None, FinishReason.stop, 2, 1, None)


@contextmanager
def locked(path: Path):
    with closing(connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")


def test_answers_that_cannot_be_stored_for_a_while_come_late(tmp_path, clip_uri, monkeypatch):
    monkeypatch.setattr("omnireel.store.sqlite.database._BUSY_TIMEOUT_MS", BUSY_MS)
    body, backend = {"prompt": "hello", "video_url": clip_uri}, Answering()
    with serving(backend, data_dir=tmp_path) as url, ThreadPoolExecutor(1) as callers:
        direct = callers.submit(post, url, body)
        queued = httpx.post(f"{url}/queue/{ID}", json=body, timeout=30).json()
        wait_until(lambda: len(backend.events) == 2)
        with locked(tmp_path / "omnireel.db"):
            backend.may_end = True
            refused = httpx.post(f"{url}/queue/{ID}", json=body, timeout=30)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
            assert refused.json()["error_type"] == "storage_unavailable"
            assert httpx.get(queued["status_url"]).json()["status"] == "IN_PROGRESS"
            time.sleep(LOCKED_S)
            assert not direct.done()
        assert direct.result().json()["output"] == "yes"
        wait_until(lambda: httpx.get(queued["response_url"]).status_code == 200)
        assert httpx.get(queued["response_url"]).json()["output"] == "yes"
    assert backend.events == ["started", "started", "closed"]
