"""The synchronous endpoint: a job whose caller stays on the line until it has ended."""

from dataclasses import dataclass
from urllib.parse import quote

import structlog
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.attached import ConcurrencyLimit, attach_request
from omnireel.api.fal.submit import Submitter
from omnireel.api.http.errors import outcome_response
from omnireel.store.jobs import Outcome

_MAX_NAMED_FIELDS = 20

log = structlog.get_logger()


@dataclass(frozen=True)
class SyncEndpoint:
    """Answers a caller for whom there is a place; leaving cancels the job."""

    submitter: Submitter
    limit: ConcurrencyLimit

    async def answer(self, request: Request) -> Response:
        """Store, wait, send what was stored. Raises OmnireelError, as `attach_request`."""
        async with attach_request(self.submitter, self.limit, request) as attached:
            return _response(await attached.unless_closed(attached.end), attached.accepted.ignored)


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
