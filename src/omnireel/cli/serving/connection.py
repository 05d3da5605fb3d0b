"""A connection of the server: limits on the size of a request's head, and on the time it takes to arrive."""

import asyncio
import resource
from http import HTTPStatus

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# The parser reports a header only when it is complete. Until then this limits its size. It is more than one read
# of a socket gives, since that may also hold the end of another request's body.
_MAX_UNPARSED_BYTES = 512 * 1024
# From the start of the connection, or from the first byte of a head, to the last byte of the head.
MAX_HEAD_S = 10.0

_MANY_FILES = 16_384
# Files reserved for the store, videos and downloads; half of all files if the limit is low.
_OTHER_FILES = 512
# This many connections may be accepted on each of two sockets before the first of them is counted.
BACKLOG = 128

log = structlog.get_logger()


def allow_many_files() -> None:
    """Raise the limit of open files to _MANY_FILES, or as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < _MANY_FILES:
        wanted = _MANY_FILES if hard == resource.RLIM_INFINITY else min(hard, _MANY_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def max_connections() -> int:
    """How many connections may be open at once. One that is still in its TLS handshake is not counted."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files - _OTHER_FILES, files // 2)


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol on httptools, with limits on the head of a request.

    The limits on bodies depend on the route. They are in `api/http/body.py` and `storage/uploads.py`.
    """

    _head_bytes = 0
    _unparsed_bytes = 0
    _refusal = HTTPStatus.BAD_REQUEST
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer of the first head, or close the connection if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > max_connections():
            log.warning("too many connections", client=self.client)
            transport.abort()
            return
        self._start_head_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_head_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and refuse a head whose unfinished header is too long."""
        super().data_received(data)
        self._unparsed_bytes = 0 if self._head_timer is None else self._unparsed_bytes + len(data)
        if self._unparsed_bytes > _MAX_UNPARSED_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        """Start the timer and the count of a head at its first bytes."""
        super().on_message_begin()
        self._head_bytes = 0
        self._start_head_timer()

    def on_url(self, url: bytes) -> None:
        """Count a piece of the request's address."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count a header, and refuse one too many."""
        self._count(len(name) + len(value))
        if len(self.headers) >= MAX_HEADERS:
            self._refuse(f"The request has more than {MAX_HEADERS} headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Stop the timer: the head is complete."""
        self._stop_head_timer()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer an invalid, too large or too slow head with `_refusal`, and close the connection."""
        self._stop_head_timer()
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
            self._refuse(f"The request's head has more than {MAX_HEAD_BYTES} bytes.")

    def _refuse(self, message: str) -> None:
        self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        raise ValueError(message)  # the parser stops, and uvicorn calls `send_400_response`

    def _start_head_timer(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(MAX_HEAD_S, self._refuse_slow_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow_head(self) -> None:
        self._head_timer = None
        log.warning("request head too slow", client=self.client, seconds=MAX_HEAD_S)
        self._refusal = HTTPStatus.REQUEST_TIMEOUT
        self.send_400_response("")
