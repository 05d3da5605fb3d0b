"""Answers that many routes of fal's protocol have in common."""

from omnireel.api.fal.models.errors import AnyProblem, Problems, RequestProblem
from omnireel.api.http.route import Answer, ErrorShapes, Shape

Answers = dict[int, Answer]

EVENTS = "text/event-stream"
FAL = ErrorShapes(refusal=RequestProblem, failure=Problems)


def unreadable(shape: Shape) -> Answers:
    """Refusals of a JSON body, and of a header or a query beside it."""
    return {
        400: Answer("The body is not UTF-8 or nested too deeply, or a header cannot be read", shape),
        413: Answer("The body is too long", shape),
        415: Answer("The body is not plain JSON", shape),
        422: Answer("The input cannot be used", shape),
    }


UNREADABLE = unreadable(AnyProblem)
ASK_REFUSED = UNREADABLE | {
    403: Answer("The spending cap of the key could be exceeded", RequestProblem, ("x-fal-error-type",)),
    429: Answer("Too many requests at once, or in a minute", RequestProblem, ("x-fal-error-type",)),
}
JOB_FAILED = {
    503: Answer("The server stopped before the job ended", AnyProblem),
    504: Answer("The job took too long, or did not start in time", AnyProblem),
}
