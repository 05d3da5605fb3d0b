"""The synchronous endpoint: a job whose caller stays on the line until it has ended."""

import asyncio
from dataclasses import dataclass, field
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.errors import outcome_response
from omnireel.api.intake import Accepted, Intake
from omnireel.api.watch import wait_for_end
from omnireel.errors import Cancelled, CapacityError
from omnireel.jobs.feed import Notice
from omnireel.jobs.job import Outcome

_MAX_NAMED_FIELDS = 20

log = structlog.get_logger()


@dataclass
class SyncEndpoint:
    """Answers at most `max_requests` requests at once; those beyond are told to come back."""

    intake: Intake
    num_running: int = field(default=0, init=False)

    async def answer(self, request: Request) -> Response:
        """Store, wait, send what was stored. Raises OmnireelError, as `Intake.accept`."""
        if self.num_running >= self.intake.settings.max_requests:
            raise CapacityError(f"{self.num_running} requests are being answered already", after_s=1)
        self.num_running += 1
        try:
            with self.intake.worker.feeds.watch(request.state.request_id) as feed:
                accepted = await self.intake.accept(request, waits=True)
                return _response(await self._outcome(request, accepted, feed), accepted.ignored)
        finally:
            self.num_running -= 1

    async def _outcome(self, request: Request, accepted: Accepted, feed: asyncio.Queue[Notice]) -> Outcome:
        """The job's; it is cancelled when the connection closes first."""
        worker, job_id = self.intake.worker, accepted.job.id
        end = asyncio.create_task(wait_for_end(worker, job_id, feed))
        departure = asyncio.ensure_future(request.receive())  # the body has been read: next is the disconnect
        try:
            await asyncio.wait({end, departure}, return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                return end.result()
            await worker.cancel(job_id)
            await asyncio.wait({end})
            raise Cancelled("the client closed the connection")
        finally:
            departure.cancel()
            end.cancel()


def _response(outcome: Outcome, ignored: list[str]) -> Response:
    structlog.contextvars.bind_contextvars(
        input_tokens=outcome.input_tokens, output_tokens=outcome.output_tokens
    )
    response = outcome_response(outcome)
    name_ignored_fields(response, ignored)
    return response


def name_ignored_fields(response: Response, ignored: list[str]) -> None:
    """Fields that nothing knows fail no request, but are named in a header and a log line."""
    if ignored:
        # An empty name would leave a space at the header's end, which HTTP does not allow there.
        names = [quote(name[:64], safe="") or '""' for name in ignored[:_MAX_NAMED_FIELDS]]
        response.headers["x-omnireel-ignored-fields"] = ", ".join(names)
        log.warning("fields ignored", fields=names, num_fields=len(ignored))
