"""The synchronous endpoint: the request stays open until its job has ended. A disconnect cancels the job."""

from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.attached import attach_request
from omnireel.api.fal.output import render
from omnireel.api.fal.responses import name_ignored_fields, rendered_response
from omnireel.api.fal.submit import Submissions
from omnireel.shares import FairShares
from omnireel.task import Answer


@dataclass(frozen=True)
class SyncEndpoint:
    """The route that answers once the job has ended."""

    submissions: Submissions
    shares: FairShares

    async def answer(self, request: Request) -> Response:
        """Store a job, wait for its end and send its outcome. Raises the errors of `attach_request`."""
        async with attach_request(self.submissions, self.shares, request) as attached:
            outcome = await attached.unless_disconnected(attached.end)
            if isinstance(outcome, Answer):
                structlog.contextvars.bind_contextvars(
                    input_tokens=outcome.input_tokens, output_tokens=outcome.output_tokens
                )
            response = rendered_response(render(outcome, attached.accepted.task))
            name_ignored_fields(response, attached.accepted.ignored)
            return response
