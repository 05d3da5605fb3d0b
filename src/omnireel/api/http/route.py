"""One route of the HTTP API: its handler, who may call it, and its description in the OpenAPI document.

Starlette's routes and the OpenAPI document are both made from `Route`, so both have the same paths.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Self

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from omnireel.api.http.wire_model import WireModel

JSON = "application/json"
BYTES = "application/octet-stream"
TEXT = "text/plain"
Endpoint = Callable[[Request], Awaitable[Response]]
Method = Literal["GET", "POST", "PUT", "DELETE"]
# What pydantic can describe: a model, a union of models, `str`, `bytes`.
BodyModel = Any


class Access(Enum):
    """What a caller needs if the server runs with `--auth keys`."""

    KEY = "a key"
    KEY_OR_CDN_TOKEN = "a key, or a token of the CDN host"
    TOKEN_IN_PATH = "the token in the path, and no key"
    OPEN = "nothing"

    @property
    def needs_key(self) -> bool:
        """Whether a caller without any credentials gets 401."""
        return self in (Access.KEY, Access.KEY_OR_CDN_TOKEN)


@dataclass(frozen=True)
class RequestBody:
    """The body of a request."""

    model: BodyModel
    media_type: str = JSON


@dataclass(frozen=True)
class ResponseSpec:
    """One response of a route, as the OpenAPI document describes it.

    model:      of the body; None for a body without a schema, such as server-sent events
    headers:    names of those beside x-fal-request-id, which every response has
    media_type: of the body; None for no body
    """

    description: str
    model: BodyModel = None
    headers: tuple[str, ...] = ()
    media_type: str | None = JSON


@dataclass(frozen=True)
class ErrorModels:
    """The error bodies of a protocol.

    refusal: of a request that cannot be served, such as one without a key
    failure: of an internal error
    """

    refusal: BodyModel
    failure: BodyModel


@dataclass(frozen=True)
class Route:
    """One method of one canonical path.

    operation_id: its name in the OpenAPI document; "" leaves the route out of the document
    listed_path:  the path in the document; "" for the canonical one
    path_model, query_model, header_model: their fields are the parameters
    responses:    by status; 401, 429, 431 and 500 are added
    """

    method: Method
    path: str
    endpoint: Endpoint
    errors: ErrorModels
    operation_id: str = ""
    summary: str = ""
    listed_path: str = ""
    access: Access = Access.KEY
    path_model: type[WireModel] | None = None
    query_model: type[WireModel] | None = None
    header_model: type[WireModel] | None = None
    body: RequestBody | None = None
    responses: Mapping[int, ResponseSpec] = field(default_factory=dict)

    @property
    def all_responses(self) -> dict[int, ResponseSpec]:
        """The route's own responses, and those that every such route has."""
        responses = {
            431: ResponseSpec("The head of the request is too large", str, media_type=TEXT),
            500: ResponseSpec("The server failed", self.errors.failure),
        } | dict(self.responses)
        if self.access.needs_key:
            responses[401] = ResponseSpec(
                "The server needs a key, and no valid one was sent",
                self.errors.refusal,
                ("www-authenticate",),
            )
            responses.setdefault(
                429,
                ResponseSpec("The key has too many open requests", self.errors.refusal, ("retry-after",)),
            )
        return dict(sorted(responses.items()))


def starlette_routes(routes: Iterable[Route]) -> Iterator[StarletteRoute]:
    """Each route with and without a slash at the end. Routes for GET also answer HEAD.

    The second path is a route and not a redirect: one of the official clients does not follow redirects.
    """
    endpoints = {(route.path, route.method): route.endpoint for route in routes}
    for (path, method), endpoint in endpoints.items():
        for spelling in (path, f"{path}/"):
            yield _MethodRoute(spelling, endpoint, methods=[method])


class _MethodRoute(StarletteRoute):
    """A route whose refusal of another method names those of all routes of the path, as RFC 9110 (15.5.6) asks for."""

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See `StarletteRoute`. Raises HTTPException with status 405."""
        methods = self.methods or set()
        if scope["method"] not in methods:
            routes = [route for route in scope["router"].routes if isinstance(route, StarletteRoute)]
            of_path = (route for route in routes if route.matches(scope)[0] is not Match.NONE)
            allowed = {method for route in of_path for method in route.methods or ()}
            raise HTTPException(405, headers={"Allow": ", ".join(sorted(allowed))})
        await super().handle(scope, receive, send)


def open_paths(routes: Sequence[Route]) -> "Paths":
    """Canonical paths that need no credentials."""
    return Paths.of(route for route in routes if route.access is Access.OPEN)


@dataclass(frozen=True)
class Paths:
    """A set of canonical paths.

    single:  whole paths, without a slash at the end
    folders: beginnings of further paths
    """

    single: frozenset[str]
    folders: tuple[str, ...]

    @classmethod
    def of(cls, routes: Iterable[Route]) -> Self:
        """The paths of these routes. A path with a parameter stands for all paths that begin as it does."""
        paths = [route.path for route in routes]
        folders = {path.partition("{")[0] for path in paths if "{" in path}
        return cls(frozenset(path for path in paths if "{" not in path), tuple(sorted(folders)))

    def __contains__(self, path: object) -> bool:
        if not isinstance(path, str):
            return False
        return (path.rstrip("/") or "/") in self.single or path.startswith(self.folders)
