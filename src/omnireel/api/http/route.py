"""One route of the HTTP API: what answers it, who may call it, and what the OpenAPI document says of it.

Starlette's routes and the OpenAPI document both come from `Route`, so neither can have a path that the other
lacks.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route as StarletteRoute

from omnireel.api.http.wire_model import WireModel

JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain"
Endpoint = Callable[[Request], Awaitable[Response]]
Method = Literal["GET", "POST", "PUT", "DELETE"]
# A type that pydantic can describe: a model, a union of models, `str`, `bytes`.
Shape = Any


class Access(Enum):
    """What a caller needs where the server runs with `--auth keys`."""

    KEY = "a key"
    KEY_OR_CDN_TOKEN = "a key, or a token of the CDN host"
    TOKEN_IN_PATH = "the token in the path, and no key"
    OPEN = "nothing"

    @property
    def needs_key(self) -> bool:
        """Whether a caller without any credentials is answered with 401."""
        return self in (Access.KEY, Access.KEY_OR_CDN_TOKEN)


@dataclass(frozen=True)
class Answer:
    """One answer of a route, as the OpenAPI document describes it.

    shape:      of its body; None for a body without a schema, such as server-sent events
    headers:    beside x-fal-request-id, which every answer has
    media_type: of its body; None for no body
    """

    description: str
    shape: Shape = None
    headers: tuple[str, ...] = ()
    media_type: str | None = JSON

    def with_headers(self, *names: str) -> "Answer":
        """The same answer with these headers, too."""
        return replace(self, headers=(*self.headers, *names))


@dataclass(frozen=True)
class ErrorShapes:
    """The error bodies of a protocol.

    refusal: of a request that cannot be served, such as one without a key
    failure: of a server that failed
    """

    refusal: Shape
    failure: Shape


@dataclass(frozen=True)
class Body:
    """The body of a request."""

    shape: Shape
    media_type: str = JSON


@dataclass(frozen=True)
class Route:
    """One method of one canonical path.

    operation_id: its name in the OpenAPI document; "" leaves the route out of the document
    listed_path:  the path in the document, where that is not the canonical one
    path_shape, query, headers: models whose fields are the parameters
    answers:      by status; 401 and 500 are added from `access` and `errors`
    """

    method: Method
    path: str
    endpoint: Endpoint
    errors: ErrorShapes
    operation_id: str = ""
    summary: str = ""
    listed_path: str = ""
    access: Access = Access.KEY
    path_shape: type[WireModel] | None = None
    query: type[WireModel] | None = None
    headers: type[WireModel] | None = None
    body: Body | None = None
    answers: Mapping[int, Answer] = field(default_factory=dict)


def starlette_routes(routes: Iterable[Route]) -> Iterator[StarletteRoute]:
    """Each route with and without a slash at the end; GET also answers HEAD.

    The second path is a route and not a redirect: one of the official clients does not follow redirects.
    """
    endpoints = {(route.path, route.method): route.endpoint for route in routes}
    for (path, method), endpoint in endpoints.items():
        for spelling in (path, f"{path}/"):
            yield StarletteRoute(spelling, endpoint, methods=[method])


def open_paths(routes: Sequence[Route]) -> list[str]:
    """Canonical paths that need no credentials."""
    return [route.path for route in routes if route.access is Access.OPEN]
