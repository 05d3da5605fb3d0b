"""From exceptions to the error bodies that fal's clients understand.

Two shapes exist. Something wrong with the input or the model: `detail` is a list of problems, each with
`loc`, `msg` and `type`. Something wrong with the request as such: `detail` is a sentence and `error_type`
names it. Beside either stands `message`, one line that the JavaScript client shows.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from omnireel.errors import CapacityError, DeniedError, GenerationError, InputError, OmnireelError
from omnireel.store.jobs import Outcome

Problem = dict[str, Any]
Loc = tuple[str | int, ...]

# Kinds that fal's own error reference describes; each has an anchor there.
FAL_KINDS = frozenset({
    "internal_server_error", "generation_timeout", "downstream_service_error",
    "downstream_service_unavailable", "file_download_error", "file_too_large",
    "unsupported_video_format", "video_duration_too_long", "video_duration_too_short",
    "image_too_small", "image_too_large", "greater_than", "greater_than_equal", "less_than",
    "less_than_equal", "sequence_too_short", "sequence_too_long", "one_of", "feature_not_supported",
})  # fmt: skip

_MAX_ECHO = 200
_MAX_ECHO_ITEMS = 32
_MAX_ECHO_DEPTH = 3


class BodyError(OmnireelError):
    """One or more problems with a request body.

    problems: wire items, see `problem`
    """

    def __init__(self, problems: Sequence[Problem], status: int = 422) -> None:
        super().__init__("; ".join(_sentence(item) for item in problems))
        self.problems = list(problems)
        self.status = status


class RequestError(OmnireelError):
    """The request as such cannot be served, whatever its fields say.

    error_type: fal's name for it, such as "bad_request"
    """

    def __init__(
        self, message: str, *, error_type: str, status: int, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.status = status
        self.headers = dict(headers or {})


def problem(
    loc: Loc, msg: str, kind: str, *, ctx: Mapping[str, Any] | None = None, **extra: object
) -> Problem:
    """One item of a `detail` list; extra: `input` and `url` where they are known."""
    item: Problem = {"loc": list(loc), "msg": msg, "type": kind}
    if kind in FAL_KINDS:
        item["url"] = f"https://docs.fal.ai/errors/#{kind}"
    if ctx:
        item["ctx"] = dict(ctx)
    if "input" in extra:
        extra["input"] = echo(extra["input"])
    return item | extra


def _sentence(item: Problem) -> str:
    where = ".".join(str(part) for part in item["loc"][1:])
    return f"{where}: {item['msg']}" if where else str(item["msg"])


def echo(value: Any, depth: int = 0) -> Any:  # noqa: ANN401  # any JSON value, and nan
    """`value` fit to be sent back: long strings cut, videos named by their length, nothing JSON lacks."""
    if isinstance(value, str):
        return _echo_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and depth == _MAX_ECHO_DEPTH:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_ECHO_ITEMS]
        return {_echo_text(key): echo(inner, depth + 1) for key, inner in items}
    if isinstance(value, list):
        return [echo(inner, depth + 1) for inner in value[:_MAX_ECHO_ITEMS]]
    return value


def _echo_text(text: str) -> str:
    if len(text) <= _MAX_ECHO:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")
    shown = text[: text.find(",", 0, _MAX_ECHO) + 1] if text[:5].lower() == "data:" else text[:_MAX_ECHO]
    return f"{_echo_text(shown)}… ({len(text)} characters)"


def json_response(
    content: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """`content` as compact JSON."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(body.encode("utf-8"), status, headers, media_type="application/json")


def outcome_response(outcome: Outcome) -> Response:
    """A stored answer as it is sent, now or later."""
    return json_response(outcome.body, outcome.status, outcome.headers)


def platform_error_response(outcome: Outcome, request_id: str) -> Response:
    """The platform API's own shape of an error."""
    error = {
        "type": outcome.error_type,
        "message": outcome.error,
        "docs_url": "https://docs.fal.ai/platform-apis/v1",
        "request_id": request_id,
    }
    return json_response({"error": error}, outcome.status, outcome.headers)


def problems_outcome(problems: Sequence[Problem], status: int, message: str | None = None) -> Outcome:
    """A `detail` list; a caller is never charged for an error."""
    shown = message or "; ".join(_sentence(item) for item in problems)
    body = {"detail": list(problems), "message": shown}
    kind = str(problems[0]["type"])
    return Outcome(status, body, {"x-fal-billable-units": "0"}, error=shown, error_type=kind)


def request_error_outcome(error: RequestError) -> Outcome:
    """A `detail` sentence with its `error_type` in body and header."""
    body = {"detail": error.message, "error_type": error.error_type, "message": error.message}
    headers = {"x-fal-error-type": error.error_type, "x-fal-billable-units": "0"} | error.headers
    return Outcome(error.status, body, headers, error=error.message, error_type=error.error_type)


def error_outcome(error: OmnireelError, fields: Mapping[str, Any] | None = None) -> Outcome:
    """The answer to a request that failed with `error`.

    fields: the request's, so that a problem can name the value it is about
    """
    match error:
        case BodyError():
            return problems_outcome(error.problems, error.status)
        case RequestError() | CapacityError() | DeniedError():
            return request_error_outcome(_request_error(error))
        case InputError():
            return _input_error_outcome(error, fields or {})
        case GenerationError():
            return problems_outcome([problem(("body",), error.message, error.kind)], error.status)
    return internal_error_outcome()


def internal_error_outcome() -> Outcome:
    """The answer where the fault is ours: it tells nothing of what happened."""
    item = problem(("body",), "Internal Server Error", "internal_server_error")
    return problems_outcome([item], 500)


def _input_error_outcome(error: InputError, fields: Mapping[str, Any]) -> Outcome:
    field = error.loc[1] if len(error.loc) == 2 else None
    extra = {"input": fields[field]} if isinstance(field, str) and field in fields else {}
    item = problem(error.loc, error.message, error.kind, ctx=error.ctx, **extra)
    message = f"{_sentence(item)}; {error.hint}" if error.hint else None
    return problems_outcome([item], error.status, message)


def not_started(after_s: float | None = None) -> RequestError:
    """The caller's start deadline passed first."""
    within = "in time" if after_s is None else f"within {after_s:g} s"
    return RequestError(
        f"the request did not start {within}",
        error_type="request_timeout",
        status=504,
        headers={"x-fal-request-timeout-type": "user"},
    )


def _request_error(error: RequestError | CapacityError | DeniedError) -> RequestError:
    if isinstance(error, RequestError):
        return error
    return _full(error) if isinstance(error, CapacityError) else _denied(error)


def _full(error: CapacityError) -> RequestError:
    return RequestError(
        error.message,
        error_type=error.kind,
        status=429,
        headers={"x-fal-needs-retry": "1", "retry-after": str(math.ceil(error.after_s))},
    )


def _denied(error: DeniedError) -> RequestError:
    headers = {"www-authenticate": "Key"} if error.status == 401 else {}
    return RequestError(error.message, error_type=error.kind, status=error.status, headers=headers)
