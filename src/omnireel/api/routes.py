"""One list of routes: canonical paths, what answers there, and the pages of our own."""

from collections.abc import Awaitable, Callable, Iterator
from importlib.metadata import version

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.fal.attached import ConcurrencyLimit
from omnireel.api.fal.estimate import EstimateEndpoint
from omnireel.api.fal.queue import QueueRoutes
from omnireel.api.fal.storage.routes import StorageRoutes
from omnireel.api.fal.storage.served_files import ServedFiles
from omnireel.api.fal.stream import StreamEndpoint
from omnireel.api.fal.submit import Submitter
from omnireel.api.fal.sync import SyncEndpoint
from omnireel.api.fal.tokens import TokenEndpoint
from omnireel.api.fal.webhooks import JWKS_PATH, jwks_page
from omnireel.api.fal.wire import APP_ID, ENDPOINT_ID
from omnireel.api.http.errors import json_response
from omnireel.api.openapi.document import openapi_document
from omnireel.api.pages.llms import llms_text
from omnireel.api.platform.routes import PlatformRoutes
from omnireel.backends.base import Backend
from omnireel.settings import Settings
from omnireel.storage.uploads import Files
from omnireel.store.sqlite.keys import read_pepper

Endpoint = Callable[[Request], Awaitable[Response]]
Route = tuple[str, Endpoint, str]
# Where receivers of webhooks look for what to check signatures with, beside the page of our own.
REST_JWKS_PATH = f"/rest{JWKS_PATH}"


def all_routes(submitter: Submitter) -> Iterator[Route]:
    """Path, what answers there, method; the pages are apart."""
    yield from _sync_routes(submitter)
    yield from _queue_routes(QueueRoutes(submitter))
    yield from PlatformRoutes(submitter.worker.database).all()
    yield from _storage_routes(submitter.files, submitter.settings)
    yield "/rest/tokens", TokenEndpoint(read_pepper(submitter.settings.pepper_path)).answer, "POST"
    yield REST_JWKS_PATH, jwks_page(submitter.settings), "GET"


def _sync_routes(submitter: Submitter) -> Iterator[Route]:
    max_requests = submitter.settings.max_requests
    waiting = ConcurrencyLimit(max_requests)
    estimating = ConcurrencyLimit(max_requests, doing="estimates are being made")
    yield f"/sync/{ENDPOINT_ID}", SyncEndpoint(submitter, waiting).answer, "POST"
    yield f"/sync/{ENDPOINT_ID}/estimate", EstimateEndpoint(submitter, estimating).answer, "POST"
    yield f"/sync/{ENDPOINT_ID}/stream", StreamEndpoint(submitter, waiting).answer, "POST"


def _queue_routes(queue: QueueRoutes) -> Iterator[Route]:
    yield f"/queue/{ENDPOINT_ID}", queue.submit, "POST"
    # Clients spell a request's address with the whole endpoint or with the application alone.
    for scope in (APP_ID, ENDPOINT_ID):
        request = f"/queue/{scope}/requests/{{request_id}}"
        yield request, queue.result, "GET"
        yield f"{request}/response", queue.result, "GET"
        yield f"{request}/status", queue.status, "GET"
        yield f"{request}/status/stream", queue.status_stream, "GET"
        yield f"{request}/cancel", queue.cancel, "PUT"


def _storage_routes(files: Files, settings: Settings) -> Iterator[Route]:
    storage = StorageRoutes(files, settings)
    yield "/rest/storage/auth/token", storage.token, "POST"
    yield "/rest/storage/upload/initiate", storage.initiate, "POST"
    yield "/rest/storage/upload/initiate-multipart", storage.initiate_multipart, "POST"
    yield "/cdn/files/upload", storage.upload, "POST"
    yield "/cdn/files/upload/multipart", storage.begin_multipart, "POST"
    yield "/cdn/files/{name}/upload/{token}", storage.put_file, "PUT"
    yield "/cdn/files/{name}/multipart/{token}/complete", storage.complete, "POST"
    yield "/cdn/files/{name}/multipart/{token}/{number}", storage.put_part, "PUT"
    yield "/cdn/files/{name}", ServedFiles(files, settings).answer, "GET"


def our_pages(backend: Backend, settings: Settings) -> dict[str, Endpoint]:
    """What GET answers at addresses of our own, which the hosted service does not have."""

    async def health(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=200)

    async def ready(_: Request) -> Response:
        return await _health(backend, status_when_not_ready=503)

    async def openapi(_: Request) -> Response:
        return json_response(openapi_document(version("omnireel")), 200)

    async def llms(_: Request) -> Response:
        return Response(llms_text(), media_type="text/plain")

    return {
        "/health": health,
        "/health/ready": ready,
        "/openapi.json": openapi,
        "/llms.txt": llms,
        f"/models/{ENDPOINT_ID}/llms.txt": llms,
        JWKS_PATH: jwks_page(settings),
    }


async def _health(backend: Backend, *, status_when_not_ready: int) -> Response:
    state = await backend.health()
    content = {
        "status": "ok" if state.is_ready else "not ready",
        "version": version("omnireel"),
        "backend": backend.name,
        "model": state.model,
        "sandbox": "weak" if state.sandbox_misses else "full",
        "intrusions": state.num_sandbox_violations,
    }
    if state.detail is not None:
        content["detail"] = state.detail
    return json_response(content, 200 if state.is_ready else status_when_not_ready)
