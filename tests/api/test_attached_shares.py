"""An account that asks for far more than its share does not keep others from theirs."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from keyed import caller, create_key
from served import Server

ID = "nvidia/nemotron-3-nano-omni/video"
LONG = "w " * 8


@pytest.fixture(scope="module")
def server():
    """Answers one request at a time, and lets two more of each account wait. A word takes 50 ms."""
    limits = {"OMNIREEL_MAX_REQUESTS": "1", "OMNIREEL_MAX_WAITING": "2", "OMNIREEL_ECHO_TOKEN_S": "0.05"}
    with (
        tempfile.TemporaryDirectory() as folder,
        Server(Path(folder), OMNIREEL_AUTH="keys", **limits) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def clients(server):
    """A client of each of four accounts."""
    made = [
        caller(server.url, create_key(server.folder, account=name)) for name in ("flood", "ann", "bob", "cid")
    ]
    yield made
    for client in made:
        client.close()


@pytest.fixture
def body(clip_uri):
    return {"prompt": LONG, "video_url": clip_uri}


def begin(pool, client, body, path=""):
    """Send a request that is answered in the background, and leave it time to arrive."""
    sending = pool.submit(client.post, f"/{ID}{path}", json=body)
    time.sleep(0.1)
    return sending


@pytest.mark.parametrize("path", ["", "/stream"], ids=["sync", "stream"])
def test_callers_beside_one_that_sends_many_requests_wait_for_one_of_its_turns_only(clients, body, path):
    flood, *others = clients
    with ThreadPoolExecutor(12) as pool:
        flooding = [pool.submit(flood.post, f"/{ID}{path}", json=body) for _ in range(8)]
        time.sleep(0.3)
        answers = [begin(pool, other, body, path) for other in others]
        last = [pool.submit(flood.post, f"/{ID}{path}", json=body) for _ in range(2)]
        assert [answer.result().status_code for answer in answers] == [200] * 3
        statuses = [sent.result().status_code for sent in flooding]
        assert {sent.result().status_code for sent in last} <= {200, 429}
    assert statuses.count(200) == 3
    assert statuses.count(429) == 5


def test_a_request_that_waits_ends_with_its_connection_and_its_place_is_free(clients, body):
    flood, ann, *_ = clients
    with ThreadPoolExecutor(4) as pool:
        running = begin(pool, flood, body)
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                ann.post(f"/{ID}", json=body, timeout=0.05)
        answers = [pool.submit(ann.post, f"/{ID}", json=body) for _ in range(2)]
        assert [answer.result().status_code for answer in (running, *answers)] == [200] * 3


def test_the_start_deadline_also_counts_while_a_request_waits(clients, server, body):
    flood, ann, *_ = clients
    with ThreadPoolExecutor(2) as pool:
        running = begin(pool, flood, body | {"prompt": "w " * 30})
        answer = ann.post(f"/{ID}", json=body, headers={"x-fal-request-timeout": "0.2"})
        assert running.result().status_code == 200
    assert answer.status_code == 504
    assert answer.headers["x-fal-request-timeout-type"] == "user"
    assert answer.json()["error_type"] == "request_timeout"
    assert list((server.folder / "incoming").iterdir()) == []


def test_estimates_have_turns_of_their_own(clients, body):
    flood, ann, *_ = clients
    with ThreadPoolExecutor(1) as pool:
        running = begin(pool, flood, body)
        assert ann.post(f"/{ID}/estimate", json=body).status_code == 200
        assert not running.done()
        assert running.result().status_code == 200
