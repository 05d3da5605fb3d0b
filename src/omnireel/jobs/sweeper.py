"""What happens to jobs on account of the time alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import structlog

from omnireel.errors import CapacityError
from omnireel.jobs.events import Ended, JobEvents
from omnireel.storage.spool import Spool
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite.database import Connection, Database

_SPOOL_GRACE_S = 600.0
# How often all jobs and the spool are looked through: it costs more the more there are, and nothing waits.
_TIDY_S = 60.0

log = structlog.get_logger()


@dataclass(frozen=True, eq=False)
class Sweeper:
    """Ends late jobs, takes back lost ones, forgets those that ended `keep_s` ago.

    renewal: makes the change that renews the leases of what runs in this process now
    """

    database: Database
    end_policy: store.EndPolicy
    spool: Spool
    events: JobEvents
    keep_s: float
    clock: Callable[[], float]
    renewal: Callable[[], Callable[[Connection], object]]

    async def run(self, every_s: float) -> None:
        """Sweep for ever; what stands in the way now may be gone the next time."""
        tidy_at = self.clock()
        while True:
            now = self.clock()
            try:
                await self._sweep(now)
                if now >= tidy_at:
                    await self._tidy(now)
                    tidy_at = now + _TIDY_S
            except (CapacityError, OSError) as error:
                log.error("jobs cannot be swept", error=str(error))
            await asyncio.sleep(every_s)

    async def _sweep(self, now: float) -> None:
        renew = self.renewal()

        def both(db: Connection) -> list[str]:
            # Perhaps nothing could be written for a while, or the machine slept: what runs here is not lost.
            if store.has_lapsed_lease(db, now=now):
                renew(db)
            return store.sweep(db, self.end_policy, now=now)

        for job_id in await self.database.write(both):
            self.events.publish(job_id, Ended(None))

    async def _tidy(self, now: float) -> None:
        await self.database.write(partial(store.purge, before=now - self.keep_s))
        await self.database.write(partial(store.purge_unkept, now=now))
        videos = await self.database.read(store.spooled_videos)
        await asyncio.to_thread(self.spool.keep_only, videos, older_than_s=_SPOOL_GRACE_S)
