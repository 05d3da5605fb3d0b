"""Around every request: its id, its log line, headers for browsers, and an answer to internal errors."""

import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireel.api.fal.errors import render_failure
from omnireel.api.fal.responses import error_response
from omnireel.api.middleware.hosts import without_token
from omnireel.task import INTERNAL

log = structlog.get_logger()

# Only a page of our own names a policy itself. No other answer is a web page: a browser must not run anything that a
# caller put into one.
_POLICY = b"content-security-policy"
_FOR_BROWSERS = (
    (b"x-content-type-options", b"nosniff"),
    (_POLICY, b"sandbox; default-src 'none'"),
)


class RequestRecord:
    """Gives each request its id and writes one log line for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        state = scope.setdefault("state", {})
        state["request_id"] = str(uuid.uuid4())  # routes about a job replace it by the job's id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                own = (b"x-fal-request-id", _header(state["request_id"]))
                sent = message["headers"]
                has_policy = any(name == _POLICY for name, _ in sent)
                message["headers"] = [*sent, own, *_FOR_BROWSERS[: 1 if has_policy else 2]]
            await send(message)

        await self.app(scope, receive, send_with_id)
        seconds = round(time.perf_counter() - started, 3)
        path = without_token(scope["path"])
        log.info("request", method=scope["method"], path=path, status=status, seconds=seconds)


class InternalErrors:
    """Answers with 500 to exceptions that nothing else handles; they end one request, not the server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun = False

        async def send_noting(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception:  # any bug: the traceback goes to the log
            log.exception("internal error")
            if not has_begun:
                await error_response(scope, render_failure(INTERNAL))(scope, receive, send)


def _header(text: str) -> bytes:
    """The text without what a header may not hold. It may come from a path, which may hold anything."""
    return "".join(c for c in text[:100] if c.isascii() and c.isprintable()).encode("ascii")
