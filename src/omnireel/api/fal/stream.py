"""The token stream: server-sent events. Each one has the answer so far; the last one is the whole result."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from omnireel.api.fal.attached import AttachedRequest, attach_request
from omnireel.api.fal.output import render
from omnireel.api.fal.responses import name_ignored_fields, rendered_response
from omnireel.api.fal.submit import Submissions
from omnireel.api.http.responses import EVENT_STREAM_HEADERS, KEEP_ALIVE, sse_event
from omnireel.jobs.events import JobEvent, Subscription
from omnireel.shares import FairShares
from omnireel.task import Delta, Failure, Outcome, Task

_KEEP_ALIVE_S = 15.0

# The answer so far; None if there was no new text for a while; the outcome at the end.
_Update = str | Outcome | None


@dataclass(frozen=True)
class StreamEndpoint:
    """The route that sends the answer while it is generated. A disconnect cancels the job."""

    submissions: Submissions
    shares: FairShares

    async def answer(self, request: Request) -> Response:
        """A failure before the first token is an ordinary error response; a later one is the last event.

        Raises the errors of `attach_request`.
        """
        async with AsyncExitStack() as stack:
            events = self.submissions.worker.events
            subscription = stack.enter_context(events.subscribe(request.state.request_id))
            attaching = attach_request(self.submissions, self.shares, request)
            attached = await stack.enter_async_context(attaching)
            updates = await stack.enter_async_context(aclosing(_updates(attached, subscription)))
            first = await attached.unless_disconnected(anext(updates))
            task = attached.accepted.task
            if isinstance(first, Failure):
                response = rendered_response(render(first, task))
            else:
                response = _Stream(_encoded(first, updates, task), stack.pop_all())
            name_ignored_fields(response, attached.accepted.ignored)
            return response


class _Stream(StreamingResponse):
    """Server-sent events.

    opened: is closed once the events are sent or the caller has disconnected
    """

    def __init__(self, content: AsyncIterator[bytes], opened: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers=EVENT_STREAM_HEADERS)
        self.opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self.opened:
            await super().__call__(scope, receive, send)


async def _updates(attached: AttachedRequest, subscription: Subscription) -> AsyncGenerator[_Update, None]:
    text = ""
    try:
        while not attached.end.done():
            event = await _next(subscription, attached.end)
            if isinstance(event, Delta):
                text += event.text
                yield text
            elif event is None and text:
                yield None
        yield attached.end.result()
    finally:
        attached.abandon()


async def _next(subscription: Subscription, end: asyncio.Task[Outcome]) -> JobEvent | None:
    get = asyncio.create_task(subscription.get())
    try:
        await asyncio.wait({get, end}, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
        return get.result() if get.done() else None
    finally:
        get.cancel()


async def _encoded(first: _Update, updates: AsyncIterator[_Update], task: Task) -> AsyncIterator[bytes]:
    yield _event(first, task)
    async for update in updates:
        yield _event(update, task)


def _event(update: _Update, task: Task) -> bytes:
    if update is None:
        return KEEP_ALIVE
    return sse_event({"output": update} if isinstance(update, str) else render(update, task).body)
