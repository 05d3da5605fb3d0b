"""What happens to jobs on account of the time alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from omnireel.errors import CapacityError
from omnireel.jobs import store
from omnireel.jobs.database import Database
from omnireel.jobs.feed import Ended, Feeds
from omnireel.jobs.spool import Spool

_SPOOL_GRACE_S = 600.0
# How often the spool is listed: it costs more the more jobs wait, and nothing waits for what is found.
_TIDY_S = 60.0


@dataclass(frozen=True, eq=False)
class Sweeper:
    """Ends late jobs, takes back lost ones, forgets those that ended `keep_s` ago."""

    database: Database
    terms: store.Terms
    spool: Spool
    feeds: Feeds
    keep_s: float
    clock: Callable[[], float]

    async def run(self, every_s: float) -> None:
        """Sweep for ever."""
        tidy_at = self.clock()
        while True:
            now = self.clock()
            with suppress(CapacityError):
                await self._sweep(now)
                if now >= tidy_at:
                    videos = await self.database.read(store.spooled_videos)
                    await asyncio.to_thread(self.spool.keep_only, videos, older_than_s=_SPOOL_GRACE_S)
                    tidy_at = now + _TIDY_S
            await asyncio.sleep(every_s)

    async def _sweep(self, now: float) -> None:
        for job_id in await self.database.write(partial(store.sweep, terms=self.terms, now=now)):
            self.feeds.tell(job_id, Ended(None))
        await self.database.write(partial(store.forget, before=now - self.keep_s))
