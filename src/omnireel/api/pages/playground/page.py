"""Sends the playground's page and its files, each with a policy for the browser."""

from starlette.requests import Request
from starlette.responses import Response

from omnireel.api.http.errors import RequestError, echo
from omnireel.api.pages.playground.static_files import INDEX, StaticFile, static_files

# Only files of this server run, and they can make no HTML of a text (trusted types), whatever the model writes.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob: data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
_FOR_THE_PAGE = {
    "content-security-policy": POLICY,
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(self), geolocation=()",
    "x-frame-options": "DENY",
}


async def page(request: Request) -> Response:
    """The page itself."""
    return _response(static_files()[INDEX], request)


async def static_file(request: Request) -> Response:
    """One of its files. Raises RequestError, 404."""
    name = str(request.path_params["name"])
    file = static_files().get(name)
    if file is None:
        raise RequestError(f"The playground has no file {echo(name)!r}.", error_type="not_found", status=404)
    return _response(file, request)


def _response(file: StaticFile, request: Request) -> Response:
    headers = {
        **_FOR_THE_PAGE,
        "etag": file.etag,
        "cache-control": "no-cache",  # kept, and asked about each time: the files of one version belong together
    }
    known = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    if file.etag in known:
        return Response(status_code=304, headers=headers)
    return file.body.response(request, headers)
