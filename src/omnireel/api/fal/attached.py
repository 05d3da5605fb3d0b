"""Attached requests: they stay open until their job has ended. A disconnect cancels the job.

A request with an idempotency key may wait for a job that was there before. It gets no events of it, only its outcome.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self, TypeVar

from starlette.requests import Request

from omnireel.api.fal.submit import Accepted, Submissions
from omnireel.api.http.caller import owner_of
from omnireel.errors import Cancelled, GenerationError
from omnireel.jobs.events import Subscription
from omnireel.jobs.wait import outcome_of, wait_for_end
from omnireel.jobs.worker import Worker
from omnireel.shares import FairShares, Turn
from omnireel.store.jobs import Job
from omnireel.task import Outcome

T = TypeVar("T")


async def unless_disconnected(
    request: Request, task: asyncio.Future[T], on_disconnect: Callable[[], Awaitable[object]] | None = None
) -> T:
    """Return the result of a task for a request whose body has been read. The task has ended when this does.

    Raises Cancelled if the client disconnects first, after `on_disconnect`. The task is then cancelled.
    """
    disconnect = asyncio.ensure_future(request.receive())  # the next message
    either: set[asyncio.Future[Any]] = {task, disconnect}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if on_disconnect is not None:
            await on_disconnect()
        raise Cancelled("The client closed the connection.")
    finally:
        disconnect.cancel()
        task.cancel()
        await asyncio.wait({task})  # a generator cannot be closed while a task runs it


@dataclass(frozen=True)
class AttachedRequest:
    """An open request that waits for the end of its job.

    end: a task that returns the job's outcome
    """

    request: Request
    worker: Worker
    accepted: Accepted
    end: asyncio.Task[Outcome]

    async def unless_disconnected(self, work: Awaitable[T]) -> T:
        """Return the result of `work`, which must end no later than the job.

        Raises Cancelled if the caller disconnects first. The job was then cancelled and has ended, unless another
        caller has sent the same idempotency key.
        """
        task = asyncio.ensure_future(work)

        async def cancel() -> None:
            if await self.worker.cancel(self.accepted.job.id, only_pinned=True) != "kept":
                await asyncio.wait({task, self.end})

        return await unless_disconnected(self.request, task, cancel)

    def abandon(self) -> None:
        """Cancel the job if it has not ended. Does not wait for its end."""
        if not self.end.done():
            self.worker.abandon(self.accepted.job.id)


async def _end(worker: Worker, job: Job, subscription: Subscription) -> Outcome:
    """The outcome of the job. It is lost for this caller if it still waits when this process stops.

    subscription: to the events of the request's own job; one with its idempotency key may have been there before
    """
    if job.state.is_final:
        return outcome_of(job)
    ending = asyncio.ensure_future(wait_for_end(worker.jobs, job.id, subscription))
    stopping = asyncio.ensure_future(worker.given_up.wait())
    try:
        await asyncio.wait({ending, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            how = await worker.cancel(job.id, only_pinned=True)
            if how in ("removed", "kept"):
                return worker.end_policy.lost
        return await ending
    finally:
        ending.cancel()
        stopping.cancel()


@dataclass
class RequestTurn:
    """The turn of one request among all that are served at a time; a context manager, which gives it back."""

    request: Request
    shares: FairShares
    turn: Turn | None = field(default=None, init=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the turn back, if it has come. Further calls do nothing."""
        if self.turn is not None:
            self.turn.release()

    def check_room(self) -> None:
        """Raise CapacityError if too many requests of the account wait already."""
        self.shares.check_room(owner_of(self.request))

    async def wait(self, within_s: float | None) -> float:
        """Wait for the turn. Returns after how many seconds it came.

        Raises CapacityError, Cancelled if the client disconnects, GenerationError(not_started) after within_s.
        """
        began = time.monotonic()
        taking = asyncio.ensure_future(self._take())
        try:
            async with asyncio.timeout(within_s):
                await unless_disconnected(self.request, taking)
        except TimeoutError:
            message = f"The request did not start within {within_s:.3g} s."
            raise GenerationError(message, kind="not_started") from None
        return time.monotonic() - began

    async def _take(self) -> None:
        # The client may leave when the turn has just come, so it is kept here and not returned.
        self.turn = await self.shares.acquire(owner_of(self.request))


@asynccontextmanager
async def attach_request(
    submissions: Submissions, shares: FairShares, request: Request
) -> AsyncIterator[AttachedRequest]:
    """Store the job of an open request. The request has a turn until the job or the block ends.

    It does not wait for one before its body has arrived and was checked, because a caller may send it slowly.
    Raises CapacityError if too many requests of the account wait, and the errors of `Submissions.accept`.
    """
    worker, job_id = submissions.worker, request.state.request_id
    with RequestTurn(request, shares) as turn, worker.events.subscribe(job_id) as subscription:
        accepted = await submissions.accept(request, turns=turn)
        end = asyncio.create_task(_end(worker, accepted.job, subscription))
        end.add_done_callback(lambda _: turn.release())  # not later: a client may read its answer slowly
        try:
            yield AttachedRequest(request, worker, accepted, end)
        finally:
            end.cancel()
