"""One path space for the four hosts of the hosted service.

Its clients address four hosts: one runs requests, one queues them, one issues upload addresses, one takes
files; a fifth tells of models and money. Here each is a door of the same server, and routes know only
canonical paths, `/sync/…`, `/queue/…`, `/rest/…`, `/cdn/…` and `/v1/…`. `FalHostRouting` maps onto these whatever a
client used, in this order:

1. `/api/fal/proxy` with the header x-fal-target-url: the host and path in that header, nothing else of it;
2. a page of our own, such as `/health`;
3. a path that begins with a door's name: that path as it is;
4. a Host header that begins with `queue.`, `rest.` or `v3.`: that door;
5. anything else: sync.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import cast
from urllib.parse import SplitResult, unquote, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from omnireel.api.http.errors import (
    RequestError,
    echo,
    outcome_response,
    platform_error_response,
    request_error_outcome,
)
from omnireel.net.urls import is_one_of
from omnireel.settings import Network
from omnireel.store.jobs import Outcome

PROXY_PATH = "/api/fal/proxy"
_TARGET = "x-fal-target-url"
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


class FalHost(StrEnum):
    """Which of the service's hosts a request is meant for."""

    SYNC = "sync"
    QUEUE = "queue"
    REST = "rest"
    CDN = "cdn"
    PLATFORM = "v1"


_FAL_HOST_OF_LABEL = {"queue": FalHost.QUEUE, "rest": FalHost.REST, "v3": FalHost.CDN}
HOSTED = {
    "fal.run": FalHost.SYNC,
    "queue.fal.run": FalHost.QUEUE,
    "rest.fal.ai": FalHost.REST,
    "v3.fal.media": FalHost.CDN,
    "api.fal.ai": FalHost.PLATFORM,
}


@dataclass(frozen=True)
class PublicBaseUrl:
    """Where a request came in, as seen from outside; addresses in answers are built from it.

    host:   as the client wrote it, an IPv6 address in brackets
    port:   None where the scheme's own port is meant
    root:   what a reverse proxy has in front of our paths: "" or "/some/path"
    prefix: what then stands before the door's own paths: "/queue", or "" where the host names the door
    """

    fal_host: FalHost
    scheme: str
    host: str
    port: int | None
    root: str
    prefix: str

    def url(self, path: str, fal_host: FalHost | None = None) -> str:
        """The address of `path` behind `door`, or behind this request's own door.

        A prefix counts on every host, so other doors need no name that resolves.
        """
        prefix = self.prefix if fal_host in (None, self.fal_host) else f"/{fal_host}"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.root}{prefix}{path}"


def base_url_of(connection: HTTPConnection) -> PublicBaseUrl:
    """Where the request came in."""
    return cast(PublicBaseUrl, connection.state.base_url)


def error_response(scope: Scope, outcome: Outcome) -> Response:
    """An error, in the shape of the door that the request came to."""
    state = scope["state"]
    base_url: PublicBaseUrl | None = state.get("entrance")  # none where a fault came first
    if base_url is not None and base_url.fal_host is FalHost.PLATFORM:
        return platform_error_response(outcome, state["request_id"])
    return outcome_response(outcome)


class FalHostRouting:
    """Gives each request its canonical path and, in its state, the `PublicBaseUrl` it came through.

    pages:   paths of our own, which no door has
    trusted: whose X-Forwarded-Proto, -Host, -Port and -Prefix headers are believed
    allowed_hosts: names that requests may be addressed to, as the setting has them
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Collection[str],
        trusted: Sequence[Network],
        allowed_hosts: Sequence[str] = ("*",),
    ) -> None:
        self.app = app
        self.pages = frozenset(pages)
        self.trusted = tuple(trusted)
        self.allowed_hosts = tuple(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; whatever has no path passes through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        outside = _Outside(scope, self.trusted)
        if not is_one_of(outside.host, self.allowed_hosts):
            # A page whose name was made to lead here must not pass for one of ours.
            refusal = RequestError("no such host here", error_type="bad_request", status=400)
            await outcome_response(request_error_outcome(refusal))(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].rstrip("/") == PROXY_PATH:
            try:
                target = _target(outside.sent.get(_TARGET))
            except RequestError as error:
                await outcome_response(request_error_outcome(error))(scope, receive, send)
                return
            scope = _proxied(scope, target, outside)
        else:
            scope = self._addressed(scope, outside)
        await self.app(scope, receive, send)

    def _addressed(self, scope: Scope, outside: "_Outside") -> Scope:
        path, raw_path = scope["path"], scope.get("raw_path") or scope["path"].encode()
        named = _fal_host_of_path(path)
        fal_host = named or _fal_host_of_name(outside.host)
        base_url = outside.base_url(fal_host, f"/{fal_host}" if named else "")
        if named is None and (path.rstrip("/") or "/") not in self.pages:
            path, raw_path = f"/{fal_host}{path}", f"/{fal_host}".encode() + raw_path
        return _entered(scope, base_url, path=path, raw_path=raw_path)


class _Outside:
    """Scheme, host, port and root of a request as its client sees them."""

    def __init__(self, scope: Scope, trusted: Sequence[Network]) -> None:
        self.sent = Headers(scope=scope)
        self._is_trusted = _is_trusted(scope, trusted)
        scheme = self._forwarded("proto") or scope.get("scheme", "http")
        self.scheme = "https" if scheme in ("https", "wss") else "http"
        self.host, self.port = self._authority(scope)
        root = (self._forwarded("prefix") or "").rstrip("/")
        self.root = root if _PREFIX.fullmatch(root) else ""

    def base_url(self, fal_host: FalHost, prefix: str) -> PublicBaseUrl:
        """The entrance to `door` at `prefix`."""
        return PublicBaseUrl(fal_host, self.scheme, self.host, self.port, self.root, prefix)

    def _forwarded(self, name: str) -> str | None:
        # The last of several values is the nearest proxy's own; the client may have invented the others.
        value = self.sent.get(f"x-forwarded-{name}", "") if self._is_trusted else ""
        return value.rpartition(",")[2].strip() or None

    def _authority(self, scope: Scope) -> tuple[str, int | None]:
        written = _AUTHORITY.fullmatch(self._forwarded("host") or self.sent.get("host", ""))
        if written is None:
            host, number = scope.get("server") or ("localhost", None)
            host = f"[{host}]" if ":" in host else host
        else:
            host, number = written[1], int(written[2]) if written[2] else None
        forwarded_port = self._forwarded("port") or ""
        if forwarded_port.isdecimal():
            number = int(forwarded_port)
        return host, None if number == {"http": 80, "https": 443}[self.scheme] else number


def _is_trusted(scope: Scope, trusted: Sequence[Network]) -> bool:
    if not trusted or not scope.get("client"):
        return False
    try:
        address = ip_address(scope["client"][0])
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in trusted)


def _fal_host_of_path(path: str) -> FalHost | None:
    name = path.split("/", 2)[1] if path.startswith("/") else ""
    return FalHost(name) if name in set(FalHost) else None


def _fal_host_of_name(host: str) -> FalHost:
    label, dot, _ = host.lower().partition(".")
    return _FAL_HOST_OF_LABEL.get(label, FalHost.SYNC) if dot else FalHost.SYNC


def _target(url: str | None) -> SplitResult:
    """The address that a call of the proxy route is meant for. Raises RequestError unless we stand for it."""
    if url is None:
        raise _bad_target(f"{PROXY_PATH} needs the header {_TARGET}")
    try:
        target = urlsplit(url)
    except ValueError:
        raise _bad_target(f"{_TARGET} is {echo(url)}, not an address") from None
    if target.scheme != "https" or target.netloc.lower() not in HOSTED:
        raise _bad_target(f"{_TARGET} is {echo(url)}, not an https address of {', '.join(HOSTED)}")
    return target


def _bad_target(message: str) -> RequestError:
    return RequestError(message, error_type="bad_request", status=400)


def _proxied(scope: Scope, target: SplitResult, outside: _Outside) -> Scope:
    fal_host = HOSTED[target.netloc.lower()]
    # The platform's paths bear their version, which is its door's name.
    inner = target.path.removeprefix("/v1") if fal_host is FalHost.PLATFORM else target.path
    path = f"/{fal_host}{unquote(inner)}"
    structlog.contextvars.bind_contextvars(target=path)
    scope = {**scope, "query_string": target.query.encode("latin-1")}
    # Addresses in the answer lead to this server, not back to the host that it stands for.
    base_url = outside.base_url(fal_host, f"/{fal_host}")
    return _entered(scope, base_url, path=path, raw_path=f"/{fal_host}{inner}".encode("latin-1"))


def _entered(scope: Scope, base_url: PublicBaseUrl, *, path: str, raw_path: bytes) -> Scope:
    state = scope.setdefault("state", {})  # shared: what is noted inside is read outside
    state["entrance"] = base_url
    return {**scope, "path": path, "raw_path": raw_path, "state": state}
