"""The application: routes, middleware and error handlers."""

import signal
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import structlog
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.errors import NO_CHARGE, render_error
from omnireel.api.fal.input import ENDPOINT_ID
from omnireel.api.fal.output import end_policy
from omnireel.api.fal.responses import error_response
from omnireel.api.fal.submit import Submissions
from omnireel.api.http.body_memory import BodyMemory
from omnireel.api.http.errors import RequestError
from omnireel.api.http.responses import json_response
from omnireel.api.http.route import Paths, Route, open_paths, starlette_routes
from omnireel.api.middleware.hosts import (
    FalHost,
    FalHostRouting,
    base_url_of,
    fal_host_of_path,
)
from omnireel.api.middleware.keys import Keys
from omnireel.api.middleware.pace import BodyPace, Pace
from omnireel.api.middleware.record import InternalErrors, RequestRecord
from omnireel.api.routes import all_routes
from omnireel.backends.base import Backend
from omnireel.errors import Cancelled, OmnireelError
from omnireel.jobs.submit import Submitter
from omnireel.jobs.supervisor import make_supervisor
from omnireel.settings import Settings
from omnireel.store.keys import read_pepper

log = structlog.get_logger()

_EXPOSED_HEADERS = (
    "x-fal-request-id",
    "x-fal-billable-units",
    "x-fal-request-timeout-type",
    "x-fal-error-type",
    "x-omnireel-ignored-fields",
    "etag",
    "content-range",
)


def _terminate() -> None:
    signal.raise_signal(signal.SIGTERM)


def create_app(
    backend: Backend,
    settings: Settings,
    *,
    on_failure: Callable[[], None] = _terminate,
    num_dropped: Callable[[], int] = lambda: 0,
) -> Starlette:
    """The application on `backend`, which is closed at the end. `state.supervisor` runs the jobs.

    on_failure:  ends the process, see `Supervisor`
    num_dropped: returns how many entries of the log were dropped
    """
    supervisor = make_supervisor(backend, settings, end_policy(settings), on_failure=on_failure)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        supervisor.start()
        try:
            yield
        finally:
            await supervisor.stop()
            await backend.close()

    store = supervisor.store
    submitter = Submitter(
        supervisor.worker, store.keys, supervisor.media, backend, settings.max_failed_clips, supervisor.disk
    )
    routes = all_routes(Submissions(submitter, store, settings), supervisor, num_dropped=num_dropped)
    app = Starlette(
        routes=list(starlette_routes(routes)),
        exception_handlers={OmnireelError: _omnireel_error, HTTPException: _http_error},
        lifespan=lifespan,
    )
    app.state.supervisor = supervisor
    app.state.body_memory = BodyMemory(settings.body_memory_bytes, settings.incoming_dir, supervisor.disk)
    app.router.redirect_slashes = False  # both spellings are routes, see `starlette_routes`
    app.add_middleware(BodyPace, pace=Pace(settings.min_bytes_per_s, settings.max_slow_s))
    if settings.auth == "keys":
        app.add_middleware(
            Keys,
            keys=store.keys,
            pepper=read_pepper(settings.pepper_path),
            open_paths=open_paths(routes),
            self_authenticating=(f"/{FalHost.CDN}/",),
            max_open=settings.max_open_per_key,
        )
    _add_middleware(app, settings, routes)
    return app


def _add_middleware(app: Starlette, settings: Settings, routes: Sequence[Route]) -> None:
    """Add the innermost first. Internal errors are inside of CORS and request ids, so they get both headers."""
    app.add_middleware(
        FalHostRouting,
        pages=Paths.of(route for route in routes if fal_host_of_path(route.path) is None),
        trusted=settings.trusted_proxies,
        allowed_hosts=settings.allowed_hosts,
    )
    app.add_middleware(InternalErrors)
    # Any header is allowed: there are many x-fal-* headers. fal's applications allow credentials from every page. Here
    # only pages that the operator has named may send them.
    app.add_middleware(
        CORSMiddleware,
        allow_origins=settings.cors_origins,
        allow_credentials="*" not in settings.cors_origins,
        allow_methods=("GET", "POST", "PUT", "DELETE"),
        allow_headers=("*",),
        expose_headers=_EXPOSED_HEADERS,
    )
    app.add_middleware(RequestRecord)


# Where those look who guess an address.
_POINTERS = {
    "docs": "The API is described at /openapi.json, and in words at /llms.txt; the playground is at /.",
    "redoc": "The API is described at /openapi.json, and in words at /llms.txt.",
    "models": f"The model is described at /models/{ENDPOINT_ID}.",
}


async def _omnireel_error(request: Request, error: Exception) -> Response:
    if isinstance(error, Cancelled):
        return Response(status_code=499)  # the client has disconnected and does not read it
    if not isinstance(error, OmnireelError):
        raise error
    rendered = render_error(error, getattr(request.state, "task", None))
    if rendered.status == 500:
        log.error("internal error", exc_info=error)  # the caller does not see the reason
    return error_response(request.scope, rendered)


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    detail = _no_such_path(request) if error.status_code == 404 else str(error.detail)
    if base_url_of(request).fal_host is FalHost.PLATFORM:
        kind = "not_found" if error.status_code == 404 else "bad_request"
        refusal = RequestError(detail, error_type=kind, status=error.status_code, headers=error.headers)
        return error_response(request.scope, render_error(refusal))
    headers = NO_CHARGE | dict(error.headers or {})
    return json_response({"detail": detail, "message": detail}, error.status_code, headers)


def _no_such_path(request: Request) -> str:
    """fal's wording: one for another application, and one for a path that the application does not have."""
    fal_host = base_url_of(request).fal_host
    parts = request.url.path.removeprefix(f"/{fal_host}").strip("/").split("/")
    app_id = "/".join(parts[:2])
    is_ours = ENDPOINT_ID.startswith(f"{app_id}/")
    if fal_host in (FalHost.SYNC, FalHost.QUEUE) and len(parts) >= 2 and not is_ours:
        return f'Application "{app_id[:200]}" not found'
    path = "/".join(parts)[:200]
    pointer = _POINTERS.get(path)
    return f"Path /{path} not found" + (f". {pointer}" if pointer else "")
