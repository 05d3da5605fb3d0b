"""Jobs and open requests whose model servers die, are busy, or are not there yet."""

import socket
from contextlib import contextmanager

import httpx
import pytest
from in_process import serving, wait_until
from model_server import ModelServer, Script

from omnireel.backends.remote.backend import RemoteBackend, RemoteOptions
from omnireel.backends.remote.servers import SERVERS
from omnireel.backends.remote.stream import Patience
from omnireel.backends.remote.upstreams import UpstreamPool, upstream_at
from omnireel.cli.backend import DEMO
from omnireel.prompting.clip import MediaDefaults
from omnireel.prompting.counts import TokenCounter

ID = "nvidia/nemotron-3-nano-omni/video"
ANSWER = "A square moves to the right."


@pytest.fixture
def server():
    with ModelServer() as server:
        yield server


@pytest.fixture
def other():
    with ModelServer() as server:
        yield server


@pytest.fixture
def body(clip_uri):
    return {"prompt": "What moves?", "video_url": clip_uri}


@contextmanager
def in_front_of(*urls, max_running=64, probe_s=0.1, **settings):
    """A client of a server whose model is at `urls`."""
    pool = UpstreamPool(
        [upstream_at(url) for url in urls], max_running=max_running, accepts=lambda _: True, probe_s=probe_s
    )
    counter = TokenCounter.from_directory(DEMO, media=MediaDefaults())
    backend = RemoteBackend(SERVERS["vllm"], pool, counter, RemoteOptions(Patience(30, 30), MediaDefaults()))
    with (
        serving(backend, **settings) as url,
        httpx.Client(base_url=url, timeout=60, trust_env=False) as client,
    ):
        yield client


def submit(client, body):
    return client.post(f"/queue/{ID}", json=body).json()


def result(client, job):
    """The answer of a job that will succeed."""
    wait_until(lambda: client.get(job["status_url"]).json()["status"] == "COMPLETED")
    return client.get(job["response_url"])


def logs(client, job):
    return [line["message"] for line in client.get(job["status_url"] + "?logs=1").json()["logs"]]


@pytest.mark.parametrize("kill_at", ["request", "role", 2, "end"])
def test_a_job_runs_again_after_its_model_server_died(server, other, body, kill_at):
    server.script = other.script = Script(kill_at=kill_at)
    with in_front_of(server.url, other.url) as client:
        answer = result(client, submit(client, body))
    assert answer.json()["output"] == ANSWER
    assert len(server.requests) + len(other.requests) == 2


def test_an_open_request_whose_answer_broke_off_gets_502_and_is_not_billed(server, body):
    server.script = Script(drop_at=2)
    with in_front_of(server.url) as client:
        answer = client.post(f"/{ID}", json=body)
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (502, "downstream_service_error")
    assert answer.headers["x-fal-billable-units"] == "0"


def test_a_stream_that_broke_off_ends_with_a_typed_error(server, body):
    server.script = Script(drop_at=2)
    with in_front_of(server.url) as client:
        events = client.post(f"/{ID}/stream", json=body).text.strip().split("\n\n")
    assert any("A square" in event for event in events[:-1])
    assert "downstream_service_error" in events[-1]


def test_a_job_whose_attempts_all_broke_off_fails_with_the_reason(server, body):
    server.script = Script(drop_at=2)
    with in_front_of(server.url) as client:
        job = client.post(f"/queue/{ID}", json=body, headers={"x-fal-no-retry": "1"}).json()
        answer = result(client, job)
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (502, "downstream_service_error")


def test_a_busy_model_server_is_asked_again_when_it_said_and_not_before(server, body):
    server.script = Script(status=429, body="{}", headers={"retry-after": "2"}, failures=1)
    with in_front_of(server.url) as client:
        job = submit(client, body)
        wait_until(lambda: server.requests)
        wait_until(lambda: any("busy" in line for line in logs(client, job)))
        refused = client.post(f"/{ID}", json=body)
        assert len(server.requests) == 1
        assert result(client, job).json()["output"] == ANSWER
    assert (refused.status_code, refused.headers["retry-after"] in ("1", "2")) == (429, True)


def test_a_job_waits_for_a_model_server_that_is_not_there_yet(server, body):
    port = free_port()
    with in_front_of(f"http://127.0.0.1:{port}", max_running=2) as client:
        ready = client.get("/health/ready")
        refused = client.post(f"/{ID}", json=body)
        job = submit(client, body)
        wait_until(lambda: any("runs again" in line for line in logs(client, job)))
        late = ModelServer()
        late.port = port
        with late:
            assert result(client, job).json()["output"] == ANSWER
            assert client.get("/health/ready").status_code == 200
    assert ready.status_code == 503
    assert (refused.status_code, refused.json()["error_type"]) == (503, "downstream_service_unavailable")


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
