"""Waits for the end of a job. The store is read as well as events, because another process may run the job."""

import asyncio
from contextlib import suppress

from omnireel.jobs.events import Ended, Subscription
from omnireel.store.jobs import Job, JobStore
from omnireel.task import Failure, Outcome

_POLL_S = 0.5
_DROPPED = Failure("lost", "The answer was deleted before it was sent.")


async def wait_for_end(jobs: JobStore, job_id: str, subscription: Subscription) -> Outcome:
    """The outcome of a stored job, once it has ended.

    subscription: to the job's events; it must have begun before the job was submitted
    """
    while True:
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_S):
                while not isinstance(event := await subscription.get(), Ended):
                    pass
            if event.outcome is not None:
                return event.outcome
        status = await jobs.status(job_id)
        assert status is not None, "a job is not purged while its caller waits"
        if status.state.is_final:
            job = await jobs.find(job_id)
            return status.failure or _DROPPED if job is None else outcome_of(job)


def outcome_of(job: Job) -> Outcome:
    """The outcome of a job that has ended, also after its content was deleted."""
    return job.outcome or job.failure or _DROPPED
