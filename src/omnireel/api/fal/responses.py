"""Rendered outcomes as HTTP responses."""

from urllib.parse import quote

import structlog
from starlette.responses import Response
from starlette.types import Scope

from omnireel.api.fal.errors import Rendered
from omnireel.api.http.responses import json_response
from omnireel.api.middleware.hosts import FalHost, PublicBaseUrl

_MAX_NAMED_FIELDS = 20

log = structlog.get_logger()


def rendered_response(rendered: Rendered) -> Response:
    """The response that sends it."""
    return json_response(rendered.body, rendered.status, rendered.headers)


def error_response(scope: Scope, rendered: Rendered) -> Response:
    """An error, in the shape that the host has which the request was sent to."""
    state = scope["state"]
    base_url: PublicBaseUrl | None = state.get("base_url")  # missing where the error came first
    if base_url is None or base_url.fal_host is not FalHost.PLATFORM:
        return rendered_response(rendered)
    error = {
        "type": rendered.error_type,
        "message": rendered.message,
        "docs_url": "https://docs.fal.ai/platform-apis/v1",
        "request_id": state["request_id"],
    }
    return json_response({"error": error}, rendered.status, rendered.headers)


def name_ignored_fields(response: Response, ignored: list[str]) -> None:
    """Unknown fields fail no request, but a header and a log line name them."""
    if ignored:
        # An empty name would leave a space at the header's end, which HTTP does not allow there.
        names = [quote(name[:64], safe="") or '""' for name in ignored[:_MAX_NAMED_FIELDS]]
        response.headers["x-omnireel-ignored-fields"] = ", ".join(names)
        log.warning("fields ignored", fields=names, num_fields=len(ignored))
