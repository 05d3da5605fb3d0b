"""One list of routes, the request's id and log line, the way from exceptions to error bodies."""

import asyncio
import os
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.doors import Door, Doors, entrance_of
from omnireel.api.errors import error_outcome, json_response, outcome_response
from omnireel.api.intake import Intake
from omnireel.api.openapi import openapi_document
from omnireel.api.queue import QueueRoutes
from omnireel.api.record import InternalErrors, RequestRecord
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

_EXPOSED_HEADERS = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-omnireel-ignored-fields",
)
_DRAIN_S = 10.0

log = structlog.get_logger()
_Endpoint = Callable[[Request], Awaitable[Response]]


def create_app(backend: Backend, settings: Settings) -> FastAPI:
    """The application that answers with `backend`, which it closes when it ends."""

    worker = make_worker(backend, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        work = asyncio.create_task(worker.run())
        work.add_done_callback(_end_without_a_worker)
        try:
            yield
        finally:
            await stop_worker(worker, work)
            await backend.close()
            worker.database.close()

    # Slashes are routed, not redirected: one of the official clients does not follow redirects.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages = _pages(backend)
    for path, endpoint in pages.items():
        _add_route(app, path, endpoint, "GET")
    for path, endpoint, method in _endpoints(Intake(worker, settings)):
        _add_route(app, path, endpoint, method)
    app.add_exception_handler(OmnireelError, _omnireel_error)
    app.add_exception_handler(HTTPException, _http_error)
    _add_middleware(app, settings, pages=list(pages))
    return app


def make_worker(backend: Backend, settings: Settings) -> Worker:
    """A worker on the store that the settings name; nothing runs yet."""
    spool = Spool(settings.incoming_dir)
    name = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return Worker(
        Database(settings.store_path),
        terms(settings),
        spool,
        Feeds(),
        JobRun(backend, settings, spool),
        WorkerRule(name, settings.max_running, settings.lease_s, beat_s=settings.lease_s / 3),
    )


def _end_without_a_worker(work: asyncio.Task[None]) -> None:
    """A server whose worker broke would take jobs and run none: it ends, and whoever started it may again."""
    if not work.cancelled() and (error := work.exception()) is not None:
        log.critical("the worker broke", exc_info=error)
        signal.raise_signal(signal.SIGTERM)


async def stop_worker(worker: Worker, work: asyncio.Task[None]) -> None:
    """Let queued work that runs end, for a while; what is left waits in the store for the next start."""
    worker.stop()
    _, unfinished = await asyncio.wait({work}, timeout=_DRAIN_S)
    if unfinished:
        worker.give_up()
        await work


def _endpoints(intake: Intake) -> Iterator[tuple[str, _Endpoint, str]]:
    """Path, what answers there, method."""
    queue = QueueRoutes(intake)
    yield f"/sync/{ENDPOINT_ID}", SyncEndpoint(intake).answer, "POST"
    yield f"/sync/{ENDPOINT_ID}/stream", StreamEndpoint(intake).answer, "POST"
    yield f"/queue/{ENDPOINT_ID}", queue.submit, "POST"
    # Clients spell a request's address with the whole endpoint or with the application alone.
    for scope in (APP_ID, ENDPOINT_ID):
        request = f"/queue/{scope}/requests/{{request_id}}"
        yield request, queue.result, "GET"
        yield f"{request}/response", queue.result, "GET"
        yield f"{request}/status", queue.status, "GET"
        yield f"{request}/status/stream", queue.status_stream, "GET"
        yield f"{request}/cancel", queue.cancel, "PUT"


def _add_route(app: FastAPI, path: str, endpoint: _Endpoint, method: str) -> None:
    app.add_route(path, endpoint, methods=[method])
    app.add_route(path + "/", endpoint, methods=[method])


def _add_middleware(app: FastAPI, settings: Settings, *, pages: list[str]) -> None:
    """Innermost first: a browser may read every answer, and every answer has its id."""
    app.add_middleware(Doors, pages=pages, trusted=settings.trusted_proxies)
    app.add_middleware(InternalErrors)
    # Any header may be sent: x-fal-* has no end, and without credentials there is nothing to protect.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_methods=("GET", "POST", "PUT", "DELETE"),
        allow_headers=("*",),
        expose_headers=_EXPOSED_HEADERS,
    )
    app.add_middleware(RequestRecord)


def _pages(backend: Backend) -> dict[str, _Endpoint]:
    """What GET answers at addresses of our own, which the hosted service does not have."""

    async def health(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=200)

    async def ready(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=503)

    async def openapi(_: Request) -> Response:
        return json_response(openapi_document(version("omnireel")), 200)

    return {"/health": health, "/health/ready": ready, "/openapi.json": openapi}


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
    detail = _no_such_path(request) if error.status_code == 404 else str(error.detail)
    headers = {"x-fal-billable-units": "0"} | dict(error.headers or {})
    return json_response({"detail": detail, "message": detail}, error.status_code, headers)


def _no_such_path(request: Request) -> str:
    """fal's words: for another application on its address, and for a path that the application lacks."""
    door = entrance_of(request).door
    parts = request.url.path.removeprefix(f"/{door}").strip("/").split("/")
    app_id, is_ours = "/".join(parts[:2]), ENDPOINT_ID.startswith("/".join(parts[:2]) + "/")
    if door in (Door.SYNC, Door.QUEUE) and len(parts) >= 2 and not is_ours:
        return f'Application "{app_id[:200]}" not found'
    return f"Path /{'/'.join(parts)[:200]} not found"
