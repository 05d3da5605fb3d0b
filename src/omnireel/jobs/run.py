"""Runs a job's task on a backend."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from omnireel.backends.base import Backend
from omnireel.errors import MODEL_UNAVAILABLE, AttemptError, CapacityError, GenerationError, OmnireelError
from omnireel.storage.incoming import IncomingMedia
from omnireel.store.jobs import Job
from omnireel.task import INTERNAL, Answer, Event, Outcome, Progress, failure_of

log = structlog.get_logger()

Publish = Callable[[Event], None]
# Until a job is claimed again whose backend was not ready.
_NOT_READY_S = 5.0


@dataclass(frozen=True)
class TaskRun:
    """Runs the tasks of jobs on a backend; called by the worker.

    max_run_s: the longest time for one answer, without what the backend waits for a model server
    clock:     gives store time
    """

    backend: Backend
    media: IncomingMedia
    max_run_s: float
    clock: Callable[[], float]

    async def __call__(self, job: Job, publish: Publish) -> Outcome:
        """The outcome of one attempt.

        Raises CapacityError if the backend is full, AttemptError if another attempt may succeed.
        """
        try:
            return await self._answer(job, publish)
        except (CapacityError, AttemptError):
            raise
        except OmnireelError as error:
            failure = failure_of(error, job.task)
            if failure is INTERNAL:  # the caller does not see the reason
                log.error("internal error", exc_info=error)
            return failure
        except Exception:  # a bug of ours must end only this job
            log.exception("internal error")
            return INTERNAL

    async def _answer(self, job: Job, publish: Publish) -> Answer:
        await self._check_ready()
        within_s = self._time_to_start(job)
        async with self.media.file(job.task.references[0], job.media, owner=job.owner) as path:
            publish(Progress("video", f"{_shown_size(path.stat().st_size)} of video received"))
            try:
                async with asyncio.timeout(self.max_run_s) as limit:
                    return await self._generate(job, path, _paused_while_waiting(limit, publish), within_s)
            except TimeoutError:
                message = f"The answer took longer than {self.max_run_s:g} s."
                raise GenerationError(message, kind="generation_timeout") from None

    async def _check_ready(self) -> None:
        """Raise CapacityError where nothing can be asked, before the clip is fetched."""
        health = await self.backend.health()
        if not (health.is_ready or health.is_checked_now):
            raise CapacityError(
                health.detail or "The model cannot be asked now.",
                after_s=_NOT_READY_S,
                kind=MODEL_UNAVAILABLE,
                hint=f"Try again in {_NOT_READY_S:g} s.",
            )

    def _time_to_start(self, job: Job) -> float | None:
        """Seconds that are left of the start deadline of a first attempt; None where there is no deadline."""
        if job.start_deadline_at is None or job.attempt > 1:
            return None
        return max(0.0, job.start_deadline_at - self.clock())

    async def _generate(self, job: Job, path: Path, publish: Publish, within_s: float | None) -> Answer:
        """Publish the backend's events and return the last one. The first must come within `within_s`."""
        task = replace(job.task, tenant=job.owner)
        async with aclosing(self.backend.generate(task, [path])) as events:
            event = await _first_event(events, within_s)
            publish(event)
            async for event in events:  # the last one is the answer
                publish(event)
        if not isinstance(event, Answer):
            raise GenerationError("The model gave no answer.")
        return event


def _shown_size(num_bytes: int) -> str:
    if num_bytes < 1_000_000:
        return f"{num_bytes / 1e3:.1f} kB"
    return f"{num_bytes / 1e6:.1f} MB"


def _paused_while_waiting(limit: asyncio.Timeout, publish: Publish) -> Publish:
    """Publishes events, and stops the clock of a limit from an event of the stage waiting to the next other one."""
    clock = asyncio.get_running_loop().time
    left_s: float | None = None

    def follow(event: Event) -> None:
        nonlocal left_s
        is_waiting = isinstance(event, Progress) and event.stage == "waiting"
        ends_at = limit.when()
        if is_waiting and ends_at is not None:
            left_s = ends_at - clock()
            limit.reschedule(None)
        elif not is_waiting and left_s is not None:
            limit.reschedule(clock() + left_s)
            left_s = None
        publish(event)

    return follow


async def _first_event(events: AsyncIterator[Event], within_s: float | None) -> Event:
    if within_s is None:
        return await anext(events)
    task = asyncio.ensure_future(anext(events))
    try:
        done, _ = await asyncio.wait({task}, timeout=within_s)
    finally:
        task.cancel()  # a generator cannot be closed while a task waits for its next event
        await asyncio.wait({task})
    if not done:
        raise GenerationError("The request did not start in time.", kind="not_started")
    return task.result()
