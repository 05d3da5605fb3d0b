"""The table of routes: paths and their handlers. The OpenAPI document is made from the same table."""

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from omnireel.api.fal.queue import QueueRoutes
from omnireel.api.fal.submit import Submissions
from omnireel.api.http.route import Route
from omnireel.api.openapi.document import openapi_document
from omnireel.api.openapi.queue_document import queue_document
from omnireel.api.pages.descriptions import DescriptionPages
from omnireel.api.pages.health import HealthPages
from omnireel.api.platform.routes import PlatformRoutes
from omnireel.api.platform.usage import UsageRoutes
from omnireel.api.routes.pages import key_routes, page_routes
from omnireel.api.routes.platform import platform_routes
from omnireel.api.routes.playground import playground_routes
from omnireel.api.routes.queue import queue_routes
from omnireel.api.routes.run import run_routes
from omnireel.api.routes.uploads import upload_routes
from omnireel.jobs.supervisor import Supervisor
from omnireel.settings import Settings


def all_routes(
    submissions: Submissions, supervisor: Supervisor, *, num_dropped: Callable[[], int]
) -> list[Route]:
    """Every route of the server, in the order of the OpenAPI document.

    num_dropped: returns how many entries of the log were dropped
    """
    routes: list[Route] = []
    our_version = version("omnireel")  # read once: it takes a millisecond

    @cache
    def document() -> dict[str, Any]:
        return openapi_document(routes, version=our_version, limits=_limits(settings))

    @cache
    def document_of_queue() -> dict[str, Any]:
        return queue_document(routes)

    settings, store = submissions.settings, submissions.store
    routes += run_routes(submissions)
    routes += queue_routes(QueueRoutes(submissions))
    routes += upload_routes(submissions.submitter.media.uploads, settings)
    routes += platform_routes(PlatformRoutes(store.usage, document), UsageRoutes(store))
    routes += key_routes(settings)
    health = HealthPages(supervisor, our_version, num_dropped)
    routes += page_routes(DescriptionPages(document, document_of_queue), health)
    routes += playground_routes()
    return routes


def _limits(settings: Settings) -> dict[str, int | float | str]:
    """What a client can check before it sends a video."""
    return {
        "max_upload_bytes": settings.max_upload_bytes,
        "max_video_s": settings.max_video_s,
        "max_resolution": settings.max_resolution,
    }
