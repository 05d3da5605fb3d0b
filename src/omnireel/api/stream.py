"""The token stream: server-sent events that each hold the answer so far, the last one the whole result."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from omnireel.api import wire
from omnireel.api.errors import outcome_response
from omnireel.api.intake import Intake
from omnireel.api.queue import EVENT_STREAM
from omnireel.api.watch import wait_for_end
from omnireel.backends.base import Delta
from omnireel.jobs.feed import Notice
from omnireel.jobs.job import Outcome

_KEEP_ALIVE_S = 15.0


@dataclass(frozen=True)
class StreamEndpoint:
    """A job of a caller who reads along; leaving cancels it."""

    intake: Intake

    async def answer(self, request: Request) -> Response:
        """Errors before the first token are ordinary error answers; later ones are the last event."""
        events = self._events(request)
        first = await anext(events)
        if isinstance(first, Outcome) and first.status >= 400:
            return outcome_response(first)
        return StreamingResponse(
            _written(first, events), media_type="text/event-stream", headers=EVENT_STREAM
        )

    async def _events(self, request: Request) -> AsyncIterator[str | Outcome | None]:
        """The answer so far, None when nothing came for a while, the outcome at the end."""
        worker, job_id, text = self.intake.worker, request.state.request_id, ""
        with worker.feeds.watch(job_id) as deltas, worker.feeds.watch(job_id) as feed:
            await self.intake.accept(request, waits=True)
            end = asyncio.create_task(wait_for_end(worker, job_id, feed))
            try:
                while not end.done():
                    notice = await _next(deltas, end)
                    if isinstance(notice, Delta):
                        text += notice.text
                        yield text
                    elif notice is None and text:
                        yield None
                yield end.result()
            finally:
                if not end.done():
                    end.cancel()
                    worker.abandon(job_id)


async def _next(feed: asyncio.Queue[Notice], end: asyncio.Task[Outcome]) -> Notice | None:
    get = asyncio.create_task(feed.get())
    await asyncio.wait({get, end}, timeout=_KEEP_ALIVE_S, return_when=asyncio.FIRST_COMPLETED)
    if get.done():
        return get.result()
    get.cancel()
    return None


async def _written(
    first: str | Outcome | None, events: AsyncIterator[str | Outcome | None]
) -> AsyncIterator[bytes]:
    yield _event(first)
    async for event in events:
        yield _event(event)


def _event(event: str | Outcome | None) -> bytes:
    if event is None:
        return b": keep-alive\n\n"
    return wire.sse_event({"output": event} if isinstance(event, str) else event.body)
