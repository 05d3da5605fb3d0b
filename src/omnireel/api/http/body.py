"""Reading a request's body: bounded, and stricter about JSON than the standard library.

`json.loads` accepts NaN, lone surrogates and NUL, keeps the last of two equal keys and raises RecursionError
on deep nesting. Each of these is refused here with a typed error.
"""

import io
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from omnireel.api.http.errors import BodyError, Loc, RequestError, problem
from omnireel.errors import Cancelled

MAX_DEPTH = 64
# Far more than any request needs. Parsing a million values would block the event loop for seconds.
MAX_VALUES = 100_000
# Longer integers fit no field, and take quadratic time to parse.
_MAX_DIGITS = 300
_MAX_DISCARD = 4


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body of a JSON request.

    Raises RequestError: 415 for another media type or a compressed body, 413 for more than max_bytes (no more
    than these are held in memory), 400 if the body arrives too slowly (see `BodyPace`); Cancelled if the client
    disconnects.
    """
    _check_headers(request)
    length = int(request.headers.get("content-length", "0"))
    try:
        return await _collect(request, length, max_bytes)
    except ClientDisconnect:
        raise Cancelled("The client closed the connection.") from None


def _check_headers(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if not is_json:
        what = media_type[:40] or "missing"
        raise RequestError(
            f"The content-type is {what}. Send application/json.", error_type="bad_request", status=415
        )
    if coding != "identity":
        raise RequestError("Send the body uncompressed.", error_type="bad_request", status=415)


async def _collect(request: Request, length: int, max_bytes: int) -> bytes:
    if length > max_bytes and request.headers.get("expect", "").lower() == "100-continue":
        raise _too_large(max_bytes)  # the client waits for 100 Continue before it sends
    # One growing buffer: the memory of many small pieces would often stay with the process.
    buffer = io.BytesIO()
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > _MAX_DISCARD * max_bytes:
            break
        # The rest of a body that is too long is read and dropped: closing a connection with unread data would
        # reset it, and the client would lose the answer.
        if max(num_bytes, length) > max_bytes:
            buffer.seek(0)
            buffer.truncate()
        else:
            buffer.write(chunk)
    if max(num_bytes, length) > max_bytes:
        raise _too_large(max_bytes)
    return buffer.getvalue()


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"The body is longer than the limit of {max_bytes} bytes.", error_type="bad_request", status=413
    )


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """The value of a JSON text; an empty body counts as `{}`.

    Raises BodyError: json_invalid, duplicate_key, invalid_encoding, finite_number.
    """
    _check_count(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        item = problem(("body", error.start), "The body is not UTF-8", "invalid_encoding")
        raise BodyError([item], 400) from None
    try:
        value = json.loads(text or "{}", object_pairs_hook=_unique_keys, parse_int=_parse_int)
    except json.JSONDecodeError as error:
        item = problem(("body", error.pos), "JSON decode error", "json_invalid", ctx={"error": error.msg})
        raise BodyError([item]) from None
    except RecursionError:
        raise _too_deep() from None
    _check_values(value)
    return value


def _check_count(body: bytes) -> None:
    """Refuse too many values before parsing: each but the first follows one of these characters."""
    if sum(map(body.count, (b",", b"[", b"{"))) >= MAX_VALUES:
        item = problem(
            ("body",),
            f"The body has more than {MAX_VALUES} values",
            "json_invalid",
            ctx={"max_values": MAX_VALUES},
        )
        raise BodyError([item], 400)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        item = problem(("body", ascii(twice)[1:-1][:100]), "This key appears twice", "duplicate_key")
        raise BodyError([item])
    return table


def _parse_int(digits: str) -> int | float:
    if len(digits) <= _MAX_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


def _too_deep() -> BodyError:
    item = problem(
        ("body",),
        f"The body is nested deeper than {MAX_DEPTH} levels",
        "json_invalid",
        ctx={"max_depth": MAX_DEPTH},
    )
    return BodyError([item], 400)


def _check_values(root: object) -> None:
    """Refuse numbers that are not finite, and text that UTF-8 or a database column cannot hold."""
    waiting: list[tuple[object, Loc]] = [(root, ("body",))]
    while waiting:
        value, loc = waiting.pop()
        if len(loc) > MAX_DEPTH:
            raise _too_deep()
        if isinstance(value, dict):
            for key, inner in value.items():
                _check_text(key, loc)
                waiting.append((inner, (*loc, key[:100])))
        elif isinstance(value, list):
            waiting.extend((inner, (*loc, index)) for index, inner in enumerate(value))
        elif isinstance(value, str):
            _check_text(value, loc)
        elif isinstance(value, float) and not math.isfinite(value):
            item = problem(loc, "Input should be a finite number", "finite_number", input=value)
            raise BodyError([item])


def _check_text(text: str, loc: Loc) -> None:
    has_lone_surrogate = not text.isascii() and _has_lone_surrogate(text)
    if has_lone_surrogate or "\0" in text:
        what = "a lone surrogate" if has_lone_surrogate else "a NUL character"
        raise BodyError([problem(loc, f"The text contains {what}", "invalid_encoding")])


def _has_lone_surrogate(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False
