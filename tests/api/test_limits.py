"""Requests beyond a key's caps and limits are refused before any work, with the reason."""

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from keyed import caller, create_key, spent_micro
from served import Server, data_uri

ID = "nvidia/nemotron-3-nano-omni/video"


@pytest.fixture(scope="module")
def keyed():
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder), OMNIREEL_AUTH="keys") as server:
        yield server


@pytest.fixture
def body(clip_uri):
    """Two words in and at most three out: 5 tokens of 6 millionths of a dollar each."""
    return {"prompt": "hello there", "video_url": clip_uri, "max_tokens": 3}


def test_a_cap_refuses_before_any_work_and_spends_nothing(keyed, body):
    with caller(keyed.url, create_key(keyed.folder, cap_micro=40)) as client:
        assert client.post(f"/{ID}", json=body).status_code == 200
        for path in (f"/{ID}", f"/{ID}/stream", f"/queue/{ID}"):
            answer = client.post(path, json=body)
            assert answer.status_code == 403
            assert answer.headers["x-fal-error-type"] == answer.json()["error_type"] == "spending_cap_reached"
            assert "could cost $0.000030" in answer.json()["detail"]
            assert "$0.000010 is neither spent nor reserved" in answer.json()["detail"]
            assert answer.json()["detail"].endswith("Send a smaller max_frames or max_tokens.")
        assert client.post(f"/{ID}", json=body | {"prompt": None, "max_tokens": 3}).status_code == 422
        assert client.post(f"/{ID}", json=body | {"prompt": "I", "max_tokens": 1}).status_code == 403
    with caller(keyed.url, create_key(keyed.folder, monthly_cap_micro=29)) as client:
        assert client.post(f"/{ID}", json=body).json()["error_type"] == "spending_cap_reached"


def test_a_cap_holds_for_many_requests_at_once(keyed, body):
    key = create_key(keyed.folder, cap_micro=100)
    with caller(keyed.url, key) as client, ThreadPoolExecutor(12) as pool:
        sent = [pool.submit(client.post, f"/queue/{ID}", json=body) for _ in range(24)]
        answers = [answer.result() for answer in sent]
        taken = [answer for answer in answers if answer.status_code == 200]
        for answer in taken:
            while client.get(answer.json()["status_url"]).status_code == 202:
                time.sleep(0.02)
    assert {answer.status_code for answer in answers} == {200, 403}
    assert spent_micro(keyed.folder, key) == 30 * len(taken) <= 100


def test_unfinished_jobs_are_counted_until_they_end(tmp_path, body):
    with (
        Server(tmp_path, OMNIREEL_AUTH="keys", OMNIREEL_ECHO_TOKEN_S="5") as server,
        caller(server.url, create_key(tmp_path, max_unfinished=1)) as client,
    ):
        submitted = client.post(f"/queue/{ID}", json=body).json()
        answer = client.post(f"/{ID}", json=body)
        assert answer.status_code == 429
        assert answer.json()["error_type"] == "concurrent_requests_limit"
        assert answer.headers["x-fal-needs-retry"] == "1"
        client.put(submitted["cancel_url"])
        while client.get(submitted["status_url"]).status_code == 202:
            time.sleep(0.02)
        assert client.post(f"/queue/{ID}", json=body).status_code == 200


def test_too_many_requests_in_a_minute_are_refused_and_polls_are_not_counted(keyed, body):
    with caller(keyed.url, create_key(keyed.folder, max_per_minute=2)) as client:
        submitted = client.post(f"/queue/{ID}", json=body).json()
        assert client.post(f"/queue/{ID}", json={}).status_code == 422
        answer = client.post(f"/{ID}", json=body)
        assert answer.status_code == 429
        assert answer.json()["error_type"] == "rate_limited"
        assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert {client.get(submitted["status_url"]).status_code for _ in range(5)} <= {200, 202}


def test_clips_that_cannot_be_decoded_are_limited_by_the_minute(tmp_path, body):
    broken = body | {"video_url": data_uri(b"\0\0\0\x18ftypmp42" + bytes(2000))}
    dead = body | {"video_url": "https://192.0.2.1/clip.mp4"}
    with Server(tmp_path, OMNIREEL_AUTH="keys", OMNIREEL_MAX_FAILED_CLIPS="3") as server:
        with caller(server.url, create_key(tmp_path)) as client:
            assert {client.post(f"/{ID}", json=dead).status_code for _ in range(4)} == {422}
            answers = [
                client.post(path, json=broken) for path in (f"/{ID}", f"/{ID}/stream", f"/{ID}/inspect")
            ]
            assert [answer.status_code for answer in answers] == [422] * 3
            assert {answer.json()["detail"][0]["loc"][-1] for answer in answers} == {"video_url"}
            for path in (f"/{ID}", f"/queue/{ID}", f"/{ID}/estimate"):
                refused = client.post(path, json=body)
                assert (refused.status_code, refused.json()["error_type"]) == (429, "rate_limited")
                assert 1 <= int(refused.headers["retry-after"]) <= 60
        with caller(server.url, create_key(tmp_path)) as another:
            assert another.post(f"/{ID}", json=body).status_code == 200
