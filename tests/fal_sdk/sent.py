"""The files of requests and recorded outcomes, and the bytes of a request. Both environments use this.

A request has a `name` and its body: `body` is a text, `base64` are bytes that are not UTF-8, and `repeated` says what
stands for MARK in the text, and how often. `content_type` is null where no such header is sent.
"""

import base64
import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
REQUESTS, OUTCOMES = FOLDER / "requests.jsonl", FOLDER / "outcomes.jsonl"
MARK = "@repeated@"

Request = dict[str, Any]


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The objects in a file of JSON lines."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def body_of(request: Request) -> bytes:
    """The body as it is sent."""
    if "base64" in request:
        return base64.b64decode(request["base64"])
    text, times = request.get("repeated", ("", 0))
    return str(request["body"]).replace(MARK, text * times).encode()


def content_type_of(request: Request) -> str | None:
    """The value of the header; None where it is not sent."""
    return request.get("content_type", "application/json")
