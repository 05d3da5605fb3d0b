"""One connection of the server: what a client may send, and how slowly, before it is a request."""

import asyncio
import resource
from http import HTTPStatus

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# The parser shows a header when it is whole; until then this bounds it. More than one read of a socket
# brings, which may hold the end of another request's body.
_MAX_UNSEEN_BYTES = 512 * 1024
# From the connection, or from a head's first byte, to the head's last.
MAX_HEAD_S = 10.0

_MANY_FILES = 16_384
# Files that are left to the store, the videos and the fetches, or half of all where there are so few.
_OTHER_FILES = 512
# On each of two sockets, so many may be accepted before the first of them is counted.
BACKLOG = 128

log = structlog.get_logger()


def allow_many_files() -> None:
    """Let this process open more files, where the system begins with few and lets it."""
    few, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if few < _MANY_FILES:
        wanted = _MANY_FILES if most == resource.RLIM_INFINITY else min(most, _MANY_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def max_connections() -> int:
    """How many connections may be open at once; one that still shakes hands for TLS does not count."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - _OTHER_FILES, files // 2)


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol on httptools, with limits on the head of a request, which it lacks.

    Bodies have their own limits, in `api/http/body.py` and where files arrive: they depend on the route.
    """

    _head_bytes = 0
    _unseen_bytes = 0
    _refusal = HTTPStatus.BAD_REQUEST
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, where one connection more leaves the rest of the process its files."""
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            log.warning("too many connections", client=self.client)
            transport.abort()
            return
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._head_has_ended()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes."""
        super().data_received(data)
        self._unseen_bytes = 0 if self._head_timer is None else self._unseen_bytes + len(data)
        if self._unseen_bytes > _MAX_UNSEEN_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """A head's first bytes."""
        super().on_message_begin()
        self._head_bytes = 0
        self._await_head()

    def on_url(self, url: bytes) -> None:
        """A piece of the address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        self._count(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._refuse(f"more than {MAX_HEADERS} headers")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_has_ended()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, or too much of one, and close."""
        self._head_has_ended()
        text = msg if self._refusal is HTTPStatus.BAD_REQUEST else self._refusal.phrase
        head = (
            f"HTTP/1.1 {self._refusal.value} {self._refusal.phrase}\r\n"
            "content-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(text)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write((head + text).encode("ascii"))
        self.transport.close()

    def _count(self, num_bytes: int) -> None:
        self._head_bytes += num_bytes
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(f"a head of more than {MAX_HEAD_BYTES} bytes")

    def _refuse(self, what: str) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise ValueError(what)  # the parser stops, and `send_400_response` is called

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(MAX_HEAD_S, self._give_up)

    def _head_has_ended(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        log.warning("a request's head did not arrive in time", client=self.client, seconds=MAX_HEAD_S)
        self._refusal = HTTPStatus.REQUEST_TIMEOUT
        self.send_400_response("")
