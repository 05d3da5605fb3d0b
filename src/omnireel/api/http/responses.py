"""JSON and event streams, as they are written."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

# Proxies must neither keep nor collect a stream.
EVENT_STREAM_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
KEEP_ALIVE = b": keep-alive\n\n"


def json_response(
    content: Mapping[str, Any], status: int, headers: Mapping[str, str] | None = None
) -> Response:
    """`content` as compact JSON."""
    body = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Response(body.encode("utf-8"), status, headers, media_type="application/json")


def sse_event(content: Mapping[str, Any]) -> bytes:
    """One server-sent event. ASCII only: a client may cut a character of several bytes in two."""
    return f"data: {json.dumps(content, separators=(',', ':'))}\n\n".encode("ascii")
