"""Maps every address that fal's clients use to one canonical path.

fal has a host each for running requests, for the queue, for upload addresses, for files and for its platform
API. Here one server answers for all of them, and routes know canonical paths only: `/sync/…`, `/queue/…`,
`/rest/…`, `/cdn/…` and `/platform/…`. `FalHostRouting` decides in this order:

1. `/api/fal/proxy` with the header x-fal-target-url: the host, path and query in that header;
2. a page of this server, such as `/health`;
3. a path that begins with the name of a fal host: that path as it is;
4. a Host header that begins with `queue.`, `rest.` or `v3.`, or is `api.fal.ai` and the path begins with `/v1`:
   that fal host;
5. anything else: sync.
"""

import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv6Address, ip_address
from typing import cast
from urllib.parse import unquote

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from omnireel.api.fal.errors import render_error
from omnireel.api.http.errors import RequestError, echo
from omnireel.api.http.responses import json_response
from omnireel.net.urls import is_one_of
from omnireel.settings import Network

PROXY_PATH = "/api/fal/proxy"
_PLATFORM_VERSION = "/v1"
_TARGET = "x-fal-target-url"
# Not `urlsplit`, which keeps the last hundred texts that it was given.
_TARGET_URL = re.compile(
    r"https://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#.*)?", re.IGNORECASE
)
_AUTHORITY = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")


# The part of an upload's address that is a secret: it is all that a sender of the bytes needs.
_UPLOAD_TOKEN = re.compile(r"(/files/.*?/(?:upload|multipart)/+)[^/]+", re.DOTALL)


class FalHost(StrEnum):
    """Which of fal's hosts a request is meant for; the value is the first part of its canonical paths."""

    SYNC = "sync"
    QUEUE = "queue"
    REST = "rest"
    CDN = "cdn"
    PLATFORM = "platform"


# A server of any domain may have these subdomains. `api` is too common a name to be one of them.
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
    """The address under which a request reached this server; addresses in answers are built from it.

    fal_host: the fal host that the request is meant for
    scheme:   "http" or "https"
    host:     as the client wrote it; an IPv6 address in brackets
    port:     None for the scheme's default port
    root:     the path that a reverse proxy puts in front of our paths: "" or "/some/path"
    prefix:   what comes before the fal host's own paths: "/queue", or "" if the Host header decided
    """

    fal_host: FalHost
    scheme: str
    host: str
    port: int | None
    root: str
    prefix: str

    def url(self, path: str, fal_host: FalHost | None = None) -> str:
        """The address of `path` on `fal_host`, or on the fal host of this request.

        Another fal host is addressed by its prefix, which works under every host name.
        """
        prefix = self.prefix if fal_host in (None, self.fal_host) else f"/{fal_host}"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}{self.root}{prefix}{path}"


def base_url_of(connection: HTTPConnection) -> PublicBaseUrl:
    """The public base URL of a request."""
    return cast(PublicBaseUrl, connection.state.base_url)


def without_token(path: str) -> str:
    """The path as the log may show it."""
    return _UPLOAD_TOKEN.sub(r"\1…", path)


def fal_host_of_path(path: str) -> FalHost | None:
    """The fal host that a canonical path belongs to; None for a page of this server."""
    name = path.split("/", 2)[1] if path.startswith("/") else ""
    return FalHost(name) if name in set(FalHost) else None


class FalHostRouting:
    """Gives each request its canonical path and puts its `PublicBaseUrl` into its state.

    pages:         paths of this server's own pages, which belong to no fal host
    trusted:       proxies whose X-Forwarded-Proto, -Host, -Port and -Prefix headers are used
    allowed_hosts: host names that requests may be addressed to, as the setting has them
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        pages: Container[str],
        trusted: Sequence[Network],
        allowed_hosts: Sequence[str] = ("*",),
    ) -> None:
        self.app = app
        self.pages = pages
        self.trusted = tuple(trusted)
        self.allowed_hosts = tuple(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection; other kinds of ASGI scope (lifespan) pass through."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        client_view = _ClientView(scope, self.trusted)
        if not is_one_of(client_view.host, self.allowed_hosts):
            # DNS rebinding: a web page whose own name resolves to this server must not reach it.
            refusal = RequestError("This host name is not allowed.", error_type="bad_request", status=400)
            await _refused(refusal)(scope, receive, send)
            return
        if scope["type"] == "http" and scope["path"].rstrip("/") == PROXY_PATH:
            try:
                target = _target(client_view.headers.get(_TARGET))
            except RequestError as error:
                await _refused(error)(scope, receive, send)
                return
            scope = _proxied(scope, target, client_view)
        else:
            scope = self._addressed(scope, client_view)
        await self.app(scope, receive, send)

    def _addressed(self, scope: Scope, client_view: "_ClientView") -> Scope:
        path, raw_path = scope["path"], scope.get("raw_path") or scope["path"].encode()
        named = fal_host_of_path(path)
        fal_host = named or _fal_host_of_name(client_view.host, path)
        base_url = client_view.base_url(fal_host, f"/{fal_host}" if named else "")
        if named is None and path not in self.pages:
            path, raw_path = f"/{fal_host}{path}", f"/{fal_host}".encode() + raw_path
        return _routed(scope, base_url, path=path, raw_path=raw_path)


class _ClientView:
    """Scheme, host, port and root path of a request as its client sees them."""

    def __init__(self, scope: Scope, trusted: Sequence[Network]) -> None:
        self.headers = Headers(scope=scope)
        self._is_trusted = _is_trusted(scope, trusted)
        scheme = self._forwarded("proto") or scope.get("scheme", "http")
        self.scheme = "https" if scheme in ("https", "wss") else "http"
        self.host, self.port = self._authority(scope)
        root = (self._forwarded("prefix") or "").rstrip("/")
        self.root = root if _PREFIX.fullmatch(root) else ""

    def base_url(self, fal_host: FalHost, prefix: str) -> PublicBaseUrl:
        """The public base URL for `fal_host` at `prefix`."""
        return PublicBaseUrl(fal_host, self.scheme, self.host, self.port, self.root, prefix)

    def _forwarded(self, name: str) -> str | None:
        # The nearest proxy appends its value last; the client may have made up the others.
        value = self.headers.get(f"x-forwarded-{name}", "") if self._is_trusted else ""
        return value.rpartition(",")[2].strip() or None

    def _authority(self, scope: Scope) -> tuple[str, int | None]:
        written = _AUTHORITY.fullmatch(self._forwarded("host") or self.headers.get("host", ""))
        if written is None:
            host, number = scope.get("server") or ("localhost", None)
            host = f"[{host}]" if ":" in host else host
        else:
            host, number = written[1], int(written[2]) if written[2] else None
        forwarded_port = self._forwarded("port") or ""
        if forwarded_port.isdecimal():
            number = int(forwarded_port)
        return host, None if number == {"http": 80, "https": 443}[self.scheme] else number


def _refused(error: RequestError) -> Response:
    rendered = render_error(error)
    return json_response(rendered.body, rendered.status, rendered.headers)


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


def _fal_host_of_name(host: str, path: str) -> FalHost:
    hosted = HOSTED.get(host.lower())
    if hosted is FalHost.PLATFORM and not _has_version(path):
        return FalHost.SYNC  # only the platform's own paths lead there, so that requests to run still arrive
    if hosted is not None:
        return hosted
    label, dot, _ = host.lower().partition(".")
    return _FAL_HOST_OF_LABEL.get(label, FalHost.SYNC) if dot else FalHost.SYNC


def _has_version(path: str) -> bool:
    return f"{path}/".startswith(f"{_PLATFORM_VERSION}/")


def _target(url: str | None) -> re.Match[str]:
    """The parts of the address in the proxy header. Raises RequestError unless it is on one of fal's hosts."""
    if url is None:
        raise _bad_target(f"{PROXY_PATH} needs the header {_TARGET}.")
    target = _TARGET_URL.fullmatch(url)
    if target is None or target["host"].lower() not in HOSTED:
        hosts = ", ".join(HOSTED)
        raise _bad_target(f"The header {_TARGET} is {echo(url)}, which is not an https address on {hosts}.")
    return target


def _bad_target(message: str) -> RequestError:
    return RequestError(message, error_type="bad_request", status=400)


def _proxied(scope: Scope, target: re.Match[str], client_view: _ClientView) -> Scope:
    fal_host, inner = HOSTED[target["host"].lower()], target["path"]
    if fal_host is FalHost.PLATFORM and not _has_version(inner):
        inner = f"{_PLATFORM_VERSION}{inner}"
    path = f"/{fal_host}{unquote(inner)}"
    structlog.contextvars.bind_contextvars(target=without_token(path))
    scope = {**scope, "query_string": (target["query"] or "").encode("latin-1")}
    # Addresses in the answer lead to this server, not to the fal host in the header.
    base_url = client_view.base_url(fal_host, f"/{fal_host}")
    return _routed(scope, base_url, path=path, raw_path=f"/{fal_host}{inner}".encode("latin-1"))


def _routed(scope: Scope, base_url: PublicBaseUrl, *, path: str, raw_path: bytes) -> Scope:
    state = scope.setdefault("state", {})  # shared, not copied: outer middleware reads what is put into it
    state["base_url"] = base_url
    return {**scope, "path": path, "raw_path": raw_path, "state": state}
