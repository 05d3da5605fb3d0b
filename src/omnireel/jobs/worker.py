"""Takes jobs from the store and runs them: claim, beat, finish.

The store is the truth. A worker that cannot renew a lease stops that job at once, because another may have
it by then; what it would have written is refused by the lease token in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import structlog

from omnireel.backends.base import Event, Progress
from omnireel.errors import CapacityError
from omnireel.jobs import job_log, store
from omnireel.jobs.database import Connection, Database
from omnireel.jobs.feed import ENDED, Feeds, Notice
from omnireel.jobs.job import Job, Level, Outcome
from omnireel.jobs.spool import Spool

log = structlog.get_logger()

# Why a running job was interrupted.
_CANCELLED, _FENCED = "cancelled", "fenced"
_SPOOL_GRACE_S = 600.0
# How often the spool is listed: it costs more the more jobs wait, and nothing waits for what is found.
_TIDY_S = 60.0
# Lines of a job's log wait so long for each other, and for its end: each write alone would cost a flush.
_LINES_WAIT_S = 0.1

# Runs one job to its outcome, telling what happens; raises CapacityError to have it wait, nothing else.
Run = Callable[[Job, Callable[[Event], None]], Awaitable[Outcome]]


@dataclass(frozen=True)
class WorkerRule:
    """How a worker behaves.

    name:       of this process, unlike any other's
    max_running: jobs at once
    poll_s:     how often it looks for jobs that another process submitted
    keep_s:     how long ended jobs can be read
    """

    name: str
    max_running: int = 4
    lease_s: float = 15.0
    beat_s: float = 5.0
    poll_s: float = 1.0
    keep_s: float = 24 * 3600.0


@dataclass(eq=False)
class Worker:
    """One process's share of the work."""

    database: Database
    terms: store.Terms
    spool: Spool
    feeds: Feeds
    run_job: Run
    rule: WorkerRule
    clock: Callable[[], float] = time.time
    _busy: set[asyncio.Task[None]] = field(default_factory=set)
    _running: dict[str, asyncio.Task[Outcome]] = field(default_factory=dict)
    _last_told: dict[str, Progress] = field(default_factory=dict)
    _lines: dict[str, list[tuple[float, Level, str]]] = field(default_factory=dict)
    _errands: set[asyncio.Task[store.Cancelling]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _is_stopping: bool = False

    async def run(self) -> None:
        """Work until `stop`; then let what runs finish."""
        async with asyncio.TaskGroup() as group:
            sweeper = group.create_task(self._sweep_for_ever())
            listener = group.create_task(self._heed_cancels_for_ever())
            await self._take_for_ever(group)
            if self._busy:
                await asyncio.wait(self._busy)
            sweeper.cancel()
            listener.cancel()

    def wake(self) -> None:
        """Something may have come in."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing new."""
        self._is_stopping = True
        self._wake.set()

    def give_up(self) -> None:
        """End what runs now; it will run again elsewhere or later."""
        for task in self._running.values():
            task.cancel("the server is shutting down")

    async def cancel(self, job_id: str) -> store.Cancelling:
        """End a waiting job; stop a running one, at once where it runs here."""
        job = await self.database.read(partial(store.find, job_id=job_id))
        cancel = partial(store.cancel, terms=self.terms, job_id=job_id, now=self.clock())
        how = await self.database.write(cancel)
        if how == "requested" and job_id in self._running:
            _interrupt(self._running[job_id], _CANCELLED)
        elif how == "removed":
            self._ended(job_id, job.video if job else None)
        return how

    def abandon(self, job_id: str) -> None:
        """Cancel without waiting: its caller has left, and takes the task that served it along."""
        task = asyncio.get_running_loop().create_task(self.cancel(job_id))
        self._errands.add(task)
        task.add_done_callback(self._errands.discard)

    @staticmethod
    def is_end(notice: Notice) -> bool:
        """Whether a notice says that the job has ended."""
        return notice is ENDED

    async def _take_for_ever(self, group: asyncio.TaskGroup) -> None:
        """Claim as many jobs as there is room for, whenever some may have come in or room has been made."""
        while not self._is_stopping:
            self._wake.clear()
            room = self.rule.max_running - len(self._busy)
            for job in await self._claim(room) if room else []:
                task = group.create_task(self._work(job))
                self._busy.add(task)
                task.add_done_callback(self._make_room)
            with suppress(TimeoutError):
                async with asyncio.timeout(self.rule.poll_s):
                    await self._wake.wait()

    def _make_room(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self.wake()

    async def _claim(self, room: int) -> list[Job]:
        name, lease_s = self.rule.name, self.rule.lease_s
        claim = partial(store.claim_some, worker=name, max_jobs=room, lease_s=lease_s, now=self.clock())
        try:
            return await self.database.write(claim)
        except CapacityError as error:
            log.error("no job can be claimed", error=error.message)
            return []

    async def _work(self, job: Job) -> None:
        """Run a claimed job, beating, and store how it ended."""
        structlog.contextvars.bind_contextvars(request_id=job.id)
        task = asyncio.ensure_future(self.run_job(job, partial(self._tell, job)))
        self._running[job.id] = task
        heart = asyncio.create_task(self._beat_for_ever(job, task))
        try:
            outcome = await task
        except CapacityError as error:
            await self._give_back(job, error.after_s, counts=True)
            return
        except asyncio.CancelledError as reason:
            await self._interrupted(job, str(reason))
            return
        finally:
            heart.cancel()
            del self._running[job.id]
            self._last_told.pop(job.id, None)
        await self._finish(job, outcome)

    async def _interrupted(self, job: Job, reason: str) -> None:
        if reason == _CANCELLED:
            await self._finish(job, self.terms.cancelled)
        elif reason != _FENCED and job.pinned_to is None:
            await self._give_back(job, 0.0, counts=False)
        elif reason != _FENCED:
            await self._finish(job, self.terms.lost)  # its caller's line ends with this process

    async def _finish(self, job: Job, outcome: Outcome) -> None:
        name, now = self.rule.name, self.clock()
        end = partial(store.finish, terms=self.terms, job=job, outcome=outcome, worker=name, now=now)
        try:
            is_ours = await self.database.write(self._with_lines(job.id, end))
        except CapacityError as error:
            log.error("an outcome cannot be stored: the job will run again", error=error.message)
            return
        if not is_ours:
            log.warning("another worker has this job", attempt=job.attempt)
            return
        self._ended(job.id, job.video)
        log.info("job ended", status=outcome.status, state=str(outcome.state), attempt=job.attempt)

    def _ended(self, job_id: str, video: str | None) -> None:
        if video is not None:
            self.spool.remove(video)
        self.feeds.tell(job_id, ENDED)

    async def _give_back(self, job: Job, after_s: float, *, counts: bool) -> None:
        name, now = self.rule.name, self.clock()
        again = partial(store.give_back, job=job, worker=name, after_s=after_s, counts=counts, now=now)
        try:
            is_waiting = await self.database.write(self._with_lines(job.id, again))
        except CapacityError as error:
            log.error("a job cannot be given back: its lease will run out", error=error.message)
            return
        if not is_waiting and counts:
            await self._finish(job, self.terms.lost)

    async def _beat_for_ever(self, job: Job, task: asyncio.Task[Outcome]) -> None:
        """Renew the lease; stop the work when it is lost or its end is asked for."""
        while True:
            await asyncio.sleep(self.rule.beat_s)
            name, lease_s = self.rule.name, self.rule.lease_s
            beat = partial(store.beat, job=job, worker=name, lease_s=lease_s, now=self.clock())
            try:
                is_cancelled = await self.database.write(beat)
            except CapacityError:
                continue  # the lease outlasts two failed beats; a third ends it elsewhere
            if is_cancelled is None:
                _interrupt(task, _FENCED)
            elif is_cancelled:
                _interrupt(task, _CANCELLED)

    async def _heed_cancels_for_ever(self) -> None:
        """Stop jobs whose end another process asked for; a beat alone would notice late."""
        while True:
            await asyncio.sleep(self.rule.poll_s)
            if not self._running:
                continue
            for job_id in await self.database.read(partial(store.cancels_asked, worker=self.rule.name)):
                if job_id in self._running:
                    _interrupt(self._running[job_id], _CANCELLED)

    def _tell(self, job: Job, event: Event) -> None:
        self.feeds.tell(job.id, event)
        if isinstance(event, Progress) and self._is_news(job.id, event):
            if job.id not in self._lines:
                asyncio.get_running_loop().call_later(_LINES_WAIT_S, self._write_lines, job.id)
            self._lines.setdefault(job.id, []).append((self.clock(), "INFO", event.message))

    def _write_lines(self, job_id: str) -> None:
        if lines := self._lines.pop(job_id, None):
            self.database.post(partial(job_log.append, job_id=job_id, lines=lines))

    def _with_lines(self, job_id: str, change: Callable[[Connection], bool]) -> Callable[[Connection], bool]:
        """The change of a job, and what its log lacks, in one transaction."""
        lines = self._lines.pop(job_id, [])

        def both(db: Connection) -> bool:
            job_log.append(db, job_id, lines)
            return change(db)

        return both

    def _is_news(self, job_id: str, event: Progress) -> bool:
        """A new stage, a remark, or another quarter of a long one: what an owner wants to read."""
        before, self._last_told[job_id] = self._last_told.get(job_id), event
        if before is None or before.stage != event.stage or None in (before.fraction, event.fraction):
            return True
        return int(4 * (event.fraction or 0.0)) > int(4 * (before.fraction or 0.0))

    async def _sweep_for_ever(self) -> None:
        """End late jobs, take back lost ones, forget old ones."""
        tidy_at = self.clock()
        while True:
            now = self.clock()
            with suppress(CapacityError):
                for job_id in await self.database.write(partial(store.sweep, terms=self.terms, now=now)):
                    self.feeds.tell(job_id, ENDED)
                await self.database.write(partial(store.forget, before=now - self.rule.keep_s))
                if now >= tidy_at:
                    videos = await self.database.read(store.spooled_videos)
                    await asyncio.to_thread(self.spool.keep_only, videos, older_than_s=_SPOOL_GRACE_S)
                    tidy_at = now + _TIDY_S
            await asyncio.sleep(self.rule.poll_s)


def _interrupt(task: asyncio.Task[Outcome], reason: str) -> None:
    """Cancel once: a second time would tear what the first one is putting away."""
    if not task.cancelling():
        task.cancel(reason)
