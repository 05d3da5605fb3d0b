"""Log lines of the jobs that run in this process, until they are stored."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from omnireel.store.jobs import JobStore, NewLogLine
from omnireel.task import Event, Progress, Stage

# Lines wait so long for further lines or for the end of their job, because every commit flushes the disk.
_WAIT_S = 0.1


@dataclass(eq=False)
class JobLogBuffer:
    """Collects log lines and stores them together. Only one event loop may use it.

    clock: the wall clock, since people read the lines' times
    """

    jobs: JobStore
    clock: Callable[[], float] = time.time
    _last: dict[str, dict[Stage, float]] = field(default_factory=dict)
    _waiting: dict[str, list[NewLogLine]] = field(default_factory=dict)

    def record(self, job_id: str, event: Event) -> None:
        """Add the log line of a progress event if it is news."""
        if isinstance(event, Progress) and self._is_news(job_id, event):
            if job_id not in self._waiting:
                asyncio.get_running_loop().call_later(_WAIT_S, self._write, job_id)
            self._waiting.setdefault(job_id, []).append((self.clock(), "INFO", event.message))

    def take(self, job_id: str) -> list[NewLogLine]:
        """Remove and return the lines that are not stored yet. Called when an attempt at the job ends."""
        self._last.pop(job_id, None)
        return self._waiting.pop(job_id, [])

    def _write(self, job_id: str) -> None:
        if lines := self._waiting.pop(job_id, None):
            self.jobs.append_log(job_id, lines)

    def _is_news(self, job_id: str, event: Progress) -> bool:
        """Whether the event starts a stage, has no fraction, or completes another quarter of a stage.

        Stages alternate: frames are read between batches that are encoded.
        """
        if event.fraction is None:
            return True
        fractions = self._last.setdefault(job_id, {})
        before = fractions.get(event.stage)
        fractions[event.stage] = event.fraction
        return before is None or int(4 * event.fraction) > int(4 * before)
