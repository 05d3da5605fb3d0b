"""The queue's routes: submit, status, status stream, result and cancel."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from omnireel.api.fal.input import APP_ID
from omnireel.api.fal.output import end_fields, log_line, render
from omnireel.api.fal.responses import name_ignored_fields, rendered_response
from omnireel.api.fal.submit import YES, Submissions
from omnireel.api.http.caller import owner_of
from omnireel.api.http.responses import EVENT_STREAM_HEADERS, KEEP_ALIVE, json_response, sse_event
from omnireel.api.middleware.hosts import FalHost, base_url_of
from omnireel.store.jobs import Cancelling, Job, JobStatus, JobStore, LogLine, State
from omnireel.task import Delta

_KEEP_ALIVE_S = 15.0
_POLL_S = 0.5


@dataclass(frozen=True)
class QueueRoutes:
    """Answers requests about jobs. The header `x-fal-request-id` of every response is the job's id."""

    submissions: Submissions

    @property
    def jobs(self) -> JobStore:
        """The store of all jobs, whichever process runs them."""
        return self.submissions.worker.jobs

    async def submit(self, request: Request) -> Response:
        """Store a job; 200 once it is durable."""
        accepted = await self.submissions.accept(request)
        response = json_response(await self._status(request, accepted.job, []), 200)
        name_ignored_fields(response, accepted.ignored)
        return response

    async def status(self, request: Request) -> Response:
        """The job's status: 202 while it waits or runs, 200 once it has ended."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        lines = await self._log(job, request, 0)
        return json_response(await self._status(request, job, lines), 200 if job.state.is_final else 202)

    async def status_stream(self, request: Request) -> Response:
        """Server-sent events: the status at each change, and each log line once, until the job has ended."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        return StreamingResponse(
            self._status_events(request, job.id), media_type="text/event-stream", headers=EVENT_STREAM_HEADERS
        )

    async def result(self, request: Request) -> Response:
        """The stored answer. It can be read any number of times."""
        job = await self._find(request)
        if job is None:
            return _not_found(request)
        if not job.state.is_final:
            text = "Request is still in progress"
            return json_response({"detail": text, "message": text, "status": _status_word(job.state)}, 400)
        ended = await self.jobs.find(job.id)
        if ended is None or ended.outcome is None:
            return _not_found(request)  # the outcome was deleted
        return rendered_response(render(ended.outcome, ended.task))

    async def cancel(self, request: Request) -> Response:
        """Remove a waiting job, or ask a running one to stop."""
        if await self._find(request) is None:
            return _not_found(request)
        status, word = _CANCEL_RESULTS[
            await self.submissions.worker.cancel(request.path_params["request_id"])
        ]
        content: dict[str, Any] = {"status": word, "success": status < 400}
        if status >= 400:
            content |= {"detail": word, "message": word}
        return json_response(content, status)

    async def _find(self, request: Request) -> JobStatus | None:
        """The caller's job. For a job of another account this is None, as for an unknown id."""
        job_id = _bind_job_id(request)
        job = await self.jobs.status(job_id)
        return job if job is not None and job.owner == owner_of(request) else None

    async def _log(self, job: JobStatus, request: Request, start: int) -> list[LogLine]:
        if request.query_params.get("logs", "").lower() not in YES:
            return []
        return await self.jobs.read_log(job.id, start=start)

    async def _status(self, request: Request, job: Job | JobStatus, lines: list[LogLine]) -> dict[str, Any]:
        url = base_url_of(request).url(f"/{APP_ID}/requests/{job.id}", FalHost.QUEUE)
        content: dict[str, Any] = {
            "status": _status_word(job.state),
            "request_id": job.id,
            "response_url": url,
            "status_url": f"{url}/status",
            "cancel_url": f"{url}/cancel",
            "logs": [log_line(line) for line in lines],
        }
        if job.state == State.queued:
            content["queue_position"] = await self.jobs.position(job.id)
        return content | end_fields(job)

    async def _status_events(self, request: Request, job_id: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        num_lines, last, sent_at = 0, b"", loop.time()
        with self.submissions.worker.events.subscribe(job_id) as subscription:
            while True:
                job = await self.jobs.status(job_id)
                if job is None:
                    return
                lines = await self._log(job, request, num_lines)
                num_lines += len(lines)
                event = sse_event(await self._status(request, job, lines))
                if event != last or lines:
                    last, sent_at = event, loop.time()
                    yield event
                elif loop.time() - sent_at >= _KEEP_ALIVE_S:
                    sent_at = loop.time()
                    yield KEEP_ALIVE
                if job.state.is_final:
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        while isinstance(await subscription.get(), Delta):
                            pass  # new text changes no status, and the store is not read for it


_CANCEL_RESULTS: Mapping[Cancelling, tuple[int, str]] = {
    "removed": (200, "OK"),
    "requested": (202, "CANCELLATION_REQUESTED"),
    "ended": (400, "ALREADY_COMPLETED"),
    "unknown": (404, "NOT_FOUND"),
}


def _bind_job_id(request: Request) -> str:
    job_id = str(request.path_params["request_id"])
    request.state.request_id = job_id
    return job_id


def _status_word(state: State) -> str:
    if state.is_final:
        return "COMPLETED"
    return "IN_QUEUE" if state == State.queued else "IN_PROGRESS"


def _not_found(request: Request) -> Response:
    text = f"There is no request {request.path_params['request_id'][:100]!r}, or it has been deleted."
    return json_response({"status": "NOT_FOUND", "detail": text, "message": text}, 404)
