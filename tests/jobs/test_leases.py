"""A worker keeps what it runs, whatever the clock and the disk do."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
from test_store import TERMS, done

from omnireel.jobs.events import JobEvents
from omnireel.jobs.worker import Worker, WorkerPolicy
from omnireel.storage.spool import Spool
from omnireel.store.jobs import State, Submission
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite.database import Database

RULE = WorkerPolicy("me", max_running=2, lease_s=15, renew_every_s=0.5, poll_s=0.02)


class Lab:
    """A worker on a clock that the test owns; its jobs end when the test lets them."""

    def __init__(self, directory, rule):
        self.now = 1000.0
        self.starts, self.interrupted, self.num_late = [], [], 0
        self.may_end = asyncio.Event()
        self.database = Database(directory / "store")
        self.spool = Spool(directory / "spool")
        self.worker = Worker(
            self.database, TERMS, self.spool, JobEvents(), self._run, rule, clock=lambda: self.now
        )

    async def _run(self, job, tell):
        self.starts.append(job.attempt)
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.interrupted.append(job.attempt)
            raise
        return done()

    async def submit(self, **more):
        return await self.worker.submit(Submission("a", "ann", {}, **more), fingerprint="f")

    async def sweep(self):
        """Wait for a whole sweep, which ends a job that comes too late."""
        self.num_late += 1
        late = Submission(f"late {self.num_late}", "ann", {}, pinned_to="nobody", start_deadline_s=0)
        await self.database.write(partial(store.submit, submission=late, fingerprint="f", now=self.now))
        await self.end_of(late.id)

    async def end_of(self, job_id):
        async with asyncio.timeout(20):
            while not (job := await self.database.read(partial(store.find, job_id=job_id))).state.is_final:
                await asyncio.sleep(0.01)
        return job.state


async def until(condition):
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def at_work(directory, rule=RULE):
    lab = Lab(directory, rule)
    task = asyncio.create_task(lab.worker.run())
    try:
        yield lab
        lab.worker.stop()
        async with asyncio.timeout(10):
            await task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        lab.database.close()


@pytest.mark.parametrize("more", [{}, {"pinned_to": "me", "retries": 0}], ids=["queued", "on the line"])
def test_a_clock_that_jumps_beyond_a_lease_takes_no_job_from_a_worker_that_lives(tmp_path, more):
    async def scene():
        async with at_work(tmp_path) as lab:
            await lab.submit(**more)
            await until(lambda: lab.starts)
            for _ in range(3):
                lab.now += 10 * RULE.lease_s
                await lab.sweep()
            lab.may_end.set()
            return lab.starts, await lab.end_of("a")

    assert asyncio.run(scene()) == ([1], State.succeeded)


def test_a_job_that_was_taken_back_and_comes_again_runs_once_at_a_time(tmp_path):
    async def scene():
        async with at_work(tmp_path) as lab:
            await lab.submit()
            await until(lambda: lab.starts)
            take_back = partial(store.sweep, end_policy=TERMS, now=lab.now + RULE.lease_s + 1)
            await lab.database.write(take_back)
            lab.now += store.MAX_BACKOFF_S
            await until(lambda: len(lab.starts) == 2 and lab.interrupted)
            lab.may_end.set()
        return lab.starts, lab.interrupted

    assert asyncio.run(scene()) == ([1, 2], [1])


def test_a_spool_that_cannot_be_read_ends_no_worker(tmp_path):
    async def scene():
        async with at_work(tmp_path) as lab:
            (tmp_path / "spool").rmdir()
            await lab.submit()
            lab.may_end.set()
            ended = await lab.end_of("a")
            await lab.sweep()
            return ended

    assert asyncio.run(scene()) == State.succeeded
