"""Records how an application built with fal's SDK answers the requests, or checks the record: `make test-fal`.

It runs in an environment of its own, `.venv-fal`, because the pins of the SDK collide with ours. The application has
the endpoint's input and answers every request that its input takes.
"""

import argparse
import contextlib
import http.client
import io
import json
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import fal
import uvicorn
from input_model import VideoInput
from sent import OUTCOMES, REQUESTS, body_of, content_type_of, read_lines

PATH = "/video"
START_S = 60


class Reference(fal.App):
    """An application with the endpoint's input and without a model."""

    @fal.endpoint(PATH)
    def video(self, asked: VideoInput) -> dict[str, str]:
        return {"output": "taken"}

    @fal.endpoint("/broken")
    def broken(self, asked: VideoInput) -> dict[str, str]:
        raise RuntimeError("a fault of the application")


@contextlib.contextmanager
def serving() -> Iterator[int]:
    """The application on a loopback port, while the context is open."""
    application = Reference(_allow_init=True)._build_app()
    server = uvicorn.Server(uvicorn.Config(application, log_level="critical"))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            ends_at = time.monotonic() + START_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > ends_at:
                    raise SystemExit("The application of fal's SDK did not start.")
                time.sleep(0.05)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def answer_to(port: int, path: str, body: bytes, content_type: str | None) -> tuple[int, bytes]:
    """Status and body of the answer to a POST request."""
    headers = {} if content_type is None else {"content-type": content_type}
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def outcome(port: int, request: dict[str, Any]) -> dict[str, Any]:
    """The answer to one request: its status, and where and how its input is wrong."""
    status, content = answer_to(port, PATH, body_of(request), content_type_of(request))
    found: dict[str, Any] = {"name": request["name"], "status": status}
    if status != 200:
        detail = json.loads(content)["detail"]
        found["detail"] = (
            detail if isinstance(detail, str) else [[item["loc"], item["type"]] for item in detail]
        )
    return found


def recorded(port: int) -> list[str]:
    """The record: a line of JSON for each request."""
    return [json.dumps(outcome(port, request)) for request in read_lines(REQUESTS)]


def internal_error(port: int) -> tuple[int, bytes]:
    """How the application answers where it fails."""
    return answer_to(port, "/broken", b'{"prompt":"x","video_url":"x"}', "application/json")


def main() -> int:
    """Write the record, or compare it. Returns exit code 1 if it differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write the record instead of comparing it")
    asked = parser.parse_args()
    with serving() as port, contextlib.redirect_stdout(io.StringIO()):
        lines, failed = recorded(port), internal_error(port)
    if asked.write:
        OUTCOMES.write_text("\n".join(lines) + "\n", encoding="utf-8")
    known = OUTCOMES.read_text("utf-8").splitlines()
    changed = [
        f"recorded {old}\nanswered {new}" for old, new in zip(known, lines, strict=False) if old != new
    ]
    if len(known) != len(lines):
        changed.append(f"{len(known)} outcomes are recorded, {len(lines)} requests were answered")
    if failed != (500, b'{"detail":"Internal Server Error"}'):
        changed.append(f"a failure is answered with {failed}")
    print("\n".join(changed) if changed else f"{len(lines)} answers of fal's SDK are as recorded.")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
