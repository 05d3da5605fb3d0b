"""The synchronous endpoint: the connection stays open until the answer is there."""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api import wire
from omnireel.api.body import parse_json, read_body
from omnireel.api.errors import RequestError, json_response
from omnireel.api.incoming import fetch_rule
from omnireel.backends.base import Answer, Ask, Backend
from omnireel.errors import Cancelled, CapacityError, GenerationError
from omnireel.jobs.fetch import fetch_video
from omnireel.settings import Settings

_T = TypeVar("_T")
_MAX_NAMED_FIELDS = 20
# The newer name first: it wins where both are sent.
_START_DEADLINE_HEADERS = ("x-fal-request-start-timeout", "x-fal-request-timeout")
_MIN_START_DEADLINE_S = 0.1

log = structlog.get_logger()


@dataclass
class SyncEndpoint:
    """Answers at most `max_requests` requests at once; those beyond are told to come back."""

    backend: Backend
    settings: Settings
    num_running: int = field(default=0, init=False)

    async def answer(self, request: Request) -> Response:
        """Read, check, answer.

        Raises OmnireelError, which the application turns into an error body; the fields that were read
        are then in `request.state.fields`.
        """
        if self.num_running >= self.settings.max_requests:
            raise CapacityError(f"{self.num_running} requests are being answered already", after_s=1)
        self.num_running += 1
        try:
            return await self._answer_now(request)
        finally:
            self.num_running -= 1

    async def _answer_now(self, request: Request) -> Response:
        start_deadline_s = _start_deadline(request.headers)
        fields = parse_json(await read_body(request, self.settings.max_body_bytes))
        if isinstance(fields, dict):
            request.state.fields = fields
        sent = wire.parse_input(fields)
        work = self._generate(sent, start_deadline_s)
        answer = await _unless_client_leaves(request.receive, work)
        return _answer_response(answer, sent, wire.ignored_fields(fields))

    async def _generate(
        self, sent: wire.Nemotron3NanoOmniVideoInput, start_deadline_s: float | None
    ) -> Answer:
        rule = fetch_rule(self.settings)
        async with fetch_video(sent.video_url, rule) as video:
            return await _last_event(self.backend, wire.to_ask(sent, video), start_deadline_s)


async def _last_event(backend: Backend, ask: Ask, start_deadline_s: float | None) -> Answer:
    async with aclosing(backend.generate(ask)) as events:
        try:
            async with asyncio.timeout(start_deadline_s):
                event = await anext(events)
        except TimeoutError:
            raise _not_started(start_deadline_s) from None
        async for event in events:  # noqa: B007  # the last one is the answer
            pass
    if not isinstance(event, Answer):
        raise GenerationError("the model gave no answer", kind="internal_server_error", status=500)
    return event


def _start_deadline(headers: Mapping[str, str]) -> float | None:
    """Seconds within which the work has to begin, as the caller wants it."""
    name = next((name for name in _START_DEADLINE_HEADERS if name in headers), None)
    if name is None:
        return None
    try:
        seconds = float(headers[name])
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or seconds <= 0:
        raise RequestError(f"{name} is not a number of seconds", error_type="bad_request", status=400)
    return max(seconds, _MIN_START_DEADLINE_S)


def _not_started(after_s: float | None) -> RequestError:
    return RequestError(
        f"the request did not start within {after_s:g} s",
        error_type="request_timeout",
        status=504,
        headers={"x-fal-request-timeout-type": "user"},
    )


async def _unless_client_leaves(receive: Callable[[], Awaitable[Any]], work: Coroutine[Any, Any, _T]) -> _T:
    """What `work` returns; it is cancelled, and its end awaited, when the connection closes first."""
    task = asyncio.create_task(work)
    departure = asyncio.ensure_future(receive())  # the body has been read: what comes next is the disconnect
    try:
        await asyncio.wait({task, departure}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise Cancelled("the client closed the connection")
    finally:
        departure.cancel()
        task.cancel()
        await asyncio.wait({task})


def _answer_response(answer: Answer, sent: wire.Nemotron3NanoOmniVideoInput, ignored: list[str]) -> Response:
    num_tokens = answer.input_tokens + answer.output_tokens
    headers = {"x-fal-billable-units": wire.billable_units(num_tokens)}
    structlog.contextvars.bind_contextvars(
        input_tokens=answer.input_tokens,
        output_tokens=answer.output_tokens,
        finish_reason=str(answer.finish_reason),
    )
    if ignored:
        names = [quote(name[:64], safe="") for name in ignored[:_MAX_NAMED_FIELDS]]
        headers["x-omnireel-ignored-fields"] = ", ".join(names)
        log.warning("fields ignored", fields=names, num_fields=len(ignored))
    return json_response(wire.to_output(answer, sent.media), 200, headers)
