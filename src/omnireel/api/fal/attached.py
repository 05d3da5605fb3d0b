"""Attached requests: they stay open until their job has ended. A disconnect cancels the job.

A request with an idempotency key may wait for a job that was there before. It gets no events of it, only its outcome.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import Request

from omnireel.api.fal.submit import Accepted, Submissions
from omnireel.errors import Cancelled, CapacityError
from omnireel.jobs.events import Subscription
from omnireel.jobs.wait import outcome_of, wait_for_end
from omnireel.jobs.worker import Worker
from omnireel.store.jobs import Job
from omnireel.task import Outcome

T = TypeVar("T")


@dataclass
class ConcurrencyLimit:
    """Limits how many callers are served at a time. Further ones are refused and may try again.

    activity: what the callers wait for; it follows their number in the text of the refusal
    """

    max_callers: int
    activity: str = "requests are being answered"
    num_callers: int = field(default=0, init=False)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Count as one of the callers until the block ends. Raises CapacityError beyond the limit."""
        if self.num_callers >= self.max_callers:
            raise CapacityError(f"{self.num_callers} {self.activity} already.", after_s=1)
        self.num_callers += 1
        try:
            yield
        finally:
            self.num_callers -= 1


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


@asynccontextmanager
async def attach_request(
    submissions: Submissions, limit: ConcurrencyLimit, request: Request
) -> AsyncIterator[AttachedRequest]:
    """Store the job of an open request. The request counts against the limit until the job or the block ends.

    It does not count before its body has arrived and was checked, because a caller may send it slowly.
    Raises CapacityError beyond the limit, and the errors of `Submissions.accept`.
    """
    worker, job_id = submissions.worker, request.state.request_id
    with ExitStack() as counted, worker.events.subscribe(job_id) as subscription:
        accepted = await submissions.accept(request, begin=lambda: counted.enter_context(limit.acquire()))
        end = asyncio.create_task(_end(worker, accepted.job, subscription))
        end.add_done_callback(lambda _: counted.close())  # not later: a client may read its answer slowly
        try:
            yield AttachedRequest(request, worker, accepted, end)
        finally:
            end.cancel()
