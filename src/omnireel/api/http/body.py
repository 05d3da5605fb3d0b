"""Reading a request's body: bounded, and stricter about JSON than the standard library.

`json.loads` takes NaN, keeps the last of two equal keys, lets lone surrogates and NUL through and raises
RecursionError on deep nesting; each of these is refused here with a typed error.
"""

import asyncio
import json
import math
from typing import Any

from starlette.requests import ClientDisconnect, Request

from omnireel.api.http.errors import BodyError, Loc, RequestError, problem
from omnireel.errors import Cancelled

MAX_DEPTH = 64
# No request needs a hundredth of them; reading a million would keep every other caller waiting for seconds.
MAX_VALUES = 100_000
# Longer integers fit no field and cost quadratic time to read.
_MAX_DIGITS = 300
_MIN_BYTES_PER_S = 64 * 1024
_GRACE_S = 30.0
_MAX_DISCARD = 4


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body of a JSON request.

    Raises RequestError: 415 for another media type or a compressed body, 413 beyond max_bytes (which is
    found before anything is kept), 400 where the body arrives too slowly.
    """
    _check_headers(request)
    length = int(request.headers.get("content-length", "0"))
    try:
        async with asyncio.timeout(_GRACE_S + (length or max_bytes) / _MIN_BYTES_PER_S):
            return await _collect(request, length, max_bytes)
    except TimeoutError:
        raise RequestError("the body arrived too slowly", error_type="bad_request", status=400) from None
    except ClientDisconnect:
        raise Cancelled("the client closed the connection") from None


def _check_headers(request: Request) -> None:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    is_json = media_type == "application/json" or media_type.endswith("+json")
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if not is_json:
        what = media_type[:40] or "missing"
        raise RequestError(
            f"content-type is {what}, send application/json", error_type="bad_request", status=415
        )
    if coding != "identity":
        raise RequestError("send the body uncompressed", error_type="bad_request", status=415)


async def _collect(request: Request, length: int, max_bytes: int) -> bytes:
    if length > max_bytes and request.headers.get("expect", "").lower() == "100-continue":
        raise _too_large(max_bytes)  # the client waits for leave to send, and gets none
    chunks: list[bytes] = []
    num_bytes = 0
    async for chunk in request.stream():
        num_bytes += len(chunk)
        if num_bytes > _MAX_DISCARD * max_bytes:
            break
        # A body that is too long is read but not kept: closing on unread data would lose the answer.
        if max(num_bytes, length) > max_bytes:
            chunks.clear()
        else:
            chunks.append(chunk)
    if max(num_bytes, length) > max_bytes:
        raise _too_large(max_bytes)
    return b"".join(chunks)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError(
        f"the body is longer than the limit of {max_bytes} bytes", error_type="bad_request", status=413
    )


def parse_json(body: bytes) -> Any:  # noqa: ANN401  # any JSON value
    """The value that `body` holds; an empty body counts as `{}`.

    Raises BodyError: json_invalid, duplicate_key, invalid_encoding, finite_number.
    """
    _check_count(body)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        item = problem(("body", error.start), "the body is not UTF-8", "invalid_encoding")
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
    """Refuse too many values before any is read: each but the first follows one of these characters."""
    if sum(map(body.count, (b",", b"[", b"{"))) >= MAX_VALUES:
        item = problem(
            ("body",), f"more than {MAX_VALUES} values", "json_invalid", ctx={"max_values": MAX_VALUES}
        )
        raise BodyError([item], 400)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        item = problem(("body", ascii(twice)[1:-1][:100]), "this key appears twice", "duplicate_key")
        raise BodyError([item])
    return table


def _parse_int(digits: str) -> int | float:
    if len(digits) <= _MAX_DIGITS:
        return int(digits)
    return -math.inf if digits.startswith("-") else math.inf


def _too_deep() -> BodyError:
    item = problem(
        ("body",), f"nested deeper than {MAX_DEPTH} levels", "json_invalid", ctx={"max_depth": MAX_DEPTH}
    )
    return BodyError([item], 400)


def _check_values(root: object) -> None:
    """Refuse numbers that are not finite, and text that no UTF-8 file or database column can hold."""
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
    has_lone_surrogate = not text.isascii() and text.encode("utf-8", "ignore") != text.encode(
        "utf-8", "replace"
    )
    if has_lone_surrogate or "\0" in text:
        what = "a lone surrogate" if has_lone_surrogate else "a NUL character"
        raise BodyError([problem(loc, f"the text contains {what}", "invalid_encoding")])
