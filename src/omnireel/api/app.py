"""One list of routes, the request's id and log line, the way from exceptions to error bodies."""

import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireel.api.doors import Door, Doors, entrance_of
from omnireel.api.errors import error_response, internal_error_response, json_response
from omnireel.api.openapi import openapi_document
from omnireel.api.sync import SyncEndpoint
from omnireel.api.wire import ENDPOINT_ID
from omnireel.backends.base import Backend
from omnireel.errors import Cancelled, OmnireelError
from omnireel.settings import Settings

_EXPOSED_HEADERS = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-omnireel-ignored-fields",
)
_Endpoint = Callable[[Request], Awaitable[Response]]

log = structlog.get_logger()


def create_app(backend: Backend, settings: Settings) -> FastAPI:
    """The application that answers with `backend`, which it closes when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await backend.close()

    # Slashes are routed, not redirected: one of the official clients does not follow redirects.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    pages = _pages(backend)
    for path, endpoint in pages.items():
        _add_route(app, path, endpoint, "GET")
    _add_route(app, f"/sync/{ENDPOINT_ID}", SyncEndpoint(backend, settings).answer, "POST")
    app.add_exception_handler(OmnireelError, _omnireel_error)
    app.add_exception_handler(HTTPException, _http_error)
    _add_middleware(app, settings, pages=list(pages))
    return app


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
    return error_response(error, getattr(request.state, "fields", None))


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


class RequestRecord:
    """Gives each request its id and writes one log line for it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; anything but HTTP passes through."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, started, status = str(uuid.uuid4()), time.perf_counter(), 0
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-fal-request-id", request_id.encode())]
            await send(message)

        await self.app(scope, receive, send_with_id)
        seconds = round(time.perf_counter() - started, 3)
        log.info("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)


class InternalErrors:
    """Answers for our own bugs: one of them ends one request, not the server."""

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
        except Exception:  # the edge of the program, see above
            log.exception("internal error")
            if not has_begun:
                await internal_error_response()(scope, receive, send)
