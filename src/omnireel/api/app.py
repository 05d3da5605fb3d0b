"""One list of routes, the request's id and log line, the way from exceptions to error bodies."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

import structlog
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireel.api.errors import error_response, internal_error_response, json_response
from omnireel.api.openapi import openapi_document
from omnireel.api.sync import SyncEndpoint
from omnireel.api.wire import ENDPOINT_ID
from omnireel.backends.base import Backend
from omnireel.errors import Cancelled, OmnireelError
from omnireel.settings import Settings

log = structlog.get_logger()


def create_app(backend: Backend, settings: Settings) -> FastAPI:
    """The application that answers with `backend`, which it closes when it ends."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await backend.close()

    # Slashes are routed, not redirected: one of the official clients does not follow redirects.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    _add_routes(app, backend, settings)
    app.add_exception_handler(OmnireelError, _omnireel_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(RequestRecord)
    return app


def _add_routes(app: FastAPI, backend: Backend, settings: Settings) -> None:
    async def health(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=200)

    async def ready(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=503)

    async def openapi(_: Request) -> Response:
        return json_response(openapi_document(version("omnireel")), 200)

    run = SyncEndpoint(backend, settings).answer
    for path, endpoint, method in (
        (f"/{ENDPOINT_ID}", run, "POST"),
        (f"/sync/{ENDPOINT_ID}", run, "POST"),
        ("/health", health, "GET"),
        ("/health/ready", ready, "GET"),
        ("/openapi.json", openapi, "GET"),
    ):
        app.add_route(path, endpoint, methods=[method])
        app.add_route(path + "/", endpoint, methods=[method])


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
        request_id, started, status = str(uuid.uuid4()), time.perf_counter(), 0
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-fal-request-id", request_id.encode())]
            await send(message)

        try:
            await self.app(scope, receive, send_with_id)
        except Exception:  # the edge of the program: a bug ends one request, not the server
            log.exception("internal error")
            if status == 0:
                await internal_error_response()(scope, receive, send_with_id)
        seconds = round(time.perf_counter() - started, 3)
        log.info("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)
