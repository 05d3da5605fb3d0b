"""A connection of the server: limits on a request's head and its time, on pipelined requests and unread answers."""

import asyncio
import time
from http import HTTPStatus
from typing import Any, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from omnireel.cli.serving.connections import Connections

MAX_HEAD_BYTES = 64 * 1024
MAX_HEADERS = 128
# The parser reports a header only when it is complete. Until then this limits its size. It is more than one read
# of a socket gives, since that may also hold the end of another request's body.
_MAX_UNPARSED_BYTES = 512 * 1024
# From the start of the connection, or from the first byte of a head, to the last byte of the head.
MAX_HEAD_S = 10.0
# How long the rest of a body may take once the request is answered.
_REST_S = 10.0
# Bytes of further requests that wait while one is answered.
_MAX_PIPELINED_BYTES = 256 * 1024

# This many connections may be accepted on each of two sockets before the first of them is counted.
BACKLOG = 128

log = structlog.get_logger()


class _CountingTransport:
    """A transport that counts what is written. All else is the transport's own."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.num_written = 0

    def write(self, data: bytes) -> None:
        """Write as the transport does."""
        self.num_written += len(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401  # any attribute of a transport
        return getattr(self._transport, name)


class Connection(HttpToolsProtocol):
    """Uvicorn's protocol on httptools, with limits.

    open: all connections of the server
    The limits on bodies depend on the route. They are in `api/http/body.py` and `storage/uploads.py`.
    """

    def __init__(self, *arguments: Any, open: Connections, **options: Any) -> None:  # noqa: ANN401  # uvicorn's own
        super().__init__(*arguments, **options)
        self._open = open
        self._head_bytes = 0
        self._unparsed_bytes = 0
        self._refusal = HTTPStatus.BAD_REQUEST
        self._head_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None
        self._is_body_whole = True
        self._phase_began = time.monotonic()
        self._num_moved = 0
        # The requests that are being answered or wait for it, in their order.
        self._unanswered: list[RequestResponseCycle] = []
        self._pipelined = bytearray()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count the connection, and start the timer of the first head."""
        counting = _CountingTransport(transport)
        super().connection_made(cast(asyncio.Transport, counting))
        self._written = counting
        self._start_head_timer()
        self._open.add(self, self._address)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers. All requests that are not answered learn of the disconnect."""
        self._stop_head_timer()
        self._stop_rest_timer()
        self._open.remove(self, self._address)
        for cycle in self._unanswered:
            if not cycle.response_complete:
                cycle.disconnected = True
            cycle.message_event.set()
        self.pipeline.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse bytes, and refuse a head whose unfinished header is too long.

        Bytes behind a request that is pipelined already wait: if they were not read, a disconnect would not be noticed.
        """
        self._num_moved += len(data)
        if self.pipeline:
            self._pipelined += data
            if len(self._pipelined) > _MAX_PIPELINED_BYTES:
                self.end("it has too many requests waiting")
            return
        super().data_received(data)
        if self.pipeline:
            self.flow.resume_reading()
        self._unparsed_bytes = 0 if self._head_timer is None else self._unparsed_bytes + len(data)
        if self._unparsed_bytes > _MAX_UNPARSED_BYTES:
            self._refusal = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
            self.send_400_response("")

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def late_s(self, min_bytes_per_s: int) -> float | None:
        """See `OpenConnection.late_s`."""
        age_s = time.monotonic() - self._phase_began
        if not self._unanswered:
            return age_s
        if self._is_body_whole and not self.num_unread():
            return None
        return age_s - (self._num_moved + self.num_written() - self.num_unread()) / min_bytes_per_s

    def num_unread(self) -> int:
        """See `OpenConnection.num_unread`."""
        return self.transport.get_write_buffer_size()

    def num_written(self) -> int:
        """See `OpenConnection.num_written`."""
        return self._written.num_written

    def end(self, why: str) -> None:
        """See `OpenConnection.end`."""
        log.warning("connection closed", client=self.client, why=why)
        self.transport.abort()

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
        if not self.url.startswith(b"/"):
            raise ValueError("The target of the request must be a path.")
        if sum(name == b"host" for name, _ in self.headers) > 1:
            raise ValueError("The request has several Host headers.")
        self._is_body_whole = False
        self._phase_began = time.monotonic()
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        """The body is complete."""
        self._is_body_whole = True
        self._stop_rest_timer()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Go on with the next request. If the body of this one is not complete, it has little time left."""
        del self._unanswered[:1]
        self._phase_began, self._num_moved = time.monotonic(), 0
        super().on_response_complete()
        if not self._unanswered and not self._is_body_whole and self._rest_timer is None:
            self._rest_timer = self.loop.call_later(_REST_S, self.end, "the rest of a body does not come")
        if self._pipelined and not self.pipeline and not self.transport.is_closing():
            waiting, self._pipelined = bytes(self._pipelined), bytearray()
            self.data_received(waiting)

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

    def _stop_rest_timer(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _refuse_slow_head(self) -> None:
        self._head_timer = None
        log.warning("request head too slow", client=self.client, seconds=MAX_HEAD_S)
        self._refusal = HTTPStatus.REQUEST_TIMEOUT
        self.send_400_response("")
