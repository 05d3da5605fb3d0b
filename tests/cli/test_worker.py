"""`omnireel worker` beside a server: jobs run in another process, and callers see no difference."""

import signal
import time

import httpx
import pytest
from served import ENDPOINT_ID, Server, Worker, data_uri, make_clip

CLIP = data_uri(make_clip())
SLOW = {"OMNIREEL_MAX_RUNNING": "1", "OMNIREEL_ECHO_TOKEN_S": "0.2"}
LONG, SHORT = "w " * 200, "hello there"


@pytest.fixture
def pair(tmp_path):
    """A server that is busy with a long job, and a worker that is free."""
    with (
        Server(tmp_path, **SLOW) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        wait_for(client, "IN_PROGRESS", submit(client, LONG))
        with Worker(tmp_path, **SLOW) as worker:
            yield client, worker


def submit(client, prompt):
    answer = client.post(f"/queue/{ENDPOINT_ID}", json={"prompt": prompt, "video_url": CLIP})
    assert answer.status_code == 200
    return answer.json()


def wait_for(client, word, job):
    deadline = time.monotonic() + 30
    while (status := client.get(job["status_url"] + "?logs=1").json())["status"] != word:
        assert time.monotonic() < deadline, status
        time.sleep(0.02)
    return status


def test_a_free_worker_runs_a_job_that_the_busy_server_cannot(pair):
    client, worker = pair
    job = submit(client, SHORT)
    status = wait_for(client, "COMPLETED", job)
    assert any("frames chosen" in line["message"] for line in status["logs"])
    assert client.get(job["response_url"]).json()["output"] == f"echo: {SHORT}"
    worker.wait_for("job ended")  # the entry may be written after the job's end is stored
    ended = [line for line in worker.log() if line["event"] == "job ended"]
    assert [line["request_id"] for line in ended] == [job["request_id"]]
    assert not (worker.folder / "incoming" / job["request_id"]).exists()


def test_the_status_stream_follows_a_job_in_another_process(pair):
    client, _ = pair
    job = submit(client, SHORT)
    with client.stream("GET", job["status_url"] + "/stream?logs=1") as response:
        text = response.read().decode()
    assert "IN_PROGRESS" in text
    assert text.count("wrote 3 tokens") == 1
    assert text.rstrip().endswith("}")
    assert '"COMPLETED"' in text.split("data: ")[-1]


def test_cancel_reaches_a_job_in_another_process_within_two_polls(pair):
    client, worker = pair
    job = submit(client, LONG)
    wait_for(client, "IN_PROGRESS", job)
    asked = time.monotonic()
    assert client.put(job["cancel_url"]).status_code == 202
    assert wait_for(client, "COMPLETED", job)["error_type"] == "client_cancelled"
    assert time.monotonic() - asked < 4  # renewing the lease, every five seconds, would notice it too
    assert worker.wait_for("job ended")["state"] == "cancelled"


def test_an_attached_request_never_runs_in_another_process(pair):
    client, worker = pair
    before = len(worker.log())
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"/{ENDPOINT_ID}", json={"prompt": SHORT, "video_url": CLIP}, timeout=2)
    assert len(worker.log()) == before


def test_a_worker_that_is_asked_to_end_finishes_its_job_first(pair):
    client, worker = pair
    job = submit(client, "a b c d e")
    wait_for(client, "IN_PROGRESS", job)
    assert worker.stop() == 0
    assert wait_for(client, "COMPLETED", job)["metrics"]
    assert worker.log()[-1]["state"] == "succeeded"


def test_a_second_signal_requeues_the_job_at_once(pair):
    client, worker = pair
    job = submit(client, LONG)
    wait_for(client, "IN_PROGRESS", job)
    worker.process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    asked = time.monotonic()
    worker.process.send_signal(signal.SIGINT)
    assert worker.process.wait(30) == 130
    assert time.monotonic() - asked < 5
    assert wait_for(client, "IN_QUEUE", job)["queue_position"] == 0


def test_the_job_of_a_dead_worker_runs_again(tmp_path):
    variables = {"OMNIREEL_LEASE_S": "2", "OMNIREEL_MAX_RUNNING": "1"}
    with (
        Server(tmp_path, OMNIREEL_ECHO_TOKEN_S="0.5", **variables) as server,
        httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client,
    ):
        busy = submit(client, "a b c d e f")
        wait_for(client, "IN_PROGRESS", busy)
        with Worker(tmp_path, OMNIREEL_ECHO_TOKEN_S="60", **variables) as worker:
            job = submit(client, SHORT)
            wait_for(client, "IN_PROGRESS", job)
            worker.kill()
            killed = time.monotonic()
        metrics = wait_for(client, "COMPLETED", job)["metrics"]
        # The next attempt began 2 s after the lease had run out, or later.
        assert 0 < metrics["inference_time"] < time.monotonic() - killed - 1.5
        (line,) = [line for line in server.log() if line["event"] == "lease ran out"]
        facts = {"level": "warning", "request_id": job["request_id"], "worker": worker.name, "attempt": 1}
        assert line.items() >= (facts | {"job": "queued again"}).items()
        assert client.get(job["response_url"]).json()["output"] == f"echo: {SHORT}"
