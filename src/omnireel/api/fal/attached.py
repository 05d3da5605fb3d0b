"""Callers who stay on the line: how many there may be, and what becomes of the job of one who leaves."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from omnireel.api.fal.submit import Accepted, Submitter
from omnireel.errors import Cancelled, CapacityError
from omnireel.jobs.wait import wait_for_end
from omnireel.jobs.worker import Worker
from omnireel.store.jobs import Outcome

T = TypeVar("T")


@dataclass
class ConcurrencyLimit:
    """For so many callers at once; those beyond are told to come back.

    doing: what is done for them, as the refusal says it
    """

    max_callers: int
    doing: str = "requests are being answered"
    num_callers: int = field(default=0, init=False)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Have a place until the block ends. Raises CapacityError where none is free."""
        if self.num_callers >= self.max_callers:
            raise CapacityError(f"{self.num_callers} {self.doing} already", after_s=1)
        self.num_callers += 1
        try:
            yield
        finally:
            self.num_callers -= 1


@dataclass(frozen=True)
class AttachedRequest:
    """The connection of a caller who waits for a job; end: gives the job's outcome."""

    request: Request
    worker: Worker
    accepted: Accepted
    end: asyncio.Task[Outcome]

    async def unless_closed(self, work: Awaitable[T]) -> T:
        """What `work` gives, which lasts no longer than the job.

        Raises Cancelled when the connection closes first: the job was cancelled, and has ended.
        """
        task = asyncio.ensure_future(work)
        # The body has been read: next is the disconnect.
        departure = asyncio.ensure_future(self.request.receive())
        try:
            await asyncio.wait({task, departure}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            await self.worker.cancel(self.accepted.job.id)
            await asyncio.wait({task, self.end})
            raise Cancelled("the client closed the connection")
        finally:
            departure.cancel()
            task.cancel()
            await asyncio.wait({task})  # a generator cannot be closed while a task is inside it

    def abandon(self) -> None:
        """Cancel the job, unless it has ended, without waiting for its end."""
        if not self.end.done():
            self.worker.abandon(self.accepted.job.id)


@asynccontextmanager
async def attach_request(
    submitter: Submitter, limit: ConcurrencyLimit, request: Request
) -> AsyncIterator[AttachedRequest]:
    """Store the job of a caller who has a place until that job or the block ends, whichever is first.

    Raises CapacityError where no place is free, OmnireelError as `Submitter.accept`.
    """
    worker, job_id = submitter.worker, request.state.request_id
    with ExitStack() as acquired, worker.events.subscribe(job_id) as subscription:
        acquired.enter_context(limit.acquire())
        accepted = await submitter.accept(request, waits=True)
        end = asyncio.create_task(wait_for_end(worker, job_id, subscription))
        end.add_done_callback(lambda _: acquired.close())  # its reader may take for ever to read the rest
        try:
            yield AttachedRequest(request, worker, accepted, end)
        finally:
            end.cancel()
