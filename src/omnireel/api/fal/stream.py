"""The token stream: server-sent events that each hold the answer so far, the last one the whole result."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from omnireel.api.fal import wire
from omnireel.api.fal.attached import AttachedRequest, ConcurrencyLimit, attach_request
from omnireel.api.fal.queue import EVENT_STREAM
from omnireel.api.fal.submit import Submitter
from omnireel.api.fal.sync import name_ignored_fields
from omnireel.api.http.errors import outcome_response
from omnireel.backends.base import Delta
from omnireel.jobs.events import JobEvent
from omnireel.store.jobs import Outcome

_KEEP_ALIVE_S = 15.0

# The answer so far, None when nothing came for a while, the outcome at the end.
_Told = str | Outcome | None


@dataclass(frozen=True)
class StreamEndpoint:
    """A job of a caller who reads along, if there is a place; leaving cancels it."""

    submitter: Submitter
    limit: ConcurrencyLimit

    async def answer(self, request: Request) -> Response:
        """Errors before the first token are ordinary error answers; later ones are the last event.

        Raises OmnireelError, as `attach_request`.
        """
        async with AsyncExitStack() as stack:
            events = self.submitter.worker.events
            subscription = stack.enter_context(events.subscribe(request.state.request_id))
            attached = await stack.enter_async_context(attach_request(self.submitter, self.limit, request))
            updates = await stack.enter_async_context(aclosing(_events(attached, subscription)))
            first = await attached.unless_closed(anext(updates))
            if isinstance(first, Outcome) and first.status >= 400:
                response = outcome_response(first)
            else:
                response = _Stream(_written(first, updates), stack.pop_all())
            name_ignored_fields(response, attached.accepted.ignored)
            return response


class _Stream(StreamingResponse):
    """Server-sent events; opened: what is closed once they are sent, or nobody is left to read them."""

    def __init__(self, content: AsyncIterator[bytes], opened: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers=EVENT_STREAM)
        self.opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.opened:
            await super().__call__(scope, receive, send)


async def _events(
    attached: AttachedRequest, subscription: asyncio.Queue[JobEvent]
) -> AsyncGenerator[_Told, None]:
    text = ""
    try:
        while not attached.end.done():
            job_event = await _next(subscription, attached.end)
            if isinstance(job_event, Delta):
                text += job_event.text
                yield text
            elif job_event is None and text:
                yield None
        yield attached.end.result()
    finally:
        attached.abandon()


async def _next(subscription: asyncio.Queue[JobEvent], end: asyncio.Task[Outcome]) -> JobEvent | None:
    get = asyncio.create_task(subscription.get())
    try:
        await asyncio.wait({get, end}, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        return get.result() if get.done() else None
    finally:
        get.cancel()


async def _written(first: _Told, events: AsyncIterator[_Told]) -> AsyncIterator[bytes]:
    yield _event(first)
    async for event in events:
        yield _event(event)


def _event(event: _Told) -> bytes:
    if event is None:
        return b": keep-alive\n\n"
    return wire.sse_event({"output": event} if isinstance(event, str) else event.body)
