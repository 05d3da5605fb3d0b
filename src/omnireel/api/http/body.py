"""Reading a request's body: bounded, and stricter about JSON than the standard library.

`json.loads` accepts NaN, lone surrogates and NUL, keeps the last of two equal keys and raises RecursionError
on deep nesting. Each of these is refused here with a typed error. Encodings are those of `json.loads`.
"""

import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, TypeVar

from starlette.requests import ClientDisconnect, Request

from omnireel.api.http.body_memory import ArrivingBody, body_memory_of
from omnireel.api.http.caller import owner_of
from omnireel.api.http.errors import JSON_ERROR, BodyError, Loc, RequestError, problem
from omnireel.errors import Cancelled

MAX_DEPTH = 64
# Far more than any request needs. Parsing a million values would block the event loop for seconds.
MAX_VALUES = 100_000
# Longer integers fit no field, and take quadratic time to parse.
_MAX_DIGITS = 300
_MAX_DISCARD = 4
# A longer body is parsed beside the event loop.
_LONG_BODY_BYTES = 256 * 1024

T = TypeVar("T")


@dataclass(frozen=True)
class ReadBody(Generic[T]):
    """What was made of a body. fingerprint: a hash of its bytes"""

    value: T
    fingerprint: str


async def read_json(request: Request, max_bytes: int) -> Any:  # noqa: ANN401  # any JSON value
    """The JSON value of a short body. Raises as `reading_json`."""
    async with reading_json(request, max_bytes, lambda value: value) as body:
        return body.value


@asynccontextmanager
async def reading_json(
    request: Request, max_bytes: int, convert: Callable[[Any], T]
) -> AsyncIterator[ReadBody[T]]:
    """What `convert` makes of the JSON value of the body, which is no longer in memory.

    Values of long bodies are limited together: leave the block as soon as the value is used or has become short.
    Raises RequestError: 415 for a compressed body, 413 for more than max_bytes, 400 if the body arrives too slowly (see
    `BodyPace`); BodyError as `parse_json`, and for another media type; Cancelled if the client disconnects;
    CapacityError if the body has to wait in a file and the disk is full.
    """
    if request.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise RequestError("Send the body uncompressed.", error_type="bad_request", status=415)
    length = int(request.headers.get("content-length", "0"))
    memory = body_memory_of(request)
    owner = owner_of(request)
    body = ArrivingBody(memory, owner)
    try:
        await _collect(request, body, length, max_bytes)
        _check_media_type(request, body.num_bytes)
        async with memory.turn(owner, body.num_bytes):
            # Parsing megabytes takes a while, and the event loop has other callers.
            if body.num_bytes > _LONG_BODY_BYTES:
                value = await memory.read_long(owner, partial(_parse, body, convert))
            else:
                value = _parse(body, convert)
            body.close()
            read = ReadBody(value, body.fingerprint)
            del value
            yield read
    except ClientDisconnect:
        raise Cancelled("The client closed the connection.") from None
    finally:
        body.close()


def _parse(body: ArrivingBody, convert: Callable[[Any], T]) -> T:
    return convert(parse_json(body.take()))


def _check_media_type(request: Request, num_bytes: int) -> None:
    """Refuse what is not sent as JSON, with FastAPI's error type. An empty body has no media type to check."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not num_bytes or media_type == "application/json" or media_type.endswith("+json"):
        return
    msg = f"The content-type is {media_type[:40] or 'missing'}. Send application/json"
    raise BodyError([problem(("body",), msg, "model_attributes_type", input=f"<binary {num_bytes} bytes>")])


async def _collect(request: Request, body: ArrivingBody, length: int, max_bytes: int) -> None:
    if length > max_bytes and request.headers.get("expect", "").lower() == "100-continue":
        raise _too_large(max_bytes)  # the client waits for 100 Continue before it sends
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > _MAX_DISCARD * max_bytes:
            break
        # The rest of a body that is too long is read and dropped: closing a connection with unread data would
        # reset it, and the client would lose the answer.
        if max(num_bytes, length) > max_bytes:
            body.close()
        else:
            await body.add(chunk)
    if max(num_bytes, length) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"The body is longer than the limit of {max_bytes} bytes.", error_type="bad_request", status=413
    )


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """The value of a JSON text in UTF-8, UTF-16 or UTF-32, with or without a byte order mark; None for no text.

    Raises BodyError: json_invalid, duplicate_key, invalid_encoding, finite_number.
    """
    if not body:
        return None
    text = _decoded(body)
    _check_count(text)
    del body  # it may have many megabytes
    try:
        value = json.loads(text, object_pairs_hook=_unique_keys, parse_int=_parse_int)
    except json.JSONDecodeError as error:
        item = problem(("body", error.pos), JSON_ERROR, "json_invalid", ctx={"error": error.msg})
        raise BodyError([item]) from None
    except RecursionError:
        raise _too_deep() from None
    del text
    _check_values(value)
    return value


def _decoded(body: bytes) -> str:
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.removesuffix("-sig").upper()
        item = problem(("body", error.start), f"The body is not {name}", "invalid_encoding")
        raise BodyError([item], 400) from None


def _check_count(text: str) -> None:
    """Refuse too many values before parsing: each but the first follows one of these characters."""
    if sum(map(text.count, ",[{")) >= MAX_VALUES:
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
