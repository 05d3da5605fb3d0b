"""A request that crashes every worker that runs it takes no other request along."""

import asyncio
import time
from contextlib import closing

import pytest
from served import ENDPOINT_ID, Worker, data_uri, make_clip

from omnireel.store.jobs import State, Submission
from omnireel.store.open import open_store
from omnireel.task import video_task

CLIP = data_uri(make_clip(seconds=0.3))
DEADLY, OTHERS = "die", ("first", "second")
MAX_CRASHES = 2


class DyingWorker(Worker):
    """A worker whose process is killed by one prompt, while it runs others."""

    code = f"""
import asyncio, os, signal
import omnireel.cli
from omnireel.backends.echo import EchoBackend
answered = EchoBackend.generate

async def generate(self, task, files):
    if task.prompt == {DEADLY!r}:
        await asyncio.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    async for event in answered(self, task, files):
        yield event

EchoBackend.generate = generate
omnireel.cli.main()
"""


def states(store):
    return {name: asyncio.run(store.jobs.find(name)).state for name in (DEADLY, *OTHERS)}


@pytest.mark.timeout(300)
def test_only_the_request_that_kills_its_workers_fails(tmp_path):
    """The other jobs take longer than the deadly one, so they are lost with each worker that it dies in."""
    variables = {
        "OMNIREEL_LEASE_S": "1",
        "OMNIREEL_ECHO_TOKEN_S": "0.8",
        "OMNIREEL_MAX_CRASHES": str(MAX_CRASHES),
    }
    deadline = time.monotonic() + 240
    with closing(open_store(tmp_path / "omnireel.db")) as store:
        for name in (OTHERS[0], DEADLY, OTHERS[1]):
            task = video_task(ENDPOINT_ID, prompt=name, video=CLIP)
            submission = Submission(name, "ann" if name == DEADLY else "bob", task)
            asyncio.run(store.jobs.submit(submission, fingerprint=name, now=time.time()))
        num_deaths = 0
        while not all(state.is_final for state in states(store).values()):
            with DyingWorker(tmp_path, log_name=f"worker-{num_deaths}.log", **variables) as worker:
                while worker.process.poll() is None and not all(s.is_final for s in states(store).values()):
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                num_deaths += worker.process.poll() is not None
        assert states(store) == {DEADLY: State.failed, **dict.fromkeys(OTHERS, State.succeeded)}
        assert asyncio.run(store.jobs.find(DEADLY)).failure.kind == "lost"
        assert num_deaths == MAX_CRASHES
