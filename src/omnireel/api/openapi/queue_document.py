"""The document about the endpoint's queue, in the shape in which the hosted service publishes one for each endpoint.

It lists the four calls of a queued request under the id of the endpoint. The document about the whole server
(`document.py`) has them too, with everything else, and under the id of the application.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from omnireel.api.fal.input import APP_ID, ENDPOINT_ID
from omnireel.api.http.route import Route
from omnireel.api.http.wire_model import WireModel
from omnireel.api.openapi.document import METADATA, SECURITY, VERSION, described

_CALLS = ("submit", "status", "cancel", "result")
_QUEUE = "/queue"


class _LogsQuery(WireModel):
    """The query of a status, as the hosted service describes it."""

    logs: float | None = Field(default=None, description="1: include the job's log; 0: do not.")


def queue_document(routes: Sequence[Route]) -> dict[str, Any]:
    """The document, without the addresses of the server."""
    paths, components = described(_calls(routes))
    return {
        "openapi": VERSION,
        "info": {
            "title": f"Queue OpenAPI for {ENDPOINT_ID}",
            "version": "1.0.0",
            "description": f"The queue of {ENDPOINT_ID}.",
            "x-fal-metadata": METADATA,
        },
        "x-fal-order-paths": list(paths),
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SECURITY},
        "security": [{"apiKeyAuth": []}],
    }


def with_addresses(document: dict[str, Any], *, queue_url: str, model_url: str) -> dict[str, Any]:
    """The document with the address of the queue, and of the page about the model, as the caller reaches them."""
    pages = {"playgroundUrl": model_url, "documentationUrl": f"{model_url}/api"}
    info = document["info"] | {"x-fal-metadata": document["info"]["x-fal-metadata"] | pages}
    return document | {"info": info, "servers": [{"url": queue_url}]}


def _calls(routes: Sequence[Route]) -> Iterator[Route]:
    by_name = {route.operation_id: route for route in routes}
    for name in _CALLS:
        route = by_name[name]
        path = route.path.removeprefix(_QUEUE).replace(f"/{APP_ID}/requests/", f"/{ENDPOINT_ID}/requests/", 1)
        query_model = _LogsQuery if name == "status" else route.query_model
        yield replace(route, listed_path=path, query_model=query_model)
