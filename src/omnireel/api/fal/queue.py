"""The queue's routes: submit, status, status stream, result, cancel."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from omnireel.api.fal import wire
from omnireel.api.fal.submit import Submitter
from omnireel.api.fal.sync import name_ignored_fields
from omnireel.api.http.caller import owner_of
from omnireel.api.http.errors import json_response, outcome_response
from omnireel.api.middleware.hosts import FalHost, base_url_of
from omnireel.jobs.worker import Worker
from omnireel.store.jobs import Job, LogLine, State
from omnireel.store.sqlite import job_log
from omnireel.store.sqlite import jobs as store

_YES = ("1", "true", "yes")
_KEEP_ALIVE_S = 15.0
_LOOK_S = 0.5
EVENT_STREAM = {"cache-control": "no-store", "x-accel-buffering": "no"}


@dataclass(frozen=True)
class QueueRoutes:
    """Answers about jobs; every one of them carries the job's id in `x-fal-request-id`."""

    submitter: Submitter

    @property
    def worker(self) -> Worker:
        """Of this process; it may not be the one that runs the job."""
        return self.submitter.worker

    async def submit(self, request: Request) -> Response:
        """Store a job; 200 once it is durable."""
        accepted = await self.submitter.accept(request, waits=False)
        response = json_response(await self._status(request, accepted.job, []), 200)
        name_ignored_fields(response, accepted.ignored)
        return response

    async def status(self, request: Request) -> Response:
        """202 while it waits or runs, 200 once it has ended."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        lines = await self._log(job, request, 0)
        return json_response(await self._status(request, job, lines), 200 if job.state.is_final else 202)

    async def status_stream(self, request: Request) -> Response:
        """Server-sent events: the status whenever it changes, each log line once; ends with the job."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        return StreamingResponse(
            self._status_events(request, job.id), media_type="text/event-stream", headers=EVENT_STREAM
        )

    async def result(self, request: Request) -> Response:
        """The stored answer, as often as it is asked for."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        if job.outcome is None:
            text = "Request is still in progress"
            return json_response({"detail": text, "message": text, "status": _word(job.state)}, 400)
        if not job.outcome.body:
            return _not_found(request)  # its owner had it dropped
        return outcome_response(job.outcome)

    async def cancel(self, request: Request) -> Response:
        """End a waiting job, ask for the end of a running one."""
        if await self._find(request) is None:
            return _not_found(request)
        status, word = _CANCELLING[await self.worker.cancel(request.path_params["request_id"])]
        content: dict[str, Any] = {"status": word, "success": status < 400}
        if status >= 400:
            content |= {"detail": word, "message": word}
        return json_response(content, status)

    async def _find(self, request: Request) -> Job | None:
        """The caller's own; somebody else's is as unknown as one that never was."""
        job_id = _set_id(request)
        job = await self.worker.database.read(partial(store.find, job_id=job_id))
        return job if job is not None and job.owner == owner_of(request) else None

    async def _log(self, job: Job, request: Request, start: int) -> list[LogLine]:
        if request.query_params.get("logs", "").lower() not in _YES:
            return []
        return await self.worker.database.read(partial(job_log.read_from, job_id=job.id, start=start))

    async def _status(self, request: Request, job: Job, lines: list[LogLine]) -> dict[str, Any]:
        url = base_url_of(request).url(f"/{wire.APP_ID}/requests/{job.id}", FalHost.QUEUE)
        content: dict[str, Any] = {
            "status": _word(job.state),
            "request_id": job.id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "logs": [wire.log_line(line) for line in lines],
        }
        if job.state == State.queued:
            content["queue_position"] = await self.worker.database.read(
                partial(store.position, job_id=job.id)
            )
        return content | wire.ending(job)

    async def _status_events(self, request: Request, job_id: str) -> AsyncIterator[bytes]:
        num_lines, last, quiet_s = 0, b"", 0.0
        with self.worker.events.subscribe(job_id) as subscription:
            while True:
                job = await self.worker.database.read(partial(store.find, job_id=job_id))
                if job is None:
                    return
                lines = await self._log(job, request, num_lines)
                num_lines += len(lines)
                event = wire.sse_event(await self._status(request, job, lines))
                if event != last or lines:
                    last, quiet_s = event, 0.0
                    yield event
                if job.state.is_final:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_S):
                        await subscription.get()
                quiet_s += _LOOK_S
                if quiet_s >= _KEEP_ALIVE_S:
                    quiet_s = 0.0
                    yield b": keep-alive\n\n"


_CANCELLING: Mapping[store.Cancelling, tuple[int, str]] = {
    "removed": (200, "OK"),
    "requested": (202, "CANCELLATION_REQUESTED"),
    "ended": (400, "ALREADY_COMPLETED"),
    "unknown": (404, "NOT_FOUND"),
}


def _set_id(request: Request) -> str:
    job_id = str(request.path_params["request_id"])
    request.state.request_id = job_id
    return job_id


def _word(state: State) -> str:
    if state.is_final:
        return "COMPLETED"
    return "IN_QUEUE" if state == State.queued else "IN_PROGRESS"


def _not_found(request: Request) -> Response:
    text = f"there is no request {request.path_params['request_id'][:100]!r}, or it was forgotten"
    return json_response({"status": "NOT_FOUND", "detail": text, "message": text}, 404)
