"""Responses that many routes of fal's protocol share."""

from omnireel.api.fal.models.errors import AnyProblem, RequestProblem, ServerProblem
from omnireel.api.http.route import BodyModel, ErrorModels, ResponseSpec

Responses = dict[int, ResponseSpec]

EVENTS = "text/event-stream"
FAL = ErrorModels(refusal=RequestProblem, failure=ServerProblem)


def unreadable(model: BodyModel) -> Responses:
    """Refusals of a JSON body, and of a header or a query beside it."""
    return {
        400: ResponseSpec("The body is not Unicode or is nested too deeply, or a header is not valid", model),
        413: ResponseSpec("The body is too long", model),
        415: ResponseSpec("The body is compressed", model),
        422: ResponseSpec("The input cannot be used", model),
    }


UNREADABLE = unreadable(AnyProblem)
ASK_REFUSED = UNREADABLE | {
    403: ResponseSpec("The spending cap of the key could be exceeded", RequestProblem, ("x-fal-error-type",)),
    429: ResponseSpec("Too many requests at a time or per minute", RequestProblem, ("x-fal-error-type",)),
    503: ResponseSpec(
        "The server's disk is full or cannot be written", RequestProblem, ("x-fal-error-type", "retry-after")
    ),
}
UNWRITABLE = {503: ResponseSpec("The server's disk cannot be written", RequestProblem, ("retry-after",))}
JOB_FAILED = {
    502: ResponseSpec("The model server failed, or broke off its answer", AnyProblem),
    503: ResponseSpec(
        "The server's disk is full or cannot be written, it stopped before the job ended, or no model server can be "
        "reached",
        AnyProblem,
    ),
    504: ResponseSpec("The job took too long, or did not start in time", AnyProblem),
}
