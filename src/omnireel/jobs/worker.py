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
from typing import Any, TypeVar

import structlog

from omnireel.backends.base import Event
from omnireel.errors import CapacityError
from omnireel.jobs.events import Ended, JobEvents
from omnireel.jobs.log_buffer import JobLogBuffer
from omnireel.jobs.sweeper import Sweeper
from omnireel.storage.spool import Spool
from omnireel.store.jobs import Job, Outcome, Submission
from omnireel.store.sqlite import jobs as store
from omnireel.store.sqlite.database import Connection, Database

log = structlog.get_logger()

# Why a running job was interrupted.
_CANCELLED, _FENCED = "cancelled", "fenced"

T = TypeVar("T")

# Runs one job to its outcome, telling what happens; raises CapacityError to have it wait, nothing else.
Run = Callable[[Job, Callable[[Event], None]], Awaitable[Outcome]]


@dataclass(frozen=True)
class WorkerPolicy:
    """How a worker behaves.

    name:       of this process, unlike any other's
    max_running: jobs at once
    poll_s:     how often it looks for jobs that another process submitted
    keep_s:     how long ended jobs can be read
    """

    name: str
    max_running: int = 4
    lease_s: float = 15.0
    renew_every_s: float = 5.0
    poll_s: float = 1.0
    keep_s: float = 24 * 3600.0


@dataclass(frozen=True)
class _Attempt:
    """A job that runs here, and the task that runs it."""

    job: Job
    task: asyncio.Task[Outcome]


@dataclass(eq=False)
class Worker:
    """One process's share of the work."""

    database: Database
    end_policy: store.EndPolicy
    spool: Spool
    events: JobEvents
    run_job: Run
    policy: WorkerPolicy
    clock: Callable[[], float] = time.time
    _group: asyncio.TaskGroup | None = None
    _busy: set[asyncio.Task[None]] = field(default_factory=set)
    _claims: set[asyncio.Future[Any]] = field(default_factory=set)
    _num_claiming: int = 0
    _running: dict[str, _Attempt] = field(default_factory=dict)
    _background_tasks: set[asyncio.Task[store.Cancelling]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _may_wait: bool = True
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self._log_buffer = JobLogBuffer(self.database, self.clock)
        self._sweeper = Sweeper(
            self.database,
            self.end_policy,
            self.spool,
            self.events,
            self.policy.keep_s,
            self.clock,
            self._renewal,
        )

    async def run(self) -> None:
        """Work until `stop`; then let what runs finish."""
        async with asyncio.TaskGroup() as self._group:
            sweeping = self._sweeper.run(self.policy.poll_s)
            chores = (sweeping, self._watch_cancel_requests(), self._renew_leases_for_ever())
            tasks = [self._group.create_task(chore) for chore in chores]
            await self._take_for_ever()
            while unfinished := self._busy | self._claims:
                await asyncio.wait(unfinished)
            for task in tasks:
                task.cancel()

    async def submit(self, submission: Submission, *, fingerprint: str) -> Job:
        """Store a job, durably, and run it or the one whose turn it is, where there is room.

        One commit for both: a claim of its own would cost another flush of the disk.
        Raises as `store.submit`.
        """
        if not self._room:
            self._may_wait = True
        change = partial(store.submit, submission=submission, fingerprint=fingerprint, now=self.clock())
        job, _ = await self._claim_after(change, max_jobs=1)
        return job

    def stop(self) -> None:
        """Take nothing new."""
        self._is_stopping = True
        self._wake.set()

    def give_up(self) -> None:
        """End what runs now; it will run again elsewhere or later."""
        for attempt in self._running.values():
            attempt.task.cancel("the server is shutting down")

    async def cancel(self, job_id: str) -> store.Cancelling:
        """End a waiting job; stop a running one, at once where it runs here."""
        job = await self.database.read(partial(store.find, job_id=job_id))
        cancel = partial(store.cancel, end_policy=self.end_policy, job_id=job_id, now=self.clock())
        how = await self.database.write(cancel)
        if how == "requested" and job_id in self._running:
            _interrupt(self._running[job_id].task, _CANCELLED)
        elif how == "removed":
            self._ended(job_id, job.video if job else None, self.end_policy.cancelled)
        return how

    def abandon(self, job_id: str) -> None:
        """Cancel without waiting: its caller has left, and takes the task that served it along."""
        task = asyncio.get_running_loop().create_task(self.cancel(job_id))
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def _take_for_ever(self) -> None:
        """Claim as many jobs as there is room for, where some may wait, and now and then."""
        while not self._is_stopping:
            self._wake.clear()
            self._may_wait = False
            try:
                _, is_full = await self._claim_after(lambda _: None, max_jobs=self.policy.max_running)
                self._may_wait |= is_full
            except CapacityError as error:
                log.error("no job can be claimed", error=error.message)
            self._take_more()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.policy.poll_s):
                    await self._wake.wait()

    @property
    def _room(self) -> int:
        """How many more jobs may be claimed."""
        is_taking = self._group is not None and not self._is_stopping
        return self.policy.max_running - len(self._busy) - self._num_claiming if is_taking else 0

    async def _claim_after(self, change: Callable[[Connection], T], *, max_jobs: int) -> tuple[T, bool]:
        """What a change of the store gives; in its transaction, claim what may run then.

        The second value says whether as many jobs were claimed as could be, so that more may wait.
        """
        room = min(max_jobs, self._room)
        name, lease_s, now = self.policy.name, self.policy.lease_s, self.clock()

        def both(db: Connection) -> tuple[T, list[Job]]:
            changed = change(db)
            return changed, store.claim_some(db, name, max_jobs=room, lease_s=lease_s, now=now)

        self._num_claiming += room
        claim = asyncio.ensure_future(self.database.write(both))
        self._claims.add(claim)
        claim.add_done_callback(partial(self._start_claimed, room=room))
        changed, jobs = await asyncio.shield(claim)  # whoever asked may leave: what was claimed runs
        return changed, len(jobs) == room

    def _start_claimed(self, claim: asyncio.Future[tuple[Any, list[Job]]], *, room: int) -> None:
        self._claims.discard(claim)
        self._num_claiming -= room
        jobs = [] if claim.cancelled() or claim.exception() else claim.result()[1]
        for job in jobs:
            assert self._group is not None
            task = self._group.create_task(self._work(job))
            self._busy.add(task)
            task.add_done_callback(self._make_room)
        self._take_more()

    def _make_room(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._take_more()

    def _take_more(self) -> None:
        if self._may_wait and self._room:
            self._wake.set()

    async def _work(self, job: Job) -> None:
        """Run a claimed job, beating, and store how it ended."""
        structlog.contextvars.bind_contextvars(request_id=job.id)
        task = asyncio.ensure_future(self.run_job(job, partial(self._publish, job)))
        if job.id in self._running:  # its lease lapsed before it was known to run here
            _interrupt(self._running[job.id].task, _FENCED)
        attempt = self._running[job.id] = _Attempt(job, task)
        try:
            outcome = await task
        except CapacityError as error:
            await self._requeue(job, error.after_s, counts=True)
        except asyncio.CancelledError as reason:
            await self._interrupted(job, str(reason))
        else:
            await self._finish(job, outcome)
        finally:  # only now: until its end is stored its lease is renewed
            if self._running.get(job.id) is attempt:
                del self._running[job.id]

    async def _interrupted(self, job: Job, reason: str) -> None:
        if reason == _CANCELLED:
            await self._finish(job, self.end_policy.cancelled)
        elif reason != _FENCED and job.pinned_to is None:
            await self._requeue(job, 0.0, counts=False)
        elif reason != _FENCED:
            await self._finish(job, self.end_policy.lost)  # its caller's line ends with this process
        else:
            self._log_buffer.drop(job.id)

    async def _finish(self, job: Job, outcome: Outcome) -> None:
        name, now = self.policy.name, self.clock()
        end = partial(
            store.finish, end_policy=self.end_policy, job=job, outcome=outcome, worker=name, now=now
        )
        try:
            is_ours = await self.database.write(self._log_buffer.with_change(job.id, end))
        except CapacityError as error:
            log.error("an outcome cannot be stored: the job will run again", error=error.message)
            return
        if not is_ours:
            log.warning("another worker has this job", attempt=job.attempt)
            return
        self._ended(job.id, job.video, outcome)
        log.info("job ended", status=outcome.status, state=str(outcome.state), attempt=job.attempt)

    def _ended(self, job_id: str, video: str | None, outcome: Outcome) -> None:
        if video is not None:
            self.spool.remove(video)
        self.events.publish(job_id, Ended(outcome))

    async def _requeue(self, job: Job, after_s: float, *, counts: bool) -> None:
        name, now = self.policy.name, self.clock()
        again = partial(store.requeue, job=job, worker=name, after_s=after_s, counts=counts, now=now)
        try:
            is_waiting = await self.database.write(self._log_buffer.with_change(job.id, again))
        except CapacityError as error:
            log.error("a job cannot be given back: its lease will run out", error=error.message)
            return
        if not is_waiting and counts:
            await self._finish(job, self.end_policy.lost)

    async def _renew_leases_for_ever(self) -> None:
        """Renew the leases; stop the work whose lease is lost or whose end is asked for."""
        while True:
            await asyncio.sleep(self.policy.renew_every_s)
            if attempts := list(self._running.values()):
                with suppress(CapacityError):  # a lease outlasts two failed beats; a third ends it elsewhere
                    answers = await self.database.write(self._renewal())
                    for attempt, is_cancelled in zip(attempts, answers, strict=True):
                        if is_cancelled is None:
                            _interrupt(attempt.task, _FENCED)
                        elif is_cancelled:
                            _interrupt(attempt.task, _CANCELLED)

    def _renewal(self) -> Callable[[Connection], list[bool | None]]:
        """Renews the leases of what runs now; gives the answers of `store.beat`, in that order."""
        jobs = [attempt.job for attempt in self._running.values()]
        return lambda db: [
            store.renew_lease(db, job, self.policy.name, lease_s=self.policy.lease_s, now=self.clock())
            for job in jobs
        ]

    async def _watch_cancel_requests(self) -> None:
        """Stop jobs whose end another process asked for; a beat alone would notice late."""
        while True:
            await asyncio.sleep(self.policy.poll_s)
            if not self._running:
                continue
            for job_id in await self.database.read(partial(store.cancel_requests, worker=self.policy.name)):
                if job_id in self._running:
                    _interrupt(self._running[job_id].task, _CANCELLED)

    def _publish(self, job: Job, event: Event) -> None:
        self.events.publish(job.id, event)
        self._log_buffer.record(job.id, event)


def _interrupt(task: asyncio.Task[Outcome], reason: str) -> None:
    """Cancel once: a second time would tear what the first one is putting away."""
    if not task.cancelling():
        task.cancel(reason)
