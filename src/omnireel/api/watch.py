"""Waiting for a job: woken by this process's worker, and looking at the store in case another has it."""

import asyncio
from contextlib import suppress
from functools import partial

from omnireel.jobs import store
from omnireel.jobs.job import Outcome
from omnireel.jobs.worker import Worker

_LOOK_S = 0.5


async def wait_for_end(worker: Worker, job_id: str) -> Outcome:
    """The outcome of a job that exists, however long it takes."""
    with worker.feeds.watch(job_id) as feed:
        while True:
            job = await worker.database.read(partial(store.find, job_id=job_id))
            assert job is not None, "jobs are not forgotten while somebody waits"
            if job.outcome is not None:
                return job.outcome
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    while not worker.is_end(await feed.get()):
                        pass
