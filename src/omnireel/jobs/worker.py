"""Takes jobs from the store and runs them: claim, renew the lease, finish.

The store decides which worker has a job. A worker that has lost a lease stops the job at once, because another worker
may run it by then. The lease token keeps the first worker from storing anything in any case.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from omnireel.errors import AttemptError, CapacityError
from omnireel.jobs.events import Ended, JobEvents
from omnireel.jobs.log_buffer import JobLogBuffer
from omnireel.jobs.sweeper import Sweeper
from omnireel.storage.blob_store import BlobStore
from omnireel.store.jobs import (
    MAX_BACKOFF_S,
    Cancelling,
    Claim,
    EndPolicy,
    Job,
    JobStore,
    Submission,
    state_of,
)
from omnireel.task import Answer, Event, Failure, Outcome, Usage, failure_of

log = structlog.get_logger()

# Between two attempts to store an outcome.
_RETRY_S = 0.5
# Of the time since a job was submitted: how long it waits for a backend that is full.
_SHARE_OF_AGE = 0.1
# Why a running job was interrupted.
_CANCELLED, _LEASE_LOST = "cancelled", "lease lost"

T = TypeVar("T")

# Runs one job to its outcome and publishes its events. Raises CapacityError if the job has to wait, AttemptError if it
# may have another attempt, and nothing else.
Run = Callable[[Job, Callable[[Event], None]], Awaitable[Outcome]]


@dataclass(frozen=True)
class WorkerPolicy:
    """How a worker behaves.

    name:          unique among all processes
    max_running:   most jobs that run at a time
    lease_s:       how long a lease lasts unless it is renewed
    renew_every_s: how often leases are renewed
    poll_s:        how often the worker looks for jobs that another process submitted
    keep_s:        how long ended jobs can be read
    """

    name: str
    max_running: int = 4
    lease_s: float = 15.0
    renew_every_s: float = 5.0
    poll_s: float = 1.0
    keep_s: float = 24 * 3600.0


@dataclass(eq=False)
class _Attempt:
    """A job that this worker runs.

    task:  the asyncio task that runs it; set at once
    usage: its tokens so far
    """

    job: Job
    task: asyncio.Task[Outcome] = field(init=False)
    usage: Usage = field(default_factory=Usage)


@dataclass(eq=False)
class Worker:
    """Runs jobs in one process.

    incoming: the clips of unfinished jobs
    clock:    gives store time
    given_up: set when no further job will run here
    """

    jobs: JobStore
    incoming: BlobStore
    end_policy: EndPolicy
    events: JobEvents
    run_job: Run
    policy: WorkerPolicy
    clock: Callable[[], float]
    given_up: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _group: asyncio.TaskGroup | None = None
    _busy: set[asyncio.Task[None]] = field(default_factory=set)
    _claims: set[asyncio.Future[Any]] = field(default_factory=set)
    _num_claiming: int = 0
    _running: dict[str, _Attempt] = field(default_factory=dict)
    _background_tasks: set[asyncio.Task[Cancelling]] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _jobs_may_wait: bool = True
    _is_stopping: bool = False

    def __post_init__(self) -> None:
        self._log_buffer = JobLogBuffer(self.jobs)
        self._sweeper = Sweeper(
            self.jobs,
            self.incoming,
            self.end_policy,
            self.events,
            worker=self.policy.name,
            lease_s=self.policy.lease_s,
            keep_s=self.policy.keep_s,
            clock=self.clock,
            running=lambda: [attempt.job for attempt in self._running.values()],
        )

    async def run(self) -> None:
        """Claim and run jobs until `stop`, then wait for the running ones."""
        async with asyncio.TaskGroup() as self._group:
            loops = (
                self._sweeper.run(self.policy.poll_s),
                self._watch_cancel_requests(),
                self._renew_leases(),
            )
            tasks = [self._group.create_task(loop) for loop in loops]
            await self._claim_jobs()
            while unfinished := self._busy | self._claims:
                await asyncio.wait(unfinished)
            for task in tasks:
                task.cancel()

    async def submit(self, submission: Submission, *, fingerprint: str) -> Job:
        """Store a job. If this worker has room, also claim and run the next job, which may be another one.

        Both are one commit, because a separate claim would flush the disk again. The job is durable when this
        returns. Raises the errors of `JobStore.submit`.
        """
        if not self._room:
            self._jobs_may_wait = True
        claim = self._next_claim(max_jobs=1)
        submitting = self.jobs.submit(submission, fingerprint=fingerprint, now=self.clock(), claim=claim)
        job, _ = await self._claimed(submitting, claim)
        return job

    def stop(self) -> None:
        """Claim no more jobs."""
        self._is_stopping = True
        self._wake.set()

    def give_up(self) -> None:
        """Interrupt the running jobs. Jobs of the queue are requeued, attached ones are lost. No more are claimed."""
        self.stop()
        self.given_up.set()
        for attempt in self._running.values():
            attempt.task.cancel("the server is shutting down")

    async def cancel(self, job_id: str, *, only_pinned: bool = False) -> Cancelling:
        """Remove a waiting job, or ask a running one to stop. One that runs here stops at once.

        only_pinned: see `JobStore.cancel`
        """
        job = await self.jobs.find(job_id)
        how = await self.jobs.cancel(job_id, self.end_policy, now=self.clock(), only_pinned=only_pinned)
        if how == "requested" and job_id in self._running:
            _interrupt(self._running[job_id].task, _CANCELLED)
        elif how == "removed":
            await self._ended(job_id, job.media if job else None, self.end_policy.cancelled)
        return how

    def abandon(self, job_id: str) -> None:
        """Cancel a pinned job without waiting. Its caller has left, and the request's task is cancelled."""
        task = asyncio.get_running_loop().create_task(self.cancel(job_id, only_pinned=True))
        self._background_tasks.add(task)
        task.add_done_callback(self._background_tasks.discard)

    async def _claim_jobs(self) -> None:
        """Claim jobs as far as there is room: when some may be waiting, and at every poll."""
        while not self._is_stopping:
            self._wake.clear()
            self._jobs_may_wait = False
            claim = self._next_claim(max_jobs=self.policy.max_running)
            try:
                _, is_full = await self._claimed(self._claim(claim), claim)
                self._jobs_may_wait |= is_full
            except CapacityError as error:
                log.error("jobs could not be claimed", error=error.message)
            self._wake_if_room()
            with suppress(TimeoutError):
                async with asyncio.timeout(self.policy.poll_s):
                    await self._wake.wait()

    async def _claim(self, claim: Claim) -> tuple[None, list[Job]]:
        return None, await self.jobs.claim(claim, now=self.clock())

    @property
    def _room(self) -> int:
        """How many more jobs may be claimed."""
        is_taking = self._group is not None and not self._is_stopping
        return self.policy.max_running - len(self._busy) - self._num_claiming if is_taking else 0

    def _next_claim(self, *, max_jobs: int) -> Claim:
        return Claim(self.policy.name, max(0, min(max_jobs, self._room)), self.policy.lease_s)

    async def _claimed(
        self, change: Coroutine[Any, Any, tuple[T, list[Job]]], claim: Claim
    ) -> tuple[T, bool]:
        """Run a change of the store and start the jobs that it claims.

        Returns the change's own result, and whether it claimed as many jobs as it could: then more may be waiting.
        """
        room = claim.max_jobs
        self._num_claiming += room
        task = asyncio.ensure_future(change)
        self._claims.add(task)
        task.add_done_callback(partial(self._start_claimed, room=room))
        changed, jobs = await asyncio.shield(task)  # the claimed jobs must run even if the caller disconnects
        return changed, len(jobs) == room

    def _start_claimed(self, claim: asyncio.Future[tuple[Any, list[Job]]], *, room: int) -> None:
        self._claims.discard(claim)
        self._num_claiming -= room
        jobs = [] if claim.cancelled() or claim.exception() else claim.result()[1]
        for job in jobs:
            assert self._group is not None
            task = self._group.create_task(self._work(job))
            self._busy.add(task)
            task.add_done_callback(self._work_done)
        self._wake_if_room()

    def _work_done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._wake_if_room()

    def _wake_if_room(self) -> None:
        if self._jobs_may_wait and self._room:
            self._wake.set()

    async def _work(self, job: Job) -> None:
        """Run a claimed job and store how it ended."""
        structlog.contextvars.bind_contextvars(request_id=job.id)
        attempt = _Attempt(job)
        attempt.task = asyncio.ensure_future(self.run_job(job, partial(self._publish, attempt)))
        if job.id in self._running:  # claimed again here after its lease ran out
            _interrupt(self._running[job.id].task, _LEASE_LOST)
        self._running[job.id] = attempt
        try:
            outcome = await attempt.task
        except CapacityError as error:
            await self._wait(job, error)
        except AttemptError as error:
            await self._try_again(job, error)
        except asyncio.CancelledError as reason:
            await self._interrupted(attempt, str(reason))
        else:
            await self._finish(job, outcome)
        finally:  # not earlier: the lease must be renewed until the outcome is stored
            if self._running.get(job.id) is attempt:
                del self._running[job.id]
            self._jobs_may_wait |= job.num_crashes > 0  # nothing was claimed while it ran alone

    async def _interrupted(self, attempt: _Attempt, reason: str) -> None:
        job = attempt.job
        if reason == _CANCELLED:
            # Its caller may have read all tokens so far, and chose to end it.
            await self._finish(job, replace(self.end_policy.cancelled, **vars(attempt.usage)))
        elif reason != _LEASE_LOST:
            if not await self._requeue(job, 0.0):  # its caller's connection ends with this process
                await self._finish(job, self.end_policy.lost)
        else:
            self._log_buffer.take(job.id)

    async def _finish(self, job: Job, outcome: Outcome) -> None:
        try:
            is_ours = await self._store_outcome(job, outcome)
        except CapacityError as error:
            log.error("an outcome could not be stored, so the job will run again", error=error.message)
            return
        if not is_ours:
            log.warning("another worker has this job", attempt=job.attempt)
            return
        await self._ended(job.id, job.media, outcome)
        failed = {"failure": outcome.kind} if isinstance(outcome, Failure) else {}
        # An attached request has a line of its own, which says how it was answered.
        write = log.info if job.pinned_to is None else log.debug
        write("job ended", state=str(state_of(outcome)), attempt=job.attempt, **failed)

    async def _store_outcome(self, job: Job, outcome: Outcome) -> bool:
        """Store how a job ended. A store that cannot be written delays it: no other worker can claim the job then.

        Returns False if another worker has the job. Raises CapacityError if this worker stops meanwhile.
        """
        lines = self._log_buffer.take(job.id)
        while True:
            try:
                return await self.jobs.finish(
                    job, outcome, self.end_policy, worker=self.policy.name, log=lines, now=self.clock()
                )
            except CapacityError:
                if self._is_stopping:
                    raise
            await asyncio.sleep(_RETRY_S)

    async def _ended(self, job_id: str, media: str | None, outcome: Outcome) -> None:
        if media is not None:
            await self._remove(media)
        self.events.publish(job_id, Ended(outcome))

    async def _remove(self, media: str) -> None:
        try:
            await self.incoming.remove([media])
        except OSError as error:
            log.error("a clip could not be deleted; the sweeper will try again", error=str(error))

    async def _wait(self, job: Job, full: CapacityError) -> None:
        """Requeue a job whose attempt has not begun. It waits longer, the older it is, unless it has to start soon."""
        age_s = max(0.0, time.time() - job.created_at)
        after_s = max(full.after_s, min(MAX_BACKOFF_S, _SHARE_OF_AGE * age_s))
        deadline = job.start_deadline_at
        is_late = deadline is not None and self.clock() + after_s > deadline
        if job.pinned_to is None and job.attempt == 1 and is_late:
            await self._finish(job, self.end_policy.not_started)
            return
        # A pinned job cannot wait: its caller does, on an open connection.
        if not await self._requeue(job, after_s, why=full.message):
            await self._finish(job, failure_of(full))

    async def _try_again(self, job: Job, error: AttemptError) -> None:
        """Requeue a job whose attempt broke off, if it may have another one."""
        after_s = min(MAX_BACKOFF_S, error.after_s * 2.0 ** (job.attempt - 1))
        if not await self._requeue(job, after_s, counts=True, why=error.message):
            await self._finish(job, failure_of(error))

    async def _requeue(self, job: Job, after_s: float, *, counts: bool = False, why: str = "") -> bool:
        """Put a job back into the queue. why: for its owner. Returns False where no attempt is left or it is lost."""
        lines = self._log_buffer.take(job.id)
        try:
            is_waiting = await self.jobs.requeue(
                job, worker=self.policy.name, after_s=after_s, counts=counts, log=lines, now=self.clock()
            )
        except CapacityError as error:
            log.error("a job could not be requeued before its lease ends", error=error.message)
            return True
        if is_waiting and why:
            again = f"{why} The request runs again in {after_s:.3g} s."
            self.jobs.append_log(job.id, [(time.time(), "WARN", again)])
        return is_waiting

    async def _renew_leases(self) -> None:
        """Renew the leases. Stop jobs whose lease is lost or whose cancellation was requested."""
        name, lease_s = self.policy.name, self.policy.lease_s
        while True:
            await asyncio.sleep(self.policy.renew_every_s)
            if attempts := list(self._running.values()):
                held = [attempt.job for attempt in attempts]
                # A lease outlasts two failed renewals. After a third it is lost.
                with suppress(CapacityError):
                    answers = await self.jobs.renew_leases(
                        held, worker=name, lease_s=lease_s, clock=self.clock
                    )
                    for attempt, is_cancelled in zip(attempts, answers, strict=True):
                        if is_cancelled is None:
                            _interrupt(attempt.task, _LEASE_LOST)
                        elif is_cancelled:
                            _interrupt(attempt.task, _CANCELLED)

    async def _watch_cancel_requests(self) -> None:
        """Stop jobs whose cancellation another process requested. The renewal of leases would notice it later."""
        while True:
            await asyncio.sleep(self.policy.poll_s)
            if not self._running:
                continue
            for job_id in await self.jobs.cancel_requests(self.policy.name):
                if job_id in self._running:
                    _interrupt(self._running[job_id].task, _CANCELLED)

    def _publish(self, attempt: _Attempt, event: Event) -> None:
        if not isinstance(event, Answer) and event.usage is not None:
            attempt.usage = event.usage
        self.events.publish(attempt.job.id, event)
        self._log_buffer.record(attempt.job.id, event)


def _interrupt(task: asyncio.Task[Outcome], reason: str) -> None:
    """Cancel the task only once. A second time would interrupt its clean-up."""
    if not task.cancelling():
        task.cancel(reason)
