"""Direct calls with an idempotency key: a second one waits for the same job, or gets the stored answer."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from in_process import serving, wait_until
from test_disconnects_and_failures import ID, Scripted, ended_jobs, post

from omnireel.backends.echo import EchoBackend
from omnireel.errors import GenerationError

KEY = {"idempotency-key": "once"}
WORDS = "w w w w w w w w"


@pytest.fixture
def body(clip_uri):
    return {"prompt": WORDS, "video_url": clip_uri}


def charges(url):
    return httpx.get(f"{url}/platform/v1/models/billing-events").json()["billing_events"]


def result_of(answer):
    return json.loads(answer.text.strip().split("data: ")[-1]) if "data: " in answer.text else answer.json()


@pytest.mark.parametrize("path", ["", "/stream"], ids=["sync", "stream"])
def test_calls_at_the_same_time_and_later_share_one_job_and_one_charge(body, path):
    with serving(EchoBackend(token_s=0.1)) as url, ThreadPoolExecutor(3) as callers:
        asked = [callers.submit(post, url, body, path, **KEY) for _ in range(3)]
        answers = [one.result() for one in asked]
        answers += [post(url, body, path, **KEY), post(url, body, **KEY)]
        assert [answer.status_code for answer in answers] == [200] * 5
        assert {result_of(answer)["output"] for answer in answers} == {f"echo: {WORDS}"}
        assert len({answer.headers["x-fal-request-id"] for answer in answers}) == 1
        assert len(charges(url)) == len(ended_jobs(url)) == 1
        other = post(url, body | {"prompt": "another"}, path, **KEY)
        assert (other.status_code, other.json()["detail"][0]["type"]) == (422, "idempotency_mismatch")


def test_a_job_goes_on_for_the_second_caller_if_the_first_one_leaves(body):
    with serving(EchoBackend(token_s=0.3)) as url, ThreadPoolExecutor(2) as callers:
        first = callers.submit(post, url, body, timeout=1.2, **KEY)
        second = callers.submit(post, url, body, **KEY)
        with pytest.raises(httpx.ReadTimeout):
            first.result()
        assert second.result().json()["output"] == f"echo: {WORDS}"
        assert [job["status_code"] for job in ended_jobs(url)] == [200]


def test_a_job_of_a_direct_call_that_is_submitted_to_the_queue_goes_on_without_its_caller(body):
    with serving(EchoBackend(token_s=0.3)) as url, ThreadPoolExecutor(1) as callers:
        first = callers.submit(post, url, body, timeout=1.5, **KEY)
        wait_until(lambda: httpx.post(f"{url}/queue/{ID}", json=body, headers=KEY).status_code == 200)
        with pytest.raises(httpx.ReadTimeout):
            first.result()
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [200])


def test_a_call_that_was_left_can_be_made_again(body):
    with serving(EchoBackend(token_s=0.2)) as url:
        with pytest.raises(httpx.ReadTimeout):
            post(url, body, timeout=0.7, **KEY)
        wait_until(lambda: [job["status_code"] for job in ended_jobs(url)] == [499])
        answers = [post(url, body, **KEY) for _ in range(2)]
        assert [answer.json()["output"] for answer in answers] == [f"echo: {WORDS}"] * 2
        assert len(ended_jobs(url)) == 2


def test_a_fault_of_the_server_is_not_the_answer_for_a_day(body):
    backend = Scripted(GenerationError("too slow", kind="generation_timeout"))
    with serving(backend) as url:
        assert [post(url, body, **KEY).status_code for _ in range(2)] == [504, 504]
    assert backend.events.count("started") == 2


def test_a_fault_of_the_input_is_kept_like_an_answer(body):
    bad = body | {"video_url": "data:video/mp4;base64,AAAA"}
    with serving(EchoBackend()) as url:
        answers = [post(url, bad, **KEY) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [422, 422]
        assert answers[0].json() == answers[1].json()
        assert len(ended_jobs(url)) == 1


def test_the_repeat_of_an_ended_call_needs_no_turn(body):
    with (
        serving(EchoBackend(token_s=0.1), max_requests=1, max_waiting=0) as url,
        ThreadPoolExecutor(1) as caller,
    ):
        first = post(url, body, **KEY)
        busy = caller.submit(post, url, body | {"prompt": "w " * 60})
        time.sleep(1)  # it has the only turn now
        assert post(url, body).status_code == 429
        repeated = post(url, body, **KEY)
        assert (repeated.status_code, repeated.json()) == (200, first.json())
        assert busy.result().status_code == 200


def test_pairs_of_callers_who_leave_do_not_fill_the_queue_beyond_its_limit(body):
    settings = {"max_queued": 1, "max_running": 1, "max_requests": 32}
    with serving(EchoBackend(token_s=30), **settings) as url, ThreadPoolExecutor(12) as callers:
        pairs = [
            callers.submit(post, url, body, timeout=2, **{"idempotency-key": str(n // 2)}) for n in range(12)
        ]
        refused = sum(isinstance(one.exception(), httpx.ReadTimeout) is False for one in pairs)
        assert refused >= 3  # the second callers of those for whom the queue has no room
        assert all(one.result().status_code == 429 for one in pairs if one.exception() is None)
