"""The application: routes, middleware, and the way from exceptions to error bodies."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.submit import Submitter
from omnireel.api.fal.wire import ENDPOINT_ID
from omnireel.api.http.errors import RequestError, error_outcome, json_response
from omnireel.api.middleware.hosts import FalHost, FalHostRouting, base_url_of, error_response
from omnireel.api.middleware.keys import Keys
from omnireel.api.middleware.record import InternalErrors, RequestRecord
from omnireel.api.routes import REST_JWKS_PATH, Endpoint, all_routes, our_pages
from omnireel.backends.base import Backend
from omnireel.errors import Cancelled, OmnireelError
from omnireel.jobs.supervisor import make_supervisor
from omnireel.settings import Settings
from omnireel.store.sqlite.keys import read_pepper

_EXPOSED_HEADERS = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-omnireel-ignored-fields",
    "etag",
    "content-range",
)


def create_app(backend: Backend, settings: Settings) -> FastAPI:
    """The application that answers with `backend`, which it closes when it ends; its Supervisor is `state.crew`."""

    supervisor = make_supervisor(backend, settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        supervisor.start()
        try:
            yield
        finally:
            await supervisor.stop()
            await backend.close()

    # Slashes are routed, not redirected: one of the official clients does not follow redirects.
    app = FastAPI(lifespan=lifespan, openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.supervisor = supervisor
    pages = our_pages(backend, settings)
    for path, endpoint in pages.items():
        _add_route(app, path, endpoint, "GET")
    for path, endpoint, method in all_routes(
        Submitter(supervisor.worker, settings, backend, supervisor.files)
    ):
        _add_route(app, path, endpoint, method)
    app.add_exception_handler(OmnireelError, _omnireel_error)
    app.add_exception_handler(HTTPException, _http_error)
    if settings.auth == "keys":
        app.add_middleware(
            Keys,
            database=supervisor.worker.database,
            pepper=read_pepper(settings.pepper_path),
            open_paths=[*pages, REST_JWKS_PATH],
            self_authenticating=(f"/{FalHost.CDN}/",),
        )
    _add_middleware(app, settings, pages=list(pages))
    return app


def _add_route(app: FastAPI, path: str, endpoint: Endpoint, method: str) -> None:
    app.add_route(path, endpoint, methods=[method])
    app.add_route(path + "/", endpoint, methods=[method])


def _add_middleware(app: FastAPI, settings: Settings, *, pages: list[str]) -> None:
    """Innermost first: a browser may read every answer, and every answer has its id."""
    app.add_middleware(
        FalHostRouting, pages=pages, trusted=settings.trusted_proxies, allowed_hosts=settings.allowed_hosts
    )
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


async def _omnireel_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Cancelled):
        return Response(status_code=499)  # nobody is left to read it
    if not isinstance(error, OmnireelError):
        raise error
    outcome = error_outcome(error, getattr(request.state, "fields", None))
    return error_response(request.scope, outcome)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = _no_such_path(request) if error.status_code == 404 else str(error.detail)
    if base_url_of(request).fal_host is FalHost.PLATFORM:
        kind = "not_found" if error.status_code == 404 else "bad_request"
        refusal = RequestError(detail, error_type=kind, status=error.status_code, headers=error.headers)
        return error_response(request.scope, error_outcome(refusal))
    headers = {"x-fal-billable-units": "0"} | dict(error.headers or {})
    return json_response({"detail": detail, "message": detail}, error.status_code, headers)


def _no_such_path(request: Request) -> str:
    """fal's words: for another application on its address, and for a path that the application lacks."""
    fal_host = base_url_of(request).fal_host
    parts = request.url.path.removeprefix(f"/{fal_host}").strip("/").split("/")
    app_id, is_ours = "/".join(parts[:2]), ENDPOINT_ID.startswith("/".join(parts[:2]) + "/")
    if fal_host in (FalHost.SYNC, FalHost.QUEUE) and len(parts) >= 2 and not is_ours:
        return f'Application "{app_id[:200]}" not found'
    return f"Path /{'/'.join(parts)[:200]} not found"
