"""What the logs of the jobs that run here still lack."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from omnireel.backends.base import Event, Progress
from omnireel.store.jobs import Level
from omnireel.store.sqlite import job_log
from omnireel.store.sqlite.database import Connection, Database

# Lines wait so long for each other, and for their job's end: each write alone would cost a flush.
_WAIT_S = 0.1


@dataclass(eq=False)
class JobLogBuffer:
    """Lines that are written together; all of it belongs to one event loop."""

    database: Database
    clock: Callable[[], float]
    _last: dict[str, Progress] = field(default_factory=dict)
    _waiting: dict[str, list[tuple[float, Level, str]]] = field(default_factory=dict)

    def record(self, job_id: str, event: Event) -> None:
        """Note what the job's owner wants to read of an event."""
        if isinstance(event, Progress) and self._is_news(job_id, event):
            if job_id not in self._waiting:
                asyncio.get_running_loop().call_later(_WAIT_S, self._write, job_id)
            self._waiting.setdefault(job_id, []).append((self.clock(), "INFO", event.message))

    def with_change(self, job_id: str, change: Callable[[Connection], bool]) -> Callable[[Connection], bool]:
        """The change that ends an attempt, and what the job's log lacks, in one transaction."""
        lines = self.drop(job_id)

        def both(db: Connection) -> bool:
            job_log.append(db, job_id, lines)
            return change(db)

        return both

    def drop(self, job_id: str) -> list[tuple[float, Level, str]]:
        """Forget the job; the lines that were still to be written."""
        self._last.pop(job_id, None)
        return self._waiting.pop(job_id, [])

    def _write(self, job_id: str) -> None:
        if lines := self._waiting.pop(job_id, None):
            self.database.post(partial(job_log.append, job_id=job_id, lines=lines))

    def _is_news(self, job_id: str, event: Progress) -> bool:
        """A new stage, a remark, or another quarter of a long one."""
        before, self._last[job_id] = self._last.get(job_id), event
        if before is None or before.stage != event.stage or None in (before.fraction, event.fraction):
            return True
        return int(4 * (event.fraction or 0.0)) > int(4 * (before.fraction or 0.0))
