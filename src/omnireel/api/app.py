"""One list of routes, the request's id and log line, the way from exceptions to error bodies."""

import asyncio
import os
import socket
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireel.api.errors import error_outcome, internal_error_outcome, json_response, outcome_response
from omnireel.api.intake import Intake
from omnireel.api.openapi import openapi_document
from omnireel.api.queue import QueueRoutes
from omnireel.api.run import JobRun, terms
from omnireel.api.stream import StreamEndpoint
from omnireel.api.sync import SyncEndpoint
from omnireel.api.wire import APP_ID, ENDPOINT_ID
from omnireel.backends.base import Backend
from omnireel.errors import Cancelled, OmnireelError
from omnireel.jobs.database import Database
from omnireel.jobs.feed import Feeds
from omnireel.jobs.spool import Spool
from omnireel.jobs.worker import Worker, WorkerRule
from omnireel.settings import Settings

Endpoint = Callable[[Request], Awaitable[Response]]
_DRAIN_S = 10.0

log = structlog.get_logger()


def create_app(backend: Backend, settings: Settings) -> FastAPI:
    """The application that answers with `backend`, which it closes when it ends."""

    database = Database(settings.store_path)
    spool = Spool(settings.incoming_dir)
    run_job = JobRun(backend, settings, spool)
    rule = WorkerRule(f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}", settings.max_running)
    worker = Worker(database, terms(), spool, Feeds(), run_job, rule)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(worker.run())
        try:
            yield
        finally:
            await _stop(worker, work)
            await backend.close()
            database.close()

    # Slashes are routed, not redirected: one of the official clients does not follow redirects.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_routes(app, backend, Intake(worker, settings))
    app.add_exception_handler(OmnireelError, _omnireel_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(RequestRecord)
    return app


async def _stop(worker: Worker, work: asyncio.Task[None]) -> None:
    """Let queued work that runs end, for a while; what is left waits in the store for the next start."""
    worker.stop()
    _, unfinished = await asyncio.wait({work}, timeout=_DRAIN_S)
    if unfinished:
        worker.give_up()
        await work


def _add_routes(app: FastAPI, backend: Backend, intake: Intake) -> None:
    async def health(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=200)

    async def ready(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=503)

    async def openapi(_: Request) -> Response:
        return json_response(openapi_document(version("omnireel")), 200)

    run, stream, queue = SyncEndpoint(intake).answer, StreamEndpoint(intake).answer, QueueRoutes(intake)
    for path, endpoint, method in (
        (f"/{ENDPOINT_ID}", run, "POST"),
        (f"/sync/{ENDPOINT_ID}", run, "POST"),
        (f"/{ENDPOINT_ID}/stream", stream, "POST"),
        (f"/sync/{ENDPOINT_ID}/stream", stream, "POST"),
        (f"/queue/{ENDPOINT_ID}", queue.submit, "POST"),
        *_request_routes(queue),
        ("/health", health, "GET"),
        ("/health/ready", ready, "GET"),
        ("/openapi.json", openapi, "GET"),
    ):
        app.add_route(path, endpoint, methods=[method])
        app.add_route(path + "/", endpoint, methods=[method])


def _request_routes(queue: QueueRoutes) -> Iterator[tuple[str, Endpoint, str]]:
    """Of one request; clients spell its address with the whole endpoint or with the application alone."""
    for scope in (APP_ID, ENDPOINT_ID):
        request = f"/queue/{scope}/requests/{{request_id}}"
        yield request, queue.result, "GET"
        yield f"{request}/response", queue.result, "GET"
        yield f"{request}/status", queue.status, "GET"
        yield f"{request}/status/stream", queue.status_stream, "GET"
        yield f"{request}/cancel", queue.cancel, "PUT"


async def _health(backend: Backend, *, status_when_not_ready: int) -> Response:
    state = await backend.health()
    content = {
        "status": "ok" if state.is_ready else "not ready",
        "version": version("omnireel"),
        "backend": backend.name,
        "model": state.model,
    }
    if state.detail is not None:
        content["detail"] = state.detail
    return json_response(content, 200 if state.is_ready else status_when_not_ready)


async def _omnireel_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Cancelled):
        return Response(status_code=499)  # nobody is left to read it
    if not isinstance(error, OmnireelError):
        raise error
    return outcome_response(error_outcome(error, getattr(request.state, "fields", None)))


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = _no_such_path(request.url.path) if error.status_code == 404 else str(error.detail)
    headers = {"x-fal-billable-units": "0"} | dict(error.headers or {})
    return json_response({"detail": detail, "message": detail}, error.status_code, headers)


def _no_such_path(path: str) -> str:
    """fal's words: for another application on its address, and for a path that the application lacks."""
    parts = path.removeprefix("/sync").strip("/").split("/")
    app_id, is_ours = "/".join(parts[:2]), ENDPOINT_ID.startswith("/".join(parts[:2]) + "/")
    if len(parts) >= 2 and not is_ours:
        return f'Application "{app_id[:200]}" not found'
    return f"Path /{'/'.join(parts)[:200]} not found"


class RequestRecord:
    """Gives each request its id, writes one log line for it, and answers for our own bugs."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 0
        state = scope.setdefault("state", {})
        state["request_id"] = str(uuid.uuid4())  # routes about a job put the job's in its place
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message["headers"],
                    (b"x-fal-request-id", _header(state["request_id"])),
                ]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # the edge of the program: a bug ends one request, not the server
            log.exception("internal error")
            if status == 0:
                await outcome_response(internal_error_outcome())(scope, receive, send_with_id)
        seconds = round(time.perf_counter() - started, 3)
        log.info("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)


def _header(text: str) -> bytes:
    """What came in a path may hold anything; a header may not."""
    return "".join(c for c in text[:100] if c.isascii() and c.isprintable()).encode("ascii")
