"""The queue and the stream of a real server with the echo backend."""

import json
import re
import tempfile
import time
import uuid
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
APP = "nvidia/nemotron-3-nano-omni"


@pytest.fixture(scope="module")
def slow():
    """A client of a server that takes half a second per word."""
    variables = {"OMNIREEL_ECHO_TOKEN_S": "0.5", "OMNIREEL_MAX_RUNNING": "1"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), **variables) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def body(clip_uri):
    return {"prompt": "grüße an alle", "video_url": clip_uri}


def submit(client, body, **options):
    answer = client.post(f"/queue/{ID}", json=body, **options)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(client, submitted, query="?logs=1"):
    """The last status, once it is COMPLETED."""
    for _ in range(2000):
        answer = client.get(submitted["status_url"] + query)
        assert answer.status_code == (200 if answer.json()["status"] == "COMPLETED" else 202)
        if answer.status_code == 200:
            return answer.json()
        time.sleep(0.02)
    raise AssertionError("the job never ended")


def events_of(response):
    """The JSON of each server-sent event."""
    return [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: ")]


def test_a_submitted_job_answers_as_the_synchronous_endpoint_does(client, body):
    submitted = submit(client, body)
    assert submitted["status"] in ("IN_QUEUE", "IN_PROGRESS")
    status = ended(client, submitted)
    result = client.get(submitted["response_url"])
    now = client.post(f"/{ID}", json=body)
    assert result.json() == now.json()
    assert result.headers["x-fal-billable-units"] == now.headers["x-fal-billable-units"]
    assert result.headers["x-fal-request-id"] == submitted["request_id"] == status["request_id"]
    assert status["metrics"]["cost_usd"] == pytest.approx(0.000006 * sum(result.json()["usage"].values()))


def test_a_job_is_found_under_every_spelling_of_its_address(client, body):
    submitted = submit(client, body)
    ended(client, submitted)
    job = f"requests/{submitted['request_id']}"
    for path in (f"{APP}/{job}", f"{ID}/{job}", f"{APP}/{job}/response", f"{APP}/{job}/"):
        assert client.get(f"/queue/{path}").json()["output"] == "echo: grüße an alle"
    for path in (f"{APP}/{job}/status", f"{ID}/{job}/status", f"{APP}/{job}/status/"):
        assert client.get(f"/queue/{path}?logs=False").json()["logs"] == []


def test_the_log_reports_the_stages_of_a_job(client, body):
    messages = [line["message"] for line in ended(client, submit(client, body), "?logs=true")["logs"]]
    assert re.fullmatch(r"[1-9][0-9]*\.[0-9] kB of video received", messages[0])
    assert any("frames chosen" in message for message in messages)
    assert messages[-1] == "wrote 4 tokens"


def test_a_job_that_fails_ends_with_the_models_own_error(client, body):
    submitted = submit(client, body | {"video_url": "data:video/mp4;base64,AAAA"})
    status = ended(client, submitted)
    assert status["error_type"] == "unsupported_video_format"
    result = client.get(submitted["response_url"])
    assert result.status_code == 422
    assert result.json()["detail"][0]["type"] == "unsupported_video_format"
    assert result.headers["x-fal-billable-units"] == "0"


@pytest.mark.parametrize(
    "wrong",
    [{"video_url": "data:video/mp4;base64," + "A" * 300}, {"start_s": 100}],
)
def test_a_job_that_is_not_to_be_kept_fails_as_the_synchronous_endpoint_does(client, body, wrong):
    submitted = submit(client, body | wrong, headers={"x-fal-store-io": "0"})
    ended(client, submitted)
    result = client.get(submitted["response_url"]).json()
    assert result["detail"][0]["input"]
    assert result == client.post(f"/{ID}", json=body | wrong).json()


def test_a_plainly_invalid_body_is_refused_at_submission(client, body):
    answer = client.post(f"/queue/{ID}", json=body | {"max_tokens": 0})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "greater_than_equal")


def test_jobs_wait_their_turn_and_can_be_cancelled_in_every_state(slow, body):
    running = submit(slow, body | {"prompt": "w " * 50})
    waiting, last = submit(slow, body), submit(slow, body)
    while slow.get(running["status_url"]).json()["status"] != "IN_PROGRESS":
        time.sleep(0.02)
    assert slow.get(last["status_url"]).json()["queue_position"] == 1
    too_early = slow.get(last["response_url"])
    assert (too_early.status_code, too_early.json()["detail"]) == (400, "Request is still in progress")

    removed = slow.put(waiting["cancel_url"])
    assert (removed.status_code, removed.json()["status"]) == (200, "OK")
    asked = slow.put(running["cancel_url"])
    assert (asked.status_code, asked.json()["status"]) == (202, "CANCELLATION_REQUESTED")
    began = time.monotonic()
    assert ended(slow, running)["error_type"] == "client_cancelled"
    assert time.monotonic() - began < 3
    assert slow.get(running["response_url"]).status_code == 499
    again = slow.put(running["cancel_url"])
    assert (again.status_code, again.json()["status"]) == (400, "ALREADY_COMPLETED")
    assert "error" not in ended(slow, last)


def test_an_unknown_job_is_not_found(client):
    for method, path in (("GET", ""), ("GET", "/status"), ("GET", "/status/stream"), ("PUT", "/cancel")):
        answer = client.request(method, f"/queue/{APP}/requests/{uuid.uuid4()}{path}")
        assert (answer.status_code, answer.json()["status"]) == (404, "NOT_FOUND")
        assert answer.json()["detail"]


def test_the_status_stream_sends_every_log_line_once_and_ends(client, slow, body):
    for server in (client, slow):
        submitted = submit(server, body)
        with server.stream("GET", submitted["status_url"] + "/stream?logs=1") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            events = events_of(response)
        assert events[-1]["status"] == "COMPLETED"
        assert {event["status"] for event in events} <= {"IN_QUEUE", "IN_PROGRESS", "COMPLETED"}
        streamed = [line for event in events for line in event["logs"]]
        assert streamed == ended(server, submitted)["logs"]


def test_a_start_deadline_limits_only_the_waiting(slow, body):
    running = submit(slow, body | {"prompt": "w " * 8})
    late = submit(slow, body, headers={"x-fal-request-timeout": "0.5"})
    assert ended(slow, late)["error_type"] == "request_timeout"
    result = slow.get(late["response_url"])
    assert (result.status_code, result.headers["x-fal-request-timeout-type"]) == (504, "user")
    assert "error" not in ended(slow, running)


def test_a_job_is_refused_if_the_queue_is_longer_than_it_allows(slow, body):
    jobs = [submit(slow, body) for _ in range(3)]
    answer = slow.post(f"/queue/{ID}?fal_max_queue_length=0", json=body)
    assert (answer.status_code, answer.json()["error_type"]) == (429, "concurrent_requests_limit")
    for job in jobs:
        slow.put(job["cancel_url"])


def test_the_same_idempotency_key_is_the_same_job(client, body):
    key = {"idempotency-key": str(uuid.uuid4())}
    first = submit(client, body, headers=key)
    assert submit(client, body, headers=key)["request_id"] == first["request_id"]
    other = client.post(f"/queue/{ID}", json=body | {"prompt": "else"}, headers=key)
    assert (other.status_code, other.json()["detail"][0]["type"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("headers", "query"),
    [
        ({"x-fal-queue-priority": "high"}, ""),
        ({"x-fal-request-timeout": "soon"}, ""),
        ({"idempotency-key": "k" * 300}, ""),
        ({}, "?fal_max_queue_length=many"),
    ],
)
def test_an_invalid_header_or_parameter_is_refused(client, body, headers, query):
    answer = client.post(f"/queue/{ID}{query}", json=body, headers=headers)
    assert (answer.status_code, answer.json()["error_type"]) == (400, "bad_request")


def test_each_event_of_a_stream_adds_text_and_the_last_is_the_whole_result(client, body):
    with client.stream("POST", f"/{ID}/stream", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        raw = response.read().decode("ascii")
    events = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: ")]
    outputs = [event["output"] for event in events]
    assert outputs[:2] == ["echo:", "echo: grüße"]
    assert all(after.startswith(before) for before, after in pairwise(outputs))
    assert events[-1] == client.post(f"/{ID}", json=body).json()


def test_a_stream_that_fails_before_its_first_token_is_an_error_answer(client, body):
    answer = client.post(f"/sync/{ID}/stream", json=body | {"video_url": "data:video/mp4;base64,AAAA"})
    assert (answer.status_code, answer.json()["detail"][0]["type"]) == (422, "unsupported_video_format")


def test_a_disconnect_from_a_stream_cancels_its_job(slow, body):
    with slow.stream("POST", f"/{ID}/stream", json=body | {"prompt": "w " * 100}) as response:
        next(response.iter_lines())
    after = submit(slow, body)
    began = time.monotonic()
    while slow.get(after["status_url"]).json()["status"] == "IN_QUEUE":
        time.sleep(0.05)
        assert time.monotonic() - began < 20
    slow.put(after["cancel_url"])


def test_a_submitted_job_survives_a_kill_of_the_server(tmp_path, clip_uri):
    body = {"prompt": "again and again", "video_url": clip_uri}
    with Server(tmp_path, OMNIREEL_ECHO_TOKEN_S="30", OMNIREEL_LEASE_S="2") as server:
        submitted = httpx.post(f"{server.url}/queue/{ID}", json=body, trust_env=False).json()
        time.sleep(0.3)
        server.process.kill()
    with (
        Server(tmp_path) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        path = f"/queue/{APP}/requests/{submitted['request_id']}"
        for _ in range(600):
            if client.get(path + "/status").status_code == 200:
                break
            time.sleep(0.1)
        assert client.get(path).json()["output"] == "echo: again and again"
