"""What can be wrong with a request as HTTP carries it, before a protocol has read it."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from omnireel.errors import OmnireelError
from omnireel.task import shortened

# An item of a list of problems, in the shape that pydantic gives it: loc, msg, type, and ctx, input where known.
Problem = dict[str, Any]
Loc = tuple[str | int, ...]

# The place of this problem is a number of characters.
JSON_ERROR = "JSON decode error"
_MAX_ECHO_ITEMS = 32
_MAX_ECHO_DEPTH = 3


class BodyError(OmnireelError):
    """One or more problems with a request body.

    problems: see `problem`
    """

    def __init__(self, problems: Sequence[Problem], status: int = 422) -> None:
        super().__init__("; ".join(sentence(item) for item in problems))
        self.problems = list(problems)
        self.status = status


class RequestError(OmnireelError):
    """The request as such cannot be served, whatever its fields say.

    error_type: its name, such as "bad_request"
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
    """One problem; extra: `input` where it is known."""
    item: Problem = {"loc": list(loc), "msg": msg, "type": kind}
    if ctx:
        item["ctx"] = dict(ctx)
    if "input" in extra:
        extra["input"] = echo(extra["input"])
    return item | extra


def sentence(item: Problem) -> str:
    """A problem in one line."""
    if item["msg"] == JSON_ERROR:
        return f"{JSON_ERROR} at character {item['loc'][-1]}: {item['ctx']['error']}"
    where = ".".join(str(part) for part in item["loc"][1:])
    return f"{where}: {item['msg']}" if where else str(item["msg"])


def echo(value: Any, depth: int = 0) -> Any:  # noqa: ANN401  # any JSON value, and nan
    """`value` fit to be sent back: long strings cut, videos named by their length, nothing JSON lacks."""
    if isinstance(value, str):
        return shortened(value)
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict | list) and depth == _MAX_ECHO_DEPTH:
        return "…"
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_ECHO_ITEMS]
        return {shortened(key): echo(inner, depth + 1) for key, inner in items}
    if isinstance(value, list):
        return [echo(inner, depth + 1) for inner in value[:_MAX_ECHO_ITEMS]]
    return value
