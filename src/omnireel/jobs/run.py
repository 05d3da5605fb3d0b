"""Runs a job's task on a backend."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from omnireel.backends.base import Backend
from omnireel.errors import CapacityError, GenerationError, OmnireelError
from omnireel.storage.incoming import IncomingMedia
from omnireel.store.jobs import Job
from omnireel.task import INTERNAL, Answer, Event, Outcome, Progress, failure_of

log = structlog.get_logger()

Publish = Callable[[Event], None]


@dataclass(frozen=True)
class TaskRun:
    """Runs the tasks of jobs on a backend; called by the worker.

    max_run_s: the longest time for one answer
    """

    backend: Backend
    media: IncomingMedia
    max_run_s: float

    async def __call__(self, job: Job, publish: Publish) -> Outcome:
        """The outcome of one attempt. Raises CapacityError if the backend is full and the job can wait."""
        try:
            return await self._answer(job, publish)
        except CapacityError as error:
            if job.retries:
                raise
            return failure_of(error)
        except OmnireelError as error:
            failure = failure_of(error, job.task)
            if failure is INTERNAL:  # the caller does not see the reason
                log.error("internal error", exc_info=error)
            return failure
        except Exception:  # a bug of ours must end only this job
            log.exception("internal error")
            return INTERNAL

    async def _answer(self, job: Job, publish: Publish) -> Answer:
        async with self.media.file(job.task.references[0], job.media, owner=job.owner) as path:
            publish(Progress("video", f"{path.stat().st_size / 1e6:.1f} MB of video received"))
            try:
                async with asyncio.timeout(self.max_run_s):
                    return await self._generate(job, path, publish)
            except TimeoutError:
                message = f"The answer took longer than {self.max_run_s:g} s."
                raise GenerationError(message, kind="generation_timeout") from None

    async def _generate(self, job: Job, path: Path, publish: Publish) -> Answer:
        """Publish the backend's events and return the last one. The first must come before the start deadline."""
        task = replace(job.task, tenant=job.owner)
        async with aclosing(self.backend.generate(task, [path])) as events:
            event = await self._first_event(events, job)
            publish(event)
            async for event in events:  # the last one is the answer
                publish(event)
        if not isinstance(event, Answer):
            raise GenerationError("The model gave no answer.")
        return event

    async def _first_event(self, events: AsyncIterator[Event], job: Job) -> Event:
        if job.start_deadline_at is None or job.attempt > 1 or job.started_at is None:
            return await anext(events)
        allowed_s = job.start_deadline_at - job.created_at
        waited_s = job.started_at - job.created_at
        task = asyncio.ensure_future(anext(events))
        try:
            done, _ = await asyncio.wait({task}, timeout=max(0.0, allowed_s - waited_s))
        finally:
            task.cancel()  # a generator cannot be closed while a task waits for its next event
            await asyncio.wait({task})
        if not done:
            raise GenerationError(f"The request did not start within {allowed_s:.3g} s.", kind="not_started")
        return task.result()
