"""Work that its caller ends is charged for the tokens until then, however the caller ends it."""

import time
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key, spent_micro
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
TOKEN_S = 0.2
# "w w w w w w" has six tokens, and its answer begins with one more.
PROMPT, NUM_INPUT, NUM_OUTPUT = "w w w w w w", 6, 7
MICRO_PER_TOKEN = 6


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slow")
    with Server(folder, OMNIREEL_AUTH="keys", OMNIREEL_ECHO_TOKEN_S=str(TOKEN_S)) as server:
        yield server


@pytest.fixture
def body(clip_uri):
    return {"prompt": PROMPT, "video_url": clip_uri, "max_tokens": 10}


def ended(client, number=1):
    """The last job, once so many have ended."""
    until = time.monotonic() + 30
    while True:
        jobs = client.get("/platform/v1/models/requests/by-endpoint").json()["items"]
        if len(jobs) == number:
            return jobs[0]
        assert time.monotonic() < until, jobs
        time.sleep(0.02)


def read_words(client, body, number):
    """Read a stream up to its n-th word, and leave."""
    with client.stream("POST", f"/{ID}/stream", json=body) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        for _ in range(number):
            last = next(lines)
    return last


def charged_tokens(folder: Path, key: str) -> int:
    return spent_micro(folder, key) // MICRO_PER_TOKEN


@pytest.mark.parametrize("num_read", [1, 3, NUM_OUTPUT], ids=["first word", "third word", "last word"])
def test_leaving_a_stream_costs_the_prompt_and_the_words_that_were_sent(slow, body, num_read):
    key = create_key(slow.folder)
    with caller(slow.url, key) as client:
        last = read_words(client, body, num_read)
        assert f'echo:{" w" * (num_read - 1)}"' in last
        job = ended(client)
        # The server notices later that the caller has left, and may generate more words until then.
        assert NUM_INPUT + num_read <= charged_tokens(slow.folder, key) <= NUM_INPUT + NUM_OUTPUT
        status = client.get(f"/queue/{ID}/requests/{job['request_id']}/status").json()
        assert status["metrics"]["cost_usd"] == pytest.approx(spent_micro(slow.folder, key) / 1e6)


def test_leaving_before_the_answer_or_cancelling_costs_what_was_generated_until_then(slow, body):
    key = create_key(slow.folder)
    body = body | {"prompt": "w " * 40, "max_tokens": 100}
    with caller(slow.url, key) as client:
        with pytest.raises(httpx.ReadTimeout):
            client.post(f"/{ID}", json=body, timeout=4 * TOKEN_S)
        assert ended(client)["status_code"] == 499
        by_sync = charged_tokens(slow.folder, key)
        assert 40 < by_sync < 81
        job = client.post(f"/queue/{ID}", json=body).json()
        while client.get(job["status_url"]).json()["status"] != "IN_PROGRESS":
            time.sleep(0.02)
        time.sleep(3 * TOKEN_S)
        client.put(job["cancel_url"])
        ended(client, 2)
        by_queue = charged_tokens(slow.folder, key) - by_sync
        assert 40 < by_queue < 81
        result = client.get(job["response_url"])
        assert (result.status_code, result.json()["error_type"]) == (499, "client_cancelled")
        assert float(result.headers["x-fal-billable-units"]) == pytest.approx(by_queue / 1000)


def test_work_that_is_cancelled_before_its_first_token_costs_nothing(slow, body):
    key = create_key(slow.folder)
    with caller(slow.url, key) as client:
        job = client.post(f"/queue/{ID}", json=body, headers={"x-fal-queue-priority": "low"}).json()
        client.put(job["cancel_url"])
        ended(client)
        assert charged_tokens(slow.folder, key) == 0


def test_a_cap_holds_for_callers_who_leave_every_stream_at_its_last_word(slow, body):
    """Each job may cost 16 tokens, and costs 13. The cap is 30 tokens."""
    key = create_key(slow.folder, cap_micro=30 * MICRO_PER_TOKEN)
    with caller(slow.url, key) as client:
        read_words(client, body, NUM_OUTPUT)
        ended(client)
        refused = client.post(f"/{ID}/stream", json=body | {"max_tokens": 12})
        assert (refused.status_code, refused.json()["error_type"]) == (403, "spending_cap_reached")
        read_words(client, body, NUM_OUTPUT)
        ended(client, 2)
        assert charged_tokens(slow.folder, key) == 2 * (NUM_INPUT + NUM_OUTPUT)
        assert client.post(f"/{ID}/stream", json=body).status_code == 403
