"""What goes wrong with a model server, and what the caller sees of it.

A server's own words go to the log only: they can hold paths, addresses and stack traces.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from omnireel.errors import (
    MODEL_UNAVAILABLE,
    AttemptError,
    CapacityError,
    GenerationError,
    InputError,
    OmnireelError,
)

RETRY_S = 5.0
_MAX_RETRY_S = 600.0
_AGAIN_S = 1.0
# What a proxy in front of a server answers where that one is gone.
_GATEWAY = (502, 504)
_MAX_LOGGED = 2000
_TOO_LONG = re.compile(
    r"context length|maximum model length|max_model_len|context size|context window|max_seq_len|"
    r"longer than the model|too many tokens|input length",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:context length|model length|max_model_len|context size)[^0-9]{0,40}([0-9]{3,8})", re.IGNORECASE
)
SERVER_FAILED = "downstream_service_error"


class UpstreamFailure(Exception):  # noqa: N818  it carries the error that is raised in the end
    """A request to one server failed.

    error:     what the caller gets unless another server answers
    reason:    for the log
    may_retry: another server may do better
    is_down:   this server takes no more requests until it answers a probe
    is_unsent: it has got nothing of the request
    rest_s:    it wants no further requests for so long
    """

    def __init__(
        self,
        error: OmnireelError,
        reason: str,
        *,
        may_retry: bool = True,
        is_down: bool = False,
        is_unsent: bool = False,
        rest_s: float = 0.0,
    ) -> None:
        super().__init__(reason)
        self.error = error
        self.reason = reason[:_MAX_LOGGED]
        self.may_retry = may_retry
        self.is_down = is_down
        self.is_unsent = is_unsent
        self.rest_s = rest_s


def unreachable(reason: str) -> UpstreamFailure:
    """No connection. The request can wait for the server to come back."""
    return UpstreamFailure(no_server(RETRY_S), reason, is_down=True, is_unsent=True)


def no_server(after_s: float) -> CapacityError:
    """No server takes requests now."""
    return CapacityError(
        "The model server cannot be reached.",
        after_s=after_s,
        kind=MODEL_UNAVAILABLE,
        hint=f"Try again in {math.ceil(after_s)} s.",
    )


def broke_off(reason: str) -> UpstreamFailure:
    """The connection broke before the answer was whole: the server may have died, perhaps of this request."""
    return UpstreamFailure(_attempt("The model server broke off its answer."), reason, is_down=True)


def _attempt(message: str) -> AttemptError:
    return AttemptError(message, kind=SERVER_FAILED, after_s=_AGAIN_S, hint="Send the request again.")


def all_busy(after_s: float) -> CapacityError:
    """The servers are up and take no requests for some time."""
    return CapacityError(
        "The model server is busy.", after_s=after_s, hint=f"Try again in {math.ceil(after_s)} s."
    )


def stalled(what: str, limit_s: float) -> UpstreamFailure:
    """Nothing came within a limit."""
    message = f"The model server sent no {what} within {limit_s:g} s."
    return UpstreamFailure(GenerationError(message, kind="generation_timeout"), message)


def failed(reason: str) -> UpstreamFailure:
    """The server refuses the request for a reason that is not the caller's, or answers in a way that cannot be read."""
    error = GenerationError("The model server failed.", kind=SERVER_FAILED)
    return UpstreamFailure(error, reason, may_retry=False)


def reported(error: object, text: str) -> UpstreamFailure:
    """The server reports an error within its stream. text: the event as it was sent"""
    code = error.get("code") if isinstance(error, dict) else None
    reason = f"the stream reports an error: {text}"
    if isinstance(code, int) and 400 <= code < 500:
        return failed(reason)
    return UpstreamFailure(_attempt("The model server failed."), reason)


def refused(status: int, headers: Mapping[str, str], body: bytes) -> UpstreamFailure:
    """The server answers with an error status."""
    reason = f"status {status}: {error_text(body)}"
    if status in (429, 503):
        rest_s = _retry_after(headers)
        return UpstreamFailure(all_busy(rest_s or RETRY_S), reason, rest_s=rest_s)
    if status in (400, 413, 422) and _TOO_LONG.search(error_text(body)):
        return UpstreamFailure(_too_long(error_text(body)), reason, may_retry=False)
    if status < 500:
        return failed(reason)
    return UpstreamFailure(_attempt("The model server failed."), reason, is_down=status in _GATEWAY)


def error_text(body: bytes) -> str:
    """The message of an error in OpenAI's shape, or the begin of the body."""
    text = body.decode("utf-8", "replace")
    try:
        found = read_json(text)
    except ValueError:
        return text[:_MAX_LOGGED]
    error = found.get("error", found) if isinstance(found, dict) else found
    message = error.get("message") if isinstance(error, dict) else error
    return (message if isinstance(message, str) else text)[:_MAX_LOGGED]


def read_json(text: str | bytes) -> Any:  # noqa: ANN401  # whatever a server has sent
    """JSON of a server. Raises ValueError, also for lists in lists that are too deep for the parser."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _too_long(text: str) -> InputError:
    limit = _LIMIT.search(text)
    ctx = {"max_length": int(limit[1])} if limit else {}
    shown = f" of {limit[1]} tokens" if limit else ""
    return InputError(
        f"Prompt and answer do not fit into the context{shown} of the model server.",
        kind="sequence_too_long",
        about="prompt",
        ctx=ctx,
        hint="Send a shorter prompt, fewer frames, or a smaller max_tokens.",
    )


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header; 0 where it is missing or a date."""
    value = headers.get("retry-after", "")
    return min(max(float(value), 1.0), _MAX_RETRY_S) if re.fullmatch(r"[0-9]{1,9}", value) else 0.0
