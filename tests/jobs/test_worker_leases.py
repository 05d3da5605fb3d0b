"""A worker keeps its jobs when the clock jumps or the disk fails."""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest

from omnireel.errors import CapacityError, StorageError
from omnireel.jobs.events import JobEvents
from omnireel.jobs.worker import Worker, WorkerPolicy
from omnireel.storage.local_blobs import LocalBlobStore
from omnireel.store.jobs import MAX_BACKOFF_S, EndPolicy, State, Submission
from omnireel.store.open import open_store
from omnireel.task import CANCELLED, LOST, NOT_STARTED, Answer, FinishReason, video_task

POLICY = WorkerPolicy("me", max_running=2, lease_s=15, renew_every_s=0.5, poll_s=0.02)
END_POLICY = EndPolicy(CANCELLED, NOT_STARTED, LOST, webhook_body=lambda *_: b"{}", micro_per_token=6)
TASK = video_task("some/endpoint", prompt="What moves?", video="https://example.com/clip.mp4")
ANSWER = Answer("A ball.", None, FinishReason.stop, 10, 3, None)


class Lab:
    """A worker whose clock and jobs the test controls."""

    def __init__(self, directory):
        self.now = 1000.0
        self.starts, self.interrupted, self.num_late, self.num_full = [], [], 0, 0
        self.may_end = asyncio.Event()
        self.store = open_store(directory / "store")
        self.worker = Worker(
            self.store.jobs,
            LocalBlobStore(directory / "incoming"),
            END_POLICY,
            JobEvents(),
            self._run,
            POLICY,
            clock=lambda: self.now,
        )

    async def _run(self, job, publish):
        self.starts.append(job.attempt)
        if self.num_full:
            self.num_full -= 1
            raise CapacityError("The disk is full.", after_s=10, kind="insufficient_storage")
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.interrupted.append(job.attempt)
            raise
        return ANSWER

    async def submit(self, **more):
        return await self.worker.submit(Submission("a", "ann", TASK, **more), fingerprint="f")

    async def sweep(self):
        """Wait for a whole sweep: it ends a job whose start deadline has passed."""
        self.num_late += 1
        late = Submission(f"late {self.num_late}", "ann", TASK, pinned_to="another", start_deadline_s=0)
        await self.store.jobs.submit(late, fingerprint="f", now=self.now)
        await self.end_of(late.id)

    async def end_of(self, job_id):
        async with asyncio.timeout(20):
            while not (job := await self.store.jobs.find(job_id)).state.is_final:
                await asyncio.sleep(0.01)
        return job.state


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def running_lab(directory):
    lab = Lab(directory)
    task = asyncio.create_task(lab.worker.run())
    try:
        yield lab
        lab.worker.stop()
        async with asyncio.timeout(10):
            await task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        lab.store.close()


@pytest.mark.parametrize("more", [{}, {"pinned_to": "me", "retries": 0}], ids=["queued", "attached"])
def test_a_clock_that_jumps_beyond_a_lease_takes_no_job_from_a_live_worker(tmp_path, more):
    async def scenario():
        async with running_lab(tmp_path) as lab:
            await lab.submit(**more)
            await until(lambda: lab.starts)
            for _ in range(3):
                lab.now += 10 * POLICY.lease_s
                await lab.sweep()
            lab.may_end.set()
            return lab.starts, await lab.end_of("a")

    assert asyncio.run(scenario()) == ([1], State.succeeded)


def test_a_job_that_was_taken_back_and_claimed_again_runs_once_at_a_time(tmp_path):
    async def scenario():
        async with running_lab(tmp_path) as lab:
            await lab.submit()
            await until(lambda: lab.starts)
            await lab.store.jobs.end_overdue(
                END_POLICY, running=(), worker="another", lease_s=15, now=lab.now + POLICY.lease_s + 1
            )
            lab.now += MAX_BACKOFF_S
            await until(lambda: len(lab.starts) == 2 and lab.interrupted)
            lab.may_end.set()
        return lab.starts, lab.interrupted

    assert asyncio.run(scenario()) == ([1, 2], [1])


def test_a_worker_goes_on_if_its_directory_of_clips_is_missing(tmp_path):
    async def scenario():
        async with running_lab(tmp_path) as lab:
            shutil.rmtree(tmp_path / "incoming")
            await lab.submit()
            lab.may_end.set()
            ended = await lab.end_of("a")
            await lab.sweep()
            return ended

    assert asyncio.run(scenario()) == State.succeeded


def test_a_clip_that_cannot_be_deleted_ends_no_worker(tmp_path):
    async def scene():
        async with running_lab(tmp_path) as lab:
            clip = tmp_path / "incoming" / "a"
            clip.mkdir()  # unlinking a directory fails
            await lab.submit(media="a")
            lab.may_end.set()
            ended = await lab.end_of("a")
            await lab.sweep()
            return ended

    assert asyncio.run(scene()) == State.succeeded


def test_an_outcome_is_stored_late_if_the_store_cannot_be_written_for_a_while(tmp_path):
    async def scenario():
        async with running_lab(tmp_path) as lab:
            finish, refusals = lab.store.jobs.finish, []

            async def refuse_twice(*arguments, **more):
                if len(refusals) < 2:
                    refusals.append(1)
                    raise StorageError("The store", "another program locks it")
                return await finish(*arguments, **more)

            lab.worker.jobs.finish = refuse_twice
            await lab.submit()
            await until(lambda: lab.starts)
            lab.may_end.set()
            assert await lab.end_of("a") is State.succeeded
            assert (len(refusals), lab.starts) == (2, [1])

    asyncio.run(scenario())


def test_a_job_that_finds_the_disk_full_waits_and_loses_no_attempt(tmp_path):
    async def scene():
        async with running_lab(tmp_path) as lab:
            lab.num_full = 3
            lab.may_end.set()
            await lab.submit(retries=0)
            while len(lab.starts) < 4:
                await until(lambda: not lab.worker._running)
                lab.now += 10
                await asyncio.sleep(0.02)
            return lab.starts, await lab.end_of("a")

    assert asyncio.run(scene()) == ([1, 1, 1, 1], State.succeeded)


def test_an_outcome_waits_for_a_store_that_cannot_be_written_longer_than_any_lease(tmp_path, monkeypatch):
    """No other worker can claim the job either, and the answer was paid for."""

    async def scene():
        async with running_lab(tmp_path) as lab:
            finish, refusals = lab.store.jobs.finish, []

            async def refuse_for_long(*arguments, **more):
                if len(refusals) < 20:
                    refusals.append(1)
                    lab.now += POLICY.lease_s
                    raise CapacityError("The disk is full.", after_s=10, kind="insufficient_storage")
                return await finish(*arguments, **more)

            lab.worker.jobs.finish = refuse_for_long
            await lab.submit()
            lab.may_end.set()
            return await lab.end_of("a"), lab.starts, len(refusals)

    monkeypatch.setattr("omnireel.jobs.worker._RETRY_S", 0.01)
    assert asyncio.run(scene()) == (State.succeeded, [1], 20)
