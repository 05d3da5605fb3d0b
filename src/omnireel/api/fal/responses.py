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
    """The HTTP response with the rendered outcome."""
    return json_response(rendered.body, rendered.status, rendered.headers)


def error_response(scope: Scope, rendered: Rendered) -> Response:
    """An error, in the shape of the fal host that the request was sent to."""
    state = scope["state"]
    base_url: PublicBaseUrl | None = state.get(
        "base_url"
    )  # None if the request failed before its host was known
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
    """Name unknown fields in a header and in a log line. They do not make a request fail."""
    if ignored:
        # An empty name at the end would leave a trailing space, which HTTP does not allow in a header.
        names = [quote(name[:64], safe="") or '""' for name in ignored[:_MAX_NAMED_FIELDS]]
        response.headers["x-omnireel-ignored-fields"] = ", ".join(names)
        log.warning("fields ignored", fields=names, num_fields=len(ignored))
