"""Running a job: the wire's words to a backend's question, its answer to the wire's words."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from omnireel.api.fal import wire
from omnireel.api.http.errors import (
    RequestError,
    error_outcome,
    internal_error_outcome,
    not_started,
    request_error_outcome,
)
from omnireel.backends.base import Answer, Ask, Backend, Event, MediaOptions, Progress
from omnireel.errors import Cancelled, CapacityError, GenerationError, OmnireelError
from omnireel.settings import Settings
from omnireel.storage.media import fetch_video
from omnireel.storage.policy import fetch_policy
from omnireel.storage.spool import Spool
from omnireel.store.jobs import Job, Outcome
from omnireel.store.sqlite.jobs import EndPolicy

log = structlog.get_logger()

Publish = Callable[[Event], None]


@dataclass(frozen=True)
class JobRun:
    """Runs jobs on a backend; called by the worker."""

    backend: Backend
    settings: Settings
    spool: Spool

    async def __call__(self, job: Job, publish: Publish) -> Outcome:
        """The outcome of one attempt. Raises CapacityError where the backend is full and the job may wait."""
        try:
            return await self._answer(job, publish)
        except CapacityError as error:
            if job.retries:
                raise
            return error_outcome(error)
        except Cancelled:
            return cancelled()
        except OmnireelError as error:
            return error_outcome(error, job.input)
        except Exception:  # our bug: it ends this job, and nothing else
            log.exception("internal error")
            return internal_error_outcome()

    async def _answer(self, job: Job, publish: Publish) -> Outcome:
        sent = wire.parse_input(job.input)
        async with self._video(job, sent.video_url) as video:
            publish(Progress("video", f"{video.stat().st_size / 1e6:.1f} MB of video received"))
            try:
                async with asyncio.timeout(self.settings.max_run_s):
                    answer = await self._last_event(wire.to_ask(sent, video), job, publish)
            except TimeoutError:
                message = f"the answer took longer than {self.settings.max_run_s:g} s"
                raise GenerationError(message, kind="generation_timeout", status=504) from None
        return answered(answer, sent.media)

    @asynccontextmanager
    async def _video(self, job: Job, video_url: str) -> AsyncIterator[Path]:
        if job.video is not None:
            yield self.spool.path(job.video)
            return
        async with fetch_video(video_url, fetch_policy(self.settings)) as path:
            yield path

    async def _last_event(self, ask: Ask, job: Job, publish: Publish) -> Answer:
        """Pass on what the backend tells; its first word has to come before the start deadline."""
        async with aclosing(self.backend.generate(ask)) as events:
            event = await self._first_event(events, job)
            publish(event)
            async for event in events:  # the last one is the answer
                publish(event)
        if not isinstance(event, Answer):
            raise GenerationError("the model gave no answer", kind="internal_server_error", status=500)
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
            task.cancel()  # a generator cannot be closed while somebody waits for its next event
            await asyncio.wait({task})
        if not done:
            raise not_started(round(allowed_s, 3))
        return task.result()


def answered(answer: Answer, media: MediaOptions) -> Outcome:
    """The result as it is stored and sent."""
    units = wire.billable_units(answer.input_tokens + answer.output_tokens)
    return Outcome(
        200,
        wire.to_output(answer, media),
        {"x-fal-billable-units": units},
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
    )


def cancelled() -> Outcome:
    """What a job that was cancelled answers."""
    return request_error_outcome(
        RequestError("the request was cancelled", error_type="client_cancelled", status=499)
    )


def end_policy(settings: Settings) -> EndPolicy:
    """How jobs end that no attempt ends, in the wire's words."""
    lost = RequestError("the request was lost with its worker", error_type="runner_disconnected", status=503)
    return EndPolicy(
        cancelled=cancelled(),
        not_started=request_error_outcome(not_started()),
        lost=request_error_outcome(lost),
        notice=wire.webhook_body,
        micro_per_token=wire.MICRO_USD_PER_TOKEN,
        max_crashes=settings.max_crashes,
    )
