"""The webhook sender with real receivers. The tests set the clock."""

import asyncio
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_network

import pytest
from receiver import Receiver, is_standard, sample
from stores import LEASE_S, POLICY, done, task

from omnireel.net.errors import FetchError
from omnireel.net.policy import EgressPolicy
from omnireel.store.jobs import Claim, Submission
from omnireel.store.open import open_store
from omnireel.webhooks.posting import post
from omnireel.webhooks.sender import Sender, SenderPolicy
from omnireel.webhooks.signing import KeyFile

BODY = b'{"status":"OK"}'
SENDER_POLICY = SenderPolicy(poll_s=0.02, drain_s=0.2)


class Clock:
    """A clock that stands still until the test changes it."""

    def __init__(self) -> None:
        self.now = time.time()

    def __call__(self) -> float:
        return self.now


def egress(*receivers, **changes):
    ports = tuple(receiver.port for receiver in receivers)
    admitted = {"allow": (ip_network("127.0.0.1/32"),), "ports": ports, "allow_http": True} | changes
    return EgressPolicy(1, **admitted)


class Lab:
    """A sender and its store."""

    def __init__(self, folder, egress_policy, **changes):
        self.clock = Clock()
        self.store = open_store(folder / "db")
        self.keys = KeyFile(folder / "keys.json")
        options = {"policy": SENDER_POLICY, "clock": self.clock, "wall_clock": self.clock} | changes
        self.sender = Sender(self.store.webhooks, self.keys, egress_policy, asyncio.Event(), **options)

    async def end_jobs(self, url, *job_ids):
        """End jobs with a webhook to `url`."""
        policy = replace(POLICY, webhook_body=lambda *_: BODY)
        for job_id in job_ids:
            submission, now = Submission(job_id, "ann", task(), webhook_url=url), self.clock()
            claim = Claim("w", 1, LEASE_S)
            _, (job,) = await self.store.jobs.submit(submission, fingerprint="f", now=now, claim=claim)
            await self.store.jobs.finish(job, done(), policy, worker="w", log=(), now=now)
        self.sender.wake.set()

    async def entry(self, job_id, num_deliveries):
        """The log of a job's webhook, once it has this many attempts."""
        async with asyncio.timeout(60):
            while True:
                (entry,) = await self.store.webhooks.read_log(job_id=job_id)
                if len(entry.deliveries) >= num_deliveries:
                    return entry
                await asyncio.sleep(0.01)


@asynccontextmanager
async def sending(folder, *receivers, egress_policy=None, **changes):
    lab = Lab(folder, egress_policy or egress(*receivers), **changes)
    running = asyncio.create_task(lab.sender.run())
    try:
        yield lab
    finally:
        lab.sender.stop()
        await running
        lab.store.close()


async def make_all_attempts(lab, job_id):
    """Move the clock from attempt to attempt until there are no more. Returns the log."""
    number = 1
    while True:
        entry = await lab.entry(job_id, number)
        if entry.next_at is None:
            return entry
        lab.clock.now = entry.next_at
        lab.sender.wake.set()
        number += 1


def test_a_failing_receiver_gets_ten_repetitions_within_two_hours_each_with_a_new_signature(tmp_path):
    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            began = lab.clock.now
            await lab.end_jobs(receiver.url, "a")
            entry = await make_all_attempts(lab, "a")
            return entry, lab.clock.now - began, lab.keys.load(0.0)

    with Receiver(500) as receiver:
        entry, took_s, keys = asyncio.run(run(receiver))
    assert entry.state == "given_up"
    assert [delivery.status for delivery in entry.deliveries] == [500] * 11
    assert took_s <= 2 * 3600
    assert len(receiver.calls) == 11
    assert {call.path for call in receiver.calls} == {"/hook?n=1"}
    assert {call.headers["webhook-id"] for call in receiver.calls} == {"msg_a"}
    stamps = [int(call.headers["X-Fal-Webhook-Timestamp"]) for call in receiver.calls]
    assert stamps == sorted(set(stamps))
    assert len({call.headers["X-Fal-Webhook-Signature"] for call in receiver.calls}) == 11
    is_genuine, published = sample("is_genuine"), sample("keys_of")(keys.jwks())
    for call, stamp in zip(receiver.calls, stamps, strict=True):
        is_genuine.__globals__["time"] = type("At", (), {"time": staticmethod(lambda at=stamp: at + 1)})
        assert is_genuine(call.headers, call.body, published)
        assert is_standard(call, keys.active.public)


def test_a_receiver_that_recovers_gets_the_webhook_and_no_further_attempts(tmp_path):
    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            await lab.end_jobs(receiver.url, "a")
            entry = await make_all_attempts(lab, "a")
            lab.clock.now += 10_000
            await asyncio.sleep(0.1)
            return entry

    with Receiver(503, 404, 204) as receiver:
        entry = asyncio.run(run(receiver))
    assert (entry.state, [one.status for one in entry.deliveries]) == ("delivered", [503, 404, 204])
    assert [call.body for call in receiver.calls] == [BODY] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 308, 410])
def test_redirects_and_410_are_final_and_not_followed(tmp_path, status):
    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            await lab.end_jobs(receiver.url, "a")
            return await lab.entry("a", 1)

    with Receiver(status) as receiver:
        entry = asyncio.run(run(receiver))
    assert (entry.state, entry.next_at) == ("given_up", None)
    assert [call.path for call in receiver.calls] == ["/hook?n=1"]


def test_a_forbidden_address_is_given_up_at_once_and_never_connected_to(tmp_path):
    async def loopback(host, port):
        return ["127.0.0.1"]

    async def run(receiver):
        policy = egress(receiver, allow=(), resolve=loopback)
        async with sending(tmp_path, egress_policy=policy) as lab:
            await lab.end_jobs(receiver.url, "literal")
            await lab.end_jobs(f"http://name.example:{receiver.port}/", "name")
            return [await lab.entry(job_id, 1) for job_id in ("literal", "name")]

    with Receiver() as receiver:
        for entry in asyncio.run(run(receiver)):
            assert entry.state == "given_up"
            assert "127.0.0.1 is not allowed: loopback" in entry.deliveries[0].error
        assert receiver.calls == []


def test_an_unreachable_receiver_is_tried_again(tmp_path):
    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            await lab.end_jobs(receiver.url, "a")
            return await lab.entry("a", 1)

    with Receiver() as receiver:
        pass
    entry = asyncio.run(run(receiver))
    assert entry.state == "waiting"
    assert entry.deliveries[0].status is None
    assert entry.deliveries[0].error == "its host cannot be reached: 127.0.0.1: connection refused"


def test_a_receiver_that_never_answers_does_not_delay_others(tmp_path):
    release = threading.Event()

    async def run(slow, quick):
        async with sending(tmp_path, slow, quick, egress_policy=egress(slow, quick)) as lab:
            await lab.end_jobs(slow.url, *(f"slow{number}" for number in range(12)))
            await lab.end_jobs(quick.url, *(f"quick{number}" for number in range(8)))
            for number in range(8):
                assert (await lab.entry(f"quick{number}", 1)).state == "delivered"
            assert len(slow.calls) == SENDER_POLICY.max_each
            release.set()
            for number in range(12):
                assert (await lab.entry(f"slow{number}", 1)).state == "delivered"

    with Receiver(before_answer=release.wait) as slow, Receiver() as quick:
        asyncio.run(run(slow, quick))


def test_an_answer_that_is_too_late_is_an_error():
    release = threading.Event()
    with Receiver(before_answer=release.wait) as receiver:
        began = time.monotonic()
        with pytest.raises(FetchError, match=r"within 0\.3 s"):
            asyncio.run(post(receiver.url, BODY, {}, egress(receiver), within_s=0.3))
        assert time.monotonic() - began < 5
        release.set()


def test_an_attempt_that_a_stopping_process_cannot_finish_is_made_again_by_the_next(tmp_path):
    release = threading.Event()

    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            await lab.end_jobs(receiver.url, "a")
            await asyncio.to_thread(receiver.wait_for, 1)
        release.set()
        async with sending(tmp_path, receiver) as lab:
            return await lab.entry("a", 1)

    with Receiver(before_answer=release.wait) as receiver:
        entry = asyncio.run(run(receiver))
    assert (entry.state, len(entry.deliveries), len(receiver.calls)) == ("delivered", 1, 2)


def test_two_processes_on_one_store_send_each_webhook_once(tmp_path):
    ids = [f"job{number}" for number in range(20)]

    async def run(receiver):
        async with sending(tmp_path, receiver) as one, sending(tmp_path, receiver):
            await one.end_jobs(receiver.url, *ids)
            for job_id in ids:
                await one.entry(job_id, 1)

    with Receiver() as receiver:
        asyncio.run(run(receiver))
    assert sorted(call.headers["webhook-id"] for call in receiver.calls) == sorted(
        f"msg_{job}" for job in ids
    )


def test_without_usable_keys_webhooks_wait_and_no_attempt_is_made(tmp_path):
    (tmp_path / "keys.json").mkdir()

    async def run(receiver):
        async with sending(tmp_path, receiver) as lab:
            await lab.end_jobs(receiver.url, "a")
            await asyncio.sleep(0.2)
            assert receiver.calls == []
            (tmp_path / "keys.json").rmdir()
            return await lab.entry("a", 1)

    with Receiver() as receiver:
        assert asyncio.run(run(receiver)).state == "delivered"
