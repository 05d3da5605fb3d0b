"""Ends late jobs, requeues lost ones, and deletes old ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from omnireel.errors import CapacityError
from omnireel.jobs.events import Ended, JobEvents
from omnireel.storage.blob_store import BlobStore
from omnireel.store.jobs import EndPolicy, Job, JobStore

# A younger file may belong to a job that is just being submitted.
_GARBAGE_AGE_S = 600.0
# How often old jobs and files are looked for. This reads all of them, and nothing waits for it.
_PURGE_EVERY_S = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Sweeper:
    """Ends late jobs, requeues lost ones, and purges those that ended `keep_s` ago.

    incoming: the clips of unfinished jobs
    worker:   the name of this process's worker
    clock:    gives store time
    running:  returns the jobs that it runs now
    """

    jobs: JobStore
    incoming: BlobStore
    end_policy: EndPolicy
    events: JobEvents
    worker: str
    lease_s: float
    keep_s: float
    clock: Callable[[], float]
    running: Callable[[], Sequence[Job]]

    async def run(self, every_s: float) -> None:
        """Sweep until cancelled. An error is logged, and the next sweep tries again."""
        purge_at = self.clock()
        while True:
            now = self.clock()
            try:
                await self._end_overdue(now)
                if now >= purge_at:
                    await self._purge(now)
                    purge_at = now + _PURGE_EVERY_S
            except (CapacityError, OSError) as error:
                log.error("jobs could not be swept", error=str(error))
            await asyncio.sleep(every_s)

    async def _end_overdue(self, now: float) -> None:
        overdue = await self.jobs.end_overdue(
            self.end_policy, running=self.running(), worker=self.worker, lease_s=self.lease_s, now=now
        )
        for lease in overdue.lapsed:
            then = "lost" if lease.has_ended else "queued again"
            log.warning(
                "lease ran out", request_id=lease.job_id, worker=lease.worker, attempt=lease.attempt, job=then
            )
        for job_id in overdue.ended:
            self.events.publish(job_id, Ended(None))

    async def _purge(self, now: float) -> None:
        await self.jobs.purge(before=now - self.keep_s)
        await self.jobs.purge_unkept(now=now)
        await self.incoming.keep_only(await self.jobs.needed_media(), older_than_s=_GARBAGE_AGE_S)
