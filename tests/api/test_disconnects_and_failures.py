"""Requests that do not end well: disconnects, a full server, start deadlines, internal errors, shutdown."""

import asyncio
import contextlib
import json
import signal
import socket
import tempfile
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn
from served import Server

from omnireel.api.app import create_app
from omnireel.backends.base import Health
from omnireel.backends.echo import EchoBackend
from omnireel.errors import CapacityError, GenerationError, UpstreamError
from omnireel.settings import Settings
from omnireel.task import Event, Progress

ID = "nvidia/nemotron-3-nano-omni/video"


class Scripted:
    """A backend that raises a given error and records what happens to it."""

    name = "scripted"

    def __init__(self, failure: Exception | None = None, *, silent_s: float = 0, works_s: float = 0) -> None:
        self.failure = failure
        self.silent_s = silent_s
        self.works_s = works_s
        self.events: list[str] = []
        self.is_ready = True

    async def generate(self, task, files) -> AsyncGenerator[Event, None]:
        self.events.append("started")
        try:
            await asyncio.sleep(self.silent_s)
            yield Progress("video", "working")
            await asyncio.sleep(self.works_s)
            if self.failure is not None:
                raise self.failure
            await asyncio.sleep(60)
        finally:
            self.events.append("ended")

    async def inspect(self, task, files, *, pictures=False):
        self.events.append("started")
        try:
            await asyncio.sleep(60)
        finally:
            self.events.append("ended")

    async def health(self) -> Health:
        return Health(is_ready=self.is_ready, model="none", detail=None if self.is_ready else "loading")

    async def close(self) -> None:
        self.events.append("closed")


@contextlib.contextmanager
def serving(backend, *, data_dir: Path | None = None, **settings) -> Iterator[str]:
    """A server in a thread of this process; its address."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(backend, Settings(data_dir=data_dir or Path(folder), **settings))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=2))
        thread = threading.Thread(target=asyncio.run, args=(server.serve([listener]),))
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


def wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def post(url, body, path="", *, timeout=60, **headers):
    return httpx.post(f"{url}/{ID}{path}", json=body, timeout=timeout, headers=headers)


def ended_jobs(url):
    """The jobs that have ended, the last one first."""
    return httpx.get(f"{url}/platform/v1/models/requests/by-endpoint").json()["items"]


# One caller waits for the whole answer, and one reads it while it is generated.
with_an_open_request = pytest.mark.parametrize("path", ["", "/stream"], ids=["sync", "stream"])


@pytest.fixture
def body(clip_uri):
    return {"prompt": "hello", "video_url": clip_uri}


@with_an_open_request
def test_a_disconnect_ends_the_work(body, path):
    backend = Scripted()
    with serving(backend) as url:
        with pytest.raises(httpx.ReadTimeout):
            post(url, body, path, timeout=1)
        wait_until(lambda: "ended" in backend.events)
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [499])


@pytest.mark.parametrize("path", ["/estimate", "/inspect"])
def test_a_disconnect_ends_a_dry_run(body, path):
    backend = Scripted()
    with serving(backend) as url:
        with pytest.raises(httpx.ReadTimeout):
            post(url, body, path, timeout=1)
        wait_until(lambda: "ended" in backend.events)


@with_an_open_request
def test_a_disconnect_before_the_job_starts_cancels_it(body, path):
    backend = Scripted()
    with serving(backend, max_running=1) as url:
        submitted = httpx.post(f"{url}/queue/{ID}", json=body, timeout=60).json()
        wait_until(lambda: "started" in backend.events)
        with pytest.raises(httpx.ReadTimeout):
            post(url, body, path, timeout=0.3)
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [499])
        httpx.put(submitted["cancel_url"])
        wait_until(lambda: len(ended_jobs(url)) == 2)
    assert backend.events.count("started") == 1


@with_an_open_request
def test_a_disconnected_client_does_not_count_against_the_limit(body, path):
    with serving(EchoBackend(token_s=0.7), max_requests=1) as url:
        with pytest.raises(httpx.ReadTimeout):
            post(url, body | {"prompt": "w " * 100}, path, timeout=0.5)
        wait_until(lambda: post(url, body).status_code == 200)


def test_a_client_that_disconnects_during_a_stream_does_not_count_against_the_limit(body):
    with serving(EchoBackend(token_s=0.2), max_requests=1) as url:
        long = body | {"prompt": "w " * 100}
        with httpx.stream("POST", f"{url}/{ID}/stream", json=long, timeout=60) as response:
            next(response.iter_lines())
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [499])
        assert post(url, body).status_code == 200


def test_a_client_that_does_not_read_does_not_count_once_the_job_has_ended(body):
    long = json.dumps(body | {"prompt": "w" * 12_000_000}).encode()
    with serving(EchoBackend(), max_requests=1) as url, socket.socket() as idle:
        idle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        parts = urlsplit(url)
        idle.connect((parts.hostname, parts.port))
        headers = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(long)}"
        idle.sendall(f"POST /{ID}/stream HTTP/1.1\r\n{headers}\r\n\r\n".encode() + long)
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [200])
        wait_until(lambda: post(url, body).status_code == 200, seconds=5)


def test_a_client_may_ask_again_as_soon_as_it_has_the_whole_answer(body):
    with serving(EchoBackend(), max_requests=1) as url, httpx.Client(base_url=url, timeout=60) as client:
        paths = [f"/{ID}/stream", f"/{ID}"] * 20
        assert {client.post(path, json=body).status_code for path in paths} == {200}


@pytest.mark.parametrize("others", ["", "/stream"], ids=["sync", "stream"])
@with_an_open_request
def test_a_request_beyond_the_limit_may_be_sent_again_later(body, path, others):
    backend = Scripted(GenerationError("later", kind="generation_timeout"), works_s=3)
    with serving(backend, max_requests=1) as url, ThreadPoolExecutor(1) as caller:
        first = caller.submit(post, url, body, others)
        wait_until(lambda: "started" in backend.events)
        answer = post(url, body, path)
        assert first.result().json()["message"] == "later"
    assert answer.status_code == 429
    assert answer.json()["error_type"] == "concurrent_requests_limit"
    assert answer.headers["x-fal-needs-retry"] == "1"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize("header", ["x-fal-request-timeout", "X-Fal-Request-Start-Timeout"])
def test_work_that_does_not_start_in_time_gets_504_and_the_timeout_type_user(body, header):
    backend = Scripted(silent_s=30)
    with serving(backend) as url:
        answer = post(url, body, **{header: "0.2"})
    assert answer.status_code == 504
    assert answer.headers["x-fal-request-timeout-type"] == "user"
    assert answer.headers["x-fal-error-type"] == answer.json()["error_type"] == "request_timeout"
    assert "ended" in backend.events


def test_work_with_a_start_deadline_can_be_cancelled_before_its_first_event(body):
    backend = Scripted(silent_s=30)
    with serving(backend) as url:
        late = {"x-fal-request-timeout": "30"}
        submitted = httpx.post(f"{url}/queue/{ID}", json=body, headers=late, timeout=60).json()
        wait_until(lambda: "started" in backend.events)
        httpx.put(submitted["cancel_url"])
        wait_until(lambda: httpx.get(submitted["status_url"]).json()["status"] == "COMPLETED")
        assert httpx.get(submitted["status_url"]).json()["error_type"] == "client_cancelled"


def test_a_start_deadline_does_not_limit_work_that_has_started(body):
    broken = GenerationError("broken after a while", kind="generation_timeout")
    with serving(Scripted(broken, works_s=1.2)) as url:
        answer = post(url, body, **{"x-fal-request-timeout": "0.6"})
    assert answer.json()["message"] == "broken after a while"


FAILURES = [
    RuntimeError("secret"),
    GenerationError("the secret of the model"),
    UpstreamError("the secret host failed"),
]


@pytest.mark.parametrize("failure", FAILURES)
def test_an_internal_failure_has_the_body_of_fals_applications_and_hides_its_text(body, failure):
    with serving(Scripted(failure)) as url:
        answer = post(url, body)
        assert httpx.get(f"{url}/health").status_code == 200
    assert answer.status_code == 500
    assert answer.json() == {"detail": "Internal Server Error"}
    assert "x-fal-request-id" in answer.headers
    assert answer.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize(("kind", "status"), [("generation_timeout", 504), ("out_of_memory", 500)])
def test_a_run_out_of_time_or_memory_is_a_typed_failure(body, kind, status):
    with serving(Scripted(GenerationError("the model stopped", kind=kind))) as url:
        answer = post(url, body)
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (status, kind)


@pytest.mark.parametrize("failure", [RuntimeError("the reason"), UpstreamError("the reason")])
def test_the_log_has_the_reason_of_an_internal_failure(body, failure, capfd):
    with serving(Scripted(failure)) as url:
        assert post(url, body).status_code == 500
    assert "the reason" in capfd.readouterr().out


def test_a_web_page_may_read_an_internal_failure(body):
    with serving(Scripted(RuntimeError("secret"))) as url:
        answer = post(url, body, origin="https://page.example")
    assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (500, "*")


def test_a_full_backend_is_a_429(body):
    with serving(Scripted(CapacityError("full", after_s=2.5))) as url:
        answer = post(url, body)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")


def test_readiness_follows_the_backend():
    backend = Scripted()
    backend.is_ready = False
    with serving(backend) as url:
        assert httpx.get(f"{url}/health").status_code == 200
        not_ready = httpx.get(f"{url}/health/ready")
    assert (not_ready.status_code, not_ready.json()["status"], not_ready.json()["detail"]) == (
        503,
        "not ready",
        "loading",
    )


def test_the_backend_is_closed_with_the_server():
    backend = Scripted()
    with serving(backend):
        pass
    assert backend.events == ["closed"]


def test_a_stop_before_the_first_event_is_not_an_internal_error(body, capfd):
    backend = Scripted(silent_s=30)
    with ThreadPoolExecutor(1) as caller, serving(backend) as url:
        caller.submit(post, url, body, "/stream")
        wait_until(lambda: "started" in backend.events)
    assert "ended" in backend.events
    assert "internal error" not in capfd.readouterr().out


def test_a_stopped_server_finishes_its_running_requests(tmp_path, clip_uri):
    body = {"prompt": "a b c d e", "video_url": clip_uri}
    with Server(tmp_path, OMNIREEL_ECHO_TOKEN_S="0.2") as server, ThreadPoolExecutor(1) as caller:
        asked = caller.submit(post, server.url, body)
        wait_until(lambda: any((tmp_path / "incoming").glob("*")))
        assert server.stop() == 0
        assert asked.result().json()["output"] == "echo: a b c d e"


def test_a_server_that_is_interrupted_exits_with_130(tmp_path):
    with Server(tmp_path) as server:
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(60) == 130
