"""Callers who keep their request open until the job has ended: how many, and what happens when one disconnects."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from starlette.requests import Request

from omnireel.api.fal.submit import Accepted, Submissions
from omnireel.errors import Cancelled, CapacityError
from omnireel.jobs.wait import wait_for_end
from omnireel.jobs.worker import Worker
from omnireel.task import Outcome

T = TypeVar("T")


@dataclass
class ConcurrencyLimit:
    """Admits so many callers at once; further ones are refused and may try again.

    doing: what is done for them, as the refusal says it
    """

    max_callers: int
    doing: str = "requests are being answered"
    num_callers: int = field(default=0, init=False)

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Count as one of the callers until the block ends. Raises CapacityError beyond the limit."""
        if self.num_callers >= self.max_callers:
            raise CapacityError(f"{self.num_callers} {self.doing} already.", after_s=1)
        self.num_callers += 1
        try:
            yield
        finally:
            self.num_callers -= 1


@dataclass(frozen=True)
class AttachedRequest:
    """An open request that waits for a job; end: gives the job's outcome."""

    request: Request
    worker: Worker
    accepted: Accepted
    end: asyncio.Task[Outcome]

    async def unless_disconnected(self, work: Awaitable[T]) -> T:
        """What `work` gives, which lasts no longer than the job.

        Raises Cancelled when the caller disconnects first: the job was cancelled, and has ended.
        """
        task = asyncio.ensure_future(work)
        # The body has been read: the next message is the disconnect.
        disconnect = asyncio.ensure_future(self.request.receive())
        try:
            await asyncio.wait({task, disconnect}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            await self.worker.cancel(self.accepted.job.id)
            await asyncio.wait({task, self.end})
            raise Cancelled("The client closed the connection.")
        finally:
            disconnect.cancel()
            task.cancel()
            await asyncio.wait({task})  # a generator cannot be closed while a task is inside it

    def abandon(self) -> None:
        """Cancel the job, unless it has ended, without waiting for its end."""
        if not self.end.done():
            self.worker.abandon(self.accepted.job.id)


@asynccontextmanager
async def attach_request(
    submissions: Submissions, limit: ConcurrencyLimit, request: Request
) -> AsyncIterator[AttachedRequest]:
    """Store the job of an open request, which counts against the limit until the job or the block ends.

    Raises CapacityError beyond the limit, OmnireelError as `Submissions.accept`.
    """
    worker, job_id = submissions.worker, request.state.request_id
    with ExitStack() as counted, worker.events.subscribe(job_id) as subscription:
        counted.enter_context(limit.acquire())
        accepted = await submissions.accept(request, is_attached=True)
        end = asyncio.create_task(wait_for_end(worker.jobs, job_id, subscription))
        end.add_done_callback(lambda _: counted.close())  # a slow reader of the answer does not count
        try:
            yield AttachedRequest(request, worker, accepted, end)
        finally:
            end.cancel()
