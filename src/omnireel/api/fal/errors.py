"""Renders errors and stored failures as the bodies that fal's clients understand.

There are two shapes. If the input is wrong or the model failed, `detail` is a list of problems, each with `loc`,
`msg` and `type`. If the request cannot be served whatever its input is, `detail` is a sentence and `error_type` names
the error. Both have `message`, one line that the JavaScript client shows. A failure of the server has fal's own body,
which says nothing else. No error is charged but a cancelled job, for the tokens until then.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from omnireel.api.fal.prices import billable_units
from omnireel.api.http.errors import BodyError, Loc, Problem, RequestError, problem, sentence
from omnireel.errors import INSUFFICIENT_STORAGE, MODEL_UNAVAILABLE, STORAGE_UNAVAILABLE, OmnireelError
from omnireel.task import INTERNAL, Failure, Task, failure_of

# Kinds that fal's own error reference describes; each has an anchor there.
FAL_KINDS = frozenset({
    "generation_timeout", "downstream_service_error",
    "downstream_service_unavailable", "file_download_error", "file_too_large",
    "unsupported_video_format", "video_duration_too_long", "video_duration_too_short",
    "image_too_small", "image_too_large", "greater_than", "greater_than_equal", "less_than",
    "less_than_equal", "sequence_too_short", "sequence_too_long", "one_of", "feature_not_supported",
})  # fmt: skip

NO_CHARGE = {"x-fal-billable-units": "0"}

# Where a request holds a part of the task. Any other part is a field of the body with the same name.
_LOCS: Mapping[str, Loc] = {
    "media": ("body", "video_url"),
    "upload": ("body",),
    "parts": ("body", "parts"),
    "idempotency_key": ("header", "idempotency-key"),
    "webhook_url": ("query", "fal_webhook"),
}
# Failures that do not concern the input: status and fal's name.
_REQUEST_FAILURES: Mapping[str, tuple[int, str]] = {
    "cancelled": (499, "client_cancelled"),
    "not_started": (504, "request_timeout"),
    "lost": (503, "runner_disconnected"),
    "concurrent_requests_limit": (429, "concurrent_requests_limit"),
    "rate_limited": (429, "rate_limited"),
    INSUFFICIENT_STORAGE: (503, INSUFFICIENT_STORAGE),
    STORAGE_UNAVAILABLE: (503, STORAGE_UNAVAILABLE),
    MODEL_UNAVAILABLE: (503, MODEL_UNAVAILABLE),
    "unauthorized": (401, "unauthorized"),
    "forbidden": (403, "forbidden"),
    "spending_cap_reached": (403, "spending_cap_reached"),
}
# Failures with a list of problems whose status is not 422.
_STATUSES: Mapping[str, int] = {
    "generation_timeout": 504,
    "out_of_memory": 500,
    "downstream_service_error": 502,  # a gateway's status, with which clients send it again
    "upload_not_found": 404,
    "quota_exceeded": 413,
}


@dataclass(frozen=True)
class Rendered:
    """An outcome or an error as an HTTP response.

    message, error_type: of an error, as the status of its job shows them; None for an answer
    """

    status: int
    body: Mapping[str, Any]
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str | None = None
    error_type: str | None = None


def render_error(error: OmnireelError, task: Task | None = None) -> Rendered:
    """The response to a request that failed with `error`; task: the request's, if it was read."""
    match error:
        case BodyError():
            return _with_problems(error.problems, error.status)
        case RequestError():
            return _with_sentence(error.message, error.status, error.error_type, error.headers)
    return render_failure(failure_of(error, task))


def render_failure(failure: Failure) -> Rendered:
    """The response to a request that failed."""
    if failure.kind == INTERNAL.kind:
        body = {"detail": INTERNAL.message}
        return Rendered(500, body, NO_CHARGE, failure.message, failure.kind)
    if failure.kind in _REQUEST_FAILURES:
        status, error_type = _REQUEST_FAILURES[failure.kind]
        return _with_sentence(failure.message, status, error_type, _headers(failure))
    item = problem(_loc(failure), failure.message, failure.kind, ctx=failure.ctx)
    if failure.value is not None:
        item["input"] = failure.value
    return _with_problems([item], _status(failure), _in_one_line(item, failure.hint))


def _in_one_line(item: Problem, hint: str | None) -> str:
    text = sentence(item)
    if hint is None:
        return text
    # Version 0.1 stored messages and hints that are not sentences.
    return f"{text} {hint}" if text.endswith(".") else f"{text}; {hint}"


def _with_problems(problems: Sequence[Problem], status: int, message: str | None = None) -> Rendered:
    items = [_with_url(item) for item in problems]
    shown = message or "; ".join(sentence(item) for item in items)
    return Rendered(status, {"detail": items, "message": shown}, NO_CHARGE, shown, str(items[0]["type"]))


def _with_url(item: Problem) -> Problem:
    """The problem, with the address of its page in fal's error reference if there is one."""
    if item["type"] not in FAL_KINDS:
        return item
    return item | {"url": f"https://docs.fal.ai/errors/#{item['type']}"}


def _with_sentence(message: str, status: int, error_type: str, headers: Mapping[str, str]) -> Rendered:
    body = {"detail": message, "error_type": error_type, "message": message}
    return Rendered(
        status, body, {"x-fal-error-type": error_type} | NO_CHARGE | dict(headers), message, error_type
    )


def _headers(failure: Failure) -> dict[str, str]:
    if failure.after_s is not None:
        return {"x-fal-needs-retry": "1", "retry-after": str(math.ceil(failure.after_s))}
    if failure.kind == "not_started":
        return {"x-fal-request-timeout-type": "user"}
    if failure.kind == "cancelled":
        return {"x-fal-billable-units": billable_units(failure.input_tokens + failure.output_tokens)}
    return {"www-authenticate": "Key"} if failure.kind == "unauthorized" else {}


def _status(failure: Failure) -> int:
    if failure.about == "parts":
        return 400
    if failure.about == "upload" and failure.kind == "file_too_large":
        return 413
    return _STATUSES.get(failure.kind, 422)


def _loc(failure: Failure) -> Loc:
    if failure.kind == "upload_not_found":
        return ("path",)
    if failure.about is None:
        return ("body",)
    return _LOCS.get(failure.about, ("body", failure.about))
