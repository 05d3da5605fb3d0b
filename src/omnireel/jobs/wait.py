"""Waiting for a job: told by this process's worker, and looking at the store in case another has it."""

import asyncio
from contextlib import suppress
from functools import partial

from omnireel.jobs.events import Ended, JobEvent
from omnireel.jobs.worker import Worker
from omnireel.store.jobs import Outcome
from omnireel.store.sqlite import jobs as store

_LOOK_S = 0.5


async def wait_for_end(worker: Worker, job_id: str, subscription: asyncio.Queue[JobEvent]) -> Outcome:
    """The outcome of a job that exists, however long it takes.

    feed: what is told of the job, watched since before it was submitted
    """
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                while not isinstance(job_event := await subscription.get(), Ended):
                    pass
            if job_event.outcome is not None:
                return job_event.outcome
        job = await worker.database.read(partial(store.find, job_id=job_id))
        assert job is not None, "jobs are not forgotten while somebody waits"
        if job.outcome is not None:
            return job.outcome
